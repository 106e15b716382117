//! Third stage: RAM, BARs and configuration space come into being.
//!
//! ```text
//!  Plan ─▶ RAM ─▶ address space ◀─ BAR pieces, overlays, host bridges and ports, SMMUs, ECAM
//!            └──▶ every device that may reach it, or the SMMU before it
//! ```
//!
//! What is mapped is held: [`Mappings`] consists of values each of which undoes itself when dropped, and a stage
//! that fails half-way drops what it has. The devices' own memory is not here yet; the decoder must be programmed
//! first.

pub(crate) mod dma;
pub(crate) mod iommu;
pub mod memory;
mod mirror;
pub mod space;
pub mod tree;

use std::io;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use cxl_spec::pci;
use cxl_spec::pci::power;
use dma::BarMemory;
use dma::BarReach;
use dma::Pieces;
use dma::Reach;
use dma::Requester;
use dma::Requesters;
use iommu::Behind as BehindSmmu;
pub use iommu::Tally;
use iommu::Translated;
use iommu::Unit;
use memory::HostMemory;
use mirror::Mirror;
use space::AddressSpace;
use space::Behind;
use space::Part;
use space::Shape;
use space::Shows;
use space::Slots;
use space::SpaceError;
use space::Trap;
use space::Window;
use space::WindowId;
use vfio_abi::info::region;

use crate::acpi;
use crate::acpi::check::SystemError;
use crate::acpi::system::System;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::backend::enabled::Enabled;
use crate::discover::Inventory;
use crate::discover::Region;
use crate::plan;
use crate::plan::Bar;
use crate::plan::Kind;
use crate::plan::Plan;
use crate::plan::bar::Piece;
use crate::plan::bar::Reach as How;
use crate::plan::iommu::Way;
use crate::plan::life::OnLoss;
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
    pub(crate) bar_reach: Arc<BarReach>,
    dma: Vec<Reach>,
    windows: Vec<Window>,
    enabled: Vec<Enabled>,
    /// The BARs, by device and number, as the guest may move them.
    pub(crate) bars: Vec<(usize, u8, WindowId)>,
    /// What the devices are.
    pub(crate) devices: Vec<Attached>,
    /// Where everything is.
    pub(crate) space: AddressSpace,
    /// What devices may reach, and who they are.
    pub(crate) requesters: Requesters,
    /// SMMUs, in the order of the plan.
    pub(crate) smmus: Vec<Arc<Unit>>,
    ram: Arc<Pieces>,
    bar_memory: Vec<BarMemory>,
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
    let requesters = requesters(&plan, &devices);
    let mut mappings = Mappings {
        bar_reach: Arc::default(),
        dma: Vec::new(),
        windows: Vec::new(),
        enabled: Vec::new(),
        bars: Vec::new(),
        devices,
        space: AddressSpace::new(slots, plan.machine.page_size),
        requesters,
        smmus: Vec::new(),
        ram: Arc::default(),
        bar_memory: Vec::new(),
        low_ram: ram.clone(),
        plan,
    };
    mappings.map_smmus()?;
    mappings.map_ram(&ram)?;
    mappings.put_tables()?;
    mappings.map_devices()?;
    mappings.give_bars()?;
    Ok(mappings)
}

/// The devices, none of them behind an SMMU yet.
fn requesters(plan: &Plan, devices: &[Attached]) -> Requesters {
    let one = |(planned, device): (&plan::Device, &Attached)| Requester {
        name: planned.name.clone(),
        backend: device.backend.clone(),
        behind: None,
    };
    Requesters { requesters: plan.devices.iter().zip(devices).map(one).collect(), decided: plan.dma.clone() }
}

/// Whether a device was lost and is out of the machine.
pub(crate) fn is_gone(plan: &Plan, devices: &[Attached], index: usize) -> bool {
    let stays = plan.devices.get(index).is_none_or(|planned| planned.on_loss == OnLoss::Fail);
    !stays && devices.get(index).is_some_and(|device| device.backend.is_lost())
}

