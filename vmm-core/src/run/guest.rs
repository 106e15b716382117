//! The guest program's orders, and a guest that needs no hypervisor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;

use super::again::Busy;
pub use super::again::Rounds;
use super::bus::Bus;
use crate::backend::BackendError;
use crate::irq::IrqError;
use crate::irq::soft::SoftApic;

/// What the guest shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Load from an address.
    Load {
        /// Where.
        at: Gpa,
        /// How many bytes.
        width: Width,
    },
    /// Store to an address.
    Store {
        /// Where.
        at: Gpa,
        /// How many bytes.
        width: Width,
        /// What; the lowest bytes of it.
        value: u64,
    },
    /// Store the same qword again and again, one behind the other.
    Fill {
        /// Where the first goes.
        at: Gpa,
        /// How many qwords.
        count: u64,
        /// What.
        value: u64,
    },
    /// Call the code at an address. It may change the register that its result comes back in, and no other.
    Run {
        /// Where.
        at: Gpa,
    },
    /// Store a qword and load it, again and again, until [it is enough](Guest::enough). It is [begun](Guest::begin).
    Again {
        /// Where.
        at: Gpa,
        /// What.
        value: u64,
    },
}

/// What the handler of an interrupt does, as a driver's does whose line may be somebody else's, too: it reads a dword
/// of the device, and where none of its bits is set the interrupt is not meant for it, and is not counted. Else it
/// counts it, and stores the bits back, which clears them. Then it ends the interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// The number of the interrupt.
    pub number: u8,
    /// Where the dword is.
    pub at: Gpa,
    /// Its bits.
    pub value: u32,
    /// At every how many of those that are meant for it the bits are stored, at least 1.
    pub every: u64,
}

/// The most bytes that one [`Order::Fill`] may cover: the guest program sees so much at a time.
pub const MAX_FILL: u64 = 2 << 20;

/// Something that obeys orders.
pub trait Guest: Send {
    /// Carries an order out. What was loaded comes back, or 0.
    ///
    /// # Errors
    /// If the guest does not come back. It takes no further orders then.
    fn obey(&mut self, order: Order) -> Result<u64, GuestError>;

    /// How often the guest has taken the interrupt with this number, those that wait for it included.
    ///
    /// # Errors
    /// If the guest does not come back.
    fn taken(&mut self, number: u8) -> Result<u64, GuestError>;

    /// Begins to store a qword and to load it, again and again, and comes back at once. Until [it is
    /// enough](Self::enough) the guest takes no order.
    ///
    /// # Errors
    /// If it is busy already, or obeys no more.
    fn begin(&mut self, at: Gpa, value: u64) -> Result<(), GuestError>;

    /// What came of that until now.
    ///
    /// # Errors
    /// If the guest has ended before it was enough.
    fn rounds(&mut self) -> Result<Rounds, GuestError>;

    /// Whether the guest has begun something, and it was not enough yet.
    fn is_busy(&self) -> bool;

    /// Ends what was begun. Nothing came of what was not.
    ///
    /// # Errors
    /// If the guest does not come back. It takes no further orders then.
    fn enough(&mut self) -> Result<Rounds, GuestError>;

    /// From now on the handler of an interrupt does this, too.
    ///
    /// # Errors
    /// If it cannot.
    fn handle(&mut self, handler: Handler) -> Result<(), GuestError>;

    /// Starts again from the beginning, on this bus. What is in RAM stays, but for the guest program's own part.
    ///
    /// # Errors
    /// If the guest was given up before, or the hypervisor does not do its part.
    fn start_again(&mut self, bus: Arc<Bus>) -> Result<(), GuestError>;
}

/// A guest that has no machine any more: it obeys nothing.
#[derive(Debug)]
pub(super) struct Stopped;

impl Guest for Stopped {
    fn obey(&mut self, _order: Order) -> Result<u64, GuestError> {
        Err(GuestError::Stopped)
    }

    fn taken(&mut self, _number: u8) -> Result<u64, GuestError> {
        Err(GuestError::Stopped)
    }

    fn begin(&mut self, _at: Gpa, _value: u64) -> Result<(), GuestError> {
        Err(GuestError::Stopped)
    }

    fn rounds(&mut self) -> Result<Rounds, GuestError> {
        Err(GuestError::Stopped)
    }

    fn is_busy(&self) -> bool {
        false
    }

    fn enough(&mut self) -> Result<Rounds, GuestError> {
        Err(GuestError::Stopped)
    }

    fn handle(&mut self, _handler: Handler) -> Result<(), GuestError> {
        Err(GuestError::Stopped)
    }

    fn start_again(&mut self, _bus: Arc<Bus>) -> Result<(), GuestError> {
        Err(GuestError::Stopped)
    }
}

/// Why a guest did not do as it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// It could not be started.
    #[error("guest: {what}: {why}")]
    Setup {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        why: String,
    },
    /// A device does not do its part for its interrupts.
    #[error(transparent)]
    Device(#[from] BackendError),
    /// It did not come back.
    #[error("guest: {order:?} did not end within {} s", timeout.as_secs_f64())]
    Stuck {
        /// What it was told.
        order: Order,
        /// How long it was waited for.
        timeout: Duration,
    },
    /// It stopped in a way that it should not.
    #[error("guest: {order:?} ended in {exit}")]
    Crashed {
        /// What it was told.
        order: Order,
        /// How it stopped.
        exit: String,
    },
    /// It cannot do this.
    #[error("guest: {order:?}: {why}")]
    Impossible {
        /// What it was told.
        order: Order,
        /// Why not.
        why: &'static str,
    },
    /// It has begun something that was not enough yet.
    #[error("guest: busy with what it has begun")]
    Busy,
    /// It stopped earlier.
    #[error("guest: stopped earlier")]
    Stopped,
}

