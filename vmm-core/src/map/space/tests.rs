//! The address space against a model that knows every byte, with slots that write down what is done to them.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::backend::fake::CountedSlots;

fn span(start: u64, size: u64) -> Span<Gpa> {
    Span::new(Gpa::new(start), size).unwrap()
}

fn space() -> (AddressSpace, Arc<CountedSlots>) {
    let slots = Arc::new(CountedSlots::default());
    (AddressSpace::new(slots.clone(), 0x1000), slots)
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
        assert_eq!(error, SpaceError::Overlap { wanted: span(start, size), there: span(0x10000, 0x2000) });
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

/// Pages of the model.
const PAGE: u64 = 4;

/// The model's addresses.
const BYTES: u64 = 96;

/// What the two ports forward. Between and behind is what is fixed.
const PORTS: [(u64, u64); 3] = [(0, 24), (24, 16), (56, 16)];

/// Where a slot is, and the host's address of its memory.
type Place = (Span<Gpa>, u64);

/// Slots that are written down: they may not overlap, and change only while nobody can look.
#[derive(Debug, Default)]
struct WrittenSlots {
    here: Mutex<BTreeMap<u32, Place>>,
    made: Mutex<u32>,
    /// Events since this was last taken: slots that came, and slots that went.
    changed: Mutex<Vec<(bool, Place)>>,
    refuses: AtomicBool,
    state: Mutex<Weak<RwLock<State>>>,
}

impl WrittenSlots {
    fn check_locked(&self) {
        let state = self.state.lock().upgrade().unwrap();
        assert!(state.try_read().is_none(), "a slot changes and somebody can look");
    }
}

impl Slots for WrittenSlots {
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError> {
        self.check_locked();
        if self.refuses.load(Ordering::SeqCst) {
            return Err(SlotError { at, why: "refused".to_owned() });
        }
        assert_eq!(at.size(), memory.size());
        let place = (at, memory.host_address());
        assert!([at.start().get(), at.size(), place.1].iter().all(|number| number.is_multiple_of(PAGE)));
        let mut here = self.here.lock();
        assert!(here.values().all(|(other, _)| !other.overlaps(at)), "two slots overlap");
        let mut made = self.made.lock();
        *made += 1;
        here.insert(*made, place);
        self.changed.lock().push((true, place));
        Ok(Slot(*made))
    }

    fn remove(&self, Slot(slot): Slot) {
        self.check_locked();
        let place = self.here.lock().remove(&slot).expect("a slot is removed once");
        self.changed.lock().push((false, place));
    }
}

fn written() -> (AddressSpace, Arc<WrittenSlots>) {
    let slots = Arc::new(WrittenSlots::default());
    let space = AddressSpace::new(slots.clone(), PAGE);
    *slots.state.lock() = Arc::downgrade(&space.state);
    (space, slots)
}

fn trap(device: usize) -> Trap {
    Trap::Region(Behind { device, region: 0, offset: 0, shape: Shape::Any })
}

fn part(range: Range<u64>, priority: i32, shows: Shows) -> Part {
    Part { range, priority, shows }
}

/// A BAR as they are: memory, a hole that traps, memory, and an overlay above.
fn bar_parts(number: usize, size: u64) -> Vec<Part> {
    let half = size / 2;
    let memory = |length| Shows::Memory(memory(length));
    vec![
        part(2..half + 1, 1, Shows::Trap(trap(100 + number))),
        part(0..half, 0, memory(half)),
        part(half..half + 2, 0, Shows::Trap(trap(number))),
        part(half + 2..size, 0, memory(size - half - 2)),
    ]
}

/// A window of the model.
#[derive(Debug)]
struct Model {
    at: Option<u64>,
    size: u64,
    /// The ranges that are forwarded to it; nothing if it is fixed.
    behind: Option<Vec<Span<Gpa>>>,
    parts: Vec<Part>,
}

impl Model {
    fn is_fixed(&self) -> bool {
        self.behind.is_none()
    }

    /// What it shows of a byte: which, and the offset in that.
    fn shows(&self, byte: u64) -> Option<(Shows, u64)> {
        let offset = byte.checked_sub(self.at?).filter(|offset| *offset < self.size)?;
        let forwarded = |ranges: &Vec<Span<Gpa>>| ranges.iter().any(|range| range.contains(Gpa::new(byte)));
        if !self.behind.as_ref().is_none_or(forwarded) {
            return None;
        }
        let there = self.parts.iter().filter(|part| part.range.contains(&offset));
        // Of several with the highest priority `max_by_key` gives the last.
        let part = there.max_by_key(|part| part.priority)?;
        Some((part.shows.clone(), offset - part.range.start))
    }
}

/// What is seen of a byte: of what is fixed before what is not, of the later before the earlier.
fn seen_at(model: &BTreeMap<WindowId, Model>, byte: u64) -> Option<(Shows, u64)> {
    let fixed = model.values().rev().filter(|window| window.is_fixed());
    let movable = model.values().rev().filter(|window| !window.is_fixed());
    fixed.chain(movable).find_map(|window| window.shows(byte))
}

fn found_at(space: &AddressSpace, byte: u64) -> Option<(Shows, u64)> {
    Some(match space.target(Gpa::new(byte), 1)? {
        Target::Memory(memory, offset) => (Shows::Memory(memory), offset),
        Target::Trap(trap, offset) => (Shows::Trap(trap), offset),
    })
}

/// What is done to the space.
#[derive(Clone, Debug)]
enum Change {
    Open { at: u64, size: u64, memory: bool },
    Close(usize),
    Bar { at: u64, size: u64, ports: usize },
    Place(Vec<(usize, Option<u64>)>),
    Refuse(bool),
}

fn change() -> impl Strategy<Value = Change> {
    let at = prop_oneof![4 => 0..BYTES, 1 => Just(u64::MAX - 9), 1 => Just(0xffff_fff0)];
    let place = (0usize..8, prop::option::weighted(0.8, at));
    prop_oneof![
        2 => (0..BYTES, 1u64..24, any::<bool>()).prop_map(|(at, size, memory)| Change::Open { at, size, memory }),
        2 => (0usize..8).prop_map(Change::Close),
        3 => (0..BYTES, 6u64..24, 1usize..8).prop_map(|(at, size, ports)| Change::Bar { at, size, ports }),
        6 => prop::collection::vec(place, 1..4).prop_map(Change::Place),
        1 => any::<bool>().prop_map(Change::Refuse),
    ]
}

/// An address space, and what it should be.
struct Twin {
    space: AddressSpace,
    slots: Arc<WrittenSlots>,
    windows: Vec<Window>,
    model: BTreeMap<WindowId, Model>,
    /// Every window that ever was.
    ever: Vec<WindowId>,
    /// Something was refused since everything was there last.
    refused: bool,
}

impl Twin {
    fn new() -> Self {
        let (space, slots) = written();
        let (windows, model) = (Vec::new(), BTreeMap::new());
        Self { space, slots, windows, model, ever: Vec::new(), refused: false }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Open { at, size, memory: true } => {
                self.open(at, size, None, vec![part(0..size, 0, Shows::Memory(memory(size)))]);
            }
            Change::Open { at, size, memory: false } => {
                self.open(at, size, None, vec![part(0..size, 0, Shows::Trap(trap(at as usize)))]);
            }
            Change::Close(_) if self.windows.is_empty() => {}
            Change::Close(number) => {
                let window = self.windows.remove(number % self.windows.len());
                self.model.remove(&window.id()).unwrap();
            }
            Change::Bar { at, size, ports } => {
                let ports = PORTS.iter().enumerate().filter(|(number, _)| ports & 1 << number != 0);
                let ports = ports.map(|(_, (start, size))| span(*start, *size)).collect();
                self.open(at, size, Some(ports), bar_parts(self.ever.len(), size));
            }
            Change::Place(places) => self.place(&places),
            Change::Refuse(on) => {
                self.slots.refuses.store(on, Ordering::SeqCst);
                self.refused |= on;
            }
        }
    }

    fn open(&mut self, at: u64, size: u64, behind: Option<Vec<Span<Gpa>>>, parts: Vec<Part>) {
        let wanted = span(at, size);
        let opened = match (&behind, &parts[..]) {
            (None, [Part { shows: Shows::Memory(memory), .. }]) => self.space.map(wanted, memory.clone()),
            (None, [Part { shows: Shows::Trap(trap), .. }]) => self.space.trap(wanted, *trap),
            _ => self.space.bar(wanted, behind.clone().unwrap(), parts.clone()),
        };
        let strict = |there: &&Model| there.is_fixed() || behind.is_some();
        let meets = |there: &Model| {
            there.at.is_some_and(|start| start < at + size && at < start.saturating_add(there.size))
        };
        let in_the_way = self.model.values().filter(strict).any(meets);
        match opened {
            Ok(window) => {
                assert!(!in_the_way);
                self.ever.push(window.id());
                self.model.insert(window.id(), Model { at: Some(at), size, behind, parts });
                self.windows.push(window);
            }
            Err(SpaceError::Overlap { .. }) => assert!(in_the_way),
            Err(SpaceError::Slot(_)) => assert!(self.slots.refuses.load(Ordering::SeqCst)),
        }
    }

    fn place(&mut self, places: &[(usize, Option<u64>)]) {
        let Some(count) = Some(self.ever.len()).filter(|count| *count > 0) else { return };
        let places: Vec<_> = places.iter().map(|(number, at)| (self.ever[number % count], *at)).collect();
        let wanted: Vec<_> = places.iter().map(|(id, at)| (*id, at.map(Gpa::new))).collect();
        self.space.place(&wanted);
        for (id, at) in places {
            if let Some(window) = self.model.get_mut(&id).filter(|window| !window.is_fixed()) {
                // What would pass the end of all addresses is nowhere.
                window.at = at.filter(|at| at.checked_add(window.size).is_some());
            }
        }
    }

    /// Every byte is what the model says, and in a slot where its page is all one memory.
    fn check(&self) {
        let seen: Vec<_> = (0..BYTES + 32).map(|byte| seen_at(&self.model, byte)).collect();
        for (byte, expected) in (0..).zip(&seen) {
            assert_eq!(&found_at(&self.space, byte), expected, "byte {byte}");
        }
        let here: Vec<_> = self.slots.here.lock().values().copied().collect();
        for (span, host) in &here {
            for byte in span.start().get()..span.end().get() {
                let Some(Some((Shows::Memory(memory), offset))) = seen.get(byte as usize) else {
                    panic!("a slot at {byte} and no memory")
                };
                assert_eq!(memory.host_address() + offset, host + (byte - span.start().get()));
            }
        }
        for (page, bytes) in (0..).step_by(PAGE as usize).zip(seen.chunks(PAGE as usize)) {
            let has_slot = here.iter().any(|(span, _)| span.contains(Gpa::new(page)));
            assert!(has_slot || self.refused || !is_whole(bytes), "page {page} traps");
        }
    }
}

