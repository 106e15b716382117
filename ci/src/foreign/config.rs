//! Configuration space as bytes: its registers, its BARs, and where its component block is.

use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::dvsec;
use cxl_spec::dvsec::Header1;
use cxl_spec::dvsec::register_locator;
use cxl_spec::dvsec::register_locator::Location;
use cxl_spec::dvsec::register_locator::OffsetHigh;
use cxl_spec::dvsec::register_locator::OffsetLow;
use cxl_spec::pci::CONFIG_SPACE_SIZE;
use cxl_spec::pci::EXTENDED_CAPABILITIES;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::extended_capability;
use cxl_spec::pci::header;
use cxl_spec::pci::header::KIND_64_BIT;

/// Where BARs of 32 bits are put: a hole that a machine with little memory has.
const LOW: u64 = 0xc000_0000;

/// The first address behind that hole.
const LOW_END: u64 = 0xe000_0000;

/// Where BARs of 64 bits are put, far above all memory.
const HIGH: u64 = 0x20_0000_0000;

/// The bytes of a configuration space. What is not there reads 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config(pub(crate) Vec<u8>);

/// A base address register, its region, and where to put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// Which one, 0 to 5. One of 64 bits takes the next as its upper half.
    pub(super) index: u8,
    /// Length in bytes.
    pub(super) size: u64,
    /// It has 64 bits.
    pub(super) is_64_bit: bool,
    /// The bits below its address: what it is.
    pub(super) kind: u32,
    /// Where it is put: a multiple of its length.
    pub(super) address: u64,
}

