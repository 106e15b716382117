//! The register engine: a block is a table and the values in it.
//!
//! Software writes through [`Block::write`], which obeys the attributes of the table and says what it did;
//! hardware writes through [`Block::set`], which obeys nothing. Reading has no side effects.
//!
//! ```text
//! write(access, value) ──▶ for each register it touches: merge by attribute ──▶ Change { before, after }
//! ```

mod merge;

use std::ops::Range;

use cxl_spec::access::Access;
use cxl_spec::register::Attribute;
use cxl_spec::register::Register;

use super::reset::Fate;

/// A table of registers with their values.
#[derive(Clone, Debug)]
pub struct Block {
    cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
struct Cell {
    register: Register,
    value: u64,
    /// Bits that no write changes, whatever the table says: address bits below the size of a BAR, for example.
    hardwired: u64,
}

/// What a write did to one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Offset of the register in its block.
    pub offset: u64,
    /// What it read before.
    pub before: u64,
    /// What it reads now. Bits that start something read 1 here, until whoever starts it clears them.
    pub after: u64,
}

/// Which registers are locked: told by the offset of the register.
pub type Locked<'a> = &'a dyn Fn(u64) -> bool;

/// No register is locked.
pub const UNLOCKED: Locked<'static> = &|_| false;

impl Block {
    /// The block with this table, which is in the order of its offsets. All registers read 0.
    pub fn new(table: impl IntoIterator<Item = Register>) -> Self {
        let cell = |register| Cell { register, value: 0, hardwired: 0 };
        Self { cells: table.into_iter().map(cell).collect() }
    }

    /// The block with the register at `offset` reading `value`.
    #[must_use]
    pub fn with(mut self, offset: u64, value: impl Into<u64>) -> Self {
        self.set(offset, value);
        self
    }

    /// The block with bits of the register at `offset` that no write changes.
    #[must_use]
    pub fn with_hardwired(mut self, offset: u64, bits: u64) -> Self {
        if let Some(cell) = self.cell_mut(offset) {
            cell.hardwired = bits;
        }
        self
    }

    /// What the register at `offset` reads; 0 where none begins.
    pub fn get(&self, offset: u64) -> u64 {
        let found = self.cells.binary_search_by_key(&offset, |cell| cell.register.offset);
        found.ok().and_then(|index| self.cells.get(index)).map_or(0, |cell| cell.value)
    }

    /// Hardware puts `value` into the register at `offset`, whatever its attributes.
    pub fn set(&mut self, offset: u64, value: impl Into<u64>) {
        if let Some(cell) = self.cell_mut(offset) {
            cell.value = value.into() & cell.register.width.mask();
        }
    }

    /// What software reads. Bytes behind the table read 0.
    pub fn read(&self, access: Access) -> u64 {
        let part = |cell: &Cell| shifted(cell.value, byte_shift(cell.register.offset, access.offset()));
        match self.cells.get(self.touched_by(access)).unwrap_or_default() {
            [cell] if cell.register.offset == access.offset() => cell.value & access.width().mask(),
            touched => touched.iter().map(part).fold(0, |all, part| all | part) & access.width().mask(),
        }
    }

    /// What software writes. Returns the registers that it touched, whether or not they changed.
    pub fn write(&mut self, access: Access, value: u64, locked: Locked<'_>) -> Vec<Change> {
        let touched = self.touched_by(access);
        let touched = self.cells.get_mut(touched).unwrap_or_default();
        touched.iter_mut().map(|cell| cell.write(access, value, locked)).collect()
    }

    /// The cells that an access touches. They are in order, and so is what they touch.
    fn touched_by(&self, access: Access) -> Range<usize> {
        let first = self.cells.partition_point(|cell| cell.register.end() <= access.offset());
        let behind = self.cells.get(first..).unwrap_or_default().iter();
        first..first + behind.take_while(|cell| cell.register.offset < access.end()).count()
    }

    /// The block after a reset with this fate; `fresh` is the block as it is after power-on.
    #[must_use]
    pub(super) fn reborn(self, mut fresh: Self, fate: Fate) -> Self {
        match fate {
            Fate::Kept => self,
            Fate::Fresh => fresh,
            Fate::Sticky => {
                for (new, old) in fresh.cells.iter_mut().zip(self.cells) {
                    let Cell { register, value, hardwired: _ } = old;
                    let sticky = register.fields.iter().filter(|field| is_sticky(field.attribute));
                    let kept = sticky.fold(0, |all, field| all | field.mask());
                    new.value = (new.value & !kept) | (value & kept);
                }
                fresh
            }
        }
    }

    /// The registers of the block, for whoever checks that all of them obey the table.
    #[cfg(test)]
    pub(super) fn registers(&self) -> impl Iterator<Item = Register> + '_ {
        self.cells.iter().map(|cell| cell.register)
    }

    fn cell_mut(&mut self, offset: u64) -> Option<&mut Cell> {
        let found = self.cells.binary_search_by_key(&offset, |cell| cell.register.offset);
        found.ok().and_then(|index| self.cells.get_mut(index))
    }
}

