//! A device's memory: seen at its window while the decoder decodes it there, and nowhere otherwise.
//!
//! | what happens                   | decoder the machine's            | decoder the guest's                  |
//! |--------------------------------|----------------------------------|--------------------------------------|
//! | machine-done                   | programmed, then memory in place | open, memory nowhere                 |
//! | a function level reset         | read; programmed again if lost   | as before: no such reset touches it  |
//! | a CXL reset                    | the same                         | open, memory nowhere                 |
//! | a reset through VFIO           | the same                         | the same                             |
//! | a reset of the machine         | the same                         | the same                             |
//! | the guest commits, uncommits   | the device's own answer          | memory in place, or out              |
//! | another connection             | read; programmed again if lost   | as before                            |
//!
//! In each reset the memory goes out first and comes back last. What is in it then is the device's to say: this side
//! keeps the mapping and neither clears nor saves it. Where the decoder cannot be brought back, the memory stays out,
//! and the guest reads ones there.

use std::fmt;
use std::sync::Arc;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;

use super::ProgramError;
use super::commit::Effect;
use super::commit::GuestDecoder;
use super::commit::Mapping;
use super::decoder::Decoder;
use crate::backend::Shared;
use crate::discover::Inventory;
use crate::discover::cxl::Cxl;
use crate::map::MapError;
use crate::map::Mappings;
use crate::map::dma::Exchange;
use crate::map::dma::Offer;
use crate::map::memory::HostMemory;
use crate::map::memory_of;
use crate::map::space::AddressSpace;
use crate::map::space::Behind;
use crate::map::space::Shape;
use crate::map::space::Trap;
use crate::map::space::Window;
use crate::plan::life::AfterReset;
use crate::plan::life::Committer;
use crate::plan::programme::Programme;
use crate::sync::Mutex;

/// A reset of a device, as it meets the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// The guest's, of the function: what is CXL's stays.
    FunctionLevel,
    /// The guest's, of CXL.
    Cxl,
    /// The machine's, through VFIO.
    Device,
}

/// What a device that was found again has in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It gives the same file: what was in it is in it, unless the device itself has cleared it.
    Same,
    /// It gives another file: nothing of what was stored is there.
    Fresh,
    /// It gives no file, so only the device knows.
    Unknown,
}

impl fmt::Display for Kept {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Same => "its memory is the same as before",
            Self::Fresh => "its memory is new",
            Self::Unknown => "whether its memory is the same as before cannot be seen",
        })
    }
}

/// A device's memory in a machine. Dropping it takes it out and puts the decoder back.
#[derive(Debug)]
pub(crate) struct DeviceMemory {
    name: String,
    index: usize,
    region: u32,
    backend: Shared,
    programme: Programme,
    /// What the decoder's base read when it was found.
    base: (u32, u32),
    /// What the window is called among the things that devices reach.
    part: Option<String>,
    exchange: Arc<Exchange>,
    space: AddressSpace,
    after_reset: AfterReset,
    now: Mutex<Now>,
}

/// How things are now.
#[derive(Debug)]
struct Now {
    // Fields are dropped in this order: no memory without a decoder.
    offer: Option<Offer>,
    window: Option<Window>,
    decoder: Owned,
    /// All of the memory, if it can be mapped.
    memory: Option<HostMemory>,
    /// It was taken out: it is nowhere until it is brought back, whatever the guest commits meanwhile.
    is_out: bool,
    /// Why the memory is not where it should be, if it is not.
    unplaced: Option<String>,
}

/// Whose the decoder is.
#[derive(Debug)]
enum Owned {
    /// The machine's, once it is programmed.
    Machine(Option<Decoder>),
    /// The guest's.
    Guest(GuestDecoder),
}

