//! The capability array of the block, as it should be and as a broken device shows it.

use arbitrary_int::u4;
use arbitrary_int::u12;
use cxl_spec::component::array;
use cxl_spec::register::Register;

use crate::profile::CapabilityArray;
use crate::profile::Checked;
use crate::profile::Coherency;
use crate::silicon::register::Block;

/// Versions of the capabilities that this model shows.
const RAS_VERSION: u4 = u4::new(2);
const HDM_VERSION: u4 = u4::new(1);
const BACK_INVALIDATE_VERSION: u4 = u4::new(1);

/// The last place that a pointer can name. No HDM decoder capability fits there.
const OUTSIDE: u64 = 0xffc;

/// The array of this profile's device.
pub(super) fn registers(profile: &Checked) -> Block {
    let component = &profile.profile().component;
    let faults = &profile.profile().faults;
    let hdm = if faults.hdm_pointer_outside { OUTSIDE } else { component.hdm.0 };
    let mut entries = vec![
        entry(array::id::RAS, RAS_VERSION, component.ras.0),
        entry(array::id::HDM_DECODER, HDM_VERSION, hdm),
    ];
    if profile.profile().memory.coherency == Coherency::HdmDb {
        entries.push(entry(array::id::BACK_INVALIDATE, BACK_INVALIDATE_VERSION, component.bi.0));
    }
    let mut header = array::Header::new(0)
        .with_id(array::id::ARRAY)
        .with_version(u4::new(1))
        .with_cachemem_version(u4::new(1))
        .with_entries(profile.profile().entries());
    match faults.capability_array {
        None => {}
        Some(CapabilityArray::TooMany) => header = header.with_entries(array::MAX_ENTRIES),
        Some(CapabilityArray::Garbage) => {
            header = array::Header::new(!header.raw());
            entries.iter_mut().for_each(|entry| *entry = array::Entry::new(!entry.raw()));
        }
    }
    table(header, &entries)
}

fn table(header: array::Header, entries: &[array::Entry]) -> Block {
    let places = || (1u8..).map(array::entry_offset).zip(entries);
    let lines = places().map(|(offset, _)| array::Entry::at(offset));
    let table: Vec<Register> = [array::Header::at(0)].into_iter().chain(lines).collect();
    let block = Block::new(table).with(0, header.raw());
    places().fold(block, |block, (offset, entry)| block.with(offset, entry.raw()))
}

fn entry(id: u16, version: u4, offset: u64) -> array::Entry {
    array::Entry::new(0).with_id(id).with_version(version).with_pointer(u12::new(offset as u16 & 0xfff))
}
