//! Bytes in, bytes and error numbers out. The numbers of calls and the layouts are typed by hand.

mod calls;
mod copies;
mod iommufd;
mod lives;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use sim_device::silicon::Silicon;

use super::*;
use crate::caller::Lies;
use crate::caller::Piece;

/// Where the memory of the only process begins, which part of it is read only, and where the device is mapped in it.
const BASE: u64 = 0x10_0000;
const SIZE: usize = 0x1_0000;
const READ_ONLY: u64 = 0x20_0000;
const MAPPED_DEVICE: u64 = 0x30_0000;

/// A process without a system: memory, and descriptors by number.
struct Fake {
    memory: RefCell<Vec<u8>>,
    opens: RefCell<HashMap<i32, Open>>,
    events: HashMap<i32, OwnedFd>,
    /// None of the memory can be written now.
    is_read_only: Cell<bool>,
}

impl Fake {
    fn new() -> Self {
        let event = |_| rustix::event::eventfd(0, EventfdFlags::NONBLOCK).unwrap();
        let events = (100..110).map(|number| (number, event(number))).collect();
        Self {
            memory: RefCell::new(vec![0; SIZE]),
            opens: RefCell::default(),
            events,
            is_read_only: Cell::new(false),
        }
    }

    fn place(at: u64, length: usize) -> Result<std::ops::Range<usize>, Errno> {
        let from = at.checked_sub(BASE).ok_or(Errno::EFAULT)? as usize;
        let to = from.checked_add(length).filter(|to| *to <= SIZE).ok_or(Errno::EFAULT)?;
        Ok(from..to)
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.memory.borrow_mut()[Self::place(at, bytes.len()).unwrap()].copy_from_slice(bytes);
    }

    fn get(&self, at: u64, length: usize) -> Vec<u8> {
        self.memory.borrow()[Self::place(at, length).unwrap()].to_vec()
    }

    fn word(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.get(at, 4).try_into().unwrap())
    }

    fn counted(&self, event: i32) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::read(&self.events[&event], &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
    }
}

impl Caller for Fake {
    fn process(&self) -> i32 {
        7
    }

    fn read_of(&self, process: i32, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        assert_eq!(process, 7);
        into.copy_from_slice(&self.memory.borrow()[Self::place(at, into.len())?]);
        Ok(())
    }

    fn write_of(&self, process: i32, at: u64, data: &[u8]) -> Result<(), Errno> {
        assert_eq!(process, 7);
        if self.is_read_only.get() {
            return Err(Errno::EFAULT);
        }
        self.memory.borrow_mut()[Self::place(at, data.len())?].copy_from_slice(data);
        Ok(())
    }

    fn lies(&self, at: u64, length: u64) -> Result<Lies, Errno> {
        match at {
            READ_ONLY => Ok(Lies::ReadOnly),
            MAPPED_DEVICE => Ok(Lies::Device),
            _ => Self::place(at, length as usize).map(|_| Lies::Writable),
        }
    }

    fn open(&self, file: i32) -> Result<Option<Open>, Errno> {
        match file {
            50.. if self.events.contains_key(&file) => Ok(None),
            _ => self.opens.borrow().get(&file).copied().map(Some).ok_or(Errno::EBADF),
        }
    }

    fn take(&self, file: i32) -> Result<OwnedFd, Errno> {
        self.events.get(&file).map(|event| event.try_clone().unwrap()).ok_or(Errno::EBADF)
    }

    fn take_event(&self, file: i32) -> Result<OwnedFd, Errno> {
        if self.opens.borrow().contains_key(&file) { Err(Errno::EINVAL) } else { self.take(file) }
    }
}

/// A desk and its only caller.
struct User {
    desk: Desk,
    fake: Fake,
}

/// The bytes of 32-bit and 64-bit fields.
fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

impl User {
    fn of(abi: &str, profile: &str) -> Self {
        let profile = Profile::parse("test", profile).unwrap().check().unwrap();
        let kernel = Kernel::bind(Silicon::power_on(profile).unwrap(), Abi::named(abi).unwrap()).unwrap();
        Self { desk: Desk::new("0000:c1:00.0".to_owned(), 5, kernel), fake: Fake::new() }
    }

    fn new() -> Self {
        Self::of("v2", "")
    }

    /// Opens a node as this descriptor.
    fn open(&mut self, file: i32, door: Door) -> Open {
        let open = self.desk.open(door).unwrap();
        self.fake.opens.borrow_mut().insert(file, open);
        open
    }

    fn close(&mut self, file: i32) {
        let open = self.fake.opens.borrow_mut().remove(&file).unwrap();
        self.desk.closed(open);
    }

    /// A call whose argument is a number.
    fn call(&mut self, file: i32, number: u32, argument: u64) -> Result<i64, Errno> {
        let open = self.fake.opens.borrow()[&file];
        match self.desk.ioctl(open, number, argument, &self.fake)? {
            Done::Value(value) => Ok(value),
            Done::Opened(open) => {
                let file = 20 + open.0 as i32;
                self.fake.opens.borrow_mut().insert(file, open);
                Ok(file.into())
            }
        }
    }

    /// A call with a structure, which is at [`BASE`] then.
    fn give(&mut self, file: i32, number: u32, bytes: &[u8]) -> Result<i64, Errno> {
        self.fake.put(BASE, bytes);
        self.call(file, number, BASE)
    }

    /// A container with an IOMMU as 3, the group as 4 and its device, whose descriptor is returned.
    fn with_device(&mut self) -> i32 {
        self.with_iommu(3);
        self.give(4, 0x3b6a, b"0000:c1:00.0\0").unwrap() as i32
    }

    fn with_iommu(&mut self, kind: u64) {
        self.open(3, Door::Container);
        self.open(4, Door::Group);
        self.give(4, 0x3b68, &words(&[3])).unwrap();
        assert_eq!(self.call(3, 0x3b66, kind), Ok(0));
    }

    fn read(&self, file: i32, offset: u64, count: u64) -> Result<i64, Errno> {
        let into = Piece { at: BASE + 0x1000, count };
        self.desk.read(self.fake.opens.borrow()[&file], offset, into, &self.fake)
    }

    fn write(&mut self, file: i32, offset: u64, bytes: &[u8]) -> Result<i64, Errno> {
        self.fake.put(BASE + 0x1000, bytes);
        let open = self.fake.opens.borrow()[&file];
        let from = Piece { at: BASE + 0x1000, count: bytes.len() as u64 };
        self.desk.write(open, offset, from, &self.fake)
    }
}
