//! One device: whether it can be attached, and where its parts go.

use std::ops::Range;

use cxl_spec::address::Span;
use cxl_spec::component::hdm;
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
use super::layout::Cursor;
use super::machine;
use super::machine::Machine;
use super::programme::Programme;
use crate::discover::Inventory;
use crate::discover::Region;
use crate::discover::cxl::Cxl;

/// A device that can be attached.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    name: &'a str,
    inventory: &'a Inventory,
    cxl: &'a Cxl,
    memory: &'a Region,
}

/// Where the next BAR and the next window go, and what there is to say about those that went.
pub(super) struct Places<'a> {
    machine: &'a Machine,
    bars_32: Cursor,
    high: Cursor,
    notes: Vec<String>,
}

fn refused(device: &str, why: Refusal) -> PlanError {
    PlanError::Refused { device: device.to_owned(), why }
}

impl<'a> Candidate<'a> {
    /// The device, if it can be attached.
    pub(super) fn new(name: &'a str, inventory: &'a Inventory) -> Result<Self, PlanError> {
        let cxl = inventory.cxl.as_ref().ok_or_else(|| refused(name, Refusal::NotCxl))?;
        if !cxl.firmware_committed {
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
        if decoder != memory.size {
            return Err(refused(name, Refusal::DecoderSize { decoder, memory: memory.size }));
        }
        Ok(Self { name, inventory, cxl, memory })
    }

    /// What the component registers cover of a BAR, by offsets in it.
    fn overlay(&self, bar: u8) -> Option<Range<u64>> {
        let Description { registers, bar: holder, offset, .. } = self.cxl.description;
        let registers = self.inventory.region(registers)?.size;
        (holder == bar).then(|| offset..offset.saturating_add(registers))
    }

    /// The device as number `slot`, with its parts at their places.
    pub(super) fn device(&self, slot: usize, bars: Vec<Bar>, window: Window) -> Result<Device, PlanError> {
        let no_slot = || refused(self.name, Refusal::NoSlot);
        let slot = u8::try_from(slot).ok().and_then(|slot| slot.checked_add(1)).ok_or_else(no_slot)?;
        let (bdf, at) = Machine::function(slot).ok_or_else(no_slot)?;
        let config = Span::new(at, machine::ECAM_FUNCTION_SIZE).ok_or_else(no_slot)?;
        let description = &self.cxl.description;
        // Discovery has seen that the component registers lie in a BAR; only a port BAR is none in memory.
        let holder = bars.iter().find(|bar| bar.index == description.bar);
        let holder = holder.ok_or_else(|| refused(self.name, Refusal::PortBar(description.bar)))?;
        let start = holder.span.start();
        let covered = self.overlay(description.bar).and_then(|range| {
            Span::new(start.checked_add(range.start)?, range.end.checked_sub(range.start)?)
        });
        let programme = Programme {
            region: description.registers,
            decoder: self.cxl.hdm.saturating_add(hdm::decoder_offset(0)),
            window: window.span,
        };
        Ok(Device {
            name: self.name.to_owned(),
            bdf,
            config,
            overlay: Overlay {
                region: description.registers,
                bar: description.bar,
                span: covered.ok_or_else(|| refused(self.name, Refusal::PortBar(description.bar)))?,
            },
            component: start
                .checked_add(self.cxl.component)
                .ok_or_else(|| refused(self.name, Refusal::PortBar(description.bar)))?,
            bars,
            window,
            programme,
            device_dvsec: self.cxl.device_dvsec,
        })
    }
}

impl<'a> Places<'a> {
    /// All places of a machine are free.
    pub(super) fn new(machine: &'a Machine) -> Self {
        let (start, end) = machine::BARS_32;
        let above_ram = machine::HIGH_RAM + machine.ram.saturating_sub(machine::LOW_RAM_END);
        let high = above_ram.next_multiple_of(machine::BARS_64_ALIGNMENT);
        let high = Cursor::new(high, machine.limit());
        Self { machine, bars_32: Cursor::new(start, end), high, notes: Vec::new() }
    }

    /// What there is to say.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// Places the BARs of a device.
    pub(super) fn bars(&mut self, candidate: &Candidate<'_>) -> Result<Vec<Bar>, PlanError> {
        let mut bars = Vec::new();
        for bar in &candidate.inventory.config.bars {
            let Some(region) = candidate.inventory.region(bar.index.into()) else { continue };
            let limit = if bar.is_64_bit { self.machine.limit() } else { machine::BARS_32.1 };
            let cursor = if bar.is_64_bit { &mut self.high } else { &mut self.bars_32 };
            // A page of its own each, so that what is mapped of one is never beside what traps of another.
            let span = cursor.place(bar.size, bar.size.max(self.machine.page_size));
            let name = || format!("{} bar{}", candidate.name, bar.index);
            let span = span.ok_or_else(|| PlanError::NoRoom { name: name(), size: bar.size, limit })?;
            let areas = self.mappable(candidate.name, region)?;
            let overlay = candidate.overlay(bar.index);
            bars.push(Bar {
                index: bar.index,
                is_64_bit: bar.is_64_bit,
                prefetchable: bar.prefetchable,
                span,
                pieces: bar::pieces(bar.size, &areas, overlay, self.machine.page_size),
            });
        }
        Ok(bars)
    }

    /// Places the memory of a device.
    pub(super) fn window(&mut self, candidate: &Candidate<'_>) -> Result<Window, PlanError> {
        let Region { index, size, .. } = *candidate.memory;
        let areas = self.mappable(candidate.name, candidate.memory)?;
        let pieces = bar::pieces(size, &areas, None, self.machine.page_size);
        let mapped = pieces.iter().all(|piece| piece.reach == Reach::Mapped);
        if !mapped && !areas.is_empty() {
            let name = candidate.name;
            self.notes
                .push(format!("{name}: not all of region {index} can be mapped: every access is a call"));
        }
        let span = self.high.place(size, hdm::GRANULE).ok_or_else(|| PlanError::NoRoom {
            name: format!("{} window", candidate.name),
            size,
            limit: self.machine.limit(),
        })?;
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
