//! The guest address space as it is now: what is memory, and what traps to whom.
//!
//! ```text
//!  fixed          RAM ████        ECAM ░░░░             ████ window of a device's memory
//!  behind a port              ┌──── BARs, which the guest moves ────┐
//!  seen           pieces, disjoint, in order ──▶ memory slots, lookups
//! ```
//!
//! A [`Window`] holds one of the [regions](super::tree); dropping it takes the region out. What is fixed never
//! overlaps. BARs are seen only within what their port forwards, below what is fixed, and of two at one place the
//! later one is seen. After each change the regions are [flattened](flat) anew, and what is different is carried
//! out:
//!
//! - A piece that is the same before and after is not touched. Neither is a slot, though a piece that ends within a
//!   page becomes longer or shorter.
//! - Slots cannot overlap and cannot become shorter. Where pieces take the place of others, the slots that go are
//!   removed first, then the new ones are made. All other steps only remove or only add.
//! - All of it happens under the lock that lookups take. An access to a byte whose slot is just being replaced
//!   leaves the guest, waits for the lock, and is carried out on the memory itself: what is there before and after
//!   is there at every moment, and nobody sees a half-changed space.
//!
//! Slots are whole pages. What is left over of memory traps and is still memory; so is memory that the hypervisor
//! refuses when a guest moves it. What is *opened* and refused is not there.
//!
//! Whoever looks an address up gets what was there at that moment, and the memory behind it lives at least as long
//! as he looks.

mod look;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::memory::HostMemory;
use super::tree::Piece;
use super::tree::Region;
use super::tree::Step;
use super::tree::flat;
use super::tree::steps;
use crate::ports::Component;
use crate::sync::RwLock;

/// What is fixed is above what a guest can move.
const FIXED: i32 = 1;
const BEHIND_A_PORT: i32 = 0;

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
    /// The I/O APIC, where the hypervisor has none of its own.
    IoApic,
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

/// What is seen of a part of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Memory.
    Memory(HostMemory),
    /// Somebody who answers.
    Trap(Trap),
}

/// A part of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it is, by offsets in the window.
    pub range: Range<u64>,
    /// Which of overlapping parts is seen: the one with the higher priority.
    pub priority: i32,
    /// What is seen. Memory is as long as the range.
    pub shows: Shows,
}

/// The number of a window. No other window ever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId(u64);

/// The guest address space. Clones are the same.
#[derive(Clone)]
pub struct AddressSpace {
    state: Arc<RwLock<State>>,
    slots: Arc<dyn Slots>,
    page: u64,
}

#[derive(Default)]
struct State {
    /// What is held, earlier ones first.
    entries: BTreeMap<WindowId, Entry>,
    /// How many there were.
    opened: u64,
    /// What is seen, in order.
    seen: Vec<Seen>,
}

/// What a window holds.
struct Entry {
    size: u64,
    /// Where it begins; nothing while it is out.
    at: Option<Gpa>,
    /// What the port before it forwards; nothing if it is behind none, and fixed.
    forwarded: Option<Vec<Span<Gpa>>>,
    parts: Vec<Part>,
}

/// A piece that is seen, and the slot of its whole pages. It holds its memory as long as there is a slot for it.
struct Seen {
    piece: Piece<Shows>,
    slot: Option<(Slot, Pages)>,
}

/// What a slot is of.
#[derive(PartialEq)]
struct Pages {
    span: Span<Gpa>,
    memory: HostMemory,
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

/// A part of an address space that somebody holds. Dropping it takes it out.
pub struct Window {
    space: AddressSpace,
    id: WindowId,
    span: Span<Gpa>,
}

impl AddressSpace {
    /// An empty address space whose memory goes into `slots`, by pages of `page` bytes.
    pub fn new(slots: Arc<dyn Slots>, page: u64) -> Self {
        Self { state: Arc::default(), slots, page: page.max(1) }
    }

    /// Puts memory at `span`, which is as long.
    ///
    /// # Errors
    /// If something is there already, the lengths differ, or the hypervisor refuses.
    pub fn map(&self, span: Span<Gpa>, memory: HostMemory) -> Result<Window, SpaceError> {
        self.open(span, None, vec![Part::whole(span, Shows::Memory(memory))])
    }

