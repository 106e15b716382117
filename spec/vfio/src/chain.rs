//! Capability chains: linked lists of typed entries behind an info structure.
//!
//! ```text
//!  info structure ......  entry            entry
//!  cap_offset ──────────▶ id version next ▶ id version next = 0
//!                         data             data
//! ```
//!
//! Offsets count from the start of the info structure. An entry does not say how long it is: it ends where the
//! next one in memory begins, or with the structure. Entries may stand in any order. A kernel or a server may be
//! hostile, so the walk is bounded: an offset that leaves the structure, or that was visited before, ends it
//! with an error. Unknown entries are kept as they are.

use alloc::vec::Vec;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::malformed::Malformed;
use crate::malformed::prefix;

/// Region capability: which parts of a region can be mapped.
pub const SPARSE_MMAP: u16 = 1;

/// Region capability: what a device-specific region is.
pub const REGION_TYPE: u16 = 2;

/// Length of an entry's header.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// Entries begin at multiples of this, as the kernel lays them out.
const ALIGNMENT: usize = 8;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    id: U16,
    version: U16,
    next: U32,
}

/// One entry of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the entry is; device and region capabilities have numbers of their own.
    pub id: u16,
    /// Version of its layout.
    pub version: u16,
    /// What follows the header, up to the next entry in memory: may be longer than the layout.
    pub data: Vec<u8>,
}

/// A chain of entries in the order in which they are linked.
///
/// ```
/// use vfio_abi::chain::Area;
/// use vfio_abi::chain::Chain;
/// use vfio_abi::cxl;
///
/// // What the kernel says of the region that is a device's memory.
/// let chain = Chain::new().with_region_type(cxl::REGION_TYPE, cxl::SUBTYPE_MEMORY);
/// assert_eq!(chain.region_type()?, Some((0x8000_1e98, 1)));
/// // And of a BAR with a hole that cannot be mapped.
/// let areas = [Area { offset: 0, size: 0x2_0000 }, Area { offset: 0x3_0000, size: 0xd_0000 }];
/// assert_eq!(Chain::new().with_sparse_areas(&areas).sparse_areas()?, Some(areas.to_vec()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    entries: Vec<Entry>,
}

/// A part of a region that can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Offset in the region.
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct AreaBytes {
    offset: U64,
    size: U64,
}

