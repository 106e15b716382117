//! Arbitrary steps, and desks that are broken on purpose.

use proptest::prelude::*;

use super::*;

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn file_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<u8>()).prop_map(|door| Step::Open { door }),
        (any::<u8>()).prop_map(|file| Step::Dup { file }),
        (any::<u8>()).prop_map(|file| Step::Close { file }),
        (any::<u8>()).prop_map(|way| Step::Usual { way }),
        (any::<u8>()).prop_map(|event| Step::Signal { event }),
    ]
}

fn call_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>(), bytes(12))
            .prop_map(|(file, call, length, at, words)| Step::Call { file, call, length, at, words }),
        // The usual length, where it should be, of small numbers: most of these are taken.
        4 => (any::<u8>(), 0u8..0x80, prop::collection::vec(0u8..8, 0..12))
            .prop_map(|(file, call, words)| Step::Call { file, call, length: 0xff, at: 0, words }),
        1 => (any::<u8>(), any::<u32>(), any::<u64>())
            .prop_map(|(file, number, argument)| Step::Any { file, number, argument }),
    ]
}

fn memory_step() -> impl Strategy<Value = Step> {
    let numbers = || (any::<u8>(), 0u8..8, any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    prop_oneof![
        numbers().prop_map(|(file, space, flags, iova, pages, memory)| Step::Map {
            file,
            space,
            flags,
            iova,
            pages,
            memory
        }),
        numbers().prop_map(|(file, space, flags, iova, pages, _)| Step::Unmap {
            file,
            space,
            flags,
            iova,
            pages
        }),
        (any::<u8>(), any::<[u8; 2]>(), 0u16..0x2000, any::<u8>())
            .prop_map(|(file, sides, length, control)| Step::Copy { file, sides, length, control }),
    ]
}

fn device_step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![Just(0x24u8), Just(0x21), Just(0x22), Just(0x14), any::<u8>()];
    prop_oneof![
        (any::<u8>(), flags, any::<u8>(), any::<u8>(), any::<u8>(), bytes(12)).prop_map(
            |(file, flags, index, start, count, data)| Step::Irqs { file, flags, index, start, count, data }
        ),
        (any::<u8>(), any::<u8>(), prop_oneof![0u64..0x3_0000, any::<u64>()], any::<u16>(), any::<u8>())
            .prop_map(|(file, region, offset, count, memory)| Step::Read {
                file,
                region,
                offset,
                count,
                memory
            }),
        (any::<u8>(), any::<u8>(), any::<u16>(), bytes(20))
            .prop_map(|(file, region, offset, data)| Step::Write { file, region, offset, data }),
        (any::<u8>(), any::<u8>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(file, region, offset, length, shared)| Step::MayMap { file, region, offset, length, shared }
        ),
        (any::<u8>(), prop_oneof![Just(4u8), Just(8), any::<u8>()], any::<u16>(), any::<u8>())
            .prop_map(|(file, flags, offset, event)| Step::Event { file, flags, offset, event }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![1 => file_step(), 3 => call_step(), 3 => memory_step(), 2 => device_step()]
}

proptest! {
    #[test]
    fn any_program_keeps_what_must_hold(way in any::<u8>(), steps in prop::collection::vec(step(), 0..40)) {
        run(&[Step::Usual { way }].into_iter().chain(steps).collect::<Vec<_>>());
    }
}
