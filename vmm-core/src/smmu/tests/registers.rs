//! What the registers read, and when they can be written.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use rstest::rstest;

use super::guest::Guest;
use crate::smmu::Effect;
use crate::smmu::Features;
use crate::smmu::Reason;
use crate::smmu::Smmu;
use crate::smmu::effect::Invalidated;
use crate::smmu::effect::Range;
use crate::smmu::effect::Streams;
use crate::smmu::features::AddressSize;
use crate::smmu::register;

const EVERYTHING: Effect = Effect::Invalidated(Invalidated { streams: Streams::All, range: Range::All });

#[test]
fn the_identification_is_what_the_specification_prints() {
    let guest = Guest::new(Features::default());
    let read = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c].map(|offset| guest.read(offset));
    assert_eq!(read, [0x0d40_341a, 0x018c_0010, 0, 0, 0, 0x75, 0, 0]);
}

#[test]
fn without_ats_it_is_not_advertised() {
    let guest = Guest::new(Features { ats: false, ..Features::default() });
    assert_eq!(guest.read(0), 0x0d40_301a);
}

#[rstest]
#[case(AddressSize::Bits32, 0x70)]
#[case(AddressSize::Bits36, 0x71)]
#[case(AddressSize::Bits40, 0x72)]
#[case(AddressSize::Bits42, 0x73)]
#[case(AddressSize::Bits44, 0x74)]
#[case(AddressSize::Bits48, 0x75)]
fn the_size_of_output_addresses_can_be_chosen(#[case] oas: AddressSize, #[case] idr5: u32) {
    assert_eq!(Guest::new(Features { oas, ..Features::default() }).read(0x14), idr5);
}

#[test]
fn sizes_that_are_too_much_are_cut() {
    let most = Features {
        stream_bits: arbitrary_int::u6::new(63),
        command_queue: arbitrary_int::u5::new(31),
        event_queue: arbitrary_int::u5::new(31),
        ..Features::default()
    };
    assert_eq!(Guest::new(most).read(4), 32 | 19 << 16 | 19 << 21);
}

#[test]
fn what_is_switched_is_acknowledged_at_once() {
    let mut guest = Guest::new(Features::default());
    guest.write(0x20, 0x1c);
    assert_eq!((guest.read(0x20), guest.read(0x24)), (0x1c, 0x1c));
    guest.write(0x50, 5);
    assert_eq!((guest.read(0x50), guest.read(0x54)), (5, 5));
    guest.write(0x24, 0);
    guest.write(0x54, 0);
    assert_eq!((guest.read(0x20), guest.read(0x50)), (0x1c, 5), "an acknowledgement cannot be written");
}

#[test]
fn what_is_not_offered_cannot_be_switched_on() {
    let mut guest = Guest::new(Features::default());
    for (offset, all) in [(0x20, 0x1d), (0x28, 0xfff), (0x2c, 6), (0x50, 5), (0x88, 0x3_07ff)] {
        let mut guest = Guest::new(Features::default());
        guest.write(offset, u32::MAX);
        assert_eq!(guest.read(offset), all, "offset {offset:#x}");
    }
    guest.write64(0x80, u64::MAX);
    guest.write64(0x90, u64::MAX);
    let read = |offset| guest.smmu.read(Access::new(offset, Width::Qword).unwrap());
    assert_eq!(read(0x80), 0x400f_ffff_ffff_ffc0);
    assert_eq!(read(0x90), 0x400f_ffff_ffff_ffff);
}

#[rstest]
#[case::stream_table(0x80, 1)]
#[case::stream_table_high(0x84, 1)]
#[case::stream_table_config(0x88, 1)]
#[case::control_2(0x2c, 1)]
#[case::commands(0x90, 8)]
#[case::commands_high(0x94, 8)]
#[case::command_cons(0x9c, 8)]
#[case::events(0xa0, 4)]
#[case::event_prod(0x1_00a8, 4)]
fn what_is_in_use_cannot_be_written_and_what_is_not_can(#[case] offset: u64, #[case] switch: u32) {
    let mut guest = Guest::new(Features::default());
    guest.write(0x20, switch);
    guest.write(offset, 0x42);
    assert_eq!(guest.read(offset), 0, "in use");
    guest.write(0x20, 0xd & !switch);
    guest.write(offset, 0x42);
    assert_eq!(guest.read(offset) & 0x42, guest.read(offset));
    assert_ne!(guest.read(offset), 0, "not in use");
}

