//! What a desk should hold, told anew by lists: which files are open, who is in what, and which ranges are mapped.

use std::collections::BTreeMap;

use vfio_abi::request::DmaFlags;

use super::process::Process;
use crate::caller::Open;
use crate::caller::Piece;
use crate::desk::Desk;
use crate::desk::Node;
use crate::desk::space::Behind;
use crate::desk::space::Space;
use crate::fields::Fields;
use crate::number;

/// A space by its file: a container's is 0, others have the id of their IOAS.
pub(super) type Place = (Open, u32);

/// A range that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: u64,
    last: u64,
    /// Where in the process's memory it lies, if it does.
    memory: Option<u64>,
    writes: bool,
}

impl Range {
    fn meets(&self, first: u64, last: u64) -> bool {
        self.first <= last && first <= self.last
    }

    fn length(&self) -> u64 {
        (self.last - self.first).wrapping_add(1)
    }
}

/// What should be.
#[derive(Debug, Default)]
pub(super) struct Model {
    opens: BTreeMap<Open, Node>,
    spaces: BTreeMap<Place, Vec<Range>>,
    /// Which IOAS a page table is of.
    tables: BTreeMap<Place, u32>,
    container: Option<Open>,
    iommu: Option<u64>,
    /// The device's file and the iommufd that it is bound to.
    bound: Option<(Open, Open)>,
    attached: Option<Place>,
}

/// A call that was done: on what, which, its argument, and the structure there before and after.
pub(super) struct Done<'a> {
    pub(super) on: Open,
    pub(super) number: u32,
    pub(super) argument: u64,
    pub(super) before: &'a Fields,
    pub(super) after: &'a Fields,
}

impl Model {
    pub(super) fn opened(&mut self, open: Open, node: Node) {
        assert!(self.opens.insert(open, node).is_none(), "it was open");
        if node == Node::Container {
            self.spaces.insert((open, 0), Vec::new());
        }
    }

    /// A file is closed: what goes with it goes.
    pub(super) fn closed(&mut self, open: Open) {
        self.opens.remove(&open);
        if self.bound.is_some_and(|(device, _)| device == open) {
            (self.bound, self.attached) = (None, None);
        }
        let mut nodes = self.opens.values();
        if !nodes.any(|node| matches!(node, Node::Group | Node::GroupDevice)) {
            self.leave();
        }
        self.forget();
    }

    /// The group leaves its container.
    fn leave(&mut self) {
        let left = self.container.take();
        left.and_then(|left| self.spaces.get_mut(&(left, 0))).into_iter().for_each(Vec::clear);
        self.iommu = None;
    }

    fn forget(&mut self) {
        let Self { opens, container, bound, spaces, .. } = self;
        let bound = bound.map(|(_, iommufd)| iommufd);
        let lives =
            |open: &Open| opens.contains_key(open) || *container == Some(*open) || bound == Some(*open);
        spaces.retain(|(open, _), _| lives(open));
        self.tables.retain(|(open, _), _| lives(open));
    }

    /// Something was done.
    pub(super) fn learn(&mut self, done: &Done<'_>, by: &Process) {
        match self.opens.get(&done.on) {
            Some(Node::Container) => self.learn_container(done),
            Some(Node::Group) => self.learn_group(done, by),
            Some(Node::Device) => self.learn_device(done, by),
            Some(Node::Iommufd) => self.learn_iommufd(done),
            Some(Node::GroupDevice) => {}
            None => assert!(self.opens.contains_key(&done.on), "it is closed"),
        }
    }

    fn learn_container(&mut self, done: &Done<'_>) {
        let (before, place) = (done.before, (done.on, 0));
        match done.number {
            number::SET_IOMMU => self.iommu = Some(done.argument),
            number::IOMMU_MAP_DMA => {
                let (flags, memory, first) = (before.u32(4), Some(before.u64(8)), before.u64(16));
                let last = first.wrapping_add(before.u64(24) - 1);
                if flags & 4 == 0 {
                    self.add(place, Range { first, last, memory, writes: flags & 2 != 0 });
                } else {
                    let found = self.spaces.get_mut(&place).into_iter().flatten();
                    let mut found = found.filter(|range| (range.first, range.last) == (first, last));
                    assert!(found.next().is_some_and(|range| range.memory.replace(before.u64(8)).is_none()));
                }
            }
            number::IOMMU_UNMAP_DMA => {
                let (flags, first, length) = (before.u32(4), before.u64(8), before.u64(16));
                let all = flags & 2 != 0;
                let last = if all { u64::MAX } else { first.wrapping_add(length - 1) };
                let bytes = if self.iommu == Some(1) && self.begins_before(place, first, last) {
                    // The first version stops at what begins before.
                    0
                } else if flags & 4 != 0 {
                    self.take_back(place, first, last)
                } else {
                    self.remove(place, first, last)
                };
                assert_eq!(done.after.u64(16), bytes, "so much was unmapped");
            }
            _ => {}
        }
    }

