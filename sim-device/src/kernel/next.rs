//! The newest shape of vfio-cxl, seen in autumn 2026 and **provisional** ("next"): registers are live, and writes
//! are absorbed.
//!
//! ```text
//!  index 9   device memory        mapped or read and written, while the decoder is committed and decode is on
//!  index 10  component registers  the HDM decoder capability alone: reads are the hardware's, writes do nothing
//!  index 7   configuration        the body of the CXL device DVSEC is a shadow
//! ```
//!
//! There is no device capability: the regions say themselves what they are. **The host's address shows**: the
//! view that a guest has of the decoder is its virtual machine monitor's own.
//!
//! Of the component BAR only the pages that hold the decoders cannot be mapped. The rest of the block can; as a
//! process cannot let others map its registers, what is mapped there is memory that reads 0, as those parts of the
//! block do. The capability array is always in the page of the decoders.

use std::cell::Cell;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::BODY;
use cxl_spec::dvsec::device;
use vfio_abi::cxl;
use vfio_abi::cxl::next;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::region;

use super::Abi;
use super::BindError;
use super::PAGE;
use super::Region;
use super::View;
use super::Written;
use super::claim::Claim;
use super::clamp;
use super::component_registers;
use super::memory;
use super::plain;
use super::restore;
use super::trapped;
use super::word;
use super::word::Word;
use super::word::body_offset;
use crate::silicon::Effect;
use crate::silicon::Silicon;

/// The newest kernel.
pub(super) const ABI: Abi = Abi {
    name: "next",
    about: "the newest shape of vfio-cxl, autumn 2026: provisional, one decoder only",
    provisional: true,
    probe,
};

/// Index of the region that is the device's memory.
const MEMORY: u32 = region::FIRST_SPECIFIC;
/// Index of the region that is the component registers.
const COMPONENT_REGISTERS: u32 = region::FIRST_SPECIFIC + 1;

/// A device that vfio-cxl takes for one of its own.
#[derive(Debug)]
struct Device {
    claim: Claim,
    memory: memory::Region,
    dvsec: Dvsec,
    /// Where the decoders are in the component BAR, and how long they are.
    decoders: (u64, u64),
    bar: u8,
    /// How many accesses read the registers, and after how many they die, if they do.
    reads: Cell<u64>,
    last_read: Option<u64>,
}

/// A device with more than one decoder, with interleaving, without memory or without CXL reset stays plain.
fn probe(silicon: &Silicon) -> Result<Box<dyn View>, BindError> {
    let Some(claim) = Claim::stake(silicon).filter(|claim| is_simple(silicon, claim)) else {
        return Ok(Box::new(plain::Plain));
    };
    let component = &silicon.profile().profile().component;
    let offset = component.offset.0.saturating_add(CACHEMEM_OFFSET).saturating_add(claim.hdm);
    Ok(Box::new(Device {
        claim,
        memory: memory::Region::new(silicon, MEMORY)?,
        dvsec: Dvsec::open(silicon),
        decoders: (offset, hdm::length(claim.decoders)),
        bar: component.bar,
        reads: Cell::new(0),
        last_read: silicon.profile().profile().faults.registers_die_after,
    }))
}

fn is_simple(silicon: &Silicon, claim: &Claim) -> bool {
    let capability = device::Capability::new(silicon.config().device_dvsec(device::CAPABILITY));
    let control = CACHEMEM_OFFSET + claim.hdm + hdm::decoder_offset(0) + hdm::CONTROL;
    let control = hdm::Control::new(silicon.component().read(Access::dword_around(control)) as u32);
    let one_way = control.interleave_ways().value() == 0;
    claim.decoders == 1 && one_way && capability.cxl_reset_capable()
}

impl View for Device {
    fn open(&mut self, silicon: &Silicon) {
        self.dvsec = Dvsec::open(silicon);
    }

    /// A CXL reset is preferred over a function level reset. It clears the memory where the device can do that.
    fn reset(&mut self, silicon: &mut Silicon) {
        restore::cxl_reset(silicon, &self.claim, true);
    }

    fn device_info(&self, plain: DeviceInfo) -> DeviceInfo {
        let num_regions = COMPONENT_REGISTERS + 1;
        DeviceInfo { flags: plain.flags | cxl::DEVICE_FLAG, num_regions, ..plain }
    }

