//! What of a BAR is mapped, what traps to it, and what the component registers cover.
//!
//! ```text
//!  areas the device lists   ██████████████████░░░░░░░░██████████████████
//!  overlay, priority 1                          ▓▓▓
//!                           └ mapped ─────────┘└┘└─┘└┘└ mapped ────────┘
//!                                        trapped ▲ overlay, trapped
//! ```
//!
//! The list of areas follows the rules of QEMU's sparse mmap check: areas of size 0 are dropped, the rest is
//! sorted, touching areas are fine, overlapping ones are an error. What is mapped begins and ends at a page of
//! the host; what is left over of an area traps. The overlay wins over what is below it.

use std::ops::Range;

use vfio_abi::chain::Area;

/// A part of a BAR, by offsets in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub range: Range<u64>,
    /// What an access to it reaches.
    pub reach: Reach,
}

/// What an access to a part of a BAR reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Memory: the guest is not interrupted.
    Mapped,
    /// The BAR's region, through a call.
    Trapped,
    /// The component register region, through a call.
    Overlay,
}

/// What is wrong with a list of areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SparseError {
    /// An area reaches out of the region.
    #[error("the sparse mmap area of {size:#x} bytes at {offset:#x} leaves the region of {region:#x} bytes")]
    Outside {
        /// Where the area begins.
        offset: u64,
        /// Its length.
        size: u64,
        /// The region's length.
        region: u64,
    },
    /// Two areas have bytes in common.
    #[error("the sparse mmap areas at {first:#x} and {second:#x} overlap")]
    Overlap {
        /// Where the first area begins.
        first: u64,
        /// Where the second begins.
        second: u64,
    },
}

/// The areas of a region in order, without the empty ones.
///
/// # Errors
/// If one leaves the region, or two overlap.
pub(super) fn sorted(areas: &[Area], region: u64) -> Result<Vec<Range<u64>>, SparseError> {
    let mut ranges = Vec::new();
    for area in areas.iter().filter(|area| area.size > 0) {
        let outside = SparseError::Outside { offset: area.offset, size: area.size, region };
        let end = area.offset.checked_add(area.size).filter(|end| *end <= region).ok_or(outside)?;
        ranges.push(area.offset..end);
    }
    ranges.sort_unstable_by_key(|range| range.start);
    for pair in ranges.windows(2) {
        if let [first, second] = pair
            && second.start < first.end
        {
            return Err(SparseError::Overlap { first: first.start, second: second.start });
        }
    }
    Ok(ranges)
}

/// Areas without the pages that any of these ranges touches: a mapped page does not trap.
pub(super) fn without(areas: Vec<Range<u64>>, ranges: &[Range<u64>], page: u64) -> Vec<Range<u64>> {
    ranges.iter().fold(areas, |areas, range| {
        let hole = range.start / page * page..range.end.checked_next_multiple_of(page).unwrap_or(u64::MAX);
        let around =
            |area: Range<u64>| [area.start..area.end.min(hole.start), area.start.max(hole.end)..area.end];
        areas.into_iter().flat_map(around).filter(|part| part.start < part.end).collect()
    })
}

/// Takes a BAR of `size` bytes apart. `areas` are sorted and disjoint; `overlay` lies inside the BAR.
pub(super) fn pieces(size: u64, areas: &[Range<u64>], overlay: Option<Range<u64>>, page: u64) -> Vec<Piece> {
    let covered = overlay.clone().unwrap_or(size..size);
    // Pages that the overlay touches cannot be mapped: a mapped page does not trap.
    let hole = covered.start / page * page..covered.end.checked_next_multiple_of(page).unwrap_or(size);
    let mapped = joined(areas).into_iter().flat_map(|area| {
        let before = area.start..area.end.min(hole.start);
        let behind = area.start.max(hole.end)..area.end;
        [before, behind].into_iter().filter_map(|part| whole_pages(&part, page))
    });
    let mut pieces = Vec::new();
    let mut at = 0;
    for range in mapped {
        trapped(&mut pieces, at..range.start, &covered);
        at = range.end;
        pieces.push(Piece { range, reach: Reach::Mapped });
    }
    trapped(&mut pieces, at..size, &covered);
    pieces
}

/// Areas that touch are one: a page that two of them share is whole.
fn joined(areas: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for area in areas {
        match all.last_mut() {
            Some(last) if last.end == area.start => last.end = area.end,
            _ => all.push(area.clone()),
        }
    }
    all
}

fn whole_pages(range: &Range<u64>, page: u64) -> Option<Range<u64>> {
    let start = range.start.checked_next_multiple_of(page)?;
    let end = range.end / page * page;
    (start < end).then_some(start..end)
}

