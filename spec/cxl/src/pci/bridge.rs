//! The first 64 bytes of a bridge's configuration space, type 1 (PCIe 6.2, 7.5.1.3).
//!
//! A root port is a bridge: below it is a bus of its own, and it forwards what lies in its windows.

use arbitrary_int::u4;
use arbitrary_int::u12;

use crate::access::Width;
use crate::pci::header;
use crate::pci::header::Bar;
use crate::pci::header::BarHigh;
use crate::pci::header::CacheLineSize;
use crate::pci::header::CapabilitiesPointer;
use crate::pci::header::ClassCode;
use crate::pci::header::Command;
use crate::pci::header::DeviceId;
use crate::pci::header::HeaderType;
use crate::pci::header::InterruptLine;
use crate::pci::header::InterruptPin;
use crate::pci::header::ProgrammingInterface;
use crate::pci::header::RevisionId;
use crate::pci::header::Status;
use crate::pci::header::VendorId;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// The bus that the bridge is on.
    pub struct PrimaryBus("Primary Bus Number"): u8 {
        /// The bus.
        bus: u8 = 7:0, Rw;
    }

    /// The bus directly below the bridge.
    pub struct SecondaryBus("Secondary Bus Number"): u8 {
        /// The bus.
        bus: u8 = 7:0, Rw;
    }

    /// The last bus below the bridge.
    pub struct SubordinateBus("Subordinate Bus Number"): u8 {
        /// The bus.
        bus: u8 = 7:0, Rw;
    }

    /// Where I/O below the bridge begins; 0 with the limit 0 where it forwards none.
    pub struct IoBase("I/O Base"): u8 {
        /// 0 for 16 bits, 1 for 32 bits.
        kind: u4 = 3:0, HwInit;
        /// Address bits 15:12; read-only in a bridge without I/O.
        base: u4 = 7:4, Ro;
    }

    /// Where I/O below the bridge ends.
    pub struct IoLimit("I/O Limit"): u8 {
        /// As in the base.
        kind: u4 = 3:0, HwInit;
        /// Address bits 15:12 of the last; read-only in a bridge without I/O.
        limit: u4 = 7:4, Ro;
    }

    /// What happened below the bridge.
    pub struct SecondaryStatus("Secondary Status"): u16 {
        /// Poisoned data was received.
        data_parity_error: bool = 8:8, Rw1c;
        /// It answered with a completer abort.
        signaled_target_abort: bool = 11:11, Rw1c;
        /// It was answered with a completer abort.
        received_target_abort: bool = 12:12, Rw1c;
        /// It was answered with an unsupported request.
        received_master_abort: bool = 13:13, Rw1c;
        /// An error was reported to it.
        received_system_error: bool = 14:14, Rw1c;
        /// Poisoned data was seen.
        detected_parity_error: bool = 15:15, Rw1c;
    }

    /// Where memory of 32 bits below the bridge begins.
    pub struct MemoryBase("Memory Base"): u16 {
        /// Address bits 31:20.
        base: u12 = 15:4, Rw;
    }

    /// Where memory of 32 bits below the bridge ends. A limit below the base: there is none.
    pub struct MemoryLimit("Memory Limit"): u16 {
        /// Address bits 31:20 of the last.
        limit: u12 = 15:4, Rw;
    }

    /// Where prefetchable memory below the bridge begins.
    pub struct PrefetchableBase("Prefetchable Memory Base"): u16 {
        /// 0 for 32 bits, [`KIND_64_BIT`] for 64 bits.
        kind: u4 = 3:0, HwInit;
        /// Address bits 31:20.
        base: u12 = 15:4, Rw;
    }

    /// Where prefetchable memory below the bridge ends. A limit below the base: there is none.
    pub struct PrefetchableLimit("Prefetchable Memory Limit"): u16 {
        /// As in the base.
        kind: u4 = 3:0, HwInit;
        /// Address bits 31:20 of the last.
        limit: u12 = 15:4, Rw;
    }

    /// Upper half of where prefetchable memory begins.
    pub struct PrefetchableBaseHigh("Prefetchable Base Upper 32 Bits"): u32 {
        /// Address bits 63:32.
        base: u32 = 31:0, Rw;
    }

    /// Upper half of where prefetchable memory ends.
    pub struct PrefetchableLimitHigh("Prefetchable Limit Upper 32 Bits"): u32 {
        /// Address bits 63:32 of the last.
        limit: u32 = 31:0, Rw;
    }

    /// What the bridge does for what is below it.
    pub struct BridgeControl("Bridge Control"): u16 {
        /// Takes poisoned data seriously.
        parity_error_response: bool = 0:0, Rw;
        /// Reports errors from below.
        serr: bool = 1:1, Rw;
        /// Resets what is below, while it is set.
        secondary_bus_reset: bool = 6:6, Rw;
    }
}

