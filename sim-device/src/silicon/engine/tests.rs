use cxl_spec::access::Width;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::profile::Profile;
use crate::silicon::Reset;
use crate::silicon::Silicon;

/// Length of the device's memory in these tests.
const MEMORY: u64 = 0x1_0000;

const HOST_TO_DEVICE: u32 = 0x5;
const DEVICE_TO_HOST: u32 = 0x3;
const HOST_TO_HOST: u32 = 0x1;
const DEVICE_TO_DEVICE: u32 = 0x7;

fn around(bus_master: bool) -> Surroundings {
    Surroundings { bus_master, memory: MEMORY }
}

fn write(engine: &mut Engine, offset: u64, width: Width, value: u64, bus_master: bool) -> Option<Effect> {
    engine.write(Access::new(offset, width).unwrap(), value, around(bus_master))
}

fn status(engine: &Engine) -> u32 {
    engine.read(Access::new(0x18, Width::Dword).unwrap()) as u32
}

/// An engine that was told to copy so, and what came of the doorbell.
fn told(source: u64, destination: u64, length: u32, control: u32, master: bool) -> (Engine, Option<Effect>) {
    let mut engine = Engine::power_on();
    write(&mut engine, 0x00, Width::Qword, source, master);
    write(&mut engine, 0x08, Width::Qword, destination, master);
    write(&mut engine, 0x10, Width::Dword, length.into(), master);
    let effect = write(&mut engine, 0x14, Width::Dword, control.into(), master);
    (engine, effect)
}

fn device(start: u64, size: u64) -> Side {
    Side::Device(Span::new(Dpa::new(start), size).unwrap())
}

fn host(start: u64, size: u64) -> Side {
    Side::Host(Span::new(Iova::new(start), size).unwrap())
}

#[rstest]
#[case::host_to_device(HOST_TO_DEVICE, host(0x1000, 0x20), device(0x2000, 0x20))]
#[case::device_to_host(DEVICE_TO_HOST, device(0x1000, 0x20), host(0x2000, 0x20))]
#[case::host_to_host(HOST_TO_HOST, host(0x1000, 0x20), host(0x2000, 0x20))]
#[case::device_to_device(DEVICE_TO_DEVICE, device(0x1000, 0x20), device(0x2000, 0x20))]
fn the_doorbell_says_what_to_copy(#[case] control: u32, #[case] source: Side, #[case] destination: Side) {
    let (engine, effect) = told(0x1000, 0x2000, 0x20, control, true);
    assert_eq!(effect, Some(Effect::Transfer(Transfer { source, destination })));
    assert_eq!(status(&engine), 1, "busy");
    assert_eq!(engine.read(Access::new(0x14, Width::Dword).unwrap()) as u32, control & !1, "it rings once");
}

#[test]
fn nothing_begins_without_the_doorbell() {
    let (engine, effect) = told(0x1000, 0x2000, 0x20, 0x07ff_000e, true);
    assert_eq!((effect, status(&engine)), (None, 0));
}

#[test]
fn length_and_doorbell_may_come_in_one_write() {
    let mut engine = Engine::power_on();
    let effect = write(&mut engine, 0x10, Width::Qword, 0x5_0000_0040, true);
    let transfer = Transfer { source: host(0, 0x40), destination: device(0, 0x40) };
    assert_eq!(effect, Some(Effect::Transfer(transfer)));
}

#[rstest]
#[case::no_length(0x1000, 0x2000, 0, (HOST_TO_HOST, true), 0x200)]
#[case::one_byte_too_long(0, 1 << 32, (1 << 20) + 1, (HOST_TO_HOST, true), 0x200)]
#[case::a_source_that_wraps(u64::MAX - 0xf, 0x2000, 0x20, (HOST_TO_DEVICE, true), 0x400)]
#[case::a_destination_that_wraps(0x1000, u64::MAX - 0xf, 0x20, (DEVICE_TO_HOST, true), 0x400)]
#[case::a_source_past_the_memory(MEMORY - 0x1f, 0x2000, 0x20, (DEVICE_TO_HOST, true), 0x400)]
#[case::a_destination_past_the_memory(0x1000, MEMORY, 1, (HOST_TO_DEVICE, true), 0x400)]
#[case::onto_itself(0x1000, 0x1000, 0x20, (HOST_TO_HOST, true), 0x800)]
#[case::into_its_last_byte(0x1000, 0x101f, 0x20, (DEVICE_TO_DEVICE, true), 0x800)]
#[case::without_bus_mastering_from_the_host(0x1000, 0x2000, 0x20, (HOST_TO_DEVICE, false), 0x100)]
#[case::without_bus_mastering_to_the_host(0x1000, 0x2000, 0x20, (DEVICE_TO_HOST, false), 0x100)]
fn what_cannot_be_copied_is_an_error_at_once(
    #[case] source: u64,
    #[case] destination: u64,
    #[case] length: u32,
    #[case] (control, master): (u32, bool),
    #[case] expected: u32,
) {
    let (engine, effect) = told(source, destination, length, control, master);
    assert_eq!((effect, status(&engine)), (None, expected));
}

