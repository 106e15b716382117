//! Fourth stage: machine-done. Decoder 0 of each device is programmed, then its memory is put at its window, and
//! given to the devices that may reach it.
//!
//! ```text
//!  read control ─▶ clear LOCK if set ─▶ base low ─▶ base high ─▶ control | COMMIT | LOCK ─▶ committed? ─▶ map
//! ```
//!
//! A step that fails ends the stage with an error that names the register, and what was written is put back:
//! neither a half-programmed decoder nor memory without a decoder is left.

use std::fmt;

use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;
use cxl_spec::register::describe_value;

use crate::backend::BackendError;
use crate::backend::Shared;
use crate::discover::cxl::Cxl;
use crate::map::MapError;
use crate::map::Mappings;
use crate::map::dma::Reach;
use crate::map::memory_of;
use crate::map::space::Behind;
use crate::map::space::Shape;
use crate::map::space::Trap;
use crate::map::space::Window;
use crate::plan;
use crate::plan::programme::Programme;
use crate::plan::programme::Register;
use crate::plan::programme::Step;

/// A machine whose devices' memory is in place. Dropping it undoes everything, in reverse order.
#[derive(Debug)]
pub struct Programmed {
    // Fields are dropped in this order: no memory without a decoder, no decoder without a machine.
    reach: Vec<Reach>,
    windows: Vec<Window>,
    decoders: Vec<Decoder>,
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
            Register::BaseLow | Register::BaseHigh => write!(out, "{:#x}", self.value),
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
        let mut programmed =
            Programmed { reach: Vec::new(), windows: Vec::new(), decoders: Vec::new(), mappings: self };
        for index in 0..programmed.mappings.devices.len() {
            programmed.device_done(index)?;
        }
        Ok(programmed)
    }
}

impl Programmed {
    /// What was planned.
    pub fn plan(&self) -> &plan::Plan {
        self.mappings.plan()
    }

    fn device_done(&mut self, index: usize) -> Result<(), ProgramError> {
        let device = self.mappings.devices.get(index).zip(self.mappings.plan.devices.get(index));
        let Some((device, planned)) = device else { return Ok(()) };
        let decoders = device.inventory.cxl.as_ref().map(Cxl::found_decoders).unwrap_or_default();
        let base = hdm::split(decoders.first().map_or(0, |decoder| decoder.base));
        self.decoders.push(Decoder::programme(&planned.name, &device.backend, planned.programme, base)?);
        let window = planned.window;
        let region = device.inventory.region(window.region);
        let failed = |error| MapError::Region { device: planned.name.clone(), region: window.region, error };
        let memory = window.mapped.then(|| memory_of(region, 0, window.span.size())).transpose();
        let memory = memory.map_err(failed)?;
        let opened = if let Some(memory) = memory.clone() {
            self.mappings.space.map(window.span, memory)
        } else {
            let behind = Behind { device: index, region: window.region, offset: 0, shape: Shape::Any };
            self.mappings.space.trap(window.span, Trap::Region(behind))
        };
        let name = format!("{} window", planned.name);
        self.windows.push(opened.map_err(|error| MapError::Space { name, error })?);
        let mut map = self.mappings.plan.map.iter();
        let part = map.find(|placed| placed.span.start() == window.span.start());
        if let Some((part, memory)) = part.zip(memory) {
            let given = self.mappings.requesters.give(&part.name, window.span, &memory);
            self.reach.extend(given.map_err(MapError::from)?);
        }
        Ok(())
    }
}

/// A decoder that is programmed, or half-way there. Dropping it puts its registers back.
#[derive(Debug)]
struct Decoder {
    /// The machine's name of the device.
    device: String,
    backend: Shared,
    programme: Programme,
    /// The registers that were written, and what they read before, in order.
    written: Vec<(Register, u32)>,
}

impl Decoder {
    /// Programs the decoder, whose base reads `base` now, low half first.
    fn programme(
        device: &str,
        backend: &Shared,
        programme: Programme,
        base: (u32, u32),
    ) -> Result<Self, ProgramError> {
        let mut decoder =
            Self { device: device.to_owned(), backend: backend.clone(), programme, written: Vec::new() };
        let mut control = Control::new(0);
        for step in programme.steps() {
            let register = step.register();
            match step {
                Step::ReadControl => control = Control::new(decoder.read(register)?),
                Step::ClearLock if control.lock_on_commit() => {
                    let unlocked = control.with_lock_on_commit(false);
                    decoder.write(register, control.raw(), unlocked.raw())?;
                    control = unlocked;
                }
                Step::ClearLock => {}
                Step::WriteBase(_, value) => {
                    let before = if register == Register::BaseLow { base.0 } else { base.1 };
                    decoder.write(register, before, value)?;
                }
                Step::Commit => {
                    let locked = control.with_commit(true).with_lock_on_commit(true);
                    decoder.write(register, control.raw(), locked.raw())?;
                }
                Step::Verify => decoder.verify()?,
            }
        }
        Ok(decoder)
    }

    /// What was written must be there: a locked decoder at the window's base.
    fn verify(&self) -> Result<(), ProgramError> {
        for step in self.programme.steps() {
            let Step::WriteBase(register, expected) = step else { continue };
            self.expect(register, expected, self.read(register)?)?;
        }
        let seen = Control::new(self.read(Register::Control)?);
        let committed = seen.with_commit(true).with_committed(true).with_lock_on_commit(true);
        self.expect(Register::Control, committed.with_error_not_committed(false).raw(), seen.raw())
    }

    fn expect(&self, register: Register, expected: u32, seen: u32) -> Result<(), ProgramError> {
        let shown = |value| Shown { register, value };
        if seen == expected {
            return Ok(());
        }
        let (seen, expected) = (shown(seen), shown(expected));
        Err(ProgramError::Unexpected { device: self.device.clone(), register, seen, expected })
    }

    fn read(&self, register: Register) -> Result<u32, ProgramError> {
        let read = self.backend.read_dword(self.programme.region, self.programme.offset(register));
        read.map_err(|error| self.failed("reading", register, error))
    }

    /// Writes a register that reads `before` now.
    fn write(&mut self, register: Register, before: u32, value: u32) -> Result<(), ProgramError> {
        // Remembered first: a write that is reported as failed may have been done.
        self.written.push((register, before));
        let written = self.backend.write_dword(self.programme.region, self.programme.offset(register), value);
        written.map_err(|error| self.failed("writing", register, error))
    }

    fn failed(&self, verb: &'static str, register: Register, error: BackendError) -> ProgramError {
        ProgramError::Register { device: self.device.clone(), verb, register, error }
    }

    /// Puts a register back. A device that is gone has none.
    fn put_back(&self, register: Register, value: u32) {
        let _ = self.backend.write_dword(self.programme.region, self.programme.offset(register), value);
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        for (register, before) in self.written.iter().rev() {
            if *register == Register::Control {
                // A locked decoder takes nothing but the end of its lock, and loses the rest of that write.
                self.put_back(*register, Control::new(*before).with_lock_on_commit(false).raw());
            }
            self.put_back(*register, *before);
        }
    }
}

#[cfg(test)]
mod tests;
