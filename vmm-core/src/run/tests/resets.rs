//! Resets of the machine, of a device by the machine, and of a device by its guest.

use super::*;
use crate::backend::Call;
use crate::backend::fake::AtReset;
use crate::plan::life::AfterReset;
use crate::plan::life::Life;

/// Device Control in the fake's configuration space, and the bit that resets the function.
const DEVICE_CONTROL: u64 = 0x48;
const INITIATE_FLR: u64 = 0x8000;

fn machine(after_reset: AfterReset) -> Machine {
    Machine { life: Life { after_reset, ..Life::default() }, ..Machine::default() }
}

/// A machine with one device, running a soft guest, and what is written to the device's decoder from now on.
fn recorded_on(fake: &Fake, machine: &Machine) -> (Running, Recording, u64) {
    let recording = Recording::default();
    let attached = fake.attached(recording.clone());
    let hdm = attached.inventory.cxl.as_ref().unwrap().hdm;
    let plan = plan(machine, &[("gpu0", &attached.inventory)]).unwrap();
    let mappings = map(plan, vec![attached], Hypervisor::Soft.slots()).unwrap();
    let programmed = mappings.machine_done().unwrap();
    recording.take();
    (programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap(), recording, hdm)
}

fn writes(recording: &Recording, region: u32, hdm: u64) -> Vec<(u64, u64)> {
    let accesses = recording.take().into_iter();
    let writes = accesses.filter(|access| access.is_write && access.region == region);
    writes.map(|access| (access.offset - hdm, access.value)).collect()
}

/// What machine-done writes to a decoder that shows no lock, by offset in the HDM capability.
const MACHINE_DONE: [(u64, u64); 3] = [(0x10, 0x1000_0000), (0x14, 1), (0x20, 0x700)];

fn registers(running: &mut Running) -> [u64; 3] {
    [0x10, 0x14, 0x20].map(|offset| {
        let at = bar2(running, HDM_IN_BAR + offset);
        running.load(at, Width::Dword).unwrap()
    })
}

#[test]
fn after_a_reset_of_the_machine_every_kernels_decoder_is_written_as_at_machine_done() {
    for fake in Fake::of_every_kernel() {
        let (mut running, recording, hdm) = recorded_on(&fake, &Machine::default());
        let region = fake.look(|state| state.registers());
        running.reset().unwrap();
        assert_eq!(writes(&recording, region, hdm), MACHINE_DONE);
        assert_eq!(registers(&mut running), [0x1000_0000, 1, 0x700]);
        let at = window(&running, 0x40);
        running.store(at, Width::Dword, 7).unwrap();
        assert_eq!((running.load(at, Width::Dword), running.unplaced(0)), (Ok(7), None));
    }
}

#[test]
fn where_nothing_follows_a_reset_the_base_is_0_and_nothing_is_written() {
    let fake = Fake::committed();
    let (mut running, recording, hdm) = recorded_on(&fake, &machine(AfterReset::Nothing));
    running.reset().unwrap();
    assert_eq!((writes(&recording, 10, hdm), registers(&mut running)), (Vec::new(), [0, 0, 0x600]));
    let flr = config(&running, DEVICE_CONTROL);
    running.store(flr, Width::Word, INITIATE_FLR).unwrap();
    assert_eq!((writes(&recording, 10, hdm), registers(&mut running)), (Vec::new(), [0, 0, 0x600]));
}

#[rstest]
#[case::as_a_word(0x48, Width::Word, 0x8000, true)]
#[case::as_its_upper_byte(0x49, Width::Byte, 0x80, true)]
#[case::as_a_dword(0x48, Width::Dword, 0x8000, true)]
#[case::its_lower_byte(0x48, Width::Byte, 0x80, false)]
#[case::another_bit(0x48, Width::Word, 0x7fff, false)]
#[case::another_register(0x4a, Width::Word, 0x8000, false)]
fn a_guests_function_level_reset_is_noticed_however_it_is_written(
    #[case] offset: u64,
    #[case] width: Width,
    #[case] value: u64,
    #[case] noticed: bool,
) {
    let fake = Fake::committed();
    let (mut running, recording, hdm) = recorded_on(&fake, &Machine::default());
    let at = config(&running, offset);
    running.store(at, width, value).unwrap();
    let expected = if noticed { MACHINE_DONE.to_vec() } else { Vec::new() };
    assert_eq!(writes(&recording, 10, hdm), expected);
    assert_eq!(registers(&mut running), [0x1000_0000, 1, 0x700]);
}

#[test]
fn a_guests_reset_that_loses_nothing_has_nothing_written() {
    let fake = Fake::june();
    let (mut running, recording, hdm) = recorded_on(&fake, &Machine::default());
    let at = config(&running, DEVICE_CONTROL);
    running.store(at, Width::Word, INITIATE_FLR).unwrap();
    assert_eq!(writes(&recording, 9, hdm), []);
    assert_eq!(registers(&mut running), [0x1000_0000, 1, 0x700]);
}

