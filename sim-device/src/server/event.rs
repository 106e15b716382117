//! Event counters that a client signals: looked at without ever waiting, whatever the client has made of the file.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::io::ReadWriteFlags;

/// Length of what such a counter is read in. It refuses less.
const COUNTER_SIZE: usize = 8;

/// Whether it was signalled since it was looked at last.
///
/// # Errors
/// If it is no counter that can be looked at without waiting.
pub(super) fn take(event: &OwnedFd) -> Result<bool, Errno> {
    match read(event, &mut [0; COUNTER_SIZE]) {
        Ok(length) => Ok(length == COUNTER_SIZE),
        Err(Errno::AGAIN | Errno::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a client's file is a counter, as far as can be seen: one that is not refuses no read for being short.
pub(super) fn is_counter(file: &OwnedFd) -> bool {
    read(file, &mut [0; COUNTER_SIZE - 1]) == Err(Errno::INVAL)
}

fn read(event: &OwnedFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    // At this offset the file's own position is meant; an event has none.
    rustix::io::preadv2(event, &mut [IoSliceMut::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT)
}

#[cfg(test)]
mod tests {
    use rustix::event::EventfdFlags;

    use super::*;

    #[test]
    fn a_counter_is_one_whether_it_was_signalled_or_not_and_is_taken_once() {
        for flags in [EventfdFlags::NONBLOCK, EventfdFlags::empty()] {
            let event = rustix::event::eventfd(0, flags | EventfdFlags::CLOEXEC).unwrap();
            assert!(is_counter(&event));
            assert_eq!(take(&event), Ok(false), "it was not signalled, and nobody waits");
            rustix::io::write(&event, &3u64.to_ne_bytes()).unwrap();
            assert!(is_counter(&event));
            assert_eq!((take(&event), take(&event)), (Ok(true), Ok(false)));
        }
    }

    #[test]
    fn a_file_that_is_always_there_to_be_read_is_no_counter() {
        for path in ["/dev/zero", "/dev/null", "/"] {
            let file = OwnedFd::from(std::fs::File::open(path).unwrap());
            assert!(!is_counter(&file), "{path}");
        }
        let (ours, theirs) = std::io::pipe().unwrap();
        let (ours, theirs) = (OwnedFd::from(ours), OwnedFd::from(theirs));
        rustix::io::write(&theirs, &[0; 64]).unwrap();
        assert!(!is_counter(&ours) && !is_counter(&theirs));
    }
}
