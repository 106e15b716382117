//! A served device that comes and goes many times: files, mappings, threads and processes are as before, with a soft
//! guest and under KVM where there is KVM.
//!
//! There is one test here, so that no other opens files meanwhile.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod slot;

use std::path::Path;
use std::time::Duration;

use cxl_spec::access::Width;
use harness::process::DeviceProcess;
use harness::soak::Left;
use sim_device::kernel::Abi;
use slot::attached;
use slot::machine;
use vmm_core::backend::kvm;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::map::map;
use vmm_core::plan::plan;
use vmm_core::run::Hypervisor;
use vmm_core::run::Running;

/// How often the device comes and goes.
const CYCLES: u64 = 100;

fn running(process: &DeviceProcess, hypervisor: &Hypervisor) -> Running {
    let device = attached(process);
    let planned = plan(&machine(), &[("gpu0", &device.inventory)]).unwrap();
    let programmed = map(planned, vec![device], hypervisor.slots()).unwrap().machine_done().unwrap();
    programmed.run(hypervisor, DEFAULT_TIMEOUT).unwrap()
}

fn come_and_go(make: impl Fn() -> Hypervisor, abi: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_cxl-sim"));
    let abi = Abi::named(abi).unwrap();
    let processes = [(), ()].map(|()| DeviceProcess::start(program, None, abi, DEFAULT_TIMEOUT).unwrap());
    let nothing = Left::now();
    let hypervisor = make();
    let mut running = running(&processes[0], &hypervisor);
    // A kernel may begin a thread of its own for a guest that runs for the first time.
    let own = running.plan().devices[0].window.span.start();
    running.load(own, Width::Qword).unwrap();
    let before = Left::now();
    for cycle in 1..=CYCLES {
        let number = running.plug("b", "gpu1", attached(&processes[1])).unwrap();
        let more = Left::since(&before, Duration::ZERO);
        assert!(more.files > 0 && more.mappings > 0, "what is held is counted: {more}");
        let window = running.plan().devices[number].window.span.start();
        running.store(window, Width::Qword, cycle).unwrap();
        assert_eq!(running.load(window, Width::Qword), Ok(cycle));
        running.unplug(number).unwrap();
        assert_eq!(running.load(window, Width::Qword), Ok(u64::MAX));
        // What a connection was served by ends by itself.
        let left = Left::since(&before, DEFAULT_TIMEOUT);
        assert!(left.is_nothing(), "left over after cycle {cycle}: {left}");
        running.store(own, Width::Qword, cycle).unwrap();
        assert_eq!((running.load(own, Width::Qword), running.lost()), (Ok(cycle), None));
    }
    drop((running, hypervisor));
    let left = Left::since(&nothing, DEFAULT_TIMEOUT);
    assert!(left.is_nothing(), "left over: {left}");
}

#[test]
fn a_device_that_comes_and_goes_a_hundred_times_leaves_nothing() {
    for abi in ["v2", "v3", "next"] {
        come_and_go(|| Hypervisor::Soft, abi);
        // Where there is no KVM, there is no such guest.
        if kvm::Vm::new().is_ok() {
            come_and_go(|| Hypervisor::Kvm(kvm::Vm::new().unwrap()), abi);
        }
    }
}