#[test]
fn attributes_of_queues_and_tables_are_frozen_each_by_what_uses_them() {
    let mut guest = Guest::new(Features::default());
    guest.write(0x20, 1);
    guest.write(0x28, 0xfff);
    assert_eq!(guest.read(0x28), 0x03f);
    for queue in [8, 4] {
        guest.write(0x20, queue);
        guest.write(0x28, 0xfc0);
        assert_eq!(guest.read(0x28), 0xfff);
    }
}

#[test]
fn the_halves_of_a_long_register_are_its_dwords() {
    let mut guest = Guest::new(Features::default());
    guest.write(0x80, 0x8765_4340);
    guest.write(0x84, 0x0001_2345);
    assert_eq!(guest.smmu.read(Access::new(0x80, Width::Qword).unwrap()), 0x0001_2345_8765_4340);
    guest.write64(0x80, 0x0000_4321_1234_5640);
    assert_eq!((guest.read(0x80), guest.read(0x84)), (0x1234_5640, 0x4321));
}

#[test]
fn bytes_and_words_are_not_registers() {
    let mut guest = Guest::new(Features::default());
    guest.write_as(Width::Word, 0x20, 0xffff);
    guest.write_as(Width::Byte, 0x20, 0xff);
    assert_eq!(guest.read(0x20), 0);
    assert_eq!(guest.smmu.read(Access::new(0, Width::Word).unwrap()), 0);
}

#[test]
fn page_0_has_no_indices_of_the_event_queue_and_nothing_is_past_the_registers() {
    let mut guest = Guest::new(Features::default());
    for offset in [0xa8, 0xac, 0xfe0, 0x1_0000, register::SIZE, !7] {
        guest.write(offset, u32::MAX);
        assert_eq!(guest.read(offset), 0, "offset {offset:#x}");
    }
}

#[test]
fn bypass_attributes_are_taken_with_update_and_not_without() {
    let mut guest = Guest::new(Features::default());
    assert_eq!(guest.read(0x44), 0x1000);
    assert_eq!(guest.write(0x44, 0x0010_0000), []);
    assert_eq!(guest.read(0x44), 0x1000);
    assert_eq!(guest.write(0x44, 0x8010_0000), [EVERYTHING]);
    assert_eq!(guest.read(0x44), 0x0010_0000, "and UPDATE reads 0");
}

#[test]
fn while_translation_is_off_accesses_go_through_or_are_aborted() {
    let oas = AddressSize::Bits32;
    let mut guest = Guest::new(Features { oas, ..Features::default() });
    guest.write(0x20, 4);
    assert_eq!(guest.read_at(9, 0x1234), Ok((0x1234, 0xffff_edcc)));
    assert_eq!(guest.read_at(9, 0x1_0000_0000), Err(Reason::AddressSize));
    guest.write(0x44, 0x8010_0000);
    assert_eq!(guest.read_at(9, 0x1234), Err(Reason::GlobalAbort));
    assert_eq!(guest.events(), 0, "nothing is recorded");
}

#[test]
fn switching_translation_changes_everything_and_switching_a_queue_does_not() {
    let mut guest = Guest::new(Features::default());
    assert_eq!(guest.write(0x20, 0xc), []);
    assert_eq!(guest.write(0x20, 0xd), [EVERYTHING]);
    assert_eq!(guest.write(0x20, 0xd), []);
    assert_eq!(guest.write(0x20, 0xc), [EVERYTHING]);
}

#[test]
fn after_reset_everything_is_as_in_the_beginning() {
    let mut guest = Guest::running(Features::default());
    guest.stream(3, [0b1001, 0]);
    guest.read_at(3, 0).unwrap();
    guest.smmu.reset();
    assert_eq!(guest.smmu, Smmu::new(Features::default()));
}
