use proptest::prelude::*;

use super::*;

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        any::<u64>(),
        Just(0),
        Just(u64::MAX),
        // What commits, releases and locks, and sizes that are one granule.
        prop::sample::select(&[0x100u64, 0x200, 0x300, 0x1000_0000, 0x10_0000_0300, 1, 2, 4][..]),
    ];
    prop_oneof![
        12 => (any::<u16>(), any::<u8>(), value)
            .prop_map(|(offset, width, value)| Step::Write { offset, width, value }),
        1 => any::<u8>().prop_map(Step::Reset),
        1 => any::<u8>().prop_map(Step::Error),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_the_laws_hold(
        area in prop::sample::select(&[Area::Config, Area::Component, Area::Decoders][..]),
        device in 0u8..4,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        run(area, device, &steps);
    }
}

#[test]
fn what_is_read_in_parts_is_the_whole_before_anything_is_done() {
    (0..DEVICES.len()).for_each(|device| run(Area::Config, device as u8, &[]));
}
