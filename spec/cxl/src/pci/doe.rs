//! Data object exchange: a mailbox in configuration space (PCIe 6.2, 6.30 and 7.9.24).
//!
//! Software writes an object dword by dword, sets go, waits for ready, and reads the answer dword by dword; it
//! takes each dword off by a write to the read mailbox.
//!
//! ```text
//!  object   dword 0  vendor 15:0, type 23:16      dword 1  length in dwords, these two included
//!           dword 2 ...  what the type says
//! ```

use arbitrary_int::u11;
use arbitrary_int::u18;

use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the mailbox can do.
    pub struct Capabilities("DOE Capabilities"): u32 {
        /// Can interrupt.
        interrupt_support: bool = 0:0, HwInit;
        /// With which message.
        interrupt_message: u11 = 11:1, HwInit;
    }

    /// Requests to the mailbox.
    pub struct Control("DOE Control"): u32 {
        /// Forget everything; reads 0.
        abort: bool = 0:0, Rw;
        /// May interrupt; fixed to 0 in a mailbox that cannot.
        interrupt_enable: bool = 1:1, RsvdP;
        /// The object is whole; reads 0.
        go: bool = 31:31, Rw;
    }

    /// Answers of the mailbox.
    pub struct Status("DOE Status"): u32 {
        /// At work; takes nothing.
        busy: bool = 0:0, Ro;
        /// Interrupted.
        interrupt_status: bool = 1:1, Rw1c;
        /// The last object could not be understood; until an abort.
        error: bool = 2:2, Ro;
        /// There is an answer to read.
        object_ready: bool = 31:31, Ro;
    }

    /// Where software puts the next dword of an object; reads 0.
    pub struct WriteMailbox("DOE Write Data Mailbox"): u32 {
        /// The dword.
        data: u32 = 31:0, Rw;
    }

    /// Where software finds the next dword of the answer. Any write takes it off.
    pub struct ReadMailbox("DOE Read Data Mailbox"): u32 {
        /// The dword.
        data: u32 = 31:0, Ro;
    }

    /// First dword of an object.
    pub struct ObjectHeader1("DOE Data Object Header 1"): u32 {
        /// Whose kind of object it is.
        vendor: u16 = 15:0, Rw;
        /// Which kind.
        kind: u8 = 23:16, Rw;
    }

    /// Second dword of an object.
    pub struct ObjectHeader2("DOE Data Object Header 2"): u32 {
        /// Length in dwords, both headers included; 0 for 2^18.
        length: u18 = 17:0, Rw;
    }

    /// Third dword of a question for what there is.
    pub struct DiscoveryRequest("DOE Discovery Request"): u32 {
        /// The kind with this number, from 0.
        index: u8 = 7:0, Rw;
    }

    /// Third dword of the answer.
    pub struct DiscoveryResponse("DOE Discovery Response"): u32 {
        /// Whose kind; 0xffff where there is none.
        vendor: u16 = 15:0, Ro;
        /// Which kind.
        kind: u8 = 23:16, Ro;
        /// Number of the next kind, 0 at the end.
        next: u8 = 31:24, Ro;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x18;

/// Offset of the control register.
pub const CONTROL: u64 = 0x08;
/// Offset of the status register.
pub const STATUS: u64 = 0x0c;
/// Offset of the write mailbox.
pub const WRITE_MAILBOX: u64 = 0x10;
/// Offset of the read mailbox.
pub const READ_MAILBOX: u64 = 0x14;

/// Dwords of an object's two headers.
pub const HEADERS: usize = 2;

/// The vendor of the PCI-SIG's own objects.
pub const PCI_SIG: u16 = 0x0001;
/// The PCI-SIG's object that asks for what there is.
pub const DISCOVERY: u8 = 0;
/// [`DiscoveryResponse::vendor`] where there is no such kind.
pub const NO_VENDOR: u16 = 0xffff;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Capabilities::at(0x04),
    Control::at(CONTROL),
    Status::at(STATUS),
    WriteMailbox::at(WRITE_MAILBOX),
    ReadMailbox::at(READ_MAILBOX),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));
