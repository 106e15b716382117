//! A guest and devices that may do anything, as bytes: property tests and fuzzers are two callers of
//! [`hostile_guest`].
//!
//! What must hold, whatever they do:
//!
//! - a command queue that is on is empty, or has stopped with an error;
//! - nothing is written but whole records in the event queue;
//! - a translation reads a few structures, and never more;
//! - what is translated lies in the output addresses, and the list of mappings has it, unless the cache is older;
//! - one write has only so many effects.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

use std::cell::Cell;
use std::cell::RefCell;

use arbitrary_int::u5;
use arbitrary_int::u6;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use super::Effects;
use super::ExternalAbort;
use super::Features;
use super::Mapping;
use super::Memory;
use super::Operation;
use super::Smmu;
use super::Translation;
use super::cache::Cache;
use super::features::AddressSize;
use super::register;

/// The steps that are taken at most: more tell nothing new.
const MOST_STEPS: usize = 64;

/// How much memory there is. It repeats, so that most addresses lead to something.
const BYTES: usize = 0x2000;

/// Above this there is none.
const END: u64 = 0x1_0000_0000;

/// The most reads of one translation: two of the stream table, one of a context descriptor, four of a walk.
const MOST_READS: u32 = 7;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes a register of 32 or 64 bits.
    Register {
        /// Which.
        offset: u64,
        /// Whether it is one of 64 bits.
        is_wide: bool,
        /// What is written.
        value: u64,
    },
    /// Writes eight bytes into memory.
    Store {
        /// Where.
        at: u64,
        /// What is written.
        value: u64,
    },
    /// A device reads or writes.
    Translate {
        /// Its stream id.
        stream: u32,
        /// The input address.
        iova: u64,
        /// Whether it writes.
        writes: bool,
    },
}

/// How many bytes a step is told in.
pub const STEP_BYTES: usize = 12;

/// Registers that steps write.
const REGISTERS: [u64; 16] = [
    register::CR0,
    register::CR1,
    register::CR2,
    register::GBPA,
    register::IRQ_CTRL,
    register::GERRORN,
    register::STRTAB_BASE,
    register::STRTAB_BASE_CFG,
    register::CMDQ_BASE,
    register::CMDQ_PROD,
    register::CMDQ_CONS,
    register::EVENTQ_BASE,
    register::EVENTQ_PROD,
    register::EVENTQ_CONS,
    register::IDR0,
    register::CR0ACK,
];

impl Step {
    /// The step that some bytes tell.
    pub fn parse(bytes: [u8; STEP_BYTES]) -> Self {
        let [what, which, low, high, rest @ ..] = bytes;
        let (at, value) = (u16::from_le_bytes([low, high]), u64::from_le_bytes(rest));
        match what % 4 {
            0 => {
                let offset = REGISTERS.get(usize::from(which % 16)).copied().unwrap_or_default();
                let offset = if which & 0x40 == 0 { offset } else { u64::from(at & !7) };
                Self::Register { offset, is_wide: which & 0x20 != 0 && offset % 8 == 0, value }
            }
            1 | 2 => Self::Store { at: u64::from(at & !7), value },
            _ => Self::Translate { stream: at.into(), iova: value, writes: which & 1 == 1 },
        }
    }
}

/// Memory of a guest that repeats, and that counts what is done with it.
#[derive(Clone, Debug)]
struct Repeating {
    bytes: RefCell<Vec<u8>>,
    reads: Cell<u32>,
    writes: RefCell<Vec<(u64, usize)>>,
}

impl Repeating {
    fn new() -> Self {
        Self { bytes: RefCell::new(vec![0; BYTES]), reads: Cell::new(0), writes: RefCell::default() }
    }

    /// Where the first byte of an access is, if there is memory for all of it.
    fn place(at: Gpa, length: usize) -> Result<usize, ExternalAbort> {
        let end = at.get().checked_add(length as u64).filter(|end| *end <= END).ok_or(ExternalAbort)?;
        let first = end.saturating_sub(length as u64);
        usize::try_from(first % BYTES as u64).map_err(|_| ExternalAbort)
    }

