//! Event file descriptors: counters that one side raises and the other takes.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

/// A counter that is shared with whoever has its file.
#[derive(Debug)]
pub struct Event {
    file: OwnedFd,
}

impl Event {
    /// A counter that is 0. Taking from it never blocks.
    ///
    /// # Errors
    /// If the system has no more files for us.
    pub fn new() -> io::Result<Self> {
        let file = rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { file })
    }

    /// What somebody else made and says is such a counter. It is only to be signalled.
    pub(crate) fn of(file: OwnedFd) -> Self {
        Self { file }
    }

    /// Raises the counter. Where that would block, as it may with what somebody else made, nothing happens.
    pub fn signal(&self) {
        let mut ready = [PollFd::new(&self.file, PollFlags::OUT)];
        if matches!(rustix::event::poll(&mut ready, Some(&Timespec::default())), Ok(1)) {
            // What is no counter cannot be raised, and whoever gave it to us knows.
            let _ = rustix::io::write(&self.file, &1u64.to_ne_bytes());
        }
    }

    /// What the counter was, which is 0 from now on.
    pub fn take(&self) -> u64 {
        let mut bytes = [0; 8];
        rustix::io::read(&self.file, &mut bytes).map_or(0, |_| u64::from_ne_bytes(bytes))
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signalled_is_taken_once() {
        let event = Event::new().unwrap();
        event.signal();
        event.signal();
        assert_eq!((event.take(), event.take()), (2, 0));
    }

    #[test]
    fn what_would_block_is_not_signalled() {
        let full = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        Event::of(full).signal();
        Event::of(std::fs::File::open("/dev/null").unwrap().into()).signal();
    }
}
