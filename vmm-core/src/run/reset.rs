//! Resets that the machine does: of itself, and of one device.
//!
//! ```text
//!  machine   memory out ─▶ BARs out ─▶ VFIO reset of each device ─▶ BARs as planned ─▶ machine-done ─▶ guest starts
//!  device    memory out ─▶ BARs out ─▶ VFIO reset ─▶ BARs in ─▶ decoder read, programmed if lost ─▶ memory in
//! ```
//!
//! After a reset of the machine the guest starts at its beginning. RAM is kept, as a warm start keeps it. SMMUs, root
//! ports and host bridges are new; configuration space is as planned. A device that the guest resets itself, by its
//! function or by CXL, goes the second way, and [`bus`](super::bus) notices it.

use std::sync::Arc;

use super::Running;
use super::bus::Bus;
use super::bus::Loss;
use super::bus::Then;
use super::guest::GuestError;
use super::guest::Stopped;
use crate::backend::BackendError;
use crate::program::ProgramError;

/// Why a machine did not come back from a reset.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// A device did not.
    #[error("reset: {0}")]
    Device(#[from] ProgramError),
    /// The guest did not.
    #[error("reset: {0}")]
    Guest(#[from] GuestError),
}

impl Running {
    /// Resets the machine. A device that is lost over it is out of the new one, or was brought back, if that was chosen
    /// for it.
    ///
    /// # Errors
    /// If a device or the guest does not come back. The guest obeys no more then. If it is busy, nothing is reset.
    pub fn reset(&mut self) -> Result<(), ResetError> {
        if self.guest.is_busy() {
            return Err(GuestError::Busy.into());
        }
        let mut outcome = self.begin_again();
        for _ in 0..self.plan().devices.len() {
            let is_survived = |loss: &&Loss| loss.then != Then::Failed;
            let known = self.losses().iter().filter(is_survived).count();
            self.attend();
            if outcome.is_ok() || self.losses().iter().filter(is_survived).count() == known {
                break;
            }
            outcome = self.begin_again();
        }
        if outcome.is_err() {
            self.guest = Box::new(Stopped);
        }
        outcome
    }

    fn begin_again(&mut self) -> Result<(), ResetError> {
        let Self { guest, bus, programmed, ways: _ } = self;
        programmed.reset()?;
        // Whatever the bus has gathered is forgotten with it, but for what was lost.
        *bus = Arc::new(Bus::again(programmed, bus).after(bus));
        Ok(guest.start_again(bus.clone())?)
    }

    /// Resets one device through VFIO while the guest runs on.
    ///
    /// # Errors
    /// If the device does not answer, or refuses. What cannot be brought back afterwards is no error:
    /// [`unplaced`](Self::unplaced) tells.
    pub fn reset_device(&mut self, device: usize) -> Result<(), BackendError> {
        self.bus.reset_device(device)
    }

    /// Why a device's memory is not where it should be, if it is not: a reset has taken its decoder, or the guest has
    /// committed it where it cannot be.
    pub fn unplaced(&self, device: usize) -> Option<String> {
        self.bus.unplaced(device)
    }
}
