//! A backend that stands before another one and writes down which region accesses pass, and what the device is let
//! reach.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use parking_lot::Mutex;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;

use super::Backend;
use super::BackendError;
use super::Call;
use super::DmaMemory;
use super::Failure;
use super::Given;
use super::irqs::IoEvent;
use super::irqs::IrqChange;

/// An access to a region that the device answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it was a write.
    pub is_write: bool,
    /// Which region.
    pub region: u32,
    /// Where in it.
    pub offset: u64,
    /// How many bytes.
    pub count: usize,
    /// What was read or written: the first eight bytes, little-endian.
    pub value: u64,
}

impl fmt::Display for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_write { "write" } else { "read" };
        write!(
            out,
            "{verb} region {} at {:#x}, {} bytes: {:#x}",
            self.region, self.offset, self.count, self.value
        )
    }
}

/// What the device was told about memory that it may reach, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The call: a mapping, or taking one back.
    pub call: Call,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

impl fmt::Display for Told {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => write!(out, "{}", self.call),
            Some(failure) => write!(out, "{}: {failure}", self.call),
        }
    }
}

/// What was written down so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    accesses: Vec<Access>,
    told: Vec<Told>,
    wanted: Wanted,
}

/// What is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Everything,
    /// Writes to this region alone: a guest that runs for long makes many other accesses.
    WritesTo(u32),
    Nothing,
}

impl Recording {
    /// Everything written down so far, in order.
    pub fn accesses(&self) -> Vec<Access> {
        self.notes.lock().accesses.clone()
    }

    /// Takes what was written down so far; what comes is written down anew.
    pub fn take(&self) -> Vec<Access> {
        std::mem::take(&mut self.notes.lock().accesses)
    }

    /// Takes what was written down so far; what comes is not written down.
    pub fn stop(&self) -> Vec<Access> {
        self.go_on_with(Wanted::Nothing)
    }

    /// Takes what was written down so far; of what comes, only writes to this region are written down.
    pub fn go_on_with_writes_to(&self, region: u32) -> Vec<Access> {
        self.go_on_with(Wanted::WritesTo(region))
    }

    /// Takes what the device was told about memory since it was reached, or since this was asked last. It is written
    /// down whatever accesses are, unless nothing is.
    pub fn take_told(&self) -> Vec<Told> {
        std::mem::take(&mut self.notes.lock().told)
    }

    fn go_on_with(&self, wanted: Wanted) -> Vec<Access> {
        let mut notes = self.notes.lock();
        notes.wanted = wanted;
        std::mem::take(&mut notes.accesses)
    }

    fn tell(&self, call: Call, outcome: &Result<(), BackendError>) {
        let mut notes = self.notes.lock();
        if notes.wanted != Wanted::Nothing {
            let failure = outcome.as_ref().err().map(|error| error.failure.clone());
            notes.told.push(Told { call, failure });
        }
    }

    fn push(&self, is_write: bool, region: u32, offset: u64, bytes: &[u8]) {
        let mut notes = self.notes.lock();
        let wanted = match notes.wanted {
            Wanted::Everything => true,
            Wanted::WritesTo(only) => is_write && region == only,
            Wanted::Nothing => false,
        };
        if wanted {
            let value = bytes.iter().take(8).rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            notes.accesses.push(Access { is_write, region, offset, count: bytes.len(), value });
        }
    }
}

/// A backend whose region accesses are written down.
#[derive(Debug)]
pub struct Recorded<B> {
    inner: B,
    recording: Recording,
}

impl<B: Backend> Recorded<B> {
    /// Stands before `inner` and writes into `recording`.
    pub fn new(inner: B, recording: Recording) -> Self {
        Self { inner, recording }
    }
}

impl<B: Backend> Backend for Recorded<B> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        self.inner.device_info()
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        self.inner.region_info(index)
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        self.inner.irq_info(index)
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        self.inner.read(region, offset, buffer)?;
        self.recording.push(false, region, offset, buffer);
        Ok(())
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        self.inner.write(region, offset, data)?;
        self.recording.push(true, region, offset, data);
        Ok(())
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        let outcome = self.inner.dma_map(range, file, offset, allowed);
        self.recording.tell(Call::DmaMap { range }, &outcome);
        outcome
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        let outcome = self.inner.dma_ask(range, memory);
        self.recording.tell(Call::DmaAsk { range }, &outcome);
        outcome
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        self.inner.attend()
    }

    fn lost(&self) -> Option<BackendError> {
        self.inner.lost()
    }

    fn given(&self) -> Vec<Given> {
        self.inner.given()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        let outcome = self.inner.dma_unmap(range);
        self.recording.tell(Call::DmaUnmap { range }, &outcome);
        outcome
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        self.inner.set_irqs(change)
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        self.inner.io_events(region)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.inner.reset()
    }
}

#[cfg(test)]
mod tests {
    use vfio_abi::errno::Errno;

    use super::*;
    use crate::backend::fake::Fake;

    #[test]
    fn what_is_wanted_is_written_down_and_nothing_else() {
        let recording = Recording::default();
        let pass = || {
            for (is_write, region) in [(false, 9), (true, 9), (false, 10), (true, 10)] {
                recording.push(is_write, region, 0x120, &[1, 2]);
            }
        };
        pass();
        assert_eq!(recording.go_on_with_writes_to(10).len(), 4);
        pass();
        let write = Access { is_write: true, region: 10, offset: 0x120, count: 2, value: 0x201 };
        assert_eq!(recording.accesses(), [write]);
        assert_eq!((recording.stop(), recording.accesses()), (vec![write], Vec::new()));
        pass();
        assert_eq!(recording.take(), []);
    }

    #[test]
    fn what_the_device_is_told_of_memory_is_written_down_with_its_refusal() {
        let fake = Fake::committed().with(|state| state.refuses_from = Some((0x4000, Errno::EFAULT)));
        let recording = Recording::default();
        let mut backend = Recorded::new(fake, recording.clone());
        let file = Arc::new(File::open("/dev/null").unwrap());
        let range = |start| Span::new(Iova::new(start), 0x1000).unwrap();
        backend.dma_map(range(0x3000), &file, 0, DmaFlags::READ).unwrap();
        backend.dma_map(range(0x4000), &file, 0, DmaFlags::READ).unwrap_err();
        backend.dma_unmap(range(0x3000)).unwrap();
        assert_eq!(recording.take(), [], "these are no accesses");
        let told: Vec<_> = recording.take_told().iter().map(Told::to_string).collect();
        assert_eq!(
            told,
            [
                "DMA_MAP of [0x3000, 0x4000)",
                "DMA_MAP of [0x4000, 0x5000): refused with EFAULT",
                "DMA_UNMAP of [0x3000, 0x4000)"
            ]
        );
        assert_eq!(recording.take_told(), []);
    }
}
