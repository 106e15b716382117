//! Guests that may do anything.

use proptest::prelude::*;

use crate::smmu::drive::STEP_BYTES;
use crate::smmu::drive::Tally;
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

/// What a guest like that of [`good`] may do next, most of it at places that its SMMU reads.
fn mischief() -> impl Strategy<Value = Vec<[u8; STEP_BYTES]>> {
    let places =
        vec![0u16, 8, 0x40, 0x48, 0x50, 0x800, 0x808, 0x1000, 0x1008, 0x1018, 0x1900, 0x1910, 0x1920];
    let iova = prop_oneof![4 => 0u64..0x4000, 1 => values()];
    let command = prop::sample::select(vec![0x03u64, 0x04, 0x05, 0x10, 0x11, 0x12, 0x46, 0x1046, 0x7f]);
    let one = prop_oneof![
        8 => (0u8..2, 0u16..2, iova).prop_map(|(writes, stream, iova)| step(3, writes, stream, iova)),
        4 => (prop::sample::select(places), values()).prop_map(|(at, value)| step(1, 0, at, value)),
        1 => (0u16..8, command).prop_map(|(index, command)| step(1, 0, 0x1900 + index * 16, command)),
        // CMDQ_PROD, EVENTQ_CONS, GERRORN, CR0.
        2 => (prop::sample::select(vec![9u8, 13, 5]), 0u64..16).prop_map(|(which, value)| step(0, which, 0, value)),
        1 => prop::sample::select(vec![0xdu64, 0xc, 5, 9]).prop_map(|value| step(0, 0, 0, value)),
        1 => (0u8..16, values()).prop_map(|(which, value)| step(0, which, 0, value)),
    ];
    prop::collection::vec(one, 1..48)
}

/// The bytes of a guest with an SMMU that is on: stream 0 is translated by two tables, of which the second maps the
/// page at 0x3000 as its first; the event queue has 8 entries.
fn good(tail: &[[u8; STEP_BYTES]]) -> Vec<u8> {
    let steps = [
        // STRTAB_BASE_CFG, EVENTQ_BASE.
        step(0, 7, 0, 1),
        step(0, 0x2b, 0, 0x1803),
        // CMDQ_BASE: 8 commands.
        step(0, 0x28, 0, 0x1903),
        // The entry of stream 0, and its context descriptor: 25 bits, 32-bit output.
        step(1, 0, 0, 0x4b),
        step(1, 0, 0x40, 0x6200_c000_0000 | 39),
        step(1, 0, 0x48, 0x800),
        // Two tables.
        step(1, 0, 0x800, 0x0003 | 0x1000),
        step(1, 0, 0x1000, 0x3c43),
        // CR0.
        step(0, 0, 0, 0xd),
    ];
    [&[0, 0x1f][..], &steps.concat(), &tail.concat()].concat()
}

#[test]
fn a_guest_that_keeps_to_the_rules_has_its_devices_translated() {
    let reads = |iova| step(3, 0, 0, iova);
    let tally = |tail: &[_]| hostile_guest(&good(tail));
    assert_eq!(tally(&[]), Tally::default());
    assert_eq!(tally(&[reads(0x234)]), Tally { translated: 1, ..Tally::default() });
    let refused = Tally { refused: 1, recorded: 1, ..Tally::default() };
    assert_eq!(tally(&[reads(0x200_0000)]), refused, "outside of 25 bits");
    // Stream 1 lies where the context descriptor is, which happens to say that it aborts.
    assert_eq!(tally(&[step(3, 0, 1, 0x234)]), Tally { recorded: 0, ..refused });
}

#[test]
fn no_bytes_are_no_guest() {
    assert_eq!(hostile_guest(&[]), Tally::default());
    assert_eq!(hostile_guest(&[0]), Tally::default());
}

proptest! {
    #[test]
    fn a_guest_that_may_do_anything_keeps_what_must_hold(head in any::<[u8; 2]>(), steps in steps()) {
        hostile_guest(&[&head[..], &steps].concat());
    }

    #[test]
    fn any_bytes_keep_what_must_hold(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
        hostile_guest(&bytes);
    }

    #[test]
    fn a_guest_that_goes_wrong_later_keeps_what_must_hold(sizes in any::<u8>(), steps in mischief()) {
        let mut bytes = good(&steps);
        bytes[1] = sizes;
        hostile_guest(&bytes);
    }
}
