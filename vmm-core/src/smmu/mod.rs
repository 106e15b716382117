//! An SMMUv3: it translates what devices access, as the guest's tables say.
//!
//! ```text
//!  register write ──▶ registers ──▶ command queue ──▶ cache ──▶ effects
//!
//!  stream, address ──▶ stream table ──▶ context descriptor ──▶ translation tables ──▶ guest address
//!                        abort, bypass                                  │
//!                                                                refused ▼
//!                                                     event queue, interrupt as an effect
//! ```
//!
//! It is a plain value over a [`Memory`]: no thread, no clock. A machine with several has several values. All that
//! it reads from memory is a guest's, and is taken for anything at all.
//!
//! What it is: SMMUv3.0 with stage 1 for `AArch64`, granules of 4, 16 and 64 KiB, 48-bit addresses in, up to 48 bits
//! out, linear and 2-level stream tables, 16-bit address space ids. It says that it offers PCI Express ATS, and
//! takes the commands for it; translation requests of devices are not here.
//!
//! Not here: stage 2, substreams (PASID), stalled accesses, page requests, secure state, range invalidation. An
//! interrupt is an effect, by wire or as a message; that the write of a message is aborted, nobody tells the SMMU, so
//! the global errors about that never are.
//!
//! Where the specification leaves a choice: a register write at the wrong time is ignored; a size of an input
//! address outside 25 to 48 bits makes a context descriptor invalid; a structure above the output addresses aborts
//! when it is fetched, but a first table there makes the context descriptor invalid.

pub mod bits;
pub mod bus;
mod cache;
mod command;
mod context;
pub mod drive;
pub mod effect;
mod event;
pub mod features;
mod list;
mod memory;
mod queue;
mod queues;
pub mod register;
mod registers;
mod stream;
mod walk;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use cache::Cache;
use context::Context;
pub use effect::Effect;
pub use effect::Effects;
pub use event::Operation;
pub use event::Reason;
pub use features::Features;
pub use list::Leaves;
use list::List;
pub use list::Mapping;
pub use list::TooMany;
pub use memory::ExternalAbort;
pub use memory::Memory;
use memory::Physical;
use registers::Registers;
use registers::Written;
use stream::Stream;
use stream::Table;

/// An SMMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smmu {
    features: Features,
    registers: Registers,
    cache: Cache,
}

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The guest physical address.
    pub address: Gpa,
    /// How many bytes from there on are translated in the same way.
    pub length: u64,
}

/// An access that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {reason}")]
pub struct Fault {
    /// Why.
    pub reason: Reason,
    /// What follows from it.
    pub effects: Effects,
}

/// Why an access was refused, and whether the event queue shall say so.
struct Refusal {
    reason: Reason,
    is_recorded: bool,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, is_recorded: true }
    }
}

impl Smmu {
    /// An SMMU after reset. Features that are too much are cut to what there can be.
    pub fn new(features: Features) -> Self {
        Self { features: features.bounded(), registers: Registers::new(), cache: Cache::default() }
    }

    /// Everything is as it was in the beginning.
    pub fn reset(&mut self) {
        *self = Self::new(self.features);
    }

    /// What it can do.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Reads registers. They are read as dwords or as two of them; anything narrower reads 0.
    pub fn read(&self, access: Access) -> u64 {
        let dword = |offset: u64| u64::from(self.registers.read(offset, self.features));
        match access.width() {
            Width::Qword => dword(access.offset()) | dword(access.offset() | 4) << 32,
            Width::Dword => dword(access.offset()),
            Width::Word | Width::Byte => 0,
        }
    }

    /// Writes registers, as dwords or as two of them; anything narrower is ignored.
    pub fn write(&mut self, memory: &dyn Memory, access: Access, value: u64) -> Effects {
        let mut effects = Effects::default();
        let halves = match access.width() {
            Width::Qword => 2,
            Width::Dword => 1,
            Width::Word | Width::Byte => 0,
        };
        for (at, half) in [(access.offset(), value as u32), (access.offset() | 4, (value >> 32) as u32)]
            .into_iter()
            .take(halves)
        {
            let written = self.registers.write(at, half);
            if written == Written::Everything {
                effects.invalidated(effect::Streams::All, effect::Range::All);
            }
            if written != Written::Nothing {
                self.consume(&Physical { memory, size: self.features.oas }, &mut effects);
            }
        }
        effects
    }

    /// Consumes what commands a write has left because its effects were [full](Effects::is_full), once those are
    /// carried out.
    pub fn go_on(&mut self, memory: &dyn Memory) -> Effects {
        let mut effects = Effects::default();
        self.consume(&Physical { memory, size: self.features.oas }, &mut effects);
        effects
    }

    /// Translates an access of a device.
    ///
    /// # Errors
    /// If the access is refused. The event queue has its record then, if software wants one and there is room.
    pub fn translate(
        &mut self,
        memory: &dyn Memory,
        stream: u32,
        iova: Iova,
        operation: Operation,
    ) -> Result<Translation, Fault> {
        let memory = Physical { memory, size: self.features.oas };
        self.look(&memory, stream, iova, operation).map_err(|refusal| {
            let mut effects = Effects::default();
            let record = refusal.reason.record(stream, iova, operation);
            if let Some(record) = record.filter(|_| refusal.is_recorded) {
                self.record(&memory, record, &mut effects);
            }
            Fault { reason: refusal.reason, effects }
        })
    }

