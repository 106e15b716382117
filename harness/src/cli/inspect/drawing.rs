//! A device's regions as a drawing: what of each can be mapped, what traps, and where the component registers cover a
//! BAR.

use std::collections::BTreeSet;
use std::ops::Range;

use vfio_abi::info::RegionFlags;
use vfio_abi::info::region;
use vmm_core::discover::Inventory;
use vmm_core::discover::Region;

use super::region_name;
use crate::report::drawn;
use crate::report::paint::Paint;
use crate::report::story::Part;
use crate::report::story::Placed;
use crate::report::story::Reach;

/// The regions, each by itself.
pub(super) fn lines(inventory: &Inventory, paint: Paint) -> Vec<String> {
    let regions: Vec<_> = inventory.regions.iter().filter(|region| region.size > 0).collect();
    let drawn: Vec<_> = regions.into_iter().map(|region| placed(region, inventory)).collect();
    let legend = vec!["drawing".to_owned(), format!("  {}", drawn::legend(paint))];
    legend.into_iter().chain(drawn::each(&drawn, paint)).collect()
}

fn placed(found: &Region, inventory: &Inventory) -> Placed {
    let can_be_mapped = found.flags.contains(RegionFlags::MMAP) && found.mapping_is_safe;
    let mapped: Vec<_> = found
        .areas
        .iter()
        .filter(|_| can_be_mapped)
        .map(|area| area.offset..area.offset.saturating_add(area.size))
        .collect();
    let overlay = overlay(found.index, inventory);
    let parts = parts(found.size, &mapped, overlay.as_ref());
    let reach = match parts.as_slice() {
        [only] => only.reach,
        _ => Reach::Mixed,
    };
    Placed {
        name: format!("{}: {}", found.index, region_name(found.index, found.kind)),
        kind: "region".to_owned(),
        start: 0,
        size: found.size,
        reach,
        why: String::new(),
        parts: if parts.len() > 1 { parts } else { Vec::new() },
    }
}

/// What the component registers cover of a region, if it is the BAR that they are in.
fn overlay(index: u32, inventory: &Inventory) -> Option<Range<u64>> {
    let told = &inventory.cxl.as_ref()?.description;
    let size = inventory.region(told.registers)?.size;
    let covered = told.offset..told.offset.saturating_add(size);
    Some(covered).filter(|_| index == region::BAR0.saturating_add(told.bar.into()))
}

/// A region from its first byte to its last, cut where it begins to be something else.
fn parts(size: u64, mapped: &[Range<u64>], overlay: Option<&Range<u64>>) -> Vec<Part> {
    let edges = mapped.iter().chain(overlay).flat_map(|range| [range.start, range.end]);
    let edges: BTreeSet<_> = edges.chain([0]).filter(|edge| *edge < size).collect();
    let edges: Vec<_> = edges.into_iter().chain([size]).collect();
    let mut parts: Vec<Part> = Vec::new();
    for pair in edges.windows(2) {
        let [start, end] = *pair else { continue };
        let reach = match () {
            () if overlay.is_some_and(|range| range.contains(&start)) => Reach::Overlay,
            () if mapped.iter().any(|range| range.contains(&start)) => Reach::Maps,
            () => Reach::Traps,
        };
        let size = end.saturating_sub(start);
        match parts.last_mut().filter(|last| last.reach == reach) {
            Some(last) => last.size = last.size.saturating_add(size),
            None => {
                let name = if reach == Reach::Overlay { "COMP_REGS" } else { "" };
                parts.push(Part { name: name.to_owned(), offset: start, size, reach });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_cut_where_it_maps_where_it_traps_and_where_registers_cover_it() {
        let cut = |mapped: &[Range<u64>], overlay: Option<Range<u64>>| {
            let parts = parts(0x100, mapped, overlay.as_ref());
            parts.iter().map(|part| (part.offset, part.size, part.reach)).collect::<Vec<_>>()
        };
        let whole = 0..0x100;
        assert_eq!(cut(&[], None), [(0, 0x100, Reach::Traps)]);
        assert_eq!(cut(&[whole], None), [(0, 0x100, Reach::Maps)]);
        assert_eq!(
            cut(&[0..0x20, 0x20..0x40, 0x80..0x100], Some(0x50..0x54)),
            [
                (0x00, 0x40, Reach::Maps),
                (0x40, 0x10, Reach::Traps),
                (0x50, 0x04, Reach::Overlay),
                (0x54, 0x2c, Reach::Traps),
                (0x80, 0x80, Reach::Maps),
            ]
        );
        let beyond = 0x40..u64::MAX;
        assert_eq!(cut(&[beyond], None), [(0, 0x40, Reach::Traps), (0x40, 0xc0, Reach::Maps)]);
    }
}
