//! The coherent device attribute table: what memory a device has and how fast it is (CDAT 1.03).
//!
//! ```text
//!  header, 16 bytes                DSMAS, type 0, 24 bytes          DSLBIS, type 1, 24 bytes
//!  0  length of the table          0  type, 2 length                0  type, 2 length
//!  4  revision                     4  handle                        4  handle of the DSMAS
//!  5  checksum                     5  flags                         5  flags
//!  12 sequence                     8  DPA base                      6  which figure
//!                                  16 DPA length                    8  unit; 16, 18, 20 the figures
//! ```
//!
//! All bytes of the table sum to 0. It is read through a DOE mailbox, one entry at a time: entry 0 is the header.

use arbitrary_int::u4;

use crate::address::Dpa;
use crate::address::Span;

crate::register! {
    /// Third dword of a request for an entry.
    pub struct ReadEntry("CDAT Read Entry Request"): u32 {
        /// 0: read an entry.
        code: u8 = 7:0, Rw;
        /// 0: the CDAT.
        table: u8 = 15:8, Rw;
        /// Which entry.
        handle: u16 = 31:16, Rw;
    }

    /// Third dword of the answer; the entry follows.
    pub struct EntryRead("CDAT Read Entry Response"): u32 {
        /// 0: an entry was read.
        code: u8 = 7:0, Ro;
        /// 0: the CDAT.
        table: u8 = 15:8, Ro;
        /// The next entry, or [`LAST`].
        next: u16 = 31:16, Ro;
    }

    /// Flags of a [`Dslbis`].
    pub struct DslbisFlags("DSLBIS Flags"): u8 {
        /// Level of the memory hierarchy: 0 for memory.
        level: u4 = 3:0, HwInit;
    }
}

/// The kind of DOE object, of the CXL consortium's, by which the table is read.
pub const TABLE_ACCESS: u8 = 2;

/// [`EntryRead::next`] of the last entry.
pub const LAST: u16 = 0xffff;

/// Revision of the layout described here.
pub const REVISION: u8 = 2;

/// Length of the header in bytes.
pub const HEADER_SIZE: usize = 16;

/// Length of a [`Dsmas`] and of a [`Dslbis`] in bytes.
pub const STRUCTURE_SIZE: usize = 24;

/// Device scoped memory affinity structure: a run of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dsmas {
    /// The number by which other structures name it.
    pub handle: u8,
    /// 0 for volatile memory that nobody else shares.
    pub flags: u8,
    /// Where it is.
    pub range: Span<Dpa>,
}

impl Dsmas {
    /// The structure as bytes.
    pub fn encode(self) -> [u8; STRUCTURE_SIZE] {
        let head = u64::from(STRUCTURE_SIZE as u16) << 16 | u64::from(self.handle) << 32;
        join([head | u64::from(self.flags) << 40, self.range.start().get(), self.range.size()])
    }
}

/// Which figure a [`Dslbis`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Picoseconds until a read is answered.
    ReadLatency,
    /// Picoseconds until a write is answered.
    WriteLatency,
    /// Megabytes read in a second.
    ReadBandwidth,
    /// Megabytes written in a second.
    WriteBandwidth,
}

/// Device scoped latency and bandwidth information structure: how fast a run of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dslbis {
    /// The run of memory, by the handle of its [`Dsmas`].
    pub handle: u8,
    /// Level of the memory hierarchy and more.
    pub flags: DslbisFlags,
    /// Which figure.
    pub figure: Figure,
    /// What one unit of the figure is.
    pub unit: u64,
    /// The figure in units.
    pub value: u16,
}

impl Dslbis {
    /// The structure as bytes.
    pub fn encode(self) -> [u8; STRUCTURE_SIZE] {
        let figure: u64 = match self.figure {
            Figure::ReadLatency => 1,
            Figure::WriteLatency => 2,
            Figure::ReadBandwidth => 4,
            Figure::WriteBandwidth => 5,
        };
        let head = 1 | u64::from(STRUCTURE_SIZE as u16) << 16 | u64::from(self.handle) << 32;
        let head = head | u64::from(self.flags.raw()) << 40 | figure << 48;
        join([head, self.unit, self.value.into()])
    }
}

/// The header of a table whose structures are `structures`, one after the other.
pub fn header(sequence: u32, structures: &[u8]) -> [u8; HEADER_SIZE] {
    let length = HEADER_SIZE.saturating_add(structures.len()) as u32;
    let low = u64::from(length) | u64::from(REVISION) << 32;
    let high = u64::from(sequence) << 32;
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let total =
        [low, high].iter().fold(sum(structures), |all, half| all.wrapping_add(sum(&half.to_le_bytes())));
    join([low | u64::from(total.wrapping_neg()) << 40, high])
}

/// Numbers of eight bytes as bytes, one after the other; `BYTES` is eight times `WORDS`.
fn join<const WORDS: usize, const BYTES: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    const { assert!(BYTES == 8 * WORDS) };
    let mut bytes = [0; BYTES];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_memory_has_the_printed_layout() {
        let dsmas =
            Dsmas { handle: 7, flags: 4, range: Span::new(Dpa::new(0x1000_0000), 0x2_3000_0000).unwrap() };
        let bytes = [0, 0, 24, 0, 7, 4, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x30, 2, 0, 0, 0];
        assert_eq!(dsmas.encode(), bytes);
    }

    #[test]
    fn a_figure_has_the_printed_layout() {
        let flags = DslbisFlags::new(3);
        let dslbis = Dslbis { handle: 7, flags, figure: Figure::WriteBandwidth, unit: 1000, value: 0x0120 };
        let bytes = [1, 0, 24, 0, 7, 3, 5, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0, 0x20, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(dslbis.encode(), bytes);
    }

    #[test]
    fn a_table_sums_to_zero() {
        let structures = [0x80, 0x7f, 3];
        let header = header(0x0102_0304, &structures);
        // 16 + 3 bytes; the sum without the checksum is 19 + 2 + 10 + 0x102, which is 0x21 in a byte.
        assert_eq!(header, [19, 0, 0, 0, 2, 0xdf, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1]);
        let sum = header.iter().chain(&structures).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
    }
}
