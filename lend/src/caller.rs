//! Who makes a call: its memory and its files, as far as the answer needs them.

use std::os::fd::OwnedFd;

use vfio_abi::errno::Errno;

use crate::fields::Fields;

/// A file of ours that somebody has open. Copies of a file descriptor are of one and the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Open(pub u64);

/// A piece of a caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub at: u64,
    /// How many bytes it has.
    pub count: u64,
}

/// What lies at an address of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// Memory that the process may read, and nothing more.
    ReadOnly,
    /// Memory that the process may write.
    Writable,
    /// A part of our device.
    Device,
}

/// The thread that makes a call, or nobody.
pub trait Caller {
    /// Its process.
    fn process(&self) -> i32;

    /// Reads memory of a process.
    ///
    /// # Errors
    /// `EFAULT` where there is none.
    fn read_of(&self, process: i32, at: u64, into: &mut [u8]) -> Result<(), Errno>;

    /// Writes memory of a process.
    ///
    /// # Errors
    /// `EFAULT` where there is none that can be written.
    fn write_of(&self, process: i32, at: u64, data: &[u8]) -> Result<(), Errno>;

    /// What all of a range of its memory is.
    ///
    /// # Errors
    /// `EFAULT` where there is none.
    fn lies(&self, at: u64, length: u64) -> Result<Lies, Errno>;

    /// Which of our files its descriptor is, if it is one.
    ///
    /// # Errors
    /// `EBADF` if it is none at all.
    fn open(&self, file: i32) -> Result<Option<Open>, Errno>;

    /// A copy of its descriptor for us.
    ///
    /// # Errors
    /// `EBADF` if it has none.
    fn take(&self, file: i32) -> Result<OwnedFd, Errno>;

    /// A copy of its descriptor for us, which must be an event.
    ///
    /// # Errors
    /// `EBADF` if it has none, `EINVAL` if it is something else.
    fn take_event(&self, file: i32) -> Result<OwnedFd, Errno>;
}

/// Not a member of the trait, so that it stays usable as an object.
impl dyn Caller + '_ {
    /// Reads as many bytes of its memory.
    ///
    /// # Errors
    /// `EFAULT` where there is none.
    pub(crate) fn fields(&self, at: u64, length: usize) -> Result<Fields, Errno> {
        let mut bytes = vec![0; length];
        self.read_of(self.process(), at, &mut bytes)?;
        Ok(Fields(bytes))
    }

    /// Writes its memory.
    ///
    /// # Errors
    /// `EFAULT` where there is none that can be written.
    pub(crate) fn put(&self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.write_of(self.process(), at, bytes)
    }
}
