//! A device of the host's, through the kernel's VFIO.
//!
//! ```text
//!  address ─▶ host: facts of sysfs ─▶ open: files ─▶ orders, reads and writes      space: what it reaches
//!                    └── what is missing, in words ──┘      ioctl: the system calls
//! ```
//!
//! Each call is one system call, of the width that was asked for. Where a region is in the device's file the kernel
//! says, and nobody else knows. A device that was taken away is lost: its files are closed, and what it was let reach
//! is remembered for a connection that may take this one's place.
//!
//! A device of the host's asks for no memory by messages. What it may reach it is given, so behind an SMMU it has a
//! mirror of the guest's tables.

mod address;
mod advice;
mod host;
mod ioctl;
mod irqs;
mod open;
mod space;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

pub use address::Address;
pub use address::Function;
pub use address::Way;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
pub use host::Host;
use ioctl::Linux;
use ioctl::System;
use ioctl::With;
use open::Open;
use space::Part;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::kernel::Order;
use vfio_abi::request::DmaFlags;
use zerocopy::FromBytes;

use super::Backend;
use super::BackendError;
use super::Call;
use super::DmaMemory;
use super::Failure;
use super::Given;
use super::irqs::IoEvent;
use super::irqs::IrqChange;
use crate::map::memory::HostMemory;

/// The most room that is offered for an info structure and its chain.
const MAX_INFO: usize = 1 << 16;

/// How often a structure that grows is asked for again.
const MOST_ASKS: usize = 4;

/// Where the index is in what a region and an interrupt are asked with.
const INDEX: usize = 8;

/// A device of the host's.
#[derive(Debug)]
pub struct KernelVfio {
    name: String,
    system: Arc<dyn System>,
    /// The device, or at which call it was lost, and why.
    open: Result<Open, BackendError>,
    /// Where regions are in the device's file, as far as somebody asked.
    places: BTreeMap<u32, u64>,
    /// What the device was let reach, by first address.
    held: BTreeMap<u64, Held>,
}

/// Something that the device was let reach.
#[derive(Debug)]
struct Held {
    range: Span<Iova>,
    part: Part,
    /// The mapping that the kernel was given, if it was one.
    _memory: Option<HostMemory>,
}

impl KernelVfio {
    /// Opens a device of this host.
    ///
    /// # Errors
    /// If it is not there, or not VFIO's, or somebody else's: the reason says what to do.
    pub fn open(address: &Address) -> Result<Self, BackendError> {
        Self::open_on(&Host::default(), address)
    }

