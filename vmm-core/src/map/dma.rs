//! What devices reach: each range is given as the plan has decided, and taken back in the way it was given.
//!
//! ```text
//!  decision ─▶ mapped ──────────▶ Reach ── drop ─▶ unmapped
//!           ├▶ behind an SMMU ──▶ Reach ── drop ─▶ no longer found, and no longer in a mirror
//!           ├▶ tolerated EFAULT ─▶ nothing, and nothing to take back
//!           └▶ skipped ─────────▶ nothing, and nothing to take back
//! ```
//!
//! A [`Reach`] is what was done, so taking back cannot decide anew.

use std::sync::Arc;

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use parking_lot::Mutex;
use parking_lot::RwLock;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;

use super::iommu::Behind;
use super::memory::HostMemory;
use crate::backend::BackendError;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::plan::Decision;
use crate::plan::Dma;
use crate::smmu::ExternalAbort;
use crate::smmu::Memory;

/// Memory at guest addresses, for those who have no guest's way to it. Pieces do not overlap.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: RwLock<Vec<(Span<Gpa>, HostMemory)>>,
}

impl Pieces {
    /// Puts memory at `span`, which is as long.
    pub(crate) fn add(&self, span: Span<Gpa>, memory: HostMemory) {
        self.pieces.write().push((span, memory));
    }

    pub(super) fn remove(&self, span: Span<Gpa>) {
        self.pieces.write().retain(|(there, _)| *there != span);
    }

    /// The memory between two addresses, both included, in order; each part with its first address.
    pub(super) fn parts(&self, first: Gpa, last: Gpa) -> Vec<(Gpa, HostMemory)> {
        let pieces = self.pieces.read();
        let part = |(span, memory): &(Span<Gpa>, HostMemory)| {
            let start = span.start().max(first);
            // A span never ends at 0.
            let end = span.end().get().min(last.get().saturating_add(1));
            let length = end.checked_sub(start.get()).filter(|length| *length > 0)?;
            Some((start, memory.part(span.offset_of(start)?, length)?))
        };
        let mut parts: Vec<_> = pieces.iter().filter_map(part).collect();
        parts.sort_by_key(|(start, _)| *start);
        parts
    }

    /// The memory that has all of these bytes, and where in it they are.
    fn find(&self, at: Gpa, length: usize) -> Result<(HostMemory, u64), ExternalAbort> {
        let pieces = self.pieces.read();
        let found = pieces.iter().find(|(span, _)| span.covers(at, length as u64));
        let found = found.and_then(|(span, memory)| Some((memory.clone(), span.offset_of(at)?)));
        found.ok_or(ExternalAbort)
    }
}

impl Memory for Pieces {
    fn read(&self, at: Gpa, buffer: &mut [u8]) -> Result<(), ExternalAbort> {
        let (memory, offset) = self.find(at, buffer.len())?;
        memory.read(offset, buffer).ok_or(ExternalAbort)
    }

    fn write(&self, at: Gpa, data: &[u8]) -> Result<(), ExternalAbort> {
        let (memory, offset) = self.find(at, data.len())?;
        memory.write(offset, data).ok_or(ExternalAbort)
    }
}

/// A device that reaches memory.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    /// The machine's name for it.
    pub(crate) name: String,
    /// How to reach it.
    pub(crate) backend: Shared,
    /// What it reaches through an SMMU, if it is behind one.
    pub(crate) behind: Option<Arc<Behind>>,
}

/// Memory that a device may reach. Dropping it takes it back.
#[derive(Debug)]
pub(crate) enum Reach {
    /// The device was told.
    Mapped(Shared, Span<Iova>),
    /// It is behind an SMMU.
    Listed(Arc<Behind>, Span<Gpa>),
}

impl Drop for Reach {
    fn drop(&mut self) {
        match self {
            // A device that is gone reaches nothing any more.
            Self::Mapped(backend, range) => drop(backend.lock().dma_unmap(*range)),
            Self::Listed(behind, span) => behind.remove(*span),
        }
    }
}

/// All devices, and what was decided for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requesters {
    pub(crate) requesters: Vec<Requester>,
    pub(crate) decided: Vec<Dma>,
}

