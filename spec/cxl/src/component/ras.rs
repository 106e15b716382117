//! The RAS capability: errors of the CXL.cache and CXL.mem link (CXL 3.2, 8.2.4.17).

use arbitrary_int::u2;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u12;

use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Uncorrectable errors that happened.
    pub struct UncorrectableStatus("Uncorrectable Error Status"): u32 {
        /// One bit an error, cache data parity to receiver overflow.
        link: u12 = 11:0, Rw1cs;
        /// Internal error.
        internal: bool = 14:14, Rw1cs;
        /// IDE errors, transmit and receive.
        ide: u2 = 16:15, Rw1cs;
    }

    /// Uncorrectable errors that are not signalled.
    pub struct UncorrectableMask("Uncorrectable Error Mask"): u32 {
        /// As in the status register.
        link: u12 = 11:0, Rws;
        /// As in the status register.
        internal: bool = 14:14, Rws;
        /// As in the status register.
        ide: u2 = 16:15, Rws;
    }

    /// Uncorrectable errors that are fatal.
    pub struct UncorrectableSeverity("Uncorrectable Error Severity"): u32 {
        /// As in the status register.
        link: u12 = 11:0, Rws;
        /// As in the status register.
        internal: bool = 14:14, Rws;
        /// As in the status register.
        ide: u2 = 16:15, Rws;
    }

    /// Correctable errors that happened.
    pub struct CorrectableStatus("Correctable Error Status"): u32 {
        /// One bit an error, cache data ECC to physical layer.
        errors: u7 = 6:0, Rw1cs;
    }

    /// Correctable errors that are not signalled.
    pub struct CorrectableMask("Correctable Error Mask"): u32 {
        /// As in the status register.
        errors: u7 = 6:0, Rws;
    }

    /// What the capability can do and which error was first.
    pub struct CapabilitiesAndControl("Error Capabilities and Control"): u32 {
        /// Bit number of the oldest uncleared uncorrectable error.
        first_error: u6 = 5:0, Ros;
        /// Keeps the headers of several errors.
        multiple_headers: bool = 9:9, HwInit;
        /// Poison is enabled.
        poison_enabled: bool = 13:13, HwInit;
    }

    /// One dword of the header of the first error.
    pub struct HeaderLog("Header Log"): u32 {
        /// What was on the link.
        bytes: u32 = 31:0, Ros;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x58;

/// Offset of the uncorrectable error status register.
pub const UNCORRECTABLE_STATUS: u64 = 0x00;
/// Offset of the uncorrectable error mask register.
pub const UNCORRECTABLE_MASK: u64 = 0x04;
/// Offset of the uncorrectable error severity register.
pub const UNCORRECTABLE_SEVERITY: u64 = 0x08;
/// Offset of the correctable error status register.
pub const CORRECTABLE_STATUS: u64 = 0x0c;
/// Offset of the correctable error mask register.
pub const CORRECTABLE_MASK: u64 = 0x10;
/// Offset of the capabilities and control register.
pub const CAPABILITIES_AND_CONTROL: u64 = 0x14;
/// Offset of the first dword of the header log.
pub const HEADER_LOG: u64 = 0x18;

/// How many dwords the header log has.
pub const HEADER_LOG_DWORDS: usize = 16;

/// What the first-error pointer reads while there is no error: a bit that no error has.
pub const NO_ERROR: u6 = u6::new(0x3f);

/// Bit numbers of the uncorrectable errors.
pub mod uncorrectable {
    /// Data parity on CXL.cache.
    pub const CACHE_DATA_PARITY: u8 = 0;
    /// Address parity on CXL.cache.
    pub const CACHE_ADDRESS_PARITY: u8 = 1;
    /// Byte enable parity on CXL.cache.
    pub const CACHE_BYTE_ENABLE_PARITY: u8 = 2;
    /// Data ECC on CXL.cache.
    pub const CACHE_DATA_ECC: u8 = 3;
    /// Data parity on CXL.mem.
    pub const MEM_DATA_PARITY: u8 = 4;
    /// Address parity on CXL.mem.
    pub const MEM_ADDRESS_PARITY: u8 = 5;
    /// Byte enable parity on CXL.mem.
    pub const MEM_BYTE_ENABLE_PARITY: u8 = 6;
    /// Data ECC on CXL.mem.
    pub const MEM_DATA_ECC: u8 = 7;
    /// The link was initialised again too often.
    pub const REINIT_THRESHOLD: u8 = 8;
    /// An encoding that is reserved was received.
    pub const RESERVED_ENCODING: u8 = 9;
    /// Poison was received.
    pub const POISON_RECEIVED: u8 = 10;
    /// The receiver overflowed.
    pub const RECEIVER_OVERFLOW: u8 = 11;
    /// Internal error.
    pub const INTERNAL: u8 = 14;
    /// IDE, transmitting.
    pub const IDE_TRANSMIT: u8 = 15;
    /// IDE, receiving.
    pub const IDE_RECEIVE: u8 = 16;
}

/// Bit numbers of the correctable errors.
pub mod correctable {
    /// Data ECC on CXL.cache.
    pub const CACHE_DATA_ECC: u8 = 0;
    /// Data ECC on CXL.mem.
    pub const MEM_DATA_ECC: u8 = 1;
    /// Too many CRC errors.
    pub const CRC_THRESHOLD: u8 = 2;
    /// Too many retries.
    pub const RETRY_THRESHOLD: u8 = 3;
    /// Poison was received from CXL.cache.
    pub const CACHE_POISON: u8 = 4;
    /// Poison was received from CXL.mem.
    pub const MEM_POISON: u8 = 5;
    /// Error of the physical layer.
    pub const PHYSICAL: u8 = 6;
}

/// All uncorrectable errors: what the mask and severity registers read after reset.
pub const ALL_UNCORRECTABLE: u32 = 0x1_cfff;

/// All correctable errors: what the mask register reads after reset.
pub const ALL_CORRECTABLE: u32 = 0x7f;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[
    UncorrectableStatus::at(UNCORRECTABLE_STATUS),
    UncorrectableMask::at(UNCORRECTABLE_MASK),
    UncorrectableSeverity::at(UNCORRECTABLE_SEVERITY),
    CorrectableStatus::at(CORRECTABLE_STATUS),
    CorrectableMask::at(CORRECTABLE_MASK),
    CapabilitiesAndControl::at(CAPABILITIES_AND_CONTROL),
    HeaderLog::at(0x18),
    HeaderLog::at(0x1c),
    HeaderLog::at(0x20),
    HeaderLog::at(0x24),
    HeaderLog::at(0x28),
    HeaderLog::at(0x2c),
    HeaderLog::at(0x30),
    HeaderLog::at(0x34),
    HeaderLog::at(0x38),
    HeaderLog::at(0x3c),
    HeaderLog::at(0x40),
    HeaderLog::at(0x44),
    HeaderLog::at(0x48),
    HeaderLog::at(0x4c),
    HeaderLog::at(0x50),
    HeaderLog::at(0x54),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Field;

    fn all(fields: &[Field]) -> u64 {
        fields.iter().map(Field::mask).sum()
    }

    #[test]
    fn the_reset_masks_are_exactly_the_declared_errors() {
        assert_eq!(all(UncorrectableStatus::FIELDS), u64::from(ALL_UNCORRECTABLE));
        assert_eq!(all(UncorrectableMask::FIELDS), u64::from(ALL_UNCORRECTABLE));
        assert_eq!(all(CorrectableMask::FIELDS), u64::from(ALL_CORRECTABLE));
    }
}
