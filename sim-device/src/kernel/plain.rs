//! Any PCI device: BARs, configuration space, interrupts, as vfio-pci shows them.
//!
//! One difference to a kernel is forced by being a process: a kernel lets every BAR of at least a page be mapped,
//! registers with side effects included, because hardware sees every access. Here only what has no side effects
//! can be mapped, and the sparse mmap capability says so. Another is a choice: a kernel leaves extended capabilities
//! that it does not know out of the list, data object exchange among them; here the list is the hardware's.

use std::ops::Range;

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

use super::Abi;
use super::Region;
use super::View;
use super::Written;
use super::clamp;
use super::interrupts;
use super::trapped;
use crate::silicon::Effect;
use crate::silicon::Silicon;

/// A kernel without vfio-cxl.
pub(super) const ABI: Abi = Abi {
    name: "plain",
    about: "vfio-pci without vfio-cxl: the device is a PCI device like any other",
    provisional: false,
    probe: |_| Ok(Box::new(Plain)),
};

/// A PCI device like any other.
#[derive(Debug)]
pub(super) struct Plain;

impl View for Plain {}

/// The power state in which a function hears nothing but configuration.
const D3_HOT: u8 = 3;

/// The device is enabled: memory decode is turned on, bus mastering off, and the pin is not disabled.
pub(super) fn enable(silicon: &mut Silicon) {
    let command = silicon.config().command().with_memory_space(true).with_bus_master(false);
    let command = command.with_interrupt_disable(false);
    if let Some(access) = Access::new(header::COMMAND, Width::Word) {
        silicon.config_write(access, command.raw().into());
    }
}

/// A function level reset, with the configuration saved before and restored after.
pub(super) fn reset(silicon: &mut Silicon) {
    let saved = silicon.config().clone();
    silicon.function_level_reset();
    silicon.restore_config(saved);
}

pub(super) fn region(silicon: &Silicon, index: u32) -> Result<Region<'_>, Errno> {
    let component = &silicon.profile().profile().component;
    match index {
        _ if index == u32::from(component.bar) => {
            let block = component.offset.0..component.offset.0.saturating_add(BLOCK_SIZE);
            component_bar(silicon, block)
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

/// The BAR that holds the component block, mappable but for a `hole`.
///
/// # Errors
/// `EINVAL` if the hole does not end inside the BAR.
pub(super) fn component_bar(silicon: &Silicon, hole: Range<u64>) -> Result<Region<'_>, Errno> {
    let component = &silicon.profile().profile().component;
    let info = trapped(component.bar.into(), component.bar_size.0);
    let areas = around(hole, component.bar_size.0)?;
    if areas.is_empty() {
        // Nothing is left to map. The call succeeds all the same.
        return Ok(Region { info, file: None });
    }
    let flags = info.flags | RegionFlags::MMAP;
    let info = RegionInfo { flags, chain: info.chain.with_sparse_areas(&areas), ..info };
    Ok(Region { info, file: Some(silicon.accelerator().file()) })
}

/// What of a BAR lies around a hole in it, in order: nothing, one area or two.
fn around(hole: Range<u64>, bar: u64) -> Result<Vec<Area>, Errno> {
    let behind = bar.checked_sub(hole.end).ok_or(Errno::EINVAL)?;
    let areas = [Area { offset: 0, size: hole.start }, Area { offset: hole.end, size: behind }];
    Ok(areas.into_iter().filter(|area| area.size > 0).collect())
}

fn absent(index: u32) -> RegionInfo {
    RegionInfo { flags: RegionFlags::empty(), index, size: 0, offset: 0, chain: Chain::new() }
}

pub(super) fn irq(silicon: &Silicon, index: u32) -> Result<IrqInfo, Errno> {
    let event = IrqFlags::EVENTFD;
    let (flags, count) = match index {
        irq_index::INTX => {
            let pin = u32::from(silicon.profile().profile().interrupts.pin);
            (event | IrqFlags::MASKABLE | IrqFlags::AUTOMASKED, pin)
        }
        // The device has no MSI.
        irq_index::MSI => (event | IrqFlags::NORESIZE, 0),
        irq_index::MSIX => {
            (event | IrqFlags::NORESIZE, silicon.profile().profile().interrupts.msix_vectors.into())
        }
        irq_index::ERR | irq_index::REQ => (event | IrqFlags::NORESIZE, 1),
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
            // The MSI-X table is the kernel's.
            let table = interrupts::table(silicon, bar);
            let bytes = buffer.iter_mut().take(count).zip(offset..);
            bytes.filter(|(_, at)| table.contains(at)).for_each(|(byte, _)| *byte = 0xff);
            Ok(count)
        }
        region_index::CONFIG => read_config(offset, buffer, |access| config_read(silicon, access)),
        _ => Err(Errno::EINVAL),
    }
}

