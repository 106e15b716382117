extern crate std;

use std::format;
use std::string::String;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::chain::Chain;
use crate::info::DeviceFlags;
use crate::info::RegionFlags;

/// Typed by hand from the worked example: BAR 2, committed and cache capable, registers at 0x21000, regions 9, 10.
const V2: [u8; 24] = [2, 0, 0, 0, 3, 0, 0, 0, 0, 0x10, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0];

/// The same device in June: committed, memory 10, registers 9, BAR 2, a block of 0x10000 at 0x20000.
#[rustfmt::skip]
const V3: [u8; 40] = [
    1, 0, 0, 0, 10, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
];

/// The same device in the newest shape: BAR 2, decoders at 0x21110.
const NEXT: [u8; 16] = [2, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 2, 0, 0, 0, 0, 0];

/// The second RFC's: one decoder, registers in BAR 2, 0x30 bytes of them at 0x21110.
const DECEMBER: [u8; 24] = [1, 2, 0, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 2, 0, 0, 0, 0, 0];

/// The first RFC's: the same and the length of the memory.
#[rustfmt::skip]
const SEPTEMBER: [u8; 32] = [
    1, 2, 0, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0,
];

fn device(chain: Chain) -> DeviceInfo {
    DeviceInfo { flags: DeviceFlags::PCI | DEVICE_FLAG, num_regions: 11, num_irqs: 5, chain }
}

fn with_capability(data: &[u8]) -> DeviceInfo {
    device(Chain::new().with(6, 1, data))
}

fn region(index: u32, size: u64, chain: Chain) -> RegionInfo {
    RegionInfo { flags: RegionFlags::READ | RegionFlags::WRITE, index, size, offset: 0, chain }
}

/// A BAR of 1 MiB and two regions of the CXL type.
fn regions(memory: u32, registers: Option<(u32, Chain)>) -> Vec<RegionInfo> {
    let memory = region(memory, 1 << 28, Chain::new().with_region_type(0x8000_1e98, 1));
    let registers =
        registers.map(|(index, chain)| region(index, 0x140, chain.with_region_type(0x8000_1e98, 2)));
    let all = [region(2, 1 << 20, Chain::new()), region(7, 0x1000, Chain::new()), memory];
    all.into_iter().chain(registers).collect()
}

/// A device of each revision.
fn speaking(revision: Revision) -> (DeviceInfo, Vec<RegionInfo>) {
    match revision {
        Revision::V2 => (with_capability(&V2), regions(9, Some((10, Chain::new())))),
        Revision::V3 => (with_capability(&V3), regions(10, Some((9, Chain::new())))),
        Revision::Next => (device(Chain::new()), regions(9, Some((10, Chain::new().with(6, 1, &NEXT))))),
    }
}

fn described(revision: Revision) -> Description {
    let (info, regions) = speaking(revision);
    describe(&info, &regions, None).unwrap().unwrap()
}

/// The error for a device of a revision that was changed.
fn error(revision: Revision, change: impl FnOnce(&mut DeviceInfo, &mut Vec<RegionInfo>)) -> String {
    let (mut info, mut regions) = speaking(revision);
    change(&mut info, &mut regions);
    describe(&info, &regions, None).unwrap_err().to_string()
}

#[test]
fn one_device_is_known_for_itself_in_every_revision() {
    let of = |revision| {
        let found = described(revision);
        assert_eq!((found.revision, found.bar), (revision, 2));
        (found.offset, found.extent, found.memory, found.registers, found.programmable)
    };
    assert_eq!(of(Revision::V2), (0x2_1000, Extent::ArrayAndDecoders, 9, 10, true));
    assert_eq!(of(Revision::V3), (0x2_0000, Extent::Block, 10, 9, false));
    assert_eq!(of(Revision::Next), (0x2_1110, Extent::Decoders, 9, 10, false));
}

