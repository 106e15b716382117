//! Messages to the guest through KVM: each event has a route, and KVM injects the route's message when the event is
//! signalled, without us. A wire is an event at an input of the I/O APIC: KVM raises the line when the event is
//! signalled, and at the end of the guest's interrupt lowers it and signals another event. Writes for which a device
//! offers an event KVM makes into that event, likewise.
//!
//! Seen on a software KVM as well as documented for hardware: the APIC in the kernel, routes for messages, events
//! and handlers that end in `iretq` all work, also where every instruction of the guest is emulated. So there is
//! no other way here: neither a split chip nor injection from the vCPU's loop. Lines that fall at the end of an
//! interrupt work there, too, but for one thing: the end is told as soon as the guest has taken the interrupt, and not
//! when its handler writes to the end of interrupt register. A device whose pin is still asserted then signals once
//! more than it should. So handlers ask the device whether they are meant, as those of shared lines do anyway.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use cxl_spec::address::Gpa;
use kvm_bindings::KVM_IRQ_ROUTING_IRQCHIP;
use kvm_bindings::KVM_IRQ_ROUTING_MSI;
use kvm_bindings::KvmIrqRouting;
use kvm_bindings::kvm_ioeventfd;
use kvm_bindings::kvm_ioeventfd_flag_nr_deassign;
use kvm_bindings::kvm_irq_routing_entry;
use kvm_bindings::kvm_irq_routing_irqchip;
use kvm_ioctls::IoEventAddress;
use kvm_ioctls::NoDatamatch;
use vmm_sys_util::eventfd::EventFd;

use super::Vm;
use super::arch;
use super::event_fd;
use crate::backend::event::Event;
use crate::backend::irqs::IoEvent;
use crate::irq::Connection;
use crate::irq::IrqError;
use crate::irq::Message;
use crate::irq::Receiver;
use crate::irq::io_apic::INPUTS;

/// What is routed, by number.
pub(super) type Routes = BTreeMap<u32, Message>;

/// An event whose messages KVM injects.
struct Route {
    vm: Arc<Vm>,
    event: EventFd,
    number: u32,
}