    fn store(&self, at: Gpa, data: &[u8]) -> Result<(), ExternalAbort> {
        let first = Self::place(at, data.len())?;
        let mut bytes = self.bytes.borrow_mut();
        for (at, byte) in (first..).zip(data) {
            if let Some(there) = bytes.get_mut(at % BYTES) {
                *there = *byte;
            }
        }
        Ok(())
    }
}

impl Memory for Repeating {
    fn read(&self, at: Gpa, buffer: &mut [u8]) -> Result<(), ExternalAbort> {
        self.reads.set(self.reads.get().saturating_add(1));
        let first = Self::place(at, buffer.len())?;
        let bytes = self.bytes.borrow();
        for (at, byte) in (first..).zip(buffer) {
            *byte = bytes.get(at % BYTES).copied().unwrap_or_default();
        }
        Ok(())
    }

    fn write(&self, at: Gpa, data: &[u8]) -> Result<(), ExternalAbort> {
        self.store(at, data)?;
        self.writes.borrow_mut().push((at.get(), data.len()));
        Ok(())
    }
}

/// What became of the accesses of devices, so that a caller can tell whether his bytes mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many went through.
    pub translated: u32,
    /// How many were refused.
    pub refused: u32,
    /// How many of those are in the event queue.
    pub recorded: u32,
}

/// Any bytes are what a guest and its devices do: the first two say what the SMMU is, and every
/// [`STEP_BYTES`] behind them are a [`Step`].
pub fn hostile_guest(bytes: &[u8]) -> Tally {
    let mut tally = Tally::default();
    let Some(([size, sizes], steps)) = bytes.split_first_chunk() else { return tally };
    let mut smmu = Smmu::new(Features {
        oas: AddressSize::ALL.into_iter().cycle().nth((*size).into()).unwrap_or(AddressSize::Bits48),
        stream_bits: u6::new(16),
        command_queue: u5::new(sizes & 7),
        event_queue: u5::new(sizes >> 3 & 3),
        ats: sizes & 0x20 != 0,
        msi: sizes & 0x80 == 0,
        cache: sizes & 0x40 != 0,
    });
    let memory = Repeating::new();
    for step in steps.chunks_exact(STEP_BYTES).take(MOST_STEPS) {
        if let Ok(step) = step.try_into() {
            take(&mut smmu, &memory, Step::parse(step), &mut tally);
        }
    }
    tally
}

fn take(smmu: &mut Smmu, memory: &Repeating, step: Step, tally: &mut Tally) {
    match step {
        Step::Register { offset, is_wide, value } => write(smmu, memory, offset, is_wide, value),
        Step::Store { at, value } => {
            // Where it repeats there is always memory.
            let _ = memory.store(Gpa::new(at), &value.to_le_bytes());
        }
        Step::Translate { stream, iova, writes } => {
            let operation = if writes { Operation::Write } else { Operation::Read };
            translate(smmu, memory, stream, (Iova::new(iova), operation), tally);
        }
    }
    let read = |offset| read(smmu, offset);
    let is_on = register::Cr0::new(read(register::CR0)).cmdqen();
    let log2 = (read(register::CMDQ_BASE) & 0x1f).min(smmu.features().command_queue.value().into());
    let left = (read(register::CMDQ_PROD) ^ read(register::CMDQ_CONS)) & ((2 << log2) - 1);
    let has_stopped = (read(register::GERROR) ^ read(register::GERRORN)) & 1 == 1;
    assert!(!is_on || left == 0 || has_stopped, "commands that nobody consumes");
}

fn read(smmu: &Smmu, offset: u64) -> u32 {
    // All registers here are aligned.
    Access::new(offset, Width::Dword).map_or(0, |access| smmu.read(access) as u32)
}

