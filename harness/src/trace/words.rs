//! Accesses to a device's registers in words: which register, and which of its fields are another value than before.
//!
//! What a register was is what was read last, and what was written since as far as its attributes let it in. What
//! hardware does with a write shows at the next read.

use std::collections::BTreeMap;

use cxl_spec::change::Change;
use cxl_spec::change::written;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;

use super::names::Named;
use super::names::Names;

/// The most registers of one access that are told one by one.
const MOST: usize = 4;

/// What is known of a device's registers.
#[derive(Debug)]
pub struct Words {
    names: Names,
    /// By region and offset.
    known: BTreeMap<(u32, u64), u64>,
    /// What was known before the write that was the last access.
    wrote: Option<(Access, Vec<Option<u64>>)>,
}

/// Where an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Which region.
    pub region: u32,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub count: u64,
}

/// An access in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The register, or the region and the offset.
    pub place: String,
    /// The region and the offset, where `place` is a register.
    pub offset: String,
    /// The fields that are another value.
    pub words: String,
    /// Where it reads what was written directly before: the fields that are another value than before the write.
    pub back: Option<String>,
}

impl Words {
    /// Nothing is known yet of registers with these names.
    pub fn new(names: Names) -> Self {
        Self { names, known: BTreeMap::new(), wrote: None }
    }

    /// Nothing is known any more: the device was reset.
    pub fn forget(&mut self) {
        self.known.clear();
        self.wrote = None;
    }

    /// These bytes were read.
    pub fn read(&mut self, access: Access, bytes: &[u8]) -> Told {
        let wrote = self.wrote.take().filter(|(write, _)| *write == access).map(|(_, befores)| befores);
        let registers = self.names.registers(access.region, access.offset, access.count);
        let mut back = Vec::new();
        let mut changes = Vec::new();
        for (index, named) in registers.iter().enumerate() {
            let part = Part::of(named, access.offset, bytes);
            let key = (access.region, named.offset);
            let before = self.known.get(&key).copied();
            let after = before.unwrap_or(0) & !part.mask | part.data;
            if before.is_some() || part.is_whole {
                self.known.insert(key, after);
            }
            let change = |before| Change { fields: named.register.fields, before, after }.to_string();
            changes.push(change(before));
            back.extend(wrote.as_ref().and_then(|befores| befores.get(index)).map(|before| change(*before)));
        }
        let back = wrote.map(|_| self.told(access, &registers, back).words);
        Told { back, ..self.told(access, &registers, changes) }
    }

    /// These bytes were written.
    pub fn write(&mut self, access: Access, bytes: &[u8]) -> Told {
        let registers = self.names.registers(access.region, access.offset, access.count);
        let mut befores = Vec::new();
        let changes = registers.iter().map(|named| {
            let part = Part::of(named, access.offset, bytes);
            let key = (access.region, named.offset);
            let before = self.known.get(&key).copied();
            let fields = named.register.fields;
            let after = written(fields, before.unwrap_or(0), part.mask, part.data);
            befores.push(before);
            // Of what only hardware sets, a write says nothing.
            let is_softwares = fields.iter().all(is_softwares);
            if before.is_some() || part.is_whole && is_softwares {
                self.known.insert(key, after);
            }
            Change { fields, before, after }.to_string()
        });
        let changes = changes.collect();
        self.wrote = Some((access, befores)).filter(|_| !registers.is_empty());
        self.told(access, &registers, changes)
    }

    /// The device refused, or is gone: where that was.
    pub fn refused(&mut self, access: Access) -> Told {
        self.wrote = None;
        let registers = self.names.registers(access.region, access.offset, access.count);
        self.told(access, &registers, vec![String::new(); registers.len()])
    }

    fn told(&self, access: Access, registers: &[Named], changes: Vec<String>) -> Told {
        let region = self.names.region(access.region);
        let offset = format!("{region} + {:#x}", access.offset);
        match registers {
            [] => Told { place: offset, ..Told::default() },
            [only] => {
                let words = changes.into_iter().next().unwrap_or_default();
                Told { place: only.name.clone(), offset, words, back: None }
            }
            [first, .., last] if registers.len() > MOST => {
                let place = format!("{} registers from {} to {}", registers.len(), first.name, last.name);
                Told { place, offset, ..Told::default() }
            }
            several => {
                let names: Vec<_> = several.iter().map(|named| named.name.as_str()).collect();
                let changed = several.iter().zip(&changes).filter(|(_, change)| !change.is_empty());
                let words: Vec<_> =
                    changed.map(|(named, change)| format!("{}: {change}", named.name)).collect();
                Told { place: names.join(", "), offset, words: words.join("; "), back: None }
            }
        }
    }
}

/// Whether a field is what software wrote last, as far as it was let.
fn is_softwares(field: &Field) -> bool {
    matches!(field.attribute, Attribute::Rw | Attribute::Rws | Attribute::Rwl)
}

