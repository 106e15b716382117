//! A kernel that is played, and the file system that goes with it.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use parking_lot::Mutex;
use rustix::fs::MemfdFlags;
use tempfile::TempDir;
use vfio_abi::chain::Chain;
use vfio_abi::errno::Errno;
use vfio_abi::kernel::Order;

use super::super::Host;
use super::super::ioctl::System;
use super::super::ioctl::With;
use super::DEVICE;
use crate::backend::Backend;
use crate::backend::Failure;
use crate::backend::fake::Fake;

/// Where the first region is in the device's file, and how far the next one is: not what Linux has today.
pub(super) const FIRST: u64 = 0x100_0000;
pub(super) const APART: u64 = 0x1000_0000;

/// A kernel with one device.
#[derive(Debug)]
pub(super) struct Played {
    /// The device.
    pub(super) device: Mutex<Fake>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What files are, by their numbers.
    files: BTreeMap<i32, String>,
    /// The names of orders, with numbers in them, and paths that were opened.
    log: Vec<String>,
    /// What goes wrong, by the name of the order or the path.
    fails: BTreeMap<String, Errno>,
    /// The bytes of the last order of each name, as they came.
    asked: BTreeMap<&'static str, Vec<u8>>,
    /// What is mapped: first address, length, and the first dword there.
    mapped: BTreeMap<u64, (u64, Option<u32>)>,
    not_viable: bool,
}

impl Default for Played {
    fn default() -> Self {
        Self { device: Mutex::new(Fake::committed()), state: Mutex::default() }
    }
}

impl Played {
    /// From now on, an order or a path fails.
    pub(super) fn fail(&self, what: &str, errno: Errno) {
        self.state.lock().fails.insert(what.to_owned(), errno);
    }

    /// Another driver has a device of the group.
    pub(super) fn is_not_viable(&self) {
        self.state.lock().not_viable = true;
    }

    /// What was asked since, in order.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().log)
    }

    /// What was asked until now is forgotten.
    pub(super) fn forget(&self) {
        self.state.lock().log.clear();
    }

    /// The bytes of the last such order, as they came.
    pub(super) fn asked(&self, order: Order) -> Vec<u8> {
        self.state.lock().asked.get(order.name).cloned().unwrap_or_default()
    }

    /// What is mapped: first address, length, first dword if it came by address.
    pub(super) fn mapped(&self) -> Vec<(u64, u64, Option<u32>)> {
        self.state.lock().mapped.iter().map(|(at, (size, dword))| (*at, *size, *dword)).collect()
    }

    fn new_file(&self, name: &str) -> OwnedFd {
        let file = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, FIRST + 12 * APART).unwrap();
        self.state.lock().files.insert(file.as_raw_fd(), name.to_owned());
        file
    }

    fn note(&self, what: &str, said: String) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.log.push(said);
        state.fails.get(what).map_or(Ok(()), |errno| Err(*errno))
    }

    /// An info of the device's, as the kernel fills it in: no more than there is room for, and the chain only whole.
    fn info(&self, order: Order, bytes: &mut [u8]) -> Result<(), Errno> {
        let index = bytes.get(8..12).map_or(0, |index| u32::from_le_bytes(index.try_into().unwrap()));
        let mut device = self.device.lock();
        let refused = |error: crate::backend::BackendError| match error.failure {
            Failure::Refused(errno) => errno,
            other => panic!("{other}"),
        };
        let (mut whole, fixed, offset_at) = match order {
            Order::DEVICE_GET_INFO => (device.device_info().map_err(refused)?, 24, 16),
            _ => (device.region_info(index).map_err(refused)?.0, 32, 12),
        };
        if order == Order::DEVICE_GET_REGION_INFO {
            whole[24..32].copy_from_slice(&(FIRST + u64::from(index) * APART).to_le_bytes());
        }
        // Without a chain the kernel leaves the size that it was asked with.
        whole.resize(whole.len().max(fixed), 0);
        if whole.len() > bytes.len() {
            whole[offset_at..offset_at + 4].fill(0);
            whole.truncate(fixed.min(bytes.len()));
        }
        bytes[..whole.len()].copy_from_slice(&whole);
        Ok(())
    }

    fn place(at: u64) -> (u32, u64) {
        let at = at.checked_sub(FIRST).expect("an offset that no region has");
        ((at / APART) as u32, at % APART)
    }
}

