//! Interrupts that are messages: who sends which, where to, and how many at a time.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use rstest::rstest;

use super::guest::COMMANDS;
use super::guest::Guest;
use crate::smmu::Effect;
use crate::smmu::Effects;
use crate::smmu::Features;
use crate::smmu::Operation;
use crate::smmu::effect::Interrupt;
use crate::smmu::effect::Message;
use crate::smmu::features::AddressSize;

const ILLEGAL: [u64; 2] = [0x7f, 0];

fn message(interrupt: Interrupt, address: u64, data: u32) -> Effect {
    Effect::Message(Message { interrupt, address: Gpa::new(address), data })
}

/// A guest whose interrupts are off, so that their messages can be set up.
fn quiet(features: Features) -> Guest {
    let mut guest = Guest::running(features);
    guest.write(0x50, 0);
    guest
}

fn synced(address: u64, data: u32) -> Vec<Effect> {
    vec![message(Interrupt::CommandSync, address, data)]
}

#[rstest]
#[case::with_its_data([0xdead_beef_0000_1046, 0x8765_4320], synced(0x8765_4320, 0xdead_beef))]
#[case::attributes_change_nothing([0x1_0fc0_1046, 0x1000], synced(0x1000, 1))]
#[case::bits_of_no_address([0x1046, 0xfff0_0000_0000_1003], synced(0x1000, 0))]
#[case::the_highest_address([0x1046, 0xffff_ffff_fffc], synced(0xffff_ffff_fffc, 0))]
#[case::without_an_address_by_wire([0xdead_beef_0000_1046, 3], vec![Effect::Interrupt(Interrupt::CommandSync)])]
#[case::without_a_signal_none([0xdead_beef_0000_0046, 0x1000], vec![])]
#[case::with_an_event_none([0xdead_beef_0000_2046, 0x1000], vec![])]
fn a_sync_sends_its_message(#[case] command: [u64; 2], #[case] effects: Vec<Effect>) {
    let mut guest = Guest::running(Features::default());
    assert_eq!(guest.command(command), effects);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (1, 0));
}

#[test]
fn bits_above_the_output_addresses_do_not_count() {
    let mut guest = Guest::running(Features { oas: AddressSize::Bits32, ..Features::default() });
    assert_eq!(guest.command([0x1046, 0x7_0000_1000]), [message(Interrupt::CommandSync, 0x1000, 0)]);
    assert_eq!(guest.command([0x1046, 0x7_0000_0000]), [Effect::Interrupt(Interrupt::CommandSync)]);
}

#[test]
fn without_messages_every_interrupt_comes_by_wire_and_the_registers_read_0() {
    let mut guest = quiet(Features { msi: false, ..Features::default() });
    assert_eq!(guest.read(0), 0x0d40_141a);
    for offset in [0x68, 0x6c, 0x70, 0x74, 0xb0, 0xb4, 0xb8, 0xbc] {
        guest.write(offset, u32::MAX);
        assert_eq!(guest.read(offset), 0, "{offset:#x}");
    }
    guest.write(0x50, 5);
    assert_eq!(guest.command([0x1046, 0x1000]), [Effect::Interrupt(Interrupt::CommandSync)]);
    assert_eq!(guest.command(ILLEGAL), [Effect::Interrupt(Interrupt::GlobalError)]);
}

#[rstest]
#[case::global_errors(0x68, 1)]
#[case::events(0xb0, 4)]
fn where_a_message_goes_can_be_written_only_while_its_interrupt_is_off(#[case] at: u64, #[case] switch: u32) {
    let mut guest = quiet(Features::default());
    guest.write64(at, u64::MAX);
    guest.write(at + 8, 0x8765_4321);
    guest.write(at + 12, u32::MAX);
    let seen = |guest: &Guest| [0, 4, 8, 12].map(|offset| guest.read(at + offset));
    let written = [0xffff_fffc, 0x000f_ffff, 0x8765_4321, 0x3f];
    assert_eq!(seen(&guest), written);
    guest.write(0x50, switch);
    guest.write64(at, 0x1000);
    guest.write64(at + 8, 0);
    assert_eq!(seen(&guest), written, "in use");
    guest.write(0x50, 5 & !switch);
    guest.write64(at, 0x1000);
    guest.write64(at + 8, 0x7);
    assert_eq!(seen(&guest), [0x1000, 0, 7, 0], "the other one's does not matter");
}