    /// Makes accesses to `span` trap.
    ///
    /// # Errors
    /// If something is there already.
    pub fn trap(&self, span: Span<Gpa>, trap: Trap) -> Result<Window, SpaceError> {
        self.open(span, None, vec![Part::whole(span, Shows::Trap(trap))])
    }

    /// Puts a BAR at `span`, behind a port that forwards these ranges and no other. It can be [placed](Self::place)
    /// elsewhere.
    ///
    /// # Errors
    /// If something is there already, memory is not as long as its part, or the hypervisor refuses.
    pub fn bar(
        &self,
        span: Span<Gpa>,
        forwarded: Vec<Span<Gpa>>,
        parts: Vec<Part>,
    ) -> Result<Window, SpaceError> {
        self.open(span, Some(forwarded), parts)
    }

    /// Puts BARs elsewhere, or out where there is no place, all at once. What the hypervisor refuses traps. What is
    /// fixed, or no longer held, stays as it is.
    pub fn place(&self, places: &[(WindowId, Option<Gpa>)]) {
        let mut state = self.state.write();
        let mut moved = false;
        for (id, at) in places {
            let entry = state.entries.get_mut(id).filter(|entry| entry.forwarded.is_some());
            let Some(entry) = entry.filter(|entry| entry.at != *at) else { continue };
            (entry.at, moved) = (*at, true);
        }
        if moved {
            self.settle(&mut state);
        }
    }

    /// Shows other parts of a BAR. They are as long as those that were shown, and what the hypervisor refuses of them
    /// traps.
    pub fn show_instead(&self, id: WindowId, parts: Vec<Part>) {
        let mut state = self.state.write();
        let Some(entry) = state.entries.get_mut(&id) else { return };
        let before = std::mem::replace(&mut entry.parts, parts);
        self.settle(&mut state);
        // What it shows goes with its slots; only then may its memory go.
        drop(before);
    }

    /// How many pieces are seen.
    pub fn len(&self) -> usize {
        self.state.read().seen.len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn open(
        &self,
        span: Span<Gpa>,
        forwarded: Option<Vec<Span<Gpa>>>,
        parts: Vec<Part>,
    ) -> Result<Window, SpaceError> {
        parts.iter().try_for_each(|part| part.check(span))?;
        let mut state = self.state.write();
        let entry = Entry { size: span.size(), at: Some(span.start()), forwarded, parts };
        if let Some(there) = state.in_the_way(span, &entry) {
            return Err(SpaceError::Overlap { wanted: span, there });
        }
        let id = WindowId(state.opened);
        state.opened = state.opened.saturating_add(1);
        state.entries.insert(id, entry);
        let wanted = flat(&state.regions());
        if let Err(error) = self.show(&mut state, &wanted, true) {
            state.entries.remove(&id);
            self.settle(&mut state);
            return Err(error.into());
        }
        Ok(Window { space: self.clone(), id, span })
    }

    /// Makes what is seen what the regions are.
    fn settle(&self, state: &mut State) {
        let wanted = flat(&state.regions());
        // What is refused traps, and nothing is lost.
        let _ = self.show(state, &wanted, false);
    }

    /// Makes `wanted` what is seen. If memory `must` have its slot, this ends at the first that is refused.
    fn show(&self, state: &mut State, wanted: &[Piece<Shows>], must: bool) -> Result<(), SlotError> {
        let now: Vec<_> = state.seen.iter().map(|seen| seen.piece.clone()).collect();
        steps(&now, wanted).into_iter().try_for_each(|step| self.take(state, step, must))
    }

    fn take(&self, state: &mut State, step: Step<Shows>, must: bool) -> Result<(), SlotError> {
        let mut gone: Vec<_> = step.remove.iter().filter_map(|piece| state.hide(piece)).collect();
        let mut fresh = Vec::new();
        for piece in step.add {
            let pages = Pages::of(&piece, self.page);
            let same = |(_, there): &mut (Slot, Pages)| pages.as_ref() == Some(there);
            let kept = gone.iter_mut().find_map(|seen| seen.slot.take_if(same));
            match (kept, pages) {
                (None, Some(pages)) => fresh.push((piece, pages)),
                (slot, _) => state.insert(Seen { piece, slot }),
            }
        }
        // The slots go first: none may outlive the mapping behind it.
        gone.iter().filter_map(|seen| seen.slot.as_ref()).for_each(|(slot, _)| self.slots.remove(*slot));
        for (piece, pages) in fresh {
            let slot = match self.slots.insert(pages.span, &pages.memory) {
                Err(error) if must => return Err(error),
                made => made.ok().map(|slot| (slot, pages)),
            };
            state.insert(Seen { piece, slot });
        }
        Ok(())
    }
}

impl Pages {
    /// The pages of a piece of memory that are whole, for the guest and for this process.
    fn of(piece: &Piece<Shows>, page: u64) -> Option<Self> {
        let Shows::Memory(memory) = &piece.shows else { return None };
        let start = piece.span.start().get().checked_next_multiple_of(page)?;
        let end = piece.span.end().get() / page * page;
        let span = Span::new(Gpa::new(start), end.checked_sub(start)?)?;
        let further = span.start().offset_from(piece.span.start())?;
        let memory = memory.part(piece.offset.checked_add(further)?, span.size())?;
        memory.host_address().is_multiple_of(page).then_some(Self { span, memory })
    }
}

impl State {
    fn regions(&self) -> Vec<Region<Shows>> {
        self.entries.values().flat_map(Entry::regions).collect()
    }

