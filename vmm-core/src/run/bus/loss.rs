//! Devices that are lost while the guest runs: noticed, told of, and taken out.
//!
//! ```text
//!  a call that fails ─┐                            ┌─ fail ───────▶ Failed: what is mapped stays
//!                     ├─▶ end of the access ─▶ Loss ├─ detach ─────▶ Detached: out
//!  attend ────────────┘   nothing is locked        └─ reconnect ──▶ Sought: out ─┬─▶ Back, with its memory or new
//!                                                                                └─▶ NotBack: stays out
//! ```
//!
//! What is out reads ones and takes nothing: BARs with what covers them, the memory, configuration space. Other
//! devices reach it no more, and the slot of its port is empty. What it was let reach of the machine went with its
//! connection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::pci::header;
use vfio_abi::info::region;

use super::Bus;
use super::Device;
use crate::backend::BackendError;
use crate::discover::Difference;
use crate::discover::DiscoverError;
use crate::irq::IrqError;
use crate::plan::life::OnLoss;
use crate::program::Kept;
use crate::run::config::ConfigView;

/// How often a device is sought while the machine runs. One that goes again and again keeps nobody busy for ever.
pub const MOST_LOSSES: u32 = 16;

/// A device that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its number in the plan.
    pub device: usize,
    /// The call that was not answered, and why not.
    pub error: BackendError,
    /// What followed.
    pub then: Then,
}

/// What followed a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Whoever runs the machine is told that it has failed.
    Failed,
    /// The device is out.
    Detached,
    /// The device is out, and is sought between two orders of the guest.
    Sought,
    /// It was found, and is in its place again.
    Back(Kept),
    /// It is out, and is sought no more.
    NotBack(NotBack),
}

/// Why a device was not brought back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBack {
    /// Nobody has said how to connect to it.
    #[error("nobody said how to connect to it")]
    NoWay,
    /// It was brought back so often already.
    #[error("lost {MOST_LOSSES} times before")]
    TooOften,
    /// There is no server, or it does not answer.
    #[error("not reached in {attempts} attempts: {error}")]
    NotReached {
        /// How often it was tried.
        attempts: u32,
        /// Why the last attempt failed.
        error: DiscoverError,
    },
    /// What answers is no device that could be attached.
    #[error(transparent)]
    NotUnderstood(DiscoverError),
    /// What answers is another device.
    #[error("replaced by another device: {0}")]
    Replaced(#[from] Difference),
    /// It is the same device, and does not do its part.
    #[error("not restored: {0}")]
    NotRestored(String),
}

impl fmt::Display for Then {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => out.write_str("failed"),
            Self::Detached => out.write_str("detached"),
            Self::Sought => out.write_str("sought"),
            Self::Back(kept) => write!(out, "reconnected, {kept}"),
            Self::NotBack(why) => write!(out, "detached, {why}"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.error, self.then)
    }
}

impl Device {
    /// The loss, to the first who asks. Under the connection's lock, so that nobody takes the loss of one connection
    /// for that of the next.
    fn newly_lost(&self) -> Option<BackendError> {
        if self.lost.load(Ordering::Acquire) {
            return None;
        }
        let backend = self.backend.lock();
        backend.lost().filter(|_| !self.lost.swap(true, Ordering::AcqRel))
    }

    /// Whether it was lost, or has gone, and is out.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::Acquire)
    }
}

impl Bus {
    /// The first device whose loss is a failure.
    pub fn lost(&self) -> Option<BackendError> {
        let losses = self.losses.lock();
        losses.iter().find(|loss| loss.then == Then::Failed).map(|loss| loss.error.clone())
    }

    /// All losses that nobody has taken, in the order in which they were noticed.
    pub(crate) fn losses(&self) -> Vec<Loss> {
        self.losses.lock().clone()
    }

    /// Takes the first loss of a device.
    pub(crate) fn take_loss(&self, device: usize) -> Option<Loss> {
        let mut losses = self.losses.lock();
        let at = losses.iter().position(|loss| loss.device == device)?;
        Some(losses.remove(at))
    }

    /// This bus takes the place of another: what was lost there is lost here.
    pub(crate) fn after(self, before: &Self) -> Self {
        for (number, device) in self.devices.read().iter() {
            let Some(known) = before.device(*number) else { continue };
            device.lost.store(known.lost.load(Ordering::Acquire), Ordering::Release);
            device.losses.store(known.losses.load(Ordering::Acquire), Ordering::Release);
            if known.is_out() {
                device.out.store(true, Ordering::Release);
                self.stand_for_writes(device, false);
                self.tell_slot(device, false);
            }
        }
        *self.losses.lock() = before.losses();
        self
    }

