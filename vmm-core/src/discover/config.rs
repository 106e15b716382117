//! Configuration space: read once, whole, and taken apart as bytes.

use cxl_spec::dvsec;
use cxl_spec::dvsec::register_locator;
use cxl_spec::dvsec::register_locator::Location;
use cxl_spec::pci::CONFIG_SPACE_SIZE;
use cxl_spec::pci::EXTENDED_CAPABILITIES;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::extended_capability;
use cxl_spec::pci::header;
use vfio_abi::info::region;

use super::DiscoverError;
use super::Here;
use super::Region;
use super::msix;
use super::msix::Msix;
use crate::backend::Shared;

/// Length of a configuration space without extended capabilities.
const CONVENTIONAL_SIZE: u64 = 0x100;

/// What configuration space says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Class code, 24 bits.
    pub class: u32,
    /// Revision id.
    pub revision: u8,
    /// The base address registers that exist.
    pub bars: Vec<Bar>,
    /// Capabilities, in the order of their list.
    pub capabilities: Vec<Capability>,
    /// Extended capabilities, in the order of their list.
    pub extended: Vec<Extended>,
    /// Where register blocks are: what the Register Locator DVSEC lists, without its empty entries.
    pub blocks: Vec<Location>,
    /// Its MSI-X, if it has it.
    pub msix: Option<Msix>,
    /// Its interrupt pin, if it has one: 1 for INTA to 4 for INTD.
    pub interrupt_pin: Option<u8>,
}

/// A base address register and the region behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which one, 0 to 5. One of 64 bits takes the next as its upper half.
    pub index: u8,
    /// Length in bytes, a power of two.
    pub size: u64,
    /// It has 64 bits.
    pub is_64_bit: bool,
    /// Reading has no side effects.
    pub prefetchable: bool,
}

/// A capability and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Offset in configuration space.
    pub offset: u8,
    /// Which capability.
    pub id: u8,
}

/// An extended capability and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Offset in configuration space.
    pub offset: u16,
    /// Which capability.
    pub id: u16,
    /// Version of its layout.
    pub version: u8,
    /// Whose and which, if it is a DVSEC.
    pub dvsec: Option<Dvsec>,
}

/// What a DVSEC's headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dvsec {
    /// Whose it is.
    pub vendor: u16,
    /// Which of theirs.
    pub id: u16,
    /// Revision of its layout.
    pub revision: u8,
    /// Length in bytes, headers included.
    pub length: u16,
}

impl Config {
    /// Offset of the consortium's DVSEC with this id.
    pub fn cxl_dvsec(&self, id: u16) -> Option<u64> {
        find_cxl_dvsec(&self.extended, id).map(|(offset, _)| offset)
    }

    /// Length of the consortium's DVSEC with this id, headers included.
    pub fn cxl_dvsec_length(&self, id: u16) -> Option<u64> {
        find_cxl_dvsec(&self.extended, id).map(|(_, length)| length)
    }

    /// The base address register that begins at `index`.
    pub fn bar(&self, index: u8) -> Option<&Bar> {
        self.bars.iter().find(|bar| bar.index == index)
    }
}

/// Offset and length of the first DVSEC of the consortium with this id.
fn find_cxl_dvsec(list: &[Extended], id: u16) -> Option<(u64, u64)> {
    list.iter().find_map(|entry| {
        let found = entry.dvsec.filter(|dvsec| dvsec.vendor == dvsec::VENDOR && dvsec.id == id)?;
        Some((entry.offset.into(), found.length.into()))
    })
}

/// Bytes of configuration space.
struct Bytes<'a> {
    bytes: Vec<u8>,
    here: &'a Here<'a>,
}

/// Reads configuration space and takes it apart.
pub(super) fn read(backend: &Shared, here: &Here<'_>, regions: &[Region]) -> Result<Config, DiscoverError> {
    let found = regions.iter().find(|region| region.index == region::CONFIG);
    let size = found.map_or(0, |region| region.size).min(CONFIG_SPACE_SIZE);
    if size < CONVENTIONAL_SIZE {
        return Err(here.impossible(
            "size of the configuration region",
            size,
            "at least 0x100 bytes are needed",
        ));
    }
    let mut bytes = vec![0; size as usize];
    backend.lock().read(region::CONFIG, 0, &mut bytes)?;
    Bytes { bytes, here }.config(regions)
}