    /// All that a stream reaches between two addresses, both included: in order, disjoint, and joined where one
    /// mapping only continues another. The guest's tables are read as they are now. Addresses are those without an
    /// ignored top byte. A stream that reaches nothing, for whatever reason, has no mappings.
    ///
    /// # Errors
    /// If the tables are too large.
    pub fn mappings(
        &self,
        memory: &dyn Memory,
        stream: u32,
        first: Iova,
        last: Iova,
    ) -> Result<Vec<Mapping>, TooMany> {
        let memory = Physical { memory, size: self.features.oas };
        let mut list = List::new(memory, first, last);
        self.fill(&mut list, &memory, stream)?;
        Ok(list.done())
    }

    /// The pages and blocks that a stream reaches, each by itself, so that one can go and its neighbours stay. At most
    /// `most`: of larger tables it is what comes first. Otherwise as [`mappings`](Self::mappings).
    pub fn leaves(&self, memory: &dyn Memory, stream: u32, most: usize) -> Leaves {
        let memory = Physical { memory, size: self.features.oas };
        let mut list = List::of_leaves(memory, most);
        let is_all = self.fill(&mut list, &memory, stream).is_ok();
        Leaves { mappings: list.done(), is_all }
    }

    /// Lists what a stream reaches.
    fn fill(&self, list: &mut List<'_>, memory: &Physical<'_>, stream: u32) -> Result<(), TooMany> {
        let is_on = self.registers.cr0.smmuen();
        let stream = match is_on {
            true => self.table().stream(memory, stream).unwrap_or(Stream::Abort),
            false if self.registers.gbpa.abort() => Stream::Abort,
            false => Stream::Bypass,
        };
        match stream {
            Stream::Abort => {}
            Stream::Bypass => list.identity(self.features.oas)?,
            Stream::Stage1(at) => {
                let context = Context::read(memory, at).ok();
                for (first, regime) in context.iter().flat_map(Context::halves) {
                    list.half(regime, first)?;
                }
            }
        }
        Ok(())
    }

    fn look(
        &mut self,
        memory: &Physical<'_>,
        stream: u32,
        iova: Iova,
        operation: Operation,
    ) -> Result<Translation, Refusal> {
        if !self.registers.cr0.smmuen() {
            // Nothing is recorded while translation is off.
            let silently = |reason| Refusal { reason, is_recorded: false };
            let aborts = self.registers.gbpa.abort();
            let checked = if aborts { Err(Reason::GlobalAbort) } else { self.bypass(iova) };
            return checked.map_err(silently);
        }
        match self.stream(memory, stream)? {
            Stream::Abort => Err(Reason::StreamAbort.into()),
            Stream::Bypass => Ok(self.bypass(iova)?),
            Stream::Stage1(at) => {
                let context = self.context(memory, stream, at)?;
                self.stage_1(memory, &context, iova, operation).map_err(|reason| Refusal {
                    reason,
                    is_recorded: context.records || !reason.is_translation_fault(),
                })
            }
        }
    }

    fn bypass(&self, iova: Iova) -> Result<Translation, Reason> {
        let (address, size) = (iova.get(), self.features.oas);
        if !size.holds(address) {
            return Err(Reason::AddressSize);
        }
        Ok(Translation { address: Gpa::new(address), length: (1 << size.bits()) - address })
    }

    fn table(&self) -> Table {
        Table {
            base: self.registers.strtab_base,
            config: self.registers.strtab_base_cfg,
            stream_bits: self.features.stream_bits.value().into(),
        }
    }

    fn stream(&mut self, memory: &Physical<'_>, stream: u32) -> Result<Stream, Refusal> {
        if let Some(kept) = self.cache.stream(stream) {
            return Ok(kept);
        }
        let records_ids = self.registers.cr2.recinvsid();
        let found = self.table().stream(memory, stream).map_err(|reason| Refusal {
            reason,
            is_recorded: records_ids || reason != Reason::BadStreamId,
        })?;
        if self.features.cache {
            self.cache.keep_stream(stream, found);
        }
        Ok(found)
    }

    fn context(&mut self, memory: &Physical<'_>, stream: u32, at: u64) -> Result<Context, Reason> {
        if let Some(kept) = self.cache.context(stream) {
            return Ok(kept);
        }
        let found = Context::read(memory, at)?;
        if self.features.cache {
            self.cache.keep_context(stream, found);
        }
        Ok(found)
    }

    fn stage_1(
        &mut self,
        memory: &Physical<'_>,
        context: &Context,
        iova: Iova,
        operation: Operation,
    ) -> Result<Translation, Reason> {
        let (address, regime) = context.select(iova.get()).ok_or(Reason::Translation)?;
        let leaf = match self.cache.translation(context.asid, address) {
            Some(kept) => kept,
            None => {
                let found = regime.ok_or(Reason::Translation)?.walk(memory, address)?;
                if self.features.cache {
                    self.cache.keep_translation(context.asid, found);
                }
                found
            }
        };
        if !leaf.permissions.allow(operation) {
            return Err(Reason::Permission);
        }
        let offset = address - leaf.first;
        Ok(Translation { address: Gpa::new(leaf.output | offset), length: leaf.last - address + 1 })
    }
}

#[cfg(test)]
mod tests;