    /// A call has failed because a device is lost.
    pub(super) fn suspect(&self) {
        self.suspects.store(true, Ordering::Release);
    }

    /// At the end of an access: acts on what was lost over it. Nothing may be locked.
    pub(super) fn act_on_losses(&self) {
        if self.suspects.load(Ordering::Acquire) && self.suspects.swap(false, Ordering::AcqRel) {
            self.notice();
        }
    }

    /// Looks for devices that were lost. Nothing may be locked.
    pub(crate) fn notice(&self) {
        for (index, device) in self.all() {
            let Some(error) = device.newly_lost() else { continue };
            let then = match device.on_loss {
                OnLoss::Fail => Then::Failed,
                OnLoss::Detach => Then::Detached,
                OnLoss::Reconnect if device.losses.fetch_add(1, Ordering::AcqRel) >= MOST_LOSSES => {
                    Then::NotBack(NotBack::TooOften)
                }
                OnLoss::Reconnect => Then::Sought,
            };
            if device.on_loss != OnLoss::Fail {
                self.take_out_this(index, &device);
            }
            let mut losses = self.losses.lock();
            // Of one that has gone meanwhile nobody wants to hear.
            if self.is_here(index, &device) {
                losses.push(Loss { device: index, error, then });
            }
        }
    }

    /// Takes all of a device out of the machine.
    pub(crate) fn take_out(&self, index: usize) {
        if let Some(device) = self.device(index) {
            self.take_out_this(index, &device);
        }
    }

    /// The same, if this is still the device with this number.
    fn take_out_this(&self, index: usize, device: &Arc<Device>) {
        let config = device.config.lock();
        if self.is_here(index, device) {
            self.put_out(device, &config);
        }
    }

    /// Whether this is the device with this number.
    fn is_here(&self, index: usize, device: &Arc<Device>) -> bool {
        self.device(index).is_some_and(|here| Arc::ptr_eq(&here, device))
    }

    /// Nothing of a device is seen from now on, and whoever has waited for its configuration finds it so.
    pub(super) fn put_out(&self, device: &Device, config: &ConfigView) {
        device.out.store(true, Ordering::Release);
        device.memory.take_out();
        self.space.place(&config.nowhere());
        self.stand_for_writes(device, false);
        // Taking back cannot be refused.
        let _ = device.bar_reach.decode(false);
        self.tell_slot(device, false);
    }

    /// The slot of the port above a device says whether it is there.
    pub(super) fn tell_slot(&self, device: &Device, is_present: bool) {
        self.bridges.get(device.bridge).into_iter().for_each(|bridge| bridge.set_present(is_present));
    }

    /// The devices that are sought.
    pub(crate) fn sought(&self) -> Vec<usize> {
        let losses = self.losses.lock();
        losses.iter().filter(|loss| loss.then == Then::Sought).map(|loss| loss.device).collect()
    }

    /// A device that was sought was found, or was not.
    pub(crate) fn found(&self, index: usize, outcome: Result<Kept, NotBack>) {
        if let (Ok(_), Some(device)) = (&outcome, self.device(index)) {
            device.lost.store(false, Ordering::Release);
        }
        let mut losses = self.losses.lock();
        let sought = losses.iter_mut().find(|loss| loss.device == index && loss.then == Then::Sought);
        if let Some(loss) = sought {
            loss.then = outcome.map_or_else(Then::NotBack, Then::Back);
        }
    }

    /// A device answers again and has its memory: who hears its interrupts is attached anew, its command register is as
    /// the guest has written it, and its BARs are where the guest has put them.
    ///
    /// # Errors
    /// If it does not do its part.
    pub(crate) fn put_in(&self, index: usize) -> Result<(), IrqError> {
        let Some(device) = self.device(index) else { return Ok(()) };
        device.interrupts.renew(&device.backend)?;
        let config = device.config.lock();
        if let Some(access) = Access::new(header::COMMAND, Width::Word) {
            let fresh = super::read(&device.backend, region::CONFIG, access)? as u16;
            let command = config.command_over(fresh);
            super::write(&device.backend, region::CONFIG, access, command.into())?;
        }
        self.space.place(&config.places());
        self.stand_for_writes(&device, config.is_as_planned());
        device.bar_reach.decode(config.is_as_planned())?;
        device.out.store(false, Ordering::Release);
        self.tell_slot(&device, true);
        Ok(())
    }
}
