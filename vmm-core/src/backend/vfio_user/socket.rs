//! The client's end of the socket: send all, receive until there is a message, both within the time-out.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;
use rustix::net::sockopt::Timeout;
use vfio_abi::inbox::Inbox;
use vfio_abi::socket;

use super::wire::Awaited;
use super::wire::Wire;

/// A connected socket with a time-out.
#[derive(Debug)]
pub(super) struct Socket {
    stream: OwnedFd,
    timeout: Duration,
}

impl Socket {
    /// Connects. A server whose queue is full is waited for, no longer than the time-out.
    pub(super) fn connect(path: &Path, timeout: Duration) -> Result<Self, String> {
        Self::try_connect(path, timeout).map_err(|error| match error {
            Errno::AGAIN => format!("the server accepts nobody within {} s", timeout.as_secs_f64()),
            other => io::Error::from(other).to_string(),
        })
    }

    fn try_connect(path: &Path, timeout: Duration) -> Result<Self, Errno> {
        let address = SocketAddrUnix::new(path)?;
        let flags = SocketFlags::CLOEXEC;
        let stream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_timeout(&stream, Timeout::Send, Some(timeout))?;
        sockopt::set_socket_timeout(&stream, Timeout::Recv, Some(timeout))?;
        rustix::net::connect(&stream, &address)?;
        Ok(Self { stream, timeout })
    }

    /// Whether there is time left, by a clock that starts when it is looked at first.
    fn has_time(&self, begun: &mut Option<Instant>) -> bool {
        begun.get_or_insert_with(Instant::now).elapsed() < self.timeout
    }

    fn out_of_time(&self, what: &str) -> String {
        format!("{what} within {} s", self.timeout.as_secs_f64())
    }

    fn broken(&self, error: Errno) -> String {
        match error {
            Errno::PIPE | Errno::CONNRESET => "the server hung up".to_owned(),
            other => format!("the connection broke: {}", io::Error::from(other)),
        }
    }
}

impl Wire for Socket {
    fn send(&mut self, frame: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), String> {
        let mut begun = None;
        let mut sent = 0;
        while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
            let beside = if sent == 0 { files } else { &[] };
            match socket::send_files(&self.stream, rest, beside) {
                Ok(count) => sent = sent.saturating_add(count),
                Err(Errno::INTR) if self.has_time(&mut begun) => {}
                Err(Errno::INTR | Errno::AGAIN) => return Err(self.out_of_time("the server takes no more")),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn fill(&mut self, inbox: &mut Inbox<OwnedFd>, awaited: Awaited) -> Result<(), String> {
        let mut begun = None;
        while !inbox.is_ready().map_err(|malformed| malformed.to_string())? {
            let received = match awaited {
                Awaited::AnswerWithFile => socket::receive(&self.stream, inbox),
                Awaited::Answer | Awaited::Nothing => socket::receive_bytes(&self.stream, inbox),
            };
            match received {
                Ok(0) if inbox.is_midway() => {
                    return Err("the server hung up in the middle of its answer".into());
                }
                Ok(0) if awaited == Awaited::Nothing => return Err("the server hung up".into()),
                Ok(0) => return Err("the server hung up instead of answering".into()),
                // The usual answer comes whole, and costs no look at the clock.
                Ok(_) if inbox.is_ready().is_ok_and(|ready| ready) => {}
                Ok(_) | Err(Errno::INTR) if self.has_time(&mut begun) => {}
                Ok(_) | Err(Errno::INTR | Errno::AGAIN) => return Err(self.out_of_time("no answer")),
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    fn has_something(&self) -> Result<bool, String> {
        let mut polled = [PollFd::new(&self.stream, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&Timespec::default())) {
            Ok(count) => Ok(count > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn must_have_time(&self, begun: &mut Option<Instant>) -> Result<(), String> {
        if self.has_time(begun) { Ok(()) } else { Err(self.out_of_time("no answer")) }
    }
}