/// What an access has of a register, in place.
struct Part {
    mask: u64,
    data: u64,
    is_whole: bool,
}

impl Part {
    fn of(named: &Named, offset: u64, bytes: &[u8]) -> Self {
        let mut part = Self { mask: 0, data: 0, is_whole: true };
        for lane in 0..named.register.width.bytes() {
            let at = named.offset.saturating_add(lane).checked_sub(offset);
            let byte = at.and_then(|at| bytes.get(usize::try_from(at).ok()?));
            match byte {
                None => part.is_whole = false,
                Some(byte) => {
                    part.mask |= 0xff << (8 * lane);
                    part.data |= u64::from(*byte) << (8 * lane);
                }
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::within::Within;
    use sim_device::kernel::Abi;
    use sim_device::profile::Profile;
    use vmm_core::backend::Shared;
    use vmm_core::discover::discover;

    /// The registers of the default device: region 10 has the decoder at 0x120, configuration space the PCI Express
    /// capability at 0x40 and the CXL device DVSEC at 0x150.
    fn words() -> Words {
        let client = Within::client(&Profile::default(), Abi::named("v2").unwrap()).unwrap();
        Words::new(Names::of(&discover(&Shared::new(client)).unwrap()))
    }

    fn dword(region: u32, offset: u64) -> Access {
        Access { region, offset, count: 4 }
    }

    fn line(told: &Told) -> String {
        format!("{}: {}", told.place, told.words)
    }

    #[test]
    fn a_commit_is_told_by_its_fields_and_what_is_read_back_is_told_with_it() {
        let (mut words, control) = (words(), dword(10, 0x130));
        words.read(control, &[0x00, 0x01, 0, 0]);
        let told = words.write(control, &[0x00, 0x02, 0, 0]);
        assert_eq!(line(&told), "HDM decoder 0 CTRL: LOCK_ON_COMMIT 1→0, COMMIT 0→1");
        assert_eq!((told.offset.as_str(), told.back), ("COMP_REGS + 0x130", None));
        let told = words.read(control, &[0x00, 0x06, 0, 0]);
        assert_eq!(line(&told), "HDM decoder 0 CTRL: COMMITTED 0→1");
        assert_eq!(told.back.unwrap(), "LOCK_ON_COMMIT 1→0, COMMIT 0→1, COMMITTED 0→1");
        let told = words.read(control, &[0x00, 0x06, 0, 0]);
        assert_eq!((line(&told).as_str(), told.back), ("HDM decoder 0 CTRL: ", None));
    }

    #[test]
    fn the_halves_of_a_base_and_the_component_registers_in_the_bar_have_their_names() {
        let mut words = words();
        let told = words.write(dword(10, 0x124), &[1, 0, 0, 0]);
        assert_eq!(line(&told), "HDM decoder 0 BASE HIGH: BASE 0x1");
        words.write(dword(10, 0x120), &[0, 0, 0, 0x10]);
        let told = words.read(dword(10, 0x124), &[0; 4]);
        assert_eq!(line(&told), "HDM decoder 0 BASE HIGH: BASE 0x1→0x0", "it was not taken");
        let told = words.read(dword(2, 0x2_1130), &[0, 6, 0, 0]);
        assert_eq!(line(&told), "HDM decoder 0 CTRL: COMMIT 1, COMMITTED 1");
        let told = words.read(dword(2, 0x3_0000), &[0; 4]);
        assert_eq!((told.place.as_str(), told.offset.as_str()), ("bar2 + 0x30000", ""));
        assert_eq!(words.read(dword(9, 0x10), &[0; 4]).place, "device memory + 0x10");
    }

    #[test]
    fn an_access_to_two_registers_names_both_and_says_of_which_a_field_changes() {
        let (mut words, express) = (words(), dword(7, 0x48));
        words.read(express, &[0x10, 0x28, 0, 0]);
        let told = words.read(express, &[0x10, 0x28, 0x20, 0]);
        assert_eq!(line(&told), "Device Control, Device Status: Device Status: TRANSACTIONS_PENDING 0→1");
        let told = words.read(Access { region: 7, offset: 0, count: 64 }, &[0; 64]);
        assert!(told.place.contains(" registers from Vendor ID to "), "{}", told.place);
    }

    #[test]
    fn a_byte_of_a_register_changes_its_own_bits_and_no_others() {
        let mut words = words();
        words.read(dword(10, 0x130), &[0, 7, 0, 0]);
        let told = words.write(Access { region: 10, offset: 0x131, count: 1 }, &[0]);
        assert_eq!(line(&told), "HDM decoder 0 CTRL: LOCK_ON_COMMIT 1→0, COMMIT 1→0");
        words.forget();
        let told = words.read(dword(10, 0x130), &[0, 4, 0, 0]);
        assert_eq!(line(&told), "HDM decoder 0 CTRL: COMMITTED 1");
    }
}
