//! The GPF DVSEC for devices, id 5: global persistent flush (CXL 3.2, 8.1.7).

use arbitrary_int::u4;

use crate::dvsec::HEADER_1;
use crate::dvsec::HEADER_2;
use crate::dvsec::Header1;
use crate::dvsec::Header2;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// How long the second phase takes.
    pub struct Phase2Duration("GPF Phase 2 Duration"): u16 {
        /// The number of units.
        base: u4 = 3:0, HwInit;
        /// The unit: 1 us times 10^n.
        scale: u4 = 11:8, HwInit;
    }

    /// What the second phase draws.
    pub struct Phase2Power("GPF Phase 2 Power"): u32 {
        /// Milliwatts.
        milliwatts: u32 = 31:0, HwInit;
    }
}

/// Length in bytes.
pub const SIZE: u64 = 0x10;

/// Offset of the phase 2 duration register.
pub const PHASE_2_DURATION: u64 = 0x0a;

/// The registers of the DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Phase2Duration::at(PHASE_2_DURATION),
    Phase2Power::at(0x0c),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));
