//! PCI configuration space: the headers, the capability headers, and the capabilities of endpoints and ports.

use arbitrary_int::u4;
use arbitrary_int::u12;

use crate::register::Register;

pub mod aer;
pub mod ats;
pub mod bridge;
pub mod doe;
pub mod express;
pub mod header;
pub mod msi;
pub mod msix;
pub mod power;
pub mod serial;

crate::register! {
    /// First byte of a capability: which it is.
    pub struct CapabilityId("Capability ID"): u8 {
        /// See [`capability`].
        id: u8 = 7:0, HwInit;
    }

    /// Second byte of a capability: where the next is.
    pub struct NextPointer("Next Capability Pointer"): u8 {
        /// Offset of the next capability, 0 at the end; the low two bits are reserved.
        next: u8 = 7:0, HwInit;
    }

    /// First dword of an extended capability (PCIe 6.2, 7.6.3).
    pub struct ExtendedCapability("Extended Capability Header"): u32 {
        /// See [`extended_capability`].
        id: u16 = 15:0, HwInit;
        /// Version of the capability.
        version: u4 = 19:16, HwInit;
        /// Offset of the next extended capability, 0 at the end; the low two bits are reserved.
        next: u12 = 31:20, HwInit;
    }
}

/// Length of a configuration space with extended capabilities.
pub const CONFIG_SPACE_SIZE: u64 = 0x1000;

/// Offset of the first extended capability.
pub const EXTENDED_CAPABILITIES: u64 = 0x100;

/// Capability ids.
pub mod capability {
    /// PCI power management.
    pub const POWER: u8 = 0x01;
    /// MSI.
    pub const MSI: u8 = 0x05;
    /// PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

/// Extended capability ids.
pub mod extended_capability {
    /// Advanced error reporting.
    pub const AER: u16 = 0x0001;
    /// Device serial number.
    pub const SERIAL_NUMBER: u16 = 0x0003;
    /// Address translation services.
    pub const ATS: u16 = 0x000f;
    /// Designated vendor-specific.
    pub const DVSEC: u16 = 0x0023;
    /// Data object exchange.
    pub const DOE: u16 = 0x002e;
}

/// The name of a capability, for people.
pub fn capability_name(id: u8) -> &'static str {
    match id {
        capability::POWER => "power management",
        capability::MSI => "MSI",
        0x09 => "vendor specific",
        capability::EXPRESS => "PCI Express",
        capability::MSIX => "MSI-X",
        _ => "unknown",
    }
}

/// The name of an extended capability, for people.
pub fn extended_capability_name(id: u16) -> &'static str {
    match id {
        extended_capability::AER => "advanced error reporting",
        extended_capability::SERIAL_NUMBER => "device serial number",
        0x000b => "vendor specific",
        extended_capability::ATS => "address translation services",
        0x0013 => "page request interface",
        0x001b => "process address space ID",
        extended_capability::DVSEC => "designated vendor specific",
        extended_capability::DOE => "data object exchange",
        _ => "unknown",
    }
}

/// The registers of a capability of an endpoint; none where they are not described here.
pub const fn capability_registers(id: u8) -> &'static [Register] {
    match id {
        capability::POWER => power::REGISTERS,
        capability::MSI => msi::REGISTERS,
        capability::EXPRESS => express::REGISTERS,
        capability::MSIX => msix::REGISTERS,
        _ => &[],
    }
}

/// The registers of an extended capability of an endpoint; none where they are not described here. Those of a DVSEC
/// depend on which it is: [`dvsec::registers`](crate::dvsec::registers).
pub const fn extended_capability_registers(id: u16) -> &'static [Register] {
    match id {
        extended_capability::AER => aer::REGISTERS,
        extended_capability::SERIAL_NUMBER => serial::REGISTERS,
        extended_capability::ATS => ats::REGISTERS,
        extended_capability::DOE => doe::REGISTERS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_has_its_registers_and_an_unknown_one_none() {
        let plain =
            [(1, "Power Management Control/Status"), (0x10, "Device Control"), (0x11, "Message Control")];
        for (id, register) in plain {
            assert!(
                capability_registers(id).iter().any(|known| known.name == register),
                "{id:#x} {register}"
            );
        }
        assert_eq!(capability_registers(9), []);
        assert_eq!(
            extended_capability_registers(extended_capability::AER).first().map(|first| first.offset),
            Some(0)
        );
        assert_eq!(extended_capability_registers(extended_capability::DVSEC), []);
    }

    #[test]
    fn capabilities_have_their_names_and_others_have_none() {
        let plain = [(1, "power management"), (5, "MSI"), (9, "vendor specific"), (0x10, "PCI Express")];
        for (id, printed) in plain.into_iter().chain([(0x11, "MSI-X"), (0x12, "unknown")]) {
            assert_eq!(capability_name(id), printed, "{id:#x}");
        }
        let extended = [
            (0x01, "advanced error reporting"),
            (0x03, "device serial number"),
            (0x0b, "vendor specific"),
            (0x0f, "address translation services"),
            (0x13, "page request interface"),
            (0x1b, "process address space ID"),
            (0x23, "designated vendor specific"),
            (0x2e, "data object exchange"),
            (0x30, "unknown"),
        ];
        for (id, printed) in extended {
            assert_eq!(extended_capability_name(id), printed, "{id:#x}");
        }
    }
}