    /// Opens a device of a host whose files are elsewhere.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(host: &Host, address: &Address) -> Result<Self, BackendError> {
        Self::open_by(Arc::new(Linux), host, address)
    }

    fn open_by(system: Arc<dyn System>, host: &Host, address: &Address) -> Result<Self, BackendError> {
        let wrong = |reason| BackendError {
            device: address.to_string(),
            call: Call::Connect,
            failure: Failure::Lost(reason),
        };
        let facts = host.look(address).map_err(wrong)?;
        // The way that was taken is part of the name: whoever left it open is told.
        let name = Address { way: Some(facts.way), ..*address }.to_string();
        let open = Open::new(&*system, host, &facts).map_err(wrong)?;
        Ok(Self { name, system, open: Ok(open), places: BTreeMap::new(), held: BTreeMap::new() })
    }

    fn error(&self, call: Call, failure: Failure) -> BackendError {
        BackendError { device: self.name.clone(), call, failure }
    }

    /// Does something with the open device.
    fn with<T>(
        &mut self,
        call: Call,
        act: impl FnOnce(&dyn System, &Open) -> Result<T, Errno>,
    ) -> Result<T, BackendError> {
        let outcome = match &self.open {
            Ok(open) => act(&*self.system, open),
            Err(lost) => {
                let reason = format!("lost earlier, at {}: {}", lost.call, lost.failure);
                return Err(self.error(call, Failure::Lost(reason)));
            }
        };
        outcome.map_err(|errno| self.refused(call, errno))
    }

    /// The kernel says no. If it has no device any more, the device is lost.
    fn refused(&mut self, call: Call, errno: Errno) -> BackendError {
        if errno != Errno::ENODEV || self.is_there() {
            return self.error(call, Failure::Refused(errno));
        }
        let reason = "ENODEV: the device was taken out of the host, or away from its driver".to_owned();
        let lost = self.error(call, Failure::Lost(reason));
        self.open = Err(lost.clone());
        lost
    }

    /// Whether the device still says what it is.
    fn is_there(&self) -> bool {
        let Ok(open) = &self.open else { return false };
        let mut bytes = (DeviceInfo::SHORT_SIZE as u32).to_le_bytes().to_vec();
        bytes.resize(DeviceInfo::SHORT_SIZE, 0);
        let asked = self.system.order(open.device.as_fd(), Order::DEVICE_GET_INFO, With::Bytes(&mut bytes));
        asked != Err(Errno::ENODEV)
    }

    /// A structure of the device's, of the kind that grows.
    fn info(
        &mut self,
        call: Call,
        order: Order,
        (least, index): (usize, Option<u32>),
    ) -> Result<Vec<u8>, BackendError> {
        self.with(call, |system, open| {
            whole_answer(least, |bytes| {
                if let Some((index, at)) = index.zip(bytes.get_mut(INDEX..INDEX.saturating_add(4))) {
                    at.copy_from_slice(&index.to_le_bytes());
                }
                system.order(open.device.as_fd(), order, With::Bytes(bytes)).map(drop)
            })
        })
    }

    /// Where an offset of a region is in the device's file.
    fn place(&mut self, call: Call, region: u32, offset: u64) -> Result<u64, BackendError> {
        if !self.places.contains_key(&region) {
            self.region_info(region)?;
        }
        let place = self.places.get(&region).and_then(|start| start.checked_add(offset));
        place.ok_or_else(|| self.error(call, Failure::Refused(Errno::EINVAL)))
    }

    /// Why a map was refused, with what to do where there is something.
    fn explained(mut error: BackendError, size: u64) -> BackendError {
        if let Failure::Refused(errno) = error.failure
            && let Some(why) = advice::at_map(errno, size)
        {
            error.failure = Failure::explained(errno, why);
        }
        error
    }
}

/// An answer with its whole chain: asked for again with the room that it says it needs.
fn whole_answer(least: usize, mut ask: impl FnMut(&mut [u8]) -> Result<(), Errno>) -> Result<Vec<u8>, Errno> {
    let mut room = least;
    let mut bytes = Vec::new();
    for _ in 0..MOST_ASKS {
        bytes = vec![0; room];
        if let Some(argsz) = bytes.first_chunk_mut() {
            *argsz = (room as u32).to_le_bytes();
        }
        ask(&mut bytes)?;
        let needed = bytes.first_chunk().map_or(0, |argsz| u32::from_le_bytes(*argsz)) as usize;
        if needed <= room || room >= MAX_INFO {
            break;
        }
        room = needed.min(MAX_INFO);
    }
    Ok(bytes)
}

fn done(
    call: Call,
    outcome: Result<usize, BackendError>,
    asked: usize,
    name: &str,
) -> Result<(), BackendError> {
    match outcome? {
        done if done == asked => Ok(()),
        done => Err(BackendError { device: name.to_owned(), call, failure: Failure::Short { done, asked } }),
    }
}