/// [`HeaderType::layout`] of a bridge.
pub const LAYOUT: arbitrary_int::u7 = arbitrary_int::u7::new(1);

/// [`PrefetchableBase::kind`] of a window of 64 bits.
pub const KIND_64_BIT: u4 = u4::new(1);

/// How many base address registers a bridge has.
pub const BARS: u8 = 2;

/// What a bridge's windows are multiples of.
pub const WINDOW_GRANULE: u64 = 1 << 20;

/// Offset of the primary bus number.
pub const PRIMARY_BUS: u64 = 0x18;
/// Offset of the secondary bus number.
pub const SECONDARY_BUS: u64 = 0x19;
/// Offset of the subordinate bus number.
pub const SUBORDINATE_BUS: u64 = 0x1a;
/// Offset of the memory base.
pub const MEMORY_BASE: u64 = 0x20;
/// Offset of the memory limit.
pub const MEMORY_LIMIT: u64 = 0x22;
/// Offset of the prefetchable memory base.
pub const PREFETCHABLE_BASE: u64 = 0x24;
/// Offset of the prefetchable memory limit.
pub const PREFETCHABLE_LIMIT: u64 = 0x26;
/// Offset of the upper half of the prefetchable memory base.
pub const PREFETCHABLE_BASE_HIGH: u64 = 0x28;
/// Offset of the upper half of the prefetchable memory limit.
pub const PREFETCHABLE_LIMIT_HIGH: u64 = 0x2c;
/// Offset of the bridge control register.
pub const BRIDGE_CONTROL: u64 = 0x3e;

/// The registers of the header of a bridge that has one BAR, of 64 bits.
pub const REGISTERS: &[Register] = &[
    VendorId::at(header::VENDOR_ID),
    DeviceId::at(header::DEVICE_ID),
    Command::at(header::COMMAND),
    Status::at(header::STATUS),
    RevisionId::at(header::REVISION_ID),
    ProgrammingInterface::at(header::PROGRAMMING_INTERFACE),
    ClassCode::at(header::CLASS_CODE),
    CacheLineSize::at(0x0c),
    Register::reserved(0x0d, Width::Byte),
    HeaderType::at(header::HEADER_TYPE),
    Register::reserved(0x0f, Width::Byte),
    Bar::at(header::bar_offset(0)),
    BarHigh::at(header::bar_offset(1)),
    PrimaryBus::at(PRIMARY_BUS),
    SecondaryBus::at(SECONDARY_BUS),
    SubordinateBus::at(SUBORDINATE_BUS),
    Register::reserved(0x1b, Width::Byte),
    IoBase::at(0x1c),
    IoLimit::at(0x1d),
    SecondaryStatus::at(0x1e),
    MemoryBase::at(MEMORY_BASE),
    MemoryLimit::at(MEMORY_LIMIT),
    PrefetchableBase::at(PREFETCHABLE_BASE),
    PrefetchableLimit::at(PREFETCHABLE_LIMIT),
    PrefetchableBaseHigh::at(PREFETCHABLE_BASE_HIGH),
    PrefetchableLimitHigh::at(PREFETCHABLE_LIMIT_HIGH),
    Register::reserved(0x30, Width::Dword),
    CapabilitiesPointer::at(header::CAPABILITIES_POINTER),
    Register::reserved(0x35, Width::Byte),
    Register::reserved(0x36, Width::Word),
    Register::reserved(0x38, Width::Dword),
    InterruptLine::at(0x3c),
    InterruptPin::at(0x3d),
    BridgeControl::at(BRIDGE_CONTROL),
];

const _: () = assert!(is_sound(REGISTERS, header::SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_one_mebibyte_has_its_base_and_limit_alike() {
        let base = MemoryBase::new(0).with_base(u12::new(0xc00));
        let limit = MemoryLimit::new(0).with_limit(u12::new(0xc00));
        assert_eq!((base.raw(), limit.raw()), (0xc000, 0xc000));
        let base = PrefetchableBase::new(0).with_kind(KIND_64_BIT).with_base(u12::new(0x001));
        assert_eq!(base.raw(), 0x0011);
    }
}
