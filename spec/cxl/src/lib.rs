//! CXL and PCIe facts: what the specifications print, as types and tables.
//!
//! ```text
//!  address   Hpa Dpa Gpa Iova, spans of them         access    width and offset, parsed once
//!  register  attributes, fields, register tables     pci       configuration space and capabilities
//!  dvsec     the CXL DVSECs of an endpoint           component the 64 KiB component register block
//!  cdat      the table of the device's memory        change    what of a register is another value, in words
//! ```
//!
//! Both sides of the project read this crate, the device and the VMM. So it holds layouts and encodings only:
//! no state, no behaviour, no I/O. A *rule* (what commits, what a lock freezes, what a reset keeps) is written
//! by each side for itself, and the harness is where the two must agree. A mistake here that both sides would
//! believe is caught from outside: the tests compare with bytes typed by hand from the printed tables.
//!
//! Section numbers are those of the CXL 3.2 and PCIe 6.2 specifications.
//!
//! Not described here: CXL 1.1 RCRB layouts, switches, fabric management, the device register block (id 3).

#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod address;
pub mod cdat;
pub mod change;
pub mod component;
pub mod dvsec;
pub mod pci;
#[cfg(kani)]
mod proofs;
pub mod register;