impl Bytes<'_> {
    fn byte(&self, offset: u64) -> u8 {
        usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset)).copied().unwrap_or(0)
    }

    fn word(&self, offset: u64) -> u16 {
        u16::from_le_bytes([self.byte(offset), self.byte(offset.saturating_add(1))])
    }

    fn dword(&self, offset: u64) -> u32 {
        u32::from(self.word(offset)) | u32::from(self.word(offset.saturating_add(2))) << 16
    }

    fn config(&self, regions: &[Region]) -> Result<Config, DiscoverError> {
        let vendor = self.word(header::VENDOR_ID);
        if vendor == 0xffff {
            return Err(self.here.missing("configuration space reads all ones: the device does not answer"));
        }
        let (extended, bars, capabilities) = (self.extended()?, self.bars(regions)?, self.capabilities()?);
        let msix = msix::find(self.here, &capabilities, &bars, |offset| self.dword(offset))?;
        Ok(Config {
            vendor,
            device: self.word(header::DEVICE_ID),
            subsystem_vendor: self.word(header::SUBSYSTEM_VENDOR_ID),
            subsystem: self.word(header::SUBSYSTEM_ID),
            class: self.dword(header::REVISION_ID) >> 8,
            revision: self.byte(header::REVISION_ID),
            bars,
            capabilities,
            msix,
            interrupt_pin: Some(self.byte(header::INTERRUPT_PIN)).filter(|pin| (1..=4).contains(pin)),
            blocks: self.blocks(&extended),
            extended,
        })
    }

    /// The register blocks that a list of extended capabilities leads to.
    fn blocks(&self, extended: &[Extended]) -> Vec<Location> {
        let locator = find_cxl_dvsec(extended, dvsec::id::REGISTER_LOCATOR);
        let (offset, length) = locator.unwrap_or_default();
        let first = offset.saturating_add(register_locator::ENTRIES);
        // What does not fit the DVSEC is no entry; a DVSEC is never longer than configuration space.
        let count = length.saturating_sub(register_locator::ENTRIES) / register_locator::ENTRY_SIZE;
        let entry = |index: u64| {
            let at = first.saturating_add(index.saturating_mul(register_locator::ENTRY_SIZE));
            let low = register_locator::OffsetLow::new(self.dword(at));
            Location::of(low, register_locator::OffsetHigh::new(self.dword(at.saturating_add(4))))
        };
        (0..count).map(entry).filter(|found| found.block != register_locator::block::EMPTY).collect()
    }

    fn bars(&self, regions: &[Region]) -> Result<Vec<Bar>, DiscoverError> {
        let mut bars = Vec::new();
        let mut next = 0;
        for region in regions.iter().filter(|region| region.index <= region::BAR5) {
            let index = region.index as u8;
            let field = || format!("size of BAR {index}");
            if index < next {
                let why = "the BAR is the upper half of the one before it";
                return Err(self.here.impossible(field(), region.size, why));
            }
            if !region.size.is_power_of_two() {
                return Err(self.here.impossible(field(), region.size, "a BAR's size is a power of two"));
            }
            let register = header::Bar::new(self.dword(header::bar_offset(index)));
            if register.io() {
                // A port BAR cannot be placed in memory. It stays where nobody reaches it.
                continue;
            }
            let is_64_bit = register.kind() == header::KIND_64_BIT;
            next = index + 1 + u8::from(is_64_bit);
            bars.push(Bar { index, size: region.size, is_64_bit, prefetchable: register.prefetchable() });
        }
        Ok(bars)
    }

    fn capabilities(&self) -> Result<Vec<Capability>, DiscoverError> {
        let status = header::Status::new(self.word(header::STATUS));
        let mut list: Vec<Capability> = Vec::new();
        let first = if status.capabilities() { self.byte(header::CAPABILITIES_POINTER) } else { 0 };
        let mut offset = first & !3;
        while offset != 0 {
            let visited = list.iter().any(|seen| seen.offset == offset);
            if u64::from(offset) < header::SIZE || visited {
                let why = "the list of capabilities leads into the header or in a circle";
                return Err(self.here.impossible("capability pointer", offset.into(), why));
            }
            list.push(Capability { offset, id: self.byte(offset.into()) });
            offset = self.byte(u64::from(offset).saturating_add(1)) & !3;
        }
        Ok(list)
    }

    fn extended(&self) -> Result<Vec<Extended>, DiscoverError> {
        let mut list: Vec<Extended> = Vec::new();
        let mut offset = EXTENDED_CAPABILITIES as u16;
        while offset != 0 && u64::from(offset) < self.bytes.len() as u64 {
            let header = ExtendedCapability::new(self.dword(offset.into()));
            let visited = list.iter().any(|seen| seen.offset == offset);
            if u64::from(offset) < EXTENDED_CAPABILITIES || visited {
                let why = "the list of extended capabilities leads out of them or in a circle";
                return Err(self.here.impossible("extended capability pointer", offset.into(), why));
            }
            if header.raw() == 0 {
                break;
            }
            let is_dvsec = header.id() == extended_capability::DVSEC;
            list.push(Extended {
                offset,
                id: header.id(),
                version: header.version().value(),
                dvsec: is_dvsec.then(|| self.dvsec(offset.into())),
            });
            offset = header.next().value() & !3;
        }
        Ok(list)
    }

    fn dvsec(&self, offset: u64) -> Dvsec {
        let header_1 = dvsec::Header1::new(self.dword(offset.saturating_add(dvsec::HEADER_1)));
        let header_2 = dvsec::Header2::new(self.word(offset.saturating_add(dvsec::HEADER_2)));
        Dvsec {
            vendor: header_1.vendor(),
            id: header_2.id(),
            revision: header_1.revision().value(),
            length: header_1.length().value(),
        }
    }
}
