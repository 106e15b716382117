//! The device's own file: its ioctls, what is read and written of its regions, and what may be mapped.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use sim_device::kernel::Kernel;
use vfio_abi::errno::Errno;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::region;

use super::Desk;
use super::info;
use super::info::OFFSET_SHIFT;
use crate::caller::Caller;
use crate::caller::Open;
use crate::caller::Piece;
use crate::fields::must;
use crate::fields::or;
use crate::number;

/// The most that one read or write moves; what is asked beyond that is left over, as a system call may.
const MOST: u64 = 1 << 24;

/// Flags of a feature: the kinds of question, and the number.
const FEATURE_NUMBER: u32 = 0xffff;
const FEATURE_GET: u32 = 1 << 16;
const FEATURE_SET: u32 = 1 << 17;
const FEATURE_PROBE: u32 = 1 << 18;

/// Flags of the answer that says what a reset of the bus resets: devices are told by their id in an iommufd, and all
/// are the program's.
const HOT_RESET_DEV_ID: u32 = 1;
const HOT_RESET_OWNED: u32 = 2;

/// The most events that stand for a write.
const MOST_EVENTS: usize = 1000;

/// An event that stands for a write.
#[derive(Debug)]
pub(super) struct IoEvent {
    file: OwnedFd,
    offset: u64,
    value: u64,
    width: usize,
}

impl IoEvent {
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// If it was signalled, what it stands for: region, offset, bytes.
    pub(super) fn take(&self) -> Option<(u32, u64, Vec<u8>)> {
        let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_ready = matches!(rustix::event::poll(&mut ready, Some(&now)), Ok(1));
        is_ready.then(|| rustix::io::read(&self.file, &mut [0; 8]).ok()).flatten()?;
        let (region, offset) = split(self.offset);
        Some((region, offset, self.value.to_le_bytes().into_iter().take(self.width).collect()))
    }
}

/// Region and offset in it of an offset in the file.
fn split(offset: u64) -> (u32, u64) {
    ((offset >> OFFSET_SHIFT) as u32, offset & ((1 << OFFSET_SHIFT) - 1))
}

impl Desk {
    /// Answers an ioctl on the device.
    pub(super) fn device_ioctl(&mut self, number: u32, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        match number {
            number::DEVICE_GET_INFO => {
                let room = by.fields(at, 16)?.u32(0);
                must(room >= 16)?;
                by.put(at, &info::device(&self.kernel.device_info(), room))?;
            }
            number::DEVICE_GET_REGION_INFO => {
                let asked = by.fields(at, 32)?;
                must(asked.u32(0) >= 32)?;
                by.put(at, &info::region(&self.kernel.region(asked.u32(8))?.info, asked.u32(0)))?;
            }
            number::DEVICE_GET_IRQ_INFO => {
                let mut asked = by.fields(at, 16)?;
                must(asked.u32(0) >= 16)?;
                let irq = self.kernel.irq(asked.u32(8))?;
                asked.set_u32(4, irq.flags.get());
                asked.set_u32(12, irq.count.get());
                by.put(at, &asked.0)?;
            }
            number::DEVICE_SET_IRQS => self.set_irqs(at, by)?,
            number::DEVICE_RESET => {
                self.kernel.user_resets()?;
                self.act(by);
            }
            number::DEVICE_GET_PCI_HOT_RESET_INFO => self.hot_reset_info(at, by)?,
            number::DEVICE_PCI_HOT_RESET => self.hot_reset(at, by)?,
            number::DEVICE_IOEVENTFD => self.set_event(at, by)?,
            number::DEVICE_FEATURE => {
                let asked = by.fields(at, 8)?;
                let (argsz, flags) = (asked.u32(0), asked.u32(4));
                let known = FEATURE_NUMBER | FEATURE_GET | FEATURE_SET | FEATURE_PROBE;
                must(argsz >= 8 && flags & !known == 0)?;
                // To ask for both at once is only to find out what there is.
                let both = FEATURE_GET | FEATURE_SET;
                must(flags & FEATURE_PROBE != 0 || flags & both != both)?;
                return Err(Errno::ENOTTY);
            }
            _ => return Err(Errno::ENOTTY),
        }
        Ok(0)
    }

    /// What is reset with the device's bus: itself, nothing else is there.
    fn hot_reset_info(&self, at: u64, by: &dyn Caller) -> Result<(), Errno> {
        let mut head = by.fields(at, 12)?;
        let argsz = head.u32(0);
        must(argsz >= 12)?;
        let id = match &self.bound {
            Some(bound) => bound.device,
            None => self.group_number,
        };
        head.set_u32(4, if self.bound.is_some() { HOT_RESET_DEV_ID | HOT_RESET_OWNED } else { 0 });
        head.set_u32(8, 1);
        if argsz < 20 {
            by.put(at, &head.0)?;
            return Err(Errno::ENOSPC);
        }
        let (segment, bus, function) = self.address();
        let head =
            head.with_u32(id).with_u32(u32::from(segment) | u32::from(bus) << 16 | u32::from(function) << 24);
        by.put(at, &head.0)
    }