/// Adds a range that traps, as up to three pieces: before the overlay, in it, behind it.
fn trapped(pieces: &mut Vec<Piece>, range: Range<u64>, overlay: &Range<u64>) {
    let clipped = |part: Range<u64>| part.start.max(range.start)..part.end.min(range.end);
    let parts = [
        (clipped(0..overlay.start), Reach::Trapped),
        (clipped(overlay.clone()), Reach::Overlay),
        (clipped(overlay.end..u64::MAX), Reach::Trapped),
    ];
    let pieces_of = parts.into_iter().filter(|(part, _)| part.start < part.end);
    pieces.extend(pieces_of.map(|(range, reach)| Piece { range, reach }));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn area(offset: u64, size: u64) -> Area {
        Area { offset, size }
    }

    #[test]
    fn areas_are_sorted_and_empty_ones_dropped() {
        let areas = [area(0x3000, 0x1000), area(0x1000, 0), area(0, 0x1000)];
        assert_eq!(sorted(&areas, 0x4000), Ok(vec![0..0x1000, 0x3000..0x4000]));
    }

    #[test]
    fn touching_areas_are_allowed() {
        assert!(sorted(&[area(0x1000, 0x1000), area(0, 0x1000)], 0x4000).is_ok());
    }

    #[test]
    fn overlapping_areas_are_refused_by_their_offsets() {
        let overlap = SparseError::Overlap { first: 0, second: 0xfff };
        assert_eq!(sorted(&[area(0xfff, 0x1000), area(0, 0x1000)], 0x4000), Err(overlap));
    }

    #[test]
    fn an_area_outside_the_region_is_refused() {
        for (offset, size) in [(0x3000, 0x1001), (0x4000, 1), (u64::MAX, 2)] {
            let outside = SparseError::Outside { offset, size, region: 0x4000 };
            assert_eq!(sorted(&[area(offset, size)], 0x4000), Err(outside));
        }
        assert_eq!(sorted(&[area(u64::MAX, 0)], 0x4000), Ok(vec![]), "an empty area is nowhere");
    }

    #[test]
    fn the_component_bar_is_mapped_around_its_block_and_overlaid_in_it() {
        let pieces = pieces(0x10_0000, &[0..0x2_0000, 0x3_0000..0x10_0000], Some(0x2_1000..0x2_1140), 0x1000);
        let shape: Vec<_> =
            pieces.iter().map(|piece| (piece.range.start, piece.range.end, piece.reach)).collect();
        assert_eq!(
            shape,
            [
                (0, 0x2_0000, Reach::Mapped),
                (0x2_0000, 0x2_1000, Reach::Trapped),
                (0x2_1000, 0x2_1140, Reach::Overlay),
                (0x2_1140, 0x3_0000, Reach::Trapped),
                (0x3_0000, 0x10_0000, Reach::Mapped),
            ]
        );
    }

    #[test]
    fn an_area_that_is_no_whole_page_traps() {
        let pieces = pieces(0x2000, std::slice::from_ref(&(0x800..0x1800)), None, 0x1000);
        assert_eq!(pieces, [Piece { range: 0..0x2000, reach: Reach::Trapped }]);
    }

    #[test]
    fn pages_that_must_trap_are_in_no_area() {
        let cut = |areas: &[Range<u64>], ranges: &[Range<u64>]| without(areas.to_vec(), ranges, 0x1000);
        let all = 0..0x8000;
        let cut_out = cut(std::slice::from_ref(&all), &[0x1008..0x1010, 0x2ff8..0x3008]);
        assert_eq!(cut_out, [0..0x1000, 0x4000..0x8000]);
        assert_eq!(cut(&[0x1000..0x2000, 0x3000..0x4000], std::slice::from_ref(&(0x2000..0x3000))).len(), 2);
        assert_eq!(cut(std::slice::from_ref(&(0x1000..0x2000)), std::slice::from_ref(&(0x1000..0x1010))), []);
    }

    fn areas() -> impl Strategy<Value = Vec<Range<u64>>> {
        prop::collection::vec((0u64..12, 0u64..12), 0..6).prop_map(|gaps| {
            let mut at = 0;
            let mut areas = Vec::new();
            for (gap, size) in gaps {
                let start: u64 = at + gap;
                at = (start + size).min(64);
                if start < at {
                    areas.push(start..at);
                }
            }
            areas
        })
    }

    proptest! {
        /// The same, told byte by byte, with pages of four bytes.
        #[test]
        fn every_byte_is_reached_as_the_model_says(areas in areas(), start in 0u64..64, length in 0u64..20) {
            let overlay = start..(start + length).min(64);
            let pieces = pieces(64, &areas, Some(overlay.clone()).filter(|range| !range.is_empty()), 4);
            let mut at = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.range.start, at, "no gap and no overlap");
                prop_assert!(piece.range.end > at);
                at = piece.range.end;
            }
            prop_assert_eq!(at, 64);
            for byte in 0..64 {
                let page = byte / 4 * 4..byte / 4 * 4 + 4;
                let listed = page.clone().all(|at| areas.iter().any(|area| area.contains(&at)));
                let covered = page.clone().any(|at| overlay.contains(&at));
                let expected = match overlay.contains(&byte) {
                    true => Reach::Overlay,
                    false if listed && !covered => Reach::Mapped,
                    false => Reach::Trapped,
                };
                let piece = pieces.iter().find(|piece| piece.range.contains(&byte)).unwrap();
                prop_assert_eq!(piece.reach, expected, "byte {}", byte);
            }
        }
    }
}
