//! Advanced error reporting of an endpoint (PCIe 6.2, 7.8.4).

use arbitrary_int::u4;
use arbitrary_int::u5;
use arbitrary_int::u7;

use crate::access::Width;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Uncorrectable errors that happened.
    pub struct UncorrectableStatus("Uncorrectable Error Status"): u32 {
        /// Data link protocol error.
        data_link: bool = 4:4, Rw1cs;
        /// Poisoned TLP received.
        poisoned: bool = 12:12, Rw1cs;
        /// Flow control, timeout, abort, unexpected completion, overflow, malformed, ECRC.
        transaction: u7 = 19:13, Rw1cs;
        /// Unsupported request.
        unsupported_request: bool = 20:20, Rw1cs;
        /// Uncorrectable internal error: CXL RAS is reported through it.
        internal: bool = 22:22, Rw1cs;
    }

    /// Uncorrectable errors that are not signalled.
    pub struct UncorrectableMask("Uncorrectable Error Mask"): u32 {
        /// As in the status register.
        data_link: bool = 4:4, Rws;
        /// As in the status register.
        poisoned: bool = 12:12, Rws;
        /// As in the status register.
        transaction: u7 = 19:13, Rws;
        /// As in the status register.
        unsupported_request: bool = 20:20, Rws;
        /// As in the status register.
        internal: bool = 22:22, Rws;
    }

    /// Uncorrectable errors that are fatal.
    pub struct UncorrectableSeverity("Uncorrectable Error Severity"): u32 {
        /// As in the status register.
        data_link: bool = 4:4, Rws;
        /// As in the status register.
        poisoned: bool = 12:12, Rws;
        /// As in the status register.
        transaction: u7 = 19:13, Rws;
        /// As in the status register.
        unsupported_request: bool = 20:20, Rws;
        /// As in the status register.
        internal: bool = 22:22, Rws;
    }

    /// Correctable errors that happened.
    pub struct CorrectableStatus("Correctable Error Status"): u32 {
        /// Receiver error.
        receiver: bool = 0:0, Rw1cs;
        /// Bad TLP and bad DLLP.
        bad_packet: arbitrary_int::u2 = 7:6, Rw1cs;
        /// Replay number rollover.
        replay_rollover: bool = 8:8, Rw1cs;
        /// Replay timeout and advisory non-fatal error.
        timeout_and_advisory: arbitrary_int::u2 = 13:12, Rw1cs;
        /// Corrected internal error: CXL RAS is reported through it.
        internal: bool = 14:14, Rw1cs;
        /// The header log was full.
        header_log_overflow: bool = 15:15, Rw1cs;
    }

    /// Correctable errors that are not signalled.
    pub struct CorrectableMask("Correctable Error Mask"): u32 {
        /// As in the status register.
        receiver: bool = 0:0, Rws;
        /// As in the status register.
        bad_packet: arbitrary_int::u2 = 7:6, Rws;
        /// As in the status register.
        replay_rollover: bool = 8:8, Rws;
        /// As in the status register.
        timeout_and_advisory: arbitrary_int::u2 = 13:12, Rws;
        /// As in the status register.
        internal: bool = 14:14, Rws;
        /// As in the status register.
        header_log_overflow: bool = 15:15, Rws;
    }

    /// What the capability can do and which error was first.
    pub struct CapabilitiesAndControl("Advanced Error Capabilities and Control"): u32 {
        /// Bit number of the first uncorrectable error.
        first_error: u5 = 4:0, Ros;
    }

    /// One dword of the header of the first error.
    pub struct HeaderLog("Header Log"): u32 {
        /// What was on the link.
        bytes: u32 = 31:0, Ros;
    }
}

/// [`CapabilitiesAndControl::first_error`]: the bit number of an uncorrectable internal error.
pub const INTERNAL: u5 = u5::new(22);

/// Version of the layout described here.
pub const VERSION: u4 = u4::new(2);

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x48;

/// Offset of the uncorrectable error status register.
pub const UNCORRECTABLE_STATUS: u64 = 0x04;
/// Offset of the uncorrectable error mask register.
pub const UNCORRECTABLE_MASK: u64 = 0x08;
/// Offset of the uncorrectable error severity register.
pub const UNCORRECTABLE_SEVERITY: u64 = 0x0c;
/// Offset of the correctable error status register.
pub const CORRECTABLE_STATUS: u64 = 0x10;
/// Offset of the correctable error mask register.
pub const CORRECTABLE_MASK: u64 = 0x14;
/// Offset of the capabilities and control register.
pub const CAPABILITIES_AND_CONTROL: u64 = 0x18;

/// The registers of the capability. The places of a root port's registers are reserved, and so are those of the
/// prefix log, which this device does not have.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    UncorrectableStatus::at(UNCORRECTABLE_STATUS),
    UncorrectableMask::at(UNCORRECTABLE_MASK),
    UncorrectableSeverity::at(UNCORRECTABLE_SEVERITY),
    CorrectableStatus::at(CORRECTABLE_STATUS),
    CorrectableMask::at(CORRECTABLE_MASK),
    CapabilitiesAndControl::at(CAPABILITIES_AND_CONTROL),
    HeaderLog::at(0x1c),
    HeaderLog::at(0x20),
    HeaderLog::at(0x24),
    HeaderLog::at(0x28),
    Register::reserved(0x2c, Width::Dword),
    Register::reserved(0x30, Width::Qword),
    Register::reserved(0x38, Width::Qword),
    Register::reserved(0x40, Width::Qword),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

/// Bits of [`CorrectableMask`] after reset: advisory non-fatal, internal and header log overflow are masked.
pub const CORRECTABLE_MASK_RESET: u32 = 0xe000;

/// Bits of [`UncorrectableMask`] after reset: internal errors are masked.
pub const UNCORRECTABLE_MASK_RESET: u32 = 1 << 22;

/// Bits of [`UncorrectableSeverity`] after reset: data link, flow control, overflow, malformed and internal.
pub const UNCORRECTABLE_SEVERITY_RESET: u32 = 1 << 4 | 1 << 13 | 1 << 17 | 1 << 18 | 1 << 22;
