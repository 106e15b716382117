use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::profile::Profile;
use crate::silicon::config::DEVICE_DVSEC;
use crate::silicon::decoder::State;

mod block;
mod broken;
mod coherent;
mod errors;
mod resets;

/// Offset in the component BAR of the capability array, of the HDM decoders and of decoder 0.
const ARRAY: u64 = 0x2_0000 + CACHEMEM_OFFSET;
const HDM: u64 = ARRAY + 0x110;
const DECODER: u64 = HDM + 0x10;

fn silicon(text: &str) -> Silicon {
    Silicon::power_on(Profile::parse("test", text).unwrap().check().unwrap()).unwrap()
}

fn access(offset: u64, width: Width) -> Access {
    Access::new(offset, width).unwrap()
}

fn config(silicon: &Silicon, offset: u64) -> u32 {
    silicon.config_read(access(offset, Width::Dword)) as u32
}

fn bar2(silicon: &Silicon, offset: u64) -> u32 {
    silicon.bar_read(2, access(offset, Width::Dword)) as u32
}

fn write_bar2(silicon: &mut Silicon, offset: u64, value: u32) -> Vec<Effect> {
    silicon.bar_write(2, access(offset, Width::Dword), value.into())
}

/// The bytes of the configuration space that are not 0, typed by hand from the printed tables.
#[rstest]
#[case::ids(0x00, 0xc7f2_1e98)]
#[case::command_and_status(0x04, 0x0010_0000)]
#[case::class_and_revision(0x08, 0x1200_0001)]
#[case::bar_0_64_bit(0x10, 0x0000_0004)]
#[case::bar_2_64_bit_prefetchable(0x18, 0x0000_000c)]
#[case::no_bar_4(0x20, 0)]
#[case::subsystem(0x2c, 0x0001_1e98)]
#[case::first_capability(0x34, 0x0000_0040)]
#[case::express_endpoint(0x40, 0x0002_8010)]
#[case::device_capabilities(0x44, 0x1000_8022)]
#[case::device_control(0x48, 0x0000_2910)]
#[case::link_capabilities(0x4c, 0x0040_0105)]
#[case::link_status(0x50, 0x0105_0000)]
#[case::msix_of_8_vectors(0x80, 0x0007_9011)]
#[case::msix_table(0x84, 0)]
#[case::msix_pending(0x88, 0x0000_8000)]
#[case::power(0x90, 0x0003_0001)]
#[case::power_control(0x94, 0x0000_0008)]
#[case::aer(0x100, 0x1502_0001)]
#[case::aer_mask(0x108, 0x0040_0000)]
#[case::aer_severity(0x10c, 0x0046_2010)]
#[case::aer_correctable_mask(0x114, 0x0000_e000)]
#[case::device_dvsec(0x150, 0x1901_0023)]
#[case::device_dvsec_revision_2(0x154, 0x03c2_1e98)]
#[case::device_dvsec_capability(0x158, 0xc2df_0000)]
#[case::device_dvsec_control(0x15c, 0x0000_0007)]
#[case::device_dvsec_status_2(0x160, 0x8000_0000)]
#[case::device_dvsec_capability_2(0x164, 0x0201_0000)]
#[case::range_1_size(0x16c, 0x1000_004b)]
#[case::range_1_base_high(0x170, 0x0000_0048)]
#[case::range_1_base_low(0x174, 0x3000_0000)]
#[case::gpf(0x190, 0x1a01_0023)]
#[case::gpf_header(0x194, 0x0100_1e98)]
#[case::gpf_id_and_duration(0x198, 0x0102_0005)]
#[case::flex_bus(0x1a0, 0x1c01_0023)]
#[case::flex_bus_header(0x1a4, 0x0202_1e98)]
#[case::flex_bus_id_and_capability(0x1a8, 0x0027_0007)]
#[case::flex_bus_control_and_status(0x1ac, 0x0027_0002)]
#[case::locator(0x1c0, 0x1e01_0023)]
#[case::locator_header(0x1c4, 0x0140_1e98)]
#[case::locator_id(0x1c8, 0x0000_0008)]
#[case::locator_entry(0x1cc, 0x0002_0102)]
#[case::function_map(0x1e0, 0x2101_0023)]
#[case::function_map_header(0x1e4, 0x02c0_1e98)]
#[case::function_map_id(0x1e8, 0x0000_0002)]
#[case::function_map_is_empty(0x1ec, 0)]
#[case::serial_number(0x210, 0x2201_0003)]
#[case::serial_number_low(0x214, 0x0000_0001)]
#[case::serial_number_high(0x218, 0x1e98_c7f2)]
#[case::ats(0x220, 0x2301_000f)]
#[case::ats_of_whole_pages(0x224, 0x0000_0020)]
#[case::doe_is_last(0x230, 0x0001_002e)]
fn the_configuration_space_reads_what_the_tables_print(#[case] offset: u64, #[case] value: u32) {
    assert_eq!(config(&silicon(""), offset), value, "at {offset:#x}");
}

