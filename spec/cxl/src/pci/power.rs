//! PCI power management (PCIe 6.2, 7.5.2).

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u5;

use crate::access::Width;
use crate::pci::CapabilityId;
use crate::pci::NextPointer;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the function can do.
    pub struct Capabilities("Power Management Capabilities"): u16 {
        /// Version of this capability: 3.
        version: u3 = 2:0, HwInit;
        /// Ready at once after a change to D0.
        immediate_readiness: bool = 4:4, HwInit;
        /// Needs a driver of its own before it can be used.
        device_specific_initialization: bool = 5:5, HwInit;
        /// What it draws from auxiliary power.
        auxiliary_current: u3 = 8:6, HwInit;
        /// Has the state D1.
        d1: bool = 9:9, HwInit;
        /// Has the state D2.
        d2: bool = 10:10, HwInit;
        /// From which states it can wake the system.
        pme_support: u5 = 15:11, HwInit;
    }

    /// In which state the function is.
    pub struct ControlStatus("Power Management Control/Status"): u16 {
        /// The state D0 to D3; one that the function does not have cannot be written.
        state: u2 = 1:0, Rw;
        /// The way from D3hot to D0 resets nothing.
        no_soft_reset: bool = 3:3, HwInit;
        /// May wake the system; fixed to 0 in a function that cannot.
        pme_enable: bool = 8:8, RsvdP;
        /// Which datum the data register shows; there is none.
        data_select: u4 = 12:9, RsvdP;
        /// Its unit.
        data_scale: u2 = 14:13, RsvdP;
        /// Woke the system; fixed to 0 in a function that cannot.
        pme_status: bool = 15:15, RsvdZ;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x08;

/// Offset of the capabilities register.
pub const CAPABILITIES: u64 = 0x02;
/// Offset of the control and status register.
pub const CONTROL_STATUS: u64 = 0x04;

/// [`ControlStatus::state`]: at work.
pub const D0: u2 = u2::new(0);
/// [`ControlStatus::state`]: asleep, with power.
pub const D3_HOT: u2 = u2::new(3);

/// The registers of the capability, for a function that cannot wake the system.
pub const REGISTERS: &[Register] = &[
    CapabilityId::at(0),
    NextPointer::at(1),
    Capabilities::at(CAPABILITIES),
    ControlStatus::at(CONTROL_STATUS),
    Register::reserved(0x06, Width::Word),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));
