use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;

use super::*;
use crate::backend::Failure;
use crate::backend::fake::CountedSlots;
use crate::backend::fake::Fake;
use crate::discover::discover;
use crate::map::space::Behind;
use crate::map::space::Shape;
use crate::map::space::Target;
use crate::plan::machine::Machine;
use crate::plan::plan;

/// Two devices that are discovered and planned, and slots to map them into.
fn ready(fakes: &[Fake]) -> (Plan, Vec<Attached>, Arc<CountedSlots>) {
    let attached = |fake: &Fake| {
        let backend = fake.shared();
        let inventory = discover(&backend).unwrap();
        Attached { backend, inventory }
    };
    let devices: Vec<_> = fakes.iter().map(attached).collect();
    let names: Vec<String> = (0..devices.len()).map(|index| format!("gpu{index}")).collect();
    let named: Vec<_> =
        names.iter().zip(&devices).map(|(name, device)| (name.as_str(), &device.inventory)).collect();
    let plan = plan(&Machine::default(), &named).unwrap();
    (plan, devices, Arc::new(CountedSlots::default()))
}

/// What a device looks like to those who might find traces: what it may reach, and its command register.
fn traces(fake: &Fake) -> (usize, u32) {
    fake.look(|state| (state.dma.len(), state.dword(7, 4)))
}

fn target(mappings: &Mappings, at: u64) -> Option<Target> {
    mappings.space.target(Gpa::new(at), 4)
}

#[test]
fn ram_bars_and_configuration_are_where_the_plan_says() {
    let fakes = [Fake::committed()];
    let (plan, devices, slots) = ready(&fakes);
    let bar2 = plan.devices[0].bars[1].span.start().get();
    let window = plan.devices[0].window.span.start().get();
    let mappings = map(plan, devices, slots.clone()).unwrap();
    assert!(matches!(target(&mappings, 0x10_0000), Some(Target::Memory(_, 0x10_0000))));
    assert!(matches!(target(&mappings, bar2 + 0x3_0004), Some(Target::Memory(_, 4))));
    let overlay = Trap::Region(Behind { device: 0, region: 10, offset: 0, shape: Shape::Dwords });
    assert!(matches!(target(&mappings, bar2 + 0x2_1130), Some(Target::Trap(trap, 0x130)) if trap == overlay));
    let behind = Trap::Region(Behind { device: 0, region: 2, offset: 0x2_1140, shape: Shape::Any });
    assert!(matches!(target(&mappings, bar2 + 0x2_1144), Some(Target::Trap(trap, 4)) if trap == behind));
    assert!(matches!(target(&mappings, 0xb000_8000), Some(Target::Trap(Trap::Ecam, 0x8000))));
    let bridge = Trap::Component(Component::HostBridge(0));
    assert!(matches!(target(&mappings, 0xfe10_1000), Some(Target::Trap(trap, 0x1000)) if trap == bridge));
    let port = Trap::Component(Component::RootPort(0));
    assert!(matches!(target(&mappings, 0xc000_0004), Some(Target::Trap(trap, 4)) if trap == port));
    assert!(target(&mappings, window).is_none(), "the memory comes after the decoder");
    assert_eq!(slots.here(), 3, "RAM and two parts of a BAR");
}

#[test]
fn the_tables_are_in_ram_as_firmware_leaves_them() {
    let (plan, devices, slots) = ready(&[Fake::committed()]);
    let tables = acpi::tables(&System::of(&plan).check().unwrap());
    let mappings = map(plan, devices, slots).unwrap();
    assert_eq!((tables[0].name, tables[0].address), ("RSDP", Gpa::new(0xe_0000)));
    for table in tables {
        let Some(Target::Memory(memory, offset)) = target(&mappings, table.address.get()) else {
            panic!("not memory")
        };
        let mut bytes = vec![0; table.bytes.len()];
        memory.read(offset, &mut bytes).unwrap();
        assert_eq!(bytes, table.bytes, "{}", table.name);
    }
}

#[test]
fn a_machine_that_no_table_can_tell_of_is_not_built() {
    let (mut plan, devices, slots) = ready(&[Fake::committed()]);
    plan.bridges[0].last_bus = 0;
    let error = map(plan, devices, slots).unwrap_err().to_string();
    assert_eq!(error, "acpi tables: bridges[1].last_bus = 0x0: is before the first bus");
}