#[test]
fn a_global_error_and_an_event_send_their_messages() {
    let mut guest = quiet(Features::default());
    guest.write64(0x68, 0x8000_0040);
    guest.write(0x70, 0x11);
    guest.write64(0xb0, 0x8000_0080);
    guest.write(0xb8, 0x22);
    assert_eq!(guest.command(ILLEGAL), [], "it is off");
    guest.write(0x50, 5);
    assert_eq!(guest.write(0x64, 1), [message(Interrupt::GlobalError, 0x8000_0040, 0x11)]);
    let event = |guest: &mut Guest| {
        let fault = guest.smmu.translate(&guest.memory, 0, Iova::new(0), Operation::Read).unwrap_err();
        fault.effects.as_slice().to_vec()
    };
    assert_eq!(event(&mut guest), [message(Interrupt::EventQueue, 0x8000_0080, 0x22)]);
    assert_eq!(event(&mut guest), [], "the queue was not empty");
}

/// Queues `count` commands, which `words` tells by number, in a queue of 128, and has them consumed.
fn consumed(count: u64, words: impl Fn(u64) -> [u64; 2]) -> (Guest, Vec<Effects>) {
    let mut guest = Guest::new(Features::default());
    for number in 0..count {
        let [word0, word1] = words(number);
        guest.memory.store(COMMANDS + number * 16, word0);
        guest.memory.store(COMMANDS + number * 16 + 8, word1);
    }
    guest.write64(0x90, COMMANDS | 7);
    guest.write(0x50, 1);
    guest.write(0x98, count as u32);
    let on = Access::new(0x20, Width::Dword).unwrap();
    let mut effects = vec![guest.smmu.write(&guest.memory, on, 8)];
    while effects.last().unwrap().is_full() {
        effects.push(guest.smmu.go_on(&guest.memory));
    }
    (guest, effects)
}

#[test]
fn many_messages_come_in_several_goes_in_order_and_none_is_left_out() {
    // Every other one is the same.
    let of = |number: u64| (0x1000 + number % 2 * number * 8, number as u32 % 2);
    let (guest, effects) = consumed(100, |number| [u64::from(of(number).1) << 32 | 0x1046, of(number).0]);
    let lengths: Vec<_> = effects.iter().map(|effects| effects.as_slice().len()).collect();
    assert_eq!(lengths, [15, 15, 15, 15, 15, 15, 10]);
    let seen: Vec<_> = effects.iter().flat_map(|effects| effects.as_slice().to_vec()).collect();
    let expected: Vec<_> =
        (0..100).map(of).map(|(address, data)| message(Interrupt::CommandSync, address, data)).collect();
    assert_eq!(seen, expected);
    assert_eq!(guest.read(0x9c), 100);
}

#[test]
fn commands_wait_behind_messages_that_are_not_carried_out() {
    let (mut guest, _) = consumed(0, |_| [0, 0]);
    for number in 0..16 {
        guest.memory.store(COMMANDS + number * 16, 0x1046);
        guest.memory.store(COMMANDS + number * 16 + 8, 0x1000);
    }
    guest.memory.store(COMMANDS + 15 * 16, ILLEGAL[0]);
    assert_eq!(guest.write(0x98, 16).len(), 15);
    assert_eq!((guest.read(0x9c), guest.read(0x60)), (15, 0));
    let last = guest.smmu.go_on(&guest.memory);
    assert_eq!(last.as_slice(), [Effect::Interrupt(Interrupt::GlobalError)]);
    assert!(!last.is_full());
    assert_eq!(guest.smmu.go_on(&guest.memory).as_slice(), [], "it has stopped");
}

#[test]
fn all_kinds_of_effects_together_are_no_more_than_there_may_be() {
    let (_, effects) = consumed(90, |number| match number {
        0..70 => [0x03 | number << 32, 0],
        70 => [0x1046, 0],
        71..86 => [0x1046, 0x1000],
        _ => ILLEGAL,
    });
    assert!(effects.iter().all(|effects| effects.as_slice().len() <= Effects::MOST));
    let messages = effects[0].as_slice().iter().filter(|effect| matches!(effect, Effect::Message(_))).count();
    assert_eq!((effects.len(), messages), (2, 15));
    assert_eq!(effects[1].as_slice(), [Effect::Interrupt(Interrupt::GlobalError)]);
}
