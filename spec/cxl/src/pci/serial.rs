//! The device serial number: 64 bits by which one board is told from another (PCIe 6.2, 7.9.3).

use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Lower half of the number.
    pub struct Low("Serial Number Lower"): u32 {
        /// Bits 31:0.
        number: u32 = 31:0, HwInit;
    }

    /// Upper half of the number.
    pub struct High("Serial Number Upper"): u32 {
        /// Bits 63:32.
        number: u32 = 31:0, HwInit;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x0c;

/// Offset of the lower half.
pub const LOW: u64 = 0x04;
/// Offset of the upper half.
pub const HIGH: u64 = 0x08;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[ExtendedCapability::at(0), Low::at(LOW), High::at(HIGH)];

const _: () = assert!(is_sound(REGISTERS, SIZE));
