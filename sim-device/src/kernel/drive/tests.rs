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

/// A profile with every mistake mended.
fn all_mended() -> Profile {
    let mut profile = Profile::default();
    let kernel = &mut profile.kernel;
    kernel.guest_cxl_reset = true;
    kernel.status_2 = crate::profile::Status2Source::Merged;
    kernel.fixed_base_lost_in_reset = true;
    kernel.fixed_dvsec_widths = true;
    kernel.fixed_config_lock = true;
    kernel.fixed_partial_status_write = true;
    kernel.fixed_stale_shadow = true;
    kernel.fixed_locked_commit = true;
    profile
}

proptest! {
    #[test]
    fn a_kernel_whose_mistakes_are_mended_keeps_what_must_hold_then(
        abi in prop::sample::select(&["v2", "v3"][..]),
        steps in prop::collection::vec(step(), 0..30),
    ) {
        mended::run(&all_mended(), abi, &[], &steps);
    }
}
