//! What an SMMU reads and writes itself: guest memory, and no more of it than its addresses reach.

use cxl_spec::address::Gpa;

use super::features::AddressSize;

/// Guest memory, as an SMMU reaches it.
pub trait Memory {
    /// Fills `buffer` from `at`.
    ///
    /// # Errors
    /// If there is no memory for all of it.
    fn read(&self, at: Gpa, buffer: &mut [u8]) -> Result<(), ExternalAbort>;

    /// Writes `data` at `at`.
    ///
    /// # Errors
    /// If there is no memory for all of it.
    fn write(&self, at: Gpa, data: &[u8]) -> Result<(), ExternalAbort>;
}

/// An access that memory did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory answers")]
pub struct ExternalAbort;

/// Memory through output addresses of a limited size: what lies above is not there.
#[derive(Clone, Copy)]
pub(super) struct Physical<'a> {
    pub(super) memory: &'a dyn Memory,
    pub(super) size: AddressSize,
}

impl Physical<'_> {
    /// Little-endian numbers of 64 bits in a row.
    pub(super) fn words<const COUNT: usize>(&self, at: u64) -> Result<[u64; COUNT], ExternalAbort> {
        let mut bytes = [[0; 8]; COUNT];
        self.check(at)?;
        self.memory.read(Gpa::new(at), bytes.as_flattened_mut())?;
        Ok(bytes.map(u64::from_le_bytes))
    }

    /// Writes such numbers.
    pub(super) fn put_words<const COUNT: usize>(
        &self,
        at: u64,
        words: [u64; COUNT],
    ) -> Result<(), ExternalAbort> {
        self.check(at)?;
        self.memory.write(Gpa::new(at), words.map(u64::to_le_bytes).as_flattened())
    }

    /// Structures are aligned to their length, so all of one lies where it begins.
    fn check(&self, at: u64) -> Result<(), ExternalAbort> {
        if self.size.holds(at) { Ok(()) } else { Err(ExternalAbort) }
    }
}
