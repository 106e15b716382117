use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use rstest::rstest;
use vfio_abi::errno::Errno;

use super::*;
use crate::backend::Call;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::backend::fake::CONTROL;
use crate::backend::fake::CountedSlots;
use crate::backend::fake::DECODER;
use crate::backend::fake::Fake;
use crate::backend::recording::Recorded;
use crate::backend::recording::Recording;
use crate::discover::discover;
use crate::map::Attached;
use crate::map::map;
use crate::map::space::Behind;
use crate::map::space::Shape;
use crate::map::space::Target;
use crate::map::space::Trap;
use crate::plan::machine::Machine;
use crate::plan::plan;

/// A machine with one device that waits for machine-done.
fn mapped(fake: &Fake, recording: Recording) -> (Mappings, Arc<CountedSlots>) {
    let backend = Shared::new(Recorded::new(fake.clone(), recording.clone()));
    let inventory = discover(&backend).unwrap();
    let plan = plan(&Machine::default(), &[("gpu0", &inventory)]).unwrap();
    let slots = Arc::new(CountedSlots::default());
    let mappings = map(plan, vec![Attached { backend, inventory }], slots.clone()).unwrap();
    recording.take();
    (mappings, slots)
}

fn registers(fake: &Fake) -> [u32; 3] {
    [DECODER, DECODER + 4, CONTROL].map(|offset| fake.dword(10, offset))
}

#[rstest]
#[case::unlocked(0x600, &[])]
#[case::locked(0x700, &[(CONTROL, 0x600)])]
#[case::open(0x000, &[])]
fn the_writes_of_machine_done_are_those_of_the_series_in_its_order(
    #[case] control: u32,
    #[case] unlock: &[(u64, u64)],
) {
    let fake = Fake::committed().with(|state| state.set(10, CONTROL, control));
    let recording = Recording::default();
    let (mappings, _) = mapped(&fake, recording.clone());
    let programmed = mappings.machine_done().unwrap();
    let writes: Vec<_> = recording
        .accesses()
        .iter()
        .filter(|access| access.is_write)
        .map(|access| (access.offset, access.value))
        .collect();
    let last = u64::from(control & !0x100 | 0x300);
    let rest = [(DECODER, 0x1000_0000), (DECODER + 4, 1), (CONTROL, last)];
    assert_eq!(writes, [unlock, &rest[..]].concat());
    let first = &recording.accesses()[0];
    assert!(!first.is_write && first.offset == CONTROL, "the control register is read first");
    drop(programmed);
}

#[test]
fn the_decoder_is_committed_and_locked_at_the_window_and_the_memory_is_there() {
    let fake = Fake::committed();
    let (mappings, slots) = mapped(&fake, Recording::default());
    let before = slots.here();
    let programmed = mappings.machine_done().unwrap();
    let window = programmed.plan().devices[0].window.span;
    assert_eq!(registers(&fake), [0x1000_0000, 1, 0x700]);
    assert_eq!(window.start(), Gpa::new(0x1_1000_0000));
    let target = programmed.mappings.space.target(window.start(), 8);
    let Some(Target::Memory(memory, 0)) = target else { panic!("not memory") };
    memory.store(0x1000, Width::Dword, 7).unwrap();
    let seen = fake.look(|state| state.regions[&9].memory.as_ref().unwrap().load(0x1000, Width::Dword));
    assert_eq!((seen, slots.here()), (Some(7), before + 1));
}

#[rstest]
#[case::scrubbed(0x600)]
#[case::locked(0x700)]
#[case::open(0x000)]
fn dropping_a_programmed_machine_puts_the_registers_back(#[case] control: u32) {
    let fake = Fake::committed().with(|state| {
        state.set(10, DECODER, 0x3000_0000);
        state.set(10, DECODER + 4, 0x48);
        state.set(10, CONTROL, control);
    });
    let (mappings, slots) = mapped(&fake, Recording::default());
    drop(mappings.machine_done().unwrap());
    assert_eq!(registers(&fake), [0x3000_0000, 0x48, control]);
    assert_eq!(slots.here(), 0);
}

