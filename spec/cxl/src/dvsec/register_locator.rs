//! The Register Locator DVSEC, id 8: where the register blocks are (CXL 3.2, 8.1.9).

use arbitrary_int::traits::Integer;
use arbitrary_int::u3;

use crate::access::Width;
use crate::dvsec::BODY;
use crate::dvsec::HEADER_1;
use crate::dvsec::HEADER_2;
use crate::dvsec::Header1;
use crate::dvsec::Header2;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Lower half of an entry.
    pub struct OffsetLow("Register Block Offset Low"): u32 {
        /// In which BAR.
        bar: u3 = 2:0, HwInit;
        /// Which block; see [`block`].
        block: u8 = 15:8, HwInit;
        /// Offset bits 31:16.
        offset: u16 = 31:16, HwInit;
    }

    /// Upper half of an entry.
    pub struct OffsetHigh("Register Block Offset High"): u32 {
        /// Offset bits 63:32.
        offset: u32 = 31:0, HwInit;
    }
}

/// Register block ids.
pub mod block {
    /// An empty entry.
    pub const EMPTY: u8 = 0;
    /// The component registers.
    pub const COMPONENT: u8 = 1;
}

/// Offset of the first entry.
pub const ENTRIES: u64 = 0x0c;

/// Length of an entry in bytes.
pub const ENTRY_SIZE: u64 = 8;

/// Length in bytes with one entry.
pub const SIZE_OF_ONE: u64 = ENTRIES + ENTRY_SIZE;

/// Where a register block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The BAR, 0 to 7 as it stands in the register; above 5 there is none.
    pub bar: u8,
    /// Which block; see [`block`].
    pub block: u8,
    /// Offset in the BAR, a multiple of 64 KiB.
    pub offset: u64,
}

impl Location {
    /// The location that an entry's two dwords give.
    pub fn of(low: OffsetLow, high: OffsetHigh) -> Self {
        let offset = u64::from(high.offset()) << 32 | u64::from(low.offset()) << 16;
        Self { bar: low.bar().value(), block: low.block(), offset }
    }

    /// The two dwords of the entry that gives this location, low then high.
    pub fn registers(self) -> (OffsetLow, OffsetHigh) {
        let low = OffsetLow::new(0)
            .with_bar(u3::masked_new(u64::from(self.bar)))
            .with_block(self.block)
            .with_offset((self.offset >> 16) as u16);
        (low, OffsetHigh::new((self.offset >> 32) as u32))
    }
}

/// The registers of the DVSEC with one entry.
pub const REGISTERS_OF_ONE: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Register::reserved(BODY, Width::Word),
    OffsetLow::at(ENTRIES),
    OffsetHigh::at(ENTRIES + 4),
];

const _: () = assert!(is_sound(REGISTERS_OF_ONE, SIZE_OF_ONE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_shipped_silicon_reads_as_it_should() {
        let location = Location::of(OffsetLow::new(0x0015_0100), OffsetHigh::new(0));
        assert_eq!(location, Location { bar: 0, block: block::COMPONENT, offset: 0x15_0000 });
        assert_eq!(location.registers().0.raw(), 0x0015_0100);
    }

    #[test]
    fn an_offset_above_4_gib_takes_both_halves() {
        let location = Location { bar: 4, block: block::COMPONENT, offset: 0x3_0002_0000 };
        let (low, high) = location.registers();
        assert_eq!((low.raw(), high.raw()), (0x0002_0104, 3));
        assert_eq!(Location::of(low, high), location);
    }
}
