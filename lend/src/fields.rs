//! Fields of a structure by their offset, in the byte order of the machine's kernel, which is little-endian.

use vfio_abi::errno::Errno;

/// A structure as it was read from a caller, or will be written there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<u8>);

impl Fields {
    /// The field of 4 bytes at `at`; what is not there is 0.
    pub(crate) fn u32(&self, at: usize) -> u32 {
        self.number(at, 4) as u32
    }

    /// The field of 8 bytes at `at`; what is not there is 0.
    pub(crate) fn u64(&self, at: usize) -> u64 {
        self.number(at, 8)
    }

    /// The field of 2 bytes at `at`; what is not there is 0.
    pub(crate) fn u16(&self, at: usize) -> u16 {
        self.number(at, 2) as u16
    }

    /// The field of 4 bytes at `at`, with a sign.
    pub(crate) fn i32(&self, at: usize) -> i32 {
        self.u32(at).cast_signed()
    }

    fn number(&self, at: usize, length: usize) -> u64 {
        let bytes = self.0.iter().skip(at).take(length);
        bytes.rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Sets the bytes at `at`; what has no room is lost.
    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) {
        self.0.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// Sets the field of 4 bytes at `at`.
    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        self.set(at, &value.to_le_bytes());
    }

    /// Sets the field of 8 bytes at `at`.
    pub(crate) fn set_u64(&mut self, at: usize, value: u64) {
        self.set(at, &value.to_le_bytes());
    }

    /// With 4 more bytes.
    #[must_use]
    pub(crate) fn with_u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// With 8 more bytes.
    #[must_use]
    pub(crate) fn with_u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }
}

/// `EINVAL`, unless something holds.
pub(crate) fn must(holds: bool) -> Result<(), Errno> {
    or(holds, Errno::EINVAL)
}

/// An error, unless something holds.
pub(crate) fn or(holds: bool, errno: Errno) -> Result<(), Errno> {
    if holds { Ok(()) } else { Err(errno) }
}
