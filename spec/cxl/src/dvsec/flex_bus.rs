//! The Flex Bus port DVSEC, id 7: which protocols the link trained (CXL 3.2, 8.1.8).
//!
//! Linux takes a function for a CXL one when the *status* has the cache or the memory bit.

use arbitrary_int::u2;
use arbitrary_int::u5;
use arbitrary_int::u24;

use crate::dvsec::HEADER_1;
use crate::dvsec::HEADER_2;
use crate::dvsec::Header1;
use crate::dvsec::Header2;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the port can do.
    pub struct Capability("Flex Bus Port Capability"): u16 {
        /// CXL.cache.
        cache: bool = 0:0, HwInit;
        /// CXL.io.
        io: bool = 1:1, HwInit;
        /// CXL.mem.
        mem: bool = 2:2, HwInit;
        /// 68-byte flits and virtual hierarchy.
        flit_68_virtual_hierarchy: bool = 5:5, HwInit;
        /// Multiple logical devices.
        multiple_logical_devices: bool = 6:6, HwInit;
        /// Latency-optimised 256-byte flits.
        latency_optimised_flit_256: bool = 13:13, HwInit;
        /// Port based routing.
        port_based_routing: bool = 14:14, HwInit;
    }

    /// What a device may train. Only the downstream port's control decides, so this one is read-only.
    pub struct Control("Flex Bus Port Control"): u16 {
        /// CXL.cache.
        cache: bool = 0:0, Ro;
        /// CXL.io; always 1.
        io: bool = 1:1, Ro;
        /// CXL.mem.
        mem: bool = 2:2, Ro;
        /// 68-byte flits and virtual hierarchy.
        flit_68_virtual_hierarchy: bool = 5:5, Ro;
    }

    /// What a downstream port trains.
    pub struct PortControl("Flex Bus Port Control"): u16 {
        /// CXL.cache.
        cache: bool = 0:0, Rw;
        /// CXL.io; always 1.
        io: bool = 1:1, Ro;
        /// CXL.mem.
        mem: bool = 2:2, Rw;
        /// Synchronisation headers may be left out.
        sync_header_bypass: bool = 3:3, Rw;
        /// The drift buffer may be used.
        drift_buffer: bool = 4:4, Rw;
        /// 68-byte flits and virtual hierarchy.
        flit_68_virtual_hierarchy: bool = 5:5, Rw;
        /// Multiple logical devices.
        multiple_logical_devices: bool = 6:6, Rw;
        /// A restricted device is not trained.
        disable_restricted_device_training: bool = 7:7, Rw;
        /// Retimers are there.
        retimers_present: u2 = 9:8, Rw;
    }

    /// What the port trained.
    pub struct Status("Flex Bus Port Status"): u16 {
        /// CXL.cache.
        cache: bool = 0:0, Ro;
        /// CXL.io.
        io: bool = 1:1, Ro;
        /// CXL.mem.
        mem: bool = 2:2, Ro;
        /// Synchronisation headers are left out.
        sync_header_bypass: bool = 3:3, Ro;
        /// The drift buffer is in use.
        drift_buffer: bool = 4:4, Ro;
        /// 68-byte flits and virtual hierarchy.
        flit_68_virtual_hierarchy: bool = 5:5, Ro;
        /// Multiple logical devices.
        multiple_logical_devices: bool = 6:6, Ro;
        /// An even half failed.
        even_half_failed: bool = 7:7, Ro;
        /// Training errors.
        errors: u5 = 12:8, Rw1cs;
        /// Latency-optimised 256-byte flits.
        latency_optimised_flit_256: bool = 13:13, Ro;
        /// Port based routing.
        port_based_routing: bool = 14:14, Ro;
        /// CXL.io is throttled at 64 GT/s.
        io_throttle: bool = 15:15, Ro;
    }

    /// What the other side said while training.
    pub struct ReceivedData("Received Modified TS Data"): u32 {
        /// Phase 1 data.
        data: u24 = 23:0, Ro;
    }

    /// What else the port can do.
    pub struct Capability2("Flex Bus Port Capability 2"): u32 {
        /// Understands NOP hints.
        nop_hint: bool = 0:0, HwInit;
    }

    /// What else the port may train.
    pub struct Control2("Flex Bus Port Control 2"): u32 {
        /// NOP hints.
        nop_hint: bool = 0:0, Ro;
    }

    /// What else the port trained.
    pub struct Status2("Flex Bus Port Status 2"): u32 {
        /// NOP hints, as negotiated.
        nop_hint: bool = 0:0, Ro;
    }
}

/// Length in bytes.
pub const SIZE: u64 = 0x20;

/// Revision of the layout described here.
pub const REVISION: arbitrary_int::u4 = arbitrary_int::u4::new(2);

/// Offset of the capability register.
pub const CAPABILITY: u64 = 0x0a;
/// Offset of the control register.
pub const CONTROL: u64 = 0x0c;
/// Offset of the status register.
pub const STATUS: u64 = 0x0e;

/// The registers of the DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Capability::at(CAPABILITY),
    Control::at(CONTROL),
    Status::at(STATUS),
    ReceivedData::at(0x10),
    Capability2::at(0x14),
    Control2::at(0x18),
    Status2::at(0x1c),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

/// The registers of the DVSEC of a downstream port, whose control decides.
pub const PORT_REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Capability::at(CAPABILITY),
    PortControl::at(CONTROL),
    Status::at(STATUS),
    ReceivedData::at(0x10),
    Capability2::at(0x14),
    Control2::at(0x18),
    Status2::at(0x1c),
];

const _: () = assert!(is_sound(PORT_REGISTERS, SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trained_type_2_link_reads_0x27() {
        let status =
            Status::new(0).with_cache(true).with_io(true).with_mem(true).with_flit_68_virtual_hierarchy(true);
        assert_eq!(status.raw(), 0x27);
    }
}