    fn learn_group(&mut self, done: &Done<'_>, by: &Process) {
        match done.number {
            number::GROUP_SET_CONTAINER => {
                assert!(self.container.is_none(), "it is in one");
                self.container = by.opened(done.before.i32(0));
            }
            number::GROUP_UNSET_CONTAINER => {
                assert!(!self.opens.values().any(|node| *node == Node::GroupDevice), "its device is open");
                self.leave();
                self.forget();
            }
            _ => {}
        }
    }

    fn learn_device(&mut self, done: &Done<'_>, by: &Process) {
        match done.number {
            number::DEVICE_BIND_IOMMUFD => {
                let mut nodes = self.opens.values();
                assert!(
                    !nodes.any(|node| matches!(node, Node::Group | Node::GroupDevice)),
                    "used by its group"
                );
                assert!(self.bound.is_none(), "it is bound");
                self.bound = by.opened(done.before.i32(8)).map(|iommufd| (done.on, iommufd));
                assert!(self.bound.is_some());
            }
            number::DEVICE_ATTACH_IOMMUFD_PT => {
                let Some((_, iommufd)) = self.bound else { return };
                let (asked, table) = (done.before.u32(8), done.after.u32(8));
                if self.spaces.contains_key(&(iommufd, asked)) {
                    self.tables.insert((iommufd, table), asked);
                } else {
                    assert_eq!(asked, table, "it is a page table");
                }
                self.attached = self.tables.get(&(iommufd, table)).map(|ioas| (iommufd, *ioas));
                assert!(self.attached.is_some(), "nobody knows that page table");
            }
            number::DEVICE_DETACH_IOMMUFD_PT => self.attached = None,
            _ => {}
        }
    }

    fn learn_iommufd(&mut self, done: &Done<'_>) {
        let Done { before, after, on, .. } = *done;
        match done.number {
            number::DESTROY => {
                self.spaces.remove(&(on, before.u32(4)));
                self.tables.remove(&(on, before.u32(4)));
            }
            number::IOAS_ALLOC => {
                assert!(self.spaces.insert((on, after.u32(8)), Vec::new()).is_none(), "the id is taken");
            }
            number::HWPT_ALLOC => {
                self.tables.insert((on, after.u32(16)), before.u32(12));
            }
            number::IOAS_MAP | number::IOAS_MAP_FILE => {
                let (flags, first, length) = (before.u32(4), after.u64(32), before.u64(24));
                assert!(flags & 1 == 0 || before.u64(32) == first, "it is where it was asked for");
                let in_page = before.u64(16) & 0xfff;
                assert!(flags & 1 != 0 || first & 0xfff == in_page, "it has another place in its page");
                let memory = (done.number == number::IOAS_MAP).then_some(before.u64(16));
                let last = first.wrapping_add(length - 1);
                self.add((on, before.u32(8)), Range { first, last, memory, writes: flags & 2 != 0 });
            }
            number::IOAS_COPY => self.learn_copy(done),
            number::IOAS_UNMAP => {
                let (id, first, length) = (before.u32(4), before.u64(8), before.u64(16));
                let last = if length == u64::MAX { length } else { first.wrapping_add(length - 1) };
                let bytes = self.remove((on, id), first, last);
                assert_eq!(after.u64(16), bytes, "so much was unmapped");
            }
            _ => {}
        }
    }

    fn learn_copy(&mut self, done: &Done<'_>) {
        let Done { before, after, on, .. } = *done;
        let (flags, length, source) = (before.u32(4), before.u64(16), before.u64(32));
        let from = self.spaces.get(&(on, before.u32(12))).into_iter().flatten();
        let mut from = from.filter(|range| range.first <= source && source + (length - 1) <= range.last);
        let Some(from) = from.next().copied() else {
            assert_eq!(length, 0, "nothing is there to be copied");
            return;
        };
        let first = after.u64(24);
        assert!(from.writes || flags & 2 == 0, "a copy may do more");
        let memory = from.memory.map(|memory| memory + (source - from.first));
        let last = first.wrapping_add(length - 1);
        self.add((on, before.u32(8)), Range { first, last, memory, writes: flags & 2 != 0 });
    }

