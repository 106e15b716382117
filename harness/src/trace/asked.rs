//! Memory that a device asks for message by message, and a journal that is told what it asks.

use std::sync::Arc;

use cxl_spec::address::Iova;
use vfio_abi::errno::Errno;
use vmm_core::backend::DmaMemory;

use super::Journal;
use super::traced::value;
use crate::report::story::Event;
use crate::report::story::Who;

/// Memory whose accesses by a device are told.
#[derive(Debug)]
pub(super) struct Asked {
    memory: Arc<dyn DmaMemory>,
    journal: Journal,
    device: String,
}

impl Asked {
    pub(super) fn new(memory: Arc<dyn DmaMemory>, journal: Journal, device: String) -> Self {
        Self { memory, journal, device }
    }

    fn note(&self, what: &str, at: Iova, bytes: &[u8], outcome: Result<(), Errno>) {
        let event = Event {
            number: 0,
            step: 0,
            at_us: 0,
            who: Who::Device,
            device: self.device.clone(),
            what: what.to_owned(),
            place: format!("memory at {:#x}", at.get()),
            offset: String::new(),
            value: if outcome.is_ok() { value(bytes) } else { String::new() },
            words: String::new(),
            failure: outcome.err().map(|errno| format!("refused with {errno}")),
        };
        self.journal.note(event, None);
    }
}

impl DmaMemory for Asked {
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        let outcome = self.memory.read(at, buffer);
        self.note("DMA_READ", at, buffer, outcome);
        outcome
    }

    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        let outcome = self.memory.write(at, data);
        self.note("DMA_WRITE", at, data, outcome);
        outcome
    }
}
