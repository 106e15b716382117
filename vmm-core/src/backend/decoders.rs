//! The HDM decoders that a guest sees where the device's own cannot be programmed.
//!
//! Some kernels show a decoder as the hardware has it, with the host's address in its base, and take no write to
//! it. The machine then keeps the HDM decoder capability itself: this backend answers for it, and lets everything
//! else through.
//!
//! A decoder begins as the kernel of April 2026 shows one: without a base, and unlocked though host firmware locked
//! it. From then on it is hardware:
//!
//! ```text
//!  found committed ─▶ Moving ──┐            commit, no lock
//!    takes a base      control │ ┌────────────────────────────▶ Committed
//!                      written ▼ │ ◀──── commit cleared ───────  base, size, skip frozen
//!  found open ───────────────▶ Open
//!                                │ commit, lock
//!                                └────────────────────────────▶ Locked, until reset: takes nothing
//! ```
//!
//! A commit is never refused: the machine commits one range that it has checked, and what a guest does with another
//! decoder reaches no memory. Accesses are aligned dwords; others are refused.

use std::fs::File;
use std::sync::Arc;

use arbitrary_int::u4;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;
use cxl_spec::register::Attribute;
use cxl_spec::register::Field;
use vfio_abi::cxl::Extent;
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;

use super::Backend;
use super::BackendError;
use super::Call;
use super::DmaMemory;
use super::Failure;
use super::Given;
use super::Shared;
use super::irqs::IoEvent;
use super::irqs::IrqChange;
use crate::discover::Inventory;
use crate::discover::cxl;

/// Length of a dword.
const DWORD: u64 = 4;

/// How many dwords a decoder has.
const DWORDS: usize = hdm::DECODER.len();

/// A device whose HDM decoders are the machine's, or its own if they can be programmed.
#[derive(Debug)]
pub struct HdmDecoders {
    name: String,
    inner: Shared,
    /// As it is after reset; nothing if the device's own decoders can be programmed.
    found: Option<Block>,
    now: Option<Block>,
}

/// The HDM decoder capability, and where it is.
#[derive(Clone, Debug)]
struct Block {
    region: u32,
    start: u64,
    end: u64,
    capability: hdm::Capability,
    global: hdm::GlobalControl,
    decoders: Vec<Decoder>,
}

/// A decoder.
#[derive(Clone, Debug)]
struct Decoder {
    dwords: [u32; DWORDS],
    /// It is committed and waits for its base.
    moving: bool,
}

impl HdmDecoders {
    /// Stands before a device that was found to be this.
    pub fn new(inner: Shared, inventory: &Inventory) -> Self {
        let name = inner.lock().name().to_owned();
        let found = inventory.cxl.as_ref().and_then(|cxl| Block::of(cxl, inventory));
        Self { name, inner, now: found.clone(), found }
    }

    /// What the decoders have of an access; nothing if it is all the device's.
    fn touched(&self, region: u32, offset: u64, count: usize) -> Option<&Block> {
        let end = offset.saturating_add(count as u64);
        let touches = |block: &&Block| region == block.region && offset < block.end && block.start < end;
        self.now.as_ref().filter(touches).filter(|_| count > 0)
    }

    /// Whether the access is one of whole dwords.
    fn check_dwords(&self, call: Call, offset: u64, count: usize) -> Result<(), BackendError> {
        if offset.is_multiple_of(DWORD) && (count as u64).is_multiple_of(DWORD) {
            return Ok(());
        }
        Err(BackendError { device: self.name.clone(), call, failure: Failure::Refused(Errno::EINVAL) })
    }
}

impl Block {
    fn of(cxl: &cxl::Cxl, inventory: &Inventory) -> Option<Self> {
        let description = &cxl.description;
        let rest = cxl.rest.as_ref()?;
        let region = description.registers;
        let end = match description.extent {
            // All of the region is the capability, whatever is behind the last decoder.
            Extent::Decoders => inventory.region(region)?.size,
            Extent::ArrayAndDecoders | Extent::Block => {
                let count = u8::try_from(cxl.decoders.len()).ok()?;
                cxl.hdm.checked_add(hdm::length(count))?
            }
        };
        let found = cxl.found_decoders();
        Some(Self {
            region,
            start: cxl.hdm,
            end,
            capability: rest.capability,
            global: rest.global,
            decoders: found.iter().zip(&rest.skips).map(|(found, skip)| Decoder::of(found, *skip)).collect(),
        })
    }

    /// The offset in the capability of an offset in the region.
    fn inside(&self, offset: u64) -> Option<u64> {
        offset.checked_sub(self.start).filter(|_| offset < self.end)
    }

