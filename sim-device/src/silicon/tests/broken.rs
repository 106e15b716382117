use super::*;
use crate::silicon::decoder::Refusal;

/// A device whose decoder firmware left alone, and the control register after software committed it.
fn committed(text: &str, control: u32) -> (Silicon, Vec<Effect>, u32) {
    let mut silicon = silicon(&format!("[firmware]\ncommitted = false\n{text}"));
    write_bar2(&mut silicon, DECODER + hdm::SIZE_LOW, 0x1000_0000);
    let effects = write_bar2(&mut silicon, DECODER + hdm::CONTROL, control);
    let after = bar2(&silicon, DECODER + hdm::CONTROL);
    (silicon, effects, after)
}

#[test]
fn a_whole_device_commits() {
    assert_eq!(committed("", 0x200).2, 0x600);
    assert_eq!(committed("", 0x300).2, 0x700);
}

#[test]
fn a_commit_that_never_completes_sets_neither_bit_and_firmware_meets_it_too() {
    let fault = "[faults]\ncommit_never_completes = true";
    for control in [0x200, 0x300] {
        let (silicon, effects, after) = committed(fault, control);
        assert_eq!((effects, after), (vec![], control));
        assert_eq!(silicon.component().decoder_state(0), State::Committing);
    }
    assert_eq!(bar2(&silicon(fault), DECODER + hdm::CONTROL), 0x300);
}

#[test]
fn a_commit_that_is_refused_sets_the_error_and_firmware_meets_it_too() {
    let fault = "[faults]\ncommit_refused = true";
    for control in [0x200, 0x300] {
        let (_, effects, after) = committed(fault, control);
        assert_eq!(effects, [Effect::Decoder { index: 0, event: Event::Refused(Refusal::Broken) }]);
        assert_eq!(after, 0x800 | control);
    }
    assert_eq!(bar2(&silicon(fault), DECODER + hdm::CONTROL), 0xb00);
}

#[test]
fn an_array_of_garbage_means_nothing() {
    let silicon = silicon("[faults]\ncapability_array = \"garbage\"");
    let array = [0, 4, 8].map(|offset| bar2(&silicon, ARRAY + offset));
    assert_eq!(array, [!0x0211_0001, !0x0802_0002, !0x1101_0005]);
    assert_eq!(bar2(&silicon, HDM), 0x0020_0000, "the registers are where they were");
}

#[test]
fn an_array_that_counts_too_many_runs_into_the_capabilities() {
    let silicon = silicon("[faults]\ncapability_array = \"255-entries\"");
    assert_eq!(bar2(&silicon, ARRAY), 0xff11_0001);
    let entries: Vec<u32> = (1..=255).map(|index| bar2(&silicon, ARRAY + 4 * index)).collect();
    assert_eq!(entries[..3], [0x0802_0002, 0x1101_0005, 0]);
    assert_eq!(entries[0x84 / 4 - 1], 0x1_cfff, "the RAS mask is taken for an entry");
}

#[test]
fn a_pointer_outside_names_a_place_where_no_decoder_fits() {
    let silicon = silicon("[faults]\nhdm_pointer_outside = true");
    assert_eq!(bar2(&silicon, ARRAY + 8), 0xffc1_0005);
    assert_eq!(bar2(&silicon, ARRAY + 0xffc), 0);
}
