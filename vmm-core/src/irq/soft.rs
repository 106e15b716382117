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
//! What means nothing here is lost, as it is on a bus.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Connection;
use super::IrqError;
use super::Message;
use super::Receiver;
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
    /// How often each interrupt was taken.
    taken: BTreeMap<u8, u64>,
}

#[derive(Debug)]
struct Connected {
    state: Arc<Mutex<State>>,
    number: u64,
}

impl SoftApic {
    /// Nothing was taken yet, as after reset.
    pub(crate) fn reset(&self) {
        self.state.lock().taken.clear();
    }

    /// How often the guest has taken the interrupt with this number.
    pub fn taken(&self, number: u8) -> u64 {
        self.attend();
        self.state.lock().taken.get(&number).copied().unwrap_or(0)
    }
}

impl Receiver for SoftApic {
    fn connect(&self, event: &Arc<Event>, message: Message) -> Result<Box<dyn Connection>, IrqError> {
        let mut state = self.state.lock();
        let number = state.made;
        state.made = state.made.saturating_add(1);
        state.connected.insert(number, (event.clone(), message));
        Ok(Box::new(Connected { state: self.state.clone(), number }))
    }

    fn attend(&self) {
        let mut state = self.state.lock();
        let State { connected, taken, .. } = &mut *state;
        for (event, message) in connected.values() {
            // What comes while the same interrupt waits to be taken is one with it, as in an APIC.
            if event.take() > 0
                && let Some(number) = number(*message)
            {
                let taken = taken.entry(number).or_default();
                *taken = taken.saturating_add(1);
            }
        }
    }
}

impl Connection for Connected {}

impl Drop for Connected {
    fn drop(&mut self) {
        self.state.lock().connected.remove(&self.number);
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
        assert_eq!((apic.taken(0x41), apic.taken(0x42)), (1, 0), "what was signalled before counts");
        event.signal();
        event.signal();
        assert_eq!(apic.taken(0x41), 2, "two that nobody took are one");
        drop(connection);
        event.signal();
        assert_eq!((apic.taken(0x41), event.take()), (2, 1));
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
