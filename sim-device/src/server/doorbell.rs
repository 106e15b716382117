//! The engine's doorbell as an event: a client that has its file rings without a message.
//!
//! The event says that a write of any value came. It is looked at before each message: what a client rang before
//! it sent the message is done before the message is answered, as writes and reads of registers are in order.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::event::EventfdFlags;
use vfio_abi::errno::Errno;
use vfio_abi::info::region;
use vfio_abi::io_fds;
use vfio_abi::io_fds::IoFd;

use super::event;
use crate::silicon::engine;

/// Where the doorbell is in its region, and its length.
pub(super) const REGION: u32 = region::BAR0;
pub(super) const OFFSET: u64 = engine::OFFSET + engine::DOORBELL;
pub(super) const SIZE: u64 = 4;

/// The event, once a client has asked for it.
#[derive(Debug, Default)]
pub(super) struct Doorbell {
    event: Option<OwnedFd>,
}

impl Doorbell {
    /// What stands for writes to a region, as an answer with room for `room` bytes, and the file that goes with it.
    pub(super) fn offer(&mut self, index: u32, room: u32) -> Result<(Vec<u8>, Option<OwnedFd>), Errno> {
        let part = IoFd {
            offset: OFFSET.into(),
            size: SIZE.into(),
            file: 0.into(),
            kind: io_fds::KIND_EVENT.into(),
            flags: 0.into(),
            padding: 0.into(),
            value: 0.into(),
        };
        let parts = if index == REGION { std::slice::from_ref(&part) } else { &[] };
        let answer = io_fds::encode(index, parts, room);
        if parts.is_empty() || !io_fds::fits(parts.len(), room) {
            return Ok((answer, None));
        }
        if self.event.is_none() {
            let event = rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
            self.event = Some(event.map_err(|_| Errno::ENOMEM)?);
        }
        let copy = self.event.as_ref().map(|event| event.try_clone()).transpose();
        Ok((answer, copy.map_err(|_| Errno::ENOMEM)?))
    }

    /// The event to wait for, if a client has it.
    pub(super) fn event(&self) -> Option<BorrowedFd<'_>> {
        self.event.as_ref().map(AsFd::as_fd)
    }

    /// Whether it was rung since it was looked at last. This never waits, though a client may have made the file
    /// one that does.
    pub(super) fn take(&self) -> bool {
        self.event.as_ref().map(event::take) == Some(Ok(true))
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;

    use super::*;

    #[test]
    fn what_a_client_rings_is_taken_once() {
        let mut doorbell = Doorbell::default();
        assert!(!doorbell.take() && doorbell.event().is_none());
        let (answer, file) = doorbell.offer(0, 56).unwrap();
        let (parts, argsz) = io_fds::parse(&answer).unwrap();
        assert_eq!((parts[0].offset.get(), parts[0].size.get(), argsz), (0xc01c, 4, 56));
        let file = file.unwrap();
        for _ in 0..2 {
            rustix::io::write(&file, &1u64.to_ne_bytes()).unwrap();
        }
        assert_eq!((doorbell.take(), doorbell.take()), (true, false));
    }

    #[test]
    fn a_client_that_makes_the_file_wait_does_not_make_the_server_wait() {
        let mut doorbell = Doorbell::default();
        let file = doorbell.offer(0, 56).unwrap().1.unwrap();
        rustix::fs::fcntl_setfl(&file, OFlags::empty()).unwrap();
        assert!(!doorbell.take());
        rustix::io::write(&file, &1u64.to_ne_bytes()).unwrap();
        assert!(doorbell.take());
    }

    #[test]
    fn without_room_or_in_another_region_there_is_no_file() {
        let mut doorbell = Doorbell::default();
        let (short, file) = doorbell.offer(0, 55).unwrap();
        assert_eq!((io_fds::parse(&short), file.is_none()), (Ok((Vec::new(), 56)), true));
        let (none, file) = doorbell.offer(2, 4096).unwrap();
        assert_eq!((io_fds::parse(&none), file.is_none()), (Ok((Vec::new(), 16)), true));
        assert!(doorbell.event().is_none());
    }
}
