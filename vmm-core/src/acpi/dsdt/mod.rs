//! DSDT: the devices that nobody can find by looking, as AML.
//!
//! ```text
//!  \_SB_
//!   ├ C000 ...  processors
//!   ├ COM0      the console
//!   ├ RES0      configuration space is taken
//!   ├ PC00 ...  host bridges, named after their first bus: _CRS, _PRT, _OSC, _DSM
//!   └ CXLM      there is CXL: a guest looks for the CEDT
//! ```

mod bridge;
mod code;
mod dsm;
mod osc;
mod resources;

use acpi_tables::Aml;
use acpi_tables::aml::Device;
use acpi_tables::aml::EISAName;
use acpi_tables::aml::Name;
use acpi_tables::aml::Path;
use acpi_tables::aml::Scope;

use super::sealed::sealed;
use super::system::Platform;
use super::system::System;
use super::system::Uart;
use code::Code;

/// The revision whose integers have 64 bits.
const REVISION: u8 = 2;

/// A device that is there, works, and is not shown to users.
const PRESENT: u8 = 0x0b;

/// The table.
pub(super) fn table(system: &System) -> Vec<u8> {
    let mut devices = Code::default();
    for uid in (0u32..).take(system.cpus.len()) {
        devices.add(&processor(uid));
    }
    system.uart.iter().for_each(|uart| devices.add(&console(&system.platform, uart)));
    devices.add(&configuration_space(system));
    for one in &system.bridges {
        devices.add(&bridge::device(system, one));
    }
    if system.first_cxl().is_some() {
        devices.add(&cxl_root());
    }
    let mut body = Vec::new();
    Scope::new(Path::new("\\_SB_"), vec![&devices]).to_aml_bytes(&mut body);
    sealed(*b"DSDT", REVISION, &body)
}

/// A device of this name with this inside.
fn device(name: &str, inside: &Code) -> Code {
    Code::of(&Device::new(Path::new(name), vec![inside]))
}

/// A name with this value.
fn name(name: &str, value: &dyn Aml) -> Name {
    Name::new(Path::new(name), value)
}

fn processor(uid: u32) -> Code {
    let mut inside = Code::default();
    inside.add(&name("_HID", &"ACPI0007"));
    inside.add(&name("_UID", &uid));
    device(&format!("C{uid:03X}"), &inside)
}

fn console(platform: &Platform, uart: &Uart) -> Code {
    let mut inside = Code::default();
    match platform {
        Platform::X86_64 { .. } => inside.add(&name("_HID", &EISAName::new("PNP0501"))),
        Platform::Aarch64 { .. } => inside.add(&name("_HID", &"ARMH0011")),
    }
    inside.add(&name("_UID", &0u32));
    inside.add(&name("_CRS", &resources::of_console(platform, uart)));
    device("COM0", &inside)
}

fn configuration_space(system: &System) -> Code {
    let mut inside = Code::default();
    inside.add(&name("_HID", &EISAName::new("PNP0C02")));
    inside.add(&name("_UID", &0u32));
    inside.add(&name("_CRS", &resources::of_configuration_space(&system.ecam)));
    device("RES0", &inside)
}

fn cxl_root() -> Code {
    let mut inside = Code::default();
    inside.add(&name("_HID", &"ACPI0017"));
    inside.add(&name("_STA", &PRESENT));
    device("CXLM", &inside)
}
