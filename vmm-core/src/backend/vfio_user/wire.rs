//! What carries messages to a server and back: a socket, or a server in this very process.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Instant;

use vfio_abi::inbox::Inbox;

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Nothing: something has come by itself.
    Nothing,
    /// An answer.
    Answer,
    /// An answer that may come with a file.
    AnswerWithFile,
}

/// A way to a server. Errors are texts that say what broke; after one, nothing more is carried.
pub trait Wire: fmt::Debug + Send {
    /// Sends all bytes, and the files with the first of them.
    ///
    /// # Errors
    /// If the server does not take them, or not in time.
    fn send(&mut self, frame: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), String>;

    /// Receives until the inbox has a message.
    ///
    /// # Errors
    /// If there comes none, or not in time.
    fn fill(&mut self, inbox: &mut Inbox<OwnedFd>, awaited: Awaited) -> Result<(), String>;

    /// Whether the server has sent something, or hung up. Waits for nothing.
    ///
    /// # Errors
    /// If the connection broke.
    fn has_something(&self) -> Result<bool, String>;

    /// Refuses if there is no time left, by a clock that starts when it is looked at first.
    ///
    /// # Errors
    /// If there is none.
    fn must_have_time(&self, begun: &mut Option<Instant>) -> Result<(), String>;
}