fn write(smmu: &mut Smmu, memory: &Repeating, offset: u64, is_wide: bool, value: u64) {
    let width = if is_wide { Width::Qword } else { Width::Dword };
    let Some(access) = Access::new(offset, width) else { return };
    let identity = [register::IDR0, register::IDR1, register::IDR5, register::AIDR];
    let before = identity.map(|offset| read(smmu, offset));
    let mut effects = smmu.write(memory, access, value);
    while effects.is_full() {
        assert!(effects.as_slice().len() <= Effects::MOST);
        effects = smmu.go_on(memory);
    }
    assert!(effects.as_slice().len() <= Effects::MOST);
    assert_eq!(before, identity.map(|offset| read(smmu, offset)), "identification is constant");
    assert!(memory.writes.borrow().is_empty(), "a register write writes no memory");
}

fn translate(
    smmu: &mut Smmu,
    memory: &Repeating,
    stream: u32,
    (iova, operation): (Iova, Operation),
    tally: &mut Tally,
) {
    memory.reads.set(0);
    // A record may be written over a table, so an SMMU that has kept nothing is asked before.
    let before = memory.clone();
    let mut forgetful = Smmu { cache: Cache::default(), ..smmu.clone() };
    let forgetful = forgetful.translate(&before, stream, iova, operation);
    let translated = smmu.translate(memory, stream, iova, operation);
    assert!(memory.reads.get() <= MOST_READS, "{} reads", memory.reads.get());
    let records = memory.writes.take();
    check_records(smmu, &records);
    tally.recorded += u32::from(!records.is_empty());
    match &translated {
        Ok(_) => tally.translated += 1,
        Err(fault) => {
            tally.refused += 1;
            assert!(fault.effects.as_slice().len() <= 1, "an interrupt at most");
        }
    }
    assert!(smmu.features().cache || translated == forgetful, "something was kept");
    if let Ok(translation) = forgetful {
        check_translation(smmu, &before, stream, (iova, operation), translation);
    }
}

/// What is translated without a cache lies in the output addresses, and is listed.
fn check_translation(
    smmu: &Smmu,
    memory: &Repeating,
    stream: u32,
    (iova, operation): (Iova, Operation),
    translation: Translation,
) {
    let Translation { address, length } = translation;
    let end = address.get().checked_add(length);
    assert!(length > 0 && end.is_some_and(|end| end <= 1 << smmu.features().oas.bits()));
    // The list has no ignored top bytes.
    let canonical = [iova.get() << 8 >> 8, iova.get() | 0xff << 56];
    let listed = canonical.into_iter().any(|first| {
        let last = first.saturating_add(length - 1);
        let list = smmu.mappings(memory, stream, Iova::new(first), Iova::new(last));
        list.is_ok_and(|list| is_all(&list, first, address, operation))
    });
    assert!(listed, "{iova} goes to {address} and is not listed");
}

/// Records are whole, and in the queue.
fn check_records(smmu: &Smmu, writes: &[(u64, usize)]) {
    let low = u64::from(read(smmu, register::EVENTQ_BASE));
    let base = low | u64::from(read(smmu, register::EVENTQ_BASE + 4)) << 32;
    let base = base & (((1 << 52) - 1) & !0x1f);
    let log2 = (low & 0x1f).min(smmu.features().event_queue.value().into());
    let size = 32 << log2;
    assert!(writes.len() <= 1);
    for (at, length) in writes {
        assert!(at & !(size - 1) == base & !(size - 1) && at % 32 == 0 && *length == 32, "{at:#x}");
    }
}

/// Whether a list of what lies in a range begins with all of it, going to one place.
fn is_all(list: &[Mapping], first: u64, address: Gpa, operation: Operation) -> bool {
    list.first().is_some_and(|mapping| {
        let may = operation == Operation::Read || mapping.writable;
        may && mapping.first.get() == first && mapping.address == address && list.len() == 1
    })
}
