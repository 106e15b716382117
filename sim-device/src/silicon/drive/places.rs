//! Where the registers of a device are, found as a driver finds them: by the lists of capabilities.

use std::ops::Range;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::array;
use cxl_spec::component::back_invalidate;
use cxl_spec::component::hdm;
use cxl_spec::component::ras;
use cxl_spec::dvsec;
use cxl_spec::pci;
use cxl_spec::pci::header;
use cxl_spec::register::Register;

use crate::silicon::Silicon;

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// In configuration space.
    Config,
    /// In the component block.
    Component,
}

impl Space {
    /// Where something may be.
    pub(super) const fn range(self) -> Range<u64> {
        match self {
            Self::Config => 0..0x280,
            Self::Component => CACHEMEM_OFFSET..CACHEMEM_OFFSET + 0x400,
        }
    }

    /// The widest access that software makes.
    pub(super) const fn widest(self) -> Width {
        match self {
            Self::Config => Width::Dword,
            Self::Component => Width::Qword,
        }
    }

    /// The accesses that read something; in the block what is narrower than a dword does not (CXL 3.2, 8.2.4).
    pub(super) const fn parts(self) -> &'static [Width] {
        match self {
            Self::Config => &[Width::Byte, Width::Word, Width::Dword],
            Self::Component => &[Width::Dword, Width::Qword],
        }
    }
}

/// A register at its place: its offset is from the start of the space.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) space: Space,
    pub(super) register: Register,
}

impl Place {
    /// The register, or the upper half of a base address if the one before it has 64 bits.
    fn or_upper_half(self, silicon: &Silicon) -> Self {
        let offset = self.register.offset;
        let is_64_bit = |bar| {
            let register = silicon.config_read(Access::dword_around(header::bar_offset(bar)));
            header::Bar::new(register as u32).kind() == header::KIND_64_BIT
        };
        let is_upper = (1..header::BARS).any(|bar| offset == header::bar_offset(bar) && is_64_bit(bar - 1));
        let register = if is_upper { header::BarHigh::at(offset) } else { self.register };
        Self { register, ..self }
    }

    /// What the register reads.
    fn read(&self, silicon: &Silicon) -> u64 {
        let access = Access::new(self.register.offset, self.register.width);
        access.map_or(0, |access| read(silicon, self.space, access))
    }
}

/// What an access to a space reads.
pub(super) fn read(silicon: &Silicon, space: Space, access: Access) -> u64 {
    match space {
        Space::Config => silicon.config_read(access),
        Space::Component => silicon.component.read(access),
    }
}

/// What all of `places` read.
pub(super) fn values(places: &[Place], silicon: &Silicon) -> Vec<u64> {
    places.iter().map(|place| place.read(silicon)).collect()
}

/// Every register that the lists lead to.
pub(super) fn all(silicon: &Silicon) -> Vec<Place> {
    let placed = |space| {
        move |(at, table): (u64, &'static [Register])| {
            table.iter().map(move |register| Place { space, register: register.shifted(at) })
        }
    };
    let config = capabilities(silicon).into_iter().flat_map(placed(Space::Config));
    let config = config.map(|place| place.or_upper_half(silicon));
    // Registers of configuration space are at most dwords; those of the block are dwords.
    config.chain(components(silicon).into_iter().flat_map(placed(Space::Component))).collect()
}

/// Where the HDM decoders are in the block.
pub(super) fn decoders(silicon: &Silicon) -> u64 {
    let found = components(silicon).into_iter().find(|(_, table)| *table == hdm::HEADER);
    found.map_or(CACHEMEM_OFFSET, |(at, _)| at)
}

type Tables = Vec<(u64, &'static [Register])>;

fn capabilities(silicon: &Silicon) -> Tables {
    let dword = |at| silicon.config_read(Access::dword_around(at)) as u32;
    let mut tables: Tables = vec![(0, header::REGISTERS)];
    let mut next = u64::from(dword(header::CAPABILITIES_POINTER) & 0xff);
    while next != 0 && tables.len() < 48 {
        let table = match dword(next) as u8 {
            pci::capability::EXPRESS => pci::express::REGISTERS,
            pci::capability::MSIX => pci::msix::REGISTERS,
            pci::capability::POWER => pci::power::REGISTERS,
            _ => &[],
        };
        tables.push((next, table));
        next = u64::from((dword(next) >> 8) & 0xff);
    }
    let mut next = pci::EXTENDED_CAPABILITIES;
    while next != 0 && tables.len() < 48 {
        let header = pci::ExtendedCapability::new(dword(next));
        let dvsec = dword(next + dvsec::HEADER_2) as u16;
        tables.push((next, extended(header.id(), dvsec)));
        next = header.next().value().into();
    }
    tables
}

fn extended(id: u16, dvsec: u16) -> &'static [Register] {
    use pci::extended_capability as extended;
    match (id, dvsec) {
        (extended::AER, _) => pci::aer::REGISTERS,
        (extended::SERIAL_NUMBER, _) => pci::serial::REGISTERS,
        (extended::ATS, _) => pci::ats::REGISTERS,
        (extended::DOE, _) => pci::doe::REGISTERS,
        (extended::DVSEC, dvsec::id::DEVICE) => dvsec::device::REGISTERS,
        (extended::DVSEC, dvsec::id::FUNCTION_MAP) => dvsec::function_map::REGISTERS,
        (extended::DVSEC, dvsec::id::GPF_DEVICE) => dvsec::gpf::REGISTERS,
        (extended::DVSEC, dvsec::id::FLEX_BUS) => dvsec::flex_bus::REGISTERS,
        (extended::DVSEC, dvsec::id::REGISTER_LOCATOR) => dvsec::register_locator::REGISTERS_OF_ONE,
        _ => &[],
    }
}

fn components(silicon: &Silicon) -> Tables {
    let dword = |at| silicon.component.read(Access::dword_around(CACHEMEM_OFFSET + at)) as u32;
    let entries = array::Header::new(dword(0)).entries();
    let entry = |index| array::Entry::new(dword(array::entry_offset(index)));
    let mut tables = Tables::new();
    for entry in (1..=entries).map(entry) {
        let at = CACHEMEM_OFFSET + u64::from(entry.pointer().value());
        match entry.id() {
            array::id::RAS => tables.push((at, ras::REGISTERS)),
            array::id::BACK_INVALIDATE => tables.push((at, back_invalidate::REGISTERS)),
            array::id::HDM_DECODER => {
                tables.push((at, hdm::HEADER));
                let decoders = silicon.profile().decoders().number();
                let one = |index| (at + hdm::decoder_offset(index), hdm::DECODER);
                tables.extend((0..decoders).map(one));
            }
            _ => {}
        }
    }
    tables
}
