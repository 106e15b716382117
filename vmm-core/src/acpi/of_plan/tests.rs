use rstest::rstest;

use super::*;
use crate::acpi::tables;
use crate::backend::fake::Fake;
use crate::discover::discover;
use crate::plan::machine::Machine;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Topology;
use crate::plan::topology::WindowIntent;

fn planned(arch: Arch, count: usize, topology: Topology) -> Plan {
    let inventory = discover(&Fake::committed().shared()).unwrap();
    let names: Vec<String> = (0..count).map(|index| format!("gpu{index}")).collect();
    let devices: Vec<_> = names.iter().map(|name| (name.as_str(), &inventory)).collect();
    let machine = Machine { arch, address_bits: arch.default_address_bits(), topology, ..Machine::default() };
    plan::plan(&machine, &devices).unwrap()
}

#[rstest]
fn every_planned_machine_can_be_told(
    #[values(Arch::X86_64, Arch::Aarch64)] arch: Arch,
    #[values(1, 2, 16)] count: usize,
) {
    let plan = planned(arch, count, Topology::default());
    let system = System::of(&plan);
    assert_eq!((system.bridges.len(), system.windows.len()), (count + 1, count));
    for (window, device) in system.windows.iter().zip(&plan.devices) {
        assert_eq!(window.span, device.window.span);
        assert_eq!(u16::from(window.target) + 1, device.bdf.requester_id() >> 8);
        assert!(window.fixed);
    }
    let tables = tables(&system.check().unwrap());
    crate::acpi::tests::judge(&tables);
    let names: Vec<_> = tables.iter().map(|table| table.name).collect();
    assert!(names.contains(&"CEDT") && names.contains(&"MCFG"), "{names:?}");
    assert_eq!(names.contains(&"IORT"), arch == Arch::Aarch64);
}

#[test]
fn the_windows_range_is_in_a_bridges_resources_as_the_architecture_or_the_user_has_it() {
    let of = |arch, fmws_in_crs| {
        let mut plan = planned(arch, 1, Topology::default());
        plan.machine.telling.fmws_in_crs = fmws_in_crs;
        System::of(&plan).fmws_in_crs
    };
    assert_eq!(of(Arch::X86_64, None), FmwsInCrs::Nowhere);
    assert_eq!(of(Arch::Aarch64, None), FmwsInCrs::FirstBridge);
    assert_eq!(of(Arch::X86_64, Some(FmwsInCrs::FirstBridge)), FmwsInCrs::FirstBridge);
    assert_eq!(of(Arch::Aarch64, Some(FmwsInCrs::Nowhere)), FmwsInCrs::Nowhere);
}

/// The first run is for 123 processors.
#[rstest]
#[case(1, 1)]
#[case(123, 1)]
#[case(124, 2)]
fn a_run_of_redistributors_is_told_of_where_a_processor_needs_it(#[case] cpus: u32, #[case] runs: usize) {
    let mut plan = planned(Arch::Aarch64, 1, Topology::default());
    plan.cpus = cpus;
    let Platform::Aarch64 { gic, .. } = System::of(&plan).platform else {
        panic!("an aarch64 machine has a GIC")
    };
    assert_eq!(gic.redistributors.len(), runs);
}

#[test]
fn a_machine_without_windows_is_told_without() {
    let mut plan = planned(Arch::X86_64, 1, Topology::default());
    plan.windows.clear();
    let system = System::of(&plan);
    assert!(system.windows.is_empty());
    assert!(system.check().is_ok());
}

#[test]
fn a_window_of_two_bridges_is_not_told_and_the_plan_says_so() {
    let bridge = |name: &str| BridgeIntent { name: name.to_owned(), bus: None, ..BridgeIntent::default() };
    let window = |targets: &[&str]| WindowIntent {
        size: 256 << 20,
        targets: targets.iter().map(|name| (*name).to_owned()).collect(),
    };
    let topology = Topology {
        bridges: vec![bridge("one"), bridge("two")],
        windows: vec![window(&["one"]), WindowIntent { size: 512 << 20, ..window(&["one", "two"]) }],
        below: vec![("gpu0".to_owned(), "one".to_owned())],
        ..Topology::default()
    };
    let plan = planned(Arch::X86_64, 1, topology);
    let told: Vec<_> = System::of(&plan).windows.iter().map(|window| window.span).collect();
    assert_eq!(told, [plan.windows[0].span]);
    assert_eq!(plan.notes, ["window 2: leads to 2 host bridges: no table announces it"]);
}
