//! One client's socket: one receive per message, one send per answer.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;
use vfio_abi::socket;

use super::Ending;
use super::session::MAX_PAYLOAD;

/// A client's socket and the bytes that came from it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    inbox: Inbox<OwnedFd>,
    patience: Duration,
    /// Since when the client owes an answer.
    asked: Option<Instant>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// A connection whose client may take `patience` over the middle of a message, and over an answer.
    pub(super) fn new(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream, inbox: Inbox::new(MAX_PAYLOAD), patience, asked: None })
    }

    /// The client owes an answer, from now on, or does not.
    pub(super) fn expect(&mut self, answer: bool) {
        self.asked = answer.then(Instant::now);
    }

    /// The next message; nothing once an answer that the client owes is late. Between messages a client may
    /// otherwise wait for ever.
    pub(super) fn take(&mut self) -> Result<Option<Taken<'_, OwnedFd>>, Ending> {
        let mut begun: Option<Instant> = None;
        if self.asked.is_some_and(|asked| asked.elapsed() >= self.patience) {
            return Ok(None);
        }
        while !self.inbox.is_ready().map_err(Ending::Malformed)? {
            if self.inbox.is_midway() {
                if !self.wait_for_more(*begun.get_or_insert_with(Instant::now))? {
                    return Err(Ending::OutOfPatience);
                }
            } else if let Some(asked) = self.asked
                && !self.wait_for_more(asked)?
            {
                return Ok(None);
            }
            match socket::receive(&self.stream, &mut self.inbox) {
                Ok(0) => return Err(Ending::ClientLeft),
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(Ending::Broken(error.into())),
            }
        }
        // `is_ready` has just said so.
        self.inbox.take().map_err(Ending::Malformed)?.ok_or(Ending::ClientLeft).map(Some)
    }

    /// Waits for the rest of what began at `begun`. False if it takes too long. The usual message comes whole, and
    /// costs neither this call nor a look at the clock.
    fn wait_for_more(&self, begun: Instant) -> Result<bool, Ending> {
        let left = self.patience.saturating_sub(begun.elapsed());
        let left = Timespec::try_from(left).map_err(|_| Ending::OutOfPatience)?;
        let mut readable = [PollFd::new(&self.stream, PollFlags::IN)];
        match rustix::event::poll(&mut readable, Some(&left)) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(error) => Err(Ending::Broken(error.into())),
        }
    }

    /// Sends a frame, with a file if there is one.
    pub(super) fn send(&mut self, frame: &[u8], file: Option<&OwnedFd>) -> Result<(), Ending> {
        let mut sent = 0;
        while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
            // The file goes with the first byte and not a second time.
            match socket::send(&self.stream, rest, file.filter(|_| sent == 0).map(AsFd::as_fd)) {
                Ok(count) => sent = sent.saturating_add(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(Ending::OutOfPatience),
                Err(error) => return Err(Ending::Broken(error.into())),
            }
        }
        Ok(())
    }

    /// Reads and forgets until the client leaves or the server is stopped: a server that is alive and says no more.
    pub(super) fn wait_for_end(&mut self) -> Result<(), Ending> {
        loop {
            match rustix::net::recv(&self.stream, &mut [0; 4096], RecvFlags::empty()) {
                Ok((_, 0)) => return Err(Ending::Fault),
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(Ending::Broken(error.into())),
            }
        }
    }
}
