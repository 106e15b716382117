//! Third stage: RAM, BARs and configuration space come into being.
//!
//! ```text
//!  Plan ─▶ RAM ─▶ address space ◀─ BAR pieces, overlays, host bridges and ports, ECAM
//!            └──▶ DMA_MAP to every device
//! ```
//!
//! What is mapped is held: [`Mappings`] consists of values each of which undoes itself when dropped, and a stage
//! that fails half-way drops what it has. The devices' own memory is not here yet; the decoder must be programmed
//! first.

pub mod memory;
pub mod space;
pub mod tree;

use std::io;
use std::sync::Arc;

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use memory::HostMemory;
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

use crate::backend::BackendError;
use crate::backend::Shared;
use crate::backend::enabled::Enabled;
use crate::discover::Inventory;
use crate::discover::Region;
use crate::plan;
use crate::plan::Bar;
use crate::plan::Decision;
use crate::plan::Kind;
use crate::plan::Plan;
use crate::plan::bar::Piece;
use crate::plan::bar::Reach;
use crate::ports::Component;

/// A device that is to be attached: how to reach it, and what is known of it.
#[derive(Debug)]
pub struct Attached {
    /// How to reach it.
    pub backend: Shared,
    /// What is known of it.
    pub inventory: Inventory,
}

/// A machine without the devices' memory. Dropping it undoes everything, in reverse order.
#[derive(Debug)]
pub struct Mappings {
    // Fields are dropped in this order.
    windows: Vec<Window>,
    dma: Vec<DmaMapping>,
    enabled: Vec<Enabled>,
    /// The BARs, by device and number, as the guest may move them.
    pub(crate) bars: Vec<(usize, u8, WindowId)>,
    /// What the devices are.
    pub(crate) devices: Vec<Attached>,
    /// Where everything is.
    pub(crate) space: AddressSpace,
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

/// Memory that a device may reach. Dropping it takes it back.
#[derive(Debug)]
struct DmaMapping {
    backend: Shared,
    range: Span<Iova>,
}

impl Drop for DmaMapping {
    fn drop(&mut self) {
        // A device that is gone reaches nothing any more.
        let _ = self.backend.lock().dma_unmap(self.range);
    }
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
        windows: Vec::new(),
        dma: Vec::new(),
        enabled: Vec::new(),
        bars: Vec::new(),
        devices,
        space: AddressSpace::new(slots, plan.machine.page_size),
        low_ram: ram.clone(),
        plan,
    };
    mappings.map_ram(&ram)?;
    mappings.map_devices()?;
    Ok(mappings)
}

impl Mappings {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
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
            self.map_dma(&memory, span)?;
            self.enter(&name, |space| space.map(span, memory))?;
            offset = offset.saturating_add(span.size());
        }
        Ok(())
    }

    fn map_dma(&mut self, memory: &HostMemory, span: Span<Gpa>) -> Result<(), MapError> {
        let decided = self.plan.dma.iter().filter(|dma| dma.span == span && dma.decision == Decision::Map);
        let names: Vec<_> = decided.map(|dma| dma.device.clone()).collect();
        for (device, planned) in self.devices.iter().zip(&self.plan.devices) {
            // Without an IOMMU the device's addresses are the guest's.
            let range = Span::new(Iova::new(span.start().get()), span.size());
            let Some(range) = range.filter(|_| names.contains(&planned.name)) else { continue };
            device.backend.lock().dma_map(range, memory.file(), memory.file_offset())?;
            self.dma.push(DmaMapping { backend: device.backend.clone(), range });
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
            let parts = bar.pieces.iter().map(|piece| self.part(index, &planned, bar, piece));
            let parts = parts.collect::<Result<_, _>>()?;
            let name = format!("{} bar{}", planned.name, bar.index);
            let id = self.enter(&name, |space| space.bar(bar.span, forwarded.clone(), parts))?;
            self.bars.push((index, bar.index, id));
        }
        Ok(())
    }

    fn part(
        &self,
        device: usize,
        planned: &plan::Device,
        bar: &Bar,
        piece: &Piece,
    ) -> Result<Part, MapError> {
        let range = piece.range.clone();
        let region = u32::from(bar.index);
        let trap = |behind| Shows::Trap(Trap::Region(behind));
        let (shows, priority) = match piece.reach {
            Reach::Mapped => {
                let found = self.devices.get(device).and_then(|device| device.inventory.region(region));
                let error = |error| MapError::Region { device: planned.name.clone(), region, error };
                let size = range.end.saturating_sub(range.start);
                (Shows::Memory(memory_of(found, range.start, size).map_err(error)?), 0)
            }
            Reach::Trapped => (trap(Behind { device, region, offset: range.start, shape: Shape::Any }), 0),
            Reach::Overlay => {
                let region = planned.overlay.region;
                (trap(Behind { device, region, offset: 0, shape: Shape::Dwords }), plan::OVERLAY_PRIORITY)
            }
        };
        let priority = i32::try_from(priority).unwrap_or(i32::MAX);
        Ok(Part { range, priority, shows })
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
