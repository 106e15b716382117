//! The hardware, as the PCIe and CXL specifications describe it.
//!
//! ```text
//!              ┌──────────────── Silicon ─────────────────┐
//!  config ────▶│ config      header, capabilities, DVSECs  │
//!  BAR 0  ────▶│ interrupts  MSI-X table and pending bits  │──▶ Effect
//!  BAR 2  ────▶│ component   capability array, RAS, HDM    │
//!              │ accelerator the rest of BAR 2, mappable   │
//!              │ memory      what the decoders decode to   │
//!              └───────────────────────────────────────────┘
//! ```
//!
//! Nothing here knows of a kernel, a driver or a virtual machine: whatever is odd about those is
//! [`kernel`](crate::kernel)'s. Every write returns the [`Effect`]s that somebody else must act on.
//!
//! Not modelled yet: CXL.cache traffic (there is no cache, so write-back and invalidate has nothing to do), CXL
//! reset and conventional reset, interleaved decode, RAS errors, MSI.

pub mod component;
pub mod config;
pub mod decoder;
pub mod memory;
pub mod register;

mod interrupts;

use component::Component;
use config::ConfigSpace;
use cxl_spec::access::Access;
use cxl_spec::component::BLOCK_SIZE;
use decoder::Event;
use interrupts::Interrupts;
use memory::Memory;

use crate::profile::Checked;

/// What a write asks of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Software asked for a function level reset. Whoever owns the function does it.
    FunctionLevelReset,
    /// A decoder changed what it decodes.
    Decoder {
        /// Which decoder.
        index: u8,
        /// What happened to it.
        event: Event,
    },
}

/// A device that is powered on.
#[derive(Debug)]
pub struct Silicon {
    profile: Checked,
    config: ConfigSpace,
    interrupts: Interrupts,
    component: Component,
    accelerator: Memory,
    memory: Memory,
}

/// The first bytes of the accelerator registers, so that a guest can tell that it has found them.
pub const ACCELERATOR_MAGIC: u64 = u64::from_le_bytes(*b"CXL-SIM\0");

impl Silicon {
    /// The device of this profile after power-on, and after host firmware did its part.
    ///
    /// # Errors
    /// If the system does not give the memory that the device carries.
    pub fn power_on(profile: Checked) -> std::io::Result<Self> {
        let accelerator = Memory::new("accelerator", profile.profile().component.bar_size.0)?;
        accelerator.write_u64(0, ACCELERATOR_MAGIC);
        if let Some(at) = profile.profile().faults.host_base_at {
            accelerator.write_u64(at.0, profile.host_range().start().get());
        }
        let mut silicon = Self {
            config: ConfigSpace::power_on(&profile),
            interrupts: Interrupts::power_on(&profile),
            component: Component::power_on(&profile),
            accelerator,
            memory: Memory::new("device-memory", profile.profile().memory.size.0)?,
            profile,
        };
        if silicon.profile.profile().firmware.committed {
            silicon.component.firmware_commits(&silicon.profile);
            silicon.config.firmware_enables_memory(&silicon.profile);
        }
        Ok(silicon)
    }

    /// The profile that this device is.
    pub fn profile(&self) -> &Checked {
        &self.profile
    }

    /// The configuration space.
    pub fn config(&self) -> &ConfigSpace {
        &self.config
    }

    /// The memory behind the decoders.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The part of the component BAR around the component block. It has no side effects and can be mapped.
    pub fn accelerator(&self) -> &Memory {
        &self.accelerator
    }

    /// The component registers.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Reads configuration space.
    pub fn config_read(&self, access: Access) -> u64 {
        self.config.read(access)
    }

    /// Writes configuration space.
    pub fn config_write(&mut self, access: Access, value: u64) -> Vec<Effect> {
        self.config.write(access, value)
    }

    /// The length of a BAR; 0 where there is none.
    pub fn bar_size(&self, bar: u8) -> u64 {
        self.profile.bar_size(bar)
    }

    /// Reads a BAR; what is not there reads 0.
    pub fn bar_read(&self, bar: u8, access: Access) -> u64 {
        match self.profile.place(bar, access) {
            Place::Interrupts => self.interrupts.read(access) | self.leaked(access),
            // Below the block the accelerator's memory is 0, unless the device is broken so.
            Place::Component(inside) => self.component.read(inside) | self.accelerator.read(access),
            Place::Accelerator => self.accelerator.read(access),
            Place::Nothing => 0,
        }
    }

    /// What BAR 0 of a device that is broken so shows of the host's address.
    fn leaked(&self, access: Access) -> u64 {
        let offset = self.profile.profile().faults.host_base_in_bar0_at.map(|at| at.0);
        let behind = offset.and_then(|at| access.relative_to(at)).filter(|inside| inside.end() <= 8);
        let host = self.profile.host_range().start().get();
        behind.map_or(0, |inside| (host >> (8 * inside.offset())) & inside.width().mask())
    }

    /// Writes a BAR; what is not there takes nothing.
    pub fn bar_write(&mut self, bar: u8, access: Access, value: u64) -> Vec<Effect> {
        match self.profile.place(bar, access) {
            Place::Interrupts => self.interrupts.write(access, value),
            Place::Component(access) => return self.component.write(access, value),
            Place::Accelerator => self.accelerator.write(access, value),
            Place::Nothing => {}
        }
        Vec::new()
    }

    /// Function level reset: the CXL.io function starts again. Component registers, DVSECs and the memory stay
    /// as they are (CXL 3.2, 9.5).
    pub fn function_level_reset(&mut self) {
        let fresh = ConfigSpace::power_on(&self.profile);
        self.config = self.config.clone().after_function_level_reset(fresh);
        self.interrupts = Interrupts::power_on(&self.profile);
    }

    /// Puts back a configuration space that was saved, as a driver does after a reset.
    pub fn restore_config(&mut self, saved: ConfigSpace) {
        self.config = saved;
    }
}

/// What an access to a BAR reaches.
enum Place {
    Interrupts,
    /// The component block, and the access as the block sees it.
    Component(Access),
    Accelerator,
    Nothing,
}

impl Checked {
    /// The length of a BAR; 0 where there is none.
    pub fn bar_size(&self, bar: u8) -> u64 {
        match bar {
            0 => crate::profile::CONTROL_BAR_SIZE,
            _ if bar == self.profile().component.bar => self.profile().component.bar_size.0,
            _ => 0,
        }
    }

    fn place(&self, bar: u8, access: Access) -> Place {
        let component = &self.profile().component;
        if access.end() > self.bar_size(bar) {
            return Place::Nothing;
        }
        if bar == 0 {
            return Place::Interrupts;
        }
        match access.relative_to(component.offset.0) {
            Some(inside) if inside.end() <= BLOCK_SIZE => Place::Component(inside),
            _ => Place::Accelerator,
        }
    }
}

#[cfg(test)]
mod tests;
