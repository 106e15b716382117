//! The hardware, as the PCIe and CXL specifications describe it.
//!
//! ```text
//!              ┌──────────────── Silicon ─────────────────┐
//!  config ────▶│ config      header, capabilities, DVSECs  │
//!  BAR 0  ────▶│ interrupts  MSI-X table and pending bits  │──▶ Effect
//!              │ engine      copies to and from the host   │
//!  BAR 2  ────▶│ component   capability array, RAS, HDM    │
//!              │ accelerator the rest of BAR 2, mappable   │
//!              │ memory      what the decoders decode to   │
//!  HPA    ────▶│ traffic     what the decoders make of it  │
//!              └───────────────────────────────────────────┘
//! ```
//!
//! Nothing here knows of a kernel, a driver or a virtual machine: whatever is odd about those is
//! [`kernel`](crate::kernel)'s. Every write returns the [`Effect`]s that somebody else must act on.
//!
//! A reset makes the device anew and keeps what the table in [`reset`] says.
//!
//! Not modelled:
//!
//! - CXL.cache traffic. There is no cache, so write-back and invalidate has nothing to do, and ATS asks for nothing.
//! - The link: its training, its error counters, and the extended capabilities of its physical layer.
//! - Time. A commit, a CXL reset and a change of power state are over at once, unless the device is broken so.
//! - A function in D3hot still answers accesses to its BARs; [`ConfigSpace::power_state`] tells whoever decides.
//! - Viral: its enable and status bits are there, and nothing raises it.
//! - Unordered I/O, and the second memory range of the device DVSEC.
//! - Interrupts but for the copy engine's: nothing else signals, the DOE mailbox neither. What the MSI-X table says
//!   is not looked at: the table is the kernel's, and it is the kernel that says which vectors are masked.
//! - Translation and ordering of what the copy engine moves: it moves one copy at a time, by the addresses it is given.
//! - Error messages on the link. An error that is signalled is an [`Effect`]; the registers say what it was.

pub mod component;
pub mod config;
pub mod decoder;
pub mod drive;
pub mod engine;
pub mod memory;
pub mod register;
pub mod reset;
pub mod traffic;

mod interrupts;

use component::Component;
pub use component::RasError;
pub use component::Severity;
use config::ConfigSpace;
use cxl_spec::access::Access;
use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::pci::header;
use decoder::Event;
use engine::CopyError;
use engine::Engine;
use engine::Surroundings;
use engine::Transfer;
use interrupts::Interrupts;
use memory::Ground;
use memory::Memory;
use reset::Domain;
use reset::Fate;
pub use reset::Reset;
use traffic::Media;

use crate::profile::Checked;

/// What a write asks of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Software asked for a function level reset. Whoever owns the function does it.
    FunctionLevelReset,
    /// A CXL reset that software asked for is over. Whoever has copies of registers looks again.
    CxlReset,
    /// The function signals an internal error of this severity.
    InternalError(Severity),
    /// A decoder changed what it decodes.
    Decoder {
        /// Which decoder.
        index: u8,
        /// What happened to it.
        event: Event,
    },
    /// The copy engine has begun a copy. Whoever reaches the host's memory carries it out and says how it ended; see
    /// [`Silicon::transfer_ended`].
    Transfer(Transfer),
    /// The function signals a vector.
    Interrupt {
        /// Which vector.
        vector: u16,
    },
}

/// A device that is powered on.
#[derive(Debug)]
pub struct Silicon {
    profile: Checked,
    config: ConfigSpace,
    interrupts: Interrupts,
    engine: Engine,
    component: Component,
    accelerator: Memory,
    media: Media,
}

/// The first bytes of the accelerator registers, so that a guest can tell that it has found them.
pub const ACCELERATOR_MAGIC: u64 = u64::from_le_bytes(*b"CXL-SIM\0");

impl Silicon {
    /// The device of this profile after power-on, and after host firmware did its part.
    ///
    /// # Errors
    /// If the system does not give the memory that the device carries.
    pub fn power_on(profile: Checked) -> std::io::Result<Self> {
        Self::power_on_in(profile, Ground::Apart)
    }

    /// The same, with its memories made where `ground` says.
    ///
    /// # Errors
    /// If the system does not give the memory that the device carries.
    pub fn power_on_in(profile: Checked, ground: Ground<'_>) -> std::io::Result<Self> {
        let bar = profile.profile().component.bar_size.0;
        let accelerator = match ground {
            Ground::Apart => Memory::new("accelerator", bar)?,
            Ground::Inside { file, accelerator, .. } => Memory::within(file.try_clone()?, accelerator, bar)?,
        };
        let mut silicon = Self {
            config: ConfigSpace::power_on(&profile),
            interrupts: Interrupts::power_on(&profile),
            engine: Engine::power_on(),
            component: Component::power_on(&profile),
            accelerator,
            media: Media::power_on(&profile, ground)?,
            profile,
        };
        silicon.write_accelerator_magic();
        silicon.firmware_boots();
        Ok(silicon)
    }

    /// Host firmware does its part, as it does whenever the host starts: it commits decoder 0 and turns the memory
    /// on, if it is one that does.
    pub fn firmware_boots(&mut self) {
        if self.profile.profile().firmware.committed {
            self.component.firmware_commits(&self.profile);
            self.config.firmware_enables_memory(&self.profile);
        }
    }