/// All I/O virtual addresses but the last page's, behind which a span could not end.
fn everything() -> Option<Span<Iova>> {
    Span::new(Iova::new(0), u64::MAX - 0xfff)
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
            bar_reach, enabled, bars, devices, space, smmus, plan,
            dma: _, windows: _, requesters: _, ram: _, bar_memory: _, low_ram: _,
        } = self;
        let here = |index: &usize| !is_gone(plan, devices, *index);
        for owner in 0..devices.len() {
            bar_reach.decode(owner, false)?;
        }
        space.place(&bars.iter().map(|(.., window)| (*window, None)).collect::<Vec<_>>());
        enabled.iter().for_each(Enabled::put_back);
        smmus.iter().for_each(|smmu| smmu.reset());
        for (_, device) in devices.iter().enumerate().filter(|(index, _)| here(index)) {
            device.wake()?;
            device.backend.lock().reset()?;
        }
        for (_, enabled) in enabled.iter().enumerate().filter(|(index, _)| here(index)) {
            enabled.again()?;
        }
        let planned = |(device, index, window): &(usize, u8, WindowId)| {
            let mut bars = plan.devices.get(*device)?.bars.iter();
            Some((*window, Some(bars.find(|bar| bar.index == *index)?.span.start())))
        };
        let there = bars.iter().filter(|(device, ..)| here(device));
        space.place(&there.filter_map(planned).collect::<Vec<_>>());
        for owner in (0..devices.len()).filter(here) {
            bar_reach.decode(owner, true)?;
        }
        self.put_tables()
    }

    /// Another connection has taken the place of a device's, and was given what that one was: brings the device to
    /// work, and lets its BARs, which are out, show what it has now. Nobody reaches them yet.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub(crate) fn renew(&mut self, index: usize, inventory: Inventory) -> Result<(), MapError> {
        let found = self.devices.get_mut(index).zip(self.plan.devices.get(index).cloned());
        let Some((device, planned)) = found else { return Ok(()) };
        device.inventory = inventory;
        device.wake()?;
        self.enabled.get(index).map_or(Ok(()), Enabled::again)?;
        self.bar_memory.clear();
        for bar in &planned.bars {
            let mut parts = Vec::new();
            for piece in &bar.pieces {
                parts.push(self.part(index, &planned, bar, piece)?);
            }
            let ours =
                |(device, number, _): &&(usize, u8, WindowId)| (*device, *number) == (index, bar.index);
            if let Some((.., window)) = self.bars.iter().find(ours) {
                self.space.show_instead(*window, parts);
            }
        }
        self.bar_reach.renew(index, std::mem::take(&mut self.bar_memory));
        Ok(())
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
            self.dma.extend(self.requesters.give(&name, span, &memory)?);
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

    /// Devices behind an SMMU may ask for anything, or are given it; they get what the SMMU and the plan let them
    /// reach.
    fn map_smmus(&mut self) -> Result<(), MapError> {
        for (index, smmu) in self.plan.smmus.clone().into_iter().enumerate() {
            let unit = Arc::new(Unit::new(self.ram.clone()));
            self.smmus.push(unit.clone());
            self.enter(&smmu.name, |space| space.trap(smmu.registers, Trap::Smmu(index)))?;
            for (requester, planned) in self.requesters.requesters.iter_mut().zip(&self.plan.devices) {
                if smmu.bridge != Some(planned.bridge) {
                    continue;
                }
                let reach = Arc::new(Pieces::default());
                let stream = planned.bdf.requester_id().into();
                requester.behind = Some(Arc::new(BehindSmmu::new(unit.clone(), reach.clone())));
                if smmu.reach == Way::Mirror {
                    unit.mirror(Mirror::new(requester.backend.clone(), stream, reach))?;
                    continue;
                }
                let translated = Translated::new(unit.clone(), stream, reach);
                let Some(all) = everything() else { continue };
                requester.backend.lock().dma_ask(all, Arc::new(translated))?;
                self.dma.push(Reach::Mapped(requester.backend.clone(), all));
            }
        }
        Ok(())
    }

    fn map_devices(&mut self) -> Result<(), MapError> {
        for index in 0..self.devices.len() {
            let Some(device) = self.devices.get(index) else { continue };
            self.enabled.push(Enabled::with_requests(&device.backend)?);
            self.map_bars(index)?;
        }
        self.map_bridges()?;
        let ecam = self.plan.map.iter().find(|placed| placed.kind == Kind::Ecam).map(|placed| placed.span);
        if let Some(span) = ecam {
            self.enter("ecam", |space| space.trap(span, Trap::Ecam))?;
        }
        Ok(())
    }

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
        Ok(())
    }

    fn map_bars(&mut self, index: usize) -> Result<(), MapError> {
        let Some(planned) = self.plan.devices.get(index).cloned() else { return Ok(()) };
        let port = self.plan.bridges.get(planned.bridge).map(|bridge| &bridge.port);
        let forwarded = port.map(|port| port.memory.into_iter().chain(port.prefetchable));
        let forwarded: Vec<_> = forwarded.into_iter().flatten().collect();
        for bar in &planned.bars {
            let mut parts = Vec::new();
            for piece in &bar.pieces {
                parts.push(self.part(index, &planned, bar, piece)?);
            }
            let name = format!("{} bar{}", planned.name, bar.index);
            let id = self.enter(&name, |space| space.bar(bar.span, forwarded.clone(), parts))?;
            self.bars.push((index, bar.index, id));
        }
        Ok(())
    }

    /// What other devices may reach of a BAR, where the plan puts it.
    fn remember(
        &mut self,
        (owner, planned, bar): (usize, &plan::Device, &Bar),
        offset: u64,
        memory: &HostMemory,
    ) {
        let start = bar.span.start().checked_add(offset);
        let name = format!("{} bar{}", planned.name, bar.index);
        let span = start.and_then(|start| Span::new(start, memory.size()));
        self.bar_memory.extend(span.map(|span| BarMemory { owner, name, span, memory: memory.clone() }));
    }

    fn part(
        &mut self,
        device: usize,
        planned: &plan::Device,
        bar: &Bar,
        piece: &Piece,
    ) -> Result<Part, MapError> {
        let range = piece.range.clone();
        let region = u32::from(bar.index);
        let trap = |behind| Shows::Trap(Trap::Region(behind));
        let (shows, priority) = match piece.reach {
            How::Mapped => {
                let found = self.devices.get(device).and_then(|device| device.inventory.region(region));
                let error = |error| MapError::Region { device: planned.name.clone(), region, error };
                let size = range.end.saturating_sub(range.start);
                let memory = memory_of(found, range.start, size).map_err(error)?;
                self.remember((device, planned, bar), range.start, &memory);
                (Shows::Memory(memory), 0)
            }
            How::Trapped => (trap(Behind { device, region, offset: range.start, shape: Shape::Any }), 0),
            How::Overlay => {
                let region = planned.overlay.region;
                (trap(Behind { device, region, offset: 0, shape: Shape::Dwords }), plan::OVERLAY_PRIORITY)
            }
        };
        let priority = i32::try_from(priority).unwrap_or(i32::MAX);
        Ok(Part { range, priority, shows })
    }

    /// Devices reach each other's BARs, which all decode now.
    fn give_bars(&mut self) -> Result<(), MapError> {
        let memory = std::mem::take(&mut self.bar_memory);
        self.bar_reach = Arc::new(BarReach::new(self.requesters.clone(), memory));
        for index in 0..self.devices.len() {
            self.bar_reach.decode(index, true)?;
        }
        Ok(())
    }

    fn enter(
        &mut self,
        name: &str,
        enter: impl FnOnce(&AddressSpace) -> Result<Window, SpaceError>,
    ) -> Result<WindowId, MapError> {
        let window = enter(&self.space).map_err(|error| MapError::Space { name: name.to_owned(), error })?;
        let id = window.id();
        self.windows.push(window);
        Ok(id)
    }
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
