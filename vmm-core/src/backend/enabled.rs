//! A command register that is changed for a while: what was switched on goes back to how it was.

use cxl_spec::pci::header;
use vfio_abi::info::region;

use super::BackendError;
use super::Shared;

/// A device that answers in its BARs, and perhaps issues requests. Dropping it puts its command register back.
#[derive(Debug)]
pub(crate) struct Enabled {
    backend: Shared,
    before: header::Command,
}

impl Enabled {
    /// The device answers in its BARs and may issue requests.
    pub(crate) fn with_requests(backend: &Shared) -> Result<Self, BackendError> {
        Self::new(backend, |before| before.with_memory_space(true).with_bus_master(true))
    }

    /// The device answers in its BARs.
    pub(crate) fn with_memory_space(backend: &Shared) -> Result<Self, BackendError> {
        Self::new(backend, |before| before.with_memory_space(true))
    }

    fn new(
        backend: &Shared,
        change: impl FnOnce(header::Command) -> header::Command,
    ) -> Result<Self, BackendError> {
        let mut bytes = [0; 2];
        backend.lock().read(region::CONFIG, header::COMMAND, &mut bytes)?;
        let before = header::Command::new(u16::from_le_bytes(bytes));
        // Held first: a write that is reported as failed may have been done.
        let enabled = Self { backend: backend.clone(), before };
        enabled.write(change(before))?;
        Ok(enabled)
    }

    /// Another connection has taken the place of the device's: it answers and may issue requests as at first.
    pub(crate) fn again(&self) -> Result<(), BackendError> {
        self.write(self.before.with_memory_space(true).with_bus_master(true))
    }

    fn write(&self, command: header::Command) -> Result<(), BackendError> {
        self.backend.lock().write(region::CONFIG, header::COMMAND, &command.raw().to_le_bytes())
    }
}

impl Drop for Enabled {
    fn drop(&mut self) {
        // A device that is gone has no command register any more.
        let _ = self.write(self.before);
    }
}