    fn region<'a>(&'a self, silicon: &'a Silicon, index: u32) -> Result<Region<'a>, Errno> {
        let (offset, length) = self.decoders;
        let lies = &silicon.profile().profile().faults.lies;
        match index {
            MEMORY => {
                let mut region = self.memory.info(silicon);
                if lies.no_memory_region {
                    region.info.chain = vfio_abi::chain::Chain::new();
                }
                Ok(region)
            }
            COMPONENT_REGISTERS => {
                let place = next::ComponentRegisters { bar: self.bar.into(), offset };
                let mut info = component_registers(index, length);
                info.chain = info.chain.with(next::REGION_CAPABILITY, next::VERSION, &place.encode());
                if lies.no_register_region {
                    info = trapped(index, length);
                }
                Ok(Region { info, file: None })
            }
            _ if index == u32::from(self.bar) => {
                let end = offset.saturating_add(length).next_multiple_of(PAGE);
                plain::component_bar(silicon, offset - offset % PAGE..end)
            }
            _ => plain::region(silicon, index),
        }
    }

    fn read(&self, silicon: &Silicon, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        match index {
            MEMORY => {
                let count = memory_count(silicon, offset, buffer.len())?;
                Ok(silicon.memory().read_bytes(offset, buffer.get_mut(..count).unwrap_or_default()))
            }
            COMPONENT_REGISTERS => {
                let count = self.component_count(offset, buffer.len())?;
                let read = |access: Access| self.live(silicon, access);
                plain::read_pieces(offset, buffer, count, Width::Dword, read);
                Ok(count)
            }
            region::CONFIG => plain::read_config(offset, buffer, |access| self.dvsec.read(silicon, access)),
            _ => {
                let count = plain::read(silicon, index, offset, buffer)?;
                if index == u32::from(self.bar) {
                    self.blank(offset, buffer.get_mut(..count).unwrap_or_default());
                }
                Ok(count)
            }
        }
    }

    fn write(&mut self, silicon: &mut Silicon, index: u32, offset: u64, data: &[u8]) -> Written {
        match index {
            MEMORY => {
                let count = memory_count(silicon, offset, data.len())?;
                let taken = silicon.memory().write_bytes(offset, data.get(..count).unwrap_or_default());
                Ok((taken, Vec::new()))
            }
            COMPONENT_REGISTERS => Ok((self.component_count(offset, data.len())?, Vec::new())),
            region::CONFIG => {
                plain::write_config(offset, data, |access, value| self.config_written(silicon, access, value))
            }
            _ if index == u32::from(self.bar) => self.bar_written(silicon, offset, data),
            _ => plain::write(silicon, index, offset, data),
        }
    }
}

impl Device {
    /// The dword that the hardware reads at an offset of the region.
    fn live(&self, silicon: &Silicon, access: Access) -> u64 {
        self.reads.set(self.reads.get().saturating_add(1));
        if self.last_read.is_some_and(|last| self.reads.get() > last) {
            return access.width().mask();
        }
        let at = CACHEMEM_OFFSET.saturating_add(self.claim.hdm).saturating_add(access.offset());
        silicon.component().read(Access::dword_around(at))
    }

    /// How many bytes of an access the component registers take: whole dwords, cut at the end.
    fn component_count(&self, offset: u64, length: usize) -> Result<usize, Errno> {
        let (_, size) = self.decoders;
        let count = clamp(size, offset, length).ok_or(Errno::EINVAL)?;
        let whole = offset.is_multiple_of(4) && count.is_multiple_of(4);
        if whole { Ok(count) } else { Err(Errno::EINVAL) }
    }

    /// Puts ones where the decoders are in what was read of the component BAR.
    fn blank(&self, offset: u64, bytes: &mut [u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            if self.is_decoder(at) {
                *byte = 0xff;
            }
        }
    }

