//! A host bridge: PNP0A08, or ACPI0016 where it is one of CXL.

use acpi_tables::Aml;
use acpi_tables::aml::EISAName;
use acpi_tables::aml::ONE;
use acpi_tables::aml::Package;

use super::code::Code;
use super::device as named;
use super::dsm;
use super::name;
use super::osc;
use super::resources;
use crate::acpi::system::Bridge;
use crate::acpi::system::System;

/// Device 0, whichever of its functions.
const ANY_FUNCTION: u32 = 0xffff;

/// The device.
pub(super) fn device(system: &System, bridge: &Bridge) -> Code {
    let pcie = EISAName::new("PNP0A08");
    // Linux finds host bridges by this one.
    let pci = EISAName::new("PNP0A03");
    let mut inside = Code::default();
    if bridge.is_cxl() {
        // Linux tells a CXL host bridge by this text.
        inside.add(&name("_HID", &"ACPI0016"));
        inside.add(&name("_CID", &Package::new(vec![&pcie, &pci])));
    } else {
        inside.add(&name("_HID", &pcie));
        inside.add(&name("_CID", &pci));
    }
    inside.add(&name("_UID", &bridge.uid()));
    inside.add(&name("_BBN", &bridge.bus));
    inside.add(&name("_SEG", &system.ecam.segment));
    // DMA is coherent.
    inside.add(&name("_CCA", &ONE));
    bridge.node.iter().for_each(|node| inside.add(&name("_PXM", node)));
    inside.add(&name("_CRS", &resources::of_bridge(system, bridge)));
    bridge.pins.iter().for_each(|pins| inside.add(&name("_PRT", &routing(*pins))));
    inside.add(&osc::method(bridge.is_cxl()));
    if system.preserve_config {
        inside.add(&dsm::method());
    }
    named(&format!("PC{:02X}", bridge.bus), &inside)
}

/// `_PRT`: where the pins of device 0 are wired to. Those of a device below it come out at the same pin of it.
fn routing(pins: [u32; 4]) -> Code {
    // An entry names the device, with any function, the pin from 0, no interrupt link, and the interrupt.
    let entry =
        |(pin, interrupt): (u8, u32)| Code::of(&Package::new(vec![&ANY_FUNCTION, &pin, &0u8, &interrupt]));
    let entries: Vec<_> = (0..).zip(pins).map(entry).collect();
    Code::of(&Package::new(entries.iter().map(|entry| entry as &dyn Aml).collect()))
}
