//! First stage: what is there. Reads only, believes nothing.
//!
//! ```text
//!  device info ─▶ flags, chain      regions ─▶ sizes, files, areas      configuration ─▶ ids, BARs, DVSECs
//!                    └──────────────────┬──────────────────────────────────────┘
//!                                       ▼
//!                   CXL: description ─▶ component registers ─▶ capability array ─▶ HDM decoders
//! ```
//!
//! Which revision of vfio-cxl the device speaks is found out by what it says; behind the description nobody asks
//! for it any more. One write there is: where registers are read that answer only while Memory Space is on, it is
//! on for so long.
//!
//! The result is an [`Inventory`]: facts about one device, and nothing decided. A device may be hostile or dead;
//! every list that it gives is walked with bounds, and what does not fit is an error that names the field.

pub mod config;
pub mod cxl;
pub mod hardware;
pub mod msix;

mod registers;
mod same;

use std::fs::File;
use std::sync::Arc;

use config::Config;
use cxl::Cxl;
use rustix::fs::SealFlags;
pub use same::Difference;
use vfio_abi::chain::Area;
use vfio_abi::cxl as abi;
use vfio_abi::cxl::Revision;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::IrqFlags;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::irq;
use vfio_abi::info::region;
use vfio_abi::malformed::Malformed;

use crate::backend::BackendError;
use crate::backend::Failure;
use crate::backend::Shared;

/// The most regions that a device may have; QEMU draws the line at the same number.
const MAX_REGIONS: u32 = 100;

/// Facts about one device.
#[derive(Debug)]
pub struct Inventory {
    /// How the user named the device.
    pub device: String,
    /// What it is.
    pub flags: DeviceFlags,
    /// The ids of its device capabilities, in the order of the chain.
    pub capabilities: Vec<u16>,
    /// Its regions that exist, by rising index.
    pub regions: Vec<Region>,
    /// Its interrupts that exist.
    pub irqs: Vec<Irq>,
    /// Its configuration space.
    pub config: Config,
    /// What makes it a CXL device, if it is one.
    pub cxl: Option<Cxl>,
}

/// A region that exists.
#[derive(Clone, Debug)]
pub struct Region {
    /// Which region.
    pub index: u32,
    /// Length in bytes, not 0.
    pub size: u64,
    /// What can be done with it.
    pub flags: RegionFlags,
    /// Type and subtype of a device-specific region.
    pub kind: Option<(u32, u32)>,
    /// The ids of its capabilities, in the order of the chain.
    pub capabilities: Vec<u16>,
    /// What of it can be mapped, as the device lists it: all of it where it has the flag and no list.
    pub areas: Vec<Area>,
    /// The file that maps it, if one came.
    pub file: Option<Arc<File>>,
    /// Where the region begins in that file.
    pub file_offset: u64,
    /// The file holds all of the region and is sealed against becoming shorter, or is the kernel's own, so that
    /// touching a mapping of it can never be a bus error, whatever the other side does.
    pub mapping_is_safe: bool,
}

/// An interrupt that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irq {
    /// Which interrupt.
    pub index: u32,
    /// How many vectors it has, not 0.
    pub count: u32,
    /// What can be done with it.
    pub flags: IrqFlags,
}

/// Why a device could not be discovered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoverError {
    /// A call on the device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A structure that the device gave does not parse.
    #[error("{device}: {what}: {malformed}")]
    Malformed {
        /// The device.
        device: String,
        /// What was asked for.
        what: String,
        /// What is wrong with the answer.
        malformed: Malformed,
    },
    /// The device speaks no revision of vfio-cxl that will do.
    #[error("{device}: {error}")]
    Undescribed {
        /// The device.
        device: String,
        /// Why not.
        error: abi::Undescribed,
    },
    /// A number that the device gave cannot be.
    #[error("{device}: {field} = {value:#x}: {why}")]
    Impossible {
        /// The device.
        device: String,
        /// Which number.
        field: String,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that must be there is not.
    #[error("{device}: {what}")]
    Missing {
        /// The device.
        device: String,
        /// What is missing.
        what: &'static str,
    },
}

/// Where an error says it happened.
pub(crate) struct Here<'a> {
    device: &'a str,
}

impl Here<'_> {
    fn malformed(&self, what: impl Into<String>, malformed: Malformed) -> DiscoverError {
        DiscoverError::Malformed { device: self.device.to_owned(), what: what.into(), malformed }
    }

    fn impossible(&self, field: impl Into<String>, value: u64, why: &'static str) -> DiscoverError {
        DiscoverError::Impossible { device: self.device.to_owned(), field: field.into(), value, why }
    }

    fn undescribed(&self, error: abi::Undescribed) -> DiscoverError {
        DiscoverError::Undescribed { device: self.device.to_owned(), error }
    }

    fn missing(&self, what: &'static str) -> DiscoverError {
        DiscoverError::Missing { device: self.device.to_owned(), what }
    }
}

impl Inventory {
    /// The region with this index, if it exists.
    pub fn region(&self, index: u32) -> Option<&Region> {
        self.regions.iter().find(|region| region.index == index)
    }
}