impl Config {
    /// The dword at `offset`.
    pub(crate) fn dword(&self, offset: u64) -> u32 {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    /// The base address registers whose regions have these lengths, with a place for each.
    ///
    /// # Errors
    /// If a length is no power of two, or there is no room.
    pub(super) fn bars(&self, sizes: &[u64; 6]) -> Result<Vec<Bar>, String> {
        let (mut low, mut high) = (LOW, HIGH);
        let mut bars = Vec::new();
        for (index, size) in (0..header::BARS).zip(sizes).filter(|(_, size)| **size > 0) {
            let register = header::Bar::new(self.dword(header::bar_offset(index)));
            let is_64_bit = register.kind() == KIND_64_BIT;
            let next = if is_64_bit { &mut high } else { &mut low };
            let address = next.checked_next_multiple_of(*size).filter(|_| size.is_power_of_two());
            let end = address.and_then(|address| address.checked_add(*size));
            let limit = if is_64_bit { u64::MAX } else { LOW_END };
            let (Some(address), Some(end)) = (address, end.filter(|end| *end <= limit)) else {
                return Err(format!("there is no place for BAR {index} of {size:#x} bytes"));
            };
            *next = end;
            let kind = register.with_address(Default::default()).raw();
            bars.push(Bar { index, size: *size, is_64_bit, kind, address });
        }
        Ok(bars)
    }

    /// Where the component block is, if the device says so.
    pub(crate) fn component(&self) -> Option<Location> {
        let locator = self.locator()?;
        let length = Header1::new(self.dword(locator.saturating_add(dvsec::HEADER_1))).length().value();
        let entries =
            (register_locator::ENTRIES..length.into()).step_by(register_locator::ENTRY_SIZE as usize);
        let location = |entry: u64| {
            let at = locator.saturating_add(entry);
            let low = OffsetLow::new(self.dword(at));
            Location::of(low, OffsetHigh::new(self.dword(at.saturating_add(4))))
        };
        entries.map(location).find(|location| location.block == register_locator::block::COMPONENT)
    }

    /// Offset of the Register Locator DVSEC. A list that runs in circles is left where it has had its length.
    fn locator(&self) -> Option<u64> {
        let mut at = EXTENDED_CAPABILITIES;
        for _ in (EXTENDED_CAPABILITIES..CONFIG_SPACE_SIZE).step_by(4) {
            let capability = ExtendedCapability::new(self.dword(at));
            if capability.id() == extended_capability::DVSEC && self.is_locator(at) {
                return Some(at);
            }
            at = u64::from(capability.next().value());
            if at < EXTENDED_CAPABILITIES {
                return None;
            }
        }
        None
    }

    fn is_locator(&self, at: u64) -> bool {
        let vendor = Header1::new(self.dword(at.saturating_add(dvsec::HEADER_1))).vendor();
        let [low, high, ..] = self.dword(at.saturating_add(dvsec::HEADER_2)).to_le_bytes();
        vendor == dvsec::VENDOR && u16::from_le_bytes([low, high]) == dvsec::id::REGISTER_LOCATOR
    }
}

/// Offset in its BAR of the capability array of a component block.
pub(crate) fn array(component: &Location) -> u64 {
    component.offset.saturating_add(CACHEMEM_OFFSET)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A configuration space with these dwords.
    fn config(dwords: &[(usize, u32)]) -> Config {
        let mut bytes = vec![0; 0x1000];
        for (offset, value) in dwords {
            bytes[*offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        Config(bytes)
    }

    /// AER at 0x100, the DVSEC of the device at 0x150, the register locator with two entries at 0x180.
    const LISTED: [(usize, u32); 9] = [
        (0x100, 0x1502_0001),
        (0x150, 0x1801_0023),
        (0x154, 0x03c2_1e98),
        (0x158, 0x0000_0000),
        (0x180, 0x0001_0023),
        (0x184, 0x01c0_1e98),
        (0x188, 0x0000_0008),
        (0x18c, 0x0000_0300),
        (0x194, 0x0002_0102),
    ];

    #[test]
    fn a_dword_has_its_first_byte_lowest_and_none_is_behind_the_end() {
        let config = config(&[(0xffc, 0x1234_5678)]);
        assert_eq!(config.0[0xffc], 0x78);
        assert_eq!((config.dword(0xffc), config.dword(0xffd)), (0x1234_5678, 0));
    }

    #[test]
    fn the_component_block_is_found_among_others() {
        let location = Location { bar: 2, block: 1, offset: 0x2_0000 };
        assert_eq!(config(&LISTED).component(), Some(location));
        assert_eq!(array(&location), 0x2_1000);
    }

    #[rstest]
    #[case::another_vendor((0x184, 0x01c0_8086))]
    #[case::another_dvsec((0x188, 0x0000_0007))]
    #[case::no_dvsec((0x180, 0x0001_000b))]
    #[case::too_short((0x184, 0x0140_1e98))]
    #[case::a_circle((0x150, 0x1001_0023))]
    #[case::an_end((0x150, 0x0001_0023))]
    fn a_device_may_have_no_component_block(#[case] changed: (usize, u32)) {
        let dwords: Vec<_> = LISTED.into_iter().chain([changed]).collect();
        assert_eq!(config(&dwords).component(), None);
    }

    #[test]
    fn bars_are_put_at_multiples_of_their_lengths() {
        let config = config(&[(0x10, 0x4), (0x18, 0xc), (0x20, 0x0), (0x24, 0x8)]);
        let bars = config.bars(&[0x1_0000, 0, 0x10_0000, 0, 0x1000, 0x10_0000]).unwrap();
        let bar = |index, size, is_64_bit, kind, address| Bar { index, size, is_64_bit, kind, address };
        let expected = [
            bar(0, 0x1_0000, true, 0x4, 0x20_0000_0000),
            bar(2, 0x10_0000, true, 0xc, 0x20_0010_0000),
            bar(4, 0x1000, false, 0x0, 0xc000_0000),
            bar(5, 0x10_0000, false, 0x8, 0xc010_0000),
        ];
        assert_eq!(bars, expected);
    }

    #[rstest]
    #[case::no_power_of_two([0x3000, 0, 0, 0, 0, 0])]
    #[case::too_long([0x4000_0000, 0, 0, 0, 0, 0])]
    fn a_bar_may_have_no_place(#[case] sizes: [u64; 6]) {
        let said = config(&[]).bars(&sizes).unwrap_err();
        assert!(said.starts_with("there is no place for BAR 0 of "), "{said}");
    }
}
