//! A backend that stands before another one and tells a journal what passes.

use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;
use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::Call;
use vmm_core::backend::DmaMemory;
use vmm_core::backend::Given;
use vmm_core::backend::irqs::IoEvent;
use vmm_core::backend::irqs::IrqChange;

use super::Journal;
use super::asked::Asked;
use super::names::Names;
use super::words::Access;
use super::words::Told;
use super::words::Words;
use crate::report::story::Event;
use crate::report::story::Who;

/// The longest access whose value is told in full.
const LONGEST: usize = 8;

/// A backend whose calls are told.
pub(super) struct Traced {
    inner: Box<dyn Backend>,
    journal: Journal,
    device: String,
    words: Words,
    /// What it may ask for, and who answers.
    asked: Vec<(Span<Iova>, Arc<dyn DmaMemory>)>,
    /// Nobody wants to know any more what passes.
    has_ended: Arc<AtomicBool>,
}

impl fmt::Debug for Traced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Traced").field("device", &self.device).finish_non_exhaustive()
    }
}

impl Traced {
    pub(super) fn new(inner: Box<dyn Backend>, journal: Journal, device: String, names: Names) -> Self {
        Self {
            inner,
            journal,
            device,
            words: Words::new(names),
            asked: Vec::new(),
            has_ended: Arc::default(),
        }
    }

    /// What ends that it is told what passes.
    pub(super) fn ends(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_ended)
    }

    fn note(&self, what: String, told: Told, value: String, failure: Option<&BackendError>) {
        if self.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let Told { place, offset, words, back } = told;
        let failure = failure.map(|error| error.failure.to_string());
        let device = self.device.clone();
        // The number, the step, the time and on whose behalf are the journal's to say.
        let (number, step, at_us, who) = (0, 0, 0, Who::Machine);
        let event = Event { number, step, at_us, who, device, what, place, offset, value, words, failure };
        self.journal.note(event, back);
    }

    fn message<T>(&self, call: Call, outcome: &Result<T, BackendError>) {
        self.note(call.to_string(), Told::default(), String::new(), outcome.as_ref().err());
    }

    fn access(&mut self, verb: &str, at: (u32, u64), bytes: &[u8], outcome: &Result<(), BackendError>) {
        let (region, offset) = at;
        let access = Access { region, offset, count: u64::try_from(bytes.len()).unwrap_or(u64::MAX) };
        let told = match (outcome, verb) {
            (Ok(()), "read") => self.words.read(access, bytes),
            (Ok(()), _) => self.words.write(access, bytes),
            (Err(_), _) => self.words.refused(access),
        };
        let value = if outcome.is_err() && verb == "read" { String::new() } else { value(bytes) };
        self.note(verb.to_owned(), told, value, outcome.as_ref().err());
    }
}

/// What was read or written, as a number if it is short.
pub(super) fn value(bytes: &[u8]) -> String {
    if bytes.len() > LONGEST {
        return format!("{} bytes", bytes.len());
    }
    let number = bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
    format!("{number:#x}")
}

impl Backend for Traced {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        let outcome = self.inner.device_info();
        self.message(Call::DeviceInfo, &outcome);
        outcome
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        let outcome = self.inner.region_info(index);
        self.message(Call::RegionInfo { index }, &outcome);
        outcome
    }

    fn keeps_files(&self) -> bool {
        self.inner.keeps_files()
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        let outcome = self.inner.irq_info(index);
        self.message(Call::IrqInfo { index }, &outcome);
        outcome
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        let outcome = self.inner.read(region, offset, buffer);
        self.access("read", (region, offset), buffer, &outcome);
        outcome
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        let outcome = self.inner.write(region, offset, data);
        self.access("write", (region, offset), data, &outcome);
        outcome
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        let outcome = self.inner.dma_map(range, file, offset, allowed);
        self.message(Call::DmaMap { range }, &outcome);
        outcome
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        if self.has_ended.load(Ordering::Relaxed) {
            return self.inner.dma_ask(range, memory);
        }
        let told = Asked::new(Arc::clone(&memory), self.journal.clone(), self.device.clone());
        let outcome = self.inner.dma_ask(range, Arc::new(told));
        self.message(Call::DmaAsk { range }, &outcome);
        // One that is lost by it remembers it, for the connection that takes its place.
        self.asked.push((range, memory));
        outcome
    }

    /// A machine attends between any two orders, mostly to nothing: only what fails is told.
    fn attend(&mut self) -> Result<(), BackendError> {
        let outcome = self.inner.attend();
        if outcome.is_err() {
            self.message(Call::Attend, &outcome);
        }
        outcome
    }

    fn lost(&self) -> Option<BackendError> {
        self.inner.lost()
    }

    /// What was given, as it was given: who stands before the next connection tells of it again.
    fn given(&self) -> Vec<Given> {
        let as_given = |given| match given {
            Given::Asked { range, memory } => {
                let first = self.asked.iter().rfind(|(asked, _)| *asked == range);
                Given::Asked { range, memory: first.map_or(memory, |(_, first)| Arc::clone(first)) }
            }
            file @ Given::File { .. } => file,
        };
        self.inner.given().into_iter().map(as_given).collect()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        let outcome = self.inner.dma_unmap(range);
        self.asked.retain(|(asked, _)| !range.covers(asked.start(), asked.size()));
        self.message(Call::DmaUnmap { range }, &outcome);
        outcome
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let outcome = self.inner.set_irqs(change);
        let (index, start, count) = (change.index, change.start, change.vectors.count());
        self.message(Call::SetIrqs { index, start, count }, &outcome);
        outcome
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        let outcome = self.inner.io_events(region);
        self.message(Call::IoEvents { index: region }, &outcome);
        outcome
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        let outcome = self.inner.reset();
        self.words.forget();
        self.message(Call::Reset, &outcome);
        outcome
    }
}
