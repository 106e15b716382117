//! What of a device's registers is about interrupts, and is the machine's or an event's in place of the device's.

use std::sync::Arc;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use vfio_abi::info::region;

use super::Bus;
use super::Device;
use super::read;
use super::write;
use crate::backend::BackendError;
use crate::backend::Failure;
use crate::backend::Shared;
use crate::backend::irqs::IoEvent;
use crate::irq::Connection;
use crate::irq::IrqError;
use crate::irq::Receiver;
use crate::irq::pin::Pin;
use crate::irq::signals::Signal;
use crate::irq::signals::Signalled;
use crate::irq::signals::Signals;
use crate::irq::vectors::Msix;
use crate::irq::vectors::Part;
use crate::map::Attached;
use crate::plan;
use crate::sync::Mutex;

/// The interrupts of a device, and the events that stand for writes to it.
#[derive(Debug)]
pub(super) struct Interrupts {
    msix: Option<Msix>,
    pin: Option<Pin>,
    signals: Signals,
    /// The regions that are BARs.
    regions: Vec<u32>,
    /// By region.
    events: Mutex<Vec<(u32, IoEvent)>>,
    /// What the hypervisor makes into events without us, while the BARs are where the plan puts them.
    standing: Mutex<Vec<Box<dyn Connection>>>,
}

impl Interrupts {
    /// The interrupts of a device that has signalled nothing yet.
    pub(super) fn attach(
        planned: &plan::Device,
        device: &Attached,
        receiver: &Arc<dyn Receiver>,
    ) -> Result<Self, IrqError> {
        let (backend, irqs) = (&device.backend, &device.inventory.irqs);
        let msix = planned.msix.as_ref();
        let msix = msix.map(|found| Msix::new(backend.clone(), receiver.clone(), found, irqs));
        let pin = planned.pin.as_ref();
        let pin = pin.map(|pin| Pin::attach(backend.clone(), receiver.clone(), pin)).transpose()?.flatten();
        let signals = Signals::attach(backend.clone(), irqs)?;
        let regions: Vec<_> = planned.bars.iter().map(|bar| u32::from(bar.index)).collect();
        let events = Mutex::new(events(&regions, backend)?);
        Ok(Self { msix, pin, signals, regions, events, standing: Mutex::default() })
    }

    /// Another connection has taken the place of the device's: who hears its signals is attached anew, and its events
    /// are those that it has now.
    pub(super) fn renew(&self, backend: &Shared) -> Result<(), IrqError> {
        self.msix.as_ref().map_or(Ok(()), Msix::give_again)?;
        self.pin.as_ref().map_or(Ok(()), Pin::give_again)?;
        self.signals.give_again()?;
        let fresh = events(&self.regions, backend)?;
        *self.events.lock() = fresh;
        Ok(())
    }

    /// The device was reset, and with it what the guest programmed: MSI-X is off, and the line of the pin is not
    /// asserted.
    pub(super) fn reset(&self) -> Result<(), IrqError> {
        self.msix.as_ref().map_or(Ok(()), Msix::reset)?;
        self.pin.as_ref().map_or(Ok(()), Pin::take_back)?;
        self.pin.as_ref().map_or(Ok(()), Pin::give)
    }

    /// The guest writes configuration space. False if none of it is MSI-X's. The pin is on while MSI-X is off.
    fn config_write(&self, access: Access, value: u64) -> Result<bool, IrqError> {
        let Some(msix) = &self.msix else { return Ok(false) };
        let turned = msix.turned_by(access, value);
        if turned == Some(true) {
            self.pin.as_ref().map_or(Ok(()), Pin::take_back)?;
        }
        let is_written = msix.config_write(access, value)?;
        if turned == Some(false) {
            self.pin.as_ref().map_or(Ok(()), Pin::give)?;
        }
        Ok(is_written)
    }
}

/// The events in place of writes to the BARs.
fn events(regions: &[u32], backend: &Shared) -> Result<Vec<(u32, IoEvent)>, BackendError> {
    let mut all = Vec::new();
    for region in regions.iter().copied() {
        let answer = backend.lock().io_events(region);
        let events = match answer {
            // Most devices do not know the question.
            Err(BackendError { failure: Failure::Refused(_), .. }) => Vec::new(),
            other => other?,
        };
        all.extend(events.into_iter().map(|event| (region, event)));
    }
    Ok(all)
}

impl Bus {
    /// The guest reads the I/O APIC, where the hypervisor has none of its own.
    pub(super) fn controller_load(&self, offset: u64, width: Width) -> u64 {
        let value = Access::new(offset, width).and_then(|access| self.receiver.controller_read(access));
        value.map_or_else(|| self.nothing_there(), u64::from) & width.mask()
    }

