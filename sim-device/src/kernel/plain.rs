//! Any PCI device: BARs, configuration space, interrupts, as vfio-pci shows them.
//!
//! One difference to a kernel is forced by being a process: a kernel lets every BAR of at least a page be mapped,
//! registers with side effects included, because hardware sees every access. Here only what has no side effects
//! can be mapped, and the sparse mmap capability says so.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::pci::CONFIG_SPACE_SIZE;
use cxl_spec::pci::header;
use vfio_abi::chain::Area;
use vfio_abi::chain::Chain;
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqFlags;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::irq as irq_index;
use vfio_abi::info::region as region_index;

use super::Region;
use super::clamp;
use super::trapped;
use crate::silicon::Effect;
use crate::silicon::Silicon;

/// The device is enabled: memory decode is turned on, bus mastering off.
pub(super) fn enable(silicon: &mut Silicon) {
    let command = silicon.config().command().with_memory_space(true).with_bus_master(false);
    if let Some(access) = Access::new(header::COMMAND, Width::Word) {
        silicon.config_write(access, command.raw().into());
    }
}

pub(super) fn region(silicon: &Silicon, index: u32) -> Result<Region<'_>, Errno> {
    let component = &silicon.profile().profile().component;
    match index {
        region_index::BAR0..=region_index::BAR5 if index == u32::from(component.bar) => {
            let areas = around_block(component.offset.0, component.bar_size.0);
            let info = mappable(trapped(index, component.bar_size.0), &areas);
            let file = info.flags.contains(RegionFlags::MMAP).then(|| silicon.accelerator().file());
            Ok(Region { info, file })
        }
        region_index::BAR0..=region_index::BAR5 => {
            let size = silicon.bar_size(index as u8);
            let info = if size == 0 { absent(index) } else { trapped(index, size) };
            Ok(Region { info, file: None })
        }
        region_index::ROM => Ok(Region { info: absent(index), file: None }),
        region_index::CONFIG => Ok(Region { info: trapped(index, CONFIG_SPACE_SIZE), file: None }),
        // Only a VGA device has the VGA region.
        _ => Err(Errno::EINVAL),
    }
}

/// What of a BAR lies around its component block, in order: nothing, one area or two.
pub(super) fn around_block(block: u64, bar: u64) -> Vec<Area> {
    let behind = block.saturating_add(BLOCK_SIZE);
    let areas = [Area { offset: 0, size: block }, Area { offset: behind, size: bar.saturating_sub(behind) }];
    areas.into_iter().filter(|area| area.size > 0).collect()
}

/// The region with these areas mappable; where there are none, it is not mappable at all.
fn mappable(info: RegionInfo, areas: &[Area]) -> RegionInfo {
    if areas.is_empty() {
        return info;
    }
    RegionInfo { flags: info.flags | RegionFlags::MMAP, chain: info.chain.with_sparse_areas(areas), ..info }
}

fn absent(index: u32) -> RegionInfo {
    RegionInfo { flags: RegionFlags::empty(), index, size: 0, offset: 0, chain: Chain::new() }
}

pub(super) fn irq(silicon: &Silicon, index: u32) -> Result<IrqInfo, Errno> {
    let event = IrqFlags::EVENTFD;
    let (flags, count) = match index {
        // The device has no interrupt pin and no MSI.
        irq_index::INTX => (event | IrqFlags::MASKABLE | IrqFlags::AUTOMASKED, 0),
        irq_index::MSI => (event | IrqFlags::NORESIZE, 0),
        irq_index::MSIX => {
            (event | IrqFlags::NORESIZE, silicon.profile().profile().interrupts.msix_vectors.into())
        }
        irq_index::ERR | irq_index::REQ => (event, 1),
        _ => return Err(Errno::EINVAL),
    };
    Ok(IrqInfo {
        argsz: (size_of::<IrqInfo>() as u32).into(),
        flags: flags.bits().into(),
        index: index.into(),
        count: count.into(),
    })
}

pub(super) fn read(silicon: &Silicon, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    match index {
        region_index::BAR0..=region_index::BAR5 => {
            let bar = index as u8;
            let count = bar_count(silicon, bar, offset, buffer.len())?;
            read_pieces(offset, buffer, count, Width::Qword, |access| silicon.bar_read(bar, access));
            Ok(count)
        }
        region_index::CONFIG => {
            let count = clamp(CONFIG_SPACE_SIZE, offset, buffer.len()).ok_or(Errno::EFAULT)?;
            read_pieces(offset, buffer, count, Width::Dword, |access| silicon.config_read(access));
            Ok(count)
        }
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn write(
    silicon: &mut Silicon,
    index: u32,
    offset: u64,
    data: &[u8],
) -> Result<(usize, Vec<Effect>), Errno> {
    match index {
        region_index::BAR0..=region_index::BAR5 => {
            let bar = index as u8;
            let count = bar_count(silicon, bar, offset, data.len())?;
            let write = |access, value| silicon.bar_write(bar, access, value);
            Ok((count, write_pieces(offset, data, count, Width::Qword, write)))
        }
        region_index::CONFIG => {
            let count = clamp(CONFIG_SPACE_SIZE, offset, data.len()).ok_or(Errno::EFAULT)?;
            let write = |access, value| silicon.config_write(access, value);
            Ok((count, write_pieces(offset, data, count, Width::Dword, write)))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// How many bytes of an access a BAR takes.
fn bar_count(silicon: &Silicon, bar: u8, offset: u64, length: usize) -> Result<usize, Errno> {
    let count = clamp(silicon.bar_size(bar), offset, length).ok_or(Errno::EINVAL)?;
    if silicon.config().command().memory_space() { Ok(count) } else { Err(Errno::EIO) }
}

/// Reads `count` bytes in aligned pieces.
pub(super) fn read_pieces(
    offset: u64,
    buffer: &mut [u8],
    count: usize,
    widest: Width,
    mut read: impl FnMut(Access) -> u64,
) {
    let mut rest = buffer.get_mut(..count).unwrap_or_default();
    for access in Access::split(offset, count as u64, widest) {
        let (bytes, length) = access.width().to_bytes(read(access));
        let Some((piece, behind)) = rest.split_at_mut_checked(length) else { return };
        piece.copy_from_slice(bytes.get(..length).unwrap_or_default());
        rest = behind;
    }
}

/// Writes `count` bytes in aligned pieces, and returns what all of them effected.
pub(super) fn write_pieces(
    offset: u64,
    data: &[u8],
    count: usize,
    widest: Width,
    mut write: impl FnMut(Access, u64) -> Vec<Effect>,
) -> Vec<Effect> {
    let mut rest = data.get(..count).unwrap_or_default();
    let mut effects = Vec::new();
    for access in Access::split(offset, count as u64, widest) {
        let Some((piece, behind)) = rest.split_at_checked(access.width().bytes() as usize) else { break };
        let value = piece.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        effects.extend(write(access, value));
        rest = behind;
    }
    effects
}
