//! A walk through the translation tables of `AArch64` (Arm ARM, D8): at most four reads.
//!
//! ```text
//!             level 0     level 1       level 2         level 3
//!  4 KiB      47:39       38:30 block   29:21 block     20:12 page
//!  16 KiB     47          46:36         35:25 block     24:14 page
//!  64 KiB                 47:42         41:29 block     28:16 page
//! ```
//!
//! A walk begins at the level that the size of the address space asks for. What a table denies, nothing below it
//! allows. The devices' accesses are unprivileged accesses to data.

use arbitrary_int::u2;
use cxl_spec::address::Gpa;

use super::bits::Bits;
use super::context::Granule;
use super::context::Regime;
use super::event::Operation;
use super::event::Reason;
use super::memory::Physical;

cxl_spec::register! {
    /// A line of a translation table.
    struct Descriptor("translation table descriptor"): u64 {
        /// It says something.
        valid: bool = 0:0, Ro;
        /// It leads to a table, or is that of a page.
        table: bool = 1:1, Ro;
        /// Leaf: unprivileged accesses are allowed.
        ap1: bool = 6:6, Ro;
        /// Leaf: it is read-only.
        ap2: bool = 7:7, Ro;
        /// Leaf: the access flag.
        af: bool = 10:10, Ro;
        /// Leaf: it is of one address space only.
        ng: bool = 11:11, Ro;
        /// Address bits 47:12.
        address: Bits<36> = 47:12, Ro;
        /// Table: bit 0 denies unprivileged accesses, bit 1 denies writes.
        aptable: u2 = 62:61, Ro;
    }
}

/// The last level.
const LAST: u32 = 3;

/// What an access may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permissions {
    /// Reach it at all.
    pub(super) reach: bool,
    /// Write.
    pub(super) write: bool,
}

/// A page or a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The first input address.
    pub(super) first: u64,
    /// The last input address.
    pub(super) last: u64,
    /// The first output address.
    pub(super) output: u64,
    pub(super) permissions: Permissions,
    /// Whether it is of all address spaces.
    pub(super) global: bool,
}

/// A table in a walk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    level: u32,
    at: u64,
    /// What the tables above allow.
    permissions: Permissions,
}

/// Where a line of a table leads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next {
    /// To a table.
    Table(Table),
    /// To memory.
    Leaf(Leaf),
}

impl Permissions {
    const ALL: Self = Self { reach: true, write: true };

    /// Whether an operation is allowed.
    pub(super) fn allow(self, operation: Operation) -> bool {
        self.reach && (self.write || operation == Operation::Read)
    }

    fn less(self, no_reach: bool, no_write: bool) -> Self {
        Self { reach: self.reach && !no_reach, write: self.write && !no_write }
    }
}

impl Regime {
    /// Finds the page or block of an address, which lies in the half that this describes.
    pub(super) fn walk(&self, memory: &Physical<'_>, address: u64) -> Result<Leaf, Reason> {
        let mut table = self.first_table();
        for _ in 0..=LAST {
            match self.step(memory, &table, address)? {
                Next::Table(next) => table = next,
                Next::Leaf(leaf) => return Ok(leaf),
            }
        }
        Err(Reason::Translation)
    }

    /// Where a walk begins.
    pub(super) fn first_table(&self) -> Table {
        let levels = (self.bits - self.granule.bits()).div_ceil(self.granule.bits() - 3);
        let level = (LAST + 1).saturating_sub(levels);
        // It is aligned to its length, whatever is written.
        let length = 8 << (self.bits - self.shift(level));
        Table { level, at: self.table & !(length - 1), permissions: Permissions::ALL }
    }

    /// The bits of an address below those that a level translates.
    pub(super) fn shift(&self, level: u32) -> u32 {
        self.granule.bits() + LAST.saturating_sub(level) * (self.granule.bits() - 3)
    }

    /// What one line of a table covers, as its bits of an offset.
    pub(super) fn line(&self, table: &Table) -> u64 {
        (1 << self.shift(table.level)) - 1
    }

    /// Reads the line of a table for an address.
    pub(super) fn step(&self, memory: &Physical<'_>, table: &Table, address: u64) -> Result<Next, Reason> {
        let shift = self.shift(table.level);
        let index_bits = (self.granule.bits() - 3).min(self.bits - shift);
        let index = address >> shift & ((1 << index_bits) - 1);
        // Both the base and the index of a table of any length fit: the base is aligned.
        let at = table.at | (index * 8);
        let [word] = memory.words(at).map_err(|_| Reason::WalkAbort(Gpa::new(at)))?;
        self.decode(Descriptor::new(word), table, address)
    }

    fn decode(&self, descriptor: Descriptor, table: &Table, address: u64) -> Result<Next, Reason> {
        let is_last = table.level == LAST;
        if !descriptor.valid() || is_last && !descriptor.table() {
            return Err(Reason::Translation);
        }
        if descriptor.table() && !is_last {
            let at = self.output(descriptor, self.granule.bits())?;
            let [no_reach, no_write] = [1, 2].map(|bit| descriptor.aptable().value() & bit != 0);
            let permissions = table.permissions.less(no_reach, no_write);
            return Ok(Next::Table(Table { level: table.level + 1, at, permissions }));
        }
        if !is_last && !self.has_blocks(table.level) {
            return Err(Reason::Translation);
        }
        let output = self.output(descriptor, self.shift(table.level))?;
        if self.access_flag && !descriptor.af() {
            return Err(Reason::Access);
        }
        let line = self.line(table);
        Ok(Next::Leaf(Leaf {
            first: address & !line,
            last: address | line,
            output,
            permissions: table.permissions.less(!descriptor.ap1(), descriptor.ap2()),
            global: !descriptor.ng(),
        }))
    }

    fn has_blocks(&self, level: u32) -> bool {
        level == 2 || level == 1 && self.granule == Granule::Kib4
    }

    /// The address in a descriptor, without the bits that an offset has.
    fn output(&self, descriptor: Descriptor, offset_bits: u32) -> Result<u64, Reason> {
        let address = descriptor.address().get() << 12 >> offset_bits << offset_bits;
        if self.output.holds(address) { Ok(address) } else { Err(Reason::AddressSize) }
    }
}
