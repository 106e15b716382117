//! vfio-cxl as posted in April 2026 ("v2"), the revision that the QEMU series uses.
//!
//! ```text
//!  index 9   device memory        mapped or read and written, while decoder 0 is committed
//!  index 10  component registers  a shadow of [array, end of HDM decoders); hardware never sees a write
//!  index 7   configuration        the CXL device DVSEC is a shadow, too, in part
//! ```
//!
//! What is odd is on purpose: it is what users of that kernel meet. One thing is not known: what the kernel does
//! with an access to the BAR, through its region, inside the component block. The series refuses to map it and
//! says that users should take region 10. Here such an access reaches the hardware, as any other of the BAR does,
//! and so it shows the host's address; a virtual machine monitor must not let a guest get there.

mod dvsec;
mod shadow;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use dvsec::CxlReset;
use dvsec::Dvsec;
use shadow::Shadow;
use vfio_abi::cxl;
use vfio_abi::cxl::v2;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::region;

use super::Abi;
use super::BindError;
use super::Region;
use super::View;
use super::Written;
use super::claim::Claim;
use super::clamp;
use super::component_registers;
use super::memory;
use super::plain;
use super::restore;
use crate::silicon::Effect;
use crate::silicon::Silicon;

/// The kernel of April 2026.
pub(super) const ABI: Abi = Abi {
    name: "v2",
    about: "vfio-cxl as posted in April 2026, which the QEMU series uses",
    provisional: false,
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
    shadow: Shadow,
    dvsec: Dvsec,
    memory: memory::Region,
    /// Decoder 0 was committed when it was last looked at: only then can the memory be reached.
    active: bool,
}

fn probe(silicon: &Silicon) -> Result<Box<dyn View>, BindError> {
    let Some(claim) = Claim::stake(silicon) else { return Ok(Box::new(plain::Plain)) };
    let mut device = Device {
        claim,
        shadow: Shadow::probe(silicon, claim.hdm),
        dvsec: Dvsec::open(silicon),
        memory: memory::Region::new(silicon, MEMORY)?,
        active: false,
    };
    device.look_again(silicon);
    Ok(Box::new(device))
}

impl View for Device {
    fn open(&mut self, silicon: &Silicon) {
        self.dvsec = Dvsec::open(silicon);
    }

    /// The decoders are read again. The DVSEC's shadow stays as the user left it.
    fn reset(&mut self, silicon: &mut Silicon) {
        plain::reset(silicon);
        self.look_again(silicon);
    }

    fn device_info(&self, plain: DeviceInfo) -> DeviceInfo {
        let mut flags = v2::Flags::empty();
        flags.set(v2::Flags::FIRMWARE_COMMITTED, self.claim.firmware_committed);
        flags.set(v2::Flags::CACHE_CAPABLE, self.claim.cache_capable);
        let capability = v2::DeviceCapability {
            hdm_regs_bar_index: self.shadow.bar(),
            flags,
            hdm_regs_offset: self.shadow.bar_offset(),
            dpa_region_index: self.memory.told(),
            comp_regs_region_index: self.shadow.told(COMPONENT_REGISTERS),
        };
        DeviceInfo {
            flags: plain.flags | cxl::DEVICE_FLAG,
            num_regions: COMPONENT_REGISTERS + 1,
            chain: plain.chain.with(cxl::DEVICE_CAPABILITY, v2::VERSION, &capability.encode()),
            ..plain
        }
    }

    fn region<'a>(&'a self, silicon: &'a Silicon, index: u32) -> Result<Region<'a>, Errno> {
        match index {
            MEMORY => Ok(self.memory.info(silicon)),
            COMPONENT_REGISTERS => {
                Ok(Region { info: component_registers(index, self.shadow.size()), file: None })
            }
            _ => plain::region(silicon, index),
        }
    }

    fn read(&self, silicon: &Silicon, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        match index {
            MEMORY => {
                // At and behind the end there is nothing to read, and that is no error here.
                let Some(count) = clamp(silicon.memory().size(), offset, buffer.len()) else { return Ok(0) };
                self.must_be_active()?;
                Ok(silicon.memory().read_bytes(offset, buffer.get_mut(..count).unwrap_or_default()))
            }
            COMPONENT_REGISTERS => {
                let access = self.component_access(offset, buffer.len())?;
                let value = self.shadow.read(access.offset());
                plain::read_pieces(offset, buffer, 4, Width::Dword, |_| value.into());
                Ok(4)
            }
            region::CONFIG => plain::read_config(offset, buffer, |access| self.dvsec.read(silicon, access)),
            _ => plain::read(silicon, index, offset, buffer),
        }
    }

    fn write(&mut self, silicon: &mut Silicon, index: u32, offset: u64, data: &[u8]) -> Written {
        match index {
            MEMORY => {
                let Some(count) = clamp(silicon.memory().size(), offset, data.len()) else {
                    return Ok((0, Vec::new()));
                };
                self.must_be_active()?;
                let taken = silicon.memory().write_bytes(offset, data.get(..count).unwrap_or_default());
                Ok((taken, Vec::new()))
            }
            COMPONENT_REGISTERS => {
                let access = self.component_access(offset, data.len())?;
                let value = data.iter().take(4).rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                self.shadow.write(access.offset(), value, self.claim.cache_capable);
                Ok((4, Vec::new()))
            }
            region::CONFIG => {
                plain::write_config(offset, data, |access, value| self.config_written(silicon, access, value))
            }
            _ => plain::write(silicon, index, offset, data),
        }
    }
}

impl Device {
    fn config_written(&mut self, silicon: &mut Silicon, access: Access, value: u64) -> Vec<Effect> {
        let (effects, reset) = self.dvsec.write(silicon, access, value);
        if let Some(CxlReset { clear_memory }) = reset {
            let complete = restore::cxl_reset(silicon, &self.claim, clear_memory);
            self.look_again(silicon);
            self.dvsec.after_cxl_reset(complete);
        }
        effects
    }

    /// The device was reset: what is shadowed of its component registers is read again.
    fn look_again(&mut self, silicon: &Silicon) {
        self.shadow.refresh(silicon);
        let enabled = device::Control::new(silicon.config().device_dvsec(device::CONTROL)).mem_enable();
        self.active = silicon.component().decoder_state(0).is_active() && enabled;
    }

    fn must_be_active(&self) -> Result<(), Errno> {
        if self.active { Ok(()) } else { Err(Errno::EIO) }
    }

    /// The dword that an access to the component registers reaches. The length is cut at the end of the region
    /// *before* its width is judged: eight bytes at the last dword are four.
    fn component_access(&self, offset: u64, length: usize) -> Result<Access, Errno> {
        let count = clamp(self.shadow.size(), offset, length).ok_or(Errno::EINVAL)?;
        let access = Access::new(offset, Width::Dword).filter(|_| count == 4);
        access.ok_or(Errno::EINVAL)
    }
}

/// Length of the component register region: it ends with the last decoder.
fn region_size(hdm: u64, decoders: u8) -> u64 {
    hdm.saturating_add(hdm::length(decoders))
}