#[rstest]
#[case::header(0x000, 0x0211_0001)]
#[case::ras(0x004, 0x0802_0002)]
#[case::hdm(0x008, 0x1101_0005)]
#[case::ras_mask(0x084, 0x0001_cfff)]
#[case::ras_severity(0x088, 0x0001_cfff)]
#[case::ras_correctable_mask(0x090, 0x0000_007f)]
#[case::ras_no_error(0x094, 0x0000_023f)]
#[case::hdm_capability(0x110, 0x0020_0000)]
#[case::hdm_enabled(0x114, 0x0000_0002)]
#[case::base_low(0x120, 0x3000_0000)]
#[case::base_high(0x124, 0x0000_0048)]
#[case::size_low(0x128, 0x1000_0000)]
#[case::size_high(0x12c, 0)]
#[case::control(0x130, 0x0000_0700)]
fn the_component_block_reads_what_the_tables_print(#[case] offset: u64, #[case] value: u32) {
    assert_eq!(bar2(&silicon(""), ARRAY + offset), value, "at {offset:#x}");
}

#[test]
fn a_bar_is_sized_by_writing_ones() {
    let mut silicon = silicon("");
    for offset in [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30] {
        silicon.config_write(access(offset, Width::Dword), 0xffff_ffff);
    }
    let sized = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30].map(|offset| config(&silicon, offset));
    assert_eq!(sized, [0xffff_0004, 0xffff_ffff, 0xfff0_000c, 0xffff_ffff, 0, 0, 0]);
}

#[test]
fn a_bar_above_4_gib_is_sized_in_its_upper_half() {
    let mut silicon = silicon("[component]\nbar_size = \"8GiB\"");
    for offset in [0x18, 0x1c] {
        silicon.config_write(access(offset, Width::Dword), 0xffff_ffff);
    }
    assert_eq!((config(&silicon, 0x18), config(&silicon, 0x1c)), (0x0000_000c, 0xffff_fffe));
}

#[test]
fn firmware_that_commits_without_lock_leaves_the_decoder_releasable() {
    let mut silicon = silicon("[firmware]\nlocked = false");
    assert_eq!(silicon.component().decoder_state(0), State::Committed);
    let effects = write_bar2(&mut silicon, DECODER + hdm::CONTROL, 0);
    assert_eq!(effects, [Effect::Decoder { index: 0, event: Event::Released }]);
    assert_eq!(silicon.component().decoder_state(0), State::Open);
}

#[test]
fn firmware_that_does_not_commit_leaves_everything_off() {
    let silicon = silicon("[firmware]\ncommitted = false");
    assert_eq!(silicon.component().decoder_state(0), State::Open);
    assert_eq!(bar2(&silicon, HDM + hdm::GLOBAL_CONTROL), 0);
    assert_eq!(config(&silicon, 0x15c), 0x0000_0002);
    assert_eq!(config(&silicon, 0x174), 0);
}

