//! The HDM decoder capability: which host addresses reach device memory (CXL 3.2, 8.2.4.20).
//!
//! ```text
//! 0x00        HDM Decoder Capability            decoder n at 0x10 + 0x20 n
//! 0x04        HDM Decoder Global Control        +0x00 base low    +0x10 control
//! 0x08, 0x0c  reserved                          +0x04 base high   +0x14 DPA skip low
//! 0x10        decoder 0                         +0x08 size low    +0x18 DPA skip high
//! 0x30        decoder 1 ...                     +0x0c size high   +0x1c reserved
//! ```
//!
//! The attributes are those of a *device's* decoder. Ports differ: they have target lists where a device has
//! its skip, and the fields for upstream interleave.

use arbitrary_int::traits::Integer;
use arbitrary_int::u2;
use arbitrary_int::u4;

use crate::access::Width;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the decoders can do.
    pub struct Capability("HDM Decoder Capability"): u32 {
        /// Encoded number of decoders; see [`DecoderCount`].
        decoder_count: u4 = 3:0, HwInit;
        /// Number of targets; 0 or 1 in a device.
        target_count: u4 = 7:4, HwInit;
        /// Can interleave on address bits 11:8.
        interleave_11_8: bool = 8:8, HwInit;
        /// Can interleave on address bits 14:12.
        interleave_14_12: bool = 9:9, HwInit;
        /// Can answer a read that no decoder takes with poison.
        poison_on_decode_error: bool = 10:10, HwInit;
        /// Can interleave over 3, 6 and 12 ways.
        ways_3_6_12: bool = 11:11, HwInit;
        /// Can interleave over 16 ways.
        ways_16: bool = 12:12, HwInit;
        /// Can do unordered I/O.
        uio: bool = 13:13, HwInit;
        /// How many decoders can do unordered I/O.
        uio_count: u4 = 19:16, HwInit;
        /// Can answer with MemData-NXM.
        mem_data_nxm: bool = 20:20, HwInit;
        /// Coherency models: 0 not reported, 1 device-coherent, 2 host-only, 3 both.
        coherency: u2 = 22:21, HwInit;
    }

    /// Switches for all decoders together.
    pub struct GlobalControl("HDM Decoder Global Control"): u32 {
        /// Answer a read that no decoder takes with poison; needs the capability.
        poison_on_decode_error: bool = 0:0, Rw;
        /// Decode with these decoders and no longer with the DVSEC ranges.
        decoder_enable: bool = 1:1, Rw;
    }

    /// Bits 31:28 of the first host address.
    pub struct BaseLow("HDM Decoder Base Low"): u32 {
        /// Address bits 31:28.
        base: u4 = 31:28, Rwl;
    }

    /// Bits 63:32 of the first host address.
    pub struct BaseHigh("HDM Decoder Base High"): u32 {
        /// Address bits 63:32.
        base: u32 = 31:0, Rwl;
    }

    /// Bits 31:28 of the length.
    pub struct SizeLow("HDM Decoder Size Low"): u32 {
        /// Length bits 31:28.
        size: u4 = 31:28, Rwl;
    }

    /// Bits 63:32 of the length.
    pub struct SizeHigh("HDM Decoder Size High"): u32 {
        /// Length bits 63:32.
        size: u32 = 31:0, Rwl;
    }

    /// How a decoder decodes, and whether it does.
    pub struct Control("HDM Decoder Control"): u32 {
        /// Interleave granularity: 256 bytes << n, at most 6.
        interleave_granularity: u4 = 3:0, Rwl;
        /// Encoded interleave ways: 0 to 4 for 1 to 16, 8 to 10 for 3, 6 and 12.
        interleave_ways: u4 = 7:4, Rwl;
        /// Once committed, nothing of this decoder can be written until reset.
        lock_on_commit: bool = 8:8, Rwl;
        /// Put the decoder to work.
        commit: bool = 9:9, Rwl;
        /// The decoder is at work.
        committed: bool = 10:10, Ro;
        /// The last commit was refused.
        error_not_committed: bool = 11:11, Ro;
        /// 1: host-only coherent memory (Type 3); 0: device coherent (Type 2). Hard-wired in this device.
        host_only: bool = 12:12, HwInit;
        /// Back-invalidate: with device coherent memory, HDM-DB rather than HDM-D. Hard-wired in this device.
        back_invalidate: bool = 13:13, HwInit;
        /// Unordered I/O; reserved without the capability.
        uio: bool = 14:14, RsvdZ;
        /// Upstream interleave granularity; reserved in devices.
        upstream_granularity: u4 = 19:16, RsvdZ;
        /// Upstream interleave ways; reserved in devices.
        upstream_ways: u4 = 23:20, RsvdZ;
        /// Interleave set position; without back-invalidate and unordered I/O reserved, which a device hard-wires.
        set_position: u4 = 27:24, Rwl;
    }

    /// Bits 31:28 of the device memory that is skipped before this decoder's.
    pub struct SkipLow("HDM Decoder DPA Skip Low"): u32 {
        /// Skip bits 31:28.
        skip: u4 = 31:28, Rwl;
    }

    /// Bits 63:32 of the device memory that is skipped before this decoder's.
    pub struct SkipHigh("HDM Decoder DPA Skip High"): u32 {
        /// Skip bits 63:32.
        skip: u32 = 31:0, Rwl;
    }
}

