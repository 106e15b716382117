use super::*;
use crate::silicon::traffic::Completion;

const CONTROL_2: u64 = DEVICE_DVSEC + 0x10;
const STATUS_2: u64 = DEVICE_DVSEC + 0x12;

const DISABLE_CACHING: u64 = 1;
const WRITE_BACK: u64 = 2;
const CXL_RESET: u64 = 4;
const MEM_CLEAR: u64 = 8;

/// Status 2: the reset is complete, or failed; power management is initialised; the cache is invalid.
const COMPLETE: u16 = 2;
const FAILED: u16 = 4;
const PM: u16 = 0x8000;
const INVALID: u16 = 1;

fn control_2(silicon: &mut Silicon, value: u64) -> Vec<Effect> {
    silicon.config_write(access(CONTROL_2, Width::Word), value)
}

fn status_2(silicon: &Silicon) -> u16 {
    silicon.config_read(access(STATUS_2, Width::Word)) as u16
}

fn first_byte(silicon: &Silicon) -> u64 {
    silicon.memory().read(access(0x1000, Width::Byte))
}

/// A device that software has used: every domain differs from power-on.
fn used(text: &str) -> Silicon {
    let mut silicon = silicon(text);
    silicon.config_write(access(0x04, Width::Word), 6);
    silicon.config_write(access(0x10c, Width::Dword), 0);
    silicon.bar_write(0, access(0x10, Width::Dword), 0xfee0_0000);
    silicon.config_write(access(CONTROL_2, Width::Word), DISABLE_CACHING | MEM_CLEAR);
    silicon.config_write(access(DEVICE_DVSEC + device::LOCK, Width::Word), 1);
    write_bar2(&mut silicon, ARRAY + 0x84, 0);
    silicon.memory().write_u64(0x1000, 7);
    silicon.accelerator().write_u64(0x40, 9);
    silicon
}

/// What is left of each domain: command, AER severity, a vector, DVSEC control and lock and range base, control 2,
/// global control, decoder base and control, RAS mask, memory, accelerator memory.
fn left(silicon: &Silicon) -> [u64; 12] {
    [
        u64::from(config(silicon, 0x04) & 0xffff),
        config(silicon, 0x10c).into(),
        silicon.bar_read(0, access(0x10, Width::Dword)),
        silicon.config().device_dvsec(device::CONTROL).into(),
        silicon.config().device_dvsec(device::LOCK).into(),
        config(silicon, 0x174).into(),
        silicon.config().device_dvsec(device::CONTROL_2).into(),
        bar2(silicon, HDM + 4).into(),
        u64::from(bar2(silicon, DECODER)) << 32 | u64::from(bar2(silicon, DECODER + 0x10)),
        bar2(silicon, ARRAY + 0x84).into(),
        first_byte(silicon),
        silicon.accelerator().read(access(0x40, Width::Byte)),
    ]
}

const LOCKED: u64 = 0x3000_0000_0000_0700;

/// The table of the reference, by hand, for a device that was used.
#[rstest]
#[case::before(None, [6, 0, 0xfee0_0000, 7, 1, 0x3000_0000, 9, 2, LOCKED, 0, 7, 9])]
#[case::function_level(Some(Reset::FunctionLevel), [0, 0, 0, 7, 1, 0x3000_0000, 9, 2, LOCKED, 0, 7, 9])]
#[case::cxl(Some(Reset::Cxl), [0, 0, 0, 7, 1, 0x3000_0000, 0, 0, 0, 0, 7, 9])]
#[case::conventional(Some(Reset::Conventional), [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 7, 9])]
#[case::cold(Some(Reset::Cold), [0, 0x46_2010, 0, 2, 0, 0, 0, 0, 0, 0x1_cfff, 0, 0])]
fn each_reset_leaves_what_the_table_says(#[case] reset: Option<Reset>, #[case] expected: [u64; 12]) {
    let mut silicon = used("");
    if let Some(reset) = reset {
        silicon.reset(reset);
    }
    assert_eq!(left(&silicon), expected);
}

#[test]
fn after_loss_of_power_and_the_hosts_start_the_device_is_as_new() {
    let mut silicon = used("[faults]\nhost_base_at = 0x40");
    silicon.reset(Reset::Cold);
    silicon.firmware_boots();
    let new = super::silicon("[faults]\nhost_base_at = 0x40");
    assert_eq!(left(&silicon), left(&new));
    let every = |silicon: &Silicon| (0..0x400).map(|at| config(silicon, 4 * at)).collect::<Vec<_>>();
    assert_eq!(every(&silicon), every(&new));
    let block = |silicon: &Silicon| (0..0x400).map(|at| bar2(silicon, ARRAY + 4 * at)).collect::<Vec<_>>();
    assert_eq!(block(&silicon), block(&new));
    assert_eq!(silicon.bar_read(2, access(0, Width::Qword)), ACCELERATOR_MAGIC);
    assert_eq!(silicon.bar_read(2, access(0x40, Width::Qword)), 0x48_3000_0000);
}