fn dword(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn qword(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

impl System for Played {
    fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        let from = parts.iter().position(|part| part == "dev").unwrap();
        let name = format!("/{}", parts[from..].join("/"));
        self.note(&name, format!("open {name}"))?;
        std::fs::metadata(path).map_err(|_| Errno::ENOENT)?;
        Ok(self.new_file(&name))
    }

    fn order(&self, file: BorrowedFd<'_>, order: Order, with: With<'_>) -> Result<u32, Errno> {
        let known = self.state.lock().files.get(&file.as_raw_fd()).cloned().expect("a file of this kernel");
        let number = if let With::Number(number) = &with { format!(" {number}") } else { String::new() };
        self.note(order.name, format!("{known}: {}{number}", order.name))?;
        let mut state = self.state.lock();
        if let With::Bytes(bytes) | With::Memory(bytes, _) | With::Array(bytes, _) = &with {
            state.asked.insert(order.name, bytes.to_vec());
        }
        match (order, with) {
            (Order::GET_API_VERSION, _) => return Ok(0),
            (Order::CHECK_EXTENSION, _) => return Ok(1),
            (Order::GROUP_GET_STATUS, With::Bytes(bytes)) => bytes[4] = u8::from(!state.not_viable),
            (Order::DEVICE_GET_INFO | Order::DEVICE_GET_REGION_INFO, With::Bytes(bytes)) => {
                drop(state);
                self.info(order, bytes)?;
            }
            (Order::DEVICE_GET_IRQ_INFO, With::Bytes(bytes)) => bytes[12] = 7,
            (Order::IOMMU_GET_INFO, With::Bytes(bytes)) => {
                let mut whole = vec![0; 24];
                whole[4] = 3;
                whole[16] = 24;
                let mut ranges = vec![1, 0, 0, 0, 0, 0, 0, 0];
                ranges.extend([0u64.to_le_bytes(), 0xffff_ffffu64.to_le_bytes()].concat());
                Chain::new().with(2, 1, &[9; 16]).with(1, 1, &ranges).encode(&mut whole);
                whole[0] = whole.len() as u8;
                if bytes.len() < whole.len() {
                    whole[16] = 0;
                }
                let fits = bytes.len().min(whole.len());
                bytes[..fits].copy_from_slice(&whole[..fits]);
            }
            (Order::IOAS_ALLOC, With::Bytes(bytes)) => bytes[8] = 5,
            (Order::IOAS_IOVA_RANGES, With::Array(bytes, array)) => {
                bytes[8] = 1;
                array[8..16].copy_from_slice(&0xffff_ffffu64.to_le_bytes());
            }
            (Order::IOMMU_MAP_DMA, With::Memory(bytes, memory)) => {
                let first = memory.load(0, cxl_spec::access::Width::Dword).map(|dword| dword as u32);
                state.mapped.insert(qword(bytes, 16), (memory.size(), first));
            }
            (Order::IOAS_MAP, With::Memory(bytes, memory)) => {
                let first = memory.load(0, cxl_spec::access::Width::Dword).map(|dword| dword as u32);
                state.mapped.insert(qword(bytes, 32), (memory.size(), first));
            }
            (Order::IOAS_MAP_FILE, With::Bytes(bytes)) => {
                state.mapped.insert(qword(bytes, 32), (qword(bytes, 24), None));
            }
            (Order::IOMMU_UNMAP_DMA, With::Bytes(bytes)) => {
                let found = state.mapped.remove(&qword(bytes, 8)).map_or(0, |(size, _)| size);
                bytes[16..24].copy_from_slice(&found.to_le_bytes());
            }
            (Order::IOAS_UNMAP, With::Bytes(bytes)) => {
                assert_eq!(dword(bytes, 4), 5);
                let found = state.mapped.remove(&qword(bytes, 8)).ok_or(Errno::ENOENT)?;
                bytes[16..24].copy_from_slice(&found.0.to_le_bytes());
            }
            _ => {}
        }
        Ok(0)
    }

    fn device(&self, group: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
        assert!(self.state.lock().files[&group.as_raw_fd()].starts_with("/dev/vfio/"));
        self.note("GROUP_GET_DEVICE_FD", format!("GROUP_GET_DEVICE_FD {name}"))?;
        Ok(self.new_file("device"))
    }

    fn read(&self, _: BorrowedFd<'_>, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (region, at) = Self::place(offset);
        self.note("read", format!("read {region} {at:#x} {}", buffer.len()))?;
        if at == 0xfff {
            return Ok(1);
        }
        let outcome = self.device.lock().read(region, at, buffer);
        outcome.map(|()| buffer.len()).map_err(|error| error.failure.errno().unwrap())
    }

    fn write(&self, _: BorrowedFd<'_>, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        let (region, at) = Self::place(offset);
        self.note("write", format!("write {region} {at:#x} {}", data.len()))?;
        let outcome = self.device.lock().write(region, at, data);
        outcome.map(|()| data.len()).map_err(|error| error.failure.errno().unwrap())
    }
}

/// The files of a host.
#[derive(Debug)]
pub(super) struct Tree {
    folder: TempDir,
}

impl Tree {
    /// A host whose device is ready, in group 12, with a file of its own.
    pub(super) fn whole() -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap() };
        for file in ["dev/vfio/vfio", "dev/vfio/12", "dev/vfio/devices/vfio3", "dev/iommu"] {
            tree.file(file, "");
        }
        tree.link(&format!("{}/driver", Self::sysfs(DEVICE)), "bus/pci/drivers/vfio-pci");
        tree.link(&format!("{}/iommu_group", Self::sysfs(DEVICE)), "kernel/iommu_groups/12");
        tree.file(&format!("{}/vfio-dev/vfio3/dev", Self::sysfs(DEVICE)), "511:3");
        tree.file(&format!("{}/power_state", Self::sysfs(DEVICE)), "D0\n");
        tree.file(&format!("sys/kernel/iommu_groups/12/devices/{DEVICE}"), "");
        tree
    }

    /// The folder of a device.
    pub(super) fn sysfs(device: &str) -> String {
        format!("sys/bus/pci/devices/{device}")
    }

    /// A file, with the folders to it.
    pub(super) fn file(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A link to somewhere that need not be there.
    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(Path::new("../../../../").join(target), path).unwrap();
    }

    /// Something is not there.
    pub(super) fn without(&self, path: &str) {
        let path = self.folder.path().join(path);
        let is_folder = path.symlink_metadata().unwrap().is_dir();
        if is_folder { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }.unwrap();
    }

    /// Where the files are.
    pub(super) fn host(&self) -> Host {
        Host { dev: self.folder.path().join("dev"), sys: self.folder.path().join("sys") }
    }
}
