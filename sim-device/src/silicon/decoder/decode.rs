//! Which device address a host address is (CXL 3.2, 8.2.4.20.13), as pure functions.
//!
//! ```text
//!  decoder    0            1                     HPA = base + off
//!  DPA    ├──┬─────────┬──┬─────────┬───         off   ┌───────────┬─────┬────────┐
//!         skip  size/ways skip                         │   upper   │ way │ lower  │
//!                                                      └───────────┴─────┴────────┘
//!                                                DPA = DPA base + upper, lower      IG + 8 lower bits
//! ```
//!
//! A device does not look at the way bits: the ports above send it only what is its own. With 3, 6 and 12 ways the
//! upper part is divided by three.

use arbitrary_int::u4;
use cxl_spec::address::Dpa;
use cxl_spec::address::Hpa;
use cxl_spec::component::hdm;

use super::Programming;

/// Host addresses have 52 bits.
const HPA_BITS: u32 = 52;

/// A decoder that decodes, and where its part of the device's memory begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What it is programmed with.
    pub programming: Programming,
    /// First device address.
    pub dpa_base: u64,
}

/// The mappings of decoders that decode, in the order of their indices. A decoder whose part would begin past the
/// last address begins there: nothing is behind it.
pub fn mappings(active: impl IntoIterator<Item = Programming>) -> Vec<Mapping> {
    let mut next = 0u64;
    let map = |programming: Programming| {
        let dpa_base = next.saturating_add(programming.skip);
        next = dpa_base.saturating_add(device_size(programming));
        Mapping { programming, dpa_base }
    };
    active.into_iter().map(map).collect()
}

/// How much of the device's memory a decoder takes: its share of the range.
pub fn device_size(programming: Programming) -> u64 {
    let ways = hdm::ways(programming.ways).map_or(1, u64::from);
    programming.size / ways.max(1)
}

/// The device address that a mapping makes of a host address; nothing if it misses, or the codes are reserved.
pub fn to_dpa(mapping: Mapping, address: Hpa) -> Option<Dpa> {
    let Mapping { programming, dpa_base } = mapping;
    let off = programming.range()?.offset_of(address).filter(|_| address.get() >> HPA_BITS == 0)?;
    let lower = u32::from(lower_bits(programming.granularity)?);
    let ways = u32::from(programming.ways.value());
    let upper = match ways {
        0..=4 => off >> (lower + ways),
        8..=10 => (off >> (lower + ways - 8)) / 3,
        _ => return None,
    };
    dpa_base.checked_add((upper << lower) | (off & ((1 << lower) - 1))).map(Dpa::new)
}