    fn add(&mut self, place: Place, range: Range) {
        assert!(range.first <= range.last, "it ends before it begins");
        let ranges = self.spaces.get_mut(&place);
        assert!(ranges.is_some(), "there is no such space");
        let Some(ranges) = ranges else { return };
        assert!(!ranges.iter().any(|there| there.meets(range.first, range.last)), "{range:x?} is mapped");
        ranges.push(range);
        ranges.sort_by_key(|range| range.first);
    }

    /// Whether the lowest of what is met begins before.
    fn begins_before(&self, place: Place, first: u64, last: u64) -> bool {
        let mut ranges = self.spaces.get(&place).into_iter().flatten();
        ranges.any(|range| range.meets(first, last) && range.first < first)
    }

    /// Takes away what begins in a range, and counts the bytes.
    fn remove(&mut self, place: Place, first: u64, last: u64) -> u64 {
        let Some(ranges) = self.spaces.get_mut(&place) else { return 0 };
        let (gone, stay): (Vec<_>, Vec<_>) =
            ranges.iter().copied().partition(|range| range.meets(first, last));
        let is_cut = gone.iter().any(|range: &Range| range.first < first || range.last > last);
        assert!(!is_cut || place.1 == 0 && self.iommu == Some(1), "a range is cut");
        *ranges = stay;
        gone.iter().fold(0, |bytes: u64, range| bytes.wrapping_add(range.length()))
    }

    /// Takes back the addresses of what begins in a range, and counts the bytes.
    fn take_back(&mut self, place: Place, first: u64, last: u64) -> u64 {
        let ranges = self.spaces.get_mut(&place).into_iter().flatten();
        ranges.filter(|range| range.meets(first, last)).fold(0, |bytes: u64, range| {
            assert!(range.memory.take().is_some(), "{range:x?} has no address");
            bytes.wrapping_add(range.length())
        })
    }

    /// Something was done whose answer could not be told: it is as it is.
    pub(super) fn look(&mut self, desk: &Desk) {
        for (place, space) in desk.spaces() {
            self.spaces.insert(place, ranges(space));
        }
        if desk.bound.as_ref().is_none_or(|bound| bound.attached.is_none()) {
            self.attached = None;
        }
    }

    /// Whether a desk holds what it should and nothing else.
    pub(super) fn check(&self, desk: &Desk) {
        assert_eq!(desk.opens, self.opens, "what is open");
        let spaces: BTreeMap<_, _> = desk.spaces().map(|(place, space)| (place, ranges(space))).collect();
        for ranges in spaces.values() {
            let mut pairs = ranges.iter().zip(ranges.iter().skip(1));
            assert!(pairs.all(|(one, next)| one.last < next.first), "{ranges:x?} overlap");
        }
        assert_eq!(spaces, self.spaces, "what is mapped");
        assert_eq!(desk.group.container, self.container, "where the group is");
        let bound = desk.bound.as_ref();
        assert_eq!(bound.map(|bound| (bound.by, bound.iommufd)), self.bound, "what is bound");
        assert_eq!(bound.is_some_and(|bound| bound.attached.is_some()), self.attached.is_some());
        if !desk.opens.values().any(|node| matches!(node, Node::GroupDevice)) && bound.is_none() {
            assert_eq!(desk.events().count(), 0, "nobody has the device open");
        }
    }

    /// Whether the device may write a piece of memory.
    pub(super) fn reaches(&self, piece: Piece) -> bool {
        let place = match (self.container, self.iommu) {
            (Some(container), Some(_)) => Some((container, 0)),
            _ => self.attached,
        };
        let mut ranges = place.and_then(|place| self.spaces.get(&place)).into_iter().flatten();
        ranges.any(|range| {
            let Some(inside) = range.memory.and_then(|memory| piece.at.checked_sub(memory)) else {
                return false;
            };
            range.writes && inside.checked_add(piece.count).is_some_and(|end| end <= range.length())
        })
    }
}

/// The ranges of a space, as a desk keeps them.
fn ranges(space: &Space) -> Vec<Range> {
    let range = |(first, last)| {
        let (allowed, behind) = space.part(first, last)?;
        let memory = match behind {
            Behind::Process { at, .. } => at,
            Behind::File(..) => None,
        };
        Some(Range { first, last, memory, writes: allowed.contains(DmaFlags::WRITE) })
    };
    space.overlapping(0, u64::MAX).filter_map(range).collect()
}

impl Desk {
    /// All spaces that are kept.
    fn spaces(&self) -> impl Iterator<Item = (Place, &Space)> {
        let containers = self.containers.iter().map(|(open, container)| ((*open, 0), &container.space));
        let iommufds = self
            .iommufds
            .iter()
            .flat_map(|(open, iommufd)| iommufd.spaces().map(|(id, space)| ((*open, id), space)));
        containers.chain(iommufds)
    }
}
