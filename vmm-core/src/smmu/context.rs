//! The context descriptor: how the addresses of a device are translated (IHI 0070, 5.4).
//!
//! It describes two halves of the address space, from the bottom up and from the top down, with a translation table
//! each. Bit 55 of an address says which half it is of.

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u6;
use cxl_spec::address::Gpa;

use super::bits::Bits;
use super::event::Reason;
use super::features::AddressSize;
use super::memory::Physical;

cxl_spec::register! {
    /// The first word of a context descriptor.
    struct Word0("CD word 0"): u64 {
        /// The lower half is 64 less this many bits.
        t0sz: u6 = 5:0, Ro;
        /// Granule of the lower half.
        tg0: u2 = 7:6, Ro;
        /// The lower half is not walked.
        epd0: bool = 14:14, Ro;
        /// Tables are big-endian.
        endi: bool = 15:15, Ro;
        /// The upper half is 64 less this many bits.
        t1sz: u6 = 21:16, Ro;
        /// Granule of the upper half.
        tg1: u2 = 23:22, Ro;
        /// The upper half is not walked.
        epd1: bool = 30:30, Ro;
        /// The descriptor is valid.
        v: bool = 31:31, Ro;
        /// Encoded size of output addresses.
        ips: u3 = 34:32, Ro;
        /// A clear access flag is no fault.
        affd: bool = 35:35, Ro;
        /// The top byte of addresses in the lower half is ignored.
        tbi0: bool = 38:38, Ro;
        /// The top byte of addresses in the upper half is ignored.
        tbi1: bool = 39:39, Ro;
        /// Tables are `AArch64`'s.
        aa64: bool = 41:41, Ro;
        /// The SMMU sets the dirty state.
        hd: bool = 42:42, Ro;
        /// The SMMU sets the access flag.
        ha: bool = 43:43, Ro;
        /// Faults stall.
        s: bool = 44:44, Ro;
        /// Faults are recorded.
        r: bool = 45:45, Ro;
        /// Faults abort.
        a: bool = 46:46, Ro;
        /// The address space id.
        asid: u16 = 63:48, Ro;
    }

    /// The second and the third word of a context descriptor.
    struct TableBase("CD words 1 and 2"): u64 {
        /// Address bits 51:4 of the first table.
        ttb: Bits<48> = 51:4, Ro;
    }
}

/// How the addresses of a device are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) asid: u16,
    /// Whether translation faults are recorded.
    pub(super) records: bool,
    lower: Half,
    upper: Half,
}

/// How half of the address space is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Half {
    is_upper: bool,
    /// Bits of an address that are translated.
    bits: u32,
    ignores_top_byte: bool,
    /// Nothing if the half is not walked.
    regime: Option<Regime>,
}

/// What a walk through translation tables begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regime {
    pub(super) granule: Granule,
    /// Bits of an address that are translated.
    pub(super) bits: u32,
    /// Where the first table is.
    pub(super) table: u64,
    /// The size of output addresses.
    pub(super) output: AddressSize,
    /// Whether a clear access flag is a fault.
    pub(super) access_flag: bool,
}

/// The size of pages and of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granule {
    /// 4 KiB.
    Kib4,
    /// 16 KiB.
    Kib16,
    /// 64 KiB.
    Kib64,
}

impl Granule {
    /// Bits of an offset in a page.
    pub(super) const fn bits(self) -> u32 {
        match self {
            Self::Kib4 => 12,
            Self::Kib16 => 14,
            Self::Kib64 => 16,
        }
    }

    /// How the lower half's field writes it.
    fn lower(field: u2) -> Option<Self> {
        [Some(Self::Kib4), Some(Self::Kib64), Some(Self::Kib16), None]
            .get(usize::from(field.value()))
            .copied()?
    }

    /// How the upper half's field writes it.
    fn upper(field: u2) -> Option<Self> {
        [None, Some(Self::Kib16), Some(Self::Kib4), Some(Self::Kib64)]
            .get(usize::from(field.value()))
            .copied()?
    }
}

impl Context {
    /// Reads a context descriptor.
    pub(super) fn read(memory: &Physical<'_>, at: u64) -> Result<Self, Reason> {
        let words: [u64; 8] = memory.words(at).map_err(|_| Reason::CdFetch(Gpa::new(at)))?;
        let [word0, ttb0, ttb1, ..] = words;
        let ttb = |word| TableBase::new(word).ttb().get() << 4;
        Self::decode(Word0::new(word0), ttb(ttb0), ttb(ttb1), memory.size).ok_or(Reason::BadCd)
    }

    fn decode(word: Word0, ttb0: u64, ttb1: u64, oas: AddressSize) -> Option<Self> {
        // What the identification registers do not offer may not be asked for.
        let is_wanted = word.endi() || word.s() || word.ha() || word.hd();
        if !word.v() || !word.aa64() || !word.a() || is_wanted {
            return None;
        }
        let output = AddressSize::decode(word.ips()).min(oas);
        let access_flag = !word.affd();
        let regime = |walked: bool, granule: Option<Granule>, bits: Option<u32>, table: u64| {
            if !walked {
                return Some(None);
            }
            let (granule, bits) = granule.zip(bits).filter(|_| output.holds(table))?;
            Some(Some(Regime { granule, bits, table, output, access_flag }))
        };
        let (low, high) = (bits(word.t0sz()), bits(word.t1sz()));
        Some(Self {
            asid: word.asid(),
            records: word.r(),
            lower: Half {
                is_upper: false,
                bits: low.unwrap_or(0),
                ignores_top_byte: word.tbi0(),
                regime: regime(!word.epd0(), Granule::lower(word.tg0()), low, ttb0)?,
            },
            upper: Half {
                is_upper: true,
                bits: high.unwrap_or(0),
                ignores_top_byte: word.tbi1(),
                regime: regime(!word.epd1(), Granule::upper(word.tg1()), high, ttb1)?,
            },
        })
    }

    /// The address without an ignored top byte, and how it is walked; nothing if it lies in neither half.
    pub(super) fn select(&self, address: u64) -> Option<(u64, Option<&Regime>)> {
        let half = if address >> 55 & 1 == 1 { &self.upper } else { &self.lower };
        let address = if half.ignores_top_byte { canonical(address) } else { address };
        half.contains(address).then_some((address, half.regime.as_ref()))
    }

    /// The halves that are walked, each with its first address.
    pub(super) fn halves(&self) -> impl Iterator<Item = (u64, &Regime)> {
        [&self.lower, &self.upper].into_iter().filter_map(|half| Some((half.first(), half.regime.as_ref()?)))
    }
}

impl Half {
    fn contains(&self, address: u64) -> bool {
        let above = address.checked_shr(self.bits).unwrap_or(0);
        let expected = if self.is_upper { u64::MAX.checked_shr(self.bits).unwrap_or(0) } else { 0 };
        above == expected
    }

    fn first(&self) -> u64 {
        if self.is_upper { u64::MAX.checked_shl(self.bits).unwrap_or(0) } else { 0 }
    }
}

/// Bits of an address, by the field that says how many are not; nothing if that is too few or too many.
fn bits(size: u6) -> Option<u32> {
    let size = u32::from(size.value());
    (16..=39).contains(&size).then(|| 64 - size)
}

/// An address whose top byte is what bit 55 says.
pub(super) fn canonical(address: u64) -> u64 {
    ((address << 8).cast_signed() >> 8).cast_unsigned()
}