/// How many low bits of an address stay below the way, unless the code is reserved.
pub fn lower_bits(granularity: u4) -> Option<u8> {
    (granularity <= hdm::LARGEST_GRANULARITY).then_some(granularity.value() + 8)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const BASE: u64 = 0x48_3000_0000;

    fn programming(size: u64, ways: u8, granularity: u8) -> Programming {
        let (ways, granularity) = (u4::new(ways), u4::new(granularity));
        Programming { base: Hpa::new(BASE), size, skip: 0, ways, granularity }
    }

    fn only(programming: Programming) -> Mapping {
        mappings([programming])[0]
    }

    /// The other way round, told without bits: granules are dealt to the ways like cards.
    fn to_hpa(mapping: Mapping, position: u64, dpa: u64) -> u64 {
        let ways = [1, 2, 4, 8, 16, 0, 0, 0, 3, 6, 12][usize::from(mapping.programming.ways.value())];
        let granule = 256 * 2u64.pow(mapping.programming.granularity.value().into());
        let (card, within) = ((dpa - mapping.dpa_base) / granule, (dpa - mapping.dpa_base) % granule);
        mapping.programming.base.get() + (card * ways + position) * granule + within
    }

    #[test]
    fn one_way_is_the_offset() {
        let mapping = only(programming(0x1000_0000, 0, 0));
        assert_eq!(to_dpa(mapping, Hpa::new(BASE)), Some(Dpa::new(0)));
        assert_eq!(to_dpa(mapping, Hpa::new(BASE + 0xfff_ffff)), Some(Dpa::new(0xfff_ffff)));
        assert_eq!(to_dpa(mapping, Hpa::new(BASE + 0x1000_0000)), None);
        assert_eq!(to_dpa(mapping, Hpa::new(BASE - 1)), None);
    }

    /// Typed by hand: two ways of 256 bytes leave out bit 8, four ways of 4 KiB bits 13:12.
    #[test]
    fn the_way_bits_are_left_out() {
        let two = only(programming(0x1000_0000, 1, 0));
        assert_eq!(to_dpa(two, Hpa::new(BASE + 0x2ff)), Some(Dpa::new(0x1ff)));
        assert_eq!(to_dpa(two, Hpa::new(BASE + 0x400)), Some(Dpa::new(0x200)));
        let four = only(programming(0x1000_0000, 2, 4));
        assert_eq!(to_dpa(four, Hpa::new(BASE + 0x4_3123)), Some(Dpa::new(0x1_0123)));
    }

    /// Typed by hand: three ways of 256 bytes divide by three, six ways of 512 bytes leave out bit 9 before.
    #[test]
    fn with_three_ways_the_upper_part_is_divided() {
        let three = only(programming(0x3000_0000, 8, 0));
        assert_eq!(to_dpa(three, Hpa::new(BASE + 0x345)), Some(Dpa::new(0x145)));
        assert_eq!(to_dpa(three, Hpa::new(BASE + 0x2fff_ffff)), Some(Dpa::new(0xfff_ffff)));
        let six = only(programming(0x3000_0000, 9, 1));
        assert_eq!(to_dpa(six, Hpa::new(BASE + 0xc05)), Some(Dpa::new(0x205)));
    }

    #[test]
    fn each_decoder_begins_where_the_one_before_ended_and_what_is_skipped() {
        let first = Programming { skip: 0x1000_0000, ..programming(0x2000_0000, 1, 0) };
        let second = Programming { base: Hpa::new(BASE + 0x2000_0000), skip: 0x3000_0000, ..first };
        let bases: Vec<u64> = mappings([first, second]).iter().map(|mapping| mapping.dpa_base).collect();
        assert_eq!(bases, [0x1000_0000, 0x5000_0000]);
    }

    #[test]
    fn reserved_codes_and_addresses_of_more_than_52_bits_decode_nothing() {
        for (ways, granularity) in [(5, 0), (7, 0), (11, 0), (15, 0), (0, 7), (0, 15)] {
            assert_eq!(to_dpa(only(programming(0x1000_0000, ways, granularity)), Hpa::new(BASE)), None);
        }
        let high = Programming { base: Hpa::new(1 << 52), ..programming(0x1000_0000, 0, 0) };
        assert_eq!(to_dpa(only(high), Hpa::new(1 << 52)), None);
    }

    #[test]
    fn what_cannot_be_added_is_no_address() {
        let far = Programming { skip: !(hdm::GRANULE - 1), ..programming(0x2000_0000, 0, 0) };
        assert_eq!(to_dpa(only(far), Hpa::new(BASE + 0x1000_0000)), None);
        assert_eq!(mappings([far, far])[1].dpa_base, u64::MAX);
    }

    /// The offsets of a share beside every power of two, every granule's end and its own end.
    fn boundaries(share: u64, granule: u64) -> Vec<u64> {
        let powers = (0..64).map(|power| 1u64 << power).chain([0, granule, 3 * granule, share]);
        let beside = powers.flat_map(|power| [power.saturating_sub(1), power, power.saturating_add(1)]);
        beside.filter(|offset| *offset < share).collect()
    }

    /// All codes of ways and of granularity, every position, ranges of one granule and of what 52 bits have.
    #[test]
    fn there_and_back_is_where_one_was_for_every_way_and_granularity_at_every_boundary() {
        for (code, granularity) in (0..16).flat_map(|ways| (0..16).map(move |code| (ways, code))) {
            let ways = [1, 2, 4, 8, 16, 0, 0, 0, 3, 6, 12, 0, 0, 0, 0, 0][usize::from(code)];
            for size in [1, 2, 3, 12, 48, 1 << 20].map(|granules| 3 * granules * hdm::GRANULE) {
                let mapping = only(programming(size, code, granularity));
                if ways == 0 || granularity > 6 {
                    assert_eq!(to_dpa(mapping, Hpa::new(BASE)), None, "{code} {granularity}");
                    continue;
                }
                let granule = 256 << granularity;
                for (dpa, position) in boundaries(size / ways, granule)
                    .into_iter()
                    .flat_map(|dpa| (0..ways).map(move |position| (dpa, position)))
                {
                    let hpa = to_hpa(mapping, position, dpa);
                    assert!((BASE..BASE + size).contains(&hpa), "{mapping:?} {position} {dpa:#x}");
                    assert_eq!(to_dpa(mapping, Hpa::new(hpa)), Some(Dpa::new(dpa)), "{mapping:?} {hpa:#x}");
                }
                assert_eq!(to_dpa(mapping, Hpa::new(BASE - 1)), None);
                assert_eq!(to_dpa(mapping, Hpa::new(BASE + size)), None);
            }
        }
    }

    /// The other way: each host address beside a boundary is a device address, and this and its position give it back.
    #[test]
    fn back_and_there_is_where_one_was_for_every_way_and_granularity_at_every_boundary() {
        for (code, ways) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (8, 3), (9, 6), (10, 12)] {
            for granularity in 0..7 {
                let (size, granule) = (48 * hdm::GRANULE, 256 << granularity);
                let mapping = only(programming(size, code, granularity));
                for offset in boundaries(size, granule) {
                    let dpa = to_dpa(mapping, Hpa::new(BASE + offset)).unwrap();
                    let position = offset / granule % ways;
                    assert_eq!(to_hpa(mapping, position, dpa.get()), BASE + offset, "{mapping:?}");
                }
            }
        }
    }

    fn legal_ways() -> impl Strategy<Value = u8> {
        prop::sample::select(vec![0u8, 1, 2, 3, 4, 8, 9, 10])
    }

    /// Offsets beside every power of two that there is room for.
    fn boundary() -> impl Strategy<Value = u64> {
        (0u32..30, 0u64..5)
            .prop_map(|(power, beside)| (1u64 << power).saturating_add(beside).saturating_sub(2))
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_one_was(
            ways in legal_ways(), granularity in 0u8..7, skips in 0u64..3, at in boundary(), position: u64,
        ) {
            let size = 12 * hdm::GRANULE;
            let programming =
                Programming { skip: skips * hdm::GRANULE, ..programming(size, ways, granularity) };
            let mapping = only(programming);
            let dpa = mapping.dpa_base + at % device_size(programming);
            let position = position % u64::from(hdm::ways(u4::new(ways)).unwrap());
            let hpa = to_hpa(mapping, position, dpa);
            prop_assert!(hpa < BASE + size);
            prop_assert_eq!(to_dpa(mapping, Hpa::new(hpa)), Some(Dpa::new(dpa)));
        }

        #[test]
        fn no_two_host_addresses_of_one_device_share_a_device_address(
            ways in legal_ways(), granularity in 0u8..7, offsets in prop::collection::vec(boundary(), 1..40),
            position: u64,
        ) {
            let first = programming(12 * hdm::GRANULE, ways, granularity);
            let second = Programming { base: Hpa::new(BASE + 12 * hdm::GRANULE), ..first };
            let position = position % u64::from(hdm::ways(u4::new(ways)).unwrap());
            let mut seen = HashMap::new();
            for mapping in mappings([first, second]) {
                for offset in &offsets {
                    let dpa = mapping.dpa_base + offset % device_size(first);
                    let hpa = to_hpa(mapping, position, dpa);
                    let decoded = to_dpa(mapping, Hpa::new(hpa)).unwrap();
                    prop_assert_eq!(*seen.entry(decoded).or_insert(hpa), hpa);
                }
            }
        }
    }
}
