//! Who receives messages where there is no KVM: one processor's local APIC, as far as it counts.
//!
//! A message is a write of 32 bits, and what it means is in its address and data (Intel SDM volume 3, 12.11):
//!
//! | bits           | what they say                                                         |
//! |----------------|-----------------------------------------------------------------------|
//! | address 31:20  | 0xfee: the write is an interrupt                                      |
//! | address 19:12  | for which processor: 0 is ours, 0xff are all                          |
//! | data 10:8      | how: 0 fixed and 1 lowest priority are interrupts that have a number  |
//! | data 7:0       | the number; below 32 are the processor's own exceptions               |
//!
//! What means nothing here is lost, as it is on a bus. Wires come by an [I/O APIC](IoApic): what it sends is taken as
//! any message is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cxl_spec::access::Access;

use super::Connection;
use super::IrqError;
use super::Message;
use super::Receiver;
use super::io_apic::IoApic;
use crate::backend::event::Event;
use crate::sync::Mutex;

/// A local APIC that counts.
#[derive(Clone, Debug, Default)]
pub struct SoftApic {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What is connected, by the number of the connection.
    connected: BTreeMap<u64, (Arc<Event>, Message)>,
    made: u64,
    /// The wires, by the number of the connection.
    wires: BTreeMap<u64, Wire>,
    io_apic: IoApic,
    /// The interrupts that wait to be taken.
    waiting: BTreeSet<u8>,
    /// How often each interrupt was taken.
    taken: BTreeMap<u8, u64>,
}

#[derive(Debug)]
struct Wire {
    input: u8,
    asserted: Arc<Event>,
    ended: Arc<Event>,
    /// It was told that the line is asserted, and the guest has not ended the interrupt.
    high: bool,
}

#[derive(Debug)]
struct Connected {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl SoftApic {
    /// Nothing was taken yet, and the I/O APIC is as after reset. Wires stay.
    pub(crate) fn reset(&self) {
        let mut state = self.state.lock();
        state.taken.clear();
        state.waiting.clear();
        state.io_apic = IoApic::default();
        state.drive_lines();
    }

    /// The guest takes each interrupt that waits, handles it, and ends it. What comes meanwhile waits. Whoever handles
    /// it says whether it counts.
    pub fn take(&self, mut handle: impl FnMut(u8) -> bool) {
        self.attend();
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        for number in waiting {
            let counts = handle(number);
            let mut state = self.state.lock();
            let taken = state.taken.entry(number).or_default();
            *taken = taken.saturating_add(counts.into());
            state.end(number);
        }
    }

    /// How often the guest has taken the interrupt with this number.
    pub fn taken(&self, number: u8) -> u64 {
        self.state.lock().taken.get(&number).copied().unwrap_or(0)
    }
}

impl State {
    fn number_connection(&mut self) -> u64 {
        let number = self.made;
        self.made = self.made.saturating_add(1);
        number
    }

    /// What comes while the same interrupt waits to be taken is one with it, as in an APIC.
    fn accept(&mut self, message: Option<Message>) {
        self.waiting.extend(message.and_then(number));
    }

    /// Each line is asserted while one of its wires is.
    fn drive_lines(&mut self) {
        for input in self.wires.values().map(|wire| wire.input).collect::<BTreeSet<_>>() {
            self.drive(input);
        }
    }

    fn drive(&mut self, input: u8) {
        let high = self.wires.values().any(|wire| wire.input == input && wire.high);
        let message = self.io_apic.set_line(input, high);
        self.accept(message);
    }

    /// The guest has ended an interrupt: the lines that it came from fall, and who holds them is told.
    fn end(&mut self, number: u8) {
        for input in self.io_apic.ended(number) {
            for wire in self.wires.values_mut().filter(|wire| wire.input == input && wire.high) {
                wire.high = false;
                wire.ended.signal();
            }
            self.drive(input);
            let message = self.io_apic.end(input);
            self.accept(message);
        }
    }
}

impl Receiver for SoftApic {
    fn connect(&self, event: &Arc<Event>, message: Message) -> Result<Box<dyn Connection>, IrqError> {
        let mut state = self.state.lock();
        let number = state.number_connection();
        state.connected.insert(number, (event.clone(), message));
        Ok(Box::new(Connected { state: self.state.clone(), number }))
    }

    fn wire(
        &self,
        input: u8,
        asserted: &Arc<Event>,
        ended: &Arc<Event>,
    ) -> Result<Box<dyn Connection>, IrqError> {
        let mut state = self.state.lock();
        let number = state.number_connection();
        let wire = Wire { input, asserted: asserted.clone(), ended: ended.clone(), high: false };
        state.wires.insert(number, wire);
        Ok(Box::new(Connected { state: self.state.clone(), number }))
    }

    fn attend(&self) {
        let mut state = self.state.lock();
        let signalled: Vec<_> =
            state.connected.values().filter(|(event, _)| event.take() > 0).cloned().collect();
        for (_, message) in signalled {
            state.accept(Some(message));
        }
        for wire in state.wires.values_mut() {
            wire.high |= wire.asserted.take() > 0;
        }
        state.drive_lines();
    }

    fn controller_read(&self, access: Access) -> Option<u32> {
        Some(self.state.lock().io_apic.read(access))
    }

