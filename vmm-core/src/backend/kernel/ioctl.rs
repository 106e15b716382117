//! The system calls that a device of the host's is reached by.
//!
//! # Rules for the unsafe code in this file
//!
//! - Bytes go with an order only if they are what its [`Argument`] says: as long as the kernel reads and writes them,
//!   and a structure's first dword says no more than there are.
//! - An address is put into a structure here and nowhere else: that of a mapping which its [`HostMemory`] holds, or
//!   that of an array which is borrowed for the call. The kernel pins the pages of a mapping that it keeps.
//! - A file that an order answers with is a new one, which nobody else has.

#![allow(unsafe_code, reason = "the kernel is given the addresses of structures, and gives files as numbers")]

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use vfio_abi::errno::Errno;
use vfio_abi::kernel::Argument;
use vfio_abi::kernel::Order;
use vmm_sys_util::ioctl::ioctl_with_val;

use crate::map::memory::HostMemory;

/// Where the calls go: to Linux, or to what plays it in a test.
pub(super) trait System: fmt::Debug + Send + Sync {
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno>;

    /// Gives an order to a file.
    fn order(&self, file: BorrowedFd<'_>, order: Order, with: With<'_>) -> Result<u32, Errno>;

    /// Asks a group for the file of the device with this name.
    fn device(&self, group: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno>;

    /// Fills `buffer` with one call, and says how far it is filled.
    fn read(&self, file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Writes `data` with one call, and says how much of it is written.
    fn write(&self, file: BorrowedFd<'_>, offset: u64, data: &[u8]) -> Result<usize, Errno>;
}

/// What goes with an order.
#[derive(Debug)]
pub(super) enum With<'a> {
    /// Nothing.
    Nothing,
    /// A number.
    Number(u32),
    /// Bytes that the kernel reads, and may write.
    Bytes(&'a mut [u8]),
    /// A structure that gets the address and the length of memory.
    Memory(&'a mut [u8], &'a HostMemory),
    /// A structure that gets the address of an array, and how many elements it has.
    Array(&'a mut [u8], &'a mut [u8]),
}

/// The system that this program runs on.
#[derive(Debug)]
pub(super) struct Linux;

impl System for Linux {
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(errno)
    }

    fn order(&self, file: BorrowedFd<'_>, order: Order, with: With<'_>) -> Result<u32, Errno> {
        let argument = argument(order, with).ok_or(Errno::EINVAL)?;
        loop {
            // SAFETY: the argument is what the order takes, and what it points to is borrowed until here: see above.
            let answer = unsafe { ioctl_with_val(&file, order.number.into(), argument) };
            match u32::try_from(answer) {
                Ok(answer) => return Ok(answer),
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Errno(io::Error::last_os_error().raw_os_error().unwrap_or(0) as u32)),
            }
        }
    }

    fn device(&self, group: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
        let mut text = [name.as_bytes(), &[0]].concat();
        let number = self.order(group, Order::GROUP_GET_DEVICE_FD, With::Bytes(&mut text))?;
        let number = i32::try_from(number).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the kernel has just made this file for us, and nobody else knows its number.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    fn read(&self, file: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset)).map_err(errno)
    }