/// A page that is all one memory, and a page of this process, too.
fn is_whole(bytes: &[Option<(Shows, u64)>]) -> bool {
    let Some(Some((Shows::Memory(first), start))) = bytes.first() else { return false };
    let follows = |(byte, expected): (&Option<(Shows, u64)>, u64)| {
        byte.as_ref()
            .is_some_and(|(shows, offset)| *shows == Shows::Memory(first.clone()) && *offset == expected)
    };
    bytes.iter().zip(*start..).all(follows) && (first.host_address() + start).is_multiple_of(PAGE)
}

proptest! {
    #[test]
    fn every_byte_is_what_the_model_says_whatever_is_opened_moved_and_closed(
        changes in prop::collection::vec(change(), 0..40),
    ) {
        let mut twin = Twin::new();
        for change in changes {
            let before: BTreeSet<_> = twin.slots.here.lock().clone().into_iter().collect();
            let places_before: BTreeSet<_> = before.iter().map(|(_, place)| *place).collect();
            let opens = matches!(change, Change::Open { .. } | Change::Bar { .. });
            twin.change(change);
            twin.check();
            let after: BTreeSet<_> = twin.slots.here.lock().clone().into_iter().collect();
            let changed = std::mem::take(&mut *twin.slots.changed.lock());
            // An opening that is refused may have to put back what it had replaced.
            let undone = opens && twin.slots.refuses.load(Ordering::SeqCst);
            for (number, place) in &after {
                let stays = places_before.contains(place);
                prop_assert!(undone || !stays || before.contains(&(*number, *place)), "{place:?} was touched");
            }
            let back = |(came, place): &(bool, Place)| !came && changed.contains(&(true, *place));
            prop_assert!(undone || !changed.iter().any(back), "a slot went and came back");
        }
        twin.windows.clear();
        prop_assert!(twin.slots.here.lock().is_empty() && twin.space.is_empty());
    }
}

