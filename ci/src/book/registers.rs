//! The registers: every table of the specifications' package, with what a device reads after power-on.
//!
//! Names, offsets, bits and attributes are those of the tables that the device, the machine and these checks are built
//! from; what a field is, the source says. What is read is asked of the preset `t2-committed` behind
//! a kernel without vfio-cxl, which shows the silicon as it is.

use std::fs;

use cxl_spec::component;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use cxl_spec::pci;
use cxl_spec::pci::capability;
use cxl_spec::pci::extended_capability;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;
use cxl_spec::register::Register;

use super::comments::OfFields;
use super::comments::of_registers;
use super::markdown::LINE;
use super::markdown::code;
use super::markdown::page;
use super::markdown::table;
use super::seen::Place;
use super::seen::Seen;
use crate::workspace::Workspace;

/// A table, what it is, and where the device has it.
struct Listed {
    heading: &'static str,
    source: &'static str,
    place: Place,
    registers: &'static [Register],
}

const fn of(
    heading: &'static str,
    source: &'static str,
    place: Place,
    registers: &'static [Register],
) -> Listed {
    Listed { heading, source, place, registers }
}

/// Every table that there is.
const TABLES: &[Listed] = &[
    of("Header of an endpoint", "pci/header.rs", Place::Header, pci::header::REGISTERS),
    of("PCI Express", "pci/express.rs", Place::Capability(capability::EXPRESS), pci::express::REGISTERS),
    of("MSI-X", "pci/msix.rs", Place::Capability(capability::MSIX), pci::msix::REGISTERS),
    of("An entry of the MSI-X table", "pci/msix.rs", Place::Elsewhere("in BAR 0"), pci::msix::ENTRY),
    of("Power management", "pci/power.rs", Place::Capability(capability::POWER), pci::power::REGISTERS),
    of(
        "Advanced error reporting",
        "pci/aer.rs",
        Place::Extended(extended_capability::AER),
        pci::aer::REGISTERS,
    ),
    of(
        "Device serial number",
        "pci/serial.rs",
        Place::Extended(extended_capability::SERIAL_NUMBER),
        pci::serial::REGISTERS,
    ),
    of(
        "Address translation services",
        "pci/ats.rs",
        Place::Extended(extended_capability::ATS),
        pci::ats::REGISTERS,
    ),
    of("Data object exchange", "pci/doe.rs", Place::Extended(extended_capability::DOE), pci::doe::REGISTERS),
    of("DVSEC 0: CXL device", "dvsec/device.rs", Place::Dvsec(dvsec::id::DEVICE), dvsec::device::REGISTERS),
    of(
        "DVSEC 2: non-CXL function map",
        "dvsec/function_map.rs",
        Place::Dvsec(dvsec::id::FUNCTION_MAP),
        dvsec::function_map::REGISTERS,
    ),
    of(
        "DVSEC 5: GPF for devices",
        "dvsec/gpf.rs",
        Place::Dvsec(dvsec::id::GPF_DEVICE),
        dvsec::gpf::REGISTERS,
    ),
    of(
        "DVSEC 7: Flex Bus port, of a device",
        "dvsec/flex_bus.rs",
        Place::Dvsec(dvsec::id::FLEX_BUS),
        dvsec::flex_bus::REGISTERS,
    ),
    of(
        "DVSEC 8: register locator",
        "dvsec/register_locator.rs",
        Place::Dvsec(dvsec::id::REGISTER_LOCATOR),
        dvsec::register_locator::REGISTERS_OF_ONE,
    ),
    of("RAS", "component/ras.rs", Place::Component(array::id::RAS, 0), component::ras::REGISTERS),
    of(
        "HDM decoders: the head",
        "component/hdm.rs",
        Place::Component(array::id::HDM_DECODER, 0),
        hdm::HEADER,
    ),
    of(
        "HDM decoders: decoder 0, and every other 0x20 bytes further on",
        "component/hdm.rs",
        Place::Component(array::id::HDM_DECODER, hdm::HEADER_SIZE),
        hdm::DECODER,
    ),
    of(
        "BI decoder",
        "component/back_invalidate.rs",
        Place::Elsewhere("in a device with HDM-DB alone, as the preset `t2-hdm-db`"),
        component::back_invalidate::REGISTERS,
    ),
    of(
        "Header of a root port",
        "pci/bridge.rs",
        Place::Elsewhere("in the machine's own ports"),
        pci::bridge::REGISTERS,
    ),
    of(
        "PCI Express of a root port",
        "pci/express.rs",
        Place::Elsewhere("in the machine's own ports"),
        pci::express::ROOT_PORT_REGISTERS,
    ),
    of("MSI", "pci/msi.rs", Place::Elsewhere("in the machine's own ports"), pci::msi::REGISTERS),
    of(
        "DVSEC 3: CXL extensions for ports",
        "dvsec/port_extensions.rs",
        Place::Elsewhere("in the machine's own ports"),
        dvsec::port_extensions::REGISTERS,
    ),
    of(
        "DVSEC 4: GPF for ports",
        "dvsec/gpf.rs",
        Place::Elsewhere("in the machine's own ports"),
        dvsec::gpf::PORT_REGISTERS,
    ),
    of(
        "DVSEC 7: Flex Bus port, of a port",
        "dvsec/flex_bus.rs",
        Place::Elsewhere("in the machine's own ports"),
        dvsec::flex_bus::PORT_REGISTERS,
    ),
    of(
        "Extended security",
        "component/extended_security.rs",
        Place::Elsewhere("in the machine's own host bridges"),
        component::extended_security::REGISTERS_OF_ONE,
    ),
];

