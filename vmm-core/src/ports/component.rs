//! The component registers of a port and of a host bridge: a capability array, and what it points to.
//!
//! They take aligned dwords and qwords. What is in no capability reads 0.

use arbitrary_int::u4;
use arbitrary_int::u12;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::array;
use cxl_spec::component::extended_security;
use cxl_spec::component::ras;

use super::registers::Registers;

/// Where the first capability is, from the array on, and the second.
const FIRST: u64 = 0x80;
const SECOND: u64 = 0x100;

/// Versions of the capabilities.
const RAS_VERSION: u4 = u4::new(2);
const LINK_VERSION: u4 = u4::new(2);
const EXTENDED_SECURITY_VERSION: u4 = u4::new(1);

/// A block of component registers.
#[derive(Debug)]
pub(super) struct ComponentBlock {
    /// The range of CXL.cache and CXL.mem registers; the rest of the block is empty.
    cachemem: Registers,
}

impl ComponentBlock {
    /// Those of a root port.
    pub(super) fn of_root_port() -> Self {
        let entries = [(array::id::RAS, RAS_VERSION, FIRST), (array::id::LINK, LINK_VERSION, SECOND)];
        let no_error = ras::CapabilitiesAndControl::new(0).with_first_error(ras::NO_ERROR).raw();
        let dword = Width::Dword;
        let cachemem = with_array(&entries)
            .with_table(FIRST, ras::REGISTERS)
            .with(FIRST + ras::UNCORRECTABLE_MASK, dword, ras::ALL_UNCORRECTABLE)
            .with(FIRST + ras::UNCORRECTABLE_SEVERITY, dword, ras::ALL_UNCORRECTABLE)
            .with(FIRST + ras::CORRECTABLE_MASK, dword, ras::ALL_CORRECTABLE)
            .with(FIRST + ras::CAPABILITIES_AND_CONTROL, dword, no_error);
        Self { cachemem }
    }

    /// Those of a host bridge whose only root port has this number.
    pub(super) fn of_host_bridge(port: u8) -> Self {
        let entries = [(array::id::EXTENDED_SECURITY, EXTENDED_SECURITY_VERSION, FIRST)];
        let count = extended_security::RootPorts::new(0).with_count(1).raw();
        let policy = extended_security::Policy::new(0).with_trust_level(extended_security::UNTRUSTED).raw();
        let id = extended_security::PortId::new(0).with_id(port).raw();
        let cachemem = with_array(&entries)
            .with_table(FIRST, extended_security::REGISTERS_OF_ONE)
            .with(FIRST, Width::Dword, count)
            .with(FIRST + extended_security::POLICY, Width::Dword, policy)
            .with(FIRST + extended_security::PORT_ID, Width::Dword, id);
        Self { cachemem }
    }

    /// What is read; nothing if the access is narrower than a register.
    pub(super) fn read(&self, access: Access) -> Option<u64> {
        if access.width() < Width::Dword {
            return None;
        }
        Some(access.relative_to(CACHEMEM_OFFSET).map_or(0, |inside| self.cachemem.read(inside)))
    }

    /// What is written; nothing if the access is narrower than a register.
    pub(super) fn write(&mut self, access: Access, value: u64) -> Option<()> {
        if access.width() < Width::Dword {
            return None;
        }
        if let Some(inside) = access.relative_to(CACHEMEM_OFFSET) {
            self.cachemem.write(inside, value);
        }
        Some(())
    }
}

/// The registers with their capability array: id, version and place of each capability.
fn with_array(entries: &[(u16, u4, u64)]) -> Registers {
    let header = array::Header::new(0)
        .with_id(array::id::ARRAY)
        .with_version(u4::new(1))
        .with_cachemem_version(u4::new(1))
        .with_entries(u8::try_from(entries.len()).unwrap_or(u8::MAX));
    let empty = Registers::new(CACHEMEM_SIZE).with(0, Width::Dword, header.raw());
    (1..).zip(entries).fold(empty, |registers, (index, (id, version, pointer))| {
        let pointer = u12::new((*pointer & 0xfff) as u16);
        let entry = array::Entry::new(0).with_id(*id).with_version(*version).with_pointer(pointer);
        registers.with(array::entry_offset(index), Width::Dword, entry.raw())
    })
}
