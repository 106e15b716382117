//! A device as it is after power-on: what every register reads.

use std::path::PathBuf;

use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::array;
use cxl_spec::dvsec;
use cxl_spec::pci;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::extended_capability;
use cxl_spec::pci::header;

use super::served::Served;
use crate::foreign::client;
use crate::foreign::config::Config;
use crate::foreign::config::array;
use crate::workspace::Workspace;

/// Where a table's registers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the start of configuration space.
    Header,
    /// The capability with this id.
    Capability(u8),
    /// The extended capability with this id.
    Extended(u16),
    /// The consortium's DVSEC with this id.
    Dvsec(u16),
    /// So many bytes into the capability of the component block with this id.
    Component(u16, u64),
    /// Where nothing is read: in words.
    Elsewhere(&'static str),
}

/// Offsets from here on are in the component block's registers; below, in configuration space.
const COMPONENT: u64 = pci::CONFIG_SPACE_SIZE;

/// What was read.
pub(super) struct Seen {
    /// Configuration space, and behind it the registers of the component block.
    bytes: Config,
}

impl Seen {
    /// Asks a device that is served for this.
    ///
    /// # Errors
    /// If it is not, or does not answer.
    pub(super) fn ask(workspace: &Workspace) -> Result<Self, String> {
        let served = Served::start(workspace, "t2-committed", "plain")?;
        let socket: PathBuf = served.socket();
        let (mut bytes, _) = client::look(&socket)?;
        let component = bytes.component().ok_or("the preset says nowhere where its component block is")?;
        let length = u32::try_from(CACHEMEM_SIZE).unwrap_or(u32::MAX);
        bytes.0.extend(client::registers(&socket, component.bar.into(), array(&component), length)?);
        Ok(Self { bytes })
    }

    /// Where a table's registers begin in what was read; nothing if they were not.
    ///
    /// # Errors
    /// If they should have been.
    pub(super) fn place(&self, place: Place) -> Result<Option<u64>, String> {
        let found = match place {
            Place::Header => Some(0),
            Place::Capability(id) => self.capability(id),
            Place::Extended(id) => self.extended(|at| self.id_at(at) == id),
            Place::Dvsec(id) => self.extended(|at| self.is_dvsec(at, id)),
            Place::Component(id, bytes) => self.component(id).map(|at| at.saturating_add(bytes)),
            Place::Elsewhere(_) => return Ok(None),
        };
        found.map(Some).ok_or_else(|| format!("the preset has no {place:?}"))
    }

    /// A sentence about the place.
    pub(super) fn told(&self, place: Place, at: Option<u64>) -> String {
        match (place, at) {
            (Place::Elsewhere(words), _) => format!("It is {words}."),
            (Place::Component(..), Some(at)) => {
                let at = at.saturating_sub(COMPONENT);
                format!("In `t2-committed` it is at {at:#x} from the capability array.")
            }
            (_, Some(at)) => format!("In `t2-committed` it is at {at:#x} of configuration space."),
            (_, None) => String::new(),
        }
    }

    /// What the register of this width reads there.
    pub(super) fn read(&self, at: u64, width: Width) -> u64 {
        let aligned = at & !3;
        let [low, high] = [aligned, aligned.saturating_add(4)].map(|at| u64::from(self.bytes.dword(at)));
        let wide = u128::from(low | high << 32) >> (at & 3).saturating_mul(8);
        (wide as u64) & width.mask()
    }

    fn byte(&self, at: u64) -> u8 {
        self.read(at, Width::Byte) as u8
    }

    fn capability(&self, id: u8) -> Option<u64> {
        let mut at = self.byte(header::CAPABILITIES_POINTER);
        // A list that runs in circles has no more entries than configuration space has dwords.
        for _ in 0..u8::MAX {
            if at == 0 || self.byte(at.into()) == id {
                break;
            }
            at = self.byte(u64::from(at).saturating_add(1));
        }
        (at != 0).then_some(at.into())
    }

    fn extended(&self, is_it: impl Fn(u64) -> bool) -> Option<u64> {
        let mut at = pci::EXTENDED_CAPABILITIES;
        for _ in 0..u8::MAX {
            if is_it(at) {
                return Some(at);
            }
            at = ExtendedCapability::new(self.bytes.dword(at)).next().value().into();
            if at < pci::EXTENDED_CAPABILITIES {
                return None;
            }
        }
        None
    }

    fn id_at(&self, at: u64) -> u16 {
        ExtendedCapability::new(self.bytes.dword(at)).id()
    }

    fn is_dvsec(&self, at: u64, id: u16) -> bool {
        let theirs = self.read(at.saturating_add(dvsec::HEADER_2), Width::Word);
        self.id_at(at) == extended_capability::DVSEC && theirs == u64::from(id)
    }

    fn component(&self, id: u16) -> Option<u64> {
        let entries = array::Header::new(self.bytes.dword(COMPONENT)).entries();
        let entry =
            |index| array::Entry::new(self.bytes.dword(COMPONENT.saturating_add(array::entry_offset(index))));
        let entry = (1..=entries).map(entry).find(|entry| entry.id() == id)?;
        Some(COMPONENT.saturating_add(entry.pointer().value().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_found_by_their_ids_and_registers_by_their_width() {
        let mut bytes = vec![0; 0x2000];
        let mut put = |at: usize, dword: u32| bytes[at..at + 4].copy_from_slice(&dword.to_le_bytes());
        put(0x34, 0x40);
        put(0x40, 0x0000_8010);
        put(0x80, 0x1234_0011);
        put(0x100, 0x1501_0001);
        put(0x150, 0x0001_0023);
        put(0x158, 0x5678_0008);
        put(0x1000, 0x0111_0001);
        put(0x1004, 0x1101_0005);
        let seen = Seen { bytes: Config(bytes) };
        assert_eq!(seen.place(Place::Capability(0x11)), Ok(Some(0x80)));
        assert_eq!(seen.place(Place::Extended(1)), Ok(Some(0x100)));
        assert_eq!(seen.place(Place::Dvsec(8)), Ok(Some(0x150)));
        assert_eq!(seen.place(Place::Component(5, 0x10)), Ok(Some(0x1120)));
        assert_eq!(seen.place(Place::Elsewhere("no")), Ok(None));
        assert!(seen.place(Place::Capability(5)).is_err() && seen.place(Place::Dvsec(0)).is_err());
        assert_eq!(seen.read(0x82, Width::Word), 0x1234);
        assert_eq!(seen.read(0x83, Width::Byte), 0x12);
        assert_eq!(seen.read(0x100, Width::Dword), 0x1501_0001);
    }
}
