//! MSI-X as the guest sees it: told step by step, and against a model that knows no transitions.

use proptest::prelude::*;

use super::*;

const ON: u16 = 0x8000;
const FUNCTION_MASK: u16 = 0x4000;

fn control(table: &mut MsixTable, value: u16) -> Vec<Effect> {
    table.write_control(MessageControl::new(value))
}

/// Two vectors, and the second has a message and no mask.
fn programmed() -> MsixTable {
    let mut table = MsixTable::new(2);
    for (offset, value) in [(0x10, 0xfee0_0000), (0x14, 1), (0x18, 0x41), (0x1c, 0)] {
        assert_eq!(table.write(offset, value), [], "MSI-X is off");
    }
    table
}

const MESSAGE: Message = Message { address: 0x1_fee0_0000, data: 0x41 };

#[test]
fn after_reset_every_vector_is_masked_and_msix_is_off() {
    let table = MsixTable::new(3);
    assert_eq!(table.control().raw(), 2);
    let dwords: Vec<_> = (0..16).map(|index| table.read(4 * index)).collect();
    assert_eq!(dwords, [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn a_vector_without_a_mask_is_used_once_msix_is_on() {
    let mut table = programmed();
    assert_eq!(control(&mut table, ON), [Effect::Begin, Effect::Use { vector: 1, message: MESSAGE }]);
    assert_eq!(control(&mut table, ON), [], "it is on already");
    assert_eq!(table.control().raw(), 0x8001);
    assert_eq!(control(&mut table, 0), [Effect::End]);
    assert_eq!(control(&mut table, 0), []);
}

#[test]
fn the_mask_of_the_function_holds_back_every_vector() {
    let mut table = programmed();
    assert_eq!(control(&mut table, ON | FUNCTION_MASK), [Effect::Begin]);
    assert_eq!(table.write(0xc, 0), [], "a vector without a mask is still behind the function's");
    let used = control(&mut table, ON);
    let nothing = Message { address: 0, data: 0 };
    let expected = [Effect::Use { vector: 0, message: nothing }, Effect::Use { vector: 1, message: MESSAGE }];
    assert_eq!(used, expected);
    let masked = [Effect::Mask { vector: 0 }, Effect::Mask { vector: 1 }];
    assert_eq!(control(&mut table, ON | FUNCTION_MASK), masked);
}

#[test]
fn what_is_signalled_while_masked_is_pending_and_sent_once_when_the_mask_goes() {
    let mut table = programmed();
    control(&mut table, ON);
    assert_eq!(table.write(0x1c, 1), [Effect::Mask { vector: 1 }]);
    assert_eq!((table.signalled(1), table.signalled(1)), (vec![], vec![]));
    assert_eq!(table.pending(0), 2);
    let sent = [Effect::Use { vector: 1, message: MESSAGE }, Effect::Send { vector: 1 }];
    assert_eq!(table.write(0x1c, 0), sent);
    assert_eq!(table.pending(0), 0);
    table.write(0x1c, 1);
    assert_eq!(table.write(0x1c, 0), [Effect::Use { vector: 1, message: MESSAGE }], "nothing came meanwhile");
}

#[test]
fn what_is_signalled_without_a_mask_is_sent_and_never_pending() {
    let mut table = programmed();
    control(&mut table, ON);
    assert_eq!(table.signalled(1), [Effect::Send { vector: 1 }]);
    assert_eq!(table.pending(0), 0);
    assert_eq!(table.signalled(2), [], "there is no such vector");
}

#[test]
fn nothing_is_pending_while_msix_is_off_or_after_it_was() {
    let mut table = programmed();
    assert_eq!(table.signalled(0), []);
    assert_eq!(table.pending(0), 0);
    control(&mut table, ON);
    table.signalled(0);
    assert_eq!(table.pending(0), 1);
    control(&mut table, 0);
    assert_eq!(table.pending(0), 0);
}

#[test]
fn a_message_that_is_changed_in_use_is_used_from_then_on() {
    let mut table = programmed();
    control(&mut table, ON);
    let message = Message { data: 0x42, ..MESSAGE };
    assert_eq!(table.write(0x18, 0x42), [Effect::Use { vector: 1, message }]);
    assert_eq!(table.write(0x18, 0x42), []);
}

#[test]
fn pending_bits_are_in_dwords_by_vector() {
    let mut table = MsixTable::new(70);
    control(&mut table, ON);
    for vector in [0, 31, 32, 69] {
        table.signalled(vector);
    }
    let dwords: Vec<_> = (0..5).map(|index| table.pending(4 * index)).collect();
    assert_eq!(dwords, [0x8000_0001, 1, 0x20, 0, 0]);
}

/// What a guest or a device does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Control(u16),
    Write(u64, u32),
    Signal(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0u16..4).prop_map(|bits| Step::Control(bits << 14)),
        (0u64..14, 0u32..4).prop_map(|(dword, value)| Step::Write(4 * dword, value)),
        (0u16..4).prop_map(Step::Signal),
    ];
    prop::collection::vec(step, 0..40)
}

/// The other side of the effects: what a device was told, and who gets what it signals. It knows when a vector is
/// on only by what it was told.
#[derive(Debug, Default)]
struct Told {
    on: bool,
    used: std::collections::BTreeMap<u16, Message>,
    sent: [u32; 3],
}

impl Told {
    fn hear(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Begin => assert!(!std::mem::replace(&mut self.on, true), "begun once"),
                Effect::End => {
                    assert!(std::mem::replace(&mut self.on, false), "ended once");
                    self.used.clear();
                }
                Effect::Use { vector, message } => drop(self.used.insert(vector, message)),
                Effect::Mask { vector } => assert!(self.used.remove(&vector).is_some(), "it was used"),
                Effect::Send { vector } => {
                    assert!(self.used.contains_key(&vector), "what is sent is in use");
                    self.sent[usize::from(vector)] += 1;
                }
            }
            assert!(self.on || self.used.is_empty(), "nothing is used while it is off");
        }
    }
}

