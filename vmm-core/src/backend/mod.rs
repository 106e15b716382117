//! The only code that touches the outside: a device behind some transport, and a hypervisor.
//!
//! - [`vfio_user`] reaches a device in another process.
//! - [`kernel`] reaches a device of the host's.
//! - [`kvm`] runs guest code and maps guest memory.
//! - [`decoders`] stands before a device whose decoders nobody can program, and shows some that can be.
//! - [`recording`] stands before another backend and writes down what passes.
//!
//! Whatever a backend hands up is bytes that nobody has looked at: [`discover`](crate::discover) treats the device
//! as hostile.

pub mod decoders;
pub mod event;
pub mod irqs;
pub mod kernel;
pub mod kvm;
pub mod recording;
pub mod vfio_user;

pub(crate) mod enabled;

#[cfg(test)]
pub(crate) mod fake;

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use irqs::IoEvent;
use irqs::IrqChange;
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;

use crate::sync::Mutex;
use crate::sync::MutexGuard;

/// A device, by the calls that VFIO offers on it.
///
/// Every call waits for the device and no longer than the transport's time-out. After [`Failure::Lost`] the device
/// is gone: every further call fails at once and says why, and there is nothing to attend to. What it is let reach from
/// then on, and what is taken back of that, is remembered all the same for a connection that may take its place: see
/// `Shared::replace`.
pub trait Backend: Send {
    /// How the user named the device.
    fn name(&self) -> &str;

    /// The device info structure with its whole chain.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn device_info(&mut self) -> Result<Vec<u8>, BackendError>;

    /// The region info structure with its whole chain, and the file that maps the region if one came.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError>;

    /// Whether the files that map regions are the kernel's own, which do not become shorter while they are open.
    fn keeps_files(&self) -> bool {
        false
    }

    /// What an interrupt index is.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError>;

    /// Fills `buffer` from a region.
    ///
    /// # Errors
    /// If the device does not answer, refuses, or has fewer bytes.
    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError>;

    /// Writes all of `data` to a region.
    ///
    /// # Errors
    /// If the device does not answer, refuses, or takes fewer bytes.
    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError>;

    /// Lets the device reach `range`, which is the file from `offset`, as far as it is `allowed` to.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError>;

    /// Lets the device ask for `range` message by message; `memory` answers.
    ///
    /// # Errors
    /// If the device does not answer, or refuses, or cannot ask.
    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError>;

    /// Answers what the device has asked and nobody has answered yet. Waits for nothing.
    ///
    /// # Errors
    /// If the device is gone.
    fn attend(&mut self) -> Result<(), BackendError>;

    /// At which call the device was lost, and why; nothing while it is there.
    fn lost(&self) -> Option<BackendError>;

    /// What the device was let reach or ask for and what was not taken back, by rising address.
    fn given(&self) -> Vec<Given>;

    /// Takes back what the device was let reach or ask for.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError>;

    /// Attaches, masks, unmasks or signals interrupts.
    ///
    /// # Errors
    /// If the device does not answer, or refuses. Of a change that takes several messages some may be done then.
    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError>;

    /// The events that replace writes to a region.
    ///
    /// # Errors
    /// If the device does not answer, or refuses, as most do that know of no such thing.
    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError>;

    /// Resets the device.
    ///
    /// # Errors
    /// If the device does not answer, or refuses.
    fn reset(&mut self) -> Result<(), BackendError>;
}

/// Something that a device was let reach.
#[derive(Clone, Debug)]
pub enum Given {
    /// A part of a file: see [`Backend::dma_map`].
    File {
        /// Where the device reaches it.
        range: Span<Iova>,
        /// The file.
        file: Arc<File>,
        /// Where in it the range begins.
        offset: u64,
        /// What the device may do.
        allowed: DmaFlags,
    },
    /// What it asks for: see [`Backend::dma_ask`].
    Asked {
        /// Which addresses.
        range: Span<Iova>,
        /// Who answers.
        memory: Arc<dyn DmaMemory>,
    },
}

impl Given {
    /// Where the device reaches it.
    pub fn range(&self) -> Span<Iova> {
        match self {
            Self::File { range, .. } | Self::Asked { range, .. } => *range,
        }
    }

    /// Gives it to a device.
    fn give(self, backend: &mut dyn Backend) -> Result<(), BackendError> {
        match self {
            Self::File { range, file, offset, allowed } => backend.dma_map(range, &file, offset, allowed),
            Self::Asked { range, memory } => backend.dma_ask(range, memory),
        }
    }
}

/// Memory that a device asks for, at its own addresses.
pub trait DmaMemory: fmt::Debug + Send + Sync {
    /// Fills `buffer` from `at`.
    ///
    /// # Errors
    /// If the device may not read all of it, or it is nowhere: `EFAULT`.
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno>;

    /// Writes `data` at `at`.
    ///
    /// # Errors
    /// If the device may not write all of it, or it is nowhere: `EFAULT`. Some may be written then.
    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno>;
}

/// A backend that several stages hold. Calls are made one at a time.
#[derive(Clone)]
pub struct Shared {
    backend: Arc<Mutex<Box<dyn Backend>>>,
}