impl Cell {
    fn write(&mut self, access: Access, value: u64, locked: Locked<'_>) -> Change {
        let shift = byte_shift(access.offset(), self.register.offset);
        let enabled = shifted(access.width().mask(), shift) & self.register.width.mask() & !self.hardwired;
        let before = self.value;
        let written = merge::Written { value: shifted(value, shift), enabled };
        self.value = merge::merge(self.register.fields, before, written, locked(self.register.offset));
        Change { offset: self.register.offset, before, after: self.value }
    }
}

fn is_sticky(attribute: Attribute) -> bool {
    matches!(attribute, Attribute::Ros | Attribute::Rws | Attribute::Rw1cs)
}

/// By how many bits a value at `from` moves up to be seen from `to`; negative moves down.
fn byte_shift(from: u64, to: u64) -> i64 {
    (from as i64).wrapping_sub(to as i64).saturating_mul(8)
}

fn shifted(value: u64, bits: i64) -> u64 {
    let count = u32::try_from(bits.unsigned_abs()).unwrap_or(u32::MAX);
    let moved = if bits >= 0 { value.checked_shl(count) } else { value.checked_shr(count) };
    moved.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use cxl_spec::access::Width;
    use proptest::prelude::*;

    use super::*;

    cxl_spec::register! {
        /// Bits of every kind.
        struct Mixed("Mixed"): u32 {
            /// Read and write.
            plain: u8 = 7:0, Rw;
            /// Cleared by writing 1.
            event: u8 = 15:8, Rw1c;
            /// Lockable.
            lockable: u8 = 23:16, Rwl;
            /// Fixed.
            fixed: u8 = 31:24, HwInit;
        }
        /// A narrow neighbour.
        struct Narrow("Narrow"): u16 {
            /// Read and write.
            plain: u16 = 15:0, Rw;
        }
    }

    const START: u32 = 0xf1f2_f3f4;

    fn block() -> Block {
        let table = [Mixed::at(0), Narrow::at(4), Register::reserved(6, Width::Word)];
        Block::new(table).with(0, START)
    }

    fn access(offset: u64, width: Width) -> Access {
        Access::new(offset, width).unwrap()
    }

    #[test]
    fn a_read_takes_the_bytes_it_asks_for() {
        let block = block().with(4, 0xabcdu16);
        assert_eq!(block.read(access(1, Width::Byte)), 0xf3);
        assert_eq!(block.read(access(2, Width::Word)), 0xf1f2);
        assert_eq!(block.read(access(0, Width::Qword)), 0x0000_abcd_f1f2_f3f4);
    }

    #[test]
    fn a_write_obeys_every_attribute_at_once() {
        let mut block = block();
        let changes = block.write(access(0, Width::Dword), 0x0000_0f00, UNLOCKED);
        assert_eq!(changes, [Change { offset: 0, before: START.into(), after: 0xf100_f000 }]);
    }

    #[test]
    fn a_locked_register_keeps_its_lockable_field_and_no_other() {
        let mut block = block();
        block.write(access(0, Width::Dword), 0, &|offset| offset == 0);
        assert_eq!(block.get(0), 0xf1f2_f300);
    }

    #[test]
    fn a_byte_write_leaves_the_other_bytes() {
        let mut block = block();
        block.write(access(0, Width::Byte), 0x55, UNLOCKED);
        assert_eq!(block.get(0), 0xf1f2_f355);
    }

    #[test]
    fn a_wide_write_reaches_every_register_it_touches() {
        let mut block = block();
        let changes = block.write(access(0, Width::Qword), 0x0000_1234_0000_0000, UNLOCKED);
        assert_eq!(changes.iter().map(|change| change.offset).collect::<Vec<_>>(), [0, 4, 6]);
        assert_eq!(block.get(4), 0x1234);
    }

    #[test]
    fn hardwired_bits_are_kept() {
        let mut block = Block::new([Narrow::at(0)]).with_hardwired(0, 0x00ff).with(0, 0x0042u16);
        block.write(access(0, Width::Word), 0xffff, UNLOCKED);
        assert_eq!(block.get(0), 0xff42);
    }

    #[test]
    fn a_reset_keeps_what_is_sticky_and_nothing_else() {
        cxl_spec::register! {
            /// Sticky and not.
            struct Half("Half"): u16 {
                /// Kept.
                kept: u8 = 7:0, Rws;
                /// Lost.
                lost: u8 = 15:8, Rw;
            }
        }
        let told = [Fate::Kept, Fate::Sticky, Fate::Fresh].map(|fate| {
            let fresh = Block::new([Half::at(0)]).with(0, 0x3344u16);
            Block::new([Half::at(0)]).with(0, 0x1122u16).reborn(fresh, fate).get(0)
        });
        assert_eq!(told, [0x1122, 0x3322, 0x3344]);
    }

    #[test]
    fn hardware_sets_what_software_cannot() {
        let mut block = block();
        block.set(0, 0u32);
        assert_eq!(block.get(0), 0);
    }

    /// Every table of the specification's that a device has.
    const TABLES: &[&[Register]] = &[
        cxl_spec::pci::header::REGISTERS,
        cxl_spec::pci::power::REGISTERS,
        cxl_spec::pci::express::REGISTERS,
        cxl_spec::pci::msix::REGISTERS,
        cxl_spec::pci::msix::ENTRY,
        cxl_spec::pci::aer::REGISTERS,
        cxl_spec::pci::serial::REGISTERS,
        cxl_spec::pci::ats::REGISTERS,
        cxl_spec::pci::doe::REGISTERS,
        cxl_spec::dvsec::device::REGISTERS,
        cxl_spec::dvsec::function_map::REGISTERS,
        cxl_spec::dvsec::gpf::REGISTERS,
        cxl_spec::dvsec::flex_bus::REGISTERS,
        cxl_spec::dvsec::register_locator::REGISTERS_OF_ONE,
        cxl_spec::component::ras::REGISTERS,
        cxl_spec::component::hdm::HEADER,
        cxl_spec::component::hdm::DECODER,
        cxl_spec::component::back_invalidate::REGISTERS,
        crate::silicon::engine::REGISTERS,
    ];

    /// What one bit of a register may become, told bit by bit: its attribute, `None` for a bit without a name.
    fn allowed(attribute: Option<Attribute>, was: bool, written: bool, locked: bool) -> bool {
        match attribute {
            None | Some(Attribute::RsvdZ) => false,
            Some(Attribute::Rw | Attribute::Rws) => written,
            Some(Attribute::Rwl) => [written, was][usize::from(locked)],
            Some(Attribute::Rw1c | Attribute::Rw1cs) => was & !written,
            Some(Attribute::Rwo) => was | written,
            Some(Attribute::HwInit | Attribute::Ro | Attribute::Ros | Attribute::RsvdP) => was,
        }
    }

    fn attribute_of(register: Register, bit: u32) -> Option<Attribute> {
        let named = |field: &&cxl_spec::register::Field| (field.low..=field.high).contains(&bit);
        register.fields.iter().find(named).map(|field| field.attribute)
    }

    proptest! {
        #[test]
        fn every_bit_of_every_table_becomes_what_its_attribute_allows(before: u64, value: u64, locked: bool) {
            for register in TABLES.iter().copied().flatten().copied() {
                let named = register.fields.iter().fold(0, |all, field| all | field.mask());
                let mut block = Block::new([register]);
                block.set(register.offset, before & named);
                block.write(access(register.offset, register.width), value, &|_| locked);
                for bit in 0..8 * register.width.bytes() as u32 {
                    let of = |value: u64| value >> bit & 1 == 1;
                    let attribute = attribute_of(register, bit);
                    let expected = allowed(attribute, of(before & named), of(value), locked);
                    prop_assert_eq!(of(block.get(register.offset)), expected, "{} bit {}", register.name, bit);
                }
            }
        }

        #[test]
        fn a_table_is_the_same_by_bytes_words_dwords_and_qwords(
            table in prop::sample::select(TABLES), seed: u64, value: u64, locked: bool,
        ) {
            let end = table.last().unwrap().end();
            let results = Width::ALL.map(|width| {
                let mut block = Block::new(table.iter().copied());
                for register in table {
                    block.set(register.offset, seed.rotate_left(register.offset as u32));
                }
                for piece in Access::split(0, end, width) {
                    let rotated = value.rotate_right((8 * piece.offset() % 64) as u32);
                    block.write(piece, rotated, &|_| locked);
                }
                table.iter().map(|register| block.get(register.offset)).collect::<Vec<_>>()
            });
            for result in &results[1..] {
                prop_assert_eq!(result, &results[0]);
            }
        }

        #[test]
        fn every_bit_of_every_table_has_its_fate(before: u64, after: u64) {
            for register in TABLES.iter().copied().flatten().copied() {
                for fate in [Fate::Kept, Fate::Sticky, Fate::Fresh] {
                    let (mut old, mut fresh) = (Block::new([register]), Block::new([register]));
                    old.set(register.offset, before);
                    fresh.set(register.offset, after);
                    let seen = old.reborn(fresh, fate).get(register.offset);
                    for bit in 0..8 * register.width.bytes() as u32 {
                        let attribute = attribute_of(register, bit);
                        let sticky = [Attribute::Ros, Attribute::Rws, Attribute::Rw1cs].map(Some);
                        let kept = fate == Fate::Kept || fate == Fate::Sticky && sticky.contains(&attribute);
                        let expected = if kept { before } else { after } >> bit & 1;
                        prop_assert_eq!(seen >> bit & 1, expected, "{} bit {}", register.name, bit);
                    }
                }
            }
        }

        #[test]
        fn bytes_words_and_dwords_of_the_same_value_do_the_same(value: u32, start: u32, locked: bool) {
            let mut results = Vec::new();
            for width in [Width::Byte, Width::Word, Width::Dword] {
                let mut block = block().with(0, start);
                for piece in Access::split(0, 4, width) {
                    block.write(piece, u64::from(value) >> (8 * piece.offset()), &|_| locked);
                }
                results.push(block.get(0));
            }
            prop_assert_eq!(results[0], results[2]);
            prop_assert_eq!(results[1], results[2]);
        }
    }
}
