//! One device in the machine: all that is done for it before its memory is there, as one value.
//!
//! ```text
//!  join: what it may reach ─▶ command register ─▶ BARs in the guest ─▶ BARs to whoever may reach them
//! ```

use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;

use super::Attached;
use super::MapError;
use super::Mappings;
use super::dma::BarMemory;
use super::dma::BarReach;
use super::dma::Member;
use super::dma::Pieces;
use super::dma::Reach;
use super::dma::Requester;
use super::iommu::Behind as BehindSmmu;
use super::iommu::Mirrored;
use super::iommu::Translated;
use super::iommu::Unit;
use super::memory_of;
use super::mirror::Mirror;
use super::space::AddressSpace;
use super::space::Behind;
use super::space::Part;
use super::space::Shape;
use super::space::Shows;
use super::space::Trap;
use super::space::Window;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::backend::enabled::Enabled;
use crate::discover::Inventory;
use crate::plan;
use crate::plan::Bar;
use crate::plan::bar::Piece;
use crate::plan::bar::Reach as How;
use crate::plan::iommu::Way;

/// A device in the machine. Dropping it takes everything of it out.
#[derive(Debug)]
pub(crate) struct Mapped {
    // Fields are dropped in this order.
    /// What devices reach of its BARs.
    pub(crate) bar_reach: Arc<BarReach>,
    _way: Translation,
    _member: Member,
    /// Its BARs by their numbers, as the guest may move them.
    pub(crate) bars: Vec<(u8, Window)>,
    enabled: Option<Enabled>,
    /// What it is.
    pub(crate) attached: Attached,
}

/// What a device's accesses go through.
#[derive(Debug)]
enum Translation {
    /// Nothing.
    Straight,
    /// An SMMU that it asks.
    Asks { _all: Reach },
    /// An SMMU whose tables are mirrored in it.
    Mirrored { _mirror: Mirrored },
}

/// All I/O virtual addresses but the last page's, behind which a span could not end.
fn everything() -> Option<Span<Iova>> {
    Span::new(Iova::new(0), u64::MAX - 0xfff)
}

impl Mapped {
    /// The device with this number in the plan, in a machine that has everything but it.
    pub(super) fn new(machine: &Mappings, number: usize, attached: Attached) -> Result<Self, MapError> {
        let devices = machine.plan.devices.len();
        let other = || MapError::OtherDevices { planned: devices, given: number.saturating_add(1) };
        let planned = machine.plan.devices.get(number).ok_or_else(other)?;
        let (way, behind) = way(machine, planned, &attached.backend)?;
        let name = planned.name.clone();
        let requester = Requester { name, backend: attached.backend.clone(), behind };
        let member = machine.exchange.join(number, requester)?;
        let enabled = Some(Enabled::with_requests(&attached.backend)?);
        let (mut bars, mut memory) = (Vec::new(), Vec::new());
        for bar in &planned.bars {
            let shown = Shown { number, planned, attached: &attached, bar };
            bars.push((bar.index, shown.enter(machine, &mut memory)?));
        }
        let bar_reach = Arc::new(BarReach::new(machine.exchange.clone(), memory));
        let mapped = Self { bar_reach, _way: way, _member: member, bars, enabled, attached };
        mapped.bar_reach.decode(true)?;
        Ok(mapped)
    }

    /// Nothing of the device is seen any more, and its command register is as it was found.
    pub(super) fn take_out(&mut self, space: &AddressSpace) {
        // Nothing is given, so nobody refuses.
        let _ = self.bar_reach.decode(false);
        space.place(&self.bars.iter().map(|(_, window)| (window.id(), None)).collect::<Vec<_>>());
        self.enabled = None;
    }

    /// Another connection has taken the place of the device's, and was given what that one was: brings the device to
    /// work, and lets its BARs, which are out, show what it has now. Nobody reaches them yet.
    pub(super) fn renew(
        &mut self,
        (number, planned): (usize, &plan::Device),
        space: &AddressSpace,
        inventory: Inventory,
    ) -> Result<(), MapError> {
        self.attached.inventory = inventory;
        self.attached.wake()?;
        match &self.enabled {
            Some(enabled) => enabled.again()?,
            // It was lost in a reset.
            None => self.enabled = Some(Enabled::with_requests(&self.attached.backend)?),
        }
        let mut memory = Vec::new();
        for bar in &planned.bars {
            let parts = Shown { number, planned, attached: &self.attached, bar }.parts(&mut memory)?;
            if let Some((_, window)) = self.bars.iter().find(|(index, _)| *index == bar.index) {
                space.show_instead(window.id(), parts);
            }
        }
        self.bar_reach.renew(memory);
        Ok(())
    }

