//! Words for the fuzzers: where registers are and which bits they have, out of the tables of the specifications.

use std::collections::BTreeSet;
use std::fmt::Write;

use cxl_spec::component;
use cxl_spec::dvsec;
use cxl_spec::pci;
use cxl_spec::register::Register;

/// The tables, and where the default device has each.
const TABLES: [(u64, &[Register]); 12] = [
    (0, pci::header::REGISTERS),
    (0x40, pci::express::REGISTERS),
    (0x80, pci::msix::REGISTERS),
    (0x90, pci::power::REGISTERS),
    (0x100, pci::aer::REGISTERS),
    (0x150, dvsec::device::REGISTERS),
    (0x220, pci::ats::REGISTERS),
    (0x230, pci::doe::REGISTERS),
    (0x1080, component::ras::REGISTERS),
    (0x1110, component::hdm::HEADER),
    (0x1120, component::hdm::DECODER),
    (0x10e0, component::back_invalidate::REGISTERS),
];

/// The dictionary, as libFuzzer reads it: offsets as two bytes, and the bits of a field as four.
pub(super) fn text() -> String {
    let mut words = BTreeSet::new();
    for (at, table) in TABLES {
        for register in table {
            let offset = at.saturating_add(register.offset) as u16;
            words.insert(offset.to_le_bytes().to_vec());
            let fields = register.fields.iter().map(|field| (field.mask() as u32).to_le_bytes().to_vec());
            words.extend(fields);
        }
    }
    let mut text = String::new();
    for word in words {
        text.push('"');
        for byte in word {
            // Writing into a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
        text.push_str("\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoders_control_and_its_commit_bit_are_words() {
        let text = text();
        let words: Vec<_> = text.lines().collect();
        assert!(words.contains(&r#""\x30\x11""#), "{text}");
        assert!(words.contains(&r#""\x00\x02\x00\x00""#), "{text}");
    }
}
