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
use super::Terms;
use super::Wrong;
use super::session::max_payload;

/// A client's socket and the bytes that came from it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    inbox: Inbox<OwnedFd>,
    patience: Duration,
    /// Since when the client owes an answer.
    asked: Option<Instant>,
    /// Since when it owes the negotiation.
    connected: Option<Instant>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// A connection with a client that has said nothing yet.
    pub(super) fn new(stream: UnixStream, terms: &Terms) -> io::Result<Self> {
        stream.set_write_timeout(Some(terms.patience))?;
        let inbox = Inbox::new(max_payload(terms.limits));
        let connected = Some(Instant::now());
        Ok(Self { stream, inbox, patience: terms.patience, asked: None, connected })
    }

    /// The client has negotiated.
    pub(super) fn negotiated(&mut self) {
        self.connected = None;
    }

    /// The client owes an answer, from now on, or does not.
    pub(super) fn expect(&mut self, answer: bool) {
        self.asked = answer.then(Instant::now);
    }

    /// The next message; nothing once an answer that the client owes is late. Between messages a client that has
    /// negotiated may otherwise wait for ever.
    pub(super) fn take(&mut self) -> Result<Option<Taken<'_, OwnedFd>>, Ending> {
        let mut begun: Option<Instant> = None;
        let late = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() >= self.patience);
        if late(self.connected) {
            return Err(Ending::OutOfPatience(Wrong::NoVersion));
        }
        if late(self.asked) {
            return Ok(None);
        }
        while !self.inbox.is_ready().map_err(Ending::Malformed)? {
            if self.inbox.is_midway() {
                self.wait_or(*begun.get_or_insert_with(Instant::now), Wrong::Unfinished)?;
            } else if let Some(connected) = self.connected {
                self.wait_or(connected, Wrong::NoVersion)?;
            } else if let Some(asked) = self.asked
                && !self.wait_for_more(asked)?
            {
                return Ok(None);
            }
            match socket::receive(&self.stream, &mut self.inbox) {
                Ok(0) if self.inbox.is_midway() => return Err(Ending::CutOff),
                Ok(0) => return Err(Ending::ClientLeft),
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(Ending::Broken(error.into())),
            }
        }
        // `is_ready` has just said so.
        self.inbox.take().map_err(Ending::Malformed)?.ok_or(Ending::ClientLeft).map(Some)
    }

    /// Waits for more since `begun`, for which it would be wrong to take too long.
    fn wait_or(&self, begun: Instant, wrong: Wrong) -> Result<(), Ending> {
        if self.wait_for_more(begun)? { Ok(()) } else { Err(Ending::OutOfPatience(wrong)) }
    }

    /// Waits for a message, for the end of the client's time to answer, or for one of these events. True if it was an
    /// event.
    pub(super) fn waits_beside(&self, events: [BorrowedFd<'_>; 2]) -> Result<bool, Ending> {
        if self.inbox.is_midway() || self.inbox.is_ready().map_err(Ending::Malformed)? {
            return Ok(false);
        }
        let left = self.asked.map(|asked| self.patience.saturating_sub(asked.elapsed()));
        // More time than can be told is without an end.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let [first, second] = &events;
        let mut ready = [
            PollFd::new(first, PollFlags::IN),
            PollFd::new(second, PollFlags::IN),
            PollFd::new(&self.stream, PollFlags::IN),
        ];
        match rustix::event::poll(&mut ready, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Ending::Broken(error.into())),
        }
        let [first, second, _] = ready;
        Ok(!first.revents().is_empty() || !second.revents().is_empty())
    }

    /// Waits for the rest of what began at `begun`. False if it takes too long. The usual message comes whole, and
    /// costs neither this call nor a look at the clock.
    fn wait_for_more(&self, begun: Instant) -> Result<bool, Ending> {
        let left = self.patience.saturating_sub(begun.elapsed());
        let left = Timespec::try_from(left).map_err(|_| Ending::OutOfPatience(Wrong::Unfinished))?;
        let mut readable = [PollFd::new(&self.stream, PollFlags::IN)];
        match rustix::event::poll(&mut readable, Some(&left)) {
            Ok(0) => Ok(false),
            Ok(_) | Err(Errno::INTR) => Ok(true),
            Err(error) => Err(Ending::Broken(error.into())),
        }
    }

    /// Sends a frame, with a file if there is one. The system waits for room, for as long as our patience lasts; one
    /// who reads a little now and then does not make us wait for longer.
    pub(super) fn send(&mut self, frame: &[u8], file: Option<&OwnedFd>) -> Result<(), Ending> {
        let mut sent = 0;
        let mut begun: Option<Instant> = None;
        while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
            // The file goes with the first byte and not a second time.
            match socket::send(&self.stream, rest, file.filter(|_| sent == 0).map(AsFd::as_fd)) {
                Ok(count) => sent = sent.saturating_add(count),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Err(Ending::OutOfPatience(Wrong::Unread)),
                Err(error) => return Err(Ending::Broken(error.into())),
            }
            if sent < frame.len() && begun.get_or_insert_with(Instant::now).elapsed() >= self.patience {
                return Err(Ending::OutOfPatience(Wrong::Unread));
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