impl DeviceMemory {
    /// The memory of a device, nowhere yet. Nothing if there is no such device.
    pub(super) fn new(mappings: &Mappings, index: usize) -> Result<Option<Self>, MapError> {
        let device = mappings.device(index).zip(mappings.plan.devices.get(index));
        let Some((device, planned)) = device else { return Ok(None) };
        let device = &device.attached;
        let decoders = device.inventory.cxl.as_ref().map(Cxl::found_decoders).unwrap_or_default();
        let found = decoders.first().copied();
        let window = planned.window;
        let region = device.inventory.region(window.region);
        let failed = |error| MapError::Region { device: planned.name.clone(), region: window.region, error };
        let memory = window.mapped.then(|| memory_of(region, 0, window.span.size())).transpose();
        let memory = memory.map_err(failed)?;
        let decoder = match planned.committer {
            Committer::Machine => Owned::Machine(None),
            Committer::Guest => {
                let control = found.map_or(Control::new(0), |decoder| decoder.control);
                Owned::Guest(GuestDecoder::new(planned.fixed_window, window.span.size(), control))
            }
        };
        let mut map = mappings.plan.map.iter();
        let part = map.find(|placed| placed.span.start() == planned.fixed_window.start());
        Ok(Some(Self {
            name: planned.name.clone(),
            index,
            region: window.region,
            backend: device.backend.clone(),
            programme: planned.programme,
            base: hdm::split(found.map_or(0, |decoder| decoder.base)),
            part: part.map(|part| part.name.clone()),
            exchange: mappings.exchange.clone(),
            space: mappings.space.clone(),
            after_reset: mappings.plan.machine.life.after_reset,
            now: Mutex::new(Now {
                offer: None,
                window: None,
                decoder,
                memory,
                is_out: false,
                unplaced: None,
            }),
        }))
    }

    /// Programs the decoder, if it is the machine's, and puts the memory in place.
    pub(super) fn machine_done(&self) -> Result<(), ProgramError> {
        let mut now = self.now.lock();
        if let Owned::Machine(decoder) = &mut now.decoder {
            *decoder = Some(Decoder::programme(&self.name, &self.backend, self.programme, self.base)?);
        }
        Ok(self.place(&mut now)?)
    }

    /// The memory is seen nowhere until it is brought back.
    pub(crate) fn take_out(&self) {
        let mut now = self.now.lock();
        now.is_out = true;
        now.nowhere();
    }

    /// The device goes: its memory is out for good, and a decoder that is the machine's is as it was found.
    pub(super) fn leave(&self) {
        self.take_out();
        if let Owned::Machine(decoder) = &mut self.now.lock().decoder {
            *decoder = None;
        }
    }

