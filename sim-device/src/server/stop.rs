//! Stopping a server that waits: for a client, or for a client's next message.
//!
//! The server blocks in one system call per message and polls nothing. So whoever wants it to stop shuts the
//! sockets down from another thread, which ends those calls.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use rustix::net::Shutdown;

/// A handle that stops a server. Clones stop the same one.
#[derive(Clone, Debug)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stopping: AtomicBool,
    listener: OwnedFd,
    client: Mutex<Option<OwnedFd>>,
}

impl Stop {
    /// A handle for the server behind this listening socket.
    ///
    /// # Errors
    /// If there is no file descriptor left.
    pub(super) fn new(listener: &impl AsFd) -> std::io::Result<Self> {
        let listener = listener.as_fd().try_clone_to_owned()?;
        let shared = Shared { stopping: AtomicBool::new(false), listener, client: Mutex::new(None) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Tells the server to end. It does so as soon as it has answered the message that it is at.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // A socket that is gone already needs no shutdown.
        let _ = rustix::net::shutdown(&self.shared.listener, Shutdown::Both);
        if let Some(client) = self.client().as_ref() {
            let _ = rustix::net::shutdown(client, Shutdown::Both);
        }
    }

    /// Whether the server was told to end.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::SeqCst)
    }

    /// Shuts this client down, too, when it is time. False if it is time already, or cannot be watched.
    pub(super) fn watch(&self, client: &impl AsFd) -> bool {
        let Ok(copy) = client.as_fd().try_clone_to_owned() else { return false };
        *self.client() = Some(copy);
        !self.is_stopping()
    }

    /// The client that was watched has gone.
    pub(super) fn forget(&self) {
        *self.client() = None;
    }

    fn client(&self) -> std::sync::MutexGuard<'_, Option<OwnedFd>> {
        self.shared.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
