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

proptest! {
    #[test]
    fn a_kernel_whose_mistakes_are_mended_keeps_what_must_hold_then(
        abi in prop::sample::select(&["v2", "v3"][..]),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        mended::run(&mended::profile(), abi, &[], &steps);
    }
}

/// What a search has found against this law: a write that ends in Device Control resets the function.
#[test]
fn a_write_that_resets_the_function_takes_what_was_written_before_it() {
    let write = |place, offset, data: &[u8]| Step::Write { place, offset, data: data.to_vec() };
    let steps = [write(156, 62441, &[0, 0, 0, 8]), write(15, 23623, &[0, 0, 128])];
    for abi in ["v2", "v3"] {
        mended::run(&mended::profile(), abi, &[], &steps);
    }
}
