//! Attaching two devices, and every step of it failing in turn: nothing is left of it, and nothing comes later.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::backend::Call;
use crate::backend::Shared;
use crate::backend::decoders::HdmDecoders;
use crate::backend::fake::CountedSlots;
use crate::discover::discover;
use crate::map::Attached;
use crate::plan::dma::Policy;
use crate::plan::dma::Wish;
use crate::plan::iommu::SmmuIntent;
use crate::plan::iommu::Way;

/// A machine in which devices reach each other, and the second one only what an SMMU translates.
fn machine() -> Machine {
    let dma = Wish { policy: Policy::Map, ats: false };
    Machine {
        dma,
        smmus: vec![SmmuIntent { bus: "gpu1 bridge".to_owned(), reach: Way::Ask }],
        ..Machine::default()
    }
}

/// Attaches the devices and starts a guest. `spoil` changes what is known of the devices once all is planned.
fn attach(
    fakes: &[Fake],
    slots: &Arc<CountedSlots>,
    spoil: impl Fn(&mut [Attached]),
) -> Result<Running, String> {
    let mut devices = Vec::new();
    for fake in fakes {
        let client = fake.shared();
        let inventory = discover(&client).map_err(|error| error.to_string())?;
        let backend = Shared::new(HdmDecoders::new(client, &inventory));
        devices.push(Attached { backend, inventory });
    }
    let named: Vec<_> =
        ["gpu0", "gpu1"].into_iter().zip(devices.iter().map(|device| &device.inventory)).collect();
    let plan = plan(&machine(), &named).map_err(|error| error.to_string())?;
    spoil(&mut devices);
    let mappings = map(plan, devices, slots.clone()).map_err(|error| error.to_string())?;
    let programmed = mappings.machine_done().map_err(|error| error.to_string())?;
    programmed.run(&Hypervisor::Soft, TIMEOUT).map_err(|error| error.to_string())
}

/// What a device shows of what was done to it: what it reaches, what is attached, its command register, its
/// decoders.
fn traces(fake: &Fake) -> (usize, usize, u32, Vec<u8>) {
    fake.look(|state| {
        let registers = state.regions[&state.registers()].bytes.clone();
        (state.dma.len(), state.events.len(), state.dword(7, 4), registers)
    })
}

