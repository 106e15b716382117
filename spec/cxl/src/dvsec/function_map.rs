//! The Non-CXL Function Map DVSEC, id 2: which functions of the device are plain PCIe (CXL 3.2, 8.1.4).
//!
//! Eight maps of 32 bits. Without ARI the register is the function's number and the bit its device number. A CXL
//! reset leaves alone the functions whose bit is set.

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
    /// One of the eight maps.
    pub struct Map("Non CXL Function Map Register"): u32 {
        /// A bit each for functions that take no part in CXL.cache and CXL.mem.
        functions: u32 = 31:0, HwInit;
    }
}

/// Length in bytes.
pub const SIZE: u64 = 0x2c;

/// Offset of the first map.
pub const MAPS: u64 = 0x0c;

/// The registers of the DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Register::reserved(BODY, Width::Word),
    Map::at(MAPS),
    Map::at(0x10),
    Map::at(0x14),
    Map::at(0x18),
    Map::at(0x1c),
    Map::at(0x20),
    Map::at(0x24),
    Map::at(0x28),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));
