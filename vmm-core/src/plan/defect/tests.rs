use cxl_spec::component::hdm::GRANULE;

use super::*;
use crate::backend::fake::Fake;
use crate::discover::Inventory;
use crate::discover::discover;
use crate::plan::Decision;
use crate::plan::Plan;
use crate::plan::PlanError;
use crate::plan::life::Committer;
use crate::plan::machine::Arch;
use crate::plan::machine::Machine;
use crate::plan::plan;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Topology;
use crate::plan::topology::WindowIntent;

fn inventory() -> Inventory {
    discover(&Fake::committed().shared()).unwrap()
}

/// The plan of a machine as it should be, and of the same one with a defect, for two devices like this.
fn both(defect: Defect, machine: &Machine, inventory: &Inventory) -> [Result<Plan, PlanError>; 2] {
    let devices = [("gpu0", inventory), ("gpu1", inventory)];
    let broken = Machine { defects: vec![defect], ..machine.clone() };
    [plan(machine, &devices), plan(&broken, &devices)]
}

fn windows(plan: &Plan) -> Vec<u64> {
    plan.devices.iter().map(|device| device.programme.window.start().get()).collect()
}

#[test]
fn every_defect_has_a_name_of_its_own_and_no_machine_has_one_by_itself() {
    let mut names = Defect::ALL.map(Defect::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!((names.len(), Machine::default().defects), (Defect::ALL.len(), Vec::new()));
}

#[test]
fn a_device_that_nobody_committed_is_refused_or_taken_with_its_memory_nowhere() {
    let mut inventory = inventory();
    inventory.cxl.as_mut().unwrap().firmware_committed = false;
    let [good, bad] = both(Defect::UncommittedTaken, &Machine::default(), &inventory);
    assert!(matches!(good, Err(PlanError::Refused { .. })));
    assert!(bad.unwrap().devices.iter().all(|device| device.committer == Committer::Guest));
}

#[test]
fn a_device_that_is_committed_is_the_machines_whatever_is_done_with_others() {
    let [good, bad] = both(Defect::UncommittedTaken, &Machine::default(), &inventory());
    assert_eq!(good.unwrap().devices, bad.unwrap().devices);
}

#[test]
fn a_bar_of_128_gib_has_room_in_the_second_mmio_range_or_not() {
    let mut inventory = inventory();
    let bar = inventory.config.bars.iter_mut().find(|bar| bar.index == 2).unwrap();
    bar.size = 128 << 30;
    let address_bits = Arch::Aarch64.default_address_bits();
    let machine = Machine { arch: Arch::Aarch64, address_bits, ..Machine::default() };
    let [good, bad] = both(Defect::ShortSecondMmio, &machine, &inventory);
    assert!(good.is_ok());
    let error = bad.unwrap_err().to_string();
    assert_eq!(error, "gpu0 bar2: no place for 0x2000000000 bytes below 0x6000000000");
}

#[test]
fn what_is_skipped_is_decided_to_be_unmapped_and_ram_is_mapped_as_ever() {
    let [good, bad] = both(Defect::UnmapsWhatItSkipped, &Machine::default(), &inventory());
    let count = |plan: &Plan, decision| plan.dma.iter().filter(|dma| dma.decision == decision).count();
    let counts = |plan: &Plan| {
        [Decision::Map, Decision::SkipDeviceMemory, Decision::SkipAndUnmap].map(|one| count(plan, one))
    };
    // Each of two devices: RAM, and two BARs and two windows that can be mapped.
    assert_eq!((counts(&good.unwrap()), counts(&bad.unwrap())), ([2, 8, 0], [2, 0, 8]));
}

#[test]
fn a_second_endpoint_is_refused_or_given_the_window_of_the_first() {
    let bridge = BridgeIntent { name: "a".to_owned(), ..BridgeIntent::default() };
    let below = |name: &str| (name.to_owned(), "a".to_owned());
    let topology = Topology {
        bridges: vec![bridge],
        windows: vec![WindowIntent { size: GRANULE, targets: vec!["a".to_owned()] }],
        below: vec![below("gpu0"), below("gpu1")],
        ..Topology::default()
    };
    let machine = Machine { topology, ..Machine::default() };
    let [good, bad] = both(Defect::SecondEndpointTaken, &machine, &inventory());
    assert!(good.unwrap_err().to_string().contains("bridge = \"a\": gpu0 is below it"));
    assert_eq!(windows(&bad.unwrap()), [0x1_1000_0000; 2]);
}

#[test]
fn each_device_has_a_window_of_its_own_or_all_have_the_first() {
    let [good, bad] = both(Defect::FirstWindowForAll, &Machine::default(), &inventory());
    let bad = bad.unwrap();
    assert_eq!(windows(&good.unwrap()), [0x1_1000_0000, 0x1_2000_0000]);
    assert_eq!((windows(&bad), bad.windows.len()), (vec![0x1_1000_0000; 2], 2));
}
