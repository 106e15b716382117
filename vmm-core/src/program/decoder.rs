//! Decoder 0 of a device as the machine programs it: what is written, in which order, and how it is put back.

use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;

use super::ProgramError;
use super::Shown;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::plan::programme::Programme;
use crate::plan::programme::Register;
use crate::plan::programme::Step;

/// A decoder that is programmed, or half-way there. Dropping it puts its registers back.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The machine's name of the device.
    device: String,
    backend: Shared,
    programme: Programme,
    /// The registers that were written, and what they read before, in order.
    written: Vec<(Register, u32)>,
}

impl Decoder {
    /// Programs the decoder, whose base reads `base` now, low half first.
    pub(super) fn programme(
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

    /// A reset has come over the decoder: programs it again if it is not as it was programmed. It must have kept its
    /// size, which the machine does not give it.
    pub(super) fn restore(&mut self) -> Result<(), ProgramError> {
        match self.verify() {
            Err(ProgramError::Unexpected { .. }) => {}
            known => return known,
        }
        // What the registers read before the reset is nothing to put back.
        self.written.clear();
        let (low, high) = hdm::split(self.programme.window.size());
        for (register, expected) in [(Register::SizeLow, low), (Register::SizeHigh, high)] {
            self.expect(register, expected, self.read(register)?)?;
        }
        let base = (self.read(Register::BaseLow)?, self.read(Register::BaseHigh)?);
        *self = Self::programme(&self.device, &self.backend, self.programme, base)?;
        Ok(())
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