fn refused(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> IrqError {
    move |error| IrqError::Receiver { what, why: error.to_string() }
}

impl Receiver for Arc<Vm> {
    fn connect(&self, event: &Arc<Event>, message: Message) -> Result<Box<dyn Connection>, IrqError> {
        let Some(first) = arch::FIRST_ROUTE else {
            let why = "the guest program has no handlers on this architecture".to_owned();
            return Err(IrqError::Receiver { what: "routing a message", why });
        };
        let ours = event_fd(event.as_fd())?;
        let mut routes = self.routes.lock();
        // There are fewer routes than numbers.
        let number = (first..u32::MAX).find(|number| !routes.contains_key(number)).unwrap_or(first);
        routes.insert(number, message);
        let routed = self.set_routes(&routes).map_err(refused("routing a message"));
        let connected = routed.and_then(|()| {
            // KVM takes what it finds signalled, but not before it returns. What is signalled behind it, at once.
            let pending = event.take() > 0;
            let registered = self.vm.register_irqfd(&ours, number);
            if pending {
                event.signal();
            }
            registered.map_err(refused("connecting an event to the guest"))
        });
        if let Err(error) = connected {
            routes.remove(&number);
            return Err(error);
        }
        drop(routes);
        Ok(Box::new(Route { vm: self.clone(), event: ours, number }))
    }

    fn wire(
        &self,
        input: u8,
        asserted: &Arc<Event>,
        ended: &Arc<Event>,
    ) -> Result<Box<dyn Connection>, IrqError> {
        let holder = Ends::new(&Event::new()?, &Event::new()?)?;
        let wire = Wire {
            vm: self.clone(),
            input: input.into(),
            holder,
            ends: Ends::new(asserted, ended)?,
            event: asserted.clone(),
        };
        wire.put_on(&wire.holder).map_err(refused("wiring an input"))?;
        wire.connect().map_err(refused("wiring an input"))?;
        Ok(Box::new(wire))
    }

    fn stand_for_writes(&self, at: Gpa, event: &IoEvent) -> Option<Box<dyn Connection>> {
        let (value, at) = (Meant::of(event)?, IoEventAddress::Mmio(at.get()));
        let event = event_fd(event.event.as_fd()).ok()?;
        // Who offers an event that is none has the write come to the bus instead.
        self.register(&event, &at, value).ok()?;
        Some(Box::new(Doorbell { vm: self.clone(), event, at, value }))
    }
}

/// A line to an input of the I/O APIC.
struct Wire {
    vm: Arc<Vm>,
    input: u32,
    /// It signals nothing. While it is there, taking the other off does not lower the line.
    holder: Ends,
    ends: Ends,
    /// What raises the line.
    event: Arc<Event>,
}

/// The events at both ends of a line: that raises it, and that tells that it fell.
struct Ends {
    raises: EventFd,
    fell: EventFd,
}

impl Ends {
    fn new(raises: &Event, fell: &Event) -> std::io::Result<Self> {
        Ok(Self { raises: event_fd(raises.as_fd())?, fell: event_fd(fell.as_fd())? })
    }
}

impl Wire {
    fn put_on(&self, ends: &Ends) -> Result<(), kvm_ioctls::Error> {
        self.vm.vm.register_irqfd_with_resample(&ends.raises, &ends.fell, self.input)
    }

    fn take_off(&self, ends: &Ends) {
        // What is on can be taken off.
        let _ = self.vm.vm.unregister_irqfd(&ends.raises, self.input);
    }

    /// Puts the event on, with what was signalled before. Gives whether that was anything.
    fn connect(&self) -> Result<bool, kvm_ioctls::Error> {
        let pending = self.event.take() > 0;
        let on = self.put_on(&self.ends);
        if pending {
            self.event.signal();
        }
        on.map(|()| pending)
    }
}

impl Connection for Wire {
    /// KVM raises a line by a worker of its own, and waits for that worker when the event is taken off.
    fn settle(&self) {
        loop {
            self.take_off(&self.ends);
            // What could be put on before, can be again.
            if !matches!(self.connect(), Ok(true)) {
                return;
            }
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.take_off(&self.ends);
        self.take_off(&self.holder);
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Wire").field("input", &self.input).finish_non_exhaustive()
    }
}

/// A write that KVM makes into an event.
struct Doorbell {
    vm: Arc<Vm>,
    event: EventFd,
    at: IoEventAddress,
    value: Meant,
}

/// Which writes are meant: of any value and length, of any value in so many bytes, or of one value in so many.
#[derive(Clone, Copy)]
enum Meant {
    Any,
    AnyOf(u32),
    Byte(u8),
    Word(u16),
    Dword(u32),
    Qword(u64),
}

impl Meant {
    fn of(event: &IoEvent) -> Option<Self> {
        let Some(value) = event.value else {
            let size = u32::try_from(event.size).ok().filter(|size| [0, 1, 2, 4, 8].contains(size))?;
            return Some(if size == 0 { Self::Any } else { Self::AnyOf(size) });
        };
        Some(match event.size {
            1 => Self::Byte(value as u8),
            2 => Self::Word(value as u16),
            4 => Self::Dword(value as u32),
            8 => Self::Qword(value),
            _ => return None,
        })
    }
}

impl Vm {
    fn register(&self, event: &EventFd, at: &IoEventAddress, value: Meant) -> Result<(), kvm_ioctls::Error> {
        match value {
            Meant::Any => self.vm.register_ioevent(event, at, NoDatamatch),
            Meant::AnyOf(size) => self.set_ioevent(event, at, size, 0),
            Meant::Byte(value) => self.vm.register_ioevent(event, at, value),
            Meant::Word(value) => self.vm.register_ioevent(event, at, value),
            Meant::Dword(value) => self.vm.register_ioevent(event, at, value),
            Meant::Qword(value) => self.vm.register_ioevent(event, at, value),
        }
    }

    /// What the KVM crates have no call for: an event for writes of any value in so many bytes.
    fn set_ioevent(
        &self,
        event: &EventFd,
        at: &IoEventAddress,
        size: u32,
        flags: u32,
    ) -> Result<(), kvm_ioctls::Error> {
        let IoEventAddress::Mmio(addr) = *at else { return Err(kvm_ioctls::Error::new(libc::EINVAL)) };
        let (len, fd) = (size, event.as_raw_fd());
        self.ioeventfd(&kvm_ioeventfd { addr, len, fd, flags, ..kvm_ioeventfd::default() })
    }

    fn unregister(
        &self,
        event: &EventFd,
        at: &IoEventAddress,
        value: Meant,
    ) -> Result<(), kvm_ioctls::Error> {
        match value {
            Meant::Any => self.vm.unregister_ioevent(event, at, NoDatamatch),
            Meant::AnyOf(size) => self.set_ioevent(event, at, size, 1 << kvm_ioeventfd_flag_nr_deassign),
            Meant::Byte(value) => self.vm.unregister_ioevent(event, at, value),
            Meant::Word(value) => self.vm.unregister_ioevent(event, at, value),
            Meant::Dword(value) => self.vm.unregister_ioevent(event, at, value),
            Meant::Qword(value) => self.vm.unregister_ioevent(event, at, value),
        }
    }
}

impl Connection for Doorbell {}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // What was registered can be taken back.
        let _ = self.vm.unregister(&self.event, &self.at, self.value);
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Doorbell").finish_non_exhaustive()
    }
}

impl Vm {
    fn set_routes(&self, routes: &Routes) -> Result<(), kvm_ioctls::Error> {
        let pins = arch::IO_APIC.into_iter().flat_map(|chip| (0..INPUTS).map(move |input| pin(chip, input)));
        let messages = routes.iter().map(|(number, message)| entry(*number, *message));
        let entries: Vec<_> = pins.chain(messages).collect();
        let routing = KvmIrqRouting::from_entries(&entries);
        let routing = routing.map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))?;
        self.vm.set_gsi_routing(&routing)
    }
}

/// The route of an input, whose number it has.
fn pin(chip: u32, input: u8) -> kvm_irq_routing_entry {
    let (gsi, type_) = (input.into(), KVM_IRQ_ROUTING_IRQCHIP);
    let mut entry = kvm_irq_routing_entry { gsi, type_, ..kvm_irq_routing_entry::default() };
    entry.u.irqchip = kvm_irq_routing_irqchip { irqchip: chip, pin: gsi };
    entry
}

fn entry(number: u32, message: Message) -> kvm_irq_routing_entry {
    let mut entry =
        kvm_irq_routing_entry { gsi: number, type_: KVM_IRQ_ROUTING_MSI, ..kvm_irq_routing_entry::default() };
    entry.u.msi.address_lo = message.address as u32;
    entry.u.msi.address_hi = (message.address >> 32) as u32;
    entry.u.msi.data = message.data;
    entry
}

impl Connection for Route {}

impl Drop for Route {
    fn drop(&mut self) {
        let mut routes = self.vm.routes.lock();
        // What is connected can be taken back; should it not, its number is not given out again.
        if self.vm.vm.unregister_irqfd(&self.event, self.number).is_ok() {
            routes.remove(&self.number);
            let _ = self.vm.set_routes(&routes);
        }
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Route").field("number", &self.number).finish_non_exhaustive()
    }
}
