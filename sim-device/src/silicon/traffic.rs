//! CXL.mem reads and writes as they arrive from the host, by host address.
//!
//! ```text
//!            Mem_Enable   HDM decoders enabled   committed decoder takes it   line is poisoned
//!  HPA ──▶ ────┬─ yes ──▶ ─────┬─ yes ─────────▶ ───┬─ yes ──▶ DPA ────────▶ ───┬─ no ──▶ data
//!              └ no: miss      └ no: DVSEC range 1  └ no: miss                  └ yes: poison
//! ```
//!
//! A write that misses is dropped. A read that misses is answered with all ones, or with poison where software chose
//! that. What is moved is cut at lines of 64 bytes, as CXL.mem moves it. A write of a whole line heals it; a write
//! of a part of a poisoned line does not.
//!
//! This is the host's way to the memory through the decoders. A virtual machine monitor has another one: it maps
//! the memory by device address, as vfio-cxl lets it. And the device's own engine has a third.

use std::collections::BTreeSet;

use cxl_spec::address::Dpa;
use cxl_spec::address::Hpa;
use cxl_spec::address::Span;

use super::Silicon;
use super::memory::Ground;
use super::memory::Memory;
use crate::profile::Checked;
use crate::profile::LINE;

/// What a read is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// What is in the memory.
    Data,
    /// All ones: nothing takes the address.
    AllOnes,
    /// Poison, and all ones with it.
    Poison(Poison),
}

/// Why a read is answered with poison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poison {
    /// Nothing takes the address, and software chose poison for that.
    DecodeError,
    /// The line at this device address is poisoned.
    Line(Dpa),
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the memory.
    Stored,
    /// Some of it was dropped, because nothing takes its address.
    Dropped,
}

/// The memory and which of its lines are poisoned.
#[derive(Debug)]
pub(super) struct Media {
    memory: Memory,
    /// Device addresses of the poisoned lines.
    poisoned: BTreeSet<u64>,
}

impl Media {
    /// The memory after power-on: zeros, and poison where the profile says.
    pub(super) fn power_on(profile: &Checked, ground: Ground<'_>) -> std::io::Result<Self> {
        let size = profile.profile().memory.size.0;
        let memory = match ground {
            Ground::Apart => Memory::new("device-memory", size)?,
            Ground::Inside { file, memory, .. } => Memory::within(file.try_clone()?, memory, size)?,
        };
        Ok(Self { memory, poisoned: from_profile(profile) })
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Power was lost: the memory is as after power-on. It stays the same file, which others have mapped.
    pub(super) fn lose_power(&mut self, profile: &Checked) {
        self.clear();
        self.poisoned = from_profile(profile);
    }

    /// The device overwrites all of the memory with zeros.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.poisoned.clear();
    }

    /// Reads inside one line.
    fn read(&self, at: Dpa, buffer: &mut [u8]) -> Completion {
        if self.poisoned.contains(&line(at.get())) {
            buffer.fill(0xff);
            return Completion::Poison(Poison::Line(Dpa::new(line(at.get()))));
        }
        self.memory.read_bytes(at.get(), buffer);
        Completion::Data
    }

    /// Whether a line that `span` touches is poisoned.
    fn is_poisoned(&self, span: Span<Dpa>) -> bool {
        self.poisoned.range(line(span.start().get())..span.end().get()).next().is_some()
    }

    /// Writes as many lines as there are data; those that are written whole are healed.
    fn write_run(&mut self, at: Dpa, data: &[u8]) {
        let written = self.memory.write_bytes(at.get(), data) as u64;
        let end = at.get().saturating_add(written);
        self.poisoned.retain(|line| *line < at.get() || line.saturating_add(LINE) > end);
    }

    /// Writes inside one line.
    fn write(&mut self, at: Dpa, data: &[u8]) {
        self.memory.write_bytes(at.get(), data);
        if data.len() as u64 == LINE {
            self.poisoned.remove(&at.get());
        }
    }
}

impl Silicon {
    /// The host reads from its address `at`. All of `buffer` is filled; the answer is that of the first line that
    /// was not read from the memory.
    pub fn memory_read(&self, at: Hpa, buffer: &mut [u8]) -> Completion {
        let mut answer = Completion::Data;
        let (mut at, mut rest) = (at, buffer);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_mut(within_line(at, rest.len()));
            let completion = self.read_line(at, piece);
            if answer == Completion::Data {
                answer = completion;
            }
            at = further(at, piece.len());
            rest = behind;
        }
        answer
    }

    /// The host writes `data` to its address `at`.
    pub fn memory_write(&mut self, at: Hpa, data: &[u8]) -> Written {
        let mut outcome = Written::Stored;
        let (mut at, mut rest) = (at, data);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(within_line(at, rest.len()));
            match self.dpa_of(at) {
                Some(dpa) => self.media.write(dpa, piece),
                None => outcome = Written::Dropped,
            }
            at = further(at, piece.len());
            rest = behind;
        }
        outcome
    }

    /// The device itself reads its memory, past all decoders. False if a line of it is poisoned, or not there.
    pub fn device_read(&self, from: Span<Dpa>, buffer: &mut [u8]) -> bool {
        !self.media.is_poisoned(from)
            && self.media.memory.read_bytes(from.start().get(), buffer) == buffer.len()
    }

    /// The device itself writes its memory, past all decoders.
    pub fn device_write(&mut self, at: Dpa, data: &[u8]) {
        self.media.write_run(at, data);
    }

    /// The device address that a host address is now, as all registers together say.
    pub fn dpa_of(&self, at: Hpa) -> Option<Dpa> {
        if !self.config.mem_enabled() {
            return None;
        }
        let dpa = if self.component.global_control().decoder_enable() {
            self.component.decode(at)
        } else {
            self.config.range_1().and_then(|range| range.offset_of(at)).map(Dpa::new)
        };
        dpa.filter(|dpa| dpa.get() < self.media.memory.size())
    }

    fn read_line(&self, at: Hpa, buffer: &mut [u8]) -> Completion {
        if let Some(dpa) = self.dpa_of(at) {
            return self.media.read(dpa, buffer);
        }
        buffer.fill(0xff);
        if self.component.global_control().poison_on_decode_error() {
            Completion::Poison(Poison::DecodeError)
        } else {
            Completion::AllOnes
        }
    }
}

fn from_profile(profile: &Checked) -> BTreeSet<u64> {
    profile.profile().faults.poison_at.iter().map(|at| at.0).collect()
}

fn line(address: u64) -> u64 {
    address & !(LINE - 1)
}

/// How many of `length` bytes from `at` are in the line of `at`.
fn within_line(at: Hpa, length: usize) -> usize {
    let left = LINE - (at.get() & (LINE - 1));
    length.min(usize::try_from(left).unwrap_or(length))
}

/// The address `bytes` further on. Behind the last address is the last: no decoder takes it.
fn further(at: Hpa, bytes: usize) -> Hpa {
    at.checked_add(bytes as u64).unwrap_or(Hpa::new(u64::MAX))
}

#[cfg(test)]
mod tests;
