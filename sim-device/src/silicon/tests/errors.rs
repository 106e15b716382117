use super::*;
use crate::profile::LinkError;
use crate::silicon::component::Header;

const RAS: u64 = ARRAY + 0x80;

fn inject(silicon: &mut Silicon, error: LinkError) -> Vec<Effect> {
    silicon.inject(RasError::with_sample_header(error))
}

/// AER uncorrectable and correctable status, the AER first-error pointer, and the device status.
fn reported(silicon: &Silicon) -> [u32; 4] {
    [config(silicon, 0x104), config(silicon, 0x110), config(silicon, 0x118), config(silicon, 0x48) >> 16]
}

#[test]
fn the_profiles_errors_are_there_at_power_on_oldest_first_and_nothing_is_reported() {
    let silicon =
        silicon("[faults]\nras_errors = [\"mem-data-ecc\", \"internal\", \"correctable-mem-poison\"]");
    let seen = [0x00, 0x0c, 0x14, 0x18, 0x1c, 0x54].map(|offset| bar2(&silicon, RAS + offset));
    assert_eq!(seen, [0x4080, 0x20, 0x207, 0xe000_0700, 0xe000_0701, 0xe000_070f]);
    assert_eq!(reported(&silicon), [0, 0, 0, 0]);
}

#[test]
fn a_masked_error_is_recorded_and_reported_to_nobody() {
    let mut silicon = silicon("");
    assert_eq!(inject(&mut silicon, LinkError::MemDataEcc), []);
    assert_eq!((bar2(&silicon, RAS), reported(&silicon)), (0x80, [0, 0, 0, 0]));
}

#[rstest]
#[case::fatal(0x80, Severity::Fatal, 4)]
#[case::non_fatal(0, Severity::NonFatal, 2)]
fn an_unmasked_error_is_an_internal_error_of_the_function(
    #[case] severities: u32,
    #[case] severity: Severity,
    #[case] device_status: u32,
) {
    let mut silicon = silicon("");
    write_bar2(&mut silicon, RAS + 0x04, 0);
    write_bar2(&mut silicon, RAS + 0x08, severities);
    assert_eq!(inject(&mut silicon, LinkError::MemDataEcc), [Effect::InternalError(severity)]);
    assert_eq!(reported(&silicon), [0x40_0000, 0, 0, device_status], "AER masks it: no pointer");
}

#[test]
fn an_unmasked_correctable_error_is_a_corrected_internal_error() {
    let mut silicon = silicon("");
    write_bar2(&mut silicon, RAS + 0x10, 0);
    let effects = inject(&mut silicon, LinkError::CorrectableCrcThreshold);
    assert_eq!(effects, [Effect::InternalError(Severity::Correctable)]);
    assert_eq!(reported(&silicon), [0, 0x4000, 0, 1]);
}

#[test]
fn where_aer_does_not_mask_internal_errors_its_pointer_names_them() {
    let mut silicon = silicon("");
    silicon.config_write(access(0x108, Width::Dword), 0);
    write_bar2(&mut silicon, RAS + 0x04, 0);
    inject(&mut silicon, LinkError::MemDataEcc);
    assert_eq!(reported(&silicon), [0x40_0000, 0, 22, 4]);
    silicon.config_write(access(0x104, Width::Dword), 0x40_0000);
    silicon.config_write(access(0x4a, Width::Word), 0xf);
    assert_eq!(reported(&silicon), [0, 0, 22, 0]);
}

#[test]
fn errors_outlive_every_reset_but_loss_of_power() {
    let header: Header = std::array::from_fn(|index| index as u32 + 1);
    for reset in Reset::ALL {
        let mut silicon = silicon("");
        write_bar2(&mut silicon, RAS + 0x04, 0);
        silicon.inject(RasError { error: LinkError::PoisonReceived, header });
        silicon.inject(RasError { error: LinkError::MemDataEcc, header });
        silicon.reset(reset);
        let seen = [0x00, 0x04, 0x14, 0x18, 0x54].map(|offset| bar2(&silicon, RAS + offset));
        if reset == Reset::Cold {
            assert_eq!(seen, [0, 0x1_cfff, 0x23f, 0, 0]);
            assert_eq!(reported(&silicon), [0, 0, 0, 0]);
        } else {
            assert_eq!(seen, [0x480, 0, 0x20a, 1, 16], "{reset:?}");
            assert_eq!(reported(&silicon), [0x40_0000, 0, 0, 0], "device status is not sticky");
        }
    }
}

#[test]
fn loss_of_power_brings_the_profiles_errors_back() {
    let mut silicon = silicon("[faults]\nras_errors = [\"ide-receive\"]");
    write_bar2(&mut silicon, RAS, 0xffff_ffff);
    silicon.reset(Reset::Conventional);
    assert_eq!(bar2(&silicon, RAS), 0);
    silicon.reset(Reset::Cold);
    assert_eq!(bar2(&silicon, RAS), 0x1_0000);
}