/// Finds out what a device is, whatever revision of vfio-cxl it speaks.
///
/// # Errors
/// If the device does not answer, or says something that cannot be.
pub fn discover(backend: &Shared) -> Result<Inventory, DiscoverError> {
    discover_as(backend, None)
}

/// Finds out what a device is. Where a revision of vfio-cxl is assumed, a device that speaks another is refused.
///
/// # Errors
/// If the device does not answer, says something that cannot be, or speaks another revision.
pub fn discover_as(backend: &Shared, assumed: Option<Revision>) -> Result<Inventory, DiscoverError> {
    let device = backend.lock().name().to_owned();
    let here = Here { device: &device };
    let info = device_info(backend, &here)?;
    let answers = region_infos(backend, &here, info.num_regions)?;
    let keeps_files = backend.lock().keeps_files();
    let infos: Vec<_> = answers.iter().map(|(info, _)| info.clone()).collect();
    let regions = answers
        .into_iter()
        .map(|(info, file)| {
            let what = format!("region info of region {}", info.index);
            region(info, file, keeps_files).map_err(|malformed| here.malformed(what, malformed))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let irqs = irqs(backend, info.num_irqs)?;
    let config = config::read(backend, &here, &regions)?;
    let described = abi::describe(&info, &infos, assumed);
    let described = described.map_err(|error| here.undescribed(error))?;
    let cxl = match described {
        Some(description) => Some(cxl::discover(backend, &here, description, &regions, &config)?),
        None => None,
    };
    let capabilities = info.chain.entries().iter().map(|entry| entry.id).collect();
    Ok(Inventory { flags: info.flags, capabilities, regions, irqs, config, cxl, device })
}

fn device_info(backend: &Shared, here: &Here<'_>) -> Result<DeviceInfo, DiscoverError> {
    let bytes = backend.lock().device_info()?;
    let (info, _) =
        DeviceInfo::parse(&bytes).map_err(|malformed| here.malformed("device info", malformed))?;
    if !info.flags.contains(DeviceFlags::PCI) {
        return Err(here.impossible("device info flags", info.flags.bits().into(), "not a PCI device"));
    }
    let regions = region::CONFIG + 1..=MAX_REGIONS;
    if !regions.contains(&info.num_regions) {
        return Err(here.impossible(
            "num_regions",
            info.num_regions.into(),
            "a PCI device has 8 to 100 regions",
        ));
    }
    Ok(info)
}

/// The regions that exist, with the files that map them.
fn region_infos(
    backend: &Shared,
    here: &Here<'_>,
    count: u32,
) -> Result<Vec<(RegionInfo, Option<File>)>, DiscoverError> {
    let mut found = Vec::new();
    for index in 0..count {
        let answer = backend.lock().region_info(index);
        let (bytes, file) = match answer {
            Ok(answer) => answer,
            // A device may refuse a region that it does not have: vfio-pci does so for VGA.
            Err(BackendError { failure: Failure::Refused(_), .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let what = || format!("region info of region {index}");
        let (info, _) = RegionInfo::parse(&bytes).map_err(|malformed| here.malformed(what(), malformed))?;
        if info.index != index {
            return Err(here.impossible(what(), info.index.into(), "the answer is for another region"));
        }
        if info.size > 0 {
            found.push((info, file));
        }
    }
    Ok(found)
}

fn region(info: RegionInfo, file: Option<File>, keeps_files: bool) -> Result<Region, Malformed> {
    let listed = info.chain.sparse_areas()?;
    let whole = || vec![Area { offset: 0, size: info.size }];
    let mappable = info.flags.contains(RegionFlags::MMAP);
    let file = file.filter(|_| mappable);
    let end = info.offset.checked_add(info.size);
    let mapping_is_safe =
        file.as_ref().zip(end).is_some_and(|(file, end)| keeps_files || is_sealed(file, end));
    Ok(Region {
        index: info.index,
        size: info.size,
        flags: info.flags,
        kind: info.chain.region_type()?,
        capabilities: info.chain.entries().iter().map(|entry| entry.id).collect(),
        areas: if mappable { listed.unwrap_or_else(whole) } else { Vec::new() },
        file: file.map(Arc::new),
        file_offset: info.offset,
        mapping_is_safe,
    })
}

/// Whether a file is `length` bytes long and can never be shorter. Only files that exist in memory can promise it.
fn is_sealed(file: &File, length: u64) -> bool {
    let sealed = rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK));
    sealed && file.metadata().is_ok_and(|status| status.len() >= length)
}

fn irqs(backend: &Shared, count: u32) -> Result<Vec<Irq>, DiscoverError> {
    let mut irqs = Vec::new();
    for index in 0..count.min(irq::COUNT) {
        let answer = backend.lock().irq_info(index);
        match answer {
            Ok(info) if info.count.get() > 0 => irqs.push(Irq {
                index,
                count: info.count.get(),
                flags: IrqFlags::from_bits_retain(info.flags.get()),
            }),
            Ok(_) | Err(BackendError { failure: Failure::Refused(_), .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(irqs)
}

#[cfg(test)]
mod tests;