    /// Segment, bus, and device with function of the name.
    fn address(&self) -> (u16, u8, u8) {
        let mut parts = self.name.split([':', '.']).map(|part| u16::from_str_radix(part, 16).unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        let (segment, bus, device, function) = (next(), next(), next(), next());
        (segment, bus as u8, (device << 3 | function) as u8)
    }

    fn hot_reset(&mut self, at: u64, by: &dyn Caller) -> Result<(), Errno> {
        let head = by.fields(at, 12)?;
        must(head.u32(0) >= 12 && head.u32(4) == 0)?;
        let count = head.u32(8);
        // Who opened the device by its own node owns it by that, anybody else shows the group.
        must((count == 0) == self.bound.is_some())?;
        must(count <= 1)?;
        if count == 1 {
            let group = by.open(by.fields(at.wrapping_add(12), 4)?.i32(0))?;
            must(group.is_some_and(|group| self.door(group) == Some(super::Door::Group)))?;
        }
        self.kernel.reset();
        self.act(by);
        Ok(())
    }

    fn set_event(&mut self, at: u64, by: &dyn Caller) -> Result<(), Errno> {
        let asked = by.fields(at, 28)?;
        let (flags, offset, value, file) = (asked.u32(4), asked.u64(8), asked.u64(16), asked.i32(24));
        must(asked.u32(0) >= 28 && flags & !0xf == 0)?;
        must(flags.count_ones() == 1 && file >= -1)?;
        let width = flags as usize;
        let (index, inside) = split(offset);
        must(index <= region::BAR5)?;
        let end = inside.checked_add(width as u64).ok_or(Errno::EINVAL)?;
        must(end <= self.kernel.region(index)?.info.size)?;
        let same = |event: &IoEvent| (event.offset, event.value, event.width) == (offset, value, width);
        let found = self.events.iter().position(same);
        match (file, found) {
            (-1, None) => Err(Errno::ENODEV),
            (-1, Some(place)) => {
                self.events.remove(place);
                Ok(())
            }
            (_, Some(_)) => Err(Errno::EEXIST),
            (_, None) => {
                or(self.events.len() < MOST_EVENTS, Errno::ENOSPC)?;
                let file = by.take_event(file)?;
                self.events.push(IoEvent { file, offset, value, width });
                Ok(())
            }
        }
    }

    /// Reads at an offset of an open file of the device into a piece of memory, and returns how many bytes there were.
    ///
    /// # Errors
    /// As the kernel's.
    pub fn read(&self, on: Open, offset: u64, into: Piece, by: &dyn Caller) -> Result<i64, Errno> {
        let kernel = self.shown(on)?;
        let mut bytes = vec![0; into.count.min(MOST) as usize];
        let (index, inside) = place(kernel, offset, bytes.len())?;
        let taken = kernel.read(index, inside, &mut bytes)?;
        by.put(into.at, bytes.get(..taken).unwrap_or_default())?;
        Ok(taken as i64)
    }

    /// Writes a piece of memory at an offset of an open file of the device, and returns how many bytes it took.
    ///
    /// # Errors
    /// As the kernel's.
    pub fn write(&mut self, on: Open, offset: u64, from: Piece, by: &dyn Caller) -> Result<i64, Errno> {
        let (index, inside) = place(self.shown(on)?, offset, from.count as usize)?;
        let bytes = by.fields(from.at, from.count.min(MOST) as usize)?.0;
        let taken = self.kernel.write(index, inside, &bytes)?;
        self.act(by);
        Ok(taken as i64)
    }

    /// Whether a range of the file may be mapped.
    ///
    /// # Errors
    /// As the kernel's.
    pub fn may_map(&self, on: Open, offset: u64, length: u64, shared: bool) -> Result<(), Errno> {
        or(self.is_device(on), Errno::ENODEV)?;
        let kernel = self.shown(on)?;
        let (index, inside) = split(offset);
        must(index < kernel.device_info().num_regions && shared)?;
        let info = kernel.region(index)?.info;
        let end = length.checked_next_multiple_of(0x1000).and_then(|length| inside.checked_add(length));
        must(end.is_some_and(|end| can_be_mapped(&info, inside, end)))
    }
}

/// Region and offset in it, if there is such a region. Of nothing at all there is no more to be asked.
fn place(kernel: &Kernel, offset: u64, count: usize) -> Result<(u32, u64), Errno> {
    let (index, inside) = split(offset);
    must(index < kernel.device_info().num_regions || count == 0)?;
    Ok((index, inside))
}

/// Whether all of a range of a region can be mapped.
fn can_be_mapped(info: &RegionInfo, from: u64, to: u64) -> bool {
    let areas = info.chain.sparse_areas().ok().flatten();
    let inside = match areas {
        None => to <= info.size.next_multiple_of(0x1000),
        Some(areas) => {
            areas.iter().any(|area| area.offset <= from && to <= area.offset.saturating_add(area.size))
        }
    };
    info.flags.contains(RegionFlags::MMAP) && inside
}
