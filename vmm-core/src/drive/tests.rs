use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn reached(revision: u8, patches: &[[u8; 8]]) -> Reached {
    hostile_device(&[&[revision][..], &patches.concat()].concat())
}

#[test]
fn a_good_device_of_any_revision_runs_a_guest() {
    for revision in 0..3 {
        assert_eq!(reached(revision, &[]), Reached::Running);
    }
    assert_eq!(hostile_device(&[]), Reached::Running);
}

#[rstest]
// The number of regions, and the class of the array's header.
#[case::more_regions_than_can_be([0, 3, 8, 0, 0xff, 0xff, 0xff, 0xff], Reached::Nothing)]
// Region info of region 9: half of its size.
#[case::half_of_the_memory([5, 3, 16, 0, 0, 0, 0, 8], Reached::Discovered)]
// Region info of region 9: where it begins in its file, which is then too short to be trusted.
#[case::memory_behind_its_file([5, 3, 24, 0, 0, 0x10, 0, 0], Reached::Running)]
fn one_patch_stops_the_machine_where_it_should(#[case] patch: [u8; 8], #[case] expected: Reached) {
    for revision in 0..3 {
        assert_eq!(reached(revision, &[patch]), expected, "revision {revision}");
    }
}

/// Patches, most of them at places that are read and by numbers that are near what is right.
fn patches() -> impl Strategy<Value = Vec<[u8; 8]>> {
    let offsets = vec![
        0u16, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 0x100, 0x150, 0x154, 0x158, 0x200, 0x204, 0x20c, 0x110,
        0x114, 0x120, 0x128, 0x12c, 0x130, 0x1000, 0x1004, 0x1008, 0x1110, 0x1120, 0x1124, 0x1128, 0x1130,
    ];
    let at = prop_oneof![4 => prop::sample::select(offsets), 1 => any::<u16>()];
    let numbers = vec![
        0u32,
        1,
        2,
        4,
        5,
        8,
        9,
        10,
        0x20,
        0x30,
        0x700,
        0x1000,
        0x1110,
        0x1_0000,
        0x1000_0000,
        0x8000_0000,
        0x1101_0005,
        0xff11_0001,
        u32::MAX,
    ];
    let number = prop_oneof![3 => prop::sample::select(numbers), 1 => any::<u32>()];
    let patch = (0u8..9, 0u8..4, at, number).prop_map(|(what, count, at, number)| {
        let ([low, high], [a, b, c, d]) = (at.to_le_bytes(), number.to_le_bytes());
        [what, count, low, high, a, b, c, d]
    });
    prop::collection::vec(patch, 0..4)
}

proptest! {
    #[test]
    fn a_device_that_may_say_anything_keeps_what_must_hold(revision in 0u8..3, patches in patches()) {
        reached(revision, &patches);
    }

    #[test]
    fn any_bytes_keep_what_must_hold(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        hostile_device(&bytes);
    }
}