impl Shared {
    /// Shares a backend.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Self::of(Box::new(backend))
    }

    /// Shares a backend of any kind.
    pub fn of(backend: Box<dyn Backend>) -> Self {
        Self { backend: Arc::new(Mutex::new(backend)) }
    }

    /// The backend, for a call or for several that belong together.
    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Backend>> {
        self.backend.lock()
    }

    /// Whether the device is gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.lock().lost().is_some()
    }

    /// Another connection takes the place of this one, for all who share it. It is given what this one was. The former
    /// connection comes back.
    ///
    /// # Errors
    /// If the device does not take what it is given. Everything is as before then.
    pub(crate) fn replace(&self, mut with: Box<dyn Backend>) -> Result<Box<dyn Backend>, BackendError> {
        let mut now = self.lock();
        for given in now.given() {
            given.give(&mut *with)?;
        }
        Ok(std::mem::replace(&mut *now, with))
    }

    /// Reads a dword of a region.
    ///
    /// # Errors
    /// As [`Backend::read`].
    pub fn read_dword(&self, region: u32, offset: u64) -> Result<u32, BackendError> {
        let mut bytes = [0; 4];
        self.lock().read(region, offset, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Writes a dword of a region.
    ///
    /// # Errors
    /// As [`Backend::write`].
    pub fn write_dword(&self, region: u32, offset: u64, value: u32) -> Result<(), BackendError> {
        self.lock().write(region, offset, &value.to_le_bytes())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not locked: a debug print must not wait for a device.
        out.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// A call on a device, for errors and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Connecting to it.
    Connect,
    /// Agreeing on a version.
    Version,
    /// [`Backend::device_info`].
    DeviceInfo,
    /// [`Backend::region_info`].
    RegionInfo {
        /// Which region.
        index: u32,
    },
    /// [`Backend::irq_info`].
    IrqInfo {
        /// Which interrupt.
        index: u32,
    },
    /// [`Backend::read`].
    Read {
        /// Which region.
        region: u32,
        /// Where in it.
        offset: u64,
        /// How many bytes.
        count: usize,
    },
    /// [`Backend::write`].
    Write {
        /// Which region.
        region: u32,
        /// Where in it.
        offset: u64,
        /// How many bytes.
        count: usize,
    },
    /// [`Backend::dma_map`].
    DmaMap {
        /// What is mapped.
        range: Span<Iova>,
    },
    /// [`Backend::dma_unmap`].
    DmaUnmap {
        /// What is unmapped.
        range: Span<Iova>,
    },
    /// [`Backend::dma_ask`].
    DmaAsk {
        /// What the device may ask for.
        range: Span<Iova>,
    },
    /// [`Backend::attend`].
    Attend,
    /// [`Backend::set_irqs`].
    SetIrqs {
        /// Which kind of interrupt.
        index: u32,
        /// The first vector.
        start: u32,
        /// How many.
        count: u32,
    },
    /// [`Backend::io_events`].
    IoEvents {
        /// Which region.
        index: u32,
    },
    /// [`Backend::reset`].
    Reset,
}

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => out.write_str("connecting"),
            Self::Version => out.write_str("VERSION"),
            Self::DeviceInfo => out.write_str("DEVICE_GET_INFO"),
            Self::RegionInfo { index } => write!(out, "DEVICE_GET_REGION_INFO of region {index}"),
            Self::IrqInfo { index } => write!(out, "DEVICE_GET_IRQ_INFO of interrupt {index}"),
            Self::Read { region, offset, count } => {
                write!(out, "REGION_READ of region {region} at {offset:#x}, {count} bytes")
            }
            Self::Write { region, offset, count } => {
                write!(out, "REGION_WRITE of region {region} at {offset:#x}, {count} bytes")
            }
            Self::DmaMap { range } => write!(out, "DMA_MAP of {range}"),
            Self::DmaUnmap { range } => write!(out, "DMA_UNMAP of {range}"),
            Self::DmaAsk { range } => write!(out, "DMA_MAP of {range} without a file"),
            Self::Attend => out.write_str("answering what the device asks"),
            Self::SetIrqs { index, start, count } => {
                write!(out, "DEVICE_SET_IRQS of interrupt {index}, {count} from {start}")
            }
            Self::IoEvents { index } => write!(out, "DEVICE_GET_REGION_IO_FDS of region {index}"),
            Self::Reset => out.write_str("DEVICE_RESET"),
        }
    }
}

/// A call on a device that did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{device}: {call}: {failure}")]
pub struct BackendError {
    /// How the user named the device.
    pub device: String,
    /// What was called.
    pub call: Call,
    /// What went wrong.
    pub failure: Failure,
}

/// What went wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The device said no, and lives on.
    #[error("refused with {0}")]
    Refused(Errno),
    /// The same, and somebody knows why.
    #[error("{0}")]
    Explained(Box<Refusal>),
    /// The device did less than it was asked, and lives on.
    #[error("{done} of {asked} bytes")]
    Short {
        /// How many bytes it did.
        done: usize,
        /// How many it was asked for.
        asked: usize,
    },
    /// The device is gone, or cannot be understood any more.
    #[error("{0}")]
    Lost(String),
}

/// A refusal of which somebody knows why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused with {errno}: {why}")]
pub struct Refusal {
    /// What the answer is.
    pub errno: Errno,
    /// Why, and what to do.
    pub why: String,
}

impl Failure {
    /// The device said no, and this is why.
    pub fn explained(errno: Errno, why: String) -> Self {
        Self::Explained(Box::new(Refusal { errno, why }))
    }

    /// What the device answered that said no, and lives on.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(errno) => Some(*errno),
            Self::Explained(refusal) => Some(refusal.errno),
            Self::Short { .. } | Self::Lost(_) => None,
        }
    }
}

impl BackendError {
    /// Whether the device is gone.
    pub fn is_lost(&self) -> bool {
        matches!(self.failure, Failure::Lost(_))
    }
}