proptest! {
    /// The model has three dwords a vector, two bits, and a pending bit; it works out anew after each step what
    /// should be in use.
    #[test]
    fn what_was_told_is_what_the_registers_say(steps in steps()) {
        let mut table = MsixTable::new(3);
        let mut told = Told::default();
        let mut registers = [[0u32, 0, 0, 1]; 3];
        let (mut bits, mut pending, mut sent) = (0u16, [false; 3], [0u32; 3]);
        for step in steps {
            told.hear(match step {
                Step::Control(value) => {
                    bits = value;
                    table.write_control(MessageControl::new(value))
                }
                Step::Write(offset, value) => {
                    if let Some(entry) = registers.get_mut(offset as usize / 16) {
                        let keeps = [!3, !0, !0, 1][offset as usize / 4 % 4];
                        entry[offset as usize / 4 % 4] = value & keeps;
                    }
                    table.write(offset, value)
                }
                Step::Signal(vector) => table.signalled(vector),
            });
            let live = |vector: usize| bits == ON && registers[vector][3] == 0;
            if let Step::Signal(vector @ 0..3) = step {
                let vector = usize::from(vector);
                if live(vector) { sent[vector] += 1 } else { pending[vector] |= bits & ON != 0 }
            }
            for vector in 0..3 {
                if live(vector) && std::mem::take(&mut pending[vector]) {
                    sent[vector] += 1;
                }
                pending[vector] &= bits & ON != 0;
                let [low, high, data, _] = registers[vector];
                let message = Message { address: u64::from(high) << 32 | u64::from(low), data };
                prop_assert_eq!(told.used.get(&(vector as u16)).copied(), live(vector).then_some(message));
                for (dword, value) in (0..).zip(registers[vector]) {
                    prop_assert_eq!(table.read(16 * vector as u64 + 4 * dword), value);
                }
            }
            let expected = (0..3).fold(0, |dword, vector| dword | u32::from(pending[vector]) << vector);
            prop_assert_eq!((told.sent, table.pending(0), told.on), (sent, expected, bits & ON != 0));
        }
    }
}
