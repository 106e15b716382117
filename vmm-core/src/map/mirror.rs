//! What a device behind an SMMU reaches, given to it as the guest's tables say, so that it need not ask.
//!
//! ```text
//!  tables ─▶ leaves ─▶ parts of memory ─▶ difference to what is held ─▶ DMA_UNMAP of what went, DMA_MAP of what came
//! ```
//!
//! One leaf of the tables, a page or a block, is one mapping of the device. So whatever goes takes nothing with it
//! that stays: a leaf that is the same before and after is never away. Joined leaves would be fewer mappings, but a
//! device takes back only whole ones. Where the guest puts a block in the place of pages, or switches translation
//! itself, the new leaves come after the old ones went.
//!
//! A mirror is older than the tables. It is made anew when the guest invalidates anything, queues commands, or
//! switches translation; what it took away from the device is away before that write of the guest's is done, and
//! before anybody sees `CMDQ_CONS` move. But software need not say that a page has come. What it did not say yet, a
//! device behind a mirror does not reach, where an SMMU would let it: that is the price of the mirror, and what
//! VFIO pays for an SMMU of one stage too. A guest that queues a `CMD_SYNC` behind what it maps is understood.
//!
//! What a device misses it misses by itself, and nobody asks the SMMU: there is no record of it in the event queue.
//! VFIO maps no two things at one address, so all that is not mirrored could be asked for only in pieces between the
//! mirrored ones, and with every page that comes or goes the pieces around it would be away for a moment.
//!
//! There is an end to what is held: of tables with more leaves than [`MOST`] the device is given those that come
//! first. Not mirrored are a page at the end of all 64-bit addresses, and addresses with an ignored top byte that is
//! not what bit 55 says.

use std::collections::BTreeMap;
use std::sync::Arc;

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::request::DmaFlags;

use super::dma::Pieces;
use super::memory::HostMemory;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::smmu::Leaves;
use crate::smmu::Mapping;

/// The most mappings that one device is given.
pub(super) const MOST: usize = 8192;

/// What one device is given.
#[derive(Debug)]
pub(crate) struct Mirror {
    backend: Shared,
    /// The device's requester ID.
    pub(super) stream: u32,
    /// What is behind the SMMU's output addresses for this device.
    reach: Arc<Pieces>,
    /// What it has, by first address.
    held: BTreeMap<u64, Held>,
}

/// One mapping of the device's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    range: Span<Iova>,
    memory: HostMemory,
    writable: bool,
}

/// How a mirror was made anew.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// There was more than is given to a device.
    pub(super) is_cut: bool,
    /// How many of its mappings the device refused, or did not give back.
    pub(super) refused: u64,
    /// The first such refusal.
    pub(super) error: Option<BackendError>,
}

impl Mirror {
    /// The device with this requester ID has nothing yet.
    pub(crate) fn new(backend: Shared, stream: u32, reach: Arc<Pieces>) -> Self {
        Self { backend, stream, reach, held: BTreeMap::new() }
    }

    /// The device has what these leaves lead to, and nothing else. What it refuses is tried again the next time.
    pub(super) fn follow(&mut self, leaves: &Leaves) -> Followed {
        let mut followed = Followed { is_cut: !leaves.is_all, ..Followed::default() };
        let wanted = self.wanted(leaves, &mut followed);
        let mut backend = self.backend.lock();
        // What is lost remembers it for whoever takes its place.
        let was_lost = backend.lost().is_some();
        let mut judge = |outcome: Result<(), BackendError>| {
            let outcome = if was_lost { Ok(()) } else { outcome };
            let is_done = outcome.is_ok();
            followed.refused += u64::from(!is_done);
            followed.error = followed.error.take().or(outcome.err());
            is_done
        };
        self.held.retain(|first, held| {
            // What the device does not give back it still has, and is told again the next time.
            wanted.get(first) == Some(held) || !judge(backend.dma_unmap(held.range))
        });
        for (first, held) in wanted {
            if self.held.contains_key(&first) {
                continue;
            }
            let memory = &held.memory;
            let mapped = backend.dma_map(held.range, memory.file(), memory.file_offset(), held.allowed());
            if judge(mapped) {
                self.held.insert(first, held);
            }
        }
        drop(backend);
        followed
    }

    /// What the device should have, by first address.
    fn wanted(&self, leaves: &Leaves, followed: &mut Followed) -> BTreeMap<u64, Held> {
        let mut wanted = BTreeMap::new();
        for held in leaves.mappings.iter().flat_map(|leaf| self.parts(leaf)) {
            if wanted.len() >= MOST {
                followed.is_cut = true;
                break;
            }
            wanted.insert(held.range.start().get(), held);
        }
        wanted
    }

    /// The memory that a leaf leads to: one part for most, none or several for a block around the edge of something.
    fn parts(&self, leaf: &Mapping) -> Vec<Held> {
        let last = leaf.last.get().wrapping_sub(leaf.first.get());
        let last = Gpa::new(leaf.address.get().saturating_add(last));
        let held = |(start, memory): (Gpa, HostMemory)| {
            let first = leaf.first.checked_add(start.offset_from(leaf.address)?)?;
            let range = Span::new(first, memory.size())?;
            Some(Held { range, memory, writable: leaf.writable })
        };
        self.reach.parts(leaf.address, last).into_iter().filter_map(held).collect()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        let mut backend = self.backend.lock();
        for held in self.held.values() {
            // A device that is gone reaches nothing any more.
            let _ = backend.dma_unmap(held.range);
        }
    }
}

impl Held {
    fn allowed(&self) -> DmaFlags {
        if self.writable { DmaFlags::READ | DmaFlags::WRITE } else { DmaFlags::READ }
    }
}
