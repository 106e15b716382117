//! Devices that come and go while the guest runs.
//!
//! ```text
//!  plug     plan what fits ─▶ map ─▶ machine-done ─▶ interrupts ─▶ configuration space answers ─▶ the slot tells
//!  unplug   configuration space reads ones ─▶ the slot tells ─▶ memory out ─▶ all else out ─▶ device closed
//! ```
//!
//! A device that goes does not ask: whatever the guest reads of it from then on is ones, and what it writes is dropped.
//! A device that comes and cannot be attached leaves the machine as it was.

use super::Running;
use super::guest::Stopped;
use crate::irq::IrqError;
use crate::map::Attached;
use crate::plan::PlanError;
use crate::plan::defect::Defect;
use crate::program::ProgramError;

/// Why a device did not come, or go.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// There is a device below the bridge.
    #[error("{bridge}: {device} is in the slot of its port")]
    Occupied {
        /// The bridge.
        bridge: String,
        /// The machine's name of the device that is there.
        device: String,
    },
    /// The device that shall go is not there.
    #[error("device {0}: it is not in the machine")]
    Absent(usize),
    /// It does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It could not be put in place.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Its interrupts could not be attached.
    #[error(transparent)]
    Interrupts(#[from] IrqError),
}

impl Running {
    /// A device comes into the slot below a bridge. Gives its number in the plan from now on.
    ///
    /// # Errors
    /// If something is in the slot, the device does not fit, or anything on the way fails. The machine is as before.
    pub fn plug(&mut self, bridge: &str, name: &str, device: Attached) -> Result<usize, PlugError> {
        let outcome = self.put_in(bridge, name, device);
        if outcome.is_err() && self.plan().machine.has(Defect::EndsOverARefusedDevice) {
            self.guest = Box::new(Stopped);
        }
        outcome
    }

    fn put_in(&mut self, bridge: &str, name: &str, device: Attached) -> Result<usize, PlugError> {
        let (plan, number) = self.plan().with_device(bridge, name, &device.inventory)?;
        if self.is_present(number) {
            let taken = self.plan().devices.get(number).map(|device| device.name.clone());
            return Err(PlugError::Occupied { bridge: bridge.to_owned(), device: taken.unwrap_or_default() });
        }
        let before = self.plan().clone();
        self.programmed.plug(plan, number, device)?;
        if let Err(error) = self.bus.plug(&self.programmed, number) {
            self.programmed.unplug(number);
            self.programmed.mappings.replan(before);
            return Err(error.into());
        }
        Ok(number)
    }

    /// A device goes, and is closed. It need not be alive.
    ///
    /// # Errors
    /// If it is not there.
    pub fn unplug(&mut self, device: usize) -> Result<(), PlugError> {
        if !self.bus.unplug(device) {
            return Err(PlugError::Absent(device));
        }
        self.programmed.unplug(device);
        self.ways.remove(&device);
        Ok(())
    }

    /// Whether the device with this number in the plan is in the machine.
    pub fn is_present(&self, device: usize) -> bool {
        self.programmed.mappings.device(device).is_some()
    }
}
