//! A guest that is busy with a device while that device and the other come and go, and while another processor turns
//! its decoder off and on: the guest goes on, reads ones of what is not there, and nothing is left over.
//!
//! There is one test here, so that no other opens files meanwhile.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../plug/slot.rs"]
mod slot;

use std::path::Path;
use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use harness::process::DeviceProcess;
use harness::soak::Counted;
use harness::soak::Left;
use sim_device::kernel::Abi;
use slot::attached;
use vmm_core::backend::kvm;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::map::map;
use vmm_core::plan::life::Life;
use vmm_core::plan::machine::Machine;
use vmm_core::plan::plan;
use vmm_core::run::Hypervisor;
use vmm_core::run::Running;
use vmm_core::run::guest::GuestError;
use vmm_core::run::guest::Rounds;

/// How often something comes and goes under a guest that is busy with one place.
const CYCLES: usize = 4;

/// What the guest stores.
const VALUE: u64 = 0x1122_3344_5566_7788;

struct Busy {
    running: Running,
    slots: Arc<Counted>,
    processes: [DeviceProcess; 2],
}

/// The machine with an empty slot, in which `guests` commits its decoder.
fn machine(guests: Option<&str>) -> Machine {
    let life = Life { guest_commits: guests.map(str::to_owned).into_iter().collect(), ..Life::default() };
    Machine { life, ..slot::machine() }
}

impl Busy {
    fn new(hypervisor: &Hypervisor, machine: &Machine, abi: &str) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_cxl-sim"));
        let abi = Abi::named(abi).unwrap();
        let processes = [(), ()].map(|()| DeviceProcess::start(program, None, abi, DEFAULT_TIMEOUT).unwrap());
        let device = attached(&processes[0]);
        let planned = plan(machine, &[("gpu0", &device.inventory)]).unwrap();
        let slots = Counted::over(hypervisor.slots());
        let programmed = map(planned, vec![device], slots.clone()).unwrap().machine_done().unwrap();
        let running = programmed.run(hypervisor, DEFAULT_TIMEOUT).unwrap();
        Self { running, slots, processes }
    }

    /// The device with this number comes.
    fn plug(&mut self, number: usize) {
        let (bridge, name) = [("a", "gpu0"), ("b", "gpu1")][number];
        let there = self.running.plug(bridge, name, attached(&self.processes[number])).unwrap();
        assert_eq!(there, number);
    }

    /// Waits until the guest has gone on in some way. A guest that is no more ends this.
    fn until(&mut self, count: impl Fn(Rounds) -> u64) {
        let before = count(self.running.rounds().unwrap());
        // One round may have been under way; a second one is new.
        while count(self.running.rounds().unwrap()) < before + 2 {
            std::thread::yield_now();
        }
    }

    fn slots(&self) -> usize {
        self.slots.here()
    }

    /// Places in the window of a device and in its BARs: memory, what is mapped of a BAR, what traps.
    fn places(&self, number: usize) -> Vec<Gpa> {
        let device = &self.running.plan().devices[number];
        let starts = device.bars.iter().map(|bar| bar.span.start());
        let window = device.window.span.start().checked_add(0x40).unwrap();
        // A qword there is in two pages of the memory.
        let across = device.window.span.start().checked_add(0x1ffc).unwrap();
        [window, across].into_iter().chain(starts).collect()
    }

    /// The guest is busy at a place of a device, which comes and goes.
    fn comes_and_goes(&mut self, number: usize, at: Gpa) {
        self.running.begin(at, VALUE).unwrap();
        assert_eq!(self.running.load(at, Width::Qword), Err(GuestError::Busy));
        for _ in 0..CYCLES {
            self.until(|rounds| rounds.kept + rounds.others);
            self.running.unplug(number).unwrap();
            self.until(|rounds| rounds.ones);
            self.plug(number);
        }
        let rounds = self.running.enough().unwrap();
        assert!(rounds.ones >= 2 * CYCLES as u64, "{rounds:?}");
        assert_eq!((self.running.lost(), self.running.unplaced(number)), (None, None));
    }

    /// The guest is busy with its RAM, or the other device, which feels nothing.
    fn others_come_and_go(&mut self, number: usize, at: Gpa) {
        self.running.begin(at, VALUE).unwrap();
        for _ in 0..CYCLES {
            self.running.unplug(number).unwrap();
            self.until(|rounds| rounds.kept);
            self.plug(number);
            self.until(|rounds| rounds.kept);
        }
        let rounds = self.running.enough().unwrap();
        assert_eq!((rounds.ones, rounds.others), (0, 0), "{rounds:?}");
    }
}