    fn write(&self, file: BorrowedFd<'_>, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::pwrite(file, data, offset)).map_err(errno)
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno(error.raw_os_error() as u32)
}

/// What stands in the system call. Nothing if it is not what the order takes.
fn argument(order: Order, with: With<'_>) -> Option<u64> {
    match (order.argument, with) {
        (Argument::Nothing, With::Nothing) => Some(0),
        (Argument::Number, With::Number(number)) => Some(number.into()),
        (Argument::Bytes(size), With::Bytes(bytes)) if bytes.len() == size => Some(address(bytes)),
        (Argument::Text, With::Bytes(text)) if text.contains(&0) => Some(address(text)),
        (Argument::Structure(size), With::Bytes(bytes)) if bytes.len() == size => structure(bytes),
        (Argument::Growing(least), With::Bytes(bytes)) if bytes.len() >= least => structure(bytes),
        (Argument::Memory { size, address: at, length }, With::Memory(bytes, memory))
            if bytes.len() == size =>
        {
            put(bytes, at, &memory.host_address().to_le_bytes())?;
            put(bytes, length, &memory.size().to_le_bytes())?;
            structure(bytes)
        }
        (Argument::Array { size, address: at, count, element }, With::Array(bytes, array))
            if bytes.len() == size =>
        {
            let elements = u32::try_from(array.len().checked_div(element)?).ok()?;
            put(bytes, at, &address(array).to_le_bytes())?;
            put(bytes, count, &elements.to_le_bytes())?;
            structure(bytes)
        }
        _ => None,
    }
}

fn address(bytes: &mut [u8]) -> u64 {
    bytes.as_mut_ptr().expose_provenance() as u64
}

/// The address of a structure whose first dword claims no more bytes than it has.
fn structure(bytes: &mut [u8]) -> Option<u64> {
    let claimed = u32::from_le_bytes(*bytes.first_chunk()?);
    (claimed as usize <= bytes.len()).then(|| address(bytes))
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rstest::rstest;

    use super::*;

    fn claims(length: u32, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes
    }

    #[rstest]
    #[case(Order::DEVICE_GET_INFO, 24, 24, true)]
    #[case(Order::DEVICE_GET_INFO, 4096, 4096, true)]
    #[case(Order::DEVICE_GET_INFO, 25, 24, false)]
    #[case(Order::DEVICE_GET_INFO, 15, 15, false)]
    #[case(Order::IOMMU_UNMAP_DMA, 24, 24, true)]
    #[case(Order::IOMMU_UNMAP_DMA, 40, 40, false)]
    #[case(Order::GROUP_SET_CONTAINER, 99, 4, true)]
    #[case(Order::GROUP_SET_CONTAINER, 99, 5, false)]
    #[case(Order::DEVICE_RESET, 4, 4, false)]
    #[case(Order::IOMMU_MAP_DMA, 32, 32, false)]
    #[case(Order::IOAS_IOVA_RANGES, 32, 32, false)]
    fn bytes_go_only_with_an_order_that_takes_them(
        #[case] order: Order,
        #[case] length: u32,
        #[case] size: usize,
        #[case] goes: bool,
    ) {
        assert_eq!(argument(order, With::Bytes(&mut claims(length, size))).is_some(), goes);
    }

    #[test]
    fn memory_is_named_by_the_address_and_length_that_it_has() {
        let memory = HostMemory::ram(0x3000).unwrap().part(0x1000, 0x2000).unwrap();
        let mut bytes = claims(32, 32);
        bytes[8..16].fill(0xff);
        assert!(argument(Order::IOMMU_MAP_DMA, With::Memory(&mut bytes, &memory)).is_some());
        assert_eq!(bytes[8..16], memory.host_address().to_le_bytes());
        assert_eq!(bytes[24..32], [0, 0x20, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_array_is_named_by_the_elements_that_it_has() {
        let (mut bytes, mut array) = (claims(32, 32), [0; 16 * 3 + 5]);
        bytes[8..12].fill(0xff);
        assert!(argument(Order::IOAS_IOVA_RANGES, With::Array(&mut bytes, &mut array)).is_some());
        assert_eq!(bytes[8..12], [3, 0, 0, 0]);
    }

    #[test]
    fn a_name_without_its_end_does_not_go() {
        let order = Order::GROUP_GET_DEVICE_FD;
        assert!(argument(order, With::Bytes(&mut b"0000:01:00.0\0".to_owned())).is_some());
        assert!(argument(order, With::Bytes(&mut b"0000:01:00.0".to_owned())).is_none());
    }

    #[test]
    fn a_file_that_is_no_device_refuses_every_order() {
        let file = Linux.open(Path::new("/dev/null")).unwrap();
        let asked = Linux.order(file.as_fd(), Order::DEVICE_RESET, With::Nothing);
        assert_eq!(asked, Err(Errno::ENOTTY));
        assert_eq!(Linux.open(Path::new("/dev/vfio/none")).unwrap_err(), Errno::ENOENT);
        assert_eq!(Linux.device(file.as_fd(), "0000:01:00.0").unwrap_err(), Errno::ENOTTY);
    }

    #[test]
    fn reads_and_writes_are_one_call_at_their_offset() {
        let ram = HostMemory::ram(0x1000).unwrap();
        let file = ram.file().as_fd();
        assert_eq!(Linux.write(file, 0xffe, &[7, 8, 9]), Ok(2), "behind the end there is nothing");
        let mut bytes = [0; 4];
        assert_eq!((Linux.read(file, 0xffc, &mut bytes), bytes), (Ok(4), [0, 0, 7, 8]));
    }
}
