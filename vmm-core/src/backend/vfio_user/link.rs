//! The connection while it is good: one request out, its answer in, and what the device asks meanwhile answered.
//!
//! Dropping it closes it, and with it whatever came and was not taken.

use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Instant;

use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Header;
use vfio_abi::inbox::Inbox;
use vfio_abi::inbox::Taken;
use vfio_abi::malformed::Malformed;
use vfio_abi::reply::Reply;
use vfio_abi::request::Request;

use super::MAX_PAYLOAD;
use super::ram::Ram;
use super::wire::Awaited;
use super::wire::Wire;

/// A connection on which the next message is one that we understand.
#[derive(Debug)]
pub(super) struct Link {
    wire: Box<dyn Wire>,
    inbox: Inbox<OwnedFd>,
    out: Vec<u8>,
    next_id: u16,
}

/// An answer that nobody has looked at.
struct Answer<'a> {
    header: Header,
    payload: &'a [u8],
    files: Vec<OwnedFd>,
}

/// What can be wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("{0}")]
    Wire(String),
    #[error("the server refused with {0}")]
    Refused(Errno),
    #[error("{done} of {asked} bytes")]
    Short { done: usize, asked: usize },
    #[error("the answer makes no sense: {0}")]
    Malformed(#[from] Malformed),
    #[error("the answer is to another request: id {id}, command {command}")]
    Other { id: u16, command: u16 },
    #[error("the server sent a command of its own, number {command}")]
    Command { command: u16 },
    #[error("the answer is {size} bytes long, which is more than was agreed")]
    TooLong { size: u32 },
    #[error("the answer has the wrong shape")]
    Reply,
}

impl Link {
    /// A connection on which nothing was said.
    pub(super) fn new(wire: Box<dyn Wire>) -> Self {
        Self { wire, inbox: Inbox::new(MAX_PAYLOAD), out: Vec::new(), next_id: 0 }
    }

    /// Asks, waits for the answer and hands it to `done`. What the device asks meanwhile `ram` answers.
    pub(super) fn ask<T>(
        &mut self,
        ram: &Ram,
        request: &Request<'_>,
        files: &[BorrowedFd<'_>],
        done: impl FnOnce(Reply<'_>, Vec<OwnedFd>) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        frame::encode_request(&mut self.out, id, request);
        self.wire.send(&self.out, files).map_err(Wrong::Wire)?;
        // Only what describes a region comes with files.
        let awaited = match request {
            Request::DeviceGetRegionInfo { .. } | Request::DeviceGetRegionIoFds { .. } => {
                Awaited::AnswerWithFile
            }
            _ => Awaited::Answer,
        };
        let mut begun = None;
        loop {
            if let Some(answer) = self.next(ram, awaited, &mut begun)? {
                check_header(&answer.header, id, request)?;
                return done(Reply::parse(request.command(), answer.payload)?, answer.files);
            }
        }
    }

    /// Asks for something that is not answered.
    pub(super) fn post(&mut self, request: &Request<'_>) -> Result<(), Wrong> {
        self.next_id = self.next_id.wrapping_add(1);
        frame::encode_posted(&mut self.out, self.next_id, request);
        self.wire.send(&self.out, &[]).map_err(Wrong::Wire)
    }

    /// Answers what has come by itself. Waits for nothing.
    pub(super) fn answer_all(&mut self, ram: &Ram) -> Result<(), Wrong> {
        let mut begun = None;
        while self.inbox.is_ready()? || self.wire.has_something().map_err(Wrong::Wire)? {
            if let Some(Answer { header, .. }) = self.next(ram, Awaited::Nothing, &mut begun)? {
                return Err(Wrong::Other { id: header.id.get(), command: header.command.get() });
            }
        }
        Ok(())
    }

    /// Waits for a message. One that is an answer comes back; one in which the device asks is answered. A device that
    /// asks without end does not keep us: `begun` is when it began to.
    fn next(
        &mut self,
        ram: &Ram,
        awaited: Awaited,
        begun: &mut Option<Instant>,
    ) -> Result<Option<Answer<'_>>, Wrong> {
        self.wire.fill(&mut self.inbox, awaited).map_err(Wrong::Wire)?;
        match self.inbox.take()? {
            Some(Taken::Message { header, payload, files }) if header.is_reply() => {
                return Ok(Some(Answer { header, payload, files }));
            }
            Some(Taken::Message { header, payload, .. }) => {
                if !ram.answer(&header, payload, &mut self.out) {
                    return Err(Wrong::Command { command: header.command.get() });
                }
            }
            Some(Taken::TooLong(header)) => return Err(Wrong::TooLong { size: header.size.get() }),
            // `fill` returns when there is a message.
            None => return Err(Wrong::Reply),
        }
        self.wire.send(&self.out, &[]).map_err(Wrong::Wire)?;
        self.wire.must_have_time(begun).map_err(Wrong::Wire)?;
        Ok(None)
    }
}

fn check_header(header: &Header, id: u16, request: &Request<'_>) -> Result<(), Wrong> {
    let command = header.command.get();
    if header.id.get() != id || command != request.command().number() {
        return Err(Wrong::Other { id: header.id.get(), command });
    }
    match header.errno() {
        Some(errno) => Err(Wrong::Refused(errno)),
        None => Ok(()),
    }
}
