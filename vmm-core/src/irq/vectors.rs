//! MSI-X of one device: its [table](MsixTable) and the one place that carries out what follows from it.
//!
//! A vector gets its event when it is used first, and keeps it until MSI-X is turned off. While it is in use its
//! event is connected to the guest; while it is not, what the event has counted is pending.
//!
//! - The kernel turns a device's MSI-X on when the first event is attached. So vector 0 gets one as soon as the
//!   guest turns MSI-X on, as VMMs do it; what it signals before it is used is pending.
//! - Vectors that never got an event the kernel keeps masked in the hardware, and it is the hardware that knows
//!   whether they are pending. A guest that reads the pending bits gets both.
//! - Where vectors cannot be added while some are in use, all are taken back and given again, with the new one.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::pci::msix::MESSAGE_CONTROL;
use cxl_spec::pci::msix::MessageControl;
use vfio_abi::info::IrqFlags;
use vfio_abi::info::irq;

use super::Connection;
use super::IrqError;
use super::Receiver;
use super::table::Effect;
use super::table::MsixTable;
use crate::backend::Shared;
use crate::backend::event::Event;
use crate::backend::irqs::IrqChange;
use crate::discover::Irq;
use crate::discover::msix::Msix as Found;
use crate::discover::msix::Place;
use crate::sync::Mutex;

/// MSI-X of a device. Dropping it takes everything back.
#[derive(Debug)]
pub struct Msix {
    backend: Shared,
    receiver: Arc<dyn Receiver>,
    found: Found,
    /// No vector can be added while some are in use.
    no_resize: bool,
    /// How many vectors events can be attached to.
    attachable: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    table: MsixTable,
    given: BTreeMap<u16, Given>,
}

/// A vector that has its event.
#[derive(Debug)]
struct Given {
    event: Arc<Event>,
    connection: Option<Box<dyn Connection>>,
}

/// What of MSI-X an access reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The table, and the access as it sees it.
    Table(Access),
    /// The pending bits, and the access as they see it.
    Pending(Access),
}

impl Msix {
    /// MSI-X of a device that has it, off and with every vector masked. `irqs` are the interrupts that the device
    /// says it has.
    pub fn new(backend: Shared, receiver: Arc<dyn Receiver>, found: &Found, irqs: &[Irq]) -> Self {
        let told = irqs.iter().find(|told| told.index == irq::MSIX);
        let state = State { table: MsixTable::new(found.vectors), given: BTreeMap::new() };
        Self {
            backend,
            receiver,
            found: found.clone(),
            no_resize: told.is_some_and(|told| told.flags.contains(IrqFlags::NORESIZE)),
            attachable: told.map_or(0, |told| told.count),
            state: Mutex::new(state),
        }
    }

    /// Everything is as after reset.
    ///
    /// # Errors
    /// If the device does not do its part. Nothing goes to the guest all the same.
    pub fn reset(&self) -> Result<(), IrqError> {
        let mut state = self.state.lock();
        state.table = MsixTable::new(self.found.vectors);
        self.take_back(&mut state)
    }

    /// What of MSI-X is at an access to a region. One that is only partly there is the device's.
    pub fn part(&self, region: u32, access: Access) -> Option<Part> {
        let inside = |place: Place| {
            let inside = access.relative_to(place.offset).filter(|_| region == u32::from(place.bar))?;
            (inside.end() <= place.size).then_some(inside)
        };
        let pending = || inside(self.found.pending).map(Part::Pending);
        inside(self.found.table).map(Part::Table).or_else(pending)
    }

    /// What the guest reads of configuration space where the device reads `value`.
    pub fn config_read(&self, access: Access, value: u64) -> u64 {
        let Some(shift) = self.control_in(access) else { return value };
        let control = self.state.lock().table.control().raw();
        placed(value, control, shift) & access.width().mask()
    }

    /// What a write of configuration space makes of MSI-X Enable, if it changes it.
    pub fn turned_by(&self, access: Access, value: u64) -> Option<bool> {
        let shift = self.control_in(access)?;
        let before = self.state.lock().table.control();
        let reached = taken(placed(0, u16::MAX, shift) & access.width().mask(), shift);
        let after = MessageControl::new(before.raw() & !reached | taken(value, shift) & reached);
        Some(after.enable()).filter(|on| *on != before.enable())
    }

    /// The guest writes configuration space. False if none of it is the message control register.
    ///
    /// # Errors
    /// If the device or the hypervisor does not do its part.
    pub fn config_write(&self, access: Access, value: u64) -> Result<bool, IrqError> {
        let Some(shift) = self.control_in(access) else { return Ok(false) };
        let mut state = self.state.lock();
        self.notice(&mut state)?;
        let before = state.table.control().raw();
        // Bytes of the register that the write does not reach stay.
        let reached = placed(0, u16::MAX, shift) & access.width().mask();
        let (reached, value) = (taken(reached, shift), taken(value, shift));
        let effects = state.table.write_control(MessageControl::new(before & !reached | value & reached));
        self.apply(&mut state, effects)?;
        Ok(true)
    }

    /// By how many bits the message control register is above an access that has some of it.
    fn control_in(&self, access: Access) -> Option<i64> {
        let at = self.found.capability.saturating_add(MESSAGE_CONTROL);
        let touches = access.offset() < at.saturating_add(2) && at < access.end();
        touches.then(|| 8 * at.wrapping_sub(access.offset()).cast_signed())
    }

