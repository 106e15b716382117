//! SMMUs of a machine: shared by the guest, who programs them, and by the devices, whose accesses they translate.
//!
//! ```text
//!  ask      device ── DMA_READ, DMA_WRITE ──▶ Translated ──▶ memory          each access is translated
//!  mirror   guest ── invalidates ──▶ Unit ──▶ Mirror ── DMA_MAP, DMA_UNMAP ──▶ device ──▶ memory
//! ```
//!
//! The plan says which, by SMMU. What follows from a write of the guest's is carried out before the write is done,
//! first what was invalidated and then the interrupts. Until then nobody reads the SMMU's registers.
//!
//! There is no interrupt controller. A message into RAM is written there, which is how a guest can wait for a
//! `CMD_SYNC`. One to anywhere else, and an interrupt by wire, is counted and goes nowhere; see [`Tally`].

use std::sync::Arc;

use cxl_spec::access::Access;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;

use super::dma::Pieces;
use super::memory::HostMemory;
use super::mirror;
use super::mirror::Mirror;
use crate::backend::BackendError;
use crate::backend::DmaMemory;
use crate::smmu::Effect;
use crate::smmu::Effects;
use crate::smmu::Features;
use crate::smmu::Memory;
use crate::smmu::Operation;
use crate::smmu::Smmu;
use crate::smmu::effect::Interrupt;
use crate::smmu::register;
use crate::sync::Mutex;

/// An SMMU and the RAM that its tables are in. Nobody calls a device while he holds the SMMU itself.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The guest's way to the registers, one access at a time, and what follows from it. It is locked first.
    mirrors: Mutex<Vec<Mirror>>,
    smmu: Mutex<Smmu>,
    ram: Arc<Pieces>,
    tally: Mutex<Tally>,
}

/// What an SMMU has said to nobody, and what of its mirrors could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Interrupts by wire for the event queue.
    pub event_queue: u64,
    /// Interrupts by wire for global errors.
    pub global_error: u64,
    /// Interrupts by wire for a `CMD_SYNC`.
    pub command_sync: u64,
    /// Messages to where no RAM is.
    pub messages: u64,
    /// How often tables were too large for a mirror.
    pub cut: u64,
    /// Mappings that a device refused, or did not give back.
    pub refused: u64,
}

impl Unit {
    /// An SMMU after reset, in a machine with this RAM.
    pub(crate) fn new(ram: Arc<Pieces>) -> Self {
        let smmu = Mutex::new(Smmu::new(Features::default()));
        Self { mirrors: Mutex::default(), smmu, ram, tally: Mutex::default() }
    }

    /// What nobody heard, and what could not be.
    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    /// A device is given what it reaches from now on, as long as what comes back is held.
    ///
    /// # Errors
    /// If it does not take it.
    pub(crate) fn mirror(self: &Arc<Self>, mirror: Mirror) -> Result<Mirrored, BackendError> {
        let mirrored = Mirrored { unit: self.clone(), stream: mirror.stream };
        let mut mirrors = self.mirrors.lock();
        mirrors.push(mirror);
        let followed = self.follow(&mut mirrors);
        drop(mirrors);
        followed.map(|()| mirrored)
    }

    /// Everything is as after reset, and so is what mirrors show.
    pub(crate) fn reset(&self) {
        let Self { mirrors, smmu, ram: _, tally } = self;
        let mut mirrors = mirrors.lock();
        *smmu.lock() = Smmu::new(Features::default());
        *tally.lock() = Tally::default();
        // What a device refuses is counted.
        let _ = self.follow(&mut mirrors);
    }

    /// The guest reads registers.
    pub(crate) fn read(&self, access: Access) -> u64 {
        let _settled = self.mirrors.lock();
        self.smmu.lock().read(access)
    }

    /// The guest writes registers.
    pub(crate) fn write(&self, access: Access, value: u64) {
        let mut mirrors = self.mirrors.lock();
        let has_commands = access.offset() == register::CMDQ_PROD;
        let mut effects = self.smmu.lock().write(&*self.ram, access, value);
        loop {
            let is_one = |effect: &Effect| matches!(effect, Effect::Invalidated(_));
            if has_commands || effects.as_slice().iter().any(is_one) {
                // What a device refuses is counted, and the guest goes on.
                let _ = self.follow(&mut mirrors);
            }
            self.signal(&effects);
            if !effects.is_full() {
                return;
            }
            effects = self.smmu.lock().go_on(&*self.ram);
        }
    }