    /// What keeps an entry from its place. What is fixed gives way to nothing, and takes the place of BARs.
    fn in_the_way(&self, span: Span<Gpa>, entry: &Entry) -> Option<Span<Gpa>> {
        let strict = |there: &&Entry| there.forwarded.is_none() || entry.forwarded.is_some();
        let mut there = self.entries.values().filter(strict).filter_map(Entry::span);
        there.find(|there| there.overlaps(span))
    }

    fn insert(&mut self, seen: Seen) {
        let at = self.seen.partition_point(|other| other.piece.span.start() < seen.piece.span.start());
        self.seen.insert(at, seen);
    }

    fn hide(&mut self, piece: &Piece<Shows>) -> Option<Seen> {
        let at = self.seen.iter().position(|seen| seen.piece == *piece)?;
        Some(self.seen.remove(at))
    }
}

impl Entry {
    fn span(&self) -> Option<Span<Gpa>> {
        Span::new(self.at?, self.size)
    }

    /// The region, once in each range that is forwarded.
    fn regions(&self) -> Vec<Region<Shows>> {
        let Some(span) = self.span() else { return Vec::new() };
        let inside: Vec<_> = self.parts.iter().filter_map(|part| part.region(span)).collect();
        match &self.forwarded {
            None => vec![Region::around(span, FIXED, inside)],
            Some(forwarded) => {
                let behind = |range: &Span<Gpa>| {
                    let bar = Region::around(span, BEHIND_A_PORT, inside.clone());
                    Region::around(*range, BEHIND_A_PORT, vec![bar])
                };
                forwarded.iter().map(behind).collect()
            }
        }
    }
}

impl Part {
    fn whole(window: Span<Gpa>, shows: Shows) -> Self {
        Self { range: 0..window.size(), priority: 0, shows }
    }

    fn region(&self, window: Span<Gpa>) -> Option<Region<Shows>> {
        let start = window.start().checked_add(self.range.start)?;
        let span = Span::new(start, self.range.end.checked_sub(self.range.start)?)?;
        Some(Region::new(span, self.priority, self.shows.clone()))
    }

    /// Memory is as long as its part.
    fn check(&self, window: Span<Gpa>) -> Result<(), SlotError> {
        let Shows::Memory(memory) = &self.shows else { return Ok(()) };
        let wrong = self.range.end.checked_sub(self.range.start) != Some(memory.size());
        let at = self.region(window).map_or(window, |region| region.span);
        let why = format!("the memory has {:#x} bytes", memory.size());
        if wrong { Err(SlotError { at, why }) } else { Ok(()) }
    }
}

impl Window {
    /// Where it was opened.
    pub fn span(&self) -> Span<Gpa> {
        self.span
    }

    /// Its number.
    pub fn id(&self) -> WindowId {
        self.id
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut state = self.space.state.write();
        // What it shows goes with its slots; only then may its memory go.
        let entry = state.entries.remove(&self.id);
        self.space.settle(&mut state);
        drop(entry);
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Window({})", self.span)
    }
}

impl fmt::Debug for AddressSpace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.read();
        out.debug_list().entries(state.seen.iter().map(|seen| seen.piece.span)).finish()
    }
}

#[cfg(test)]
mod tests;
