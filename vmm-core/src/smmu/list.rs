//! All that a device can reach, as a list, so that somebody can mirror it.
//!
//! The tables are read as they are now; what the cache still knows does not count. They are a guest's and can lead
//! anywhere, also back to themselves, so there is a limit to what is read and to what is listed.

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use super::context::Regime;
use super::features::AddressSize;
use super::memory::Physical;
use super::walk::Leaf;
use super::walk::Next;
use super::walk::Table;

/// The most lines of tables that are read for a list.
const MOST_LINES: u32 = 1 << 20;

/// The most mappings that a list has.
const MOST_MAPPINGS: usize = 1 << 16;

/// Addresses that a device reaches, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first input address.
    pub first: Iova,
    /// The last input address. It may be the last of all 64-bit numbers.
    pub last: Iova,
    /// The first output address.
    pub address: Gpa,
    /// Whether the device may write; it may always read.
    pub writable: bool,
}

/// Tables that are too large to be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the translation tables have more than {MOST_LINES} lines or {MOST_MAPPINGS} mappings in this range")]
pub struct TooMany;

/// A list in the making.
pub(super) struct List<'a> {
    memory: Physical<'a>,
    first: u64,
    last: u64,
    lines: u32,
    most: usize,
    joins: bool,
    mappings: Vec<Mapping>,
}

/// What a stream reaches, page by page and block by block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaves {
    /// A mapping for each page or block, in order, disjoint.
    pub mappings: Vec<Mapping>,
    /// Whether this is all. If the tables are too large, it is what comes first.
    pub is_all: bool,
}

impl<'a> List<'a> {
    /// A list of what is mapped between two addresses, both included.
    pub(super) fn new(memory: Physical<'a>, first: Iova, last: Iova) -> Self {
        let (first, last, mappings) = (first.get(), last.get(), Vec::new());
        Self { memory, first, last, lines: 0, most: MOST_MAPPINGS, joins: true, mappings }
    }

    /// A list of all pages and blocks, `most` of them, each by itself.
    pub(super) fn of_leaves(memory: Physical<'a>, most: usize) -> Self {
        let all = Self::new(memory, Iova::new(0), Iova::new(u64::MAX));
        Self { most: most.min(MOST_MAPPINGS), joins: false, ..all }
    }

    /// The list.
    pub(super) fn done(self) -> Vec<Mapping> {
        self.mappings
    }

    /// Adds what is mapped in a half of the address space. The lower half comes first.
    pub(super) fn half(&mut self, regime: &Regime, first: u64) -> Result<(), TooMany> {
        let last = first | ((1 << regime.bits) - 1);
        self.table(regime, &regime.first_table(), (first, last))
    }

    /// Adds every address as itself.
    pub(super) fn identity(&mut self, size: AddressSize) -> Result<(), TooMany> {
        let last = ((1 << size.bits()) - 1).min(self.last);
        if self.first > last {
            return Ok(());
        }
        let (first, last) = (Iova::new(self.first), Iova::new(last));
        self.add(Mapping { first, last, address: Gpa::new(self.first), writable: true })
    }

    /// Adds what a table maps, which covers what is between two addresses.
    fn table(&mut self, regime: &Regime, table: &Table, (first, last): (u64, u64)) -> Result<(), TooMany> {
        let line = regime.line(table);
        let mut at = first.max(self.first & !line);
        let end = last.min(self.last);
        while at <= end {
            self.lines += 1;
            if self.lines > MOST_LINES {
                return Err(TooMany);
            }
            // What a device is refused, it does not reach.
            match regime.step(&self.memory, table, at) {
                Ok(Next::Table(next)) => self.table(regime, &next, (at, at | line))?,
                Ok(Next::Leaf(leaf)) => self.leaf(&leaf)?,
                Err(_) => {}
            }
            let Some(next) = (at | line).checked_add(1) else { break };
            at = next;
        }
        Ok(())
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<(), TooMany> {
        let (first, last) = (leaf.first.max(self.first), leaf.last.min(self.last));
        if !leaf.permissions.reach || first > last {
            return Ok(());
        }
        self.add(Mapping {
            first: Iova::new(first),
            last: Iova::new(last),
            address: Gpa::new(leaf.output | (first - leaf.first)),
            writable: leaf.permissions.write,
        })
    }

    /// Adds a mapping behind all others, or to the last one if it only goes on there.
    fn add(&mut self, mapping: Mapping) -> Result<(), TooMany> {
        if let Some(last) = self.mappings.last_mut().filter(|last| self.joins && goes_on(last, &mapping)) {
            last.last = mapping.last;
        } else if self.mappings.len() < self.most {
            self.mappings.push(mapping);
        } else {
            return Err(TooMany);
        }
        Ok(())
    }
}

/// Whether one mapping only continues another.
fn goes_on(before: &Mapping, mapping: &Mapping) -> bool {
    let length = mapping.first.get().wrapping_sub(before.first.get());
    before.last.get().checked_add(1) == Some(mapping.first.get())
        && before.address.checked_add(length) == Some(mapping.address)
        && before.writable == mapping.writable
}
