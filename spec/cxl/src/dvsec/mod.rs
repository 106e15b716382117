//! CXL DVSECs: the vendor-specific extended capabilities of the CXL consortium (CXL 3.2, 8.1.2).
//!
//! Every DVSEC begins with the extended capability header and two headers of its own; offsets in the modules
//! below count from the extended capability header.

use arbitrary_int::u4;
use arbitrary_int::u12;

use crate::register::Register;

pub mod device;
pub mod flex_bus;
pub mod function_map;
pub mod gpf;
pub mod port_extensions;
pub mod register_locator;

crate::register! {
    /// Whose DVSEC it is, and how long.
    pub struct Header1("DVSEC Header 1"): u32 {
        /// [`VENDOR`] for all DVSECs here.
        vendor: u16 = 15:0, HwInit;
        /// Revision of the layout.
        revision: u4 = 19:16, HwInit;
        /// Length in bytes, headers included.
        length: u12 = 31:20, HwInit;
    }

    /// Which DVSEC it is.
    pub struct Header2("DVSEC Header 2"): u16 {
        /// See [`id`].
        id: u16 = 15:0, HwInit;
    }
}

/// The vendor id of the CXL consortium.
pub const VENDOR: u16 = 0x1e98;

/// Offset of header 1.
pub const HEADER_1: u64 = 0x04;
/// Offset of header 2.
pub const HEADER_2: u64 = 0x08;
/// Offset of the first byte that is the DVSEC's own.
pub const BODY: u64 = 0x0a;

/// DVSEC ids (CXL 3.2, table 8-2).
pub mod id {
    /// PCIe DVSEC for CXL devices: [`device`](super::device).
    pub const DEVICE: u16 = 0;
    /// Non-CXL Function Map DVSEC: [`function_map`](super::function_map).
    pub const FUNCTION_MAP: u16 = 2;
    /// CXL Extensions DVSEC for ports: [`port_extensions`](super::port_extensions).
    pub const PORT_EXTENSIONS: u16 = 3;
    /// GPF DVSEC for CXL ports: [`gpf`](super::gpf).
    pub const GPF_PORT: u16 = 4;
    /// GPF DVSEC for CXL devices: [`gpf`](super::gpf).
    pub const GPF_DEVICE: u16 = 5;
    /// PCIe DVSEC for Flex Bus port: [`flex_bus`](super::flex_bus).
    pub const FLEX_BUS: u16 = 7;
    /// Register Locator DVSEC: [`register_locator`](super::register_locator).
    pub const REGISTER_LOCATOR: u16 = 8;
}

/// The name of a DVSEC of the consortium, for people.
pub fn name(dvsec: u16) -> &'static str {
    match dvsec {
        id::DEVICE => "CXL device",
        id::FUNCTION_MAP => "non-CXL function map",
        id::PORT_EXTENSIONS => "CXL extensions for ports",
        id::GPF_PORT => "GPF for ports",
        id::GPF_DEVICE => "GPF for devices",
        id::FLEX_BUS => "Flex Bus port",
        id::REGISTER_LOCATOR => "register locator",
        9 => "multiple logical devices",
        0xa => "compliance test",
        _ => "unknown",
    }
}

/// The registers of a DVSEC of the consortium in an endpoint; none where they are not described here.
pub const fn registers(dvsec: u16) -> &'static [Register] {
    match dvsec {
        id::DEVICE => device::REGISTERS,
        id::FUNCTION_MAP => function_map::REGISTERS,
        id::GPF_DEVICE => gpf::REGISTERS,
        id::FLEX_BUS => flex_bus::REGISTERS,
        id::REGISTER_LOCATOR => register_locator::REGISTERS_OF_ONE,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dvsec_of_an_endpoint_has_its_registers_and_one_of_a_port_none() {
        assert!(registers(id::DEVICE).iter().any(|register| register.offset == device::CONTROL_2));
        for known in [id::FUNCTION_MAP, id::GPF_DEVICE, id::FLEX_BUS, id::REGISTER_LOCATOR] {
            assert!(registers(known).iter().any(|register| register.offset == HEADER_1), "{known}");
        }
        assert_eq!((registers(id::PORT_EXTENSIONS), registers(1)), (&[][..], &[][..]));
    }

    #[test]
    fn every_id_of_the_table_has_its_name_and_others_have_none() {
        let printed = [
            (0, "CXL device"),
            (1, "unknown"),
            (2, "non-CXL function map"),
            (3, "CXL extensions for ports"),
            (4, "GPF for ports"),
            (5, "GPF for devices"),
            (6, "unknown"),
            (7, "Flex Bus port"),
            (8, "register locator"),
            (9, "multiple logical devices"),
            (0xa, "compliance test"),
            (0xb, "unknown"),
        ];
        for (id, printed) in printed {
            assert_eq!(name(id), printed, "{id:#x}");
        }
    }
}
