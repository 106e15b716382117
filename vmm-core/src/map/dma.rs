//! What devices reach: each range is given as the plan has decided, and taken back in the way it was given.
//!
//! ```text
//!  decision ─▶ mapped ──────────▶ Reach ── drop ─▶ unmapped
//!           ├▶ behind an SMMU ──▶ Reach ── drop ─▶ no longer found, and no longer in a mirror
//!           ├▶ tolerated EFAULT ─▶ nothing, and nothing to take back
//!           └▶ skipped ─────────▶ nothing, and nothing to take back
//! ```
//!
//! A machine with the defect of unmapping what it skipped has a `Reach` of that, too.
//!
//! A [`Reach`] is what was done, so taking back cannot decide anew. Both sides of it come and go while a guest runs:
//! the memory, and the device that reaches it ([`Exchange`]).

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
use crate::backend::Backend;
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

/// Who reaches what: memory that is offered, and devices that take part. Whoever comes is given all that is offered and
/// decided for him, and what is offered is given to all who are there.
///
/// ```text
///            RAM    BAR of gpu0   window of gpu1     an Offer each: dropping it takes the column back
///  gpu0      Reach     Reach          -              a Member each: dropping it takes the row back
///  gpu1      Reach       -          Reach
/// ```
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    decided: Vec<Dma>,
    members: Vec<(usize, Requester)>,
    offered: Vec<Offered>,
    /// How many offers there were.
    opened: u64,
}

/// Memory that is offered, and who has it.
#[derive(Debug)]
struct Offered {
    id: u64,
    /// The part of the map that it is in.
    part: String,
    span: Span<Gpa>,
    memory: HostMemory,
    /// By the devices' numbers.
    taken: Vec<(usize, Reach)>,
}

/// Memory that devices may reach. Dropping it takes it back from all of them.
#[derive(Debug)]
pub(crate) struct Offer {
    exchange: Arc<Exchange>,
    id: u64,
}

/// A device that reaches memory. Dropping it takes back from the device whatever it was given.
#[derive(Debug)]
pub(crate) struct Member {
    exchange: Arc<Exchange>,
    number: usize,
}

impl Exchange {
    /// Nothing is offered and nobody is there yet.
    pub(crate) fn new(decided: Vec<Dma>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { decided, ..State::default() }) })
    }

    /// How many are there, how much is offered, and how often something is given.
    #[cfg(test)]
    pub(crate) fn count(&self) -> [usize; 3] {
        let state = self.state.lock();
        let given = state.offered.iter().map(|offer| offer.taken.len()).sum();
        [state.members.len(), state.offered.len(), given]
    }

    /// From now on this is decided, and what was given before stays.
    pub(crate) fn decide(&self, decided: Vec<Dma>) {
        self.state.lock().decided = decided;
    }

    /// Gives `memory` to the devices that may reach it: it is at `span`, in the part of the map with this name.
    ///
    /// # Errors
    /// If a device refuses and that is not tolerated. Nobody has it then.
    pub(crate) fn offer(
        self: &Arc<Self>,
        part: &str,
        span: Span<Gpa>,
        memory: &HostMemory,
    ) -> Result<Offer, BackendError> {
        let mut state = self.state.lock();
        let State { decided, members, offered, opened } = &mut *state;
        let mut offer =
            Offered { id: *opened, part: part.to_owned(), span, memory: memory.clone(), taken: Vec::new() };
        for (number, requester) in members {
            offer.give(*number, requester, decided)?;
        }
        *opened = opened.saturating_add(1);
        let id = offer.id;
        offered.push(offer);
        Ok(Offer { exchange: self.clone(), id })
    }

    /// A device with this number in the plan takes part.
    ///
    /// # Errors
    /// If it refuses something and that is not tolerated. It has nothing then.
    pub(crate) fn join(
        self: &Arc<Self>,
        number: usize,
        requester: Requester,
    ) -> Result<Member, BackendError> {
        // Held first: what was given before a refusal goes back.
        let member = Member { exchange: self.clone(), number };
        let mut state = self.state.lock();
        let State { decided, members, offered, opened: _ } = &mut *state;
        let given = offered.iter_mut().try_for_each(|offer| offer.give(number, &requester, decided));
        members.push((number, requester));
        drop(state);
        given.map(|()| member)
    }
}

