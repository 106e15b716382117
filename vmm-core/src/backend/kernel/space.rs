//! What a device reaches: an IOMMU of type 1 in a container, or an address space of an iommufd.
//!
//! Memory is given to the kernel by its address here, or to an iommufd as the file that it is, where the kernel knows
//! that and the file is one in memory. What is given by address is a mapping of its own, held as long as the device
//! reaches it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::chain::Chain;
use vfio_abi::errno::Errno;
use vfio_abi::kernel::IoasAlloc;
use vfio_abi::kernel::IoasIovaRanges;
use vfio_abi::kernel::IoasMap;
use vfio_abi::kernel::IoasMapFile;
use vfio_abi::kernel::IoasUnmap;
use vfio_abi::kernel::IommuInfo;
use vfio_abi::kernel::IovaRange;
use vfio_abi::kernel::MapDma;
use vfio_abi::kernel::Order;
use vfio_abi::kernel::ioas;
use vfio_abi::kernel::iommu;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::DmaUnmap;
use zerocopy::FromBytes;
use zerocopy::IntoBytes;

use super::ioctl::System;
use super::ioctl::With;
use super::whole_answer;
use crate::map::memory::HostMemory;

/// The most ranges that are asked for. What an IOMMU has beyond them is not known.
const MOST_RANGES: usize = 256;

/// What a device reaches.
#[derive(Debug)]
pub(super) enum Space {
    /// A container with an IOMMU.
    Type1 {
        /// The container.
        container: OwnedFd,
        /// The group in it, which is the device's as long as this is open.
        _group: OwnedFd,
    },
    /// An address space.
    Ioas {
        /// Where it is one.
        iommufd: OwnedFd,
        /// Which one.
        id: u32,
    },
}

/// A part of a file, for the device.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The file.
    pub(super) file: Arc<File>,
    /// Where the part begins.
    pub(super) offset: u64,
    /// What the device may do.
    pub(super) allowed: DmaFlags,
}

impl Space {
    /// A new address space of an iommufd.
    pub(super) fn allocate(system: &dyn System, iommufd: OwnedFd) -> Result<Self, Errno> {
        let mut alloc = IoasAlloc { size: (size_of::<IoasAlloc>() as u32).into(), ..IoasAlloc::default() };
        system.order(iommufd.as_fd(), Order::IOAS_ALLOC, With::Bytes(alloc.as_mut_bytes()))?;
        Ok(Self::Ioas { iommufd, id: alloc.ioas.get() })
    }

    /// The addresses that can be mapped, each with its last one; none if the kernel does not say.
    pub(super) fn ranges(&self, system: &dyn System) -> Vec<(u64, u64)> {
        let told = match self {
            Self::Type1 { container, .. } => type1_ranges(system, container),
            Self::Ioas { iommufd, id } => ioas_ranges(system, iommufd, *id),
        };
        told.unwrap_or_default()
    }

    /// The device reaches a part of a file at `range`. The mapping is to be held as long as it does.
    pub(super) fn map(
        &self,
        system: &dyn System,
        range: Span<Iova>,
        part: &Part,
    ) -> Result<Option<HostMemory>, Errno> {
        if let Self::Ioas { iommufd, id } = self {
            match map_file(system, iommufd, (*id, range), part) {
                // The kernel does not know the order, or takes no such file.
                Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL) => {}
                other => return other.map(|()| None),
            }
        }
        let memory = HostMemory::of_file(part.file.clone(), part.offset, range.size());
        let memory = memory.map_err(|_| Errno::EINVAL)?;
        self.map_memory(system, range, &memory, part.allowed)?;
        Ok(Some(memory))
    }

    fn map_memory(
        &self,
        system: &dyn System,
        range: Span<Iova>,
        memory: &HostMemory,
        allowed: DmaFlags,
    ) -> Result<(), Errno> {
        let iova = range.start().get().into();
        let (file, order, mut bytes) = match self {
            Self::Type1 { container, .. } => {
                let (argsz, flags) = ((size_of::<MapDma>() as u32).into(), allowed.bits().into());
                let map = MapDma { argsz, flags, iova, ..MapDma::default() };
                (container, Order::IOMMU_MAP_DMA, map.as_bytes().to_vec())
            }
            Self::Ioas { iommufd, id } => {
                let (size, flags) = ((size_of::<IoasMap>() as u32).into(), ioas_flags(allowed).into());
                let map = IoasMap { size, flags, ioas: (*id).into(), iova, ..IoasMap::default() };
                (iommufd, Order::IOAS_MAP, map.as_bytes().to_vec())
            }
        };
        system.order(file.as_fd(), order, With::Memory(&mut bytes, memory)).map(drop)
    }

    /// The device does not reach `range` any more, which is all of what was mapped there.
    pub(super) fn unmap(&self, system: &dyn System, range: Span<Iova>) -> Result<(), Errno> {
        let (iova, length) = (range.start().get(), range.size());
        let done = match self {
            Self::Type1 { container, .. } => {
                let argsz = (size_of::<DmaUnmap>() as u32).into();
                let (flags, address, size) = (0.into(), iova.into(), length.into());
                let mut unmap = DmaUnmap { argsz, flags, address, size };
                let with = With::Bytes(unmap.as_mut_bytes());
                system.order(container.as_fd(), Order::IOMMU_UNMAP_DMA, with)?;
                unmap.size.get()
            }
            Self::Ioas { iommufd, id } => {
                let size = (size_of::<IoasUnmap>() as u32).into();
                let (iova, length) = (iova.into(), length.into());
                let mut unmap = IoasUnmap { size, ioas: (*id).into(), iova, length };
                system.order(iommufd.as_fd(), Order::IOAS_UNMAP, With::Bytes(unmap.as_mut_bytes()))?;
                unmap.length.get()
            }
        };
        // A container says how much it found, and nothing is found without an error.
        if done == length { Ok(()) } else { Err(Errno::ENOENT) }
    }
}

