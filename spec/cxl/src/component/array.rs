//! The CXL capability array: which capabilities the block has and where (CXL 3.2, 8.2.4.1 and 8.2.4.2).
//!
//! The header is the first dword of the CXL.cache and CXL.mem range; entry `k` of `n` is the dword at `4 k`.
//! Pointers are *byte* offsets from the header. (At least one published model takes them for dword offsets;
//! Linux cannot parse what that one shows.)

use arbitrary_int::u4;
use arbitrary_int::u12;

crate::register! {
    /// The first dword of the array.
    pub struct Header("CXL Capability Header"): u32 {
        /// [`id::ARRAY`].
        id: u16 = 15:0, HwInit;
        /// Version of this header: 1.
        version: u4 = 19:16, HwInit;
        /// Version of the CXL.cache and CXL.mem register layout: 1.
        cachemem_version: u4 = 23:20, HwInit;
        /// How many entries follow.
        entries: u8 = 31:24, HwInit;
    }

    /// One entry: a capability and where it is.
    pub struct Entry("CXL Capability"): u32 {
        /// Which capability; see [`id`].
        id: u16 = 15:0, HwInit;
        /// The capability's version.
        version: u4 = 19:16, HwInit;
        /// Byte offset of the capability from the array's header, a multiple of 4.
        pointer: u12 = 31:20, HwInit;
    }
}

/// Capability ids (CXL 3.2, table 8-22).
pub mod id {
    /// An entry to skip.
    pub const NULL: u16 = 0;
    /// The array's own header.
    pub const ARRAY: u16 = 1;
    /// Reliability, availability and serviceability: [`ras`](super::super::ras).
    pub const RAS: u16 = 2;
    /// Host-managed device memory decoders: [`hdm`](super::super::hdm).
    pub const HDM_DECODER: u16 = 5;
    /// Back-invalidate of a device: [`back_invalidate`](super::super::back_invalidate).
    pub const BACK_INVALIDATE: u16 = 0xc;
}

/// The name of a capability, for people.
pub fn name(capability: u16) -> &'static str {
    match capability {
        id::NULL => "nothing",
        id::RAS => "RAS",
        3 => "security",
        4 => "link",
        id::HDM_DECODER => "HDM decoders",
        6 => "extended security",
        7 => "IDE",
        8 => "snoop filter",
        9 => "timeout and isolation",
        0xa => "extended register range",
        0xb => "back-invalidate route table",
        id::BACK_INVALIDATE => "back-invalidate decoder",
        0xd => "cache id route table",
        0xe => "cache id decoder",
        0xf => "extended HDM decoders",
        0x10 => "extended metadata",
        _ => "unknown",
    }
}

/// The largest number of entries that a header can state.
pub const MAX_ENTRIES: u8 = u8::MAX;

/// Offset of entry `index` (from 1) from the header.
pub const fn entry_offset(index: u8) -> u64 {
    4 * index as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_two_entries_is_the_printed_one() {
        let header = Header::new(0)
            .with_id(id::ARRAY)
            .with_version(u4::new(1))
            .with_cachemem_version(u4::new(1))
            .with_entries(2);
        assert_eq!(header.raw(), 0x0211_0001);
    }

    #[test]
    fn pointers_count_bytes() {
        assert_eq!(Entry::new(0x0802_0002).pointer().value(), 0x080);
        assert_eq!(Entry::new(0x1001_0005).pointer().value(), 0x100);
        assert_eq!(Entry::new(0x1001_0005).id(), id::HDM_DECODER);
    }

    #[test]
    fn every_id_of_the_table_has_its_name_and_others_have_none() {
        let printed = [
            "nothing",
            "unknown",
            "RAS",
            "security",
            "link",
            "HDM decoders",
            "extended security",
            "IDE",
            "snoop filter",
            "timeout and isolation",
            "extended register range",
            "back-invalidate route table",
            "back-invalidate decoder",
            "cache id route table",
            "cache id decoder",
            "extended HDM decoders",
            "extended metadata",
            "unknown",
        ];
        for (id, printed) in (0..).zip(printed) {
            assert_eq!(name(id), printed);
        }
        assert_eq!(name(u16::MAX), "unknown");
    }
}