    /// A write to the component BAR, without the bytes for the decoders.
    fn bar_written(&self, silicon: &mut Silicon, offset: u64, data: &[u8]) -> Written {
        let (start, length) = self.decoders;
        let end = start.saturating_add(length);
        let split =
            |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(data.len());
        let (before, rest) = data.split_at(split(start));
        let (_, behind) = rest.split_at(split(end).saturating_sub(before.len()));
        // The whole is judged first: whether the BAR takes anything, and how much.
        let count = plain::bar_count(silicon, self.bar, offset, data.len())?;
        let mut effects = Vec::new();
        for (at, part) in [(offset, before), (offset.max(end), behind)] {
            if !part.is_empty() {
                effects.extend(
                    plain::write(silicon, self.bar.into(), at, part).map_or(Vec::new(), |done| done.1),
                );
            }
        }
        Ok((count, effects))
    }

    fn is_decoder(&self, at: u64) -> bool {
        let (start, length) = self.decoders;
        at.checked_sub(start).is_some_and(|inside| inside < length)
    }

    fn config_written(&mut self, silicon: &mut Silicon, access: Access, value: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for word in Word::split(access, value) {
            let Some(offset) = body_offset(word.offset) else {
                effects.extend(plain::config_write(silicon, word.access(), word.bits()));
                continue;
            };
            if self.dvsec.word_written(offset, word) {
                let clear = self.dvsec.control_2.cxl_reset_mem_clear_enable();
                let complete = restore::cxl_reset(silicon, &self.claim, clear);
                self.dvsec.after_reset(complete);
            }
        }
        effects
    }
}

/// How many bytes of an access the memory takes, if it can be reached at all.
fn memory_count(silicon: &Silicon, offset: u64, length: usize) -> Result<usize, Errno> {
    let count = clamp(silicon.memory().size(), offset, length).ok_or(Errno::EINVAL)?;
    let control = device::Control::new(silicon.config().device_dvsec(device::CONTROL));
    let reachable = silicon.component().decoder_state(0).is_active()
        && control.mem_enable()
        && silicon.config().command().memory_space();
    if reachable { Ok(count) } else { Err(Errno::EIO) }
}

/// The shadow of the device DVSEC's body: control and control 2 are writable, status 2 is stamped, the rest is
/// fixed, the lock included.
#[derive(Debug)]
struct Dvsec {
    control: device::Control,
    control_2: device::Control2,
    status_2: device::Status2,
    /// The body as it was at open, from [`BODY`] on.
    words: Vec<u16>,
}

impl Dvsec {
    fn open(silicon: &Silicon) -> Self {
        let hardware = |offset| silicon.config().device_dvsec(offset);
        Self {
            control: device::Control::new(hardware(device::CONTROL)),
            control_2: device::Control2::new(hardware(device::CONTROL_2)),
            status_2: device::Status2::new(hardware(device::STATUS_2)),
            words: (BODY..device::SIZE).step_by(2).map(hardware).collect(),
        }
    }

    fn read(&self, silicon: &Silicon, access: Access) -> u64 {
        let shadowed = |offset| self.word(body_offset(offset)?);
        word::read(access, shadowed, |piece| plain::config_read(silicon, piece))
    }

    fn word(&self, offset: u64) -> Option<u16> {
        match offset {
            device::CONTROL => Some(self.control.raw()),
            device::CONTROL_2 => Some(self.control_2.raw()),
            device::STATUS_2 => Some(self.status_2.raw()),
            _ => self.words.get(((offset - BODY) / 2) as usize).copied(),
        }
    }

    /// True if a CXL reset is asked for.
    fn word_written(&mut self, offset: u64, word: Word) -> bool {
        match offset {
            device::CONTROL => {
                self.control = device::Control::new(word.over(self.control.raw()));
                false
            }
            device::CONTROL_2 => {
                let written = device::Control2::new(word.over(self.control_2.raw()));
                let flush = written.initiate_cache_writeback_invalidate();
                let settled = written.with_initiate_cache_writeback_invalidate(false);
                self.control_2 = settled.with_initiate_cxl_reset(false);
                if flush {
                    self.status_2 = self.status_2.with_cache_invalid(true);
                }
                written.initiate_cxl_reset()
            }
            _ => false,
        }
    }

    fn after_reset(&mut self, complete: bool) {
        let outcome = self.status_2.with_cxl_reset_complete(complete);
        self.status_2 = outcome.with_cxl_reset_error(!complete);
    }
}