#[test]
fn while_a_device_is_in_reset_its_memory_and_bars_are_out_of_the_guest() {
    use crate::backend::fake::CountedSlots;
    let fake = Fake::committed();
    let attached = fake.attached(Recording::default());
    let plan = plan(&Machine::default(), &[("gpu0", &attached.inventory)]).unwrap();
    let slots = Arc::new(CountedSlots::default());
    let programmed = map(plan, vec![attached], slots.clone()).unwrap().machine_done().unwrap();
    let mut running = programmed.run(&Hypervisor::Soft, TIMEOUT).unwrap();
    let here = slots.here();
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (log, there) = (seen.clone(), slots.clone());
    let _ = fake.clone().with(|state| {
        state.at_reset = Some(AtReset(Box::new(move || log.lock().push(there.here()))));
    });
    running.reset_device(0).unwrap();
    running.reset().unwrap();
    let at = config(&running, DEVICE_CONTROL);
    running.store(at, Width::Word, INITIATE_FLR).unwrap();
    assert_eq!((here, slots.here()), (4, 4), "RAM, two parts of a BAR, the window");
    assert_eq!(*seen.lock(), [1, 1, 1], "RAM alone");
}

#[test]
fn a_reset_of_the_machine_resets_each_device_once_and_enables_it_again() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let command = config(&running, 4);
    running.store(command, Width::Word, 0).unwrap();
    let before = fake.look(|state| state.calls.len());
    running.reset().unwrap();
    let calls = fake.look(|state| state.calls[before..].to_vec());
    assert_eq!(calls.iter().filter(|call| **call == Call::Reset).count(), 1);
    assert_eq!(running.load(command, Width::Word), Ok(6), "memory and bus mastering");
    assert_eq!(running.refused(), 0);
}

#[test]
fn a_reset_of_the_machine_keeps_what_devices_reach_of_ram_and_maps_nothing_twice() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let before = fake.look(|state| state.dma.clone());
    let calls = fake.look(|state| state.calls.len());
    running.reset().unwrap();
    let maps = fake.look(|state| {
        let mut calls = state.calls[calls..].iter();
        calls.any(|call| matches!(call, Call::DmaMap { .. } | Call::DmaUnmap { .. }))
    });
    assert_eq!((fake.look(|state| state.dma.clone()), maps), (before, false));
}

#[test]
fn a_machine_that_does_not_come_back_obeys_no_more_and_leaves_nothing() {
    let fake = Fake::committed();
    let mut running = running(&fake);
    let calls = fake.look(|state| state.calls.len());
    let mut failed = 0;
    // Whatever fails: bringing a device down, resetting it, bringing it up again.
    for step in 1..=30 {
        let fake = Fake::committed();
        let mut running = super::running(&fake);
        let fail = (calls + step, Failure::Refused(Errno::EIO));
        let _ = fake.clone().with(|state| state.fail_at = Some(fail));
        let outcome = running.reset();
        let made = fake.look(|state| state.calls.len());
        let window = window(&running, 0);
        if made < calls + step {
            assert!(outcome.is_ok());
            break;
        }
        if outcome.is_err() {
            failed += 1;
            assert_eq!(running.load(window, Width::Dword), Err(GuestError::Stopped));
            assert!(matches!(running.reset(), Err(ResetError::Guest(_) | ResetError::Device(_))));
        }
        drop(running);
        assert_eq!(fake.look(|state| state.dma.len()), 0, "after call {step}");
    }
    assert!(failed >= 8, "{failed} failed");
    assert!(running.reset().is_ok());
}

#[test]
fn a_guests_reset_after_which_the_size_is_gone_leaves_ones_in_place_of_the_memory() {
    let fake = Fake::committed();
    let (mut running, recording, hdm) = recorded_on(&fake, &Machine::default());
    let at = window(&running, 0x40);
    running.store(at, Width::Dword, 7).unwrap();
    let _ = fake.clone().with(|state| state.set(10, DECODER + 8, 0));
    let flr = config(&running, DEVICE_CONTROL);
    running.store(flr, Width::Word, INITIATE_FLR).unwrap();
    assert_eq!(running.load(at, Width::Dword), Ok(0xffff_ffff));
    let why = "gpu0: HDM Decoder Size Low reads 0x0 where 0x10000000 was expected";
    assert_eq!(running.unplaced(0).unwrap(), why);
    assert_eq!(writes(&recording, 10, hdm), [], "nothing is committed over nothing");
    assert!(running.refused() > 0);
    // Once the size is there again, so is the memory, with what was in it.
    let _ = fake.clone().with(|state| state.set(10, DECODER + 8, 0x1000_0000));
    running.reset_device(0).unwrap();
    assert_eq!((running.load(at, Width::Dword), running.unplaced(0)), (Ok(7), None));
}

#[test]
fn dropping_a_machine_after_a_reset_puts_back_what_the_reset_left() {
    let fake = Fake::committed().with(|state| state.set(10, DECODER, 0x3000_0000));
    let mut running = running(&fake);
    running.reset().unwrap();
    drop(running);
    assert_eq!([DECODER, DECODER + 4, CONTROL].map(|at| fake.dword(10, at)), [0, 0, 0x600]);
}