    fn controller_write(&self, access: Access, value: u32) -> Option<()> {
        let mut state = self.state.lock();
        let message = state.io_apic.write(access, value);
        state.accept(message);
        Some(())
    }
}

impl Connection for Connected {}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.connected.remove(&self.number);
        if let Some(wire) = state.wires.remove(&self.number) {
            state.drive(wire.input);
        }
    }
}

/// The number of the interrupt that a message is, if it is one of ours.
fn number(message: Message) -> Option<u8> {
    let ours = message.address >> 20 == 0xfee && matches!(message.address >> 12 & 0xff, 0 | 0xff);
    let fixed = matches!(message.data >> 8 & 7, 0 | 1);
    let number = message.data as u8;
    (ours && fixed && number >= 32).then_some(number)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MESSAGE: Message = Message { address: 0xfee0_0000, data: 0x41 };

    #[test]
    fn what_is_connected_is_taken_and_what_is_not_any_more_is_not() {
        let (apic, event) = (SoftApic::default(), Arc::new(Event::new().unwrap()));
        event.signal();
        let connection = apic.connect(&event, MESSAGE).unwrap();
        apic.take(|_| true);
        assert_eq!((apic.taken(0x41), apic.taken(0x42)), (1, 0), "what was signalled before counts");
        event.signal();
        event.signal();
        apic.take(|_| true);
        assert_eq!(apic.taken(0x41), 2, "two that nobody took are one");
        drop(connection);
        event.signal();
        apic.take(|_| true);
        assert_eq!((apic.taken(0x41), event.take()), (2, 1));
    }

    fn dword(offset: u64) -> Access {
        Access::new(offset, cxl_spec::access::Width::Dword).unwrap()
    }

    /// An APIC whose input 16 is number 0x51, by level.
    fn routed() -> SoftApic {
        let apic = SoftApic::default();
        apic.controller_write(dword(0), 0x30).unwrap();
        apic.controller_write(dword(0x10), 0x8051).unwrap();
        apic
    }

    #[test]
    fn a_wire_interrupts_until_the_guest_has_ended_it_and_tells_its_end() {
        let (apic, asserted, ended) =
            (routed(), Arc::new(Event::new().unwrap()), Arc::new(Event::new().unwrap()));
        let wire = apic.wire(16, &asserted, &ended).unwrap();
        asserted.signal();
        apic.attend();
        assert_eq!((apic.taken(0x51), ended.take()), (0, 0), "it waits");
        apic.take(|number| {
            assert_eq!((number, ended.take()), (0x51, 0), "it is not over before it was handled");
            true
        });
        assert_eq!((apic.taken(0x51), ended.take()), (1, 1));
        apic.take(|_| true);
        assert_eq!((apic.taken(0x51), ended.take()), (1, 0), "the line has fallen");
        drop(wire);
        asserted.signal();
        apic.take(|_| true);
        assert_eq!(apic.taken(0x51), 1);
    }

    #[test]
    fn of_two_wires_to_one_input_both_are_told_and_one_that_goes_leaves_the_other() {
        let apic = routed();
        let events: Vec<_> = (0..4).map(|_| Arc::new(Event::new().unwrap())).collect();
        let first = apic.wire(16, &events[0], &events[1]).unwrap();
        let _second = apic.wire(16, &events[2], &events[3]).unwrap();
        events[0].signal();
        events[2].signal();
        apic.take(|_| true);
        assert_eq!((apic.taken(0x51), events[1].take(), events[3].take()), (1, 1, 1));
        events[0].signal();
        events[2].signal();
        apic.attend();
        drop(first);
        apic.take(|_| true);
        assert_eq!((apic.taken(0x51), events[1].take(), events[3].take()), (2, 0, 1));
    }

    #[test]
    fn a_reset_masks_every_input_and_keeps_the_wires() {
        let (apic, asserted, ended) =
            (routed(), Arc::new(Event::new().unwrap()), Arc::new(Event::new().unwrap()));
        let _wire = apic.wire(16, &asserted, &ended).unwrap();
        asserted.signal();
        apic.attend();
        apic.reset();
        apic.take(|_| true);
        assert_eq!((apic.taken(0x51), apic.controller_read(dword(0x10))), (0, Some(0)));
        apic.controller_write(dword(0), 0x30).unwrap();
        apic.controller_write(dword(0x10), 0x8051).unwrap();
        apic.take(|_| true);
        assert_eq!(apic.taken(0x51), 1, "the line was high all the time");
    }

    #[rstest]
    #[case(0xfee0_0000, 0x41, Some(0x41))]
    #[case(0xfeef_f000, 0x0141, Some(0x41))]
    #[case(0xfee0_0ff0, 0x20, Some(0x20))]
    #[case::another_processor(0xfee0_1000, 0x41, None)]
    #[case::ram(0x20_0000, 0x41, None)]
    #[case::above_4_gib(0x1_fee0_0000, 0x41, None)]
    #[case::an_exception(0xfee0_0000, 0x1f, None)]
    #[case::one_without_a_number(0xfee0_0000, 0x0441, None)]
    fn a_message_is_an_interrupt_by_its_address_and_data(
        #[case] address: u64,
        #[case] data: u32,
        #[case] expected: Option<u8>,
    ) {
        assert_eq!(number(Message { address, data }), expected);
    }
}
