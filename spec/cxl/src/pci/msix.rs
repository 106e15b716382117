//! MSI-X: interrupts as memory writes (PCIe 6.2, 7.7.2).

use arbitrary_int::u3;
use arbitrary_int::u11;
use arbitrary_int::u29;

use crate::pci::CapabilityId;
use crate::pci::NextPointer;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// How many vectors, and whether they are on.
    pub struct MessageControl("Message Control"): u16 {
        /// Number of table entries less one.
        table_size: u11 = 10:0, HwInit;
        /// All vectors are masked.
        function_mask: bool = 14:14, Rw;
        /// MSI-X is on.
        enable: bool = 15:15, Rw;
    }

    /// Where the table or the pending bits are.
    pub struct Location("Offset and BIR"): u32 {
        /// In which BAR.
        bar: u3 = 2:0, HwInit;
        /// Offset bits 31:3 in it.
        offset: u29 = 31:3, HwInit;
    }

    /// Lower half of a vector's address.
    pub struct AddressLow("Message Address"): u32 {
        /// Address bits; a dword address.
        address: u32 = 31:0, Rw;
    }

    /// Upper half of a vector's address.
    pub struct AddressHigh("Message Upper Address"): u32 {
        /// Address bits 63:32.
        address: u32 = 31:0, Rw;
    }

    /// What a vector writes.
    pub struct Data("Message Data"): u32 {
        /// The data.
        data: u32 = 31:0, Rw;
    }

    /// Whether a vector is masked.
    pub struct VectorControl("Vector Control"): u32 {
        /// The vector is masked.
        mask: bool = 0:0, Rw;
    }
}

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x0c;

/// Offset of the message control register.
pub const MESSAGE_CONTROL: u64 = 0x02;
/// Offset of the register that says where the table is.
pub const TABLE: u64 = 0x04;
/// Offset of the register that says where the pending bits are.
pub const PENDING: u64 = 0x08;

/// Length of a table entry in bytes.
pub const ENTRY_SIZE: u64 = 0x10;

/// Offset of the vector control register in a table entry.
pub const VECTOR_CONTROL: u64 = 0x0c;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[
    CapabilityId::at(0),
    NextPointer::at(1),
    MessageControl::at(MESSAGE_CONTROL),
    Location::at(TABLE),
    Location::at(PENDING),
];

/// The registers of one table entry.
pub const ENTRY: &[Register] =
    &[AddressLow::at(0), AddressHigh::at(4), Data::at(8), VectorControl::at(VECTOR_CONTROL)];

const _: () = assert!(is_sound(REGISTERS, SIZE));
const _: () = assert!(is_sound(ENTRY, ENTRY_SIZE));