    fn read(&self, offset: u64) -> u32 {
        match offset {
            hdm::CAPABILITY => self.capability.raw(),
            hdm::GLOBAL_CONTROL => self.global.raw(),
            _ => {
                let decoder =
                    decoder_at(offset).and_then(|(index, at)| self.decoders.get(index).zip(Some(at)));
                decoder.map_or(0, |(decoder, at)| decoder.read(at))
            }
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        if offset == hdm::GLOBAL_CONTROL {
            let written = merged(self.global.raw(), value, hdm::GlobalControl::FIELDS);
            let written = hdm::GlobalControl::new(written);
            let poison = written.poison_on_decode_error() && self.capability.poison_on_decode_error();
            self.global = written.with_poison_on_decode_error(poison);
        }
        let decoder = decoder_at(offset).and_then(|(index, at)| self.decoders.get_mut(index).zip(Some(at)));
        if let Some((decoder, at)) = decoder {
            decoder.write(at, value);
        }
    }
}

/// The number of the decoder at an offset of the capability, and the offset in it.
fn decoder_at(offset: u64) -> Option<(usize, u64)> {
    let inside = offset.checked_sub(hdm::HEADER_SIZE)?;
    Some(((inside / hdm::DECODER_SIZE).try_into().ok()?, inside % hdm::DECODER_SIZE))
}

/// What a register reads after `written` was written over `before`: only what software may write is taken.
pub(crate) fn merged(before: u32, written: u32, fields: &[Field]) -> u32 {
    let writable = fields.iter().filter(|field| matches!(field.attribute, Attribute::Rw | Attribute::Rwl));
    // The registers here have 32 bits, and so have the masks of their fields.
    let mask = writable.fold(0, |mask, field| mask | field.mask() as u32);
    before & !mask | written & mask
}

impl Decoder {
    fn of(found: &cxl::Decoder, skip: u64) -> Self {
        let mut decoder = Self { dwords: [0; DWORDS], moving: found.control.committed() };
        let halves = [
            (hdm::BASE_LOW, hdm::BASE_HIGH, found.base),
            (hdm::SIZE_LOW, hdm::SIZE_HIGH, found.size),
            (hdm::SKIP_LOW, hdm::SKIP_HIGH, skip),
        ];
        for (at_low, at_high, value) in halves {
            let (low, high) = hdm::split(value);
            decoder.put(at_low, low);
            decoder.put(at_high, high);
        }
        decoder.put(hdm::CONTROL, found.control.raw());
        decoder
    }

    fn read(&self, offset: u64) -> u32 {
        usize::try_from(offset / DWORD).ok().and_then(|at| self.dwords.get(at)).copied().unwrap_or(0)
    }

    fn put(&mut self, offset: u64, value: u32) {
        if let Some(dword) = usize::try_from(offset / DWORD).ok().and_then(|at| self.dwords.get_mut(at)) {
            *dword = value;
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        let Some(register) = hdm::DECODER.iter().find(|register| register.offset == offset) else { return };
        let before = self.read(offset);
        let written = merged(before, value, register.fields);
        let is_frozen = hdm::Control::new(self.read(hdm::CONTROL)).committed() && !self.moving;
        if offset == hdm::CONTROL {
            let (before, written) = (hdm::Control::new(before), hdm::Control::new(written));
            self.put(offset, control_written(is_frozen, before, written).raw());
            self.moving = false;
        } else if !is_frozen {
            self.put(offset, written);
        }
    }
}

/// The control register after `written` was written over `before`.
fn control_written(is_frozen: bool, before: hdm::Control, written: hdm::Control) -> hdm::Control {
    match (is_frozen, before.lock_on_commit(), written.commit()) {
        (true, true, _) | (true, false, true) => before,
        (true, false, false) => before.with_commit(false).with_committed(false),
        (false, _, commit) => {
            // These decoders do neither back-invalidate nor unordered I/O, so there is no set to have a position in.
            let written = written.with_set_position(u4::new(0));
            written.with_committed(commit).with_error_not_committed(false)
        }
    }
}

impl Backend for HdmDecoders {
    fn name(&self) -> &str {
        &self.name
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        self.inner.lock().device_info()
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        self.inner.lock().region_info(index)
    }

    fn keeps_files(&self) -> bool {
        self.inner.lock().keeps_files()
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        self.inner.lock().irq_info(index)
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let Some(block) = self.touched(region, offset, buffer.len()) else {
            return self.inner.lock().read(region, offset, buffer);
        };
        self.check_dwords(Call::Read { region, offset, count: buffer.len() }, offset, buffer.len())?;
        for (at, dword) in (offset..).step_by(DWORD as usize).zip(buffer.chunks_exact_mut(DWORD as usize)) {
            match block.inside(at) {
                Some(inside) => dword.copy_from_slice(&block.read(inside).to_le_bytes()),
                None => self.inner.lock().read(region, at, dword)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        if self.touched(region, offset, data.len()).is_none() {
            return self.inner.lock().write(region, offset, data);
        }
        self.check_dwords(Call::Write { region, offset, count: data.len() }, offset, data.len())?;
        for (at, bytes) in (offset..).step_by(DWORD as usize).zip(data.chunks_exact(DWORD as usize)) {
            let inside = self.now.as_ref().and_then(|block| block.inside(at));
            match (&mut self.now, inside) {
                (Some(block), Some(inside)) => {
                    let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                    block.write(inside, value);
                }
                _ => self.inner.lock().write(region, at, bytes)?,
            }
        }
        Ok(())
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        self.inner.lock().dma_map(range, file, offset, allowed)
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        self.inner.lock().dma_ask(range, memory)
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        self.inner.lock().attend()
    }

    fn lost(&self) -> Option<BackendError> {
        self.inner.lock().lost()
    }

    fn given(&self) -> Vec<Given> {
        self.inner.lock().given()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        self.inner.lock().dma_unmap(range)
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        self.inner.lock().set_irqs(change)
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        self.inner.lock().io_events(region)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.inner.lock().reset()?;
        self.now.clone_from(&self.found);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