impl Offered {
    fn give(&mut self, number: usize, requester: &Requester, decided: &[Dma]) -> Result<(), BackendError> {
        let dma = decided.iter().find(|dma| dma.device == requester.name && dma.name == self.part);
        let taken = match dma.map(|dma| dma.decision) {
            Some(decision) if decision.maps() => requester.take(decision, self.span, &self.memory)?,
            Some(Decision::SkipAndUnmap) => requester.skip(self.span),
            _ => None,
        };
        self.taken.extend(taken.map(|reach| (number, reach)));
        Ok(())
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.exchange.state.lock().offered.retain(|offer| offer.id != self.id);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.exchange.state.lock();
        for offer in &mut state.offered {
            offer.taken.retain(|(number, _)| *number != self.number);
        }
        state.members.retain(|(number, _)| *number != self.number);
    }
}

impl Requester {
    /// Tells the device nothing. That it was not mapped is forgotten, and it will be taken back as if it had been.
    fn skip(&self, span: Span<Gpa>) -> Option<Reach> {
        let range = Span::new(Iova::new(span.start().get()), span.size())?;
        Some(Reach::Mapped(self.backend.clone(), range))
    }

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
        let mut backend = self.backend.lock();
        let map = |backend: &mut Box<dyn Backend>| {
            let allowed = DmaFlags::READ | DmaFlags::WRITE;
            backend.dma_map(range, memory.file(), memory.file_offset(), allowed)
        };
        let was_lost = backend.lost().is_some();
        let mut mapped = map(&mut backend);
        if was_lost {
            // It is remembered for whoever takes its place. That it is lost was told when it was.
            mapped = Ok(());
        }
        if let Err(BackendError { failure: Failure::Refused(Errno::EEXIST), .. }) = &mapped {
            // The device did not give it back when it was told to. What is held here is disjoint.
            mapped = backend.dma_unmap(range).and_then(|()| map(&mut backend));
        }
        drop(backend);
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

/// What can be mapped of one device's BARs, and the offers of it: none while the device does not decode, or has moved a
/// BAR away from where the plan put it.
#[derive(Debug)]
pub(crate) struct BarReach {
    exchange: Arc<Exchange>,
    /// It is locked behind what is given.
    parts: Mutex<Vec<BarMemory>>,
    given: Mutex<Option<Vec<Offer>>>,
}

/// A piece of a BAR that is memory.
#[derive(Debug)]
pub(crate) struct BarMemory {
    /// What the BAR is called in the map.
    pub(crate) name: String,
    /// Where the piece is.
    pub(crate) span: Span<Gpa>,
    /// What is there.
    pub(crate) memory: HostMemory,
}

impl BarReach {
    /// Nobody has any of it yet.
    pub(crate) fn new(exchange: Arc<Exchange>, parts: Vec<BarMemory>) -> Self {
        Self { exchange, parts: Mutex::new(parts), given: Mutex::default() }
    }

    /// The BARs are other memory from now on. Nobody has the memory that they were.
    pub(crate) fn renew(&self, parts: Vec<BarMemory>) {
        let mut given = self.given.lock();
        *given = None;
        *self.parts.lock() = parts;
    }

    /// The device decodes from now on, or does not. What is so already stays.
    ///
    /// # Errors
    /// If a device refuses what it should be given. Nobody has anything of it then.
    pub(crate) fn decode(&self, on: bool) -> Result<(), BackendError> {
        let mut given = self.given.lock();
        if !on {
            *given = None;
        } else if given.is_none() {
            let offer = |part: &BarMemory| self.exchange.offer(&part.name, part.span, &part.memory);
            *given = Some(self.parts.lock().iter().map(offer).collect::<Result<_, _>>()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