#[test]
fn a_locked_decoder_cannot_be_moved_or_released() {
    let mut silicon = silicon("");
    for offset in (0..0x20).step_by(4) {
        assert_eq!(write_bar2(&mut silicon, DECODER + offset, 0xffff_ffff), []);
        assert_eq!(write_bar2(&mut silicon, DECODER + offset, 0), []);
    }
    assert_eq!(silicon.component().decoder_state(0), State::Locked);
    assert_eq!(silicon.component().programming(0).base, silicon.profile().host_range().start());
}

#[test]
fn a_committed_decoder_keeps_its_range_until_it_is_released() {
    let mut silicon = silicon("[firmware]\nlocked = false");
    write_bar2(&mut silicon, DECODER + hdm::BASE_LOW, 0x7000_0000);
    assert_eq!(bar2(&silicon, DECODER + hdm::BASE_LOW), 0x3000_0000);
    write_bar2(&mut silicon, DECODER + hdm::CONTROL, 0);
    write_bar2(&mut silicon, DECODER + hdm::BASE_LOW, 0x7abc_def0);
    assert_eq!(bar2(&silicon, DECODER + hdm::BASE_LOW), 0x7000_0000);
}

#[test]
fn a_second_decoder_below_the_first_is_refused_when_locking() {
    let mut silicon = silicon("[decoder]\ncount = 2");
    let second = DECODER + hdm::DECODER_SIZE;
    write_bar2(&mut silicon, second + hdm::BASE_HIGH, 0x10);
    write_bar2(&mut silicon, second + hdm::SIZE_LOW, 0x1000_0000);
    let refused = Event::Refused(decoder::Refusal::BelowPrevious);
    let effects = write_bar2(&mut silicon, second + hdm::CONTROL, 0x300);
    assert_eq!(effects, [Effect::Decoder { index: 1, event: refused }]);
    assert_eq!(bar2(&silicon, second + hdm::CONTROL), 0xb00);
}

#[test]
fn a_qword_is_two_dwords() {
    let silicon = silicon("");
    assert_eq!(silicon.bar_read(2, access(DECODER, Width::Qword)), 0x48_3000_0000);
    assert_eq!(silicon.bar_read(2, access(ARRAY, Width::Qword)), 0x0802_0002_0211_0001);
}

#[test]
fn a_narrow_access_reaches_no_component_register() {
    let mut silicon = silicon("");
    assert_eq!(silicon.bar_read(2, access(ARRAY, Width::Word)), 0);
    silicon.bar_write(2, access(ARRAY + 0x84, Width::Byte), 0);
    assert_eq!(bar2(&silicon, ARRAY + 0x84), 0x1_cfff);
}

#[test]
fn what_no_capability_has_reads_zero_and_takes_nothing() {
    let mut silicon = silicon("");
    for offset in [0x2_0000, ARRAY + 0xc, ARRAY + 0xd8, ARRAY + 0x140, 0x2_f000] {
        assert_eq!(write_bar2(&mut silicon, offset, 0xffff_ffff), []);
        assert_eq!(bar2(&silicon, offset), 0, "at {offset:#x}");
    }
}

#[test]
fn around_the_block_there_is_plain_memory() {
    let mut silicon = silicon("");
    assert_eq!(silicon.bar_read(2, access(0, Width::Qword)), ACCELERATOR_MAGIC);
    silicon.bar_write(2, access(0x3_0000, Width::Byte), 0x5a);
    assert_eq!(silicon.accelerator().read(access(0x3_0000, Width::Byte)), 0x5a);
}

#[test]
fn behind_a_bar_there_is_nothing() {
    let mut silicon = silicon("");
    for (bar, offset) in [(2, 1 << 20), (0, 0x1_0000), (1, 0), (5, 0), (200, 0), (2, u64::MAX - 7)] {
        assert_eq!(silicon.bar_write(bar, access(offset, Width::Dword), 0xffff_ffff), []);
        assert_eq!(silicon.bar_read(bar, access(offset, Width::Dword)), 0);
    }
}

