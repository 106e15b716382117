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
//! - [`pin`]: the pin of a device, on a wire to the I/O APIC; in a machine without one the machine is told.
//! - [`io_apic`]: an I/O APIC as a value. KVM has its own.
//! - [`soft`]: who receives messages where there is no KVM. KVM's own is in [`kvm`](crate::backend::kvm).
//! - [`signals`]: what a device tells the machine itself: an error, that the host wants it back.
//!
//! Not modelled: interrupts into an aarch64 guest, and remapping of messages by an IOMMU.

pub mod io_apic;
pub mod pin;
pub mod signals;
pub mod soft;
pub mod table;
pub mod vectors;

use std::fmt;
use std::io;
use std::sync::Arc;

use cxl_spec::access::Access;
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

    /// A wire to an input of the I/O APIC: whenever `asserted` is signalled, the line rises. It falls when the guest
    /// ends the interrupt, and that is told by `ended`.
    ///
    /// # Errors
    /// If the hypervisor refuses.
    fn wire(
        &self,
        input: u8,
        asserted: &Arc<Event>,
        ended: &Arc<Event>,
    ) -> Result<Box<dyn Connection>, IrqError>;

    /// Takes what was signalled to the guest, where nobody else does.
    fn attend(&self) {}

    /// The guest reads the I/O APIC. Nothing where the hypervisor has it.
    fn controller_read(&self, _access: Access) -> Option<u32> {
        None
    }

    /// The guest writes it.
    fn controller_write(&self, _access: Access, _value: u32) -> Option<()> {
        None
    }

    /// Signals an event itself whenever the guest writes at an address, so that the write leaves the guest no
    /// further. Nothing where that cannot be: then the write comes to the bus, which does the same.
    fn stand_for_writes(&self, _at: Gpa, _event: &IoEvent) -> Option<Box<dyn Connection>> {
        None
    }
}

/// An event that is connected to the guest, or a write of the guest's to an event. Dropping it ends that.
pub trait Connection: fmt::Debug + Send {
    /// What was signalled until now is with the guest's interrupt controllers when this comes back.
    fn settle(&self) {}
}

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