/// Where the sources of the tables are.
const SOURCES: &str = "spec/cxl/src";

/// Where registers come from that many tables share.
const SHARED: [&str; 3] = ["pci/mod.rs", "dvsec/mod.rs", "pci/header.rs"];

/// The page.
///
/// # Errors
/// If the device cannot be asked, or a source not read.
pub(super) fn written(workspace: &Workspace) -> Result<String, String> {
    let seen = Seen::ask(workspace)?;
    let mut page = page(
        "Registers",
        "Every table here is one from which the device, the machine's own ports and the checks are built. *Reads* is \
         what the preset `t2-committed` reads after power-on, with a kernel that changes nothing (`--abi plain`).",
    );
    page.push_str(&attributes());
    for listed in TABLES {
        page.push_str(&section(workspace, listed, &seen)?);
    }
    Ok(page)
}

/// What the attributes mean.
fn attributes() -> String {
    const ALL: [(Attribute, &str); 11] = [
        (Attribute::HwInit, "set by hardware or firmware at power-on, read-only afterwards"),
        (Attribute::Ro, "read-only"),
        (Attribute::Ros, "read-only, kept over every reset but loss of power"),
        (Attribute::Rw, "read and write"),
        (Attribute::Rws, "read and write, kept over every reset but loss of power"),
        (Attribute::Rw1c, "writing 1 clears the bit"),
        (Attribute::Rw1cs, "writing 1 clears the bit; kept over every reset but loss of power"),
        (Attribute::Rwl, "read and write until a lock makes it read-only"),
        (Attribute::Rwo, "writable once: what was set stays until a conventional reset"),
        (Attribute::RsvdP, "reserved: reads what it was"),
        (Attribute::RsvdZ, "reserved: reads 0, and software writes 0"),
    ];
    let rows = ALL.map(|(attribute, about)| vec![name(attribute), about.to_owned()]);
    table(&["Access", "What software may do"], &rows)
}

fn section(workspace: &Workspace, listed: &Listed, seen: &Seen) -> Result<String, String> {
    let mut own = OfFields::new();
    for source in [listed.source].iter().chain(&SHARED) {
        let path = format!("{SOURCES}/{source}");
        let text =
            fs::read_to_string(workspace.root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        of_registers(&text, &mut own);
    }
    let place = seen.place(listed.place)?;
    let rows: Vec<_> =
        listed.registers.iter().flat_map(|register| rows(register, &own, seen, place)).collect();
    let heading = format!("\n## {}\n\n{}\n", listed.heading, seen.told(listed.place, place));
    Ok(heading + &table(&["Offset", "Register and its fields", "Bits", "Access", "Reads"], &rows))
}

/// The rows of a register: itself, and one for each of its fields.
fn rows(register: &Register, about: &OfFields, seen: &Seen, place: Option<u64>) -> Vec<Vec<String>> {
    let raw = place.map(|place| seen.read(place.saturating_add(register.offset), register.width));
    let whole = raw.map(|raw| format!("**{raw:#x}**")).unwrap_or_default();
    let bits = register.width.bytes().saturating_mul(8);
    let name = if register.fields.is_empty() { "*reserved*" } else { register.name };
    let offset = format!("`{:#05x}`", register.offset);
    // The blank is one at which no line ends.
    let bits = format!("{bits}\u{a0}bits");
    let mut rows = vec![vec![offset, format!("**{name}**"), bits, String::new(), whole]];
    for field in register.fields {
        let name = code(field.name);
        let about = about.get(&(register.name.to_owned(), field.name.to_owned()));
        let told = about.map(|about| format!("{name}{LINE}{about}")).unwrap_or(name);
        let value = raw.map(|raw| format!("{:#x}", field.of(raw))).unwrap_or_default();
        rows.push(vec![String::new(), told, bits_of(field), self::name(field.attribute), value]);
    }
    rows
}

fn bits_of(field: &Field) -> String {
    if field.high == field.low { field.low.to_string() } else { format!("{}:{}", field.high, field.low) }
}

/// An attribute as the specifications write it.
fn name(attribute: Attribute) -> String {
    match attribute {
        Attribute::HwInit | Attribute::RsvdP | Attribute::RsvdZ => format!("{attribute:?}"),
        other => format!("{other:?}").to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_specifications_is_listed() {
        let workspace = Workspace::load().unwrap();
        let mut declared = 0;
        for folder in ["", "pci", "dvsec", "component"] {
            for entry in fs::read_dir(workspace.root.join(SOURCES).join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    declared += fs::read_to_string(path).unwrap().matches(": &[Register] =").count();
                }
            }
        }
        assert_eq!(TABLES.len(), declared);
    }

    #[test]
    fn a_field_has_its_bits_as_the_specifications_write_them() {
        let field = |high, low| Field { name: "x", high, low, attribute: Attribute::Rw1cs };
        assert_eq!(bits_of(&field(7, 4)), "7:4");
        assert_eq!(bits_of(&field(9, 9)), "9");
        assert_eq!(name(Attribute::Rw1cs), "RW1CS");
        assert_eq!(name(Attribute::HwInit), "HwInit");
    }
}