#[test]
fn a_cxl_reset_that_is_asked_for_happens_at_once_and_says_so() {
    let mut silicon = used("");
    assert_eq!(status_2(&silicon), PM | INVALID);
    assert_eq!(control_2(&mut silicon, DISABLE_CACHING | CXL_RESET), [Effect::CxlReset]);
    assert_eq!(left(&silicon), [0, 0, 0, 7, 1, 0x3000_0000, 0, 0, 0, 0, 7, 9]);
    assert_eq!(status_2(&silicon), PM | COMPLETE);
    assert_eq!(silicon.component().decoder_state(0), State::Open);
}

/// The enable of CXL.mem and the range base are kept, and the enable of the decoders is not.
#[test]
fn after_a_cxl_reset_the_range_of_the_dvsec_decodes() {
    let mut silicon = silicon("");
    control_2(&mut silicon, CXL_RESET);
    let host = silicon.profile().host_range().start();
    assert_eq!(silicon.dpa_of(host).map(|dpa| dpa.get()), Some(0));
    assert_eq!(bar2(&silicon, HDM + 4), 0);
}

#[test]
fn a_cxl_reset_that_is_not_offered_is_ignored() {
    let mut silicon = used("[dvsec]\ncxl_reset_capable = false");
    assert_eq!(control_2(&mut silicon, DISABLE_CACHING | CXL_RESET), []);
    assert_eq!(silicon.config().device_dvsec(device::CONTROL_2), 1);
    assert_eq!(silicon.component().decoder_state(0), State::Locked);
    assert_eq!(status_2(&silicon), PM | INVALID);
}

#[test]
fn a_cxl_reset_that_fails_says_so_and_the_next_one_begins_without_the_error() {
    let mut silicon = used("[faults]\ncxl_reset_fails = true");
    let before = left(&silicon);
    assert_eq!(control_2(&mut silicon, DISABLE_CACHING | MEM_CLEAR | CXL_RESET), [Effect::CxlReset]);
    assert_eq!(status_2(&silicon), PM | INVALID | FAILED);
    assert_eq!(left(&silicon), before, "nothing was reset");
    control_2(&mut silicon, CXL_RESET);
    assert_eq!(status_2(&silicon), PM | FAILED);
}

#[test]
fn that_a_cxl_reset_is_complete_outlives_other_writes_and_a_function_level_reset() {
    let mut silicon = used("");
    control_2(&mut silicon, CXL_RESET);
    control_2(&mut silicon, 0);
    silicon.config_write(access(STATUS_2, Width::Word), 0xffff);
    silicon.reset(Reset::FunctionLevel);
    assert_eq!(status_2(&silicon), PM | COMPLETE);
    silicon.reset(Reset::Conventional);
    assert_eq!(status_2(&silicon), PM);
}

#[rstest]
#[case::able_and_asked("[dvsec]\nmem_clear_capable = true", MEM_CLEAR, 0)]
#[case::able_and_not_asked("[dvsec]\nmem_clear_capable = true", 0, 7)]
#[case::asked_and_not_able("", MEM_CLEAR, 7)]
fn a_cxl_reset_clears_the_memory_when_able_and_asked(
    #[case] text: &str,
    #[case] asked: u64,
    #[case] left: u64,
) {
    let mut silicon = used(text);
    control_2(&mut silicon, asked | CXL_RESET);
    assert_eq!(first_byte(&silicon), left);
}

#[test]
fn clearing_heals_poison_and_loss_of_power_brings_it_back() {
    let mut silicon = silicon("[dvsec]\nmem_clear_capable = true\n[faults]\npoison_at = [0]");
    let host = silicon.profile().host_range().start();
    let read = |silicon: &Silicon| silicon.memory_read(host, &mut [0; 8]) == Completion::Data;
    assert!(!read(&silicon));
    control_2(&mut silicon, MEM_CLEAR | CXL_RESET);
    silicon.firmware_boots();
    assert!(read(&silicon));
    silicon.reset(Reset::Cold);
    silicon.firmware_boots();
    assert!(!read(&silicon));
}