pub(super) fn write(silicon: &mut Silicon, index: u32, offset: u64, data: &[u8]) -> Written {
    match index {
        region_index::BAR0..=region_index::BAR5 => {
            let bar = index as u8;
            let count = bar_count(silicon, bar, offset, data.len())?;
            let table = interrupts::table(silicon, bar);
            let write = |access: Access, value| match table.contains(&access.offset()) {
                true => Vec::new(),
                false => silicon.bar_write(bar, access, value),
            };
            Ok((count, write_pieces(offset, data, count, Width::Qword, write)))
        }
        region_index::CONFIG => {
            write_config(offset, data, |access, value| config_write(silicon, access, value))
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Reads the region that is configuration space, which `read` knows dword by dword.
pub(super) fn read_config(
    offset: u64,
    buffer: &mut [u8],
    read: impl FnMut(Access) -> u64,
) -> Result<usize, Errno> {
    let count = clamp(CONFIG_SPACE_SIZE, offset, buffer.len()).ok_or(Errno::EFAULT)?;
    read_pieces(offset, buffer, count, Width::Dword, read);
    Ok(count)
}

/// Writes the region that is configuration space, which `write` knows dword by dword.
pub(super) fn write_config(
    offset: u64,
    data: &[u8],
    write: impl FnMut(Access, u64) -> Vec<Effect>,
) -> Written {
    let count = clamp(CONFIG_SPACE_SIZE, offset, data.len()).ok_or(Errno::EFAULT)?;
    Ok((count, write_pieces(offset, data, count, Width::Dword, write)))
}

/// Reads configuration space, at most a dword of it.
pub(super) fn config_read(silicon: &Silicon, access: Access) -> u64 {
    silicon.config_read(access)
}

/// Writes configuration space, at most a dword of it.
pub(super) fn config_write(silicon: &mut Silicon, access: Access, value: u64) -> Vec<Effect> {
    if interrupts::is_msix(access) {
        return Vec::new();
    }
    silicon.config_write(access, value)
}

/// How many bytes of an access a BAR takes: none while decode is off, or in a power state other than D0.
pub(super) fn bar_count(silicon: &Silicon, bar: u8, offset: u64, length: usize) -> Result<usize, Errno> {
    let count = clamp(silicon.bar_size(bar), offset, length).ok_or(Errno::EINVAL)?;
    let config = silicon.config();
    let awake = config.power_state().value() < D3_HOT;
    if config.command().memory_space() && awake { Ok(count) } else { Err(Errno::EIO) }
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::at_the_start(0..4, 16, &[(4, 12)])]
    #[case::at_the_end(12..16, 16, &[(0, 12)])]
    #[case::in_the_middle(4..8, 16, &[(0, 4), (8, 8)])]
    #[case::all_of_it(0..16, 16, &[])]
    fn what_lies_around_a_hole_can_be_mapped(
        #[case] hole: Range<u64>,
        #[case] bar: u64,
        #[case] areas: &[(u64, u64)],
    ) {
        let expected: Vec<_> = areas.iter().map(|&(offset, size)| Area { offset, size }).collect();
        assert_eq!(around(hole, bar), Ok(expected));
    }

    #[test]
    fn a_hole_that_passes_the_end_is_refused() {
        assert_eq!(around(8..17, 16), Err(Errno::EINVAL));
    }
}