#[test]
fn what_a_revision_does_not_tell_is_not_made_up() {
    let of = |revision| (described(revision).committed, described(revision).cache_capable);
    let flag = |name| Committed::Flag { name, set: true };
    assert_eq!(of(Revision::V2), (flag("FIRMWARE_COMMITTED"), Some(true)));
    assert_eq!(of(Revision::V3), (flag("HOST_FIRMWARE_COMMITTED"), None));
    assert_eq!(of(Revision::Next), (Committed::Decoder, None));
}

#[test]
fn a_flag_that_is_clear_is_told_as_clear() {
    let mut data = V2;
    data[4] = 0;
    let (_, regions) = speaking(Revision::V2);
    let found = describe(&with_capability(&data), &regions, None).unwrap().unwrap();
    assert_eq!(found.committed, Committed::Flag { name: "FIRMWARE_COMMITTED", set: false });
    assert_eq!(found.cache_capable, Some(false));
}

#[test]
fn a_device_without_the_flag_is_not_described() {
    for revision in Revision::ALL {
        let (mut info, regions) = speaking(revision);
        info.flags -= DEVICE_FLAG;
        assert_eq!(describe(&info, &regions, Some(Revision::V2)), Ok(None));
    }
}

#[test]
fn the_revision_that_is_assumed_may_be_the_one_that_is_spoken_and_no_other() {
    for speaks in Revision::ALL {
        let (info, regions) = speaking(speaks);
        for assumed in Revision::ALL {
            let found = describe(&info, &regions, Some(assumed));
            match found {
                Ok(found) => assert!(speaks == assumed && found == Some(described(speaks))),
                Err(error) => {
                    let text = error.to_string();
                    let start = format!("the device speaks {speaks}, not {}: ", assumed.name());
                    assert!(speaks != assumed && text.starts_with(&start), "{text}");
                }
            }
        }
    }
}

