//! The guest address space as it is now: what is memory, and what traps to whom.
//!
//! An entry is held by a [`Window`]; dropping that takes the entry out, and the memory slot behind it. Entries
//! never overlap. Whoever looks an address up gets what was there at that moment, and the memory behind it lives
//! at least as long as he looks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use parking_lot::RwLock;

use super::memory::HostMemory;
use crate::ports::Component;

/// Gives memory to a guest so that its accesses do not trap.
pub trait Slots: Send + Sync {
    /// Gives all of `memory` to the guest at `at`, which is as long.
    ///
    /// # Errors
    /// If the hypervisor refuses.
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError>;

    /// Takes it back.
    fn remove(&self, slot: Slot);
}

/// The number of a memory slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// A hypervisor that refuses memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory slot {at}: {why}")]
pub struct SlotError {
    /// Where the memory should be.
    pub at: Span<Gpa>,
    /// Why not.
    pub why: String,
}

/// No hypervisor: every access goes through the address space.
#[derive(Clone, Copy, Debug)]
pub struct NoSlots;

impl Slots for NoSlots {
    fn insert(&self, _at: Span<Gpa>, _memory: &HostMemory) -> Result<Slot, SlotError> {
        Ok(Slot(0))
    }

    fn remove(&self, _slot: Slot) {}
}

/// Who answers an access that traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// Configuration space, by function.
    Ecam,
    /// Component registers of the machine's own.
    Component(Component),
    /// Registers of an SMMU, by its number in the plan.
    Smmu(usize),
    /// A region of a device, through a call.
    Region(Behind),
}

/// The part of a region that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which device.
    pub device: usize,
    /// Which region.
    pub region: u32,
    /// Offset in the region of the entry's first byte.
    pub offset: u64,
    /// What accesses the region takes.
    pub shape: Shape,
}

/// What accesses a region takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any, as aligned pieces of up to eight bytes.
    Any,
    /// Aligned dwords only.
    Dwords,
}

/// What is at an address.
#[derive(Clone, Debug)]
pub enum Target {
    /// Memory, and the offset in it.
    Memory(HostMemory, u64),
    /// A trap, and the offset from the start of its entry.
    Trap(Trap, u64),
}

/// The guest address space. Clones are the same.
#[derive(Clone)]
pub struct AddressSpace {
    entries: Arc<RwLock<BTreeMap<Gpa, Entry>>>,
    slots: Arc<dyn Slots>,
}

struct Entry {
    span: Span<Gpa>,
    what: What,
}

#[derive(Clone)]
enum What {
    Memory(HostMemory),
    Trap(Trap),
}

/// Why an entry could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Something is there already.
    #[error("{wanted} overlaps {there}")]
    Overlap {
        /// What was wanted.
        wanted: Span<Gpa>,
        /// What is there.
        there: Span<Gpa>,
    },
    /// The hypervisor refuses.
    #[error(transparent)]
    Slot(#[from] SlotError),
}

/// An entry of an address space. Dropping it takes the entry out.
pub struct Window {
    space: AddressSpace,
    span: Span<Gpa>,
    slot: Option<Slot>,
}

impl AddressSpace {
    /// An empty address space whose memory goes into `slots`.
    pub fn new(slots: Arc<dyn Slots>) -> Self {
        Self { entries: Arc::default(), slots }
    }

    /// Puts memory at `span`, which is as long.
    ///
    /// # Errors
    /// If something is there already, the lengths differ, or the hypervisor refuses.
    pub fn map(&self, span: Span<Gpa>, memory: HostMemory) -> Result<Window, SpaceError> {
        if memory.size() != span.size() {
            let why = format!("the memory has {:#x} bytes", memory.size());
            return Err(SlotError { at: span, why }.into());
        }
        self.enter(span, What::Memory(memory))
    }

    /// Makes accesses to `span` trap.
    ///
    /// # Errors
    /// If something is there already.
    pub fn trap(&self, span: Span<Gpa>, trap: Trap) -> Result<Window, SpaceError> {
        self.enter(span, What::Trap(trap))
    }

