//! The first 64 bytes of an endpoint's configuration space (PCIe 6.2, 7.5.1).

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u7;
use arbitrary_int::u28;

use crate::access::Width;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Who made the device.
    pub struct VendorId("Vendor ID"): u16 {
        /// The vendor.
        id: u16 = 15:0, HwInit;
    }

    /// Which device it is.
    pub struct DeviceId("Device ID"): u16 {
        /// The device.
        id: u16 = 15:0, HwInit;
    }

    /// What the function may do on the bus.
    pub struct Command("Command"): u16 {
        /// Answers I/O accesses; this device has no I/O BARs.
        io_space: bool = 0:0, Ro;
        /// Answers memory accesses.
        memory_space: bool = 1:1, Rw;
        /// May issue requests of its own.
        bus_master: bool = 2:2, Rw;
        /// Takes poisoned data seriously.
        parity_error_response: bool = 6:6, Rw;
        /// Reports fatal errors.
        serr: bool = 8:8, Rw;
        /// Does not use INTx.
        interrupt_disable: bool = 10:10, Rw;
    }

    /// What happened to the function.
    pub struct Status("Status"): u16 {
        /// INTx is asserted.
        interrupt: bool = 3:3, Ro;
        /// There are capabilities; always 1.
        capabilities: bool = 4:4, HwInit;
        /// Master data parity error.
        master_data_parity_error: bool = 8:8, Rw1c;
        /// Signalled a target abort.
        signaled_target_abort: bool = 11:11, Rw1c;
        /// Received a target abort.
        received_target_abort: bool = 12:12, Rw1c;
        /// Received a master abort.
        received_master_abort: bool = 13:13, Rw1c;
        /// Signalled a system error.
        signaled_system_error: bool = 14:14, Rw1c;
        /// Received poisoned data.
        detected_parity_error: bool = 15:15, Rw1c;
    }

    /// Revision of the device.
    pub struct RevisionId("Revision ID"): u8 {
        /// The revision.
        revision: u8 = 7:0, HwInit;
    }

    /// Lowest byte of the class code.
    pub struct ProgrammingInterface("Programming Interface"): u8 {
        /// The programming interface.
        interface: u8 = 7:0, HwInit;
    }

    /// Upper bytes of the class code.
    pub struct ClassCode("Class Code"): u16 {
        /// Sub-class.
        sub: u8 = 7:0, HwInit;
        /// Base class.
        base: u8 = 15:8, HwInit;
    }

    /// Kept for old software, without effect.
    pub struct CacheLineSize("Cache Line Size"): u8 {
        /// Dwords.
        size: u8 = 7:0, Rw;
    }

    /// Which layout the header has.
    pub struct HeaderType("Header Type"): u8 {
        /// 0 for an endpoint.
        layout: u7 = 6:0, HwInit;
        /// The device has other functions.
        multi_function: bool = 7:7, HwInit;
    }

    /// A base address register. Which address bits can be written, its size decides.
    pub struct Bar("Base Address"): u32 {
        /// I/O space.
        io: bool = 0:0, HwInit;
        /// 0 for 32 bits, 2 for 64 bits.
        kind: u2 = 2:1, HwInit;
        /// Reading has no side effects.
        prefetchable: bool = 3:3, HwInit;
        /// Address bits 31:4.
        address: u28 = 31:4, Rw;
    }

    /// Upper half of a 64-bit base address register.
    pub struct BarHigh("Base Address High"): u32 {
        /// Address bits 63:32.
        address: u32 = 31:0, Rw;
    }

    /// Who made the board.
    pub struct SubsystemVendorId("Subsystem Vendor ID"): u16 {
        /// The vendor.
        id: u16 = 15:0, HwInit;
    }

    /// Which board it is.
    pub struct SubsystemId("Subsystem ID"): u16 {
        /// The board.
        id: u16 = 15:0, HwInit;
    }

    /// Where the capabilities begin.
    pub struct CapabilitiesPointer("Capabilities Pointer"): u8 {
        /// Offset of the first capability.
        first: u8 = 7:0, HwInit;
    }

    /// A place for software's notes.
    pub struct InterruptLine("Interrupt Line"): u8 {
        /// Without effect.
        line: u8 = 7:0, Rw;
    }

    /// Which INTx the function uses.
    pub struct InterruptPin("Interrupt Pin"): u8 {
        /// 0 none, 1 INTA to 4 INTD.
        pin: u3 = 2:0, HwInit;
    }
}

