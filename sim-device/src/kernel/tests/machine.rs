//! The decoder's and the lock's state machines of each revision, against a small model that knows nothing of them.
//!
//! A model is a handful of numbers. It is told what software does and says what every register must read then.

use proptest_state_machine::ReferenceStateMachine;
use proptest_state_machine::StateMachineTest;
use proptest_state_machine::prop_state_machine;

use super::*;

/// What software does to the registers of a decoder, or of the DVSEC.
#[derive(Clone, Copy, Debug)]
enum Move {
    Base(u32),
    Control { commit: bool, lock: bool },
    Dvsec { offset: u64, value: u16 },
    Reset,
    Open,
}

/// Registers as a revision must show them: decoder 0's base (low half), its three bits; DVSEC control, control 2
/// and lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    base: u32,
    commit: bool,
    committed: bool,
    lock: bool,
    control: u16,
    control_2: u16,
    config_lock: u16,
}

#[derive(Clone, Copy, Debug)]
struct Model {
    abi: &'static str,
    seen: Seen,
    /// What the hardware's control 2 holds: a request to flush goes there, and takes the bit beside it along.
    hardware_control_2: u16,
}

const HOST_BASE: u32 = 0x3000_0000;

impl Model {
    fn fresh(abi: &'static str) -> Self {
        let scrubbed = abi == "v2";
        let base = if scrubbed { 0 } else { HOST_BASE };
        let seen = Seen {
            base,
            commit: true,
            committed: true,
            lock: !scrubbed,
            control: 7,
            control_2: 0,
            config_lock: 0,
        };
        Self { abi, seen, hardware_control_2: 0 }
    }

    fn after(mut self, done: Move) -> Self {
        match self.abi {
            "v2" => self.after_v2(done),
            "v3" => self.after_v3(done),
            _ => self.after_next(done),
        }
        self
    }

    fn after_v2(&mut self, done: Move) {
        let seen = &mut self.seen;
        match done {
            Move::Base(base) if !seen.lock => seen.base = base & 0xf000_0000,
            Move::Control { lock, .. } if seen.lock => seen.lock = lock,
            Move::Control { commit, lock } => {
                (seen.commit, seen.committed, seen.lock) = (commit, commit, lock);
            }
            Move::Dvsec { offset: 0x0c, value } if seen.config_lock == 0 => seen.control = value & 0x4fff | 2,
            Move::Dvsec { offset: 0x10, value } => {
                seen.control_2 = value & 0x0009;
                if value & 2 != 0 {
                    self.hardware_control_2 = value & 1;
                }
            }
            Move::Dvsec { offset: 0x14, value } => seen.config_lock |= value & 1,
            Move::Reset => {
                (seen.base, seen.commit, seen.committed, seen.lock) = (0, true, true, false);
            }
            Move::Open => {
                let hardware_control_2 = self.hardware_control_2;
                let seen = Seen { control_2: hardware_control_2, ..Self::fresh("v2").seen };
                *self = Self { seen, hardware_control_2, ..*self };
            }
            _ => {}
        }
    }

    fn after_v3(&mut self, done: Move) {
        let seen = &mut self.seen;
        match done {
            Move::Base(base) if !seen.lock && !seen.committed => seen.base = base,
            Move::Control { commit: true, .. } if seen.committed => {}
            Move::Control { .. } if seen.committed => {
                (seen.commit, seen.committed, seen.lock) = (false, false, false);
            }
            Move::Control { commit, lock } => {
                (seen.commit, seen.committed, seen.lock) = (commit, commit, lock);
            }
            Move::Dvsec { offset: 0x0c, value } if seen.config_lock & 1 == 0 => seen.control = value,
            Move::Dvsec { offset: 0x10, value } if seen.config_lock & 1 == 0 => seen.control_2 = value,
            Move::Dvsec { offset: 0x14, value } if seen.config_lock & 1 == 0 => seen.config_lock = value,
            // Nothing refreshes what this revision shadows.
            _ => {}
        }
    }

    fn after_next(&mut self, done: Move) {
        let seen = &mut self.seen;
        match done {
            Move::Dvsec { offset: 0x0c, value } => seen.control = value,
            // What is asked for is over at once.
            Move::Dvsec { offset: 0x10, value } => seen.control_2 = value & !0x0006,
            Move::Open => *self = Self::fresh("next"),
            _ => {}
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Move;

    fn init_state() -> BoxedStrategy<Self> {
        prop::sample::select(&["v2", "v3", "next"][..]).prop_map(Self::fresh).boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Move> {
        prop_oneof![
            any::<u32>().prop_map(Move::Base),
            any::<(bool, bool)>().prop_map(|(commit, lock)| Move::Control { commit, lock }),
            (prop::sample::select(&[0x0c, 0x10, 0x14][..]), any::<u16>())
                .prop_map(|(offset, value)| Move::Dvsec { offset, value }),
            Just(Move::Reset),
            Just(Move::Open),
        ]
        .boxed()
    }

    fn apply(model: Self, done: &Move) -> Self {
        model.after(*done)
    }
}

struct Device {
    kernel: Kernel,
    registers: u32,
    decoder: u64,
}

impl Device {
    fn seen(&self) -> Seen {
        let control = hdm::Control::new(dword(&self.kernel, self.registers, self.decoder + 0x10));
        Seen {
            base: dword(&self.kernel, self.registers, self.decoder),
            commit: control.commit(),
            committed: control.committed(),
            lock: control.lock_on_commit(),
            control: word(&self.kernel, DVSEC + 0x0c),
            control_2: word(&self.kernel, DVSEC + 0x10),
            config_lock: word(&self.kernel, DVSEC + 0x14),
        }
    }
}

impl StateMachineTest for Device {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let (registers, decoder) = match model.abi {
            "v2" => (10, 0x120),
            "v3" => (9, 0x1120),
            _ => (10, 0x10),
        };
        Self { kernel: bound("", model.abi), registers, decoder }
    }

    fn apply(mut device: Self, _: &Model, done: Move) -> Self {
        let Self { kernel, registers, decoder } = &mut device;
        match done {
            Move::Base(base) => write(kernel, *registers, *decoder, base),
            Move::Control { commit, lock } => {
                let written = hdm::Control::new(0).with_commit(commit).with_lock_on_commit(lock);
                write(kernel, *registers, *decoder + 0x10, written.raw());
            }
            Move::Dvsec { offset, value } => write_word(kernel, DVSEC + offset, value),
            Move::Reset => kernel.reset(),
            Move::Open => kernel.open(),
        }
        device
    }

    fn check_invariants(device: &Self, model: &Model) {
        assert_eq!(device.seen(), model.seen, "{}", model.abi);
    }
}

prop_state_machine! {
    #[test]
    fn any_sequence_of_writes_resets_and_opens_agrees_with_the_model(sequential 1..30 => Device);
}
