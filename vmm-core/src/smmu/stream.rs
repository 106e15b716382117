//! The stream table: what becomes of a device's accesses, by its stream id (IHI 0070, 5.1 and 5.2).
//!
//! ```text
//!  linear     STRTAB_BASE ─▶ entry, entry, entry ...                      64 bytes each
//!  2-level    STRTAB_BASE ─▶ descriptor ... of 8 bytes ─▶ entry, entry ...
//!               stream id from bit SPLIT on                 stream id below bit SPLIT
//! ```

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u5;
use cxl_spec::address::Gpa;

use super::bits::Bits;
use super::event::Reason;
use super::memory::Physical;
use super::register::StrtabBase;
use super::register::StrtabBaseCfg;

cxl_spec::register! {
    /// A descriptor of the first level.
    struct Level1("Level 1 Stream Table Descriptor"): u64 {
        /// Entries that it leads to, as a power of two plus one; 0 if it leads nowhere.
        span: u5 = 4:0, Ro;
        /// Address bits 51:6 of those entries.
        l2ptr: Bits<46> = 51:6, Ro;
    }

    /// The first word of a stream table entry.
    struct Ste0("STE word 0"): u64 {
        /// The entry is valid.
        v: bool = 0:0, Ro;
        /// What becomes of accesses.
        config: u3 = 3:1, Ro;
        /// Address bits 51:6 of the context descriptor.
        s1contextptr: Bits<46> = 51:6, Ro;
    }

    /// The second word of a stream table entry.
    struct Ste1("STE word 1"): u64 {
        /// Address translation services: 2 needs two stages.
        eats: u2 = 29:28, Ro;
        /// The exception level whose contexts these are: 0 is EL1.
        strw: u2 = 31:30, Ro;
    }
}

/// Length of a stream table entry in bytes.
const STE_SIZE: u64 = 64;
/// Length of a first-level descriptor in bytes.
const LEVEL1_SIZE: u64 = 8;

/// What becomes of a device's accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// They are aborted.
    Abort,
    /// They are not translated.
    Bypass,
    /// They are translated by the context descriptor at this address.
    Stage1(u64),
}

/// The stream table as registers describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) base: StrtabBase,
    pub(super) config: StrtabBaseCfg,
    /// Bits of a stream id that the SMMU has.
    pub(super) stream_bits: u32,
}

impl Table {
    /// Reads the entry of a stream.
    pub(super) fn stream(&self, memory: &Physical<'_>, stream: u32) -> Result<Stream, Reason> {
        let at = self.entry(memory, stream)?;
        let words: [u64; 8] = memory.words(at).map_err(|_| Reason::SteFetch(Gpa::new(at)))?;
        let [word0, word1, ..] = words;
        decode(Ste0::new(word0), Ste1::new(word1))
    }

    /// Where the entry of a stream is.
    fn entry(&self, memory: &Physical<'_>, stream: u32) -> Result<u64, Reason> {
        let log2 = u32::from(self.config.log2size().value()).min(self.stream_bits);
        let stream = u64::from(stream);
        if stream >> log2 != 0 {
            return Err(Reason::BadStreamId);
        }
        let base = self.base.addr().get() << 6;
        if self.config.fmt() != u2::new(1) {
            return Ok(base & !below(STE_SIZE << log2) | (stream * STE_SIZE));
        }
        let split = self.split();
        let size = LEVEL1_SIZE << log2.saturating_sub(split);
        let at = base & !below(size) | ((stream >> split) * LEVEL1_SIZE);
        let [word] = memory.words(at).map_err(|_| Reason::SteFetch(Gpa::new(at)))?;
        let descriptor = Level1::new(word);
        // 12 and more are reserved, and lead nowhere.
        let entries = match u32::from(descriptor.span().value()) {
            span @ 1..=11 => 1 << (span - 1),
            _ => 0,
        };
        let index = stream & below(1 << split);
        if index >= entries {
            return Err(Reason::BadStreamId);
        }
        Ok(descriptor.l2ptr().get() << 6 & !below(entries * STE_SIZE) | (index * STE_SIZE))
    }

    /// Stream id bits that the second level translates: 6, 8 or 10; all else is 6.
    fn split(&self) -> u32 {
        match self.config.split().value() {
            8 => 8,
            10 => 10,
            _ => 6,
        }
    }
}

/// The bits below a power of two.
fn below(size: u64) -> u64 {
    size.wrapping_sub(1)
}

fn decode(word0: Ste0, word1: Ste1) -> Result<Stream, Reason> {
    if !word0.v() {
        return Err(Reason::BadSte);
    }
    match word0.config().value() {
        0..=3 => Ok(Stream::Abort),
        4 => Ok(Stream::Bypass),
        // There is no EL2, and no second stage that ATS could be split at.
        5 if word1.strw() == u2::new(0) && word1.eats() != u2::new(2) => {
            Ok(Stream::Stage1(word0.s1contextptr().get() << 6))
        }
        _ => Err(Reason::BadSte),
    }
}
