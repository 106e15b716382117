//! The revision of June 2026: a rewrite whose capability has the same id and version and another layout.
//!
//! ```text
//! +0   capability header: id 6, version 1
//! +8   u32  flags                                      +24  u32  reserved
//! +12  u32  index of the memory region                 +28       a hole that aligns what follows
//! +16  u32  index of the component register region     +32  u64  offset of the component block in that BAR
//! +20  u32  BAR that holds the component block         +40  u64  length of the component block
//! ```
//!
//! The offset is that of the component block itself, and the component register region is all of the block. The
//! hole is not in the text of the structure: a compiler that aligns 64-bit numbers to 8 bytes puts it there.

use alloc::vec::Vec;

use bitflags::bitflags;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::malformed::Malformed;
use crate::malformed::prefix;

/// Version in the capability's header.
pub const VERSION: u16 = 1;

bitflags! {
    /// Flags of the capability.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Host firmware committed decoder 0.
        const HOST_FIRMWARE_COMMITTED = 1;
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Bytes {
    flags: U32,
    hdm_region_idx: U32,
    comp_reg_region_idx: U32,
    comp_reg_bar: U32,
    reserved: U32,
    hole: U32,
    comp_reg_offset: U64,
    comp_reg_size: U64,
}

/// The device capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCapability {
    /// What is known of the device; bits without a name are kept.
    pub flags: Flags,
    /// Index of the region that is the device's memory.
    pub hdm_region_idx: u32,
    /// Index of the region that is the component registers.
    pub comp_reg_region_idx: u32,
    /// BAR that holds the component block, 0 to 5.
    pub comp_reg_bar: u32,
    /// Offset of the component block in that BAR.
    pub comp_reg_offset: u64,
    /// Length of the component block in bytes.
    pub comp_reg_size: u64,
}

impl DeviceCapability {
    /// Length of the capability behind its header, in bytes.
    pub const SIZE: usize = size_of::<Bytes>();

    /// The capability behind its header.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = Bytes {
            flags: self.flags.bits().into(),
            hdm_region_idx: self.hdm_region_idx.into(),
            comp_reg_region_idx: self.comp_reg_region_idx.into(),
            comp_reg_bar: self.comp_reg_bar.into(),
            reserved: 0.into(),
            hole: 0.into(),
            comp_reg_offset: self.comp_reg_offset.into(),
            comp_reg_size: self.comp_reg_size.into(),
        };
        bytes.as_bytes().to_vec()
    }

    /// The capability in the bytes behind its header.
    ///
    /// # Errors
    /// If there are fewer bytes than it has.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (bytes, _) = prefix::<Bytes>("CXL device capability", data)?;
        Ok(Self {
            flags: Flags::from_bits_retain(bytes.flags.get()),
            hdm_region_idx: bytes.hdm_region_idx.get(),
            comp_reg_region_idx: bytes.comp_reg_region_idx.get(),
            comp_reg_bar: bytes.comp_reg_bar.get(),
            comp_reg_offset: bytes.comp_reg_offset.get(),
            comp_reg_size: bytes.comp_reg_size.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Typed by hand from the layout: committed, memory 10, registers 9, BAR 2, block of 0x10000 at 0x20000.
    #[rustfmt::skip]
    const PRINTED: [u8; 40] = [
        1, 0, 0, 0,   10, 0, 0, 0,   9, 0, 0, 0,   2, 0, 0, 0,
        0, 0, 0, 0,   0, 0, 0, 0,
        0, 0, 2, 0, 0, 0, 0, 0,   0, 0, 1, 0, 0, 0, 0, 0,
    ];

    fn capability() -> DeviceCapability {
        DeviceCapability {
            flags: Flags::HOST_FIRMWARE_COMMITTED,
            hdm_region_idx: 10,
            comp_reg_region_idx: 9,
            comp_reg_bar: 2,
            comp_reg_offset: 0x2_0000,
            comp_reg_size: 0x1_0000,
        }
    }

    #[test]
    fn the_layout_is_the_printed_one() {
        assert_eq!(capability().encode(), PRINTED);
        assert_eq!(DeviceCapability::parse(&PRINTED), Ok(capability()));
    }

    #[test]
    fn with_its_header_it_has_48_bytes_and_not_44() {
        assert_eq!(DeviceCapability::SIZE + crate::chain::HEADER_SIZE, 48);
    }

    #[test]
    fn one_byte_less_is_malformed() {
        assert!(DeviceCapability::parse(&PRINTED[..39]).is_err());
    }
}