    /// What the accelerator's memory holds after power-on.
    fn write_accelerator_magic(&self) {
        self.accelerator.write_u64(0, ACCELERATOR_MAGIC);
        if let Some(at) = self.profile.profile().faults.host_base_at {
            self.accelerator.write_u64(at.0, self.profile.host_range().start().get());
        }
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
        self.media.memory()
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
        let status = header::STATUS.checked_sub(access.offset()).filter(|_| header::STATUS < access.end());
        let pending = u64::from(header::Status::new(0).with_interrupt(self.pin_pends()).raw());
        self.config.read(access) | status.map_or(0, |byte| pending << (8 * byte))
    }

    /// Writes configuration space.
    pub fn config_write(&mut self, access: Access, value: u64) -> Vec<Effect> {
        let effects = self.config.write(access, value);
        if effects.contains(&Effect::CxlReset) {
            self.carry_out_cxl_reset();
        }
        effects
    }

    /// The length of a BAR; 0 where there is none.
    pub fn bar_size(&self, bar: u8) -> u64 {
        self.profile.bar_size(bar)
    }

    /// Reads a BAR; what is not there reads 0.
    pub fn bar_read(&self, bar: u8, access: Access) -> u64 {
        match self.profile.place(bar, access) {
            Place::Interrupts => self.interrupts.read(access) | self.leaked(access),
            Place::Engine(inside) => self.engine.read(inside) | self.leaked(access),
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
            Place::Engine(access) => return self.engine_write(access, value).into_iter().collect(),
            Place::Component(access) => return self.component.write(access, value),
            Place::Accelerator => self.accelerator.write(access, value),
            Place::Nothing => {}
        }
        Vec::new()
    }

    fn engine_write(&mut self, access: Access, value: u64) -> Option<Effect> {
        let bus_master = self.config.command().bus_master();
        let around = Surroundings { bus_master, memory: self.memory().size() };
        self.engine.write(access, value, around)
    }

    /// Whether the function has an interrupt pending that its pin would tell.
    fn pin_pends(&self) -> bool {
        let has_pin = self.profile.profile().interrupts.pin;
        has_pin && !self.config.msix().enable() && self.engine.asserts_pin()
    }

    /// Whether the function's interrupt pin is asserted.
    pub fn asserts_pin(&self) -> bool {
        self.pin_pends() && !self.config.command().interrupt_disable()
    }

    /// A vector was signalled while it was masked, or is not pending any more.
    pub fn set_pending(&mut self, vector: u16, pending: bool) {
        self.interrupts.set_pending(vector, pending);
    }

    /// Whether a vector is pending.
    pub fn is_pending(&self, vector: u16) -> bool {
        self.interrupts.is_pending(vector)
    }

    /// Whether the copy engine is at a copy. A reset ends it.
    pub fn engine_is_busy(&self) -> bool {
        self.engine.is_busy()
    }

    /// The copy that the engine is at has ended so.
    pub fn transfer_ended(&mut self, outcome: Result<(), CopyError>) -> Option<Effect> {
        self.engine.ended(outcome)
    }

    /// Resets the device: it is made anew and keeps what the table in [`reset`] says. Host firmware does nothing;
    /// see [`firmware_boots`](Self::firmware_boots).
    ///
    /// A [`Reset::Cxl`] here is one without a request: what software asks through the device DVSEC, with its
    /// answer in status 2, comes by [`config_write`](Self::config_write).
    pub fn reset(&mut self, reset: Reset) {
        let Self { profile, config, interrupts, engine, component, accelerator: _, media } = self;
        let built = &profile.profile().silicon;
        *config = config.clone().reborn(ConfigSpace::power_on(profile), reset, built);
        let fate = |domain| reset::fate(domain, reset, built);
        *interrupts = interrupts.clone().reborn(Interrupts::power_on(profile), fate(Domain::MsixTable));
        *engine = engine.clone().reborn(Engine::power_on(), fate(Domain::Engine));
        *component = component.clone().reborn(Component::power_on(profile), fate);
        if fate(Domain::Memory) == Fate::Fresh {
            media.lose_power(profile);
        }
        if reset == Reset::Cold {
            self.accelerator.clear();
            self.write_accelerator_magic();
        }
    }

    /// Function level reset: see [`reset`](Self::reset).
    pub fn function_level_reset(&mut self) {
        self.reset(Reset::FunctionLevel);
    }

    /// Software asked for a CXL reset: it is done, and status 2 says how it ended.
    fn carry_out_cxl_reset(&mut self) {
        let failed = self.profile.profile().faults.cxl_reset_fails;
        if !failed {
            let clears = self.config.mem_clear_asked();
            self.reset(Reset::Cxl);
            if clears {
                self.media.clear();
            }
        }
        self.config.cxl_reset_ended(failed);
    }

    /// An error of the CXL link happens: it is recorded, and signalled unless it is masked.
    pub fn inject(&mut self, error: RasError) -> Vec<Effect> {
        let signalled = self.component.record(error);
        if let Some(severity) = signalled {
            self.config.internal_error(severity);
        }
        signalled.map(Effect::InternalError).into_iter().collect()
    }

    /// Puts back a configuration space that was saved, as a driver does after a reset.
    pub fn restore_config(&mut self, saved: ConfigSpace) {
        self.config = saved;
    }
}

/// What an access to a BAR reaches.
enum Place {
    Interrupts,
    /// The copy engine, and the access as the engine sees it.
    Engine(Access),
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
            let engine = access.relative_to(engine::OFFSET).filter(|inside| inside.end() <= engine::SIZE);
            return engine.map_or(Place::Interrupts, Place::Engine);
        }
        match access.relative_to(component.offset.0) {
            Some(inside) if inside.end() <= BLOCK_SIZE => Place::Component(inside),
            _ => Place::Accelerator,
        }
    }
}

#[cfg(test)]
mod tests;