    /// Memory came or went, or the tables may have changed: every mirror is made anew.
    fn follow(&self, mirrors: &mut [Mirror]) -> Result<(), BackendError> {
        let mut error = None;
        for mirror in mirrors {
            let leaves = self.smmu.lock().leaves(&*self.ram, mirror.stream, mirror::MOST);
            let followed = mirror.follow(&leaves);
            let mut tally = self.tally.lock();
            tally.cut += u64::from(followed.is_cut);
            tally.refused += followed.refused;
            error = error.or(followed.error);
        }
        error.map_or(Ok(()), Err)
    }

    /// Sends interrupts.
    fn signal(&self, effects: &Effects) {
        for effect in effects.as_slice() {
            match effect {
                Effect::Invalidated(_) => {}
                Effect::Message(message) => {
                    let written = self.ram.write(message.address, &message.data.to_le_bytes());
                    self.tally.lock().messages += u64::from(written.is_err());
                }
                Effect::Interrupt(interrupt) => {
                    let mut tally = self.tally.lock();
                    *match interrupt {
                        Interrupt::EventQueue => &mut tally.event_queue,
                        Interrupt::GlobalError => &mut tally.global_error,
                        Interrupt::CommandSync => &mut tally.command_sync,
                    } += 1;
                }
            }
        }
    }
}

/// A mirror that is kept. Dropping it takes everything back from the device, and forgets the device.
#[derive(Debug)]
pub(crate) struct Mirrored {
    unit: Arc<Unit>,
    stream: u32,
}

impl Drop for Mirrored {
    fn drop(&mut self) {
        self.unit.mirrors.lock().retain(|mirror| mirror.stream != self.stream);
    }
}

/// The memory that a device reaches through an SMMU, by the addresses that the SMMU gives out.
#[derive(Debug)]
pub(crate) struct Behind {
    unit: Arc<Unit>,
    reach: Arc<Pieces>,
}

impl Behind {
    /// There is none yet.
    pub(crate) fn new(unit: Arc<Unit>, reach: Arc<Pieces>) -> Self {
        Self { unit, reach }
    }

    /// There is memory at `span`.
    ///
    /// # Errors
    /// If the device is to be given it now and does not take it. It counts as there all the same.
    pub(crate) fn add(&self, span: Span<Gpa>, memory: HostMemory) -> Result<(), BackendError> {
        self.reach.add(span, memory);
        self.unit.follow(&mut self.unit.mirrors.lock())
    }

    /// The memory at `span` is gone.
    pub(crate) fn remove(&self, span: Span<Gpa>) {
        self.reach.remove(span);
        // A device that is gone reaches nothing any more.
        let _ = self.unit.follow(&mut self.unit.mirrors.lock());
    }
}

/// What one device reaches through an SMMU, access by access.
#[derive(Debug)]
pub(crate) struct Translated {
    unit: Arc<Unit>,
    /// The device's requester ID.
    stream: u32,
    /// What is behind the SMMU's output addresses for this device.
    reach: Arc<Pieces>,
}

impl Translated {
    /// The device with this requester ID reaches so much through the SMMU.
    pub(crate) fn new(unit: Arc<Unit>, stream: u32, reach: Arc<Pieces>) -> Self {
        Self { unit, stream, reach }
    }

    /// Calls `done` with each run of bytes that is translated alike: its guest address, and which bytes. The guest
    /// cannot invalidate a translation while it is used.
    fn each(
        &self,
        at: Iova,
        length: usize,
        operation: Operation,
        mut done: impl FnMut(Gpa, std::ops::Range<usize>) -> Option<()>,
    ) -> Result<(), Errno> {
        let mut smmu = self.unit.smmu.lock();
        let mut from = 0;
        while from < length {
            let iova = at.checked_add(from as u64).ok_or(Errno::EFAULT)?;
            let translated = smmu.translate(&*self.unit.ram, self.stream, iova, operation);
            let translated = translated.map_err(|fault| {
                self.unit.signal(&fault.effects);
                Errno::EFAULT
            })?;
            let left = length.saturating_sub(from);
            let count = usize::try_from(translated.length).map_or(left, |alike| alike.min(left)).max(1);
            done(translated.address, from..from.saturating_add(count)).ok_or(Errno::EFAULT)?;
            from = from.saturating_add(count);
        }
        Ok(())
    }
}

impl DmaMemory for Translated {
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        let length = buffer.len();
        self.each(at, length, Operation::Read, |from, bytes| {
            self.reach.read(from, buffer.get_mut(bytes)?).ok()
        })
    }

    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        self.each(at, data.len(), Operation::Write, |to, bytes| self.reach.write(to, data.get(bytes)?).ok())
    }
}

#[cfg(test)]
mod tests;