/// A BAR of two pages behind a port that forwards 0x10000 to 0x18000, its overlay in the second page.
fn small_bar(space: &AddressSpace, at: u64) -> Window {
    let parts = vec![
        part(0..0x1000, 0, Shows::Memory(memory(0x1000))),
        part(0x1000..0x2000, 0, Shows::Trap(trap(0))),
        part(0x1800..0x1900, 1, Shows::Trap(trap(1))),
    ];
    space.bar(span(at, 0x2000), vec![span(0x10000, 0x8000)], parts).unwrap()
}

fn traps_to(space: &AddressSpace, at: u64) -> Option<(usize, u64)> {
    match space.target(Gpa::new(at), 4)? {
        Target::Trap(Trap::Region(behind), offset) => Some((behind.device, offset)),
        _ => None,
    }
}

#[test]
fn a_bar_that_is_placed_elsewhere_takes_its_overlay_along() {
    let (space, slots) = space();
    let bar = small_bar(&space, 0x10000);
    assert_eq!((traps_to(&space, 0x11804), traps_to(&space, 0x11900)), (Some((1, 4)), Some((0, 0x900))));
    space.place(&[(bar.id(), Some(Gpa::new(0x14000)))]);
    assert_eq!((traps_to(&space, 0x15804), traps_to(&space, 0x15900)), (Some((1, 4)), Some((0, 0x900))));
    assert!(space.target(Gpa::new(0x10000), 1).is_none() && space.target(Gpa::new(0x11804), 1).is_none());
    assert_eq!((slots.here(), slots.made()), (1, 2));
}