impl Backend for KernelVfio {
    fn name(&self) -> &str {
        &self.name
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        self.info(Call::DeviceInfo, Order::DEVICE_GET_INFO, (DeviceInfo::FIXED_SIZE, None))
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        let call = Call::RegionInfo { index };
        let bytes = self.info(call, Order::DEVICE_GET_REGION_INFO, (RegionInfo::FIXED_SIZE, Some(index)))?;
        let Ok((info, _)) = RegionInfo::parse(&bytes) else { return Ok((bytes, None)) };
        self.places.insert(index, info.offset);
        if !info.flags.contains(RegionFlags::MMAP) {
            return Ok((bytes, None));
        }
        let copy = |_: &dyn System, open: &Open| {
            open.device.try_clone().map_err(|error| Errno(error.raw_os_error().unwrap_or(0) as u32))
        };
        let file = self.with(call, copy)?;
        Ok((bytes, Some(File::from(file))))
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        let call = Call::IrqInfo { index };
        let bytes = self.info(call, Order::DEVICE_GET_IRQ_INFO, (size_of::<IrqInfo>(), Some(index)))?;
        let parsed = IrqInfo::read_from_prefix(&bytes).map(|(info, _)| info);
        parsed.map_err(|_| self.error(call, Failure::Refused(Errno::EPROTO)))
    }

    fn keeps_files(&self) -> bool {
        true
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let asked = buffer.len();
        let call = Call::Read { region, offset, count: asked };
        let at = self.place(call, region, offset)?;
        let outcome = self.with(call, |system, open| system.read(open.device.as_fd(), at, buffer));
        done(call, outcome, asked, &self.name)
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        let call = Call::Write { region, offset, count: data.len() };
        let at = self.place(call, region, offset)?;
        let outcome = self.with(call, |system, open| system.write(open.device.as_fd(), at, data));
        done(call, outcome, data.len(), &self.name)
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        let call = Call::DmaMap { range };
        let was_lost = self.open.is_err();
        let part = Part { file: file.clone(), offset, allowed };
        if let Some(why) = self.open.as_ref().ok().and_then(|open| advice::outside(range, &open.ranges)) {
            return Err(self.error(call, Failure::explained(Errno::EINVAL, why)));
        }
        let mapped = self.with(call, |system, open| open.space.map(system, range, &part));
        let (memory, outcome) = match mapped {
            Ok(memory) => (memory, Ok(())),
            Err(error) => (None, Err(Self::explained(error, range.size()))),
        };
        // Who comes in its place is let reach it.
        if outcome.is_ok() || was_lost {
            self.held.insert(range.start().get(), Held { range, part, _memory: memory });
        }
        outcome
    }

    fn dma_ask(&mut self, range: Span<Iova>, _: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        let why = "a device of the host's asks for no memory by messages: an SMMU before it needs \
                   `reach = \"mirror\"`";
        let failure = Failure::explained(Errno::EOPNOTSUPP, why.to_owned());
        Err(self.error(Call::DmaAsk { range }, failure))
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        Ok(())
    }

    fn lost(&self) -> Option<BackendError> {
        self.open.as_ref().err().cloned()
    }

    fn given(&self) -> Vec<Given> {
        let given = |held: &Held| Given::File {
            range: held.range,
            file: held.part.file.clone(),
            offset: held.part.offset,
            allowed: held.part.allowed,
        };
        self.held.values().map(given).collect()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        let outcome = self.with(Call::DmaUnmap { range }, |system, open| open.space.unmap(system, range));
        // A device that is lost over it reaches nothing any more.
        if outcome.is_ok() || self.open.is_err() {
            self.held.remove(&range.start().get());
        }
        outcome
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let call = Call::SetIrqs { index: change.index, start: change.start, count: change.vectors.count() };
        let mut bytes = irqs::structure(change);
        self.with(call, |system, open| {
            system.order(open.device.as_fd(), Order::DEVICE_SET_IRQS, With::Bytes(&mut bytes)).map(drop)
        })
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        // The kernel takes events for writes, and offers none.
        Err(self.error(Call::IoEvents { index: region }, Failure::Refused(Errno::ENOTTY)))
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.with(Call::Reset, |system, open| {
            system.order(open.device.as_fd(), Order::DEVICE_RESET, With::Nothing).map(drop)
        })
    }
}

#[cfg(test)]
mod tests;