impl From<IrqError> for GuestError {
    fn from(error: IrqError) -> Self {
        match error {
            IrqError::Backend(error) => Self::Device(error),
            IrqError::Event(error) => Self::Setup { what: "making an event", why: error.to_string() },
            IrqError::Receiver { what, why } => Self::Setup { what, why },
        }
    }
}

impl Order {
    /// Why an order that does not end by itself is not waited for.
    pub(crate) fn never_ends(self) -> GuestError {
        GuestError::Impossible { order: self, why: "it does not end by itself" }
    }

    /// The order, if any guest could carry it out.
    ///
    /// # Errors
    /// If its range passes the end of the address space, or is too long.
    pub(crate) fn checked(self) -> Result<Self, GuestError> {
        let impossible = |why| Err(GuestError::Impossible { order: self, why });
        let (at, length) = match self {
            Self::Load { at, width } | Self::Store { at, width, .. } => (at, width.bytes()),
            Self::Fill { at, count, .. } => (at, count.saturating_mul(8)),
            Self::Run { at } => (at, 1),
            Self::Again { at, .. } => (at, 8),
        };
        if length == 0 || length > MAX_FILL {
            return impossible("between 1 byte and 2 MiB at a time");
        }
        if at.checked_add(length).is_none() {
            return impossible("the range passes the end of the address space");
        }
        Ok(self)
    }
}

/// A guest without a hypervisor: every access is a call.
#[derive(Debug)]
pub struct Soft {
    bus: Arc<Bus>,
    apic: SoftApic,
    busy: Option<Busy>,
    /// What handlers do, and after how many interrupts next.
    handlers: BTreeMap<u8, (Handler, u64)>,
}

impl Soft {
    /// A guest on this bus, with this APIC.
    pub fn new(bus: Arc<Bus>, apic: SoftApic) -> Self {
        Self { bus, apic, busy: None, handlers: BTreeMap::new() }
    }

    /// Each interrupt that waits is taken once. One whose cause stays comes again the next time.
    fn take_interrupts(&mut self) {
        let Self { bus, apic, handlers, busy: _ } = self;
        apic.take(|number| {
            let Some((handler, left)) = handlers.get_mut(&number) else { return true };
            let mut asked = [0; 4];
            bus.load(handler.at, &mut asked);
            if u32::from_le_bytes(asked) & handler.value == 0 {
                return false;
            }
            *left = left.saturating_sub(1);
            if *left == 0 {
                *left = handler.every;
                bus.store(handler.at, &handler.value.to_le_bytes());
            }
            true
        });
    }
}

impl Guest for Soft {
    fn start_again(&mut self, bus: Arc<Bus>) -> Result<(), GuestError> {
        let Self { bus: old, apic, busy, handlers } = self;
        *busy = None;
        *old = bus;
        apic.reset();
        handlers.clear();
        Ok(())
    }

    fn begin(&mut self, at: Gpa, value: u64) -> Result<(), GuestError> {
        if self.is_busy() {
            return Err(GuestError::Busy);
        }
        Order::Again { at, value }.checked()?;
        self.busy = Some(Busy::begin(self.bus.clone(), at, value)?);
        Ok(())
    }

    fn rounds(&mut self) -> Result<Rounds, GuestError> {
        self.busy.as_ref().map_or(Ok(Rounds::default()), Busy::until_now)
    }

    fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    fn enough(&mut self) -> Result<Rounds, GuestError> {
        Ok(self.busy.take().map(Busy::end).unwrap_or_default())
    }

    fn obey(&mut self, order: Order) -> Result<u64, GuestError> {
        if self.is_busy() {
            return Err(GuestError::Busy);
        }
        let order = order.checked()?;
        self.take_interrupts();
        match order {
            Order::Load { at, width } => {
                let mut bytes = [0; 8];
                let (wanted, _) = bytes.split_at_mut(width.bytes() as usize);
                self.bus.load(at, wanted);
                Ok(u64::from_le_bytes(bytes))
            }
            Order::Store { at, width, value } => {
                let (bytes, length) = width.to_bytes(value);
                self.bus.store(at, bytes.get(..length).unwrap_or_default());
                Ok(0)
            }
            Order::Fill { at, count, value } => {
                for index in 0..count {
                    // `checked` has seen that the range does not pass the end.
                    let Some(at) = at.checked_add(index.saturating_mul(8)) else { break };
                    self.bus.store(at, &value.to_le_bytes());
                }
                Ok(0)
            }
            Order::Run { .. } => Err(GuestError::Impossible { order, why: "a soft guest runs no code" }),
            Order::Again { .. } => Err(order.never_ends()),
        }
    }

    fn taken(&mut self, number: u8) -> Result<u64, GuestError> {
        self.take_interrupts();
        Ok(self.apic.taken(number))
    }

    fn handle(&mut self, handler: Handler) -> Result<(), GuestError> {
        self.handlers.insert(handler.number, (handler, handler.every));
        Ok(())
    }
}
