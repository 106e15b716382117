//! The devices of the DSDT as structures. One is called as its `_HID`, in small letters.

use vmm_core::acpi::read::Bytes;
use vmm_core::acpi::read::Read;
use vmm_core::acpi::read::aml::BUS;
use vmm_core::acpi::read::aml::Device;
use vmm_core::acpi::read::aml::MEMORY;
use vmm_core::acpi::read::aml::Resource;
use vmm_core::acpi::read::aml::Value;
use vmm_core::acpi::read::aml::devices;

use super::Seen;
use super::Structure;
use super::decode::Decoded;

/// The devices that a scenario can name: processors, the console, reserved resources, host bridges, the CXL root.
pub const HIDS: &[&str] = &["acpi0007", "acpi0016", "acpi0017", "armh0011", "pnp0501", "pnp0a08", "pnp0c02"];

/// The objects of a device that are numbers, and that a scenario can name.
pub const OBJECTS: &[&str] = &["_UID", "_BBN", "_SEG", "_CCA", "_PXM", "_STA"];

/// The methods that the device has.
pub const METHODS: &str = "methods";

/// Descriptors of `_CRS` by their names in the specification: their bits, and what they are ranges of.
pub const RANGES: &[(&str, u8, u8)] =
    &[("word_bus_number", 16, BUS), ("dword_memory", 32, MEMORY), ("qword_memory", 64, MEMORY)];

/// The fields of a descriptor.
pub const RANGE: &[&str] = &["base", "size"];

/// Takes the DSDT apart.
///
/// # Errors
/// If it is not AML as such tables have it.
pub fn decode(bytes: &[u8]) -> Read<Decoded> {
    let table = Bytes { name: "DSDT", bytes };
    let structures = devices(table)?.iter().map(structure).collect::<Read<_>>()?;
    let revision = ("revision".to_owned(), Seen::Number(table.u8(8)?.into()));
    Ok(Decoded { own: Structure { name: "DSDT".to_owned(), fields: vec![revision] }, structures })
}

fn structure(device: &Device) -> Read<Structure> {
    let integers = device.values.iter().filter_map(|(name, value)| match value {
        Value::Integer(value) => Some((name.clone(), Seen::Number(*value))),
        _ => None,
    });
    let mut fields: Vec<_> = integers.collect();
    fields.push((METHODS.to_owned(), Seen::Names(device.methods.iter().cloned().collect())));
    if device.values.contains_key("_CRS") {
        let resources = device.resources()?;
        for (name, bits, kind) in RANGES {
            let ranges = ranges(&resources, name, (*bits, *kind));
            fields.push(((*name).to_owned(), Seen::Structures(ranges)));
        }
    }
    let hid = device.values.get("_HID").map_or_else(String::new, hardware_id);
    Ok(Structure { name: hid.to_lowercase(), fields })
}

/// The descriptors of these bits and this kind.
fn ranges(resources: &[Resource], name: &str, wanted: (u8, u8)) -> Vec<Structure> {
    let found = resources.iter().filter_map(|resource| match resource {
        Resource::Range { bits, kind, first, last, .. } if (*bits, *kind) == wanted => Some((*first, *last)),
        _ => None,
    });
    let structure = |(first, last): (u64, u64)| {
        let size = last.wrapping_sub(first).wrapping_add(1);
        let fields = [("base", first), ("size", size)];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), Seen::Number(value)));
        Structure { name: name.to_owned(), fields: fields.collect() }
    };
    found.map(structure).collect()
}

/// A hardware ID as a text: three letters in five bits each and four digits, where it is a number.
fn hardware_id(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => {
            let number = (*number as u32).swap_bytes();
            let letter = |shift: u32| char::from(b'@' + (number >> shift & 0x1f) as u8);
            format!("{}{}{}{:04X}", letter(26), letter(21), letter(16), number & 0xffff)
        }
        _ => String::new(),
    }
}