#[test]
fn a_mapped_part_of_a_bar_is_the_devices_own() {
    let fakes = [Fake::committed()];
    let (plan, devices, slots) = ready(&fakes);
    let bar2 = plan.devices[0].bars[1].span.start().get();
    let mappings = map(plan, devices, slots).unwrap();
    let Some(Target::Memory(memory, offset)) = target(&mappings, bar2 + 0x3_0010) else {
        panic!("not memory")
    };
    memory.store(offset, Width::Dword, 0x1234_5678).unwrap();
    let seen = fakes[0].look(|state| state.regions[&2].memory.as_ref().unwrap().load(0x3_0010, Width::Dword));
    assert_eq!(seen, Some(0x1234_5678));
}

#[test]
fn every_device_may_reach_ram_and_answers() {
    let fakes = [Fake::committed(), Fake::committed()];
    let (plan, devices, slots) = ready(&fakes);
    let _mappings = map(plan, devices, slots).unwrap();
    for fake in &fakes {
        let ram = Span::new(Iova::new(0), 64 << 20).unwrap();
        assert_eq!(fake.look(|state| state.dma.clone()), [ram]);
        assert_eq!(fake.dword(7, 4), 0x0010_0006, "memory and bus mastering are on");
    }
}

#[test]
fn dropping_the_machine_undoes_everything() {
    let fakes = [Fake::committed(), Fake::committed()];
    let before = traces(&fakes[0]);
    let (plan, devices, slots) = ready(&fakes);
    let mappings = map(plan, devices, slots.clone()).unwrap();
    let space = mappings.space.clone();
    assert!(slots.here() > 0 && !space.is_empty());
    drop(mappings);
    assert_eq!((slots.here(), space.len()), (0, 0));
    assert_eq!((traces(&fakes[0]), traces(&fakes[1])), (before, before));
}

#[test]
fn a_plan_for_other_devices_is_refused() {
    let fakes = [Fake::committed(), Fake::committed()];
    let (plan, mut devices, slots) = ready(&fakes);
    devices.pop();
    let error = map(plan, devices, slots).unwrap_err().to_string();
    assert_eq!(error, "the plan is for 2 devices and 1 were given");
}

#[test]
fn a_device_that_refuses_any_call_leaves_nothing_behind() {
    let counting = [Fake::committed(), Fake::committed()];
    let (plan, devices, slots) = ready(&counting);
    let before = counting.each_ref().map(|fake| fake.look(|state| state.calls.len()));
    let mappings = map(plan, devices, slots).unwrap();
    let after = counting.each_ref().map(|fake| fake.look(|state| state.calls.len()));
    drop(mappings);
    let mut failed = 0;
    for broken in 0..2 {
        for call in before[broken] + 1..=after[broken] {
            let fakes = [Fake::committed(), Fake::committed()];
            let clean = traces(&fakes[0]);
            let (plan, devices, slots) = ready(&fakes);
            let refusal = Failure::Refused(Errno::EIO);
            let fake = fakes[broken].clone().with(|state| state.fail_at = Some((call, refusal)));
            let error = map(plan, devices, slots.clone()).unwrap_err();
            assert!(matches!(error, MapError::Backend(_)), "{error}");
            assert_eq!((slots.here(), traces(&fakes[0]), traces(&fake)), (0, clean, clean), "at call {call}");
            failed += 1;
        }
    }
    assert_eq!(failed, 6, "DMA_MAP, and reading and writing the command register, of each");
}

#[test]
fn a_hypervisor_that_refuses_any_slot_leaves_nothing_behind() {
    let fakes = [Fake::committed(), Fake::committed()];
    let clean = traces(&fakes[0]);
    let mut number = 1;
    loop {
        let (plan, devices, slots) = ready(&fakes);
        slots.refuse_from(number);
        match map(plan, devices, slots.clone()) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, MapError::Space { .. }), "{error}"),
        }
        assert_eq!((slots.here(), slots.made()), (0, number));
        assert_eq!((traces(&fakes[0]), traces(&fakes[1])), (clean, clean), "at slot {number}");
        number += 1;
    }
    assert_eq!(number, 6, "RAM and two parts of a BAR of each device");
}

#[test]
fn a_device_that_is_lost_is_not_waited_for_while_undoing() {
    let fakes = [Fake::committed()];
    let (plan, devices, slots) = ready(&fakes);
    let mappings = map(plan, devices, slots.clone()).unwrap();
    let fake = fakes[0].clone().with(|state| state.fail_at = Some((1, Failure::Lost("gone".to_owned()))));
    drop(mappings);
    assert_eq!(slots.here(), 0);
    assert!(fake.look(|state| state.calls.len()) > 0);
}
