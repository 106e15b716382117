//! The part of stopping that threads can get wrong, without sockets: one thread serves, others close the gate.
//!
//! ```text
//!            next                watch                  the client ends
//!  waiting ───────▶ at the gate ───────▶ serving, watched ───────▶ waiting
//!     │                  │                      │
//!     └──────────────────┴───────── close ──────┴──▶ closed: whatever blocks is ended, and nobody is let in
//! ```
//!
//! Whether the gate is closed and who is watched are one state behind one lock. So a client is either let in before
//! the gate closes, and then ended with it, or not let in.

use std::io;
use std::time::Duration;
use std::time::Instant;

use super::sync::Condvar;
use super::sync::Mutex;
use super::sync::MutexGuard;
use super::sync::PoisonError;

/// What a thread may block on, and another can end.
pub(super) trait End {
    /// Whoever blocks on it goes on, now and later.
    fn end(&self);
}

/// Lets clients in one by one until it is closed.
#[derive(Debug)]
pub(super) struct Gate<E> {
    /// What the serving thread blocks on while no client is there.
    door: E,
    state: Mutex<State<E>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<E> {
    closed: bool,
    client: Option<E>,
}

impl<E: End> Gate<E> {
    /// An open gate.
    pub(super) fn new(door: E) -> Self {
        Self { door, state: Mutex::new(State { closed: false, client: None }), changed: Condvar::new() }
    }

    /// Closes the gate and ends whatever the serving thread may block on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        self.door.end();
        if let Some(client) = &state.client {
            client.end();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the gate is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Blocks for a while, or until the gate closes.
    pub(super) fn rest(&self, time: Duration) {
        let begun = Instant::now();
        let mut state = self.state();
        while !state.closed
            && let Some(left) = time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())
        {
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Serves one client after another until the gate is closed. `next` waits for one at the door, and may come
    /// back with none; `end_of` is by what a client is ended.
    ///
    /// # Errors
    /// What `next` fails with, unless it failed because the gate is closed.
    pub(super) fn serve_each<C>(
        &self,
        mut next: impl FnMut() -> io::Result<Option<C>>,
        end_of: impl Fn(&C) -> Option<E>,
        mut serve: impl FnMut(C),
    ) -> io::Result<()> {
        loop {
            let client = next();
            if self.is_closed() {
                return Ok(());
            }
            let Some((client, end)) = client?.and_then(|client| end_of(&client).map(|end| (client, end)))
            else {
                continue;
            };
            if !self.watch(end) {
                return Ok(());
            }
            serve(client);
            self.state().client = None;
        }
    }

    /// Ends this client, too, when the gate closes. False if it is closed already.
    fn watch(&self, client: E) -> bool {
        let mut state = self.state();
        if !state.closed {
            state.client = Some(client);
        }
        !state.closed
    }

    fn state(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
