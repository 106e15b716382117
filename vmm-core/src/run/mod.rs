//! Fifth stage: a guest runs, and what it touches is memory or traps.
//!
//! ```text
//!  Order ─▶ Guest (KVM vCPU, or soft) ─┬─ memory slot ──────────▶ device memory, RAM      (no exit)
//!                                      └─ exit ─▶ Bus ─▶ trap ──▶ configuration, BAR, component registers, ports
//! ```
//!
//! The guest is a program of a few dozen instructions that takes one [`Order`] after another: load or store so
//! many bytes at an address. Under KVM each is an instruction of a vCPU; `soft` does the same accesses through
//! the same [`bus::Bus`] without KVM.

pub mod bus;
pub mod guest;
pub mod reconnect;

mod again;
mod config;
mod plug;
mod reset;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use bus::Loss;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use guest::Guest;
use guest::GuestError;
use guest::Handler;
use guest::Order;
use guest::Soft;
pub use plug::PlugError;
use reconnect::Way;
pub use reset::ResetError;

use crate::backend::BackendError;
use crate::backend::kvm;
use crate::irq::Receiver;
use crate::irq::signals::Signalled;
use crate::irq::soft::SoftApic;
use crate::map::Tally;
use crate::map::space::NoSlots;
use crate::map::space::Slots;
use crate::plan::Plan;
use crate::plan::machine::Arch;
use crate::program::Programmed;

/// What runs the guest.
#[derive(Clone, Debug)]
pub enum Hypervisor {
    /// KVM: memory goes into memory slots, accesses are instructions of a vCPU.
    Kvm(Arc<kvm::Vm>),
    /// Nothing: accesses are calls.
    Soft,
}

impl Hypervisor {
    /// Where memory goes.
    pub fn slots(&self) -> Arc<dyn Slots> {
        match self {
            Self::Kvm(vm) => vm.clone(),
            Self::Soft => Arc::new(NoSlots),
        }
    }

    /// The name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Kvm(_) => "kvm",
            Self::Soft => "soft",
        }
    }
}

/// Whether the guest program of KVM can run in this layout: it has its tables and its mailbox in RAM at 0.
pub fn kvm_can_run(arch: Arch) -> bool {
    arch == Arch::X86_64
}

/// How often it is looked whether an interrupt has come again. One whose cause stays comes without end.
const MOST_LOOKS: usize = 1000;

/// A machine that runs. Dropping it stops the guest and undoes everything.
pub struct Running {
    // Fields are dropped in this order: first the guest stops, then the machine goes.
    guest: Box<dyn Guest>,
    bus: Arc<Bus>,
    programmed: Programmed,
    /// How devices are sought that were lost.
    ways: BTreeMap<usize, Way>,
}

impl Programmed {
    /// Starts the guest. It may take `timeout` over each order, and as long again for each device that does not answer.
    ///
    /// # Errors
    /// If the hypervisor does not do its part.
    pub fn run(self, hypervisor: &Hypervisor, timeout: Duration) -> Result<Running, GuestError> {
        let apic = SoftApic::default();
        let receiver: Arc<dyn Receiver> = match hypervisor {
            Hypervisor::Kvm(vm) => Arc::new(vm.clone()),
            Hypervisor::Soft => Arc::new(apic.clone()),
        };
        let bus = Arc::new(Bus::new(&self, receiver)?);
        let arch = self.plan().machine.arch;
        // Devices may come: at most one for each bridge.
        let devices = u32::try_from(self.plan().bridges.len()).unwrap_or(u32::MAX);
        let timeout = timeout.saturating_mul(devices.saturating_add(1));
        let guest: Box<dyn Guest> = match hypervisor {
            Hypervisor::Kvm(_) if !kvm_can_run(arch) => {
                let why = format!("it is made for RAM at 0, which a machine of {} has not", arch.name());
                return Err(GuestError::Setup { what: "placing the guest program", why });
            }
            Hypervisor::Kvm(vm) => Box::new(vm.start(self.mappings.low_ram.clone(), bus.clone(), timeout)?),
            Hypervisor::Soft => Box::new(Soft::new(bus.clone(), apic)),
        };
        Ok(Running { guest, bus, programmed: self, ways: BTreeMap::new() })
    }
}