/// Length of the header in bytes.
pub const SIZE: u64 = 0x40;

/// Offset of the vendor id register.
pub const VENDOR_ID: u64 = 0x00;
/// Offset of the device id register.
pub const DEVICE_ID: u64 = 0x02;
/// Offset of the command register.
pub const COMMAND: u64 = 0x04;
/// Offset of the status register.
pub const STATUS: u64 = 0x06;
/// Offset of the revision id register.
pub const REVISION_ID: u64 = 0x08;
/// Offset of the class code's lowest byte.
pub const PROGRAMMING_INTERFACE: u64 = 0x09;
/// Offset of the class code's upper bytes.
pub const CLASS_CODE: u64 = 0x0a;
/// Offset of the header type register.
pub const HEADER_TYPE: u64 = 0x0e;
/// Offset of the subsystem vendor id register.
pub const SUBSYSTEM_VENDOR_ID: u64 = 0x2c;
/// Offset of the subsystem id register.
pub const SUBSYSTEM_ID: u64 = 0x2e;
/// Offset of the capabilities pointer.
pub const CAPABILITIES_POINTER: u64 = 0x34;

/// How many base address registers there are.
pub const BARS: u8 = 6;

/// [`Bar::kind`] of a 64-bit base address register.
pub const KIND_64_BIT: u2 = u2::new(2);

/// Offset of base address register `bar`, 0 to 5.
pub const fn bar_offset(bar: u8) -> u64 {
    0x10 + 4 * bar as u64
}

/// Offset of the register in which software notes where the interrupt pin is wired to.
pub const INTERRUPT_LINE: u64 = 0x3c;
/// Offset of the register that says which interrupt pin the function has.
pub const INTERRUPT_PIN: u64 = 0x3d;

/// The registers of the header. The base address registers are all written as lower halves here; which of them
/// is the upper half of its neighbour, each device knows.
pub const REGISTERS: &[Register] = &[
    VendorId::at(VENDOR_ID),
    DeviceId::at(DEVICE_ID),
    Command::at(COMMAND),
    Status::at(STATUS),
    RevisionId::at(REVISION_ID),
    ProgrammingInterface::at(PROGRAMMING_INTERFACE),
    ClassCode::at(CLASS_CODE),
    CacheLineSize::at(0x0c),
    Register::reserved(0x0d, Width::Byte),
    HeaderType::at(HEADER_TYPE),
    Register::reserved(0x0f, Width::Byte),
    Bar::at(bar_offset(0)),
    Bar::at(bar_offset(1)),
    Bar::at(bar_offset(2)),
    Bar::at(bar_offset(3)),
    Bar::at(bar_offset(4)),
    Bar::at(bar_offset(5)),
    Register::reserved(0x28, Width::Dword),
    SubsystemVendorId::at(SUBSYSTEM_VENDOR_ID),
    SubsystemId::at(SUBSYSTEM_ID),
    Register::reserved(0x30, Width::Dword),
    CapabilitiesPointer::at(CAPABILITIES_POINTER),
    Register::reserved(0x35, Width::Byte),
    Register::reserved(0x36, Width::Word),
    Register::reserved(0x38, Width::Dword),
    InterruptLine::at(INTERRUPT_LINE),
    InterruptPin::at(INTERRUPT_PIN),
    Register::reserved(0x3e, Width::Word),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));
