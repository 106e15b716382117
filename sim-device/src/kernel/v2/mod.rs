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

use std::io;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::CONFIG_SPACE_SIZE;
use dvsec::Dvsec;
use shadow::Shadow;
use vfio_abi::cxl;
use vfio_abi::cxl::v2;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::region;

use super::Region;
use super::clamp;
use super::plain;
use super::trapped;
use crate::silicon::Effect;
use crate::silicon::Silicon;
use crate::silicon::memory::Memory;

/// Index of the region that is the device's memory.
const MEMORY: u32 = region::FIRST_SPECIFIC;
/// Index of the region that is the component registers.
const COMPONENT_REGISTERS: u32 = region::FIRST_SPECIFIC + 1;

/// Base and sub class of a CXL memory device, which vfio-cxl leaves to others.
const MEMORY_DEVICE_CLASS: u32 = 0x0502;

/// A device that vfio-cxl takes for one of its own.
#[derive(Debug)]
pub(super) struct View {
    shadow: Shadow,
    dvsec: Dvsec,
    firmware_committed: bool,
    cache_capable: bool,
    /// Decoder 0 was committed when it was last looked at: only then can the memory be reached.
    active: bool,
    /// What is mapped in place of the memory, for a device that is broken so.
    detached: Option<Memory>,
}

impl View {
    /// Looks at a device while binding. Nothing, where it stays a plain PCI device.
    pub(super) fn probe(silicon: &Silicon) -> io::Result<Option<Self>> {
        let profile = silicon.profile().profile();
        let capability = device::Capability::new(silicon.config().device_dvsec(device::CAPABILITY));
        let decoder = silicon.component().programming(0);
        let firmware_committed = silicon.component().decoder_state(0).is_active() && decoder.size > 0;
        let shown = firmware_committed || profile.kernel.show_uncommitted;
        if !capability.mem_capable() || profile.ids.class >> 8 == MEMORY_DEVICE_CLASS || !shown {
            return Ok(None);
        }
        let Some(hdm) = find_hdm(silicon) else { return Ok(None) };
        let memory = || Memory::new("detached-memory", silicon.memory().size());
        let mut view = Self {
            shadow: Shadow::probe(silicon, hdm),
            dvsec: Dvsec::open(silicon),
            firmware_committed,
            cache_capable: capability.cache_capable(),
            active: false,
            detached: profile.faults.detached_memory.then(memory).transpose()?,
        };
        view.after_reset(silicon);
        Ok(Some(view))
    }

    /// Somebody opened the device, which was reset before.
    pub(super) fn open(&mut self, silicon: &Silicon) {
        self.dvsec = Dvsec::open(silicon);
    }

    /// The device was reset: the decoders are read again. The DVSEC's shadow stays as the user left it.
    pub(super) fn after_reset(&mut self, silicon: &Silicon) {
        self.shadow.refresh(silicon);
        self.active = silicon.component().decoder_state(0).is_active();
    }

    pub(super) fn device_info(&self, plain: DeviceInfo) -> DeviceInfo {
        let mut flags = v2::Flags::empty();
        flags.set(v2::Flags::FIRMWARE_COMMITTED, self.firmware_committed);
        flags.set(v2::Flags::CACHE_CAPABLE, self.cache_capable);
        let capability = v2::DeviceCapability {
            hdm_regs_bar_index: self.shadow.bar(),
            flags,
            hdm_regs_offset: self.shadow.bar_offset(),
            dpa_region_index: MEMORY,
            comp_regs_region_index: COMPONENT_REGISTERS,
        };
        DeviceInfo {
            flags: plain.flags | cxl::DEVICE_FLAG,
            num_regions: COMPONENT_REGISTERS + 1,
            chain: plain.chain.with(cxl::DEVICE_CAPABILITY, v2::VERSION, &capability.encode()),
            ..plain
        }
    }

    pub(super) fn region<'a>(&'a self, silicon: &'a Silicon, index: u32) -> Result<Region<'a>, Errno> {
        match index {
            MEMORY => {
                let memory = self.detached.as_ref().unwrap_or(silicon.memory());
                let mut info = trapped(index, memory.size());
                info.flags |= RegionFlags::MMAP;
                info.chain = info.chain.with_region_type(cxl::REGION_TYPE, cxl::SUBTYPE_MEMORY);
                Ok(Region { info, file: Some(memory.file()) })
            }
            COMPONENT_REGISTERS => {
                let mut info = trapped(index, self.shadow.size());
                info.chain = info.chain.with_region_type(cxl::REGION_TYPE, cxl::SUBTYPE_COMPONENT_REGISTERS);
                Ok(Region { info, file: None })
            }
            _ => plain::region(silicon, index),
        }
    }

    pub(super) fn read(
        &self,
        silicon: &Silicon,
        index: u32,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
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
            region::CONFIG => {
                let count = clamp(CONFIG_SPACE_SIZE, offset, buffer.len()).ok_or(Errno::EFAULT)?;
                let read = |access| self.dvsec.read(silicon, access);
                plain::read_pieces(offset, buffer, count, Width::Dword, read);
                Ok(count)
            }
            _ => plain::read(silicon, index, offset, buffer),
        }
    }

    pub(super) fn write(
        &mut self,
        silicon: &mut Silicon,
        index: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(usize, Vec<Effect>), Errno> {
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
                self.shadow.write(access.offset(), value, self.cache_capable);
                Ok((4, Vec::new()))
            }
            region::CONFIG => {
                let count = clamp(CONFIG_SPACE_SIZE, offset, data.len()).ok_or(Errno::EFAULT)?;
                let write = |access, value| self.dvsec.write(silicon, access, value);
                Ok((count, plain::write_pieces(offset, data, count, Width::Dword, write)))
            }
            _ => plain::write(silicon, index, offset, data),
        }
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

/// Offset of the HDM decoder capability from the capability array, as the array says.
fn find_hdm(silicon: &Silicon) -> Option<u64> {
    let dword = |offset| {
        let access = Access::new(CACHEMEM_OFFSET + offset, Width::Dword);
        access.map_or(0, |access| silicon.component().read(access) as u32)
    };
    let entries = 1..=array::Header::new(dword(0)).entries();
    let mut entries = entries.map(|index| array::Entry::new(dword(array::entry_offset(index))));
    let hdm = entries.find(|entry| entry.id() == array::id::HDM_DECODER)?;
    Some(u64::from(hdm.pointer().value()))
}

/// Length of the component register region: it ends with the last decoder.
fn region_size(hdm: u64, decoders: u8) -> u64 {
    hdm.saturating_add(hdm::length(decoders))
}