#[rstest]
#[case::the_longest(0, 1 << 32, 1 << 20, HOST_TO_HOST, true)]
#[case::up_to_the_end_of_the_memory(MEMORY - 0x20, 0x2000, 0x20, DEVICE_TO_HOST, true)]
#[case::side_by_side(0x1000, 0x1020, 0x20, HOST_TO_HOST, true)]
#[case::the_same_number_in_two_memories(0x1000, 0x1000, 0x20, HOST_TO_DEVICE, true)]
#[case::without_bus_mastering_inside_the_device(0x1000, 0x2000, 0x20, DEVICE_TO_DEVICE, false)]
fn what_is_at_a_limit_is_copied(
    #[case] source: u64,
    #[case] destination: u64,
    #[case] length: u32,
    #[case] control: u32,
    #[case] master: bool,
) {
    let (engine, effect) = told(source, destination, length, control, master);
    assert!(matches!(effect, Some(Effect::Transfer(_))));
    assert_eq!(status(&engine), 1);
}

#[rstest]
#[case(Ok(()), 0x2)]
#[case(Err(CopyError::BusMasterOff), 0x100)]
#[case(Err(CopyError::BadLength), 0x200)]
#[case(Err(CopyError::BadRange), 0x400)]
#[case(Err(CopyError::Overlap), 0x800)]
#[case(Err(CopyError::Unmapped), 0x1000)]
#[case(Err(CopyError::NotPermitted), 0x2000)]
#[case(Err(CopyError::HostFailed), 0x4000)]
#[case(Err(CopyError::Unanswered), 0x8000)]
#[case(Err(CopyError::Poisoned), 0x1_0000)]
fn how_it_ended_is_a_bit_that_writing_1_clears(#[case] outcome: Result<(), CopyError>, #[case] bit: u32) {
    let (mut engine, _) = told(0x1000, 0x2000, 0x20, HOST_TO_DEVICE, true);
    assert_eq!(engine.ended(outcome), None, "no interrupt was asked for");
    assert_eq!(status(&engine), bit);
    write(&mut engine, 0x18, Width::Dword, u64::from(!bit), true);
    assert_eq!(status(&engine), bit);
    write(&mut engine, 0x18, Width::Dword, bit.into(), true);
    assert_eq!(status(&engine), 0);
}

#[test]
fn the_next_doorbell_clears_what_the_last_copy_left() {
    let (mut engine, _) = told(0x1000, 0x2000, 0x20, HOST_TO_DEVICE, false);
    assert_eq!(status(&engine), 0x100);
    write(&mut engine, 0x14, Width::Dword, HOST_TO_DEVICE.into(), true);
    assert_eq!(status(&engine), 1);
}

#[rstest]
#[case::that_ended_well(0x20, true)]
#[case::that_was_refused(0, false)]
fn a_copy_signals_its_vector_if_that_was_asked_for(#[case] length: u32, #[case] begins: bool) {
    let (mut engine, effect) = told(0x1000, 0x2000, length, HOST_TO_DEVICE | 0x8 | 5 << 16, true);
    let signalled = if begins { engine.ended(Ok(())) } else { effect };
    assert_eq!(signalled, Some(Effect::Interrupt { vector: 5 }));
}

#[test]
fn an_end_without_a_copy_is_nothing() {
    let mut engine = Engine::power_on();
    assert_eq!(engine.ended(Ok(())), None);
    assert_eq!(status(&engine), 0);
}

#[test]
fn the_doorbell_of_a_device_obeys_its_command_register_and_every_reset_ends_its_copy() {
    for reset in Reset::ALL {
        let mut silicon = Silicon::power_on(Profile::default().check().unwrap()).unwrap();
        let access = |offset, width| Access::new(offset, width).unwrap();
        silicon.bar_write(0, access(0xc010, Width::Qword), 0x5_0000_0040);
        assert_eq!(silicon.bar_read(0, access(0xc018, Width::Dword)), 0x100, "bus mastering is off");
        silicon.config_write(access(4, Width::Word), 4);
        let effects = silicon.bar_write(0, access(0xc014, Width::Dword), 5);
        assert!(matches!(effects[..], [Effect::Transfer(_)]) && silicon.engine_is_busy());
        silicon.reset(reset);
        assert!(!silicon.engine_is_busy());
        assert_eq!(silicon.bar_read(0, access(0xc010, Width::Qword)), 0, "{reset:?}");
        assert_eq!(silicon.transfer_ended(Ok(())), None);
        assert_eq!(silicon.bar_read(0, access(0xc018, Width::Dword)), 0, "it is too late");
    }
}

#[test]
fn behind_the_registers_there_is_nothing() {
    let mut silicon = Silicon::power_on(Profile::default().check().unwrap()).unwrap();
    for offset in [0xbff8, 0xc020] {
        let access = Access::new(offset, Width::Qword).unwrap();
        assert_eq!(silicon.bar_write(0, access, u64::MAX), []);
        assert_eq!(silicon.bar_read(0, access), 0);
    }
}

