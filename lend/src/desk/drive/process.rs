//! A process without a system: memory that notes who writes it, and descriptors by number.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;
use vfio_abi::errno::Errno;

use crate::caller::Caller;
use crate::caller::Lies;
use crate::caller::Open;
use crate::caller::Piece;

/// Where its memory begins, and how much there is. The last page is only to be read.
pub(super) const BASE: u64 = 0x10_0000;
pub(super) const SIZE: u64 = 0x1_0000;
pub(super) const READ_ONLY: u64 = BASE + SIZE - 0x1000;

/// Where the device is mapped, a page of it.
pub(super) const DEVICE: u64 = 0x30_0000;

/// Its descriptors: first those of our files, then events, then a plain file.
pub(super) const EVENTS: Range<i32> = 0x30..0x38;
pub(super) const PLAIN_FILE: i32 = 0x38;

/// The process's number.
const NUMBER: i32 = 7;

/// The only process.
#[derive(Debug)]
pub(super) struct Process {
    memory: RefCell<Vec<u8>>,
    writes: RefCell<Vec<Piece>>,
    opens: RefCell<BTreeMap<i32, Open>>,
    others: BTreeMap<i32, OwnedFd>,
}

impl Process {
    pub(super) fn new() -> Self {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let event = |number| rustix::event::eventfd(0, flags).ok().map(|event| (number, event));
        let mut others: BTreeMap<_, _> = EVENTS.filter_map(event).collect();
        if let Ok(file) = rustix::fs::memfd_create("plain", MemfdFlags::CLOEXEC)
            && rustix::fs::ftruncate(&file, SIZE).is_ok()
        {
            others.insert(PLAIN_FILE, file);
        }
        let memory = RefCell::new(vec![0x5a; SIZE as usize]);
        Self { memory, writes: RefCell::default(), opens: RefCell::default(), others }
    }

    /// Puts bytes into memory, as much as there is of it, whoever may write there.
    pub(super) fn set(&self, at: u64, bytes: &[u8]) {
        let Some(from) = at.checked_sub(BASE) else { return };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        self.memory.borrow_mut().iter_mut().skip(from).zip(bytes).for_each(|(place, byte)| *place = *byte);
    }

    /// What was written since the last question.
    pub(super) fn take_writes(&self) -> Vec<Piece> {
        self.writes.take()
    }

    /// One more descriptor, if there is room for it.
    pub(super) fn add(&self, open: Open) -> Option<i32> {
        let mut opens = self.opens.borrow_mut();
        let file = (0..EVENTS.start).find(|file| !opens.contains_key(file))?;
        opens.insert(file, open);
        Some(file)
    }

    /// Closes a descriptor. Gives what it was of, if that was the last.
    pub(super) fn close(&self, file: i32) -> Option<Open> {
        let mut opens = self.opens.borrow_mut();
        let open = opens.remove(&file)?;
        (!opens.values().any(|other| *other == open)).then_some(open)
    }

    /// The descriptor of our files that a step means, with what it is of.
    pub(super) fn chosen(&self, file: u8) -> Option<(i32, Open)> {
        let opens = self.opens.borrow();
        let place = usize::from(file).checked_rem(opens.len())?;
        opens.iter().nth(place).map(|(file, open)| (*file, *open))
    }

    /// Which of our files a descriptor is.
    pub(super) fn opened(&self, file: i32) -> Option<Open> {
        self.opens.borrow().get(&file).copied()
    }

    /// Signals one of its events.
    pub(super) fn signal(&self, event: u8) {
        let place = usize::from(event) % EVENTS.len();
        let file = EVENTS.clone().nth(place).and_then(|file| self.others.get(&file));
        // A counter that is full is signalled already.
        file.into_iter().for_each(|file| _ = rustix::io::write(file, &1_u64.to_ne_bytes()));
    }

    fn other(&self, file: i32) -> Result<OwnedFd, Errno> {
        let other = self.others.get(&file).ok_or(Errno::EBADF)?;
        other.try_clone().or(Err(Errno::EBADF))
    }
}

/// Where something is in memory.
fn place(at: u64, length: u64) -> Result<Range<usize>, Errno> {
    let from = at.checked_sub(BASE).ok_or(Errno::EFAULT)?;
    let to = from.checked_add(length).filter(|to| *to <= SIZE).ok_or(Errno::EFAULT)?;
    Ok(from as usize..to as usize)
}

impl Caller for Process {
    fn process(&self) -> i32 {
        NUMBER
    }

    fn read_of(&self, process: i32, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        assert_eq!(process, NUMBER, "nobody knows that process");
        let place = place(at, into.len() as u64)?;
        let memory = self.memory.borrow();
        let from = memory.get(place).ok_or(Errno::EFAULT)?;
        into.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn write_of(&self, process: i32, at: u64, data: &[u8]) -> Result<(), Errno> {
        assert_eq!(process, NUMBER, "nobody knows that process");
        let count = data.len() as u64;
        let place = place(at, count)?;
        if count > 0 && at.saturating_add(count) > READ_ONLY {
            return Err(Errno::EFAULT);
        }
        self.writes.borrow_mut().push(Piece { at, count });
        let mut memory = self.memory.borrow_mut();
        let to = memory.get_mut(place).ok_or(Errno::EFAULT)?;
        to.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn lies(&self, at: u64, length: u64) -> Result<Lies, Errno> {
        let end = at.checked_add(length).ok_or(Errno::EFAULT)?;
        if (DEVICE..DEVICE + 0x1000).contains(&at) && end <= DEVICE + 0x1000 {
            return Ok(Lies::Device);
        }
        place(at, length).map(|_| if end > READ_ONLY { Lies::ReadOnly } else { Lies::Writable })
    }

    fn open(&self, file: i32) -> Result<Option<Open>, Errno> {
        match self.opened(file) {
            None if !self.others.contains_key(&file) => Err(Errno::EBADF),
            open => Ok(open),
        }
    }

    fn take(&self, file: i32) -> Result<OwnedFd, Errno> {
        // Of ours it gets a stand-in, as what they are is found out before by their number.
        let file = if self.opened(file).is_some() { PLAIN_FILE } else { file };
        self.other(file)
    }

    fn take_event(&self, file: i32) -> Result<OwnedFd, Errno> {
        match self.opened(file) {
            Some(_) => Err(Errno::EINVAL),
            None if file == PLAIN_FILE => Err(Errno::EINVAL),
            None => self.other(file),
        }
    }
}
