use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn dword(offset: u64) -> Access {
    Access::new(offset, Width::Dword).unwrap()
}

fn read(apic: &mut IoApic, register: u32) -> u32 {
    apic.write(dword(0), register);
    apic.read(dword(0x10))
}

fn write(apic: &mut IoApic, register: u32, value: u32) -> Option<Message> {
    apic.write(dword(0), register);
    apic.write(dword(0x10), value)
}

/// Input 16 is sent as number 0x51 to processor 0.
fn level() -> IoApic {
    let mut apic = IoApic::default();
    assert_eq!(write(&mut apic, 0x30, 0x8051), None);
    apic
}

const SENT: Option<Message> = Some(Message { address: 0xfee0_0000, data: 0x51 });

#[rstest]
#[case::identification(0x00, 0, 0x0f00_0000)]
#[case::version_0x11_and_24_inputs(0x01, 0x0017_0011, 0)]
#[case::arbitration(0x02, 0, 0)]
#[case::nothing(0x03, 0, 0)]
#[case::first_entry_masked(0x10, 0x0001_0000, 0x0001_afff)]
#[case::first_destination(0x11, 0, 0xff00_0000)]
#[case::last_entry_masked(0x3e, 0x0001_0000, 0x0001_afff)]
#[case::last_destination(0x3f, 0, 0xff00_0000)]
#[case::behind_the_last(0x40, 0, 0)]
fn the_registers_read_as_the_data_sheet_says_and_take_what_they_may(
    #[case] register: u32,
    #[case] reset: u32,
    #[case] writable: u32,
) {
    let mut apic = IoApic::default();
    assert_eq!(read(&mut apic, register), reset);
    write(&mut apic, register, u32::MAX);
    assert_eq!(read(&mut apic, register), reset | writable);
    write(&mut apic, register, 0);
    assert_eq!(read(&mut apic, register), reset & !writable);
}

#[test]
fn nothing_but_the_two_dwords_is_there() {
    let mut apic = IoApic::default();
    apic.write(dword(0), 1);
    assert_eq!(apic.read(dword(0)), 1);
    for access in [dword(4), dword(0x14), dword(0x20), Access::new(0x10, Width::Byte).unwrap()] {
        assert_eq!((apic.write(access, 0x30), apic.read(access)), (None, 0), "{access:?}");
    }
    assert_eq!(apic.read(dword(0x10)), 0x0017_0011);
}

#[test]
fn a_level_is_sent_once_until_it_is_ended_and_again_while_it_is_held() {
    let mut apic = level();
    assert_eq!((apic.set_line(16, true), apic.set_line(16, true)), (SENT, None));
    assert_eq!(read(&mut apic, 0x30), 0xc051, "the remote IRR");
    assert_eq!((apic.ended(0x51), apic.ended(0x52)), (vec![16], vec![]));
    assert_eq!((apic.end(16), apic.set_line(16, false)), (SENT, None));
    assert_eq!((apic.end(16), read(&mut apic, 0x30)), (None, 0x8051));
}

#[test]
fn a_level_waits_for_its_mask_and_an_edge_does_not() {
    let mut apic = level();
    write(&mut apic, 0x30, 0x1_8051);
    assert_eq!(apic.set_line(16, true), None);
    assert_eq!(write(&mut apic, 0x30, 0x8051), SENT);
    let mut apic = IoApic::default();
    write(&mut apic, 0x30, 0x1_0051);
    assert_eq!(apic.set_line(16, true), None);
    assert_eq!(write(&mut apic, 0x30, 0x51), None, "it is lost");
    assert_eq!((apic.set_line(16, true), apic.set_line(16, false)), (None, None));
    assert_eq!((apic.set_line(16, true), read(&mut apic, 0x30)), (SENT, 0x51));
}

#[test]
fn a_message_has_the_entrys_destination_and_modes() {
    let mut apic = IoApic::default();
    write(&mut apic, 0x31, 0x0300_0000);
    write(&mut apic, 0x30, 0x8951);
    let expected = Message { address: 0xfee0_3004, data: 0x151 };
    assert_eq!(apic.set_line(16, true), Some(expected));
    assert_eq!((apic.set_line(24, true), apic.end(24)), (None, None), "there is no such input");
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Line(bool),
    Mask(bool),
    End,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![any::<bool>().prop_map(Event::Line), any::<bool>().prop_map(Event::Mask), Just(Event::End)]
}

proptest! {
    /// The same with two counters: a level is in service from when it is sent to when it is ended, and is sent as
    /// soon as it is asserted, open and not in service.
    #[test]
    fn a_level_is_in_service_or_waits_as_a_small_model_says(events in prop::collection::vec(event(), 0..60)) {
        let mut apic = level();
        let (mut asserted, mut open, mut begun, mut over) = (false, true, 0, 0);
        for event in events {
            let sent = match event {
                Event::Line(line) => {
                    asserted = line;
                    apic.set_line(16, line)
                }
                Event::Mask(masked) => {
                    open = !masked;
                    write(&mut apic, 0x30, 0x8051 | u32::from(masked) << 16)
                }
                Event::End => {
                    over = begun;
                    apic.end(16)
                }
            };
            let sends = asserted && open && begun == over;
            begun += u32::from(sends);
            prop_assert_eq!(sent.is_some(), sends);
            prop_assert_eq!(read(&mut apic, 0x30) & 0x4000 != 0, begun > over);
        }
    }
}