#[test]
fn one_write_may_flush_the_cache_and_reset() {
    let mut silicon = used("");
    assert_eq!(control_2(&mut silicon, DISABLE_CACHING | WRITE_BACK | CXL_RESET), [Effect::CxlReset]);
    assert_eq!((status_2(&silicon), silicon.config().device_dvsec(device::CONTROL_2)), (PM | COMPLETE, 0));
}

#[test]
fn a_byte_write_beside_the_request_asks_for_nothing() {
    let mut silicon = used("");
    assert_eq!(silicon.config_write(access(CONTROL_2 + 1, Width::Byte), 0xff), []);
    assert_eq!(silicon.config_write(access(STATUS_2, Width::Word), 0xffff), []);
    assert_eq!(silicon.config_write(access(CONTROL_2, Width::Byte), CXL_RESET), [Effect::CxlReset]);
}

#[test]
fn shipped_silicon_keeps_its_decoders_and_drops_the_enable() {
    let mut silicon = used("[silicon]\ncxl_reset_keeps_decoders = true");
    control_2(&mut silicon, CXL_RESET);
    assert_eq!(left(&silicon), [0, 0, 0, 7, 1, 0x3000_0000, 0, 0, LOCKED, 0, 7, 9]);
    assert_eq!(silicon.component().decoder_state(0), State::Locked);
}

#[test]
fn the_erratum_loses_the_decoders_in_a_function_level_reset() {
    let mut silicon = used("[silicon]\nflr_disturbs_decoders = true");
    silicon.reset(Reset::FunctionLevel);
    assert_eq!(left(&silicon), [0, 0, 0, 7, 1, 0x3000_0000, 9, 0, 0, 0, 7, 9]);
}

#[test]
fn firmware_that_locks_the_configuration_turns_the_memory_on_before() {
    let mut silicon = silicon("[firmware]\nconfig_lock = \"after-mem-enable\"");
    assert_eq!(silicon.config().device_dvsec(device::LOCK), 1);
    silicon.config_write(access(DEVICE_DVSEC + device::CONTROL, Width::Word), 0);
    silicon.config_write(access(0x174, Width::Dword), 0x7000_0000);
    assert_eq!((silicon.config().device_dvsec(device::CONTROL), config(&silicon, 0x174)), (7, 0x3000_0000));
    control_2(&mut silicon, CXL_RESET);
    assert_eq!(
        (silicon.config().device_dvsec(device::CONTROL), silicon.config().device_dvsec(device::LOCK)),
        (7, 1)
    );
    silicon.reset(Reset::Conventional);
    assert_eq!(
        (silicon.config().device_dvsec(device::CONTROL), silicon.config().device_dvsec(device::LOCK)),
        (2, 0)
    );
}

#[test]
fn the_payload_size_and_the_clock_belong_to_the_link_and_outlive_a_function_level_reset() {
    let mut silicon = silicon("");
    silicon.config_write(access(0x48, Width::Word), 0x504f);
    silicon.config_write(access(0x50, Width::Word), 0x43);
    silicon.reset(Reset::FunctionLevel);
    assert_eq!((config(&silicon, 0x48) & 0xffff, config(&silicon, 0x50) & 0xffff), (0x2950, 0x43));
    silicon.reset(Reset::Conventional);
    assert_eq!((config(&silicon, 0x48) & 0xffff, config(&silicon, 0x50) & 0xffff), (0x2910, 0));
}

/// The life of status 2, told with two booleans and an option.
#[derive(Clone, Copy, Default)]
struct Model {
    disabled: bool,
    outcome: Option<bool>,
}

proptest! {
    #[test]
    fn any_sequence_of_requests_agrees_with_the_model(
        steps in prop::collection::vec((0u64..64, 0usize..9), 1..20), fails: bool,
    ) {
        let mut silicon = silicon(&format!("[faults]\ncxl_reset_fails = {fails}"));
        let mut model = Model::default();
        for (value, step) in steps {
            if let Some(reset) = Reset::ALL.get(step) {
                silicon.reset(*reset);
                model = match reset {
                    Reset::FunctionLevel => model,
                    Reset::Cxl => Model { disabled: false, ..model },
                    Reset::Conventional | Reset::Cold => Model::default(),
                };
            } else {
                control_2(&mut silicon, value);
                model.disabled = value & 1 == 1;
                if value & 4 == 4 {
                    model = Model { disabled: model.disabled && fails, outcome: Some(!fails) };
                }
            }
            let outcome = model.outcome.map_or(0, |done| if done { COMPLETE } else { FAILED });
            prop_assert_eq!(status_2(&silicon), PM | outcome | u16::from(model.disabled));
        }
    }
}
