//! The region that is the device's memory, as every revision shows it.

use std::io;

use vfio_abi::cxl;
use vfio_abi::errno::Errno;
use vfio_abi::info::RegionFlags;

use super::trapped;
use crate::silicon::Silicon;
use crate::silicon::memory::Memory;

/// The region.
#[derive(Debug)]
pub(super) struct Region {
    index: u32,
    /// The region's index as a capability tells it.
    told: u32,
    /// What is mapped in place of the memory, for a device that is broken so.
    detached: Option<Memory>,
}

impl Region {
    /// The region of this index.
    ///
    /// # Errors
    /// If the system does not give the memory that a broken device needs besides.
    pub(super) fn new(silicon: &Silicon, index: u32) -> io::Result<Self> {
        let faults = &silicon.profile().profile().faults;
        let detached = || Memory::new("detached-memory", silicon.memory().size());
        Ok(Self {
            index,
            told: if faults.lies.no_memory_region { u32::MAX } else { index },
            detached: faults.detached_memory.then(detached).transpose()?,
        })
    }

    /// The region's index as a capability tells it.
    pub(super) fn told(&self) -> u32 {
        self.told
    }

    /// What the region is.
    pub(super) fn info<'a>(&'a self, silicon: &'a Silicon) -> super::Region<'a> {
        let memory = self.detached.as_ref().unwrap_or(silicon.memory());
        let mut info = trapped(self.index, memory.size());
        info.chain = info.chain.with_region_type(cxl::REGION_TYPE, cxl::SUBTYPE_MEMORY);
        let mapped = !silicon.profile().profile().kernel.memory_without_mmap;
        info.flags.set(RegionFlags::MMAP, mapped);
        super::Region { info, file: mapped.then(|| memory.file()) }
    }
}

/// Whether the memory has all of these bytes.
///
/// # Errors
/// `EINVAL` if it does not.
pub(super) fn must_hold(silicon: &Silicon, offset: u64, length: usize) -> Result<(), Errno> {
    let left = silicon.memory().size().checked_sub(offset);
    if left.is_some_and(|left| length as u64 <= left) { Ok(()) } else { Err(Errno::EINVAL) }
}
