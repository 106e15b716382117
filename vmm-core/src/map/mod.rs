//! Third stage: RAM, BARs and configuration space come into being.
//!
//! ```text
//!  Plan ─▶ RAM ─▶ address space ◀─ BAR pieces, overlays, host bridges and ports, SMMUs, ECAM
//!            └──▶ every device that may reach it, or the SMMU before it
//! ```
//!
//! What is mapped is held: [`Mappings`] consists of values each of which undoes itself when dropped, and a stage
//! that fails half-way drops what it has. All that is done for one device is one such value, `Mapped`: it is made
//! the same way when the machine starts and when a device comes later. The devices' own memory is not here yet; the
//! decoder must be programmed first.

pub(crate) mod device;
pub(crate) mod dma;
pub(crate) mod iommu;
pub mod memory;
mod mirror;
pub mod space;
pub mod tree;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use cxl_spec::pci;
use cxl_spec::pci::power;
use device::Mapped;
use dma::Exchange;
use dma::Offer;
use dma::Pieces;
pub use iommu::Tally;
use iommu::Unit;
use memory::HostMemory;
use space::AddressSpace;
use space::Slots;
use space::SpaceError;
use space::Trap;
use space::Window;
use vfio_abi::info::region;

use crate::acpi;
use crate::acpi::check::SystemError;
use crate::acpi::system::System;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::backend::decoders::HdmDecoders;
use crate::discover::DiscoverError;
use crate::discover::Inventory;
use crate::discover::Region;
use crate::discover::discover;
use crate::plan::Kind;
use crate::plan::Plan;
use crate::plan::life::OnLoss;
use crate::plan::x86_64;
use crate::ports::Component;

/// A device that is to be attached: how to reach it, and what is known of it.
#[derive(Debug)]
pub struct Attached {
    /// How to reach it.
    pub backend: Shared,
    /// What is known of it.
    pub inventory: Inventory,
}

impl Attached {
    /// A device of which nothing is known yet. Decoders that nobody can program are replaced by some that can be.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn discovered(client: Shared) -> Result<Self, DiscoverError> {
        let inventory = discover(&client)?;
        let backend = Shared::new(HdmDecoders::new(client, &inventory));
        Ok(Self { backend, inventory })
    }

    /// The device is at work from now on, whatever power state a guest has put it into. A reset through VFIO
    /// keeps that.
    fn wake(&self) -> Result<(), BackendError> {
        let mut capabilities = self.inventory.config.capabilities.iter();
        let Some(found) = capabilities.find(|found| found.id == pci::capability::POWER) else {
            return Ok(());
        };
        let at = u64::from(found.offset).saturating_add(power::CONTROL_STATUS);
        let state = power::ControlStatus::new(0).with_state(power::D0);
        self.backend.lock().write(region::CONFIG, at, &state.raw().to_le_bytes())
    }
}

/// A machine without the devices' memory. Dropping it undoes everything, in reverse order.
#[derive(Debug)]
pub struct Mappings {
    // Fields are dropped in this order.
    /// The devices that are there, by their numbers in the plan.
    pub(crate) devices: BTreeMap<usize, Mapped>,
    ram_offers: Vec<Offer>,
    windows: Vec<Window>,
    /// Where everything is.
    pub(crate) space: AddressSpace,
    /// What devices may reach, and who they are.
    pub(crate) exchange: Arc<Exchange>,
    /// SMMUs, in the order of the plan.
    pub(crate) smmus: Vec<Arc<Unit>>,
    ram: Arc<Pieces>,
    /// RAM from where it begins.
    pub(crate) low_ram: HostMemory,
    /// What was planned.
    pub(crate) plan: Plan,
}

/// Why the machine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// There is no RAM.
    #[error("guest RAM of {size:#x} bytes: {error}")]
    Ram {
        /// Its length.
        size: u64,
        /// What the system says.
        error: io::Error,
    },
    /// A region of a device cannot be mapped into this process.
    #[error("{device}: region {region}: {error}")]
    Region {
        /// The machine's name of the device.
        device: String,
        /// Which region.
        region: u32,
        /// What the system says.
        error: io::Error,
    },
    /// Something has no place in the guest.
    #[error("{name}: {error}")]
    Space {
        /// What has no place.
        name: String,
        /// Why.
        error: SpaceError,
    },
    /// The ACPI tables cannot tell of it.
    #[error("acpi tables: {0}")]
    Tables(#[from] SystemError),
    /// A device does not do its part.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A plan and the devices that it was not made for.
    #[error("the plan is for {planned} devices and {given} were given")]
    OtherDevices {
        /// How many the plan has.
        planned: usize,
        /// How many were given.
        given: usize,
    },
}