#[test]
fn a_bar_outside_of_what_is_forwarded_is_nowhere_and_half_inside_is_half_there() {
    let (space, slots) = space();
    let bar = small_bar(&space, 0x10000);
    space.place(&[(bar.id(), Some(Gpa::new(0xffff_f000)))]);
    assert_eq!((space.len(), slots.here()), (0, 0));
    space.place(&[(bar.id(), Some(Gpa::new(0x17000)))]);
    assert_eq!((space.len(), slots.here()), (1, 1), "the second page is not forwarded");
    assert!(space.target(Gpa::new(0x18000), 1).is_none());
}

#[test]
fn a_bar_over_another_splits_its_slot_and_touches_no_third() {
    let (space, slots) = space();
    let ranges = vec![span(0x10000, 0x8000)];
    let memory_part = |size| vec![part(0..size, 0, Shows::Memory(memory(size)))];
    let _third = space.map(span(0, 0x10000), memory(0x10000)).unwrap();
    let _large = space.bar(span(0x10000, 0x4000), ranges.clone(), memory_part(0x4000)).unwrap();
    let small = space.bar(span(0x14000, 0x1000), ranges, memory_part(0x1000)).unwrap();
    assert_eq!((slots.here(), slots.made()), (3, 3));
    space.place(&[(small.id(), Some(Gpa::new(0x11000)))]);
    assert_eq!((slots.here(), slots.made()), (4, 6), "the large one in two parts, and the small one");
    assert!(matches!(space.target(Gpa::new(0x12000), 8), Some(Target::Memory(_, 0x2000))));
    space.place(&[(small.id(), None)]);
    assert_eq!((slots.here(), slots.made()), (2, 7), "the large one is whole again");
}

