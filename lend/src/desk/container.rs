//! `/dev/vfio/vfio`: a container, in which groups share what they reach. The IOMMU is type 1.

use vfio_abi::chain::Chain;
use vfio_abi::errno::Errno;
use vfio_abi::request::DmaFlags;

use super::info;
use super::space::Behind;
use super::space::Mapping;
use super::space::PAGE;
use super::space::Space;
use super::space::WINDOWS;
use super::space::lies_in;
use crate::caller::Caller;
use crate::caller::Lies;
use crate::fields::Fields;
use crate::fields::must;
use crate::number;

/// The most ranges that a container maps.
const DMA_ENTRY_LIMIT: usize = 65535;

/// Page sizes of an IOMMU: 4 KiB, 2 MiB, 1 GiB.
const PAGE_SIZES: u64 = 0x4020_1000;

/// Extensions by number.
const TYPE1: u64 = 1;
const TYPE1_V2: u64 = 3;
const DMA_CC: u64 = 4;
const UNMAP_ALL: u64 = 9;
const UPDATE_VADDR: u64 = 10;

/// Capabilities of the IOMMU's info.
const CAP_IOVA_RANGE: u16 = 1;
const CAP_DMA_AVAIL: u16 = 3;

/// Flags of a mapping beside what the device may do.
const MAP_VADDR: u32 = 4;

/// Flags of an unmapping.
const UNMAP_DIRTY: u32 = 1;
const UNMAP_EVERYTHING: u32 = 2;
const UNMAP_VADDR: u32 = 4;

/// What is known of a container.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// The program has it open; while a group is in it, it lives without that.
    pub(super) is_open: bool,
    /// The group is in it.
    pub(super) has_group: bool,
    /// Which IOMMU was set, by its extension.
    pub(super) iommu: Option<u64>,
    /// What is mapped.
    pub(super) space: Space,
}