/// Builds the machine of `plan` from these devices, which are the ones that it was made for, in the same order.
///
/// # Errors
/// If the system, the hypervisor or a device does not do its part. Nothing is left of what was done.
pub fn map(plan: Plan, devices: Vec<Attached>, slots: Arc<dyn Slots>) -> Result<Mappings, MapError> {
    if plan.devices.len() != devices.len() {
        return Err(MapError::OtherDevices { planned: plan.devices.len(), given: devices.len() });
    }
    let size = plan.machine.ram;
    let ram = HostMemory::ram(size).map_err(|error| MapError::Ram { size, error })?;
    let mut mappings = Mappings {
        devices: BTreeMap::new(),
        ram_offers: Vec::new(),
        windows: Vec::new(),
        space: AddressSpace::new(slots, plan.machine.page_size),
        exchange: Exchange::new(plan.dma.clone()),
        smmus: Vec::new(),
        ram: Arc::default(),
        low_ram: ram.clone(),
        plan,
    };
    mappings.map_smmus()?;
    mappings.map_ram(&ram)?;
    mappings.put_tables()?;
    mappings.map_bridges()?;
    for (number, device) in devices.into_iter().enumerate() {
        mappings.plug(number, device)?;
    }
    Ok(mappings)
}

impl Mappings {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The machine is reset: BARs are where they were planned, devices have gone through a reset of their own and
    /// answer again, but for those that were lost and are out; SMMUs and what devices reach of each other are as at
    /// the start. RAM is kept, and so is what devices reach of it; the ACPI tables are there anew. What else the guest
    /// wrote to a device's configuration space is the device's to keep or lose: VFIO saves it over a reset.
    ///
    /// # Errors
    /// If a device does not do its part.
    pub(crate) fn reset(&mut self) -> Result<(), MapError> {
        #[rustfmt::skip]
        let Self {
            devices, space, smmus, plan,
            ram_offers: _, windows: _, exchange: _, ram: _, low_ram: _,
        } = self;
        devices.values_mut().for_each(|device| device.take_out(space));
        let here = |(number, device): &(&usize, &mut Mapped)| !is_gone(plan, **number, device);
        let mut devices: Vec<_> = devices.iter_mut().filter(here).map(|(_, device)| device).collect();
        smmus.iter().for_each(|smmu| smmu.reset());
        for device in &devices {
            device.attached.wake()?;
            device.attached.backend.lock().reset()?;
        }
        for device in &mut devices {
            device.bring_back(space)?;
        }
        devices.iter().try_for_each(|device| device.bar_reach.decode(true))?;
        self.put_tables()
    }

    /// The device with this number in the plan comes into the machine.
    ///
    /// # Errors
    /// If the system, the hypervisor or a device does not do its part. Nothing is left of what was done.
    pub(crate) fn plug(&mut self, number: usize, device: Attached) -> Result<(), MapError> {
        let mapped = Mapped::new(self, number, device)?;
        self.devices.insert(number, mapped);
        Ok(())
    }

    /// A device goes, and with it everything that was done for it.
    pub(crate) fn unplug(&mut self, number: usize) {
        if let Some(mut device) = self.devices.remove(&number) {
            device.take_out(&self.space);
        }
    }

