//! MSI: one interrupt as a memory write, told in the capability itself (PCIe 6.2, 7.7.1).
//!
//! This is the shape with 64-bit addresses and without masks for each vector.

use arbitrary_int::u3;
use arbitrary_int::u30;

use crate::access::Width;
use crate::pci::CapabilityId;
use crate::pci::NextPointer;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// Whether messages are on, and how many there can be.
    pub struct MessageControl("Message Control"): u16 {
        /// MSI is on.
        enable: bool = 0:0, Rw;
        /// How many vectors the function asks for: 0 is one.
        multiple_capable: u3 = 3:1, HwInit;
        /// How many it may use.
        multiple_enable: u3 = 6:4, Rw;
        /// Addresses have 64 bits.
        address_64: bool = 7:7, HwInit;
        /// Each vector can be masked.
        per_vector_masking: bool = 8:8, HwInit;
    }

    /// Where a message is written: the lower half.
    pub struct AddressLow("Message Address"): u32 {
        /// Address bits 31:2.
        address: u30 = 31:2, Rw;
    }

    /// The upper half.
    pub struct AddressHigh("Message Upper Address"): u32 {
        /// Address bits 63:32.
        address: u32 = 31:0, Rw;
    }

    /// What is written; the upper half of the dword is 0.
    pub struct Data("Message Data"): u16 {
        /// The data.
        data: u16 = 15:0, Rw;
    }
}

/// Length of the capability in bytes, up to the next dword.
pub const SIZE: u64 = 0x10;

/// Offset of the message control register.
pub const MESSAGE_CONTROL: u64 = 0x02;
/// Offset of the lower half of the address.
pub const ADDRESS: u64 = 0x04;
/// Offset of the upper half of the address.
pub const ADDRESS_HIGH: u64 = 0x08;
/// Offset of the data.
pub const DATA: u64 = 0x0c;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[
    CapabilityId::at(0),
    NextPointer::at(1),
    MessageControl::at(MESSAGE_CONTROL),
    AddressLow::at(ADDRESS),
    AddressHigh::at(ADDRESS_HIGH),
    Data::at(DATA),
    Register::reserved(0x0e, Width::Word),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_that_is_on_has_these_bits() {
        let control = MessageControl::new(0).with_enable(true).with_address_64(true);
        assert_eq!(control.raw(), 0x0081);
        let control = MessageControl::new(0x0170);
        assert_eq!((control.multiple_enable().value(), control.per_vector_masking()), (7, true));
    }
}