#[test]
fn what_is_fixed_cannot_be_placed_and_covers_what_can() {
    let (space, _) = space();
    let bar = small_bar(&space, 0x10000);
    let fixed = space.trap(span(0x12000, 0x1000), trap(7)).unwrap();
    space.place(&[(fixed.id(), None), (bar.id(), Some(Gpa::new(0x12000)))]);
    assert_eq!((traps_to(&space, 0x12004), traps_to(&space, 0x13004)), (Some((7, 4)), Some((0, 4))));
    drop(fixed);
    assert!(matches!(space.target(Gpa::new(0x12004), 4), Some(Target::Memory(_, 4))));
}

#[test]
fn a_bar_is_not_opened_over_anything() {
    let (space, _) = space();
    let _bar = small_bar(&space, 0x10000);
    let _fixed = space.trap(span(0x14000, 0x1000), trap(7)).unwrap();
    for at in [0x11000, 0x13000] {
        let error = space.bar(span(at, 0x2000), vec![span(0x10000, 0x8000)], Vec::new()).unwrap_err();
        assert!(matches!(error, SpaceError::Overlap { .. }), "{error}");
    }
}

#[test]
fn a_window_that_is_no_longer_held_is_not_placed() {
    let (space, slots) = space();
    let bar = small_bar(&space, 0x10000);
    let id = bar.id();
    drop(bar);
    space.place(&[(id, Some(Gpa::new(0x12000)))]);
    assert_eq!((space.len(), slots.here()), (0, 0));
}

#[test]
fn memory_that_the_hypervisor_refuses_where_a_guest_puts_it_is_still_memory() {
    let (space, slots) = space();
    let bar = small_bar(&space, 0x10000);
    slots.refuse_from(2);
    space.place(&[(bar.id(), Some(Gpa::new(0x12000)))]);
    assert_eq!(slots.here(), 0);
    assert!(matches!(space.target(Gpa::new(0x12010), 8), Some(Target::Memory(_, 0x10))));
}

#[test]
fn a_bar_of_which_a_part_is_refused_leaves_nothing_and_what_it_covered_as_it_was() {
    let (space, slots) = space();
    let _bar = small_bar(&space, 0x10000);
    slots.refuse_from(2);
    assert!(space.map(span(0x10000, 0x1000), memory(0x1000)).is_err());
    assert!(matches!(space.target(Gpa::new(0x10010), 8), Some(Target::Memory(_, 0x10))));
    assert_eq!(traps_to(&space, 0x11804), Some((1, 4)));
}

#[test]
fn a_page_that_is_not_whole_traps_and_is_memory() {
    let (space, slots) = space();
    let parts = vec![part(0..0x2000, 0, Shows::Memory(memory(0x2000)))];
    let bar = space.bar(span(0x10000, 0x2000), vec![span(0x10000, 0x8000)], parts).unwrap();
    space.place(&[(bar.id(), Some(Gpa::new(0x12800)))]);
    assert_eq!(slots.here(), 0, "the guest's pages are not this process's");
    assert!(matches!(space.target(Gpa::new(0x12ffc), 8), Some(Target::Memory(_, 0x7fc))));
}

#[test]
fn a_piece_that_becomes_shorter_within_a_page_keeps_its_slot() {
    let (space, slots) = space();
    let parts = vec![part(0..0x1800, 0, Shows::Memory(memory(0x1800)))];
    let _bar = space.bar(span(0x10000, 0x2000), vec![span(0x10000, 0x8000)], parts).unwrap();
    let _fixed = space.trap(span(0x11400, 0x800), trap(7)).unwrap();
    assert_eq!((traps_to(&space, 0x11404), slots.here(), slots.made()), (Some((7, 4)), 1, 1));
}

#[test]
fn memory_of_a_part_that_is_not_as_long_is_refused() {
    let (space, slots) = space();
    let parts = vec![part(0x1000..0x2000, 0, Shows::Memory(memory(0x2000)))];
    let error = space.bar(span(0x10000, 0x2000), vec![span(0, 0x20000)], parts).unwrap_err().to_string();
    assert_eq!(error, "memory slot [0x11000, 0x12000): the memory has 0x2000 bytes");
    assert_eq!((space.len(), slots.here()), (0, 0));
}