impl Running {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        self.programmed.plan()
    }

    /// The guest loads.
    ///
    /// # Errors
    /// If the guest does not come back.
    pub fn load(&mut self, at: Gpa, width: Width) -> Result<u64, GuestError> {
        self.obey(Order::Load { at, width })
    }

    /// The guest stores.
    ///
    /// # Errors
    /// If the guest does not come back.
    pub fn store(&mut self, at: Gpa, width: Width, value: u64) -> Result<(), GuestError> {
        self.obey(Order::Store { at, width, value }).map(drop)
    }

    /// The guest stores `count` qwords one behind the other. At most [`guest::MAX_FILL`] bytes.
    ///
    /// # Errors
    /// If the guest does not come back.
    pub fn fill(&mut self, at: Gpa, count: u64, value: u64) -> Result<(), GuestError> {
        self.obey(Order::Fill { at, count, value }).map(drop)
    }

    /// The guest calls the code at an address, and what that returns comes back.
    ///
    /// # Errors
    /// If the guest does not come back, or is one that runs no code.
    pub fn run_code(&mut self, at: Gpa) -> Result<u64, GuestError> {
        self.obey(Order::Run { at })
    }

    /// How often the guest has taken the interrupt with this number. What devices have signalled until now counts, and
    /// what they signal again because the guest has ended the interrupt and not its cause: until no more come.
    ///
    /// # Errors
    /// If the guest does not come back.
    pub fn interrupts(&mut self, number: u8) -> Result<u64, GuestError> {
        let mut before = None;
        for _ in 0..MOST_LOOKS {
            self.bus.settle();
            let count = self.guest.taken(number)?;
            if before.replace(count) == Some(count) {
                break;
            }
        }
        Ok(before.unwrap_or(0))
    }

    /// From now on the guest's handler of an interrupt does this, too.
    ///
    /// # Errors
    /// If the guest cannot.
    pub fn handle(&mut self, handler: Handler) -> Result<(), GuestError> {
        self.guest.handle(handler)
    }

    /// What devices have signalled to the machine itself until now, and how often.
    pub fn signals(&self) -> Vec<Signalled> {
        self.bus.settle();
        self.bus.signals()
    }

    /// Lets the interrupt pin of a device signal again, as a machine does when the guest is done with it.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    pub fn unmask_pin(&self, device: usize) -> Result<(), BackendError> {
        self.bus.unmask_pin(device)
    }

    /// Whatever a device asks meanwhile is answered before and after, and what was lost is sought.
    fn obey(&mut self, order: Order) -> Result<u64, GuestError> {
        self.attend();
        let outcome = self.guest.obey(order);
        self.attend();
        outcome
    }

    /// Answers what devices ask, notices what has gone, and seeks it where that was chosen. The guest carries out no
    /// order meanwhile, but may be [busy](Self::begin).
    pub fn attend(&mut self) {
        self.bus.attend();
        self.seek();
    }

    /// The devices themselves, past the guest: what they have in a region.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    pub fn device_read(
        &self,
        device: usize,
        region: u32,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), BackendError> {
        match self.programmed.mappings.device(device) {
            Some(device) => device.attached.backend.lock().read(region, offset, buffer),
            None => Ok(()),
        }
    }

    /// The devices themselves, past the guest: puts something into a region.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    pub fn device_write(
        &self,
        device: usize,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), BackendError> {
        match self.programmed.mappings.device(device) {
            Some(device) => device.attached.backend.lock().write(region, offset, data),
            None => Ok(()),
        }
    }

    /// The first device that was lost while the guest ran and whose loss is a failure, and at which call.
    pub fn lost(&self) -> Option<BackendError> {
        self.bus.lost()
    }

    /// All devices that were lost and whose loss nobody has taken, in the order in which that was noticed.
    pub fn losses(&self) -> Vec<Loss> {
        self.bus.losses()
    }

    /// Takes the first loss of a device: it is told no more, and is no failure any more.
    pub fn take_loss(&mut self, device: usize) -> Option<Loss> {
        self.bus.take_loss(device)
    }

    /// What an SMMU, by its number in the plan, has said to nobody, and what of its mirrors could not be.
    pub fn smmu(&self, index: usize) -> Option<Tally> {
        self.programmed.mappings.smmus.get(index).map(|unit| unit.tally())
    }

    /// How many accesses of the guest have left it: under KVM those that neither memory nor an event stood for, and of
    /// a soft guest all.
    pub fn accesses(&self) -> u64 {
        self.bus.accesses()
    }

    /// How many of the guest's accesses reached nothing or were refused.
    pub fn refused(&self) -> u64 {
        self.bus.refused()
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Running").field("programmed", &self.programmed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
