//! A guest of these tests: its memory, its SMMU, and the structures that it builds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use crate::smmu::Effect;
use crate::smmu::ExternalAbort;
use crate::smmu::Features;
use crate::smmu::Memory;
use crate::smmu::Operation;
use crate::smmu::Reason;
use crate::smmu::Smmu;

/// Where the stream table is: linear, 64 entries.
pub(super) const STREAM_TABLE: u64 = 0x1_0000;
/// Where the command queue is: 8 entries.
pub(super) const COMMANDS: u64 = 0x2_0000;
/// Where the event queue is: 4 entries.
pub(super) const EVENTS: u64 = 0x3_0000;
/// Where context descriptors are, by the number of their stream.
pub(super) const CONTEXTS: u64 = 0x4_0000;
/// Where translation tables are taken from.
const TABLES: u64 = 0x10_0000;

/// Sparse memory that reads 0, with holes that do not answer.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pages: RefCell<BTreeMap<u64, [u8; 0x1000]>>,
    holes: RefCell<Vec<Range<u64>>>,
}

impl Sparse {
    /// Makes addresses that do not answer any more.
    pub(super) fn punch(&self, hole: Range<u64>) {
        self.holes.borrow_mut().push(hole);
    }

    /// All addresses answer again.
    pub(super) fn mend(&self) {
        self.holes.borrow_mut().clear();
    }

    pub(super) fn store(&self, at: u64, value: u64) {
        self.write(Gpa::new(at), &value.to_le_bytes()).unwrap();
    }

    pub(super) fn load(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.read(Gpa::new(at), &mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn check(&self, at: u64, length: usize) -> Result<(), ExternalAbort> {
        let end = at + length as u64;
        let hit = self.holes.borrow().iter().any(|hole| hole.start < end && at < hole.end);
        if hit { Err(ExternalAbort) } else { Ok(()) }
    }
}

impl Memory for Sparse {
    fn read(&self, at: Gpa, buffer: &mut [u8]) -> Result<(), ExternalAbort> {
        self.check(at.get(), buffer.len())?;
        let pages = self.pages.borrow();
        for (at, byte) in (at.get()..).zip(buffer) {
            *byte = pages.get(&(at >> 12)).map_or(0, |page| page[(at & 0xfff) as usize]);
        }
        Ok(())
    }

    fn write(&self, at: Gpa, data: &[u8]) -> Result<(), ExternalAbort> {
        self.check(at.get(), data.len())?;
        let mut pages = self.pages.borrow_mut();
        for (at, byte) in (at.get()..).zip(data) {
            pages.entry(at >> 12).or_insert([0; 0x1000])[(at & 0xfff) as usize] = *byte;
        }
        Ok(())
    }
}

/// A guest with an SMMU.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) smmu: Smmu,
    pub(super) memory: Sparse,
    next_table: u64,
    next_command: u32,
}

impl Guest {
    /// The SMMU is as after reset.
    pub(super) fn new(features: Features) -> Self {
        Self { smmu: Smmu::new(features), memory: Sparse::default(), next_table: TABLES, next_command: 0 }
    }

    /// The SMMU translates, has its queues, records everything and interrupts.
    pub(super) fn running(features: Features) -> Self {
        let mut guest = Self::new(features);
        guest.write64(0x80, STREAM_TABLE);
        guest.write(0x88, 6);
        guest.write64(0x90, COMMANDS | 3);
        guest.write64(0xa0, EVENTS | 2);
        guest.write(0x2c, 2);
        guest.write(0x50, 5);
        guest.write(0x20, 0xd);
        guest
    }

    pub(super) fn read(&self, offset: u64) -> u32 {
        self.smmu.read(Access::new(offset, Width::Dword).unwrap()) as u32
    }

    pub(super) fn write(&mut self, offset: u64, value: u32) -> Vec<Effect> {
        self.write_as(Width::Dword, offset, value.into())
    }

    pub(super) fn write64(&mut self, offset: u64, value: u64) -> Vec<Effect> {
        self.write_as(Width::Qword, offset, value)
    }

