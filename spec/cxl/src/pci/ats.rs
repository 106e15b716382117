//! Address translation services: asking the host for translations ahead of use (PCIe 6.2, 10.5.1).
//!
//! A function that speaks CXL.cache must have it: requests on CXL.cache carry host physical addresses.

use arbitrary_int::u5;

use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the function can do.
    pub struct Capability("ATS Capability"): u16 {
        /// How many invalidations it takes at a time; 0 for 32.
        invalidate_queue_depth: u5 = 4:0, HwInit;
        /// It asks for whole pages only.
        page_aligned_request: bool = 5:5, HwInit;
        /// It takes invalidations for all address spaces at once.
        global_invalidate: bool = 6:6, HwInit;
        /// Its requests may be ordered loosely.
        relaxed_ordering: bool = 7:7, HwInit;
    }

    /// What the function may do.
    pub struct Control("ATS Control"): u16 {
        /// Smallest translation unit: 4 KiB << n.
        smallest_translation_unit: u5 = 4:0, Rw;
        /// It may ask for translations.
        enable: bool = 15:15, Rw;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x08;

/// Offset of the capability register.
pub const CAPABILITY: u64 = 0x04;
/// Offset of the control register.
pub const CONTROL: u64 = 0x06;

/// The registers of the capability.
pub const REGISTERS: &[Register] =
    &[ExtendedCapability::at(0), Capability::at(CAPABILITY), Control::at(CONTROL)];

const _: () = assert!(is_sound(REGISTERS, SIZE));