/// What software does to an engine, or the host.
#[derive(Clone, Debug)]
enum Step {
    Write { register: usize, value: u64 },
    End { well: bool },
    Master(bool),
}

/// The engine told anew: the five registers as numbers, and rules instead of attributes.
#[derive(Default)]
struct Model {
    registers: [u64; 6],
    busy: bool,
    master: bool,
}

const OFFSETS: [(u64, Width); 6] = [
    (0x00, Width::Qword),
    (0x08, Width::Qword),
    (0x10, Width::Dword),
    (0x14, Width::Dword),
    (0x18, Width::Dword),
    (0x1c, Width::Dword),
];

impl Model {
    fn write(&mut self, register: usize, value: u64) {
        let kept = [u64::MAX, u64::MAX, 0xffff_ffff, 0x07ff_000e, 0, 0];
        match register {
            4 => self.registers[4] &= !value,
            _ if self.busy => {}
            _ => self.registers[register] = value & kept[register],
        }
        if rings(register, value) && !self.busy {
            self.registers[4] = self.error().map_or(0, |bit| 1 << bit);
            self.busy = self.registers[4] == 0;
        }
    }

    fn error(&self) -> Option<u32> {
        let [source, destination, length, control, ..] = self.registers.map(u128::from);
        let inside = [control & 2 != 0, control & 4 != 0];
        let room = |inside: bool| if inside { u128::from(MEMORY) } else { u128::from(u64::MAX) };
        if !(1..=0x10_0000).contains(&length) {
            Some(9)
        } else if source + length > room(inside[0]) || destination + length > room(inside[1]) {
            Some(10)
        } else if inside[0] == inside[1] && source.abs_diff(destination) < length {
            Some(11)
        } else if !self.master && inside != [true, true] {
            Some(8)
        } else {
            None
        }
    }

    fn end(&mut self, well: bool) {
        if self.busy {
            self.registers[4] = if well { 0x2 } else { 0x4000 };
            self.busy = false;
        }
    }

    fn interrupt(&self) -> Option<Effect> {
        let vector = (self.registers[3] >> 16) as u16;
        (self.registers[3] & 8 != 0).then_some(Effect::Interrupt { vector })
    }
}

/// The doorbells: a bit of control, and a register of its own that takes any value.
fn rings(register: usize, value: u64) -> bool {
    register == 5 || register == 3 && value & 1 == 1
}

/// Values that meet the limits.
fn value() -> impl Strategy<Value = u64> {
    let near = |at: u64| (0u64..4).prop_map(move |off| at.wrapping_sub(2).wrapping_add(off));
    prop_oneof![
        any::<u64>(),
        0u64..0x100,
        near(0),
        near(MEMORY),
        near(0x10_0000),
        (0u64..16).prop_map(|n| n << 8)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..6, value()).prop_map(|(register, value)| Step::Write { register, value }),
        2 => (0u64..0x10).prop_map(|low| Step::Write { register: 3, value: low | 1 }),
        1 => (1u64..0x200).prop_map(|length| Step::Write { register: 2, value: length }),
        2 => any::<bool>().prop_map(|well| Step::End { well }),
        1 => any::<bool>().prop_map(Step::Master),
    ]
}

proptest! {
    #[test]
    fn the_engine_does_what_the_model_does(steps in prop::collection::vec(step(), 0..40)) {
        let (mut engine, mut model) = (Engine::power_on(), Model::default());
        for step in steps {
            let was_busy = model.busy;
            let rings = matches!(step, Step::Write { register, value } if rings(register, value));
            let effect = match step {
                Step::Write { register, value } => {
                    model.write(register, value);
                    let (offset, width) = OFFSETS[register];
                    write(&mut engine, offset, width, value, model.master)
                }
                Step::End { well } => {
                    model.end(well);
                    engine.ended(if well { Ok(()) } else { Err(CopyError::HostFailed) })
                }
                Step::Master(on) => {
                    model.master = on;
                    None
                }
            };
            for (index, (offset, width)) in OFFSETS.into_iter().enumerate() {
                let expected = model.registers[index] | u64::from(index == 4 && model.busy);
                prop_assert_eq!(engine.read(Access::new(offset, width).unwrap()), expected, "{:?}", model.registers);
            }
            match (was_busy, model.busy) {
                (false, true) => {
                    let Some(Effect::Transfer(transfer)) = effect else { panic!("{effect:?}") };
                    prop_assert_eq!(transfer.source.size(), model.registers[2]);
                    prop_assert_eq!(transfer.destination.size(), model.registers[2]);
                }
                (true, false) => prop_assert_eq!(effect, model.interrupt()),
(false, false) if rings => prop_assert_eq!(effect, model.interrupt()),
                _ => prop_assert_eq!(effect, None),
            }
        }
    }
}
