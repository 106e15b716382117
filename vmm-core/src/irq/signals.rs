//! What a device tells the machine itself, and not the guest by a message.
//!
//! | signal    | index | what it means                                                             |
//! |-----------|-------|---------------------------------------------------------------------------|
//! | `pin`     | INTx  | the [pin](super::pin) was asserted, where it is wired to nothing          |
//! | `error`   | ERR   | an uncorrectable error was reported                                       |
//! | `request` | REQ   | the host wants the device back                                            |

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use vfio_abi::info::irq;

use super::IrqError;
use crate::backend::BackendError;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::backend::event::Event;
use crate::backend::irqs::IrqChange;
use crate::discover::Irq;

/// A kind of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The interrupt pin was asserted.
    Pin,
    /// An uncorrectable error was reported.
    Error,
    /// The host wants the device back.
    Request,
}

impl Signal {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Pin, Self::Error, Self::Request];

    /// The name in scenarios and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Error => "error",
            Self::Request => "request",
        }
    }

    /// Whose events these are here: all but the pin's.
    const OWN: [(Self, u32); 2] = [(Self::Error, irq::ERR), (Self::Request, irq::REQ)];
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signalled {
    /// The device, by its number in the plan.
    pub device: usize,
    /// What it told.
    pub signal: Signal,
    /// How often, since the machine began to run.
    pub times: u64,
}

/// The signals of one device. Dropping it takes the events back.
#[derive(Debug)]
pub struct Signals {
    backend: Shared,
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    signal: Signal,
    index: u32,
    event: Arc<Event>,
    times: AtomicU64,
}

impl Signals {
    /// Asks a device for the signals that it says it has. One that it refuses does not come.
    ///
    /// # Errors
    /// If the device does not answer, or the system has no more files.
    pub fn attach(backend: Shared, irqs: &[Irq]) -> Result<Self, IrqError> {
        let mut signals = Self { backend, given: Vec::new() };
        for (signal, index) in Signal::OWN {
            if !irqs.iter().any(|irq| irq.index == index) {
                continue;
            }
            let event = Arc::new(Event::new()?);
            let events = [Some(event.as_fd())];
            let attached = signals.backend.lock().set_irqs(&IrqChange::attach(index, 0, &events));
            match attached {
                Ok(()) => {
                    signals.given.push(Given {
                        signal,
                        index,
                        event: event.clone(),
                        times: AtomicU64::new(0),
                    });
                }
                Err(BackendError { failure: Failure::Refused(_), .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(signals)
    }

    /// Another connection has taken the place of the device's: it is told of the events again.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    pub fn give_again(&self) -> Result<(), BackendError> {
        for given in &self.given {
            let events = [Some(given.event.as_fd())];
            let change = IrqChange::attach(given.index, 0, &events);
            self.backend.lock().set_irqs(&change)?;
        }
        Ok(())
    }

    /// Counts what came.
    pub fn attend(&self) {
        for given in &self.given {
            given.times.fetch_add(given.event.take(), Ordering::Relaxed);
        }
    }

    /// The signals that came, and how often.
    pub fn seen(&self) -> impl Iterator<Item = (Signal, u64)> + '_ {
        let all = self.given.iter().map(|given| (given.signal, given.times.load(Ordering::Relaxed)));
        all.filter(|(_, times)| *times > 0)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for given in &self.given {
            // A device that is gone has nothing of ours any more.
            let _ = self.backend.lock().set_irqs(&IrqChange::take_back(given.index));
        }
    }
}
