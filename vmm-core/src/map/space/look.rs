//! Looking addresses up.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;

use super::AddressSpace;
use super::Shows;
use super::State;
use super::Target;
use super::Trap;

impl AddressSpace {
    /// What is at `address`, if there is something for `length` bytes.
    pub fn target(&self, address: Gpa, length: u64) -> Option<Target> {
        self.state.read().target(address, length)
    }

    /// All that an access of `length` bytes reaches, as it is at one moment: in order, each with the part of the access
    /// that it is for. Parts are as wide as can be.
    pub fn targets(&self, address: Gpa, length: u64) -> Vec<(Access, Option<Target>)> {
        let state = self.state.read();
        let mut found = Vec::with_capacity(1);
        for access in Access::split(address.get(), length, Width::Qword) {
            state.split(access, &mut found);
        }
        found
    }
}

impl State {
    fn target(&self, address: Gpa, length: u64) -> Option<Target> {
        let behind = self.seen.partition_point(|seen| seen.piece.span.start() <= address);
        let piece = &self.seen.get(behind.checked_sub(1)?)?.piece;
        let further = piece.span.offset_of(address).filter(|_| piece.span.covers(address, length))?;
        let offset = piece.offset.checked_add(further)?;
        Some(match &piece.shows {
            Shows::Memory(memory) => Target::Memory(memory.clone(), offset),
            Shows::Trap(trap) => Target::Trap(*trap, offset),
        })
    }

    /// Where no one entry has all of an access, its halves may be in two, or nowhere.
    fn split(&self, access: Access, found: &mut Vec<(Access, Option<Target>)>) {
        let width = access.width();
        let target = self.target(Gpa::new(access.offset()), width.bytes());
        let whole = target.filter(|target| target.takes(width));
        match (whole, Width::of(width.bytes() / 2)) {
            (None, Some(half)) => {
                Access::split(access.offset(), width.bytes(), half).for_each(|half| self.split(half, found));
            }
            (target, _) => found.push((access, target)),
        }
    }
}

impl Target {
    /// What is aligned in the guest need not be so in a region.
    fn takes(&self, width: Width) -> bool {
        match self {
            Self::Trap(Trap::Region(behind), offset) => {
                Access::new(behind.offset.saturating_add(*offset), width).is_some()
            }
            Self::Trap(..) | Self::Memory(..) => true,
        }
    }
}