fn ioas_flags(allowed: DmaFlags) -> u32 {
    let flag = |may, flag| if allowed.contains(may) { flag } else { 0 };
    ioas::FIXED_IOVA | flag(DmaFlags::READ, ioas::READABLE) | flag(DmaFlags::WRITE, ioas::WRITEABLE)
}

fn map_file(
    system: &dyn System,
    iommufd: &OwnedFd,
    (id, range): (u32, Span<Iova>),
    part: &Part,
) -> Result<(), Errno> {
    let mut map = IoasMapFile {
        size: (size_of::<IoasMapFile>() as u32).into(),
        flags: ioas_flags(part.allowed).into(),
        ioas: id.into(),
        file: (part.file.as_raw_fd() as u32).into(),
        start: part.offset.into(),
        length: range.size().into(),
        iova: range.start().get().into(),
    };
    system.order(iommufd.as_fd(), Order::IOAS_MAP_FILE, With::Bytes(map.as_mut_bytes())).map(drop)
}

/// The ranges in the chain of what a container's IOMMU can do.
fn type1_ranges(system: &dyn System, container: &OwnedFd) -> Option<Vec<(u64, u64)>> {
    let order = Order::IOMMU_GET_INFO;
    let bytes = whole_answer(size_of::<IommuInfo>(), |bytes| {
        system.order(container.as_fd(), order, With::Bytes(bytes)).map(drop)
    });
    let bytes = bytes.ok()?;
    let (info, _) = IommuInfo::read_from_prefix(&bytes).ok()?;
    let first = if info.flags.get() & iommu::CAPS == 0 { 0 } else { info.cap_offset.get() };
    let chain = Chain::parse(&bytes, size_of::<IommuInfo>(), first).ok()?;
    let entry = chain.find(iommu::IOVA_RANGES)?;
    let (count, rest) = entry.data.split_first_chunk::<4>()?;
    let ranges = rest.get(4..)?.get(..(u32::from_le_bytes(*count) as usize).checked_mul(16)?)?;
    Some(ranges_of(ranges))
}

fn ioas_ranges(system: &dyn System, iommufd: &OwnedFd, id: u32) -> Option<Vec<(u64, u64)>> {
    let size = (size_of::<IoasIovaRanges>() as u32).into();
    let mut asked = IoasIovaRanges { size, ioas: id.into(), ..IoasIovaRanges::default() };
    let mut array = vec![0; size_of::<IovaRange>() * MOST_RANGES];
    let with = With::Array(asked.as_mut_bytes(), &mut array);
    system.order(iommufd.as_fd(), Order::IOAS_IOVA_RANGES, with).ok()?;
    let filled = (asked.count.get() as usize).checked_mul(size_of::<IovaRange>())?;
    Some(ranges_of(array.get(..filled)?))
}

fn ranges_of(bytes: &[u8]) -> Vec<(u64, u64)> {
    let ranges = bytes.chunks_exact(size_of::<IovaRange>());
    let ranges = ranges.filter_map(|bytes| IovaRange::read_from_bytes(bytes).ok());
    ranges.map(|range| (range.start.get(), range.last.get())).collect()
}
