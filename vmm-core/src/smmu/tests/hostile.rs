//! Guests that may do anything.

use proptest::prelude::*;

use crate::smmu::drive::STEP_BYTES;
use crate::smmu::drive::hostile_guest;

fn step(what: u8, which: u8, at: u16, value: u64) -> [u8; STEP_BYTES] {
    let [low, high] = at.to_le_bytes();
    let mut step = [0; STEP_BYTES];
    step[..4].copy_from_slice(&[what, which, low, high]);
    step[4..].copy_from_slice(&value.to_le_bytes());
    step
}

/// Numbers that mean something: descriptors that lead to low addresses, entries that are valid, switches.
fn values() -> impl Strategy<Value = u64> {
    let page = 0u64..8;
    prop_oneof![
        4 => (page.clone(), prop::sample::select(vec![0x3u64, 0xc43, 0xc41, 0x443, 0x4c3, 0x9, 0xb, 0x1, 0x2, 0x7]))
            .prop_map(|(page, bits)| page << 12 | bits),
        2 => (page.clone(), 0u64..64).prop_map(|(page, low)| page << 6 | low),
        2 => (16u64..40, 0u64..4, any::<u16>()).prop_map(|(size, granule, flags)| {
            u64::from(flags & 0xf0) << 32 | 0x6205_8000_0000 | 1 << 30 | granule << 6 | size
        }),
        2 => 0u64..64,
        1 => any::<u32>().prop_map(u64::from),
        1 => any::<u64>(),
    ]
}

fn steps() -> impl Strategy<Value = Vec<u8>> {
    let one = (any::<u8>(), any::<u8>(), 0u16..0x400, values())
        .prop_map(|(what, which, at, value)| step(what, which & 0x3f, at, value));
    prop::collection::vec(one, 1..64).prop_map(|steps| steps.concat())
}

/// The bytes of a guest that has its SMMU on with a table of bypassing streams, and whose device reads.
fn good(tail: &[[u8; STEP_BYTES]]) -> Vec<u8> {
    let mut bytes = vec![5, 0x7f];
    // STRTAB_BASE_CFG, the entry of stream 0, CR0.
    for step in [step(0, 7, 0, 4), step(1, 0, 0, 9), step(0, 0, 0, 0xd)] {
        bytes.extend_from_slice(&step);
    }
    bytes.extend_from_slice(&tail.concat());
    bytes
}

#[test]
fn a_guest_that_keeps_to_the_rules_keeps_what_must_hold() {
    hostile_guest(&good(&[step(3, 0, 0, 0x1234), step(3, 1, 0, u64::MAX), step(3, 1, 0xffff, 0)]));
}

#[test]
fn no_bytes_are_no_guest() {
    hostile_guest(&[]);
    hostile_guest(&[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_guest_that_may_do_anything_keeps_what_must_hold(head in any::<[u8; 2]>(), steps in steps()) {
        hostile_guest(&[&head[..], &steps].concat());
    }

    #[test]
    fn any_bytes_keep_what_must_hold(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        hostile_guest(&bytes);
    }

    #[test]
    fn a_guest_that_goes_wrong_later_keeps_what_must_hold(steps in steps()) {
        let mut bytes = good(&[]);
        bytes.extend_from_slice(&steps);
        hostile_guest(&bytes);
    }
}
