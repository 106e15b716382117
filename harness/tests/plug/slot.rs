//! A machine with an empty slot, and devices for it that are served.

use harness::process::DeviceProcess;
use vmm_core::backend::Shared;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::map::Attached;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::dma::Wish;
use vmm_core::plan::machine::Machine;
use vmm_core::plan::topology::BridgeIntent;
use vmm_core::plan::topology::Reserve;
use vmm_core::plan::topology::Topology;
use vmm_core::plan::topology::WindowIntent;

/// A device that is served, ready for a machine.
pub(crate) fn attached(process: &DeviceProcess) -> Attached {
    let client = VfioUser::connect(process.socket(), DEFAULT_TIMEOUT).unwrap();
    Attached::discovered(Shared::new(client)).unwrap()
}

/// Bridge `a` with gpu0, and bridge `b` with an empty slot. Devices reach each other.
pub(crate) fn machine() -> Machine {
    let reserve = Reserve { memory: 1 << 20, prefetchable: 2 << 20 };
    let bridge = |name: &str| BridgeIntent { name: name.to_owned(), reserve, ..BridgeIntent::default() };
    let window = |name: &str| WindowIntent { size: 256 << 20, targets: vec![name.to_owned()] };
    let topology = Topology {
        bridges: ["a", "b"].map(bridge).into(),
        windows: ["a", "b"].map(window).into(),
        below: vec![("gpu0".to_owned(), "a".to_owned())],
        ..Topology::default()
    };
    Machine { topology, dma: Wish { policy: Policy::Map, ats: false }, ..Machine::default() }
}
