use super::*;

const BACK_INVALIDATE: &str = "[memory]\ncoherency = \"hdm-db\"\n";
const BI: u64 = ARRAY + 0xe0;

#[rstest]
#[case::header(0x000, 0x0311_0001)]
#[case::third_entry(0x00c, 0x0e01_000c)]
#[case::bi_capability(0x0e0, 0)]
#[case::bi_enabled(0x0e4, 2)]
#[case::bi_status(0x0e8, 0)]
#[case::coherency_is_the_same(0x110, 0x0020_0000)]
#[case::committed_and_locked(0x130, 0x0000_2700)]
fn a_device_with_back_invalidate_reads_what_the_tables_print(#[case] offset: u64, #[case] value: u32) {
    assert_eq!(bar2(&silicon(BACK_INVALIDATE), ARRAY + offset), value, "at {offset:#x}");
}

#[test]
fn without_lock_the_committed_control_is_0x2600() {
    let silicon = silicon(&format!("{BACK_INVALIDATE}[firmware]\nlocked = false"));
    assert_eq!(bar2(&silicon, DECODER + hdm::CONTROL), 0x2600);
}

#[test]
fn back_invalidate_is_hard_wired_and_the_set_position_is_writable_with_it_only() {
    let mut with = silicon(&format!("{BACK_INVALIDATE}[firmware]\ncommitted = false"));
    assert_eq!(bar2(&with, BI + 4), 0);
    write_bar2(&mut with, DECODER + hdm::CONTROL, 0xffff_f0ff & !0x200);
    assert_eq!(bar2(&with, DECODER + hdm::CONTROL), 0x0f00_20ff);
    let mut without = silicon("[firmware]\ncommitted = false");
    write_bar2(&mut without, DECODER + hdm::CONTROL, 0xffff_f0ff & !0x200);
    assert_eq!(bar2(&without, DECODER + hdm::CONTROL), 0x0000_00ff);
}

#[test]
fn the_enable_is_all_that_can_be_written_and_a_cxl_reset_clears_it() {
    let mut silicon = silicon(BACK_INVALIDATE);
    for offset in [0, 4, 8] {
        write_bar2(&mut silicon, BI + offset, 0xffff_ffff);
    }
    assert_eq!([0, 4, 8].map(|offset| bar2(&silicon, BI + offset)), [0, 2, 0]);
    silicon.reset(Reset::FunctionLevel);
    assert_eq!(bar2(&silicon, BI + 4), 2);
    silicon.reset(Reset::Cxl);
    assert_eq!((bar2(&silicon, BI + 4), bar2(&silicon, DECODER + hdm::CONTROL)), (0, 0x2000));
}

#[test]
fn a_device_without_back_invalidate_has_nothing_at_its_place() {
    let mut silicon = silicon("");
    write_bar2(&mut silicon, BI + 4, 2);
    assert_eq!(bar2(&silicon, BI + 4), 0);
}

#[rstest]
#[case::bits_11_8("interleave_11_8", 0x0020_0100)]
#[case::bits_14_12("interleave_14_12", 0x0020_0200)]
#[case::poison("poison_on_decode_error", 0x0020_0400)]
#[case::three_way("three_way", 0x0020_0800)]
#[case::sixteen_way("sixteen_way", 0x0020_1000)]
fn what_the_decoders_can_do_has_its_printed_bit(#[case] ability: &str, #[case] capability: u32) {
    assert_eq!(bar2(&silicon(&format!("[decoder]\n{ability} = true")), HDM), capability);
}

/// Two ways of 256 bytes, locked: a device that can interleave there, and one that cannot.
#[rstest]
#[case::able("interleave_11_8 = true", 0x710)]
#[case::unable("interleave_14_12 = true", 0xb10)]
fn a_locking_commit_needs_the_ability_to_interleave_so(#[case] ability: &str, #[case] control: u32) {
    let mut silicon = silicon(&format!("[firmware]\ncommitted = false\n[decoder]\n{ability}"));
    write_bar2(&mut silicon, DECODER + hdm::SIZE_LOW, 0x1000_0000);
    write_bar2(&mut silicon, DECODER + hdm::CONTROL, 0x310);
    assert_eq!(bar2(&silicon, DECODER + hdm::CONTROL), control);
}

#[test]
fn a_locking_commit_beyond_the_memory_is_refused() {
    let mut silicon = silicon("[firmware]\ncommitted = false");
    write_bar2(&mut silicon, DECODER + hdm::SIZE_LOW, 0x2000_0000);
    let refused = Event::Refused(decoder::Refusal::BeyondMemory);
    let effects = write_bar2(&mut silicon, DECODER + hdm::CONTROL, 0x300);
    assert_eq!(effects, [Effect::Decoder { index: 0, event: refused }]);
}