/// Granule of base, size and skip in bytes: their low 28 bits are 0.
pub const GRANULE: u64 = 256 << 20;

/// Length of the capability's part before the first decoder.
pub const HEADER_SIZE: u64 = 0x10;

/// Length of one decoder's registers.
pub const DECODER_SIZE: u64 = 0x20;

/// Offset of the capability register.
pub const CAPABILITY: u64 = 0x00;
/// Offset of the global control register.
pub const GLOBAL_CONTROL: u64 = 0x04;

/// Offset of the base's low half in a decoder.
pub const BASE_LOW: u64 = 0x00;
/// Offset of the base's high half in a decoder.
pub const BASE_HIGH: u64 = 0x04;
/// Offset of the size's low half in a decoder.
pub const SIZE_LOW: u64 = 0x08;
/// Offset of the size's high half in a decoder.
pub const SIZE_HIGH: u64 = 0x0c;
/// Offset of the control register in a decoder.
pub const CONTROL: u64 = 0x10;
/// Offset of the skip's low half in a decoder.
pub const SKIP_LOW: u64 = 0x14;
/// Offset of the skip's high half in a decoder.
pub const SKIP_HIGH: u64 = 0x18;

/// The registers before the first decoder.
pub const HEADER: &[Register] =
    &[Capability::at(CAPABILITY), GlobalControl::at(GLOBAL_CONTROL), Register::reserved(8, Width::Qword)];

/// The registers of one decoder.
pub const DECODER: &[Register] = &[
    BaseLow::at(BASE_LOW),
    BaseHigh::at(BASE_HIGH),
    SizeLow::at(SIZE_LOW),
    SizeHigh::at(SIZE_HIGH),
    Control::at(CONTROL),
    SkipLow::at(SKIP_LOW),
    SkipHigh::at(SKIP_HIGH),
    Register::reserved(0x1c, Width::Dword),
];

const _: () = assert!(is_sound(HEADER, HEADER_SIZE));
const _: () = assert!(is_sound(DECODER, DECODER_SIZE));

/// Offset of decoder `index` in the capability.
pub const fn decoder_offset(index: u8) -> u64 {
    HEADER_SIZE + DECODER_SIZE * index as u64
}

/// Length of the capability with `count` decoders.
pub const fn length(count: u8) -> u64 {
    decoder_offset(count)
}

/// The 64-bit base, size or skip that is stored in two registers. The low half's bits 27:0 do not count.
pub const fn join(low: u32, high: u32) -> u64 {
    ((high as u64) << 32 | low as u64) & !(GRANULE - 1)
}