#[test]
fn a_device_that_refuses_any_access_leaves_nothing_behind_and_the_register_is_named() {
    let counting = Fake::committed().with(|state| state.set(10, CONTROL, 0x700));
    let (mappings, _) = mapped(&counting, Recording::default());
    let before = counting.look(|state| state.calls.len());
    drop(mappings.machine_done().unwrap());
    let accesses: Vec<Call> = counting.look(|state| state.calls[before..].to_vec());
    let programming = 5 + 3;
    let mut named = Vec::new();
    for step in 1..=programming {
        let fake = Fake::committed().with(|state| state.set(10, CONTROL, 0x700));
        let (mappings, slots) = mapped(&fake, Recording::default());
        let fail = (before + step, Failure::Refused(Errno::EIO));
        let fake = fake.with(|state| state.fail_at = Some(fail));
        let error = mappings.machine_done().unwrap_err();
        let ProgramError::Register { verb, register, .. } = &error else { panic!("{error}") };
        named.push(format!("{verb} {register}"));
        assert_eq!(registers(&fake), [0, 0, 0x700], "after {:?}", accesses[step - 1]);
        assert_eq!(slots.here(), 0);
        assert_eq!(fake.look(|state| state.dma.len()), 0);
    }
    let control = "HDM Decoder Control";
    let expected = [
        format!("reading {control}"),
        format!("writing {control}"),
        "writing HDM Decoder Base Low".to_owned(),
        "writing HDM Decoder Base High".to_owned(),
        format!("writing {control}"),
        "reading HDM Decoder Base Low".to_owned(),
        "reading HDM Decoder Base High".to_owned(),
        format!("reading {control}"),
    ];
    assert_eq!(named, expected);
}

#[test]
fn a_hypervisor_that_refuses_the_memory_leaves_no_programmed_decoder() {
    let fake = Fake::committed();
    let (mappings, slots) = mapped(&fake, Recording::default());
    slots.refuse_from(slots.made() + 1);
    let error = mappings.machine_done().unwrap_err().to_string();
    assert_eq!(error, "gpu0 window: memory slot [0x110000000, 0x120000000): refused");
    assert_eq!((registers(&fake), slots.here()), ([0, 0, 0x600], 0));
}

#[rstest]
#[case::the_base(DECODER, "gpu0: HDM Decoder Base Low reads 0x0 where 0x10000000 was expected")]
#[case::control(
    CONTROL,
    "gpu0: HDM Decoder Control reads 0x600 (commit 0x1, committed 0x1) where \
     0x700 (lock_on_commit 0x1, commit 0x1, committed 0x1) was expected"
)]
fn a_register_that_does_not_take_its_value_is_named_with_both_values(
    #[case] stuck: u64,
    #[case] message: &str,
) {
    let fake = Fake::committed().with(|state| state.stuck = Some(stuck));
    let (mappings, slots) = mapped(&fake, Recording::default());
    assert_eq!(mappings.machine_done().unwrap_err().to_string(), message);
    assert_eq!((registers(&fake), slots.here()), ([0, 0, 0x600], 0));
}

#[test]
fn memory_that_cannot_be_mapped_is_a_call_at_every_access() {
    let fake = Fake::committed().with(|state| {
        let memory = state.regions.get_mut(&9).unwrap();
        memory.info.flags -= vfio_abi::info::RegionFlags::MMAP;
    });
    let (mappings, slots) = mapped(&fake, Recording::default());
    let before = slots.here();
    let programmed = mappings.machine_done().unwrap();
    let window = programmed.plan().devices[0].window.span;
    let trap = Trap::Region(Behind { device: 0, region: 9, offset: 0, shape: Shape::Any });
    let target = programmed.mappings.space.target(window.start(), 8);
    assert!(matches!(target, Some(Target::Trap(found, 0)) if found == trap));
    assert_eq!(slots.here(), before);
}