/// The name of a call, without what it is about.
fn kind(call: &Call) -> String {
    let text = format!("{call:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}

fn wrote_registers(fake: &Fake) -> bool {
    fake.look(|state| {
        let registers = state.registers();
        let mut calls = state.calls.iter();
        calls.any(|call| matches!(call, Call::Write { region, .. } if *region == registers))
    })
}

fn pair(kernel: usize) -> [Fake; 2] {
    [0, 1].map(|_| Fake::of_every_kernel().into_iter().nth(kernel).unwrap())
}

/// Fails call after call of one device until there was none to fail. Returns what was failed.
fn failing(kernel: usize, broken: usize, failure: &Failure) -> Vec<String> {
    let clean = pair(kernel).map(|fake| traces(&fake));
    let lost = matches!(failure, Failure::Lost(_));
    let mut failed = Vec::new();
    for number in 1.. {
        let fakes = pair(kernel);
        let fake = fakes[broken].clone().with(|state| state.fail_at = Some((number, failure.clone())));
        let slots = Arc::new(CountedSlots::default());
        let outcome = attach(&fakes, &slots, |_| {});
        let Some(call) = fake.look(|state| state.calls.get(number - 1).copied()) else {
            assert!(outcome.is_ok(), "no call failed: {:?}", outcome.err());
            return failed;
        };
        // A region or an interrupt that the device says it has not is none, and the rest is attached. The same goes
        // for one that it takes no event for, and for writes that it has no events for.
        let is_list = matches!(call, Call::RegionInfo { .. } | Call::IrqInfo { .. })
            || matches!(call, Call::SetIrqs { .. } | Call::IoEvents { .. });
        // Discovery turns the newest kernel's device on to look at it. That it cannot be turned off again is no
        // reason not to attach it; nor can that be undone.
        let is_undo =
            kernel == 2 && matches!(call, Call::Write { region: 7, offset: 4, .. }) && outcome.is_ok();
        assert!(outcome.is_err() || (is_list || is_undo) && !lost, "{call} failed, and it is attached");
        failed.push(kind(&call));
        drop(outcome);
        assert_eq!(slots.here(), 0, "memory slots after {call}");
        for (index, fake) in fakes.iter().enumerate() {
            // Of a device that is gone nothing can be put back.
            if index != broken || !lost && !is_undo {
                assert_eq!(traces(fake), clean[index], "device {index} after {call}");
            }
        }
    }
    failed
}

#[rstest]
fn an_attach_that_fails_at_any_call_leaves_everything_as_it_was(
    #[values(0, 1, 2)] kernel: usize,
    #[values(0, 1)] broken: usize,
    #[values(Failure::Refused(Errno::EIO), Failure::Lost("gone".to_owned()))] failure: Failure,
) {
    let failed = failing(kernel, broken, &failure);
    let mut expected = BTreeSet::from(["DeviceInfo", "RegionInfo", "IrqInfo", "Read", "Write", "DmaMap"]);
    expected.extend(["SetIrqs", "IoEvents"]);
    if broken == 1 {
        // The one behind the SMMU asks.
        expected.insert("DmaAsk");
        expected.remove("DmaMap");
    }
    let kinds: BTreeSet<_> = failed.iter().map(String::as_str).collect();
    assert_eq!(kinds, expected);
    // Device info, 11 regions, 5 interrupts, configuration space, registers, and all that the machine does.
    assert!(failed.len() > 30, "{} calls were failed", failed.len());
}

#[rstest]
fn a_device_that_fails_before_machine_done_is_never_programmed(#[values(0, 1)] broken: usize) {
    // The last call before machine-done that one device alone makes: its command register.
    let probe = pair(0);
    let slots = Arc::new(CountedSlots::default());
    drop(attach(&probe, &slots, |_| {}).unwrap());
    let command = probe[broken].look(|state| {
        let mut calls = state.calls.iter();
        calls.position(|call| matches!(call, Call::Write { region: 7, offset: 4, .. })).unwrap() + 1
    });
    let fakes = pair(0);
    let refusal = Failure::Refused(Errno::EIO);
    let _ = fakes[broken].clone().with(|state| state.fail_at = Some((command, refusal)));
    let error = attach(&fakes, &slots, |_| {}).unwrap_err();
    assert!(error.contains("REGION_WRITE of region 7 at 0x4"), "{error}");
    assert_eq!(fakes.each_ref().map(wrote_registers), [false, false]);
    assert!(wrote_registers(&probe[broken]), "one that does not fail is");
}

#[test]
fn devices_that_are_taken_away_before_machine_done_are_never_programmed() {
    let fakes = pair(0);
    let client = fakes.each_ref().map(Fake::shared);
    let devices: Vec<_> = client
        .iter()
        .map(|backend| Attached { backend: backend.clone(), inventory: discover(backend).unwrap() })
        .collect();
    let named = [("gpu0", &devices[0].inventory), ("gpu1", &devices[1].inventory)];
    let plan = plan(&machine(), &named).unwrap();
    let slots = Arc::new(CountedSlots::default());
    drop(map(plan, devices, slots.clone()).unwrap());
    assert_eq!(fakes.each_ref().map(wrote_registers), [false, false]);
    assert_eq!((slots.here(), traces(&fakes[0])), (0, traces(&pair(0)[0])));
}

#[test]
fn an_attach_that_is_refused_any_memory_slot_leaves_everything_as_it_was() {
    let clean = pair(0).map(|fake| traces(&fake));
    let mut number = 1;
    loop {
        let (fakes, slots) = (pair(0), Arc::new(CountedSlots::default()));
        slots.refuse_from(number);
        if attach(&fakes, &slots, |_| {}).is_ok() {
            break;
        }
        assert_eq!((slots.here(), slots.made()), (0, number));
        assert_eq!(fakes.map(|fake| traces(&fake)), clean, "at slot {number}");
        number += 1;
    }
    // RAM, and of each device two parts of a BAR and the window.
    assert_eq!(number - 1, 7);
}

#[test]
fn an_attach_that_cannot_map_any_region_leaves_everything_as_it_was() {
    let clean = pair(0).map(|fake| traces(&fake));
    let mut failed = Vec::new();
    for device in 0..2 {
        for region in [2, 9] {
            let (fakes, slots) = (pair(0), Arc::new(CountedSlots::default()));
            // The file is gone when it is mapped: what the system does when it has no room.
            let spoil = |devices: &mut [Attached]| {
                let mut regions = devices[device].inventory.regions.iter_mut();
                regions.find(|found| found.index == region).unwrap().file = None;
            };
            failed.push(attach(&fakes, &slots, spoil).unwrap_err());
            assert_eq!(slots.here(), 0);
            assert_eq!(fakes.map(|fake| traces(&fake)), clean, "device {device}, region {region}");
        }
    }
    let why = "the device gave no file that maps the region";
    let expected = ["gpu0: region 2", "gpu0: region 9", "gpu1: region 2", "gpu1: region 9"];
    assert_eq!(failed, expected.map(|place| format!("{place}: {why}")));
}