    /// What is at `address`, if there is something for `length` bytes.
    pub fn target(&self, address: Gpa, length: u64) -> Option<Target> {
        let entries = self.entries.read();
        let (_, entry) = entries.range(..=address).next_back()?;
        let offset = entry.span.offset_of(address).filter(|_| entry.span.covers(address, length))?;
        Some(match &entry.what {
            What::Memory(memory) => Target::Memory(memory.clone(), offset),
            What::Trap(trap) => Target::Trap(*trap, offset),
        })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.read().len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&self, span: Span<Gpa>, what: What) -> Result<Window, SpaceError> {
        let mut entries = self.entries.write();
        // Entries are disjoint, so of those that begin before the end only the last can reach in.
        let before = entries.range(..span.end()).next_back().map(|(_, entry)| entry.span);
        if let Some(there) = before.filter(|there| there.overlaps(span)) {
            return Err(SpaceError::Overlap { wanted: span, there });
        }
        let slot = match &what {
            What::Memory(memory) => Some(self.slots.insert(span, memory)?),
            What::Trap(_) => None,
        };
        entries.insert(span.start(), Entry { span, what });
        Ok(Window { space: self.clone(), span, slot })
    }
}

impl Window {
    /// Where it is.
    pub fn span(&self) -> Span<Gpa> {
        self.span
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut entries = self.space.entries.write();
        // The slot goes first: its memory must not outlive the mapping behind it.
        if let Some(slot) = self.slot {
            self.space.slots.remove(slot);
        }
        entries.remove(&self.span.start());
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Window({}, {:?})", self.span, self.slot)
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.read();
        out.debug_list().entries(entries.values().map(|entry| entry.span)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake::CountedSlots;

    fn span(start: u64, size: u64) -> Span<Gpa> {
        Span::new(Gpa::new(start), size).unwrap()
    }

    fn space() -> (AddressSpace, Arc<CountedSlots>) {
        let slots = Arc::new(CountedSlots::default());
        (AddressSpace::new(slots.clone()), slots)
    }

    fn memory(size: u64) -> HostMemory {
        HostMemory::ram(size).unwrap()
    }

    #[test]
    fn an_address_in_memory_is_found_with_its_offset() {
        let (space, _) = space();
        let _window = space.map(span(0x10000, 0x2000), memory(0x2000)).unwrap();
        assert!(matches!(space.target(Gpa::new(0x11000), 8), Some(Target::Memory(_, 0x1000))));
        assert!(space.target(Gpa::new(0xffff), 1).is_none());
        assert!(space.target(Gpa::new(0x12000), 1).is_none());
        assert!(space.target(Gpa::new(0x11fff), 2).is_none(), "only half of it is there");
    }

    #[test]
    fn a_window_that_is_dropped_is_gone_with_its_slot() {
        let (space, slots) = space();
        let window = space.map(span(0x10000, 0x1000), memory(0x1000)).unwrap();
        assert_eq!((space.len(), slots.here()), (1, 1));
        drop(window);
        assert_eq!((space.len(), slots.here()), (0, 0));
    }

    #[test]
    fn entries_do_not_overlap_and_may_touch() {
        let (space, slots) = space();
        let _window = space.map(span(0x10000, 0x2000), memory(0x2000)).unwrap();
        for (start, size) in [(0xf000, 0x2000), (0x11000, 0x1000), (0x11fff, 1), (0, 0x10_0000)] {
            let error = space.trap(span(start, size), Trap::Ecam).unwrap_err();
            assert_eq!(
                error,
                SpaceError::Overlap { wanted: span(start, size), there: span(0x10000, 0x2000) }
            );
        }
        assert_eq!(slots.here(), 1);
        let _before = space.trap(span(0xf000, 0x1000), Trap::Ecam).unwrap();
        let _behind = space.trap(span(0x12000, 0x1000), Trap::Ecam).unwrap();
    }

    #[test]
    fn memory_of_another_length_is_refused() {
        let (space, slots) = space();
        let error = space.map(span(0x10000, 0x2000), memory(0x1000)).unwrap_err().to_string();
        assert_eq!(error, "memory slot [0x10000, 0x12000): the memory has 0x1000 bytes");
        assert_eq!((space.len(), slots.here()), (0, 0));
    }

    #[test]
    fn what_the_hypervisor_refuses_is_not_there() {
        let (space, slots) = space();
        slots.refuse_from(1);
        assert!(space.map(span(0x10000, 0x1000), memory(0x1000)).is_err());
        assert!(space.is_empty());
    }
}
