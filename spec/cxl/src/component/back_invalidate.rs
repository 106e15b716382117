//! The BI decoder capability of a device: whether it may back-invalidate (CXL 3.2, 8.2.4.27).
//!
//! A device whose memory is HDM-DB has it; one with HDM-D does not need it.

use arbitrary_int::u4;

use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the device can do.
    pub struct Capability("BI Decoder Capability"): u32 {
        /// The device can do without back-invalidate, as HDM-D.
        hdm_d_compatible: bool = 0:0, HwInit;
        /// A change takes effect only with [`Control::commit`].
        explicit_commit_required: bool = 1:1, HwInit;
    }

    /// What the device may do.
    pub struct Control("BI Decoder Control"): u32 {
        /// Forward; reserved in devices.
        forward: bool = 0:0, RsvdP;
        /// The device may back-invalidate.
        enable: bool = 1:1, Rw;
        /// Let the change take effect; reserved where no explicit commit is required, as here.
        commit: bool = 2:2, RsvdP;
    }

    /// What came of a commit; all 0 where no explicit commit is required.
    pub struct Status("BI Decoder Status"): u32 {
        /// The change took effect.
        committed: bool = 0:0, Ro;
        /// The commit failed.
        error_not_committed: bool = 1:1, Ro;
        /// Unit of the longest time that a commit takes: 1 us times 10^n.
        timeout_scale: u4 = 11:8, HwInit;
        /// That time in units.
        timeout_base: u4 = 15:12, HwInit;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x0c;

/// Offset of the control register.
pub const CONTROL: u64 = 0x04;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[Capability::at(0x00), Control::at(CONTROL), Status::at(0x08)];

const _: () = assert!(is_sound(REGISTERS, SIZE));
