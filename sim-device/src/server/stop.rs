//! Stopping a server that waits: for a client, for a client's next message, or over an answer.
//!
//! The server blocks in one system call per message and polls nothing. So whoever wants it to stop shuts the
//! sockets down from another thread, which ends those calls.

mod gate;
#[cfg(test)]
mod model;

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::Shutdown;

use gate::End;
use gate::Gate;

/// What the gate is made of; its model is made of the same from elsewhere.
mod sync {
    pub(super) use std::sync::Condvar;
    pub(super) use std::sync::Mutex;
    pub(super) use std::sync::MutexGuard;
    pub(super) use std::sync::PoisonError;
}

/// A handle that stops a server. Clones stop the same one.
#[derive(Clone, Debug)]
pub struct Stop {
    gate: Arc<Gate<OwnedFd>>,
}

impl End for OwnedFd {
    fn end(&self) {
        // A socket that is gone already needs no shutdown.
        let _ = rustix::net::shutdown(self, Shutdown::Both);
    }
}

impl Stop {
    /// A handle for the server behind this listening socket.
    ///
    /// # Errors
    /// If there is no file descriptor left.
    pub(super) fn new(listener: &impl AsFd) -> io::Result<Self> {
        let listener = listener.as_fd().try_clone_to_owned()?;
        Ok(Self { gate: Arc::new(Gate::new(listener)) })
    }

    /// Tells the server to end. It does so as soon as it has answered the message that it is at.
    pub fn stop(&self) {
        self.gate.close();
    }

    /// Whether the server was told to end.
    pub fn is_stopping(&self) -> bool {
        self.gate.is_closed()
    }

    /// Waits for a while, or until the server is told to end.
    pub(super) fn rest(&self, time: Duration) {
        self.gate.rest(time);
    }

    /// Serves one client after another until the server is told to end. A client that cannot be watched for want of
    /// a file descriptor is dropped.
    ///
    /// # Errors
    /// What `next` fails with.
    pub(super) fn serve_each<C: AsFd>(
        &self,
        next: impl FnMut() -> io::Result<Option<C>>,
        serve: impl FnMut(C),
    ) -> io::Result<()> {
        self.gate.serve_each(next, |client| client.as_fd().try_clone_to_owned().ok(), serve)
    }
}
