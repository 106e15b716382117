//! The GPF DVSECs, id 4 for ports and id 5 for devices: global persistent flush (CXL 3.2, 8.1.6 and 8.1.7).

use arbitrary_int::u4;

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
    /// How long a port waits for a phase.
    pub struct PhaseControl("GPF Phase Control"): u16 {
        /// The number of units.
        timeout_base: u4 = 3:0, Rw;
        /// The unit: 1 us times 10^n.
        timeout_scale: u4 = 11:8, Rw;
    }

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

/// Length in bytes, of either.
pub const SIZE: u64 = 0x10;

/// Offset of a port's phase 1 control register.
pub const PHASE_1_CONTROL: u64 = 0x0c;
/// Offset of a port's phase 2 control register.
pub const PHASE_2_CONTROL: u64 = 0x0e;

/// Offset of the phase 2 duration register.
pub const PHASE_2_DURATION: u64 = 0x0a;

/// The registers of a device's DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Phase2Duration::at(PHASE_2_DURATION),
    Phase2Power::at(0x0c),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

/// The registers of a port's DVSEC.
pub const PORT_REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Register::reserved(BODY, Width::Word),
    PhaseControl::at(PHASE_1_CONTROL),
    PhaseControl::at(PHASE_2_CONTROL),
];

const _: () = assert!(is_sound(PORT_REGISTERS, SIZE));