    /// Another connection has taken the place of a device's, and was given what that one was. Its BARs, which are out,
    /// are what it has now.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub(crate) fn renew(&mut self, number: usize, inventory: Inventory) -> Result<(), MapError> {
        let found = self.devices.get_mut(&number).zip(self.plan.devices.get(number));
        let renew =
            |(device, planned): (&mut Mapped, _)| device.renew((number, planned), &self.space, inventory);
        found.map_or(Ok(()), renew)
    }

    /// Whether the device with this number was lost and is out.
    pub(crate) fn is_gone(&self, number: usize) -> bool {
        self.device(number).is_some_and(|device| is_gone(&self.plan, number, device))
    }

    /// The device with this number, if it is there.
    pub(crate) fn device(&self, number: usize) -> Option<&Mapped> {
        self.devices.get(&number)
    }

    /// Another plan, and what it decides of devices' reach. Gives the one before.
    pub(crate) fn replan(&mut self, plan: Plan) -> Plan {
        self.exchange.decide(plan.dma.clone());
        std::mem::replace(&mut self.plan, plan)
    }

    /// RAM goes into the guest, and to every device that may reach it.
    fn map_ram(&mut self, ram: &HostMemory) -> Result<(), MapError> {
        let mut offset = 0;
        let spans = self.plan.map.iter().filter(|placed| placed.kind == Kind::Ram);
        for (name, span) in spans.map(|placed| (placed.name.clone(), placed.span)).collect::<Vec<_>>() {
            let error = |error| MapError::Ram { size: span.size(), error };
            let memory = HostMemory::of_file(ram.file().clone(), offset, span.size()).map_err(error)?;
            if offset == 0 {
                self.low_ram = memory.clone();
            }
            self.ram.add(span, memory.clone());
            self.ram_offers.push(self.exchange.offer(&name, span, &memory)?);
            self.enter(&name, |space| space.map(span, memory))?;
            offset = offset.saturating_add(span.size());
        }
        Ok(())
    }

    /// Leaves the ACPI tables in RAM, as firmware does. The plan has put all of them into the first RAM.
    fn put_tables(&mut self) -> Result<(), MapError> {
        let checked = System::of(&self.plan).check()?;
        let ram = self.plan.map.iter().find(|placed| placed.kind == Kind::Ram).map(|ram| ram.span.start());
        for table in acpi::tables(&checked) {
            let offset = ram.and_then(|ram| table.address.offset_from(ram));
            let written = offset.and_then(|offset| self.low_ram.write(offset, &table.bytes));
            let outside = || SystemError::Field {
                field: table.name.to_owned(),
                value: table.address.get(),
                why: "the table must lie in the first RAM",
            };
            written.ok_or_else(outside)?;
        }
        Ok(())
    }

    fn map_smmus(&mut self) -> Result<(), MapError> {
        for (index, smmu) in self.plan.smmus.clone().into_iter().enumerate() {
            self.smmus.push(Arc::new(Unit::new(self.ram.clone())));
            self.enter(&smmu.name, |space| space.trap(smmu.registers, Trap::Smmu(index)))?;
        }
        Ok(())
    }

    /// Host bridges, root ports, and configuration space of all buses.
    fn map_bridges(&mut self) -> Result<(), MapError> {
        for (index, bridge) in self.plan.bridges.clone().into_iter().enumerate() {
            let of = [
                (bridge.registers, Component::HostBridge(index)),
                (bridge.port.bar, Component::RootPort(index)),
            ];
            for (span, component) in of {
                self.enter(&bridge.name, |space| space.trap(span, Trap::Component(component)))?;
            }
        }
        let ecam = self.plan.ecam;
        self.enter("ecam", |space| space.trap(ecam, Trap::Ecam))?;
        let io_apic = self.plan.map.iter().find(|placed| placed.name == x86_64::IO_APIC_NAME);
        io_apic
            .map(|placed| placed.span)
            .map_or(Ok(()), |span| self.enter(x86_64::IO_APIC_NAME, |space| space.trap(span, Trap::IoApic)))
    }

    fn enter(
        &mut self,
        name: &str,
        enter: impl FnOnce(&AddressSpace) -> Result<Window, SpaceError>,
    ) -> Result<(), MapError> {
        let window = enter(&self.space).map_err(|error| MapError::Space { name: name.to_owned(), error })?;
        self.windows.push(window);
        Ok(())
    }
}

fn is_gone(plan: &Plan, number: usize, device: &Mapped) -> bool {
    let stays = plan.devices.get(number).is_none_or(|planned| planned.on_loss == OnLoss::Fail);
    !stays && device.attached.backend.is_lost()
}

/// A part of a region, mapped into this process.
pub(crate) fn memory_of(region: Option<&Region>, offset: u64, size: u64) -> io::Result<HostMemory> {
    let no_file = || io::Error::new(io::ErrorKind::NotFound, "the device gave no file that maps the region");
    let region = region.ok_or_else(no_file)?;
    let file = region.file.clone().ok_or_else(no_file)?;
    let overflow =
        || io::Error::new(io::ErrorKind::InvalidInput, "the offset in the region's file overflows");
    let at = region.file_offset.checked_add(offset).ok_or_else(overflow)?;
    HostMemory::of_file(file, at, size)
}

#[cfg(test)]
mod tests;
