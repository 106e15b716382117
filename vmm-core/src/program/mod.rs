//! Fourth stage: machine-done. Decoder 0 of each device is programmed, then its memory is put at its window, and
//! given to the devices that may reach it.
//!
//! ```text
//!  read control ─▶ clear LOCK if set ─▶ base low ─▶ base high ─▶ control | COMMIT | LOCK ─▶ committed? ─▶ map
//! ```
//!
//! A step that fails ends the stage with an error that names the register, and what was written is put back:
//! neither a half-programmed decoder nor memory without a decoder is left.
//!
//! What is done for one device is one value, `DeviceMemory`: dropping it undoes it, whether the machine ends or
//! another device has failed. A reset goes over it, too: the memory is out of the guest while the device is in reset,
//! and its decoder is read and programmed again before it comes back. Of a decoder that the guest commits itself,
//! `commit` says what becomes.

mod commit;
mod decoder;
mod memory;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cxl_spec::component::hdm::Control;
use cxl_spec::register::describe_value;
pub(crate) use memory::DeviceMemory;
pub use memory::Kept;
pub(crate) use memory::Reset;

use crate::backend::BackendError;
use crate::discover::Inventory;
use crate::map::Attached;
use crate::map::MapError;
use crate::map::Mappings;
use crate::plan;
use crate::plan::programme::Register;

/// A machine whose devices' memory is in place. Dropping it undoes everything, in reverse order.
#[derive(Debug)]
pub struct Programmed {
    // Fields are dropped in this order: no memory without a decoder, no decoder without a machine.
    /// The memory of the devices that are there, by their numbers in the plan.
    pub(crate) memories: BTreeMap<usize, Arc<DeviceMemory>>,
    /// The machine.
    pub(crate) mappings: Mappings,
}

/// Why a device could not be programmed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// A register could not be reached.
    #[error("{device}: {verb} {register}: {error}")]
    Register {
        /// The machine's name of the device.
        device: String,
        /// What was done to it.
        verb: &'static str,
        /// Which register.
        register: Register,
        /// What went wrong.
        error: BackendError,
    },
    /// A register was written and reads something else.
    #[error("{device}: {register} reads {seen} where {expected} was expected")]
    Unexpected {
        /// The machine's name of the device.
        device: String,
        /// Which register.
        register: Register,
        /// What it reads.
        seen: Shown,
        /// What it should read.
        expected: Shown,
    },
    /// The memory could not be put in place.
    #[error(transparent)]
    Map(#[from] MapError),
}

/// A register's value, and for the control register its fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    register: Register,
    value: u32,
}

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.register {
            Register::Control => describe_value(out, self.value.into(), Control::FIELDS),
            _ => write!(out, "{:#x}", self.value),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl Mappings {
    /// Programs every device and puts its memory in place.
    ///
    /// # Errors
    /// If a register cannot be reached or does not take its value, or the memory cannot be put in place. Nothing
    /// is left of the machine.
    pub fn machine_done(self) -> Result<Programmed, ProgramError> {
        let mut programmed = Programmed { memories: BTreeMap::new(), mappings: self };
        for index in 0..programmed.plan().devices.len() {
            programmed.program(index)?;
        }
        Ok(programmed)
    }
}

impl Programmed {
    /// What was planned.
    pub fn plan(&self) -> &plan::Plan {
        self.mappings.plan()
    }

    /// Programs one device and puts its memory in place.
    fn program(&mut self, number: usize) -> Result<(), ProgramError> {
        let Some(memory) = DeviceMemory::new(&self.mappings, number)? else { return Ok(()) };
        memory.machine_done()?;
        self.memories.insert(number, Arc::new(memory));
        Ok(())
    }

    /// The device with this number in `plan` comes into the machine, and machine-done is done for it.
    ///
    /// # Errors
    /// If the system, the hypervisor or the device does not do its part. The machine is as before then.
    pub(crate) fn plug(
        &mut self,
        plan: plan::Plan,
        number: usize,
        device: Attached,
    ) -> Result<(), ProgramError> {
        let before = self.mappings.replan(plan);
        let plugged = self.mappings.plug(number, device).map_err(ProgramError::from);
        let outcome = plugged.and_then(|()| self.program(number));
        if outcome.is_err() {
            self.unplug(number);
            self.mappings.replan(before);
        }
        outcome
    }

    /// A device goes: its memory first, then everything else.
    pub(crate) fn unplug(&mut self, number: usize) {
        if let Some(memory) = self.memories.remove(&number) {
            memory.leave();
        }
        self.mappings.unplug(number);
    }

    /// The memory of a device that is there.
    pub(crate) fn memory(&self, number: usize) -> Option<&Arc<DeviceMemory>> {
        self.memories.get(&number)
    }

    /// The machine is reset: everything is as at machine-done, but for what is in RAM.
    ///
    /// # Errors
    /// If a device does not come back as it was. The machine cannot be used then.
    pub(crate) fn reset(&mut self) -> Result<(), ProgramError> {
        let Self { memories, mappings } = self;
        // No memory is seen while its device is in reset.
        memories.values().for_each(|memory| memory.take_out());
        mappings.reset()?;
        let mut here = memories.iter().filter(|(number, _)| !mappings.is_gone(**number));
        here.try_for_each(|(_, memory)| memory.after(Reset::Device))
    }

    /// Another connection has taken the place of a device's: does for it what the stages up to machine-done did, in
    /// their order. Its BARs are left out, and what it is given of others it has been given before.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub(crate) fn renew(&mut self, number: usize, inventory: Inventory) -> Result<Kept, ProgramError> {
        let Self { memories, mappings } = self;
        mappings.renew(number, inventory)?;
        let found = memories.get(&number).zip(mappings.device(number));
        found.map_or(Ok(Kept::Unknown), |(memory, device)| memory.renew(&device.attached.inventory))
    }
}

#[cfg(test)]
mod tests;