#[test]
fn every_vector_is_masked_after_reset_and_the_pending_bits_read_zero() {
    let silicon = silicon("");
    let control = |vector: u64| silicon.bar_read(0, access(16 * vector + 12, Width::Dword));
    assert_eq!((0..9).map(control).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(silicon.bar_read(0, access(0x8000, Width::Qword)), 0);
}

#[test]
fn a_vector_takes_address_and_data() {
    let mut silicon = silicon("");
    silicon.bar_write(0, access(0x10, Width::Qword), 0x1122_3344_5566_7788);
    silicon.bar_write(0, access(0x1c, Width::Dword), 0xffff_fffe);
    assert_eq!(silicon.bar_read(0, access(0x10, Width::Qword)), 0x1122_3344_5566_7788);
    assert_eq!(silicon.bar_read(0, access(0x1c, Width::Dword)), 0);
}

#[test]
fn asking_for_a_function_level_reset_is_an_effect_and_reads_zero() {
    let mut silicon = silicon("");
    let effects = silicon.config_write(access(0x48, Width::Word), 0xa910);
    assert_eq!(effects, [Effect::FunctionLevelReset]);
    assert_eq!(config(&silicon, 0x48) & 0xffff, 0x2910);
    assert_eq!(silicon.config_write(access(0x48, Width::Word), 0x2910), []);
}

#[test]
fn a_function_level_reset_clears_the_function_and_keeps_what_is_cxl() {
    let mut silicon = silicon("");
    silicon.config_write(access(0x04, Width::Word), 6);
    silicon.config_write(access(0x18, Width::Dword), 0x8000_0000);
    silicon.config_write(access(0x108, Width::Dword), 0);
    silicon.config_write(access(DEVICE_DVSEC + device::CONTROL, Width::Word), 2);
    silicon.bar_write(0, access(0x10, Width::Dword), 0xfee0_0000);
    silicon.memory().write_u64(0x1000, 7);
    silicon.function_level_reset();
    assert_eq!((config(&silicon, 0x04) & 0xffff, config(&silicon, 0x18)), (0, 0xc));
    assert_eq!(silicon.bar_read(0, access(0x10, Width::Dword)), 0);
    assert_eq!(config(&silicon, 0x108), 0, "the AER mask is sticky");
    assert_eq!(config(&silicon, 0x15c), 2, "a DVSEC is not touched");
    assert_eq!(silicon.component().decoder_state(0), State::Locked);
    assert_eq!(silicon.memory().read(access(0x1000, Width::Qword)), 7);
}

#[test]
fn the_configuration_lock_freezes_control_and_bases_but_not_control_2() {
    let mut silicon = silicon("");
    let write = |silicon: &mut Silicon, offset, value| {
        silicon.config_write(access(DEVICE_DVSEC + offset, Width::Word), value);
    };
    write(&mut silicon, device::LOCK, 0xffff);
    write(&mut silicon, device::LOCK, 0);
    assert_eq!(silicon.config().device_dvsec(device::LOCK), 1);
    write(&mut silicon, device::CONTROL, 0);
    assert_eq!(silicon.config().device_dvsec(device::CONTROL), 7);
    silicon.config_write(access(DEVICE_DVSEC + device::RANGE_1_BASE_LOW, Width::Dword), 0x7000_0000);
    assert_eq!(config(&silicon, 0x174), 0x3000_0000);
    write(&mut silicon, device::CONTROL_2, 1);
    assert_eq!(silicon.config().device_dvsec(device::CONTROL_2), 1);
}

#[test]
fn the_cache_is_invalid_while_caching_is_disabled() {
    let mut silicon = silicon("");
    let mut control_2 = |value| {
        silicon.config_write(access(DEVICE_DVSEC + device::CONTROL_2, Width::Word), value);
        (silicon.config().device_dvsec(device::CONTROL_2), silicon.config().device_dvsec(device::STATUS_2))
    };
    assert_eq!(control_2(3), (1, 0x8001));
    assert_eq!(control_2(0), (0, 0x8000));
}

#[test]
fn the_host_base_is_shown_among_the_accelerator_registers_on_request() {
    let silicon = silicon("[faults]\nhost_base_at = 0x40");
    assert_eq!(silicon.bar_read(2, access(0x40, Width::Qword)), 0x48_3000_0000);
}

#[test]
fn the_host_base_is_shown_in_bar_0_on_request() {
    let silicon = silicon("[faults]\nhost_base_in_bar0_at = 0xc000");
    let halves = [0xc000, 0xc004].map(|offset| silicon.bar_read(0, access(offset, Width::Dword)));
    assert_eq!(halves, [0x3000_0000, 0x48]);
    assert_eq!(silicon.bar_read(0, access(0xc008, Width::Dword)), 0);
}

#[test]
fn the_host_base_is_shown_in_the_component_block_on_request() {
    let silicon = silicon("[faults]\nhost_base_at = 0x2_8000");
    assert_eq!(silicon.bar_read(2, access(0x2_8000, Width::Qword)), 0x48_3000_0000);
    assert_eq!(bar2(&silicon, ARRAY), 0x0211_0001);
}

/// What shipped capabilities state must agree with their lists: every `next` leads to a header, and the last is 0.
#[test]
fn both_lists_of_capabilities_visit_every_part_and_end() {
    let silicon = silicon("");
    let mut plain = Vec::new();
    let mut at = u64::from(config(&silicon, 0x34) & 0xff);
    while at != 0 {
        plain.push((at, config(&silicon, at) & 0xff));
        at = u64::from(config(&silicon, at) >> 8 & 0xff);
    }
    assert_eq!(plain, [(0x40, 0x10), (0x80, 0x11), (0x90, 0x01)]);
    let mut extended = Vec::new();
    let mut at = 0x100;
    while at != 0 {
        let id = config(&silicon, at) & 0xffff;
        let dvsec = if id == 0x23 { config(&silicon, at + 8) & 0xffff } else { u32::MAX };
        extended.push((at, id, dvsec));
        at = u64::from(config(&silicon, at) >> 20);
    }
    let dvsecs = [(0x150, 0x23, 0), (0x190, 0x23, 5), (0x1a0, 0x23, 7), (0x1c0, 0x23, 8), (0x1e0, 0x23, 2)];
    let behind = [(0x210, 3, u32::MAX), (0x220, 0xf, u32::MAX), (0x230, 0x2e, u32::MAX)];
    assert_eq!(extended[0], (0x100, 1, u32::MAX));
    assert_eq!(extended[1..6], dvsecs);
    assert_eq!(extended[6..], behind);
}

proptest! {
    #[test]
    fn no_access_of_any_kind_panics_and_a_locked_decoder_stands_until_a_reset(
        accesses in prop::collection::vec((0u8..7, any::<u64>(), 0usize..4, any::<u64>()), 1..40)
    ) {
        let mut silicon = silicon("");
        for (bar, offset, width, value) in accesses {
            let width = Width::ALL[width];
            let within = |size: u64| access((offset % size) & !(width.bytes() - 1), width);
            for access in [within(1 << 21), within(0x3_0000), access(ARRAY + within(0x200).offset(), width)] {
                silicon.bar_write(bar, access, value);
                silicon.bar_read(bar, access);
            }
            if width <= Width::Dword {
                let effects = silicon.config_write(within(0x300), value);
                silicon.config_read(within(0x1000));
                if effects.contains(&Effect::CxlReset) {
                    prop_assert_eq!(silicon.component().decoder_state(0), State::Open);
                    return Ok(());
                }
            }
            prop_assert_eq!(silicon.component().decoder_state(0), State::Locked);
            prop_assert_eq!(silicon.component().programming(0).base.get(), 0x48_3000_0000);
        }
    }
}
