//! A device that may say anything, as bytes: property tests and fuzzers are two callers of [`hostile_device`].
//!
//! What must hold, whatever the device says:
//!
//! - every stage ends in the next one or in an error;
//! - nothing is read or kept because the device says that there is so much of it;
//! - what is planned is apart, aligned and inside; what is mapped is what was planned, and goes again;
//! - a machine whose guest runs has its decoder at its window.
//!
//! What is planned for large devices, and for two of them, is in [`machines`].
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

mod device;
pub(crate) mod laws;
pub mod machines;

use std::sync::Arc;
use std::time::Duration;

use cxl_spec::access::Width;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;
use device::Device;
use laws::LawfulSlots;
use vfio_abi::cxl::Revision;

use crate::backend::Shared;
use crate::map::Attached;
use crate::map::MapError;
use crate::map::map;
use crate::plan::Plan;
use crate::plan::machine::LEAST_RAM;
use crate::plan::machine::Machine;
use crate::plan::plan;
use crate::program::ProgramError;
use crate::run::Hypervisor;
use crate::run::Running;

/// How far a machine with such a device comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// The device cannot be understood.
    Nothing,
    /// It is understood and cannot be attached.
    Discovered,
    /// It could be attached and cannot be mapped.
    Planned,
    /// It is mapped and cannot be programmed.
    Mapped,
    /// A guest runs.
    Running,
}

/// The patches that a device gets at most: more tell nothing new.
const MOST_PATCHES: usize = 64;

/// Any bytes are a device: the first says which revision of vfio-cxl it speaks, and every eight behind it are a
/// patch to something that it says.
pub fn hostile_device(bytes: &[u8]) -> Reached {
    let (first, patches) = bytes.split_first().unwrap_or((&0, &[]));
    let mut revisions = Revision::ALL.into_iter().cycle();
    let revision = revisions.nth((*first).into()).unwrap_or(Revision::V2);
    let mut device = Device::good(revision);
    for patch in patches.chunks_exact(8).take(MOST_PATCHES) {
        if let Ok(patch) = patch.try_into() {
            device.patch(patch);
        }
    }
    let slots = Arc::new(LawfulSlots::default());
    let reached = attach(device, &slots);
    assert!(slots.is_empty(), "memory that nobody took back");
    reached
}

fn attach(device: Device, slots: &Arc<LawfulSlots>) -> Reached {
    let Ok(device) = Attached::discovered(Shared::new(device)) else { return Reached::Nothing };
    laws::check_inventory(&device.inventory);
    let machine = Machine { ram: LEAST_RAM, ..Machine::default() };
    let Ok(planned) = plan(&machine, &[("hostile", &device.inventory)]) else { return Reached::Discovered };
    laws::check_plan(&planned, &[&device.inventory]);
    let mappings = match map(planned, vec![device], slots.clone()) {
        Ok(mappings) => mappings,
        Err(error) => return refused_by_the_system(&error, Reached::Planned),
    };
    let programmed = match mappings.machine_done() {
        Ok(programmed) => programmed,
        Err(ProgramError::Map(error)) => return refused_by_the_system(&error, Reached::Mapped),
        Err(_) => return Reached::Mapped,
    };
    // A guest without a hypervisor takes no time and starts always.
    let Ok(mut running) = programmed.run(&Hypervisor::Soft, Duration::MAX) else { return Reached::Mapped };
    let planned = running.plan().clone();
    touch(&mut running, &planned);
    // Whatever the device does of it, nobody is harmed, and what cannot come back is out.
    if running.reset().is_ok() {
        touch(&mut running, &planned);
    }
    Reached::Running
}

/// A plan that was made has a place for everything: only the system may refuse.
fn refused_by_the_system(error: &MapError, reached: Reached) -> Reached {
    assert!(!matches!(error, MapError::Space { .. } | MapError::OtherDevices { .. }), "{error}");
    reached
}

/// The guest looks at its decoder, and everywhere else a little.
fn touch(running: &mut Running, planned: &Plan) {
    for device in &planned.devices {
        let register = |offset| device.overlay.span.start().checked_add(device.programme.decoder + offset);
        let base = [hdm::BASE_LOW, hdm::BASE_HIGH].map(|offset| {
            let loaded = register(offset).map(|at| running.load(at, Width::Dword));
            loaded.and_then(Result::ok).unwrap_or(0) as u32
        });
        let [low, high] = base;
        assert_eq!(hdm::join(low, high), device.window.span.start().get(), "the decoder is at its window");
        let bars = device.bars.iter().flat_map(|bar| bar.pieces.iter().map(|piece| (bar.span, piece)));
        let bars = bars.filter_map(|(span, piece)| span.start().checked_add(piece.range.start));
        let bridge = planned.bridges.get(device.bridge).into_iter();
        let bridge = bridge.flat_map(|bridge| [bridge.registers, bridge.port.config, bridge.port.bar]);
        let machine = bridge.chain([device.config, device.window.span]).map(Span::start);
        for at in bars.chain(machine) {
            for width in Width::ALL {
                assert!(running.load(at, width).is_ok() && running.store(at, width, u64::MAX).is_ok());
            }
        }
    }
}

#[cfg(test)]
mod tests;
