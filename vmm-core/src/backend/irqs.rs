//! What is asked of a device's interrupts, in all the shapes that VFIO has for it, and events in place of writes.
//!
//! ```text
//!              All      These            Events
//!  Trigger   signal   signal some    attach; none detaches
//!  Mask      mask     mask some           -
//!  Unmask    unmask   unmask some    unmask whenever signalled
//! ```
//!
//! To trigger all of no vectors takes everything back that is attached to the index.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use cxl_spec::access::Access;
use vfio_abi::request::IrqAction;

use super::event::Event;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct IrqChange<'a> {
    /// Which kind of interrupt.
    pub index: u32,
    /// The first vector.
    pub start: u32,
    /// What is done.
    pub action: Action,
    /// To which vectors, from the first on.
    pub vectors: Vectors<'a>,
}

/// What is done to vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Signalled, or told what to signal.
    Trigger,
    /// Masked.
    Mask,
    /// Unmasked.
    Unmask,
}

/// To which vectors something is done.
#[derive(Clone, Copy, Debug)]
pub enum Vectors<'a> {
    /// So many.
    All(u32),
    /// Those that are true here.
    These(&'a [bool]),
    /// Each has its event, or loses it.
    Events(&'a [Option<BorrowedFd<'a>>]),
}

/// An event that replaces a write to a region.
#[derive(Clone, Debug)]
pub struct IoEvent {
    /// Where it is in the region.
    pub offset: u64,
    /// How many bytes such a write has.
    pub size: u64,
    /// The only value that is meant; nothing if any is.
    pub value: Option<u64>,
    /// What is signalled.
    pub event: Arc<Event>,
}

impl IoEvent {
    /// Whether it is signalled in place of this write.
    pub fn stands_for(&self, access: Access, value: u64) -> bool {
        // A length of 0 is any, as it is for KVM.
        let length = self.size == 0 || self.size == access.width().bytes();
        length && self.offset == access.offset() && self.value.is_none_or(|meant| meant == value)
    }
}

impl<'a> IrqChange<'a> {
    /// Attaches events to the vectors from `start` on.
    pub fn attach(index: u32, start: u32, events: &'a [Option<BorrowedFd<'a>>]) -> Self {
        Self { index, start, action: Action::Trigger, vectors: Vectors::Events(events) }
    }

    /// Takes back all that is attached.
    pub fn take_back(index: u32) -> Self {
        Self { index, start: 0, action: Action::Trigger, vectors: Vectors::All(0) }
    }

    /// Unmasks one vector.
    pub fn unmask(index: u32, vector: u32) -> Self {
        Self { index, start: vector, action: Action::Unmask, vectors: Vectors::All(1) }
    }

    /// Unmasks the vectors from `start` on whenever their events are signalled.
    pub fn unmask_by(index: u32, start: u32, events: &'a [Option<BorrowedFd<'a>>]) -> Self {
        Self { index, start, action: Action::Unmask, vectors: Vectors::Events(events) }
    }

    /// The flags of the message, but for the kind of data.
    pub(super) fn action_flag(&self) -> IrqAction {
        match self.action {
            Action::Trigger => IrqAction::TRIGGER,
            Action::Mask => IrqAction::MASK,
            Action::Unmask => IrqAction::UNMASK,
        }
    }
}

impl Vectors<'_> {
    /// How many vectors it is about.
    pub fn count(&self) -> u32 {
        match self {
            Self::All(count) => *count,
            Self::These(these) => these.len() as u32,
            Self::Events(events) => events.len() as u32,
        }
    }
}