    /// The device answers again, where it was planned.
    pub(super) fn bring_back(&mut self, space: &AddressSpace) -> Result<(), BackendError> {
        self.enabled = Some(Enabled::with_requests(&self.attached.backend)?);
        let planned = self.bars.iter().map(|(_, window)| (window.id(), Some(window.span().start())));
        space.place(&planned.collect::<Vec<_>>());
        Ok(())
    }
}

/// What a device's accesses go through, and what it reaches behind that. A device behind an SMMU may ask for anything,
/// or is given it; it gets what the SMMU and the plan let it reach.
fn way(
    machine: &Mappings,
    planned: &plan::Device,
    backend: &Shared,
) -> Result<(Translation, Option<Arc<BehindSmmu>>), MapError> {
    let mut smmus = machine.plan.smmus.iter().zip(&machine.smmus);
    let Some((smmu, unit)) = smmus.find(|(smmu, _)| smmu.bridge == Some(planned.bridge)) else {
        return Ok((Translation::Straight, None));
    };
    let reach = Arc::new(Pieces::default());
    let behind = Arc::new(BehindSmmu::new(unit.clone(), reach.clone()));
    let stream = planned.bdf.requester_id().into();
    let way = match smmu.reach {
        Way::Mirror => {
            Translation::Mirrored { _mirror: unit.mirror(Mirror::new(backend.clone(), stream, reach))? }
        }
        Way::Ask => asks(unit, stream, reach, backend)?,
    };
    Ok((way, Some(behind)))
}

fn asks(
    unit: &Arc<Unit>,
    stream: u32,
    reach: Arc<Pieces>,
    backend: &Shared,
) -> Result<Translation, BackendError> {
    let Some(all) = everything() else { return Ok(Translation::Straight) };
    backend.lock().dma_ask(all, Arc::new(Translated::new(unit.clone(), stream, reach)))?;
    Ok(Translation::Asks { _all: Reach::Mapped(backend.clone(), all) })
}

/// A BAR that is being put into the guest.
struct Shown<'a> {
    number: usize,
    planned: &'a plan::Device,
    attached: &'a Attached,
    bar: &'a Bar,
}

impl Shown<'_> {
    /// Puts it there, and adds what is memory of it.
    fn enter(&self, machine: &Mappings, memory: &mut Vec<BarMemory>) -> Result<Window, MapError> {
        let parts = self.parts(memory)?;
        let port = machine.plan.bridges.get(self.planned.bridge).map(|bridge| &bridge.port);
        let forwarded = port.map(|port| port.memory.into_iter().chain(port.prefetchable));
        let forwarded = forwarded.into_iter().flatten().collect();
        let opened = machine.space.bar(self.bar.span, forwarded, parts);
        opened.map_err(|error| MapError::Space { name: self.name(), error })
    }

    fn name(&self) -> String {
        format!("{} bar{}", self.planned.name, self.bar.index)
    }

    /// What is seen of it. What of that is memory is added.
    fn parts(&self, memory: &mut Vec<BarMemory>) -> Result<Vec<Part>, MapError> {
        let parts = self.bar.pieces.iter().map(|piece| self.part(piece)).collect::<Result<Vec<_>, _>>()?;
        for part in &parts {
            let Shows::Memory(shown) = &part.shows else { continue };
            let start = self.bar.span.start().checked_add(part.range.start);
            let span = start.and_then(|start| Span::new(start, shown.size()));
            memory.extend(span.map(|span| BarMemory { name: self.name(), span, memory: shown.clone() }));
        }
        Ok(parts)
    }

    fn part(&self, piece: &Piece) -> Result<Part, MapError> {
        let (device, range) = (self.number, piece.range.clone());
        let region = u32::from(self.bar.index);
        let trap = |behind| Shows::Trap(Trap::Region(behind));
        let (shows, priority) = match piece.reach {
            How::Mapped => {
                let found = self.attached.inventory.region(region);
                let name = || self.planned.name.clone();
                let error = |error| MapError::Region { device: name(), region, error };
                let size = range.end.saturating_sub(range.start);
                (Shows::Memory(memory_of(found, range.start, size).map_err(error)?), 0)
            }
            How::Trapped => (trap(Behind { device, region, offset: range.start, shape: Shape::Any }), 0),
            How::Overlay => {
                let region = self.planned.overlay.region;
                (trap(Behind { device, region, offset: 0, shape: Shape::Dwords }), plan::OVERLAY_PRIORITY)
            }
        };
        let priority = i32::try_from(priority).unwrap_or(i32::MAX);
        Ok(Part { range, priority, shows })
    }
}