    /// The device was reset and the memory is out: brings both back as far as that reset lets it.
    ///
    /// # Errors
    /// If the decoder does not take its base again, or the memory cannot be put in place. It stays out then.
    pub(crate) fn after(&self, reset: Reset) -> Result<(), ProgramError> {
        let mut now = self.now.lock();
        let outcome = self.brought_back(&mut now, reset);
        now.unplaced = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    fn brought_back(&self, now: &mut Now, reset: Reset) -> Result<(), ProgramError> {
        now.is_out = false;
        match (&mut now.decoder, reset) {
            (Owned::Machine(Some(decoder)), _) if self.after_reset == AfterReset::Reprogram => {
                decoder.restore()?;
            }
            (Owned::Machine(_), _) | (Owned::Guest(_), Reset::FunctionLevel) => {}
            (Owned::Guest(decoder), Reset::Cxl | Reset::Device) => decoder.reset(),
        }
        Ok(self.place(now)?)
    }

    /// Another connection has taken the place of the device's, and the memory is out: it is what the device has now,
    /// and comes back behind its decoder. That is read, and programmed if it is not as it was.
    ///
    /// # Errors
    /// If the memory cannot be mapped, the decoder does not take its base, or the memory has no place.
    pub(crate) fn renew(&self, inventory: &Inventory) -> Result<Kept, ProgramError> {
        let mut now = self.now.lock();
        let mut kept = Kept::Unknown;
        if let Some(before) = &now.memory {
            let failed = |error| {
                let device = self.name.clone();
                ProgramError::Map(MapError::Region { device, region: self.region, error })
            };
            let memory = memory_of(inventory.region(self.region), 0, before.size()).map_err(failed)?;
            let same = before.is_of_same_file(&memory).map_err(failed)?;
            kept = if same { Kept::Same } else { Kept::Fresh };
            now.memory = Some(memory);
        }
        if let Owned::Machine(Some(decoder)) = &mut now.decoder {
            decoder.restore()?;
        }
        now.is_out = false;
        self.place(&mut now)?;
        now.unplaced = None;
        Ok(kept)
    }

    /// Why the memory is not where it should be, if it is not.
    pub(crate) fn unplaced(&self) -> Option<String> {
        self.now.lock().unplaced.clone()
    }

    /// What the guest reads of the decoder's registers, if they are its own: a dword of a region.
    pub(crate) fn decoder_read(&self, region: u32, access: Access) -> Option<u32> {
        let inside = self.inside(region, access)?;
        match &self.now.lock().decoder {
            Owned::Machine(_) => None,
            Owned::Guest(decoder) => decoder.read(inside),
        }
    }

    /// The guest writes the decoder's registers. Nothing if they are not its own; false if it was refused.
    pub(crate) fn decoder_write(&self, region: u32, access: Access, value: u32) -> Option<bool> {
        let inside = self.inside(region, access)?;
        let mut now = self.now.lock();
        let effect = match &mut now.decoder {
            Owned::Machine(_) => return None,
            Owned::Guest(decoder) => decoder.write(inside, value)?,
        };
        let outcome = match effect {
            Effect::Nothing => return Some(true),
            Effect::Unmap => {
                now.nowhere();
                Ok(())
            }
            Effect::Map(_) => self.place(&mut now).map_err(|error| error.to_string()),
            Effect::Refused(why) => Err(format!("{}: {why}", self.name)),
        };
        if let (Err(_), Owned::Guest(decoder)) = (&outcome, &mut now.decoder) {
            decoder.refuse();
        }
        let done = outcome.is_ok();
        now.unplaced = outcome.err();
        Some(done)
    }

    /// The offset in the HDM decoder capability of a dword of a region.
    fn inside(&self, region: u32, access: Access) -> Option<u64> {
        let capability = self.programme.decoder.checked_sub(hdm::decoder_offset(0))?;
        let ours = region == self.programme.region && access.width() == Width::Dword;
        access.offset().checked_sub(capability).filter(|_| ours)
    }

    /// Puts the memory where the decoder decodes it.
    fn place(&self, now: &mut Now) -> Result<(), MapError> {
        let mapping = match &now.decoder {
            Owned::Machine(_) => Some(Mapping { span: self.programme.window, dpa: 0 }),
            Owned::Guest(decoder) => decoder.mapping(),
        };
        let Some(Mapping { span, dpa }) = mapping.filter(|_| !now.is_out) else { return Ok(()) };
        let memory = now.memory.as_ref().and_then(|memory| memory.part(dpa, span.size()));
        let opened = match memory.clone() {
            Some(memory) => self.space.map(span, memory),
            None => {
                let (device, region) = (self.index, self.region);
                let behind = Behind { device, region, offset: dpa, shape: Shape::Any };
                self.space.trap(span, Trap::Region(behind))
            }
        };
        let name = || format!("{} window", self.name);
        let window = opened.map_err(|error| MapError::Space { name: name(), error })?;
        if let Some((part, memory)) = self.part.as_ref().zip(memory) {
            now.offer = Some(self.exchange.offer(part, span, &memory)?);
        }
        now.window = Some(window);
        Ok(())
    }
}

impl Now {
    fn nowhere(&mut self) {
        self.offer = None;
        self.window = None;
    }
}