    /// The guest writes it.
    pub(super) fn controller_store(&self, offset: u64, width: Width, value: u64) {
        let access = Access::new(offset, width);
        if access.and_then(|access| self.receiver.controller_write(access, value as u32)).is_none() {
            self.nothing_there();
        }
    }

    /// The guest loads from a region of a device.
    pub(super) fn device_load(&self, device: &Device, region: u32, access: Access) -> Option<u64> {
        let msix = device.interrupts.msix.as_ref();
        let Some((msix, part)) = msix.and_then(|msix| Some((msix, msix.part(region, access)?))) else {
            return self.answered(read(&device.backend, region, access));
        };
        let hardware = match part {
            Part::Pending(_) => self.answered(read(&device.backend, region, access))?,
            Part::Table(_) => 0,
        };
        self.served(msix.load(part, hardware))
    }

    /// The guest stores to a region of a device.
    pub(super) fn device_store(&self, device: &Device, region: u32, access: Access, value: u64) {
        let msix = device.interrupts.msix.as_ref();
        if let Some((msix, part)) = msix.and_then(|msix| Some((msix, msix.part(region, access)?))) {
            self.served(msix.store(part, value));
            return;
        }
        let stands = |(of, event): &&(u32, IoEvent)| *of == region && event.stands_for(access, value);
        let event = device.interrupts.events.lock().iter().find(stands).map(|(_, event)| event.event.clone());
        match event {
            Some(event) => event.signal(),
            None => drop(self.answered(write(&device.backend, region, access, value))),
        }
    }

    /// The guest reads configuration space of a device.
    pub(super) fn device_config_load(&self, device: &Device, access: Access) -> Option<u64> {
        let value = self.answered(read(&device.backend, region::CONFIG, access))?;
        let msix = device.interrupts.msix.as_ref();
        Some(msix.map_or(value, |msix| msix.config_read(access, value)))
    }

    /// The guest writes configuration space of a device. True if that was about interrupts, and is done.
    pub(super) fn device_config_store(&self, device: &Device, access: Access, value: u64) -> bool {
        // What fails has been the machine's all the same.
        self.served(device.interrupts.config_write(access, value)).unwrap_or(true)
    }

    /// Writes to where the events are, by the plan, are events from now on, or come to this bus.
    pub(super) fn stand_for_writes(&self, device: &Device, as_planned: bool) {
        let mut standing = device.interrupts.standing.lock();
        standing.clear();
        if !as_planned {
            return;
        }
        for (region, event) in device.interrupts.events.lock().iter() {
            let bar = device.bars.iter().find(|(index, _)| u32::from(*index) == *region);
            let at = bar.and_then(|(_, start)| start.checked_add(event.offset));
            standing.extend(at.and_then(|at| self.receiver.stand_for_writes(at, event)));
        }
    }

    /// The signals that came until now.
    pub(crate) fn signals(&self) -> Vec<Signalled> {
        let devices = self.all();
        let seen = devices.iter().flat_map(|(device, told)| {
            let pin = told.interrupts.pin.as_ref().map(|pin| (Signal::Pin, pin.told()));
            let seen = pin.filter(|(_, times)| *times > 0).into_iter().chain(told.interrupts.signals.seen());
            seen.map(move |(signal, times)| Signalled { device: *device, signal, times })
        });
        seen.collect()
    }

    /// Lets the pin of a device signal again.
    pub(crate) fn unmask_pin(&self, device: usize) -> Result<(), BackendError> {
        let device = self.device(device);
        let pin = device.as_ref().and_then(|device| device.interrupts.pin.as_ref());
        pin.map_or(Ok(()), Pin::unmask)
    }

    /// Counts what devices signalled, and takes to the guest what nobody else does.
    pub(super) fn attend_interrupts(&self) {
        for (_, device) in self.all() {
            device.interrupts.signals.attend();
            let pin = device.interrupts.pin.as_ref();
            self.answered(pin.map_or(Ok(()), Pin::attend));
        }
        self.receiver.attend();
    }

    /// Every device is asked something: what it signalled before it answers is here then.
    pub(crate) fn settle(&self) {
        let word = Access::dword_around(0);
        // Pins that are unmasked by a call are unmasked first.
        self.attend_interrupts();
        for (_, device) in self.all() {
            self.answered(read(&device.backend, region::CONFIG, word));
            device.interrupts.pin.iter().for_each(Pin::settle);
        }
        self.attend_interrupts();
        self.notice();
    }

    pub(super) fn served<T>(&self, outcome: Result<T, IrqError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(IrqError::Backend(error)) => self.answered(Err(error)),
            Err(IrqError::Event(_) | IrqError::Receiver { .. }) => {
                self.nothing_there();
                None
            }
        }
    }
}