/// The two registers, low then high, that store a base, size or skip of whole [`GRANULE`]s.
///
/// ```
/// use cxl_spec::component::hdm;
///
/// let (low, high) = hdm::split(0x48_3000_0000);
/// assert_eq!((low, high), (0x3000_0000, 0x48));
/// // Only the highest four bits of the low register count.
/// assert_eq!(hdm::join(low | 0xfff, high), 0x48_3000_0000);
/// ```
pub const fn split(value: u64) -> (u32, u32) {
    ((value & !(GRANULE - 1)) as u32, (value >> 32) as u32)
}

/// How many decoders there are, in the encoding of [`Capability::decoder_count`].
///
/// The codes above 5 (12 and more decoders) are for switches and host bridges only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderCount(u8);

impl DecoderCount {
    const NUMBERS: [u8; 13] = [1, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32];

    /// The count of exactly `number` decoders, if it has a code.
    pub fn of(number: u8) -> Option<Self> {
        Self::NUMBERS.contains(&number).then_some(Self(number))
    }

    /// The count with this code, unless the code is reserved.
    pub fn from_code(code: u4) -> Option<Self> {
        Self::NUMBERS.get(usize::from(code.value())).copied().map(Self)
    }

    /// The number of decoders.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The code.
    pub fn code(self) -> u4 {
        let index = Self::NUMBERS.iter().position(|number| *number == self.0).unwrap_or(0);
        u4::masked_new(index as u64)
    }
}

/// The largest code of [`Control::interleave_granularity`]: 16 KiB.
pub const LARGEST_GRANULARITY: u4 = u4::new(6);

/// The number of interleave ways with this code, unless the code is reserved.
pub fn ways(code: u4) -> Option<u8> {
    match code.value() {
        power @ 0..=4 => Some(1 << power),
        8 => Some(3),
        9 => Some(6),
        10 => Some(12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_values_in_the_wild_read_as_they_should() {
        let locked = Control::new(0x700);
        assert!(locked.commit() && locked.committed() && locked.lock_on_commit() && !locked.host_only());
        let type3 = Control::new(0x1600);
        assert!(type3.committed() && type3.host_only() && !type3.lock_on_commit());
        let back_invalidate = Control::new(0x2600);
        assert!(back_invalidate.back_invalidate() && !back_invalidate.host_only());
    }

    #[test]
    fn decoder_counts_have_the_printed_codes() {
        for (code, number) in [(0, 1), (1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12), (9, 20), (12, 32)] {
            let count = DecoderCount::of(number).unwrap();
            assert_eq!(count.code(), u4::new(code));
            assert_eq!(DecoderCount::from_code(u4::new(code)), Some(count));
        }
    }

    #[test]
    fn three_decoders_cannot_be_encoded_and_code_13_means_nothing() {
        assert_eq!(DecoderCount::of(3), None);
        assert_eq!(DecoderCount::from_code(u4::new(13)), None);
    }

    #[test]
    fn ways_have_the_printed_codes() {
        let printed = [1, 2, 4, 8, 16].map(Some).into_iter().chain([None; 3]).chain([3, 6, 12].map(Some));
        for (code, number) in printed.enumerate() {
            assert_eq!(ways(u4::new(code as u8)), number);
        }
        assert_eq!(ways(u4::new(11)), None);
    }

    #[test]
    fn halves_join_to_what_was_split_and_low_bits_do_not_count() {
        assert_eq!(split(0x12_3000_0000), (0x3000_0000, 0x12));
        assert_eq!(join(0x3fff_ffff, 0x12), 0x12_3000_0000);
    }

    #[test]
    fn the_control_of_decoder_0_is_at_0x20_and_one_decoder_takes_0x30() {
        assert_eq!(decoder_offset(0) + CONTROL, 0x20);
        assert_eq!(length(1), 0x30);
    }
}
