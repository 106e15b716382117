//! vfio-cxl as posted in June 2026 ("v3"): a rewrite with the registers' shadow in the CXL core.
//!
//! ```text
//!  index 9   component registers  all 64 KiB of the block; a shadow, and hardware never sees a write
//!  index 10  device memory        mapped or read and written
//!  index 7   configuration        the body of the CXL device DVSEC is a shadow, word by word
//! ```
//!
//! What differs from April's, and meets users:
//!
//! - **The host's address shows** in the component registers. Whoever shows them to a guest must hide it.
//! - The shadow is taken once, when the driver binds: neither open nor a reset refreshes it, so a second user meets
//!   what the first one left. Its authors listed that as a known limitation; `fixed_stale_shadow` refreshes it.
//! - The memory has no state in which it cannot be reached.
//! - An access to the BAR inside the component block is refused.

mod dvsec;
mod shadow;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::BLOCK_SIZE;
use dvsec::Dvsec;
use shadow::Shadow;
use vfio_abi::cxl;
use vfio_abi::cxl::v3;
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
use super::component_registers;
use super::memory;
use super::plain;
use crate::profile::Component;
use crate::silicon::Silicon;

/// The kernel of June 2026.
pub(super) const ABI: Abi = Abi {
    name: "v3",
    about: "vfio-cxl as posted in June 2026: a rewrite, one decoder only",
    provisional: false,
    probe,
};

/// Index of the region that is the component registers.
const COMPONENT_REGISTERS: u32 = region::FIRST_SPECIFIC;
/// Index of the region that is the device's memory.
const MEMORY: u32 = region::FIRST_SPECIFIC + 1;

/// A device that vfio-cxl takes for one of its own.
#[derive(Debug)]
struct Device {
    claim: Claim,
    shadow: Shadow,
    dvsec: Dvsec,
    memory: memory::Region,
}

fn probe(silicon: &Silicon) -> Result<Box<dyn View>, BindError> {
    let Some(claim) = Claim::stake(silicon) else { return Ok(Box::new(plain::Plain)) };
    if claim.decoders != 1 {
        let why = format!("{} HDM decoders; this revision takes one", claim.decoders);
        return Err(BindError::Refused { errno: Errno::EOPNOTSUPP, why });
    }
    let memory = memory::Region::new(silicon, MEMORY)?;
    let (shadow, dvsec) = (Shadow::take(silicon, claim.hdm), Dvsec::take(silicon));
    Ok(Box::new(Device { claim, shadow, dvsec, memory }))
}

impl View for Device {
    fn open(&mut self, silicon: &Silicon) {
        self.refresh_if_fixed(silicon);
    }

    fn reset(&mut self, silicon: &mut Silicon) {
        plain::reset(silicon);
        self.refresh_if_fixed(silicon);
    }

    fn device_info(&self, plain: DeviceInfo) -> DeviceInfo {
        let mut flags = v3::Flags::empty();
        flags.set(v3::Flags::HOST_FIRMWARE_COMMITTED, self.claim.firmware_committed);
        let capability = v3::DeviceCapability {
            flags,
            hdm_region_idx: self.memory.told(),
            comp_reg_region_idx: self.shadow.told(COMPONENT_REGISTERS),
            comp_reg_bar: self.shadow.bar().into(),
            comp_reg_offset: self.shadow.block(),
            comp_reg_size: BLOCK_SIZE,
        };
        DeviceInfo {
            flags: plain.flags | cxl::DEVICE_FLAG,
            num_regions: MEMORY + 1,
            chain: plain.chain.with(cxl::DEVICE_CAPABILITY, v3::VERSION, &capability.encode()),
            ..plain
        }
    }

    fn region<'a>(&'a self, silicon: &'a Silicon, index: u32) -> Result<Region<'a>, Errno> {
        let component = &silicon.profile().profile().component;
        match index {
            MEMORY => Ok(self.memory.info(silicon)),
            COMPONENT_REGISTERS => Ok(Region { info: component_registers(index, BLOCK_SIZE), file: None }),
            _ if index == u32::from(component.bar) => {
                let block = component.offset.0;
                let end = block.saturating_add(BLOCK_SIZE).next_multiple_of(PAGE);
                plain::component_bar(silicon, block - block % PAGE..end)
            }
            _ => plain::region(silicon, index),
        }
    }

    fn read(&self, silicon: &Silicon, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let component = &silicon.profile().profile().component;
        match index {
            MEMORY => {
                memory::must_hold(silicon, offset, buffer.len())?;
                Ok(silicon.memory().read_bytes(offset, buffer))
            }
            COMPONENT_REGISTERS => {
                check(offset, buffer.len())?;
                let read = |access: Access| self.shadow.read(access.offset()).into();
                plain::read_pieces(offset, buffer, buffer.len(), Width::Dword, read);
                Ok(buffer.len())
            }
            region::CONFIG => plain::read_config(offset, buffer, |access| self.dvsec.read(silicon, access)),
            _ if reaches_block(component, index, offset, buffer.len()) => Err(Errno::EINVAL),
            _ => plain::read(silicon, index, offset, buffer),
        }
    }

    fn write(&mut self, silicon: &mut Silicon, index: u32, offset: u64, data: &[u8]) -> Written {
        let component = &silicon.profile().profile().component;
        match index {
            MEMORY => {
                memory::must_hold(silicon, offset, data.len())?;
                Ok((silicon.memory().write_bytes(offset, data), Vec::new()))
            }
            COMPONENT_REGISTERS => {
                check(offset, data.len())?;
                let write = |access: Access, value| {
                    self.shadow.write(access.offset(), value as u32);
                    Vec::new()
                };
                Ok((data.len(), plain::write_pieces(offset, data, data.len(), Width::Dword, write)))
            }
            region::CONFIG => {
                plain::write_config(offset, data, |access, value| self.dvsec.write(silicon, access, value))
            }
            _ if reaches_block(component, index, offset, data.len()) => Err(Errno::EINVAL),
            _ => plain::write(silicon, index, offset, data),
        }
    }
}

impl Device {
    fn refresh_if_fixed(&mut self, silicon: &Silicon) {
        if silicon.profile().profile().kernel.fixed_stale_shadow {
            self.shadow = Shadow::take(silicon, self.claim.hdm);
            self.dvsec = Dvsec::take(silicon);
        }
    }
}

/// An access to the component registers: whole dwords, all of them inside.
fn check(offset: u64, length: usize) -> Result<(), Errno> {
    let inside = BLOCK_SIZE.checked_sub(offset).is_some_and(|left| length as u64 <= left);
    let whole = offset.is_multiple_of(4) && length.is_multiple_of(4);
    if inside && whole { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Whether an access to a region reaches into the component block through its BAR.
fn reaches_block(component: &Component, index: u32, offset: u64, length: usize) -> bool {
    let block = component.offset.0;
    let begins_before_its_end = offset < block.saturating_add(BLOCK_SIZE);
    let ends_behind_its_start = offset.saturating_add(length as u64) > block;
    index == u32::from(component.bar) && begins_before_its_end && ends_behind_its_start
}