impl Container {
    /// Answers an ioctl.
    pub(super) fn ioctl(&mut self, number: u32, argument: u64, by: &dyn Caller) -> Result<i64, Errno> {
        match number {
            number::GET_API_VERSION => Ok(0),
            number::CHECK_EXTENSION => Ok(self.check_extension(argument)),
            number::SET_IOMMU => self.set_iommu(argument),
            _ if self.iommu.is_none() => Err(Errno::EINVAL),
            number::IOMMU_GET_INFO => self.get_info(argument, by),
            number::IOMMU_MAP_DMA => self.map(argument, by),
            number::IOMMU_UNMAP_DMA => self.unmap(argument, by),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn check_extension(&self, extension: u64) -> i64 {
        let is_there = match extension {
            TYPE1 | TYPE1_V2 | UNMAP_ALL => true,
            DMA_CC | UPDATE_VADDR => self.iommu.is_some(),
            _ => false,
        };
        is_there.into()
    }

    fn set_iommu(&mut self, extension: u64) -> Result<i64, Errno> {
        must(self.has_group && self.iommu.is_none())?;
        // The kernel asks each driver whether it has the extension, and any that is there will do.
        if self.check_extension(extension) == 0 {
            return Err(Errno::ENODEV);
        }
        // Opened as anything but these two the driver refuses.
        must(matches!(extension, TYPE1 | TYPE1_V2))?;
        self.iommu = Some(extension);
        Ok(0)
    }

    /// The group leaves: then no IOMMU is set, and nothing is mapped.
    pub(super) fn group_leaves(&mut self) {
        self.has_group = false;
        self.iommu = None;
        self.space = Space::default();
    }

    fn get_info(&self, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let argsz = by.fields(at, 16)?.u32(0);
        must(argsz >= 16)?;
        let available = (DMA_ENTRY_LIMIT - self.space.len().min(DMA_ENTRY_LIMIT)) as u32;
        let mut ranges = Fields::default().with_u32(WINDOWS.len() as u32).with_u32(0);
        for (first, last) in WINDOWS {
            ranges = ranges.with_u64(first).with_u64(last);
        }
        let chain = Chain::new();
        let chain = chain.with(CAP_DMA_AVAIL, 1, &available.to_le_bytes()).with(CAP_IOVA_RANGE, 1, &ranges.0);
        // Page sizes are told, and there is a chain.
        let fixed =
            Fields::default().with_u32(argsz).with_u32(3).with_u64(PAGE_SIZES).with_u32(0).with_u32(0);
        by.put(at, &info::with_chain(fixed, 16, &chain, argsz))?;
        Ok(0)
    }

    fn map(&mut self, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let map = by.fields(at, 32)?;
        let (flags, vaddr, first, size) = (map.u32(4), map.u64(8), map.u64(16), map.u64(24));
        must(map.u32(0) >= 32 && flags & !(DmaFlags::all().bits() | MAP_VADDR) == 0)?;
        let allowed = DmaFlags::from_bits_truncate(flags);
        let sets_vaddr = flags & MAP_VADDR != 0;
        must(allowed.is_empty() == sets_vaddr)?;
        must(size > 0 && (size | first | vaddr).is_multiple_of(PAGE))?;
        let last = first.checked_add(size - 1).ok_or(Errno::EINVAL)?;
        must(vaddr.checked_add(size - 1).is_some())?;
        if sets_vaddr {
            return self.set_vaddr((first, last), vaddr, by);
        }
        if self.space.overlapping(first, last).next().is_some() {
            return Err(Errno::EEXIST);
        }
        if self.space.len() >= DMA_ENTRY_LIMIT {
            return Err(Errno::ENOSPC);
        }
        must(lies_in(&WINDOWS, first, last))?;
        if by.lies(vaddr, size)? == Lies::ReadOnly && allowed.contains(DmaFlags::WRITE) {
            return Err(Errno::EFAULT);
        }
        let behind = Behind::Process { process: by.process(), at: Some(vaddr) };
        self.space.map(first, Mapping { last, allowed, behind }).map(|()| 0)
    }

    /// A mapping whose address was taken back gets one again.
    fn set_vaddr(&mut self, range: (u64, u64), vaddr: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let found = self.space.overlapping(range.0, range.1).next().ok_or(Errno::ENOENT)?;
        must(found == range)?;
        let mapping = self.space.get_mut(range.0).ok_or(Errno::ENOENT)?;
        let Behind::Process { process, at } = &mut mapping.behind else { return Err(Errno::EINVAL) };
        must(at.is_none())?;
        (*process, *at) = (by.process(), Some(vaddr));
        Ok(0)
    }

    fn unmap(&mut self, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let mut unmap = by.fields(at, 24)?;
        let (argsz, flags, first, size) = (unmap.u32(0), unmap.u32(4), unmap.u64(8), unmap.u64(16));
        must(argsz >= 24 && flags & !(UNMAP_DIRTY | UNMAP_EVERYTHING | UNMAP_VADDR) == 0)?;
        // Nothing tracks what is dirty.
        must(flags & UNMAP_DIRTY == 0)?;
        let last = self.unmapped(flags, first, size)?;
        let gone: Vec<_> = self.space.overlapping(first, last).collect();
        let bytes = match gone.first() {
            // The first version takes away what begins inside, however far it reaches, and stops at what does not.
            Some((start, _)) if *start < first => 0,
            _ if flags & UNMAP_VADDR != 0 => self.take_back(&gone)?,
            _ => gone.iter().fold(0, |bytes: u64, (start, _)| bytes.wrapping_add(self.space.remove(*start))),
        };
        unmap.set_u64(16, bytes);
        by.put(at, &unmap.0)?;
        Ok(0)
    }

    /// Takes back the addresses of mappings, if all have one, and counts the bytes.
    fn take_back(&mut self, mappings: &[(u64, u64)]) -> Result<u64, Errno> {
        must(mappings.iter().all(|(start, _)| self.address(*start).is_some_and(|at| at.is_some())))?;
        Ok(mappings.iter().fold(0, |bytes: u64, (start, end)| {
            self.address(*start).into_iter().for_each(|at| *at = None);
            bytes.wrapping_add((end - start).wrapping_add(1))
        }))
    }

    /// The place where the address of a mapping's memory is kept.
    fn address(&mut self, start: u64) -> Option<&mut Option<u64>> {
        match &mut self.space.get_mut(start)?.behind {
            Behind::Process { at, .. } => Some(at),
            Behind::File(..) => None,
        }
    }

    /// The last address of what is to be unmapped, if it can be.
    fn unmapped(&self, flags: u32, first: u64, size: u64) -> Result<u64, Errno> {
        must(first.is_multiple_of(PAGE))?;
        if flags & UNMAP_EVERYTHING != 0 {
            must(first == 0 && size == 0)?;
            return Ok(u64::MAX);
        }
        must(size > 0 && size.is_multiple_of(PAGE))?;
        let last = first.checked_add(size - 1).ok_or(Errno::EINVAL)?;
        let cut = |(start, end): (u64, u64)| start < first || end > last;
        must(self.iommu != Some(TYPE1_V2) || !self.space.overlapping(first, last).any(cut))?;
        Ok(last)
    }
}
