//! A device is reset while the guest runs, by the guest or by the machine.

use super::Bus;
use super::Device;
use crate::backend::BackendError;
use crate::program::ProgramError;
use crate::program::Reset;
use crate::run::config::ConfigView;

impl Bus {
    /// A device is reset. Nobody sees its BARs and its memory meanwhile; its command register is as before then.
    pub(super) fn over_reset(
        &self,
        device: &Device,
        config: &mut ConfigView,
        reset: Reset,
        begin: impl FnOnce() -> bool,
    ) {
        let memory_space = config.memory_space();
        config.set_memory_space(false);
        self.space.place(&config.places());
        self.decode_changed(device, config);
        device.memory.take_out();
        let begun = begin();
        config.set_memory_space(memory_space);
        self.space.place(&config.places());
        self.decode_changed(device, config);
        if begun {
            self.served(device.interrupts.reset());
        }
        // What could not begin has reset nothing.
        let reset = if begun { reset } else { Reset::FunctionLevel };
        match device.memory.after(reset) {
            Ok(()) => {}
            Err(ProgramError::Register { error, .. }) => drop(self.answered::<()>(Err(error))),
            Err(_) => drop(self.nothing_there()),
        }
    }

    /// The machine resets a device through VFIO while the guest runs.
    pub(crate) fn reset_device(&self, index: usize) -> Result<(), BackendError> {
        let Some(device) = self.device(index) else { return Ok(()) };
        let mut outcome = Ok(());
        let mut begin = || {
            outcome = device.backend.lock().reset();
            outcome.is_ok()
        };
        let mut config = device.config.lock();
        if device.is_out() {
            begin();
        } else {
            self.over_reset(&device, &mut config, Reset::Device, begin);
        }
        drop(config);
        self.notice();
        outcome
    }
}