    pub(super) fn write_as(&mut self, width: Width, offset: u64, value: u64) -> Vec<Effect> {
        let access = Access::new(offset, width).unwrap();
        self.smmu.write(&self.memory, access, value).as_slice().to_vec()
    }

    /// Puts a command into the queue and has it consumed.
    pub(super) fn command(&mut self, words: [u64; 2]) -> Vec<Effect> {
        let at = COMMANDS + u64::from(self.next_command % 8) * 16;
        self.memory.store(at, words[0]);
        self.memory.store(at + 8, words[1]);
        self.next_command = (self.next_command + 1) % 16;
        self.write(0x98, self.next_command)
    }

    /// The bytes of a record.
    pub(super) fn event(&self, index: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.memory.read(Gpa::new(EVENTS + index * 32), &mut bytes).unwrap();
        bytes
    }

    /// How many records were written and not taken, as the indices say.
    pub(super) fn events(&self) -> u32 {
        (self.read(0x1_00a8).wrapping_sub(self.read(0x1_00ac))) & 7
    }

    /// Writes the first two words of a stream table entry.
    pub(super) fn stream(&self, stream: u64, words: [u64; 2]) {
        self.memory.store(STREAM_TABLE + stream * 64, words[0]);
        self.memory.store(STREAM_TABLE + stream * 64 + 8, words[1]);
    }

    /// Has a stream translated by a context descriptor of these words.
    pub(super) fn context(&self, stream: u64, words: [u64; 3]) {
        let at = CONTEXTS + stream * 64;
        for (index, word) in (0..).zip(words) {
            self.memory.store(at + index * 8, word);
        }
        self.stream(stream, [at | 0b1011, 0]);
    }

    /// Takes memory for a table.
    pub(super) fn table(&mut self, bytes: u64) -> u64 {
        let at = self.next_table.next_multiple_of(bytes);
        self.next_table = at + bytes;
        at
    }

    pub(super) fn translate(
        &mut self,
        stream: u32,
        iova: u64,
        operation: Operation,
    ) -> Result<(u64, u64), Reason> {
        let translated = self.smmu.translate(&self.memory, stream, Iova::new(iova), operation);
        translated.map(|to| (to.address.get(), to.length)).map_err(|fault| fault.reason)
    }

    pub(super) fn read_at(&mut self, stream: u32, iova: u64) -> Result<(u64, u64), Reason> {
        self.translate(stream, iova, Operation::Read)
    }

    pub(super) fn write_at(&mut self, stream: u32, iova: u64) -> Result<(u64, u64), Reason> {
        self.translate(stream, iova, Operation::Write)
    }
}

/// The first word of a context descriptor for the lower half, of 39 bits with 4 KiB granules: valid, `AArch64`,
/// faults abort and are recorded, 48-bit output, the upper half not walked.
pub(super) fn word0(asid: u16) -> u64 {
    u64::from(asid) << 48 | 1 << 46 | 1 << 45 | 1 << 41 | 5 << 32 | 1 << 31 | 1 << 30 | 25
}

/// Leaf attributes: valid, accessed, for one address space, unprivileged read and write.
pub(super) const PAGE: u64 = 0xc43;

/// A guest whose stream 1 has one page mapped: `0x12_3456_7000` goes to `0x8765_4000`. The tables are at the addresses
/// that come back: of level 1, 2 and 3, the lines that the walk takes.
pub(super) fn one_page(features: Features, attributes: u64) -> (Guest, [u64; 3]) {
    let mut guest = Guest::running(features);
    let tables = [0; 3].map(|_| guest.table(0x1000));
    let iova: u64 = 0x12_3456_7000;
    let lines = [0, 1, 2].map(|index| {
        let shift = 30 - 9 * index;
        tables[index as usize] + (iova >> shift & 0x1ff) * 8
    });
    guest.memory.store(lines[0], tables[1] | 3);
    guest.memory.store(lines[1], tables[2] | 3);
    guest.memory.store(lines[2], 0x8765_4000 | attributes);
    guest.context(1, [word0(7), tables[0], 0]);
    (guest, lines)
}
