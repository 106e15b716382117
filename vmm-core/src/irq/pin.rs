//! The interrupt pin of one device: an input of the machine's interrupt controller, or told to the machine.
//!
//! ```text
//!  device ── asserted ──▶ line rises ──▶ I/O APIC ──▶ guest ── ends the interrupt ──▶ line falls
//!    ▲                                                                                    │
//!    └── unmasked: still asserted? then all of it again ◀──────── event, or a message ────┘
//! ```
//!
//! A device masks its pin when it tells of it (VFIO), so nothing more comes until it is unmasked. Where it takes an
//! event for that, whoever lowers the line unmasks without us. VFIO has the pin or MSI-X, never both: what the guest
//! turns on takes the place of the other.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sync::Mutex;
use vfio_abi::info::irq;

use super::Connection;
use super::IrqError;
use super::Receiver;
use crate::backend::BackendError;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::backend::event::Event;
use crate::backend::irqs::IrqChange;
use crate::plan::Pin as Planned;

/// The pin. Dropping it takes everything back.
#[derive(Debug)]
pub struct Pin {
    backend: Shared,
    receiver: Arc<dyn Receiver>,
    /// The input that it is wired to; nothing if it is told to the machine.
    input: Option<u8>,
    given: Mutex<Option<Given>>,
    /// How often it was told to the machine.
    told: AtomicU64,
}

/// What the device has of ours while its pin is on.
#[derive(Debug)]
struct Given {
    asserted: Arc<Event>,
    /// The guest has ended the interrupt.
    ended: Arc<Event>,
    /// The device hears of that itself.
    by_event: bool,
    line: Option<Box<dyn Connection>>,
}

impl Pin {
    /// The pin of a device whose MSI-X is off. Nothing if the device does not let us have it.
    ///
    /// # Errors
    /// If the device does not answer, or the hypervisor does not do its part.
    pub fn attach(
        backend: Shared,
        receiver: Arc<dyn Receiver>,
        planned: &Planned,
    ) -> Result<Option<Self>, IrqError> {
        let (given, told) = (Mutex::default(), AtomicU64::new(0));
        let pin = Self { backend, receiver, input: planned.input, given, told };
        match pin.give() {
            Ok(()) => Ok(Some(pin)),
            Err(IrqError::Backend(BackendError { failure: Failure::Refused(_), .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The device tells of it from now on.
    ///
    /// # Errors
    /// If the device or the hypervisor does not do its part.
    pub fn give(&self) -> Result<(), IrqError> {
        let mut given = self.given.lock();
        if given.is_some() {
            return Ok(());
        }
        let (asserted, ended) = (Arc::new(Event::new()?), Arc::new(Event::new()?));
        let wire = |input| self.receiver.wire(input, &asserted, &ended);
        let line = self.input.map(wire).transpose()?;
        let by_event = self.attach_events(&asserted, &ended)?;
        *given = Some(Given { asserted, ended, by_event, line });
        Ok(())
    }

    /// Another connection has taken the place of the device's: it is told of the events again.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub fn give_again(&self) -> Result<(), IrqError> {
        if let Some(Given { asserted, ended, by_event, .. }) = self.given.lock().as_mut() {
            *by_event = self.attach_events(asserted, ended)?;
        }
        Ok(())
    }

    /// Gives the device its events, and whether it unmasks by the second.
    fn attach_events(&self, asserted: &Event, ended: &Event) -> Result<bool, BackendError> {
        let mut backend = self.backend.lock();
        backend.set_irqs(&IrqChange::attach(irq::INTX, 0, &[Some(asserted.as_fd())]))?;
        if self.input.is_none() {
            return Ok(false);
        }
        match backend.set_irqs(&IrqChange::unmask_by(irq::INTX, 0, &[Some(ended.as_fd())])) {
            Ok(()) => Ok(true),
            Err(BackendError { failure: Failure::Refused(_), .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The device tells of it no more, and its line is not asserted.
    ///
    /// # Errors
    /// If the device does not do its part. Nothing goes to the guest all the same.
    pub fn take_back(&self) -> Result<(), IrqError> {
        if self.given.lock().take().is_none() {
            return Ok(());
        }
        Ok(self.backend.lock().set_irqs(&IrqChange::take_back(irq::INTX))?)
    }

    /// Counts what was told to the machine, and unmasks what the guest has ended where nobody else does.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub fn attend(&self) -> Result<(), BackendError> {
        let ended = match self.given.lock().as_ref() {
            Some(Given { asserted, line: None, .. }) => {
                self.told.fetch_add(asserted.take(), Ordering::Relaxed);
                false
            }
            Some(Given { ended, by_event: false, .. }) => ended.take() > 0,
            _ => false,
        };
        if ended { self.unmask() } else { Ok(()) }
    }

    /// What the device has told until now is with the guest's interrupt controllers.
    pub fn settle(&self) {
        self.given.lock().iter().filter_map(|given| given.line.as_ref()).for_each(|line| line.settle());
    }

    /// How often it was told to the machine.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Lets the pin tell again.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    pub fn unmask(&self) -> Result<(), BackendError> {
        self.backend.lock().set_irqs(&IrqChange::unmask(irq::INTX, 0))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // A device that is gone has nothing of ours any more.
        let _ = self.take_back();
    }
}

#[cfg(test)]
mod tests;
