use proptest::prelude::*;

use super::*;

fn step() -> impl Strategy<Value = Step> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 4),
        // Commit, release, lock; ones and zeros.
        prop::sample::select(&[0x100u32, 0x200, 0x300, 0x600, 0, u32::MAX][..])
            .prop_map(|value| value.to_le_bytes().to_vec()),
    ];
    prop_oneof![
        8 => (any::<u8>(), any::<u16>(), data).prop_map(|(place, offset, data)| Step::Write { place, offset, data }),
        4 => (any::<u8>(), any::<u16>(), any::<u8>())
            .prop_map(|(place, offset, count)| Step::Read { place, offset, count }),
        1 => Just(Step::Reset),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #[test]
    fn whatever_a_user_does_the_component_registers_keep_what_must_hold(
        kernel in 0u8..3,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        run(kernel, &steps);
    }

    #[test]
    fn where_vfio_cxl_adds_nothing_all_kernels_answer_alike(steps in prop::collection::vec(step(), 0..40)) {
        differ(&steps);
    }
}