impl Chain {
    /// A chain without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// The entries, in the order in which they are linked.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The first entry with this id.
    pub fn find(&self, id: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The chain with one more entry at its end.
    #[must_use]
    pub fn with(mut self, id: u16, version: u16, data: &[u8]) -> Self {
        self.entries.push(Entry { id, version, data: data.to_vec() });
        self
    }

    /// The chain with the entry that says what a device-specific region is.
    #[must_use]
    pub fn with_region_type(self, kind: u32, subtype: u32) -> Self {
        self.with(REGION_TYPE, 1, [U32::new(kind), U32::new(subtype)].as_bytes())
    }

    /// The chain with the entry that lists the parts of a region that can be mapped.
    #[must_use]
    pub fn with_sparse_areas(self, areas: &[Area]) -> Self {
        let mut data = [U32::new(areas.len() as u32), U32::new(0)].as_bytes().to_vec();
        for area in areas {
            let bytes = AreaBytes { offset: area.offset.into(), size: area.size.into() };
            data.extend_from_slice(bytes.as_bytes());
        }
        self.with(SPARSE_MMAP, 1, &data)
    }

    /// Type and subtype of a device-specific region, if the chain has them.
    ///
    /// # Errors
    /// If the entry is too short.
    pub fn region_type(&self) -> Result<Option<(u32, u32)>, Malformed> {
        let Some(entry) = self.find(REGION_TYPE) else { return Ok(None) };
        let ([kind, subtype], _) = prefix::<[U32; 2]>("region type capability", &entry.data)?;
        Ok(Some((kind.get(), subtype.get())))
    }

    /// The parts of a region that can be mapped, as listed, if the chain lists them.
    ///
    /// # Errors
    /// If the list claims more areas than the entry holds.
    pub fn sparse_areas(&self) -> Result<Option<Vec<Area>>, Malformed> {
        let what = "sparse mmap capability";
        let Some(entry) = self.find(SPARSE_MMAP) else { return Ok(None) };
        let ([count, _reserved], rest) = prefix::<[U32; 2]>(what, &entry.data)?;
        let claimed = count.get() as usize;
        // The claim is compared with what is there before anything is read or allocated by it.
        let held = rest.len() / size_of::<AreaBytes>();
        if claimed > held {
            return Err(Malformed::Field { what, field: "nr_areas", value: count.get().into() });
        }
        let areas = rest.chunks_exact(size_of::<AreaBytes>()).take(claimed);
        let area = |bytes| prefix::<AreaBytes>(what, bytes).map(|(area, _)| area);
        areas
            .map(|bytes| area(bytes).map(|at| Area { offset: at.offset.get(), size: at.size.get() }))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Length of the encoded chain in bytes.
    pub fn encoded_size(&self) -> usize {
        self.entries.iter().map(Entry::encoded_size).sum()
    }

    /// Appends the chain to an info structure, which is all of `info`, and returns the offset of the first entry:
    /// 0 if there is none.
    pub fn encode(&self, info: &mut Vec<u8>) -> u32 {
        let first = info.len();
        let mut entries = self.entries.iter().peekable();
        while let Some(entry) = entries.next() {
            let end = info.len().saturating_add(entry.encoded_size());
            let next = if entries.peek().is_some() { end as u32 } else { 0 };
            let header = Header { id: entry.id.into(), version: entry.version.into(), next: next.into() };
            info.extend_from_slice(header.as_bytes());
            info.extend_from_slice(&entry.data);
            info.resize(end, 0);
        }
        if self.is_empty() { 0 } else { first as u32 }
    }

    /// The chain that begins at `first` in an info structure, whose fixed part is its first `fixed` bytes.
    ///
    /// # Errors
    /// If an offset points into the fixed part, outside the structure, or at an entry that was visited before.
    pub fn parse(info: &[u8], fixed: usize, first: u32) -> Result<Self, Malformed> {
        let mut starts = Vec::new();
        let mut headers = Vec::new();
        let mut at = first;
        while at != 0 {
            let wrong = Malformed::Field { what: "capability chain", field: "next", value: at.into() };
            let start = at as usize;
            let inside = start >= fixed && !starts.contains(&start);
            let bytes = info.get(start..).filter(|_| inside).ok_or(wrong)?;
            let (header, _) = prefix::<Header>("capability header", bytes).map_err(|_| wrong)?;
            starts.push(start);
            headers.push((start, header));
            at = header.next.get();
        }
        starts.sort_unstable();
        let entry = |(start, header): (usize, Header)| {
            let end = starts.iter().copied().find(|next| *next > start).unwrap_or(info.len());
            let data = info.get(start.saturating_add(HEADER_SIZE)..end).unwrap_or_default().to_vec();
            Entry { id: header.id.get(), version: header.version.get(), data }
        };
        Ok(Self { entries: headers.into_iter().map(entry).collect() })
    }
}

impl Entry {
    fn encoded_size(&self) -> usize {
        HEADER_SIZE.saturating_add(self.data.len()).next_multiple_of(ALIGNMENT)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn encoded(chain: &Chain, fixed: usize) -> (Vec<u8>, u32) {
        let mut info = vec![0xee; fixed];
        let first = chain.encode(&mut info);
        (info, first)
    }

    fn next_field(value: u64) -> Malformed {
        Malformed::Field { what: "capability chain", field: "next", value }
    }

    #[test]
    fn a_chain_of_two_is_laid_out_as_the_kernel_does() {
        let chain = Chain::new().with(6, 1, &[0xaa; 24]).with_region_type(0x8000_1e98, 2);
        let (info, first) = encoded(&chain, 24);
        assert_eq!((first, info.len()), (24, 24 + 32 + 16));
        assert_eq!(info[24..32], [6, 0, 1, 0, 56, 0, 0, 0]);
        assert_eq!(info[56..64], [2, 0, 1, 0, 0, 0, 0, 0]);
        assert_eq!(info[64..72], [0x98, 0x1e, 0, 0x80, 2, 0, 0, 0]);
    }

    #[test]
    fn entries_may_be_linked_backwards() {
        let mut info = vec![0; 64];
        info[32..40].copy_from_slice(&[7, 0, 1, 0, 0, 0, 0, 0]);
        info[48..56].copy_from_slice(&[9, 0, 1, 0, 32, 0, 0, 0]);
        let chain = Chain::parse(&info, 32, 48).unwrap();
        let shape: Vec<_> = chain.entries().iter().map(|entry| (entry.id, entry.data.len())).collect();
        assert_eq!(shape, [(9, 8), (7, 8)]);
    }

    #[test]
    fn a_chain_that_bites_its_tail_is_malformed() {
        let mut info = vec![0; 64];
        info[32..40].copy_from_slice(&[7, 0, 1, 0, 48, 0, 0, 0]);
        info[48..56].copy_from_slice(&[9, 0, 1, 0, 32, 0, 0, 0]);
        assert_eq!(Chain::parse(&info, 32, 32), Err(next_field(32)));
    }

    #[test]
    fn an_entry_in_the_fixed_part_is_malformed() {
        assert_eq!(Chain::parse(&[0; 64], 32, 24), Err(next_field(24)));
    }

    #[test]
    fn an_entry_whose_header_does_not_fit_is_malformed() {
        assert_eq!(Chain::parse(&[0; 64], 32, 57), Err(next_field(57)));
        assert!(Chain::parse(&[0; 64], 32, 56).is_ok());
        assert_eq!(Chain::parse(&[0; 64], 32, u32::MAX), Err(next_field(u32::MAX.into())));
    }

    #[test]
    fn a_sparse_list_that_claims_more_than_it_holds_is_malformed() {
        let mut data = vec![0; 8 + 16];
        data[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let chain = Chain::new().with(SPARSE_MMAP, 1, &data);
        let field =
            Malformed::Field { what: "sparse mmap capability", field: "nr_areas", value: 0xffff_ffff };
        assert_eq!(chain.sparse_areas(), Err(field));
    }

    #[test]
    fn a_chain_without_a_sparse_list_has_none() {
        assert_eq!(Chain::new().sparse_areas(), Ok(None));
        assert_eq!(Chain::new().region_type(), Ok(None));
    }

    fn entries() -> impl Strategy<Value = Vec<(u16, u16, Vec<u8>)>> {
        let data = prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| bytes.repeat(8));
        prop::collection::vec((any::<u16>(), any::<u16>(), data), 0..5)
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_back(entries in entries(), fixed in 16usize..40) {
            let chain = entries.iter().fold(Chain::new(), |chain, (id, version, data)| chain.with(*id, *version, data));
            let (info, first) = encoded(&chain, fixed);
            prop_assert_eq!(Chain::parse(&info, fixed, first), Ok(chain));
        }

        #[test]
        fn any_bytes_end_the_walk(info in prop::collection::vec(any::<u8>(), 0..96), first in 0u32..96) {
            if let Ok(chain) = Chain::parse(&info, 16, first) {
                prop_assert!(chain.entries().len() <= info.len());
            }
        }

        #[test]
        fn areas_come_back_in_order(areas in prop::collection::vec((any::<u64>(), any::<u64>()), 0..6)) {
            let areas: Vec<_> = areas.into_iter().map(|(offset, size)| Area { offset, size }).collect();
            let chain = Chain::new().with_sparse_areas(&areas);
            prop_assert_eq!(chain.sparse_areas(), Ok(Some(areas)));
        }
    }
}
