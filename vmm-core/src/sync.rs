//! The locks of what a running guest reaches, by name.
//!
//! They are `parking_lot`'s. Where this crate is tested they are the same locks, and moreover ones whose order a search
//! can choose: so what is searched is the code that runs, and no model of it.

#[cfg(test)]
mod searched;

#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicBool;

#[cfg(not(test))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(test))]
pub(crate) use parking_lot::MutexGuard;
#[cfg(not(test))]
pub(crate) use parking_lot::RwLock;
#[cfg(test)]
pub(crate) use searched::AtomicBool;
#[cfg(test)]
pub(crate) use searched::Mutex;
#[cfg(test)]
pub(crate) use searched::MutexGuard;
#[cfg(test)]
pub(crate) use searched::RwLock;
#[cfg(test)]
pub(crate) use searched::point;
