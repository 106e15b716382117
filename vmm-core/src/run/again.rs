//! A guest that is busy while the machine around it changes.
//!
//! ```text
//!  begin ──▶ store, load, look ⟲ ── enough ──▶ Rounds
//!              devices come, go, are reset, are lost and found meanwhile
//! ```
//!
//! Orders are carried out one after the other, and this is none: it goes on until it was enough.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use cxl_spec::address::Gpa;

use super::Running;
use super::bus::Bus;
use super::guest::GuestError;

/// How often the guest has stored and loaded, by what it loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    /// What it had stored.
    pub kept: u64,
    /// Ones, as where there is nothing.
    pub ones: u64,
    /// Anything else.
    pub others: u64,
}

impl Running {
    /// The guest begins to store a qword and to load it, again and again, until [it is enough](Self::enough). The
    /// machine can change meanwhile: devices can come, go and be reset. The guest takes no orders then, and the machine
    /// is not reset.
    ///
    /// # Errors
    /// If the guest is busy already, or obeys no more.
    pub fn begin(&mut self, at: Gpa, value: u64) -> Result<(), GuestError> {
        self.attend();
        self.guest.begin(at, value)
    }

    /// What came until now of what the guest has begun.
    ///
    /// # Errors
    /// If the guest has ended before it was enough.
    pub fn rounds(&mut self) -> Result<Rounds, GuestError> {
        self.guest.rounds()
    }

    /// Where accesses go that leave the guest: those of another processor of the machine go there, too.
    pub fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The guest ends what it has begun.
    ///
    /// # Errors
    /// If it does not come back.
    pub fn enough(&mut self) -> Result<Rounds, GuestError> {
        let outcome = self.guest.enough();
        self.attend();
        outcome
    }
}

/// A soft guest's thread that is busy. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Busy {
    tally: Arc<Tally>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Tally {
    is_enough: AtomicBool,
    kept: AtomicU64,
    ones: AtomicU64,
    others: AtomicU64,
}

impl Tally {
    fn count(&self, stored: u64, loaded: u64) {
        let count = match loaded {
            same if same == stored => &self.kept,
            u64::MAX => &self.ones,
            _ => &self.others,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Busy {
    /// Begins on this bus.
    pub(super) fn begin(bus: Arc<Bus>, at: Gpa, value: u64) -> Result<Self, GuestError> {
        let tally = Arc::<Tally>::default();
        let work = {
            let tally = tally.clone();
            move || {
                while !tally.is_enough.load(Ordering::Relaxed) {
                    bus.store(at, &value.to_le_bytes());
                    let mut bytes = [0; 8];
                    bus.load(at, &mut bytes);
                    tally.count(value, u64::from_le_bytes(bytes));
                }
            }
        };
        let thread = std::thread::Builder::new().name("soft0".to_owned()).spawn(work);
        let failed =
            |error: std::io::Error| GuestError::Setup { what: "starting a thread", why: error.to_string() };
        Ok(Self { tally, thread: Some(thread.map_err(failed)?) })
    }

    /// What came of it until now.
    pub(super) fn until_now(&self) -> Result<Rounds, GuestError> {
        let is_over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        if is_over { Err(GuestError::Stopped) } else { Ok(self.rounds()) }
    }

    fn rounds(&self) -> Rounds {
        let Tally { is_enough: _, kept, ones, others } = &*self.tally;
        let [kept, ones, others] = [kept, ones, others].map(|count| count.load(Ordering::Relaxed));
        Rounds { kept, ones, others }
    }

    /// Ends it.
    pub(super) fn end(mut self) -> Rounds {
        self.join();
        self.rounds()
    }

    fn join(&mut self) {
        self.tally.is_enough.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to say.
            let _ = thread.join();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.join();
    }
}