impl Requesters {
    /// Gives `memory` to the devices that may reach it: it is at `span`, in the part of the map with this name.
    ///
    /// # Errors
    /// If a device refuses and that is not tolerated. Nobody has it then.
    pub(crate) fn give(
        &self,
        part: &str,
        span: Span<Gpa>,
        memory: &HostMemory,
    ) -> Result<Vec<Reach>, BackendError> {
        let mut given = Vec::new();
        for requester in &self.requesters {
            let mut decided = self.decided.iter();
            let dma = decided.find(|dma| dma.device == requester.name && dma.name == part);
            let Some(dma) = dma.filter(|dma| dma.decision.maps()) else { continue };
            given.extend(requester.take(dma.decision, span, memory)?);
        }
        Ok(given)
    }
}

impl Requester {
    fn take(
        &self,
        decision: Decision,
        span: Span<Gpa>,
        memory: &HostMemory,
    ) -> Result<Option<Reach>, BackendError> {
        if let Some(behind) = &self.behind {
            let listed = Reach::Listed(behind.clone(), span);
            let added = behind.add(span, memory.clone());
            return tolerated(decision, added.map(|()| listed));
        }
        // Without an SMMU the device's addresses are the guest's.
        let Some(range) = Span::new(Iova::new(span.start().get()), span.size()) else { return Ok(None) };
        let mapped = self.backend.lock().dma_map(
            range,
            memory.file(),
            memory.file_offset(),
            DmaFlags::READ | DmaFlags::WRITE,
        );
        tolerated(decision, mapped.map(|()| Reach::Mapped(self.backend.clone(), range)))
    }
}

/// A device that refuses with `EFAULT` goes without, where that is tolerated.
fn tolerated(decision: Decision, taken: Result<Reach, BackendError>) -> Result<Option<Reach>, BackendError> {
    match taken {
        Err(BackendError { failure: Failure::Refused(Errno::EFAULT), .. })
            if decision == Decision::Tolerate =>
        {
            Ok(None)
        }
        taken => taken.map(Some),
    }
}

/// What can be mapped of the devices' BARs, and who has it now: nobody while its owner does not decode, or has moved a
/// BAR away from where the plan put it.
#[derive(Debug, Default)]
pub(crate) struct BarReach {
    requesters: Requesters,
    parts: Mutex<Vec<BarMemory>>,
    /// By owner. It is locked first.
    given: Mutex<Vec<(usize, Vec<Reach>)>>,
}

/// A piece of a BAR that is memory.
#[derive(Debug)]
pub(crate) struct BarMemory {
    /// The device whose BAR it is.
    pub(crate) owner: usize,
    /// What the BAR is called in the map.
    pub(crate) name: String,
    /// Where the piece is.
    pub(crate) span: Span<Gpa>,
    /// What is there.
    pub(crate) memory: HostMemory,
}

impl BarReach {
    /// Nobody has any of it yet.
    pub(crate) fn new(requesters: Requesters, parts: Vec<BarMemory>) -> Self {
        Self { requesters, parts: Mutex::new(parts), given: Mutex::default() }
    }

    /// The owner's BARs are other memory from now on. Nobody has the memory that they were.
    pub(crate) fn renew(&self, owner: usize, parts: Vec<BarMemory>) {
        let mut given = self.given.lock();
        given.retain(|(there, _)| *there != owner);
        let mut known = self.parts.lock();
        known.retain(|part| part.owner != owner);
        known.extend(parts);
    }

    /// The owner decodes from now on, or does not. What is so already stays.
    ///
    /// # Errors
    /// If a device refuses what it should be given. Nobody has anything of the owner's then.
    pub(crate) fn decode(&self, owner: usize, on: bool) -> Result<(), BackendError> {
        let mut given = self.given.lock();
        if !on {
            given.retain(|(there, _)| *there != owner);
            return Ok(());
        }
        if given.iter().any(|(there, _)| *there == owner) {
            return Ok(());
        }
        let mut reaches = Vec::new();
        for part in self.parts.lock().iter().filter(|part| part.owner == owner) {
            reaches.extend(self.requesters.give(&part.name, part.span, &part.memory)?);
        }
        given.push((owner, reaches));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
