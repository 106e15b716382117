//! A device that was lost is sought anew: between two orders of the guest, a bounded number of times, and for no longer
//! than the time-out.
//!
//! ```text
//!  connect ─▶ discover ─▶ the same device? ─▶ what it was let reach ─▶ command register ─▶ BARs show what it has
//!          ─▶ decoder read, programmed if lost ─▶ memory at its window ─▶ interrupts, the guest's command, BARs where
//!             it put them
//! ```
//!
//! Whatever goes wrong on the way, the device is out then as if nobody had sought it. What the guest has written to
//! configuration space besides its BARs and the command register is the device's to keep or lose.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use super::Running;
use super::bus::NotBack;
use crate::backend::Backend;
use crate::discover::DiscoverError;
use crate::discover::Inventory;
use crate::program::Kept;

/// How often a device is sought at most.
pub const ATTEMPTS: u32 = 20;

/// How long to wait between two attempts.
pub const PAUSE: Duration = Duration::from_millis(50);

/// A way to connect to a device anew.
pub trait Connect: Send {
    /// Connects to it and finds out what it is. No wait takes longer than `timeout`.
    ///
    /// # Errors
    /// If nobody answers, or what answers cannot be understood.
    fn connect(&self, timeout: Duration) -> Result<Reached, DiscoverError>;
}

/// A connection to a device.
pub struct Reached {
    /// How to reach it.
    pub backend: Box<dyn Backend>,
    /// What it is.
    pub inventory: Inventory,
}

impl fmt::Debug for Reached {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reached").field("inventory", &self.inventory).finish_non_exhaustive()
    }
}

/// How a device is sought.
pub(super) struct Way {
    connect: Box<dyn Connect>,
    timeout: Duration,
}

impl Way {
    /// Tries until somebody answers, a number of times.
    fn go(&self) -> Result<Reached, NotBack> {
        let begun = Instant::now();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let left = self.timeout.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let error = match self.connect.connect(left) {
                Ok(reached) => return Ok(reached),
                Err(error) => error,
            };
            let lost = matches!(&error, DiscoverError::Backend(error) if error.is_lost());
            if !lost {
                return Err(NotBack::NotUnderstood(error));
            }
            if attempts == ATTEMPTS || begun.elapsed().saturating_add(PAUSE) >= self.timeout {
                return Err(NotBack::NotReached { attempts, error });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Running {
    /// A device that is lost is sought so, within `timeout`, if that was chosen for it.
    pub fn reconnect_with(&mut self, device: usize, timeout: Duration, connect: impl Connect + 'static) {
        self.ways.insert(device, Way { connect: Box::new(connect), timeout });
    }

    /// Seeks what was lost.
    pub(super) fn seek(&mut self) {
        for index in self.bus.sought() {
            let outcome = self.bring_back(index);
            self.bus.found(index, outcome);
        }
        // What was lost again over it is out again, and is sought the next time.
        self.bus.notice();
    }

    fn bring_back(&mut self, index: usize) -> Result<Kept, NotBack> {
        let reached = self.ways.get(&index).ok_or(NotBack::NoWay)?.go()?;
        let device = &self.programmed.mappings.device(index).ok_or(NotBack::NoWay)?.attached;
        device.inventory.same_device(&reached.inventory)?;
        let backend = device.backend.clone();
        let not_restored = |error: &dyn fmt::Display| NotBack::NotRestored(error.to_string());
        let lost = backend.replace(reached.backend).map_err(|error| not_restored(&error))?;
        let restored = self.programmed.renew(index, reached.inventory).map_err(|error| not_restored(&error));
        let restored = restored.and_then(|kept| {
            self.bus.put_in(index).map_err(|error| not_restored(&error))?;
            Ok(kept)
        });
        if restored.is_err() {
            self.bus.take_out(index);
            *backend.lock() = lost;
        }
        restored
    }
}
