//! Registers that obey their tables: bytes, and for each bit what a write does to it.
//!
//! ```text
//! write ──▶ writable bits are taken ─▶ bits that clear are cleared by 1 ─▶ bits that set are set by 1
//! ```

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;
use cxl_spec::register::Register;

/// A block of registers.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    bytes: Vec<Byte>,
}

/// A byte of a block: its value, and the bits that a write takes, clears and sets.
#[derive(Clone, Copy, Debug, Default)]
struct Byte {
    value: u8,
    taken: u8,
    cleared: u8,
    set: u8,
}

impl Registers {
    /// A block of so many bytes that read 0 and take nothing.
    pub(super) fn new(size: u64) -> Self {
        Self { bytes: vec![Byte::default(); usize::try_from(size).unwrap_or(0)] }
    }

    /// The block with a table of registers from `origin` on. They read 0.
    #[must_use]
    pub(super) fn with_table(mut self, origin: u64, table: &[Register]) -> Self {
        for register in table {
            for field in register.fields {
                self.field(origin.saturating_add(register.offset), field);
            }
        }
        self
    }

    fn field(&mut self, offset: u64, field: &Field) {
        for (byte, mask) in self.bytes_at(offset).iter_mut().zip(field.mask().to_le_bytes()) {
            match field.attribute {
                Attribute::Rw | Attribute::Rws | Attribute::Rwl => byte.taken |= mask,
                Attribute::Rw1c | Attribute::Rw1cs => byte.cleared |= mask,
                Attribute::Rwo => byte.set |= mask,
                Attribute::HwInit | Attribute::Ro | Attribute::Ros | Attribute::RsvdP | Attribute::RsvdZ => {}
            }
        }
    }

    /// The block with a register that reads `value`.
    #[must_use]
    pub(super) fn with(mut self, offset: u64, width: Width, value: impl Into<u64>) -> Self {
        self.set(offset, width, value);
        self
    }

    /// A register reads `value` from now on.
    pub(super) fn set(&mut self, offset: u64, width: Width, value: impl Into<u64>) {
        let (value, length) = width.to_bytes(value.into());
        for (byte, value) in self.bytes_at(offset).iter_mut().zip(value.into_iter().take(length)) {
            byte.value = value;
        }
    }

    /// The block with `length` bytes that no write changes, whatever their table says: the machine has decided.
    #[must_use]
    pub(super) fn with_fixed(mut self, offset: u64, length: usize) -> Self {
        for byte in self.bytes_at(offset).iter_mut().take(length) {
            *byte = Byte { value: byte.value, ..Byte::default() };
        }
        self
    }

    /// What is read. Behind the block there is nothing but zeros.
    pub(super) fn read(&self, access: Access) -> u64 {
        let from = usize::try_from(access.offset()).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(from..).unwrap_or_default().iter().take(access.width().bytes() as usize);
        bytes.rev().fold(0, |value, byte| value << 8 | u64::from(byte.value))
    }

    /// What is written.
    pub(super) fn write(&mut self, access: Access, value: u64) {
        let (value, length) = access.width().to_bytes(value);
        for (byte, value) in self.bytes_at(access.offset()).iter_mut().zip(value.into_iter().take(length)) {
            byte.value = byte.value & !byte.taken | value & byte.taken;
            byte.value &= !(value & byte.cleared);
            byte.value |= value & byte.set;
        }
    }

    fn bytes_at(&mut self, offset: u64) -> &mut [Byte] {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes.get_mut(from..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    cxl_spec::register! {
        /// Bits of every kind.
        struct Mixed("Mixed"): u32 {
            /// Taken.
            plain: u8 = 7:0, Rw;
            /// Cleared by 1.
            event: u8 = 15:8, Rw1c;
            /// Set by 1.
            once: u8 = 23:16, Rwo;
            /// Fixed.
            fixed: u8 = 31:24, HwInit;
        }
    }

    const START: u32 = 0xf1f2_f3f4;

    fn block() -> Registers {
        Registers::new(0x10).with_table(4, &[Mixed::at(0)]).with(4, Width::Dword, START)
    }

    fn access(offset: u64, width: Width) -> Access {
        Access::new(offset, width).unwrap()
    }

    #[test]
    fn a_write_obeys_every_attribute_at_once() {
        let mut block = block();
        block.write(access(4, Width::Dword), 0x0d0d_0d0d);
        assert_eq!(block.read(access(4, Width::Dword)), 0xf1ff_f20d);
    }

    #[test]
    fn a_write_reaches_its_own_bytes_and_no_others() {
        let mut block = block();
        block.write(access(4, Width::Byte), 0xffff_ff55);
        assert_eq!(block.read(access(4, Width::Dword)), 0xf1f2_f355);
        block.write(access(0, Width::Qword), u64::MAX);
        assert_eq!(block.read(access(0, Width::Qword)), 0xf1ff_00ff_0000_0000);
    }

    #[test]
    fn what_the_machine_fixed_stays() {
        let mut block = block().with_fixed(4, 2);
        block.write(access(4, Width::Dword), 0xffff_ffff);
        assert_eq!(block.read(access(4, Width::Dword)), 0xf1ff_f3f4);
    }

    #[test]
    fn behind_the_block_zeros_are_read_and_writes_are_dropped() {
        let mut block = block();
        block.write(access(0x10, Width::Qword), u64::MAX);
        assert_eq!(block.read(access(0x10, Width::Qword)), 0);
        assert_eq!(block.read(access(!7, Width::Qword)), 0);
    }

    proptest! {
        /// The same, told for a whole dword.
        #[test]
        fn writes_do_what_the_masks_say(before: u32, value: u32) {
            let mut block = block().with(4, Width::Dword, before);
            block.write(access(4, Width::Dword), value.into());
            let expected = value & 0xff
                | before & !value & 0xff00
                | (before | value) & 0x00ff_0000
                | before & 0xff00_0000;
            prop_assert_eq!(block.read(access(4, Width::Dword)), u64::from(expected));
        }
    }
}