#[rstest]
#[case(
    Revision::V3,
    Revision::V2,
    "the device speaks v3 (June 2026), not v2: length of device capability 6 = 0x30, v2 has 0x20"
)]
#[case(
    Revision::V2,
    Revision::V3,
    "the device speaks v2 (April 2026), not v3: length of device capability 6 = 0x20, v3 has 0x30"
)]
#[case(
    Revision::Next,
    Revision::V2,
    "the device speaks next, provisional, not v2: there is no device capability 6, v2 has 0x20"
)]
#[case(
    Revision::V2,
    Revision::Next,
    "the device speaks v2 (April 2026), not next: length of device capability 6 = 0x20, \
     next has no such capability"
)]
fn another_revision_is_named_with_what_gave_it_away(
    #[case] speaks: Revision,
    #[case] assumed: Revision,
    #[case] message: &str,
) {
    let (info, regions) = speaking(speaks);
    let error = describe(&info, &regions, Some(assumed)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

fn december() -> (DeviceInfo, Vec<RegionInfo>) {
    (with_capability(&DECEMBER), regions(9, None))
}

#[test]
fn the_second_rfc_is_told_from_v2_by_its_bytes() {
    let (info, regions) = december();
    let expected = "bytes 24 to 31 of device capability 6 = 0x21110: the capability is that of December 2025 \
                    (the second RFC), which this VMM does not speak";
    for assumed in [None, Some(Revision::V2), Some(Revision::Next)] {
        assert_eq!(describe(&info, &regions, assumed).unwrap_err().to_string(), expected);
    }
}

#[rstest]
#[case::no_decoders(|data: &mut [u8; 24]| data[0] = 0)]
#[case::no_such_bar(|data: &mut [u8; 24]| data[1] = 4)]
#[case::padding_that_is_not_empty(|data: &mut [u8; 24]| data[4] = 1)]
#[case::no_registers(|data: &mut [u8; 24]| data[8] = 0)]
#[case::registers_behind_their_bar(|data: &mut [u8; 24]| data[19] = 1)]
#[case::registers_at_an_odd_place(|data: &mut [u8; 24]| data[16] = 0x11)]
fn what_cannot_be_the_second_rfc_is_a_broken_v2(#[case] change: fn(&mut [u8; 24])) {
    let mut data = DECEMBER;
    change(&mut data);
    let error = describe(&with_capability(&data), &regions(9, None), None).unwrap_err();
    assert!(matches!(error, Undescribed::Field { field: "dpa_region_index", .. }), "{error}");
}

#[test]
fn a_v2_with_one_good_index_is_not_taken_for_the_second_rfc() {
    let mut data = DECEMBER;
    data[16..24].copy_from_slice(&[9, 0, 0, 0, 0, 0, 0, 0]);
    let error = describe(&with_capability(&data), &regions(9, None), None).unwrap_err();
    assert!(matches!(error, Undescribed::Field { field: "comp_regs_region_index", value: 0, .. }), "{error}");
}

#[test]
fn the_first_rfc_and_march_are_refused_by_their_names() {
    let refused = |data: &[u8]| {
        let found = describe(&with_capability(data), &regions(9, None), None);
        found.unwrap_err().to_string()
    };
    let mut march = SEPTEMBER;
    march[4] = 3;
    let expected = "length of device capability 6 = 0x28: the capability is that of ";
    let does_not = ", which this VMM does not speak";
    let first = "September 2024 (the first RFC) or of March 2026 (before v2)";
    assert_eq!(refused(&SEPTEMBER), format!("{expected}{first}{does_not}"));
    assert_eq!(refused(&march), format!("{expected}March 2026 (before v2){does_not}"));
    assert!(refused(&V3[..36]).contains("June 2026 (v3) as 32-bit x86 lays it out"));
    let other =
        "length of device capability 6 = 0x40: no revision of vfio-cxl has a capability of so many bytes";
    assert_eq!(refused(&[0; 56]), other);
    assert!(refused(&[]).starts_with("length of device capability 6 = 0x8: "));
}

fn patched<const N: usize>(mut data: [u8; N], at: usize, bytes: &[u8]) -> DeviceInfo {
    data[at..at + bytes.len()].copy_from_slice(bytes);
    with_capability(&data)
}

#[rstest]
#[case::another_version(Revision::V2, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    info.chain = Chain::new().with(6, 2, &V2);
}, "version of device capability 6 = 0x2: only 1 is known")]
#[case::no_memory(Revision::V2, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V2, 16, &[0xff; 4]);
}, "dpa_region_index = 0xffffffff: the device says that there is no such region")]
#[case::memory_in_a_bar(Revision::V2, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V2, 16, &[2]);
}, "dpa_region_index = 0x2: the region is one of those that every PCI device has")]
#[case::a_bar_that_is_a_region(Revision::V2, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V2, 0, &[9]);
}, "hdm_regs_bar_index = 0x9: there is no such BAR")]
#[case::indices_in_the_order_of_april(Revision::V3, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V3, 4, &[9, 0, 0, 0, 10]);
}, "hdm_region_idx = 0x9: the region's type capability does not say CXL and this subtype")]
#[case::registers_nowhere(Revision::V3, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V3, 8, &[77]);
}, "comp_reg_region_idx = 0x4d: the device has no region with this index")]
#[case::a_bar_that_is_not_there(Revision::V3, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V3, 12, &[2, 1]);
}, "comp_reg_bar = 0x102: there is no such BAR")]
#[case::a_short_block(Revision::V3, |info: &mut DeviceInfo, _: &mut Vec<RegionInfo>| {
    *info = patched(V3, 32, &[0, 0x10, 0]);
}, "comp_reg_size = 0x1000: a component block has 0x10000 bytes")]
#[case::no_regions(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions.truncate(2);
}, "the device has the CXL flag and no device capability 6")]
#[case::no_capability(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions[3].chain = Chain::new().with_region_type(0x8000_1e98, 2);
}, "the device has the CXL flag and no device capability 6")]
#[case::no_memory_region(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions.remove(2);
}, "the device has no region of the CXL type that is its memory (subtype 1)")]
#[case::two_memories(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions.push(RegionInfo { index: 11, ..regions[2].clone() });
}, "index of a CXL region = 0xb: another one has the same subtype")]
#[case::a_later_version(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions[3].chain = Chain::new().with(6, 2, &NEXT).with_region_type(0x8000_1e98, 2);
}, "version of region capability CXL_COMP_REGS = 0x2: only 1 is known")]
#[case::a_short_capability(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions[3].chain = Chain::new().with(6, 1, &NEXT[..8]).with_region_type(0x8000_1e98, 2);
}, "region info of region 10: CXL component registers capability: 0x8 bytes where 0x10 are needed")]
#[case::no_bar(Revision::Next, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions.remove(0);
}, "bar of CXL_COMP_REGS = 0x2: there is no such BAR")]
#[case::a_type_that_does_not_parse(Revision::V2, |_: &mut DeviceInfo, regions: &mut Vec<RegionInfo>| {
    regions[2].chain = Chain::new().with(2, 1, &[0; 4]);
}, "region info of region 9: region type capability: 0x4 bytes where 0x8 are needed")]
fn what_cannot_be_is_refused_by_field_and_value(
    #[case] revision: Revision,
    #[case] change: fn(&mut DeviceInfo, &mut Vec<RegionInfo>),
    #[case] message: &str,
) {
    let error = error(revision, change);
    assert!(error.starts_with(message), "{error}");
}

