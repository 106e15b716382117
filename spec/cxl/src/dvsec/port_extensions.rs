//! The extensions DVSEC for CXL ports, id 3: what a port of CXL does beyond one of PCI Express (CXL 3.2, 8.1.5).
//!
//! A reset of the secondary bus would take a CXL device's memory away from whoever uses it, so it is masked
//! until software unmasks it here.

use arbitrary_int::u12;
use arbitrary_int::u19;

use crate::dvsec::HEADER_1;
use crate::dvsec::HEADER_2;
use crate::dvsec::Header1;
use crate::dvsec::Header2;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What happened at the port.
    pub struct Status("CXL Port Extension Status"): u16 {
        /// Power management was initialised.
        power_management_initialised: bool = 0:0, Ro;
        /// Data was given up to contain an error.
        viral: bool = 14:14, Rw1cs;
    }

    /// What the port does.
    pub struct Control("CXL Port Extension Control"): u16 {
        /// A reset of the secondary bus has its effect.
        unmask_secondary_bus_reset: bool = 0:0, Rw;
        /// Turning the link off has its effect.
        unmask_link_disable: bool = 1:1, Rw;
        /// The alternate windows forward.
        alternate_memory_and_id_enable: bool = 2:2, Rw;
        /// What is below may issue requests, whatever the command register says.
        alternate_bus_master_enable: bool = 3:3, Rw;
        /// Unordered requests may reach device memory.
        unordered_io_to_memory: bool = 4:4, Rw;
        /// Data is given up to contain an error.
        viral_enable: bool = 14:14, Rw;
    }

    /// First of the alternate buses.
    pub struct AlternateBusBase("Alternate Bus Base"): u8 {
        /// The bus.
        bus: u8 = 7:0, Rw;
    }

    /// Last of the alternate buses.
    pub struct AlternateBusLimit("Alternate Bus Limit"): u8 {
        /// The bus.
        bus: u8 = 7:0, Rw;
    }

    /// Where the alternate window begins.
    pub struct AlternateMemoryBase("Alternate Memory Base"): u16 {
        /// Address bits 31:20.
        base: u12 = 15:4, Rw;
    }

    /// Where the alternate window ends.
    pub struct AlternateMemoryLimit("Alternate Memory Limit"): u16 {
        /// Address bits 31:20 of the last.
        limit: u12 = 15:4, Rw;
    }

    /// Upper half of an end of the alternate prefetchable window.
    pub struct AlternatePrefetchableHigh("Alternate Prefetchable Memory High"): u32 {
        /// Address bits 63:32.
        address: u32 = 31:0, Rw;
    }

    /// Where a CXL 1.1 device below the port has its root complex register block.
    pub struct RegisterBlockBase("CXL RCRB Base"): u32 {
        /// The block is in use.
        enable: bool = 0:0, Rw;
        /// Address bits 31:13.
        low: u19 = 31:13, Rw;
    }

    /// Upper half of it.
    pub struct RegisterBlockBaseHigh("CXL RCRB Base High"): u32 {
        /// Address bits 63:32.
        high: u32 = 31:0, Rw;
    }
}

/// Length in bytes.
pub const SIZE: u64 = 0x28;

/// Offset of the status register.
pub const STATUS: u64 = 0x0a;
/// Offset of the control register.
pub const CONTROL: u64 = 0x0c;

/// The registers of the DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Status::at(STATUS),
    Control::at(CONTROL),
    AlternateBusBase::at(0x0e),
    AlternateBusLimit::at(0x0f),
    AlternateMemoryBase::at(0x10),
    AlternateMemoryLimit::at(0x12),
    AlternateMemoryBase::at(0x14),
    AlternateMemoryLimit::at(0x16),
    AlternatePrefetchableHigh::at(0x18),
    AlternatePrefetchableHigh::at(0x1c),
    RegisterBlockBase::at(0x20),
    RegisterBlockBaseHigh::at(0x24),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_passes_resets_on_has_bit_0_of_its_control() {
        assert_eq!(Control::new(0).with_unmask_secondary_bus_reset(true).raw(), 1);
        assert_eq!(Control::new(0).with_viral_enable(true).raw(), 0x4000);
    }
}
