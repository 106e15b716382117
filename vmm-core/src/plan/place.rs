//! One device: whether it can be attached, and what becomes of its parts at their places.

use std::ops::Range;

use cxl_spec::address::Bdf;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::pci;
use vfio_abi::cxl::Committed;
use vfio_abi::cxl::Description;

use super::Bar;
use super::Device;
use super::Overlay;
use super::PlanError;
use super::Refusal;
use super::Window;
use super::bar;
use super::bar::Reach;
use super::bridge::Wanted;
use super::defect::Defect;
use super::life::Committer;
use super::life::OnLoss;
use super::machine::Machine;
use super::programme::Programme;
use crate::discover::Inventory;
use crate::discover::Region;
use crate::discover::config as discovered;
use crate::discover::cxl::Cxl;

/// A device that can be attached.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    name: &'a str,
    inventory: &'a Inventory,
    cxl: &'a Cxl,
    memory: &'a Region,
    committer: Committer,
    on_loss: OnLoss,
}

/// A device's BARs and memory, once they have their places, and what there is to say about them.
pub(super) struct Shown<'a> {
    machine: &'a Machine,
    notes: Vec<String>,
}

fn refused(device: &str, why: Refusal) -> PlanError {
    PlanError::Refused { device: device.to_owned(), why }
}

impl<'a> Candidate<'a> {
    /// The device, if it can be attached.
    pub(super) fn new(machine: &Machine, name: &'a str, inventory: &'a Inventory) -> Result<Self, PlanError> {
        let cxl = inventory.cxl.as_ref().ok_or_else(|| refused(name, Refusal::NotCxl))?;
        let committer = match machine.has(Defect::UncommittedTaken) && !cxl.firmware_committed {
            true => Committer::Guest,
            false => machine.life.committer(name),
        };
        if !cxl.firmware_committed && committer == Committer::Machine {
            let flag = match cxl.description.committed {
                Committed::Flag { name, .. } => name,
                Committed::Decoder => "COMMITTED",
            };
            return Err(refused(name, Refusal::NotCommitted(flag)));
        }
        if !cxl.mem_enable {
            return Err(refused(name, Refusal::MemoryOff { locked: cxl.config_lock }));
        }
        let mut others = (0u64..).zip(&cxl.decoders).skip(1);
        if let Some((index, _)) = others.find(|(_, other)| other.control.committed()) {
            return Err(refused(name, Refusal::AnotherDecoder(index)));
        }
        let memory = inventory
            .region(cxl.description.memory)
            .filter(|region| region.size.is_multiple_of(hdm::GRANULE));
        let size = inventory.region(cxl.description.memory).map_or(0, |region| region.size);
        let memory = memory.ok_or_else(|| refused(name, Refusal::MemorySize(size)))?;
        let decoder = cxl.decoders.first();
        let ways = decoder.map_or(0, |decoder| decoder.control.interleave_ways().value());
        if ways != 0 {
            return Err(refused(name, Refusal::Interleaved(ways)));
        }
        let decoder = decoder.map_or(0, |decoder| decoder.size);
        // What the guest commits has the size that the guest gives it.
        if decoder != memory.size && committer == Committer::Machine {
            return Err(refused(name, Refusal::DecoderSize { decoder, memory: memory.size }));
        }
        let on_loss = machine.life.on_loss(name);
        Ok(Self { name, inventory, cxl, memory, committer, on_loss })
    }

    /// What the component registers cover of a BAR, by offsets in it.
    fn overlay(&self, bar: u8) -> Option<Range<u64>> {
        let Description { registers, bar: holder, offset, .. } = self.cxl.description;
        let registers = self.inventory.region(registers)?.size;
        (holder == bar).then(|| offset..offset.saturating_add(registers))
    }

    /// Where the table of MSI-X and the pending bits are in a BAR: the machine has its own.
    fn msix_parts(&self, bar: u8) -> Vec<Range<u64>> {
        let places = self.inventory.config.msix.iter().flat_map(|msix| [msix.table, msix.pending]);
        let inside = places.filter(|place| place.bar == bar);
        inside.map(|place| place.offset..place.offset.saturating_add(place.size)).collect()
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// The length of its memory.
    pub(super) fn memory(&self) -> u64 {
        self.memory.size
    }

    /// Its memory is kept coherent by back-invalidation.
    pub(super) fn back_invalidates(&self) -> bool {
        self.cxl.capabilities.iter().any(|capability| capability.id == array::id::BACK_INVALIDATE)
    }

    /// It cannot be attached, and why.
    pub(super) fn refused(&self, why: Refusal) -> PlanError {
        refused(self.name, why)
    }

    /// The BARs that want a place.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let bars = &self.inventory.config.bars;
        let exists = bars.iter().filter(|bar| self.inventory.region(bar.index.into()).is_some());
        let high = |bar: &discovered::Bar| bar.is_64_bit && bar.prefetchable;
        exists.map(|bar| Wanted { index: bar.index, size: bar.size, high: high(bar) }).collect()
    }