/// Chains of entries that are mostly about CXL, with any bytes in them.
fn chains() -> impl Strategy<Value = Chain> {
    let lengths = prop::sample::select(vec![0usize, 4, 8, 16, 24, 24, 32, 36, 40, 40, 48]);
    let bytes = prop_oneof![0u8..12, any::<u8>()];
    let data = (prop::collection::vec(bytes, 48), lengths).prop_map(|(mut bytes, length)| {
        bytes.truncate(length);
        bytes
    });
    let entry = (prop_oneof![Just(6u16), Just(2), any::<u16>()], 0u16..3, data);
    let typed = prop_oneof![Just(None), (1u32..4).prop_map(Some)];
    (typed, prop::collection::vec(entry, 0..3)).prop_map(|(subtype, entries)| {
        let chain =
            subtype.map_or_else(Chain::new, |subtype| Chain::new().with_region_type(0x8000_1e98, subtype));
        entries.iter().fold(chain, |chain, (id, version, data)| chain.with(*id, *version, data))
    })
}

proptest! {
    #[test]
    fn any_bytes_give_a_description_of_what_is_there_or_an_error(
        device_chain in chains(), regions in prop::collection::vec((0u32..14, any::<u32>(), chains()), 0..8)
    ) {
        let info = device(device_chain);
        let regions: Vec<_> =
            regions.into_iter().map(|(index, size, chain)| region(index, size.into(), chain)).collect();
        match describe(&info, &regions, None) {
            Ok(None) => prop_assert!(false, "the flag is set"),
            Ok(Some(found)) => {
                let of = |index: u32, subtype| {
                    regions.iter().any(|region| region.index == index && is_of(region, subtype))
                };
                prop_assert!(found.bar <= 5 && regions.iter().any(|one| one.index == u32::from(found.bar)));
                prop_assert!(of(found.memory, SUBTYPE_MEMORY) && of(found.registers, SUBTYPE_COMPONENT_REGISTERS));
                for assumed in Revision::ALL {
                    let again = describe(&info, &regions, Some(assumed));
                    prop_assert_eq!(again.is_ok(), assumed == found.revision);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// One byte of a good capability is another: the description is the same but for what the byte says, or none.
    #[test]
    fn one_wrong_byte_never_makes_one_revision_look_like_another(
        revision in prop::sample::select(Revision::ALL.to_vec()), at in 0usize..40, byte in any::<u8>()
    ) {
        let (mut info, mut regions) = speaking(revision);
        let chain = if revision == Revision::Next { &mut regions[3].chain } else { &mut info.chain };
        let mut entries = chain.entries().to_vec();
        let data = &mut entries[0].data;
        let at = at % data.len();
        data[at] = byte;
        *chain = entries.iter().fold(Chain::new(), |chain, one| chain.with(one.id, one.version, &one.data));
        if let Ok(found) = describe(&info, &regions, None) {
            prop_assert_eq!(found.map(|found| found.revision), Some(revision));
        }
    }
}
