//! Interrupts of devices: what the guest programs, what the device is told, and how a message gets to the guest.
//!
//! ```text
//!  guest ── table, message control ──▶ MsixTable ── Effect ──▶ Msix ── SET_IRQS ──▶ device
//!                                      a pure value              │                    │
//!  guest ◀── interrupt ── Receiver ◀── event of a vector ────────┴──── signals ───────┘
//!                         KVM or soft
//! ```
//!
//! - [`table`]: MSI-X as the guest sees it, as a value.
//! - [`vectors`]: the one place that carries its effects out.
//! - [`soft`]: who receives messages where there is no KVM. KVM's own is in [`kvm`](crate::backend::kvm).
//! - [`signals`]: what a device tells the machine itself: its pin, an error, that the host wants it back.
//!
//! Not modelled: interrupts into an aarch64 guest, remapping of messages by an IOMMU, and the wire from a device's
//! pin to the guest: the machine is told that the pin was asserted, and that is all.

pub mod signals;
pub mod soft;
pub mod table;
pub mod vectors;

use std::fmt;
use std::io;
use std::sync::Arc;

use cxl_spec::address::Gpa;

use crate::backend::BackendError;
use crate::backend::event::Event;
use crate::backend::irqs::IoEvent;

/// What a vector writes, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The address.
    pub address: u64,
    /// The data.
    pub data: u32,
}

/// Takes messages to the guest's processor.
pub trait Receiver: fmt::Debug + Send + Sync {
    /// From now on, whenever `event` is signalled the guest gets `message`. What was signalled before and not taken
    /// counts once.
    ///
    /// # Errors
    /// If the hypervisor refuses.
    fn connect(&self, event: &Arc<Event>, message: Message) -> Result<Box<dyn Connection>, IrqError>;

    /// Takes what was signalled to the guest, where nobody else does.
    fn attend(&self) {}

    /// Signals an event itself whenever the guest writes at an address, so that the write leaves the guest no
    /// further. Nothing where that cannot be: then the write comes to the bus, which does the same.
    fn stand_for_writes(&self, _at: Gpa, _event: &IoEvent) -> Option<Box<dyn Connection>> {
        None
    }
}

/// An event that is connected to the guest, or a write of the guest's to an event. Dropping it ends that.
pub trait Connection: fmt::Debug + Send {}

/// Why an interrupt could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum IrqError {
    /// The device does not do its part.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The system has no more files for us.
    #[error("an event: {0}")]
    Event(#[from] io::Error),
    /// The hypervisor does not do its part.
    #[error("{what}: {why}")]
    Receiver {
        /// What was tried.
        what: &'static str,
        /// What it says.
        why: String,
    },
}