    /// The device below `bridge`, with its parts at their places.
    pub(super) fn device(
        &self,
        function: (Bdf, Span<Gpa>),
        bridge: usize,
        bars: Vec<Bar>,
        (fixed_window, window): (Span<Gpa>, Window),
    ) -> Result<Device, PlanError> {
        let (bdf, config) = function;
        let description = &self.cxl.description;
        // Discovery has seen that the component registers lie in a BAR; only a port BAR is none in memory.
        let no_memory = || self.refused(Refusal::PortBar(description.bar));
        let holder = bars.iter().find(|bar| bar.index == description.bar).ok_or_else(no_memory)?;
        let start = holder.span.start();
        let covered = self.overlay(description.bar).and_then(|range| {
            Span::new(start.checked_add(range.start)?, range.end.checked_sub(range.start)?)
        });
        let programme = Programme {
            region: description.registers,
            decoder: self.cxl.hdm.saturating_add(hdm::decoder_offset(0)),
            window: window.span,
        };
        let span = covered.ok_or_else(no_memory)?;
        let mut capabilities = self.inventory.config.capabilities.iter();
        let express = capabilities.find(|capability| capability.id == pci::capability::EXPRESS);
        let mut extended = self.inventory.config.extended.iter();
        Ok(Device {
            name: self.name.to_owned(),
            bdf,
            config,
            bridge,
            overlay: Overlay { region: description.registers, bar: description.bar, span },
            component: start.checked_add(self.cxl.component).ok_or_else(no_memory)?,
            bars,
            window,
            programme,
            device_dvsec: self.cxl.device_dvsec,
            express: express.map(|capability| capability.offset.into()),
            ats: extended.any(|capability| capability.id == pci::extended_capability::ATS),
            committer: self.committer,
            on_loss: self.on_loss,
            fixed_window,
            msix: self.inventory.config.msix.clone(),
        })
    }
}

impl<'a> Shown<'a> {
    /// Nothing is said yet.
    pub(super) fn new(machine: &'a Machine) -> Self {
        Self { machine, notes: Vec::new() }
    }

    /// What there is to say.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// The BARs of a device at these places.
    pub(super) fn bars(
        &mut self,
        candidate: &Candidate<'_>,
        places: &[(u8, Span<Gpa>)],
    ) -> Result<Vec<Bar>, PlanError> {
        let mut bars = Vec::new();
        for bar in &candidate.inventory.config.bars {
            let place = places.iter().find(|(index, _)| *index == bar.index);
            let region = candidate.inventory.region(bar.index.into());
            let Some(((_, span), region)) = place.zip(region) else { continue };
            let page = self.machine.page_size;
            let trapped = candidate.msix_parts(bar.index);
            let areas = bar::without(self.mappable(candidate.name, region)?, &trapped, page);
            let overlay = candidate.overlay(bar.index);
            bars.push(Bar {
                index: bar.index,
                is_64_bit: bar.is_64_bit,
                prefetchable: bar.prefetchable,
                span: *span,
                pieces: bar::pieces(bar.size, &areas, overlay, page),
            });
        }
        Ok(bars)
    }

    /// The memory of a device at the start of its window.
    pub(super) fn window(
        &mut self,
        candidate: &Candidate<'_>,
        window: Span<Gpa>,
    ) -> Result<Window, PlanError> {
        let Region { index, size, .. } = *candidate.memory;
        let areas = self.mappable(candidate.name, candidate.memory)?;
        let pieces = bar::pieces(size, &areas, None, self.machine.page_size);
        let mapped = pieces.iter().all(|piece| piece.reach == Reach::Mapped);
        if !mapped && !areas.is_empty() {
            let name = candidate.name;
            self.notes
                .push(format!("{name}: not all of region {index} can be mapped: every access is a call"));
        }
        // A window is at least as long as the memory, which was not empty when it was found.
        let span = Span::new(window.start(), size).unwrap_or(window);
        Ok(Window { span, region: index, mapped })
    }

    /// What of a region can be mapped. Where the device promises a mapping that cannot be trusted, nothing.
    fn mappable(&mut self, name: &str, region: &Region) -> Result<Vec<Range<u64>>, PlanError> {
        let refuse = |error| refused(name, Refusal::Sparse { region: region.index, error });
        let areas = bar::sorted(&region.areas, region.size).map_err(refuse)?;
        if areas.is_empty() || region.mapping_is_safe {
            return Ok(areas);
        }
        let index = region.index;
        self.notes.push(match region.file {
            None => format!(
                "{name}: region {index} can be mapped but came without a file: every access is a call"
            ),
            Some(_) => {
                format!("{name}: the file of region {index} can become shorter: every access is a call")
            }
        });
        Ok(Vec::new())
    }
}
