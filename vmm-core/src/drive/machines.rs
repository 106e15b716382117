//! Machines for one device or two, whose BARs may be large, as bytes: what is planned for them.
//!
//! - Devices that are below bridges of their own have places for BARs of up to 128 GiB and windows of their own.
//! - Two devices below one bridge are refused.
//! - Where a device does ATS, and nobody asked that device memory be skipped, it reaches the memory of all.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

use cxl_spec::component::hdm::GRANULE;
use cxl_spec::pci::extended_capability;
use vfio_abi::cxl::Revision;

use super::device::Device;
use super::laws::check_plan;
use crate::backend::Shared;
use crate::discover::Inventory;
use crate::discover::config::Extended;
use crate::discover::discover;
use crate::plan::Decision;
use crate::plan::defect::Defect;
use crate::plan::dma::Wish;
use crate::plan::machine::Arch;
use crate::plan::machine::Machine;
use crate::plan::plan;
use crate::plan::topology::BridgeIntent;
use crate::plan::topology::Topology;
use crate::plan::topology::WindowIntent;

/// The devices.
const NAMES: [&str; 2] = ["gpu0", "gpu1"];

/// The BAR that may be large, and how: a power of two.
const BAR: u8 = 2;
const LEAST_BAR: u32 = 20;
const MOST_BAR: u32 = 37;

/// Any bytes are such a machine: which architecture, how large the BARs are, how many devices, and whether they are
/// below one bridge. It has these defects and this wish for DMA.
pub fn any_plan(defects: &[Defect], dma: Wish, bytes: &[u8]) {
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let Ok(mut inventory) = discover(&Shared::new(Device::good(Revision::V2))) else { return };
    let sizes = MOST_BAR - LEAST_BAR + 1;
    let bars = inventory.config.bars.iter_mut().filter(|bar| bar.index == BAR);
    bars.for_each(|bar| bar.size = 1 << (LEAST_BAR + u32::from(byte(1)) % sizes));
    // Far behind what such a device has: nobody reads it there.
    let ats = Extended { offset: 0xf00, id: extended_capability::ATS, version: 1, dvsec: None };
    inventory.config.extended.push(ats);
    let is_shared = byte(3) & 1 == 1;
    let arch = if byte(0) & 1 == 0 { Arch::X86_64 } else { Arch::Aarch64 };
    let machine = Machine {
        arch,
        address_bits: arch.default_address_bits(),
        topology: if is_shared { shared() } else { Topology::default() },
        dma,
        defects: defects.to_vec(),
        ..Machine::default()
    };
    let devices: Vec<(&str, &Inventory)> = NAMES.into_iter().map(|name| (name, &inventory)).collect();
    let count = if byte(2) & 1 == 0 { 1 } else { 2 };
    let devices = devices.get(..count).unwrap_or_default();
    match plan(&machine, devices) {
        Ok(planned) => {
            let inventories: Vec<&Inventory> = devices.iter().map(|(_, inventory)| *inventory).collect();
            check_plan(&planned, &inventories);
            let cut_off = planned.dma.iter().any(|dma| dma.decision == Decision::SkipDespiteAts);
            assert!(!cut_off, "a device that does ATS cannot reach device memory");
        }
        Err(error) => assert!(is_shared && count == 2, "a machine that can be is refused: {error}"),
    }
}

/// Both devices below the same bridge.
fn shared() -> Topology {
    let bridge = BridgeIntent { name: "a".to_owned(), ..BridgeIntent::default() };
    Topology {
        windows: vec![WindowIntent { size: GRANULE, targets: vec![bridge.name.clone()] }],
        below: NAMES.into_iter().map(|name| (name.to_owned(), bridge.name.clone())).collect(),
        bridges: vec![bridge],
        ..Topology::default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::dma::Policy;

    proptest! {
        #[test]
        fn machines_for_large_devices_are_planned_and_two_below_one_bridge_are_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..5),
            ats in any::<bool>(),
        ) {
            any_plan(&[], Wish { policy: Policy::Map, ats }, &bytes);
            any_plan(&[], Wish::default(), &bytes);
        }
    }
}
