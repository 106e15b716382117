//! What Kani can prove of decoding: the way there and back, for all addresses.
//!
//! They are compiled by `cargo ci kani`, and carried out only where Kani is installed: `cargo kani -p sim-device`.

use arbitrary_int::u4;
use cxl_spec::address::Dpa;
use cxl_spec::address::Hpa;
use cxl_spec::component::hdm;

use super::Programming;
use super::decode::Mapping;
use super::decode::device_size;
use super::decode::to_dpa;

/// Host addresses have 52 bits, so no range ends behind this one.
const END: u64 = 1 << 52;

fn any_mapping() -> Mapping {
    let (ways, granularity): (u8, u8) = (kani::any(), kani::any());
    kani::assume(ways < 16 && granularity < 16);
    let (ways, granularity) = (u4::new(ways), u4::new(granularity));
    let (base, size, dpa_base): (u64, u64, u64) = (kani::any(), kani::any(), kani::any());
    kani::assume(base % hdm::GRANULE == 0 && size % hdm::GRANULE == 0 && dpa_base % hdm::GRANULE == 0);
    kani::assume(base < END && size <= END - base && dpa_base < END);
    let programming = Programming { base: Hpa::new(base), size, skip: 0, ways, granularity };
    Mapping { programming, dpa_base }
}

/// The granule of a device address is dealt to its position among the ways; this gives it back.
#[kani::proof]
fn there_and_back_is_where_one_was() {
    let mapping = any_mapping();
    let Programming { base, size, ways, granularity, .. } = mapping.programming;
    let Some(ways) = hdm::ways(ways).map(u64::from) else { return };
    kani::assume(granularity <= hdm::LARGEST_GRANULARITY);
    let granule = 256u64 << granularity.value();
    kani::assume(size % (ways * granule) == 0);
    let (offset, position): (u64, u64) = (kani::any(), kani::any());
    kani::assume(offset < device_size(mapping.programming) && position < ways);
    let within = offset % granule;
    let address = base.get() + (offset / granule * ways + position) * granule + within;
    assert_eq!(to_dpa(mapping, Hpa::new(address)), Some(Dpa::new(mapping.dpa_base + offset)));
}

/// Nothing panics, and what decodes is in the device's share of the range.
#[kani::proof]
fn what_decodes_is_inside_of_the_range_and_of_the_share() {
    let mapping = any_mapping();
    let address = Hpa::new(kani::any());
    let decoded = to_dpa(mapping, address);
    let inside = mapping.programming.range().is_some_and(|range| range.contains(address));
    assert!(inside || decoded.is_none());
    let ways = hdm::ways(mapping.programming.ways).map_or(1, u64::from);
    let whole = mapping.programming.size % (ways << 14) == 0;
    if let Some(decoded) = decoded.filter(|_| whole) {
        let offset = decoded.offset_from(Dpa::new(mapping.dpa_base));
        assert!(offset.is_some_and(|offset| offset < device_size(mapping.programming)));
    }
}

/// Codes that are reserved decode nothing.
#[kani::proof]
fn reserved_codes_decode_nothing() {
    let mapping = any_mapping();
    let Programming { ways, granularity, .. } = mapping.programming;
    kani::assume(hdm::ways(ways).is_none() || granularity > hdm::LARGEST_GRANULARITY);
    assert_eq!(to_dpa(mapping, Hpa::new(kani::any())), None);
}