    /// What the guest reads of a part. Vectors that have no event are pending if `hardware` says so.
    ///
    /// # Errors
    /// If the device or the hypervisor does not do its part.
    pub fn load(&self, part: Part, hardware: u64) -> Result<u64, IrqError> {
        let mut state = self.state.lock();
        let (access, hardware) = match part {
            Part::Table(access) => (access, 0),
            Part::Pending(access) => (access, hardware),
        };
        if matches!(part, Part::Pending(_)) {
            self.notice(&mut state)?;
        }
        let dword = |offset| match part {
            Part::Table(_) => state.table.read(offset),
            Part::Pending(_) => state.table.pending(offset),
        };
        let around = Access::dword_around(access.offset()).offset();
        let whole = u64::from(dword(around)) | u64::from(dword(around.saturating_add(4))) << 32;
        Ok((whole >> (8 * (access.offset() - around)) | hardware) & access.width().mask())
    }

    /// The guest writes a part: dwords of the table. What is narrower means nothing there, and pending bits are not
    /// written.
    ///
    /// # Errors
    /// If the device or the hypervisor does not do its part.
    pub fn store(&self, part: Part, value: u64) -> Result<(), IrqError> {
        let Part::Table(access) = part else { return Ok(()) };
        if access.width() < Width::Dword {
            return Ok(());
        }
        let mut state = self.state.lock();
        self.notice(&mut state)?;
        for piece in Access::split(access.offset(), access.width().bytes(), Width::Dword) {
            let dword = (value >> (8 * (piece.offset() - access.offset()))) as u32;
            let effects = state.table.write(piece.offset(), dword);
            self.apply(&mut state, effects)?;
        }
        Ok(())
    }

    /// What was signalled and is not connected to the guest is pending.
    fn notice(&self, state: &mut State) -> Result<(), IrqError> {
        let waiting = state.given.iter().filter(|(_, given)| given.connection.is_none());
        let signalled: Vec<u16> =
            waiting.filter(|(_, given)| given.event.take() > 0).map(|(vector, _)| *vector).collect();
        for vector in signalled {
            let effects = state.table.signalled(vector);
            self.apply(state, effects)?;
        }
        Ok(())
    }

    /// The one place where an effect is carried out.
    fn apply(&self, state: &mut State, effects: Vec<Effect>) -> Result<(), IrqError> {
        for effect in effects {
            match effect {
                Effect::Begin => self.give(state, 0)?,
                Effect::Use { vector, message } => {
                    self.give(state, vector)?;
                    let Some(given) = state.given.get_mut(&vector) else { continue };
                    // The old one goes first: an event has one connection.
                    given.connection = None;
                    given.connection = Some(self.receiver.connect(&given.event, message)?);
                }
                Effect::Mask { vector } => {
                    state.given.get_mut(&vector).into_iter().for_each(|given| given.connection = None);
                }
                Effect::Send { vector } => {
                    state.given.get(&vector).into_iter().for_each(|given| given.event.signal());
                }
                Effect::End => self.take_back(state)?,
            }
        }
        Ok(())
    }

    /// Makes sure that a vector has its event. One that the device does not let us have is never signalled.
    fn give(&self, state: &mut State, vector: u16) -> Result<(), IrqError> {
        if state.given.contains_key(&vector) || u32::from(vector) >= self.attachable {
            return Ok(());
        }
        let again = self.no_resize && !state.given.is_empty();
        if again {
            self.backend.lock().set_irqs(&IrqChange::take_back(irq::MSIX))?;
        }
        let given = Given { event: Arc::new(Event::new()?), connection: None };
        state.given.insert(vector, given);
        let first = if again { 0 } else { vector };
        let last = state.given.last_key_value().map_or(vector, |(last, _)| *last);
        let last = if again { last } else { vector };
        let event = |vector| state.given.get(&vector).map(|given| given.event.as_fd());
        let events: Vec<Option<BorrowedFd<'_>>> = (first..=last).map(event).collect();
        let change = IrqChange::attach(irq::MSIX, first.into(), &events);
        let attached = self.backend.lock().set_irqs(&change);
        if attached.is_err() && !again {
            // Nobody has it, so nobody must think that it was given.
            state.given.remove(&vector);
        }
        Ok(attached?)
    }

    /// Another connection has taken the place of the device's: it is told of the events again, all at once. Who hears
    /// them is as before.
    ///
    /// # Errors
    /// If the device does not do its part.
    pub fn give_again(&self) -> Result<(), IrqError> {
        let state = self.state.lock();
        let Some((last, _)) = state.given.last_key_value() else { return Ok(()) };
        let event = |vector| state.given.get(&vector).map(|given| given.event.as_fd());
        let events: Vec<Option<BorrowedFd<'_>>> = (0..=*last).map(event).collect();
        Ok(self.backend.lock().set_irqs(&IrqChange::attach(irq::MSIX, 0, &events))?)
    }

    fn take_back(&self, state: &mut State) -> Result<(), IrqError> {
        if std::mem::take(&mut state.given).is_empty() {
            return Ok(());
        }
        Ok(self.backend.lock().set_irqs(&IrqChange::take_back(irq::MSIX))?)
    }
}

/// `value` with a register at this bit of it, which may be below its first.
fn placed(value: u64, register: u16, shift: i64) -> u64 {
    let place = |bits: u64| if shift < 0 { bits >> -shift } else { bits << shift };
    value & !place(u16::MAX.into()) | place(register.into())
}

/// The register at this bit of `value`, which may be below its first.
fn taken(value: u64, shift: i64) -> u16 {
    (if shift < 0 { value << -shift } else { value >> shift }) as u16
}

impl Drop for Msix {
    fn drop(&mut self) {
        if !self.state.get_mut().given.is_empty() {
            // A device that is gone has nothing of ours any more.
            let _ = self.backend.lock().set_irqs(&IrqChange::take_back(irq::MSIX));
        }
    }
}

#[cfg(test)]
mod tests;