/// RAM of the guest that nobody uses.
const RAM: u64 = 0x40_0000;

fn devices_come_and_go(hypervisor: &Hypervisor, abi: &str) {
    let mut busy = Busy::new(hypervisor, &machine(None), abi);
    busy.running.load(Gpa::new(RAM), Width::Qword).unwrap();
    busy.plug(1);
    let (slots, before) = (busy.slots(), Left::now());
    for number in [1, 0] {
        for at in busy.places(number) {
            busy.comes_and_goes(number, at);
        }
        let other = busy.places(1 - number)[0];
        for at in [Gpa::new(RAM), other] {
            busy.others_come_and_go(number, at);
        }
    }
    let at = busy.places(0)[0];
    busy.running.begin(at, VALUE).unwrap();
    assert!(busy.running.reset().is_err(), "a machine whose guest is busy is not reset");
    busy.running.reset_device(0).unwrap();
    busy.until(|rounds| rounds.kept);
    busy.running.enough().unwrap();
    for at in [busy.places(0)[0], busy.places(1)[0]] {
        busy.running.store(at, Width::Qword, 7).unwrap();
        assert_eq!(busy.running.load(at, Width::Qword), Ok(7));
    }
    let left = Left::since(&before, DEFAULT_TIMEOUT);
    assert!(left.is_nothing() && busy.slots() == slots, "left over: {left}, {} slots", busy.slots());
    // One that is dropped while its guest is busy ends.
    busy.running.begin(at, VALUE).unwrap();
}

/// Another processor turns the decoder off and on, while the guest writes across two pages of the memory.
fn memory_comes_and_goes(hypervisor: &Hypervisor) {
    let mut busy = Busy::new(hypervisor, &machine(Some("gpu0")), "v2");
    let (device, bus) = (busy.running.plan().devices[0].clone(), busy.running.bus().clone());
    let decoder = device.overlay.span.start().checked_add(device.programme.decoder - 0x10).unwrap();
    let put = |offset, value: u32| bus.store(decoder.checked_add(offset).unwrap(), &value.to_le_bytes());
    let window = device.window.span;
    let base = window.start().get();
    let slots = busy.slots();
    for (offset, value) in
        [(4, 2), (0x10, base as u32), (0x14, (base >> 32) as u32), (0x18, window.size() as u32)]
    {
        put(offset, value);
    }
    put(0x20, 0x200);
    assert_eq!(busy.slots(), slots + 1);
    let across = busy.places(0)[1];
    busy.running.begin(across, VALUE).unwrap();
    for _ in 0..10 * CYCLES {
        busy.until(|rounds| rounds.kept);
        put(0x20, 0);
        busy.until(|rounds| rounds.ones);
        put(0x20, 0x200);
    }
    busy.running.enough().unwrap();
    assert_eq!((busy.running.load(across, Width::Qword), busy.slots()), (Ok(VALUE), slots + 1));
    // Where there is no memory, what is written is nowhere: it leaves the guest, and nobody takes it.
    put(0x20, 0);
    let before = busy.running.accesses();
    busy.running.store(across, Width::Qword, !VALUE).unwrap();
    assert_eq!((busy.running.load(across, Width::Qword), busy.slots()), (Ok(u64::MAX), slots));
    assert!(busy.running.accesses() >= before + 2, "both have left the guest");
    put(0x20, 0x200);
    assert_eq!(busy.running.load(across, Width::Qword), Ok(VALUE));
}

#[test]
fn a_busy_guest_goes_on_whatever_comes_and_goes_under_it() {
    for abi in ["v2", "v3", "next"] {
        devices_come_and_go(&Hypervisor::Soft, abi);
    }
    memory_comes_and_goes(&Hypervisor::Soft);
    // Where there is no KVM, there is no such guest.
    if kvm::Vm::new().is_err() {
        return;
    }
    let make = || Hypervisor::Kvm(kvm::Vm::new().unwrap());
    for abi in ["v2", "v3", "next"] {
        devices_come_and_go(&make(), abi);
    }
    memory_comes_and_goes(&make());
}
