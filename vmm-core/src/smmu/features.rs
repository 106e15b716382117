//! What an SMMU can do, and how its identification registers say so.

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u5;
use arbitrary_int::u6;

use super::register::Aidr;
use super::register::Idr0;
use super::register::Idr1;
use super::register::Idr5;

/// What is different from one SMMU to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The size of output addresses.
    pub oas: AddressSize,
    /// Bits of a stream id, at most 32.
    pub stream_bits: u6,
    /// Most entries of the command queue, as a power of two, at most 19.
    pub command_queue: u5,
    /// Most entries of the event queue, as a power of two, at most 19.
    pub event_queue: u5,
    /// Whether PCI Express address translation services are offered.
    pub ats: bool,
    /// Whether interrupts can be messages.
    pub msi: bool,
    /// Whether translations and configuration are kept until they are invalidated.
    pub cache: bool,
}

/// Bits of a physical address that an SMMU can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressSize {
    /// 4 GiB.
    Bits32,
    /// 64 GiB.
    Bits36,
    /// 1 TiB.
    Bits40,
    /// 4 TiB.
    Bits42,
    /// 16 TiB.
    Bits44,
    /// 256 TiB.
    Bits48,
}

impl AddressSize {
    /// All sizes, in the order of their encodings.
    pub const ALL: [Self; 6] =
        [Self::Bits32, Self::Bits36, Self::Bits40, Self::Bits42, Self::Bits44, Self::Bits48];

    /// The number of bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits32 => 32,
            Self::Bits36 => 36,
            Self::Bits40 => 40,
            Self::Bits42 => 42,
            Self::Bits44 => 44,
            Self::Bits48 => 48,
        }
    }

    /// How registers and descriptors write it.
    pub fn encoding(self) -> u3 {
        u3::new(match self {
            Self::Bits32 => 0,
            Self::Bits36 => 1,
            Self::Bits40 => 2,
            Self::Bits42 => 3,
            Self::Bits44 => 4,
            Self::Bits48 => 5,
        })
    }

    /// What is meant by an encoding. One of more than 48 bits is as good as 48.
    pub fn decode(encoding: u3) -> Self {
        Self::ALL.get(usize::from(encoding.value())).copied().unwrap_or(Self::Bits48)
    }

    /// Whether an address has no bit above.
    pub const fn holds(self, address: u64) -> bool {
        address >> self.bits() == 0
    }
}

impl Default for Features {
    /// 48-bit addresses, the 16-bit requester IDs of PCI, queues of up to 4096 entries, ATS, messages, a cache.
    fn default() -> Self {
        Self {
            oas: AddressSize::Bits48,
            stream_bits: u6::new(16),
            command_queue: u5::new(12),
            event_queue: u5::new(12),
            ats: true,
            msi: true,
            cache: true,
        }
    }
}

/// The most entries that any queue may have, as a power of two.
const MOST_ENTRIES: u8 = 19;

impl Features {
    /// The same with what is too much cut to what there can be.
    pub(super) fn bounded(self) -> Self {
        let most = u5::new(MOST_ENTRIES);
        Self {
            stream_bits: self.stream_bits.min(u6::new(32)),
            command_queue: self.command_queue.min(most),
            event_queue: self.event_queue.min(most),
            ..self
        }
    }

    pub(super) fn idr0(self) -> Idr0 {
        Idr0::new(0)
            .with_s1p(true)
            .with_ttf(u2::new(2))
            .with_cohacc(true)
            .with_ats(self.ats)
            .with_asid16(true)
            .with_msi(self.msi)
            .with_ttendian(u2::new(2))
            .with_stall_model(u2::new(1))
            .with_term_model(true)
            .with_st_level(u2::new(1))
    }

    pub(super) fn idr1(self) -> Idr1 {
        Idr1::new(0)
            .with_sidsize(self.stream_bits)
            .with_eventqs(self.event_queue)
            .with_cmdqs(self.command_queue)
    }

    pub(super) fn idr5(self) -> Idr5 {
        Idr5::new(0).with_oas(self.oas.encoding()).with_gran4k(true).with_gran16k(true).with_gran64k(true)
    }

    pub(super) fn aidr(self) -> Aidr {
        Aidr::new(0)
    }
}
