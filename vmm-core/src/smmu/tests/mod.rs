//! The SMMU from outside: registers, memory that is built by hand, and what comes of it.

mod commands;
mod faults;
mod guest;
mod hostile;
mod kept;
mod leaves;
mod messages;
mod registers;
mod streams;
mod tables;
