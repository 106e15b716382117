//! The revision of April 2026: geometry in the device capability, indices of the regions beside it.
//!
//! ```text
//! +0   capability header: id 6, version 1
//! +8   u8   BAR that holds the component block        +16  u64  offset of the register area in that BAR
//! +9   u8   reserved, 3 times                         +24  u32  index of the memory region
//! +12  u32  flags                                     +28  u32  index of the component register region
//! ```
//!
//! The offset is that of the CXL.cache and CXL.mem registers: the component block's plus 0x1000. The component
//! register region begins there too, and ends with the HDM decoder capability.

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

/// A region index that means: there is no such region.
pub const NO_REGION: u32 = u32::MAX;

bitflags! {
    /// Flags of the capability.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Host firmware committed decoder 0.
        const FIRMWARE_COMMITTED = 1;
        /// The device speaks CXL.cache.
        const CACHE_CAPABLE = 1 << 1;
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Bytes {
    hdm_regs_bar_index: u8,
    reserved: [u8; 3],
    flags: U32,
    hdm_regs_offset: U64,
    dpa_region_index: U32,
    comp_regs_region_index: U32,
}

/// The device capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceCapability {
    /// BAR that holds the component block, 0 to 5.
    pub hdm_regs_bar_index: u8,
    /// What is known of the device; bits without a name are kept.
    pub flags: Flags,
    /// Offset of the CXL.cache and CXL.mem registers in that BAR.
    pub hdm_regs_offset: u64,
    /// Index of the region that is the device's memory, or [`NO_REGION`].
    pub dpa_region_index: u32,
    /// Index of the region that is the component registers, or [`NO_REGION`].
    pub comp_regs_region_index: u32,
}

impl DeviceCapability {
    /// Length of the capability behind its header, in bytes.
    pub const SIZE: usize = size_of::<Bytes>();

    /// The capability behind its header.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = Bytes {
            hdm_regs_bar_index: self.hdm_regs_bar_index,
            reserved: [0; 3],
            flags: self.flags.bits().into(),
            hdm_regs_offset: self.hdm_regs_offset.into(),
            dpa_region_index: self.dpa_region_index.into(),
            comp_regs_region_index: self.comp_regs_region_index.into(),
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
            hdm_regs_bar_index: bytes.hdm_regs_bar_index,
            flags: Flags::from_bits_retain(bytes.flags.get()),
            hdm_regs_offset: bytes.hdm_regs_offset.get(),
            dpa_region_index: bytes.dpa_region_index.get(),
            comp_regs_region_index: bytes.comp_regs_region_index.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Typed by hand from the layout: BAR 2, committed and cache capable, registers at 0x21000, regions 9 and 10.
    const PRINTED: [u8; 24] =
        [2, 0, 0, 0, 3, 0, 0, 0, 0x00, 0x10, 0x02, 0, 0, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0];

    fn capability() -> DeviceCapability {
        DeviceCapability {
            hdm_regs_bar_index: 2,
            flags: Flags::FIRMWARE_COMMITTED | Flags::CACHE_CAPABLE,
            hdm_regs_offset: 0x2_1000,
            dpa_region_index: 9,
            comp_regs_region_index: 10,
        }
    }

    #[test]
    fn the_layout_is_the_printed_one() {
        assert_eq!(capability().encode(), PRINTED);
        assert_eq!(DeviceCapability::parse(&PRINTED), Ok(capability()));
    }

    #[test]
    fn with_its_header_it_has_32_bytes() {
        assert_eq!(DeviceCapability::SIZE + crate::chain::HEADER_SIZE, 32);
    }

    #[test]
    fn one_byte_less_is_malformed() {
        assert!(DeviceCapability::parse(&PRINTED[..23]).is_err());
    }
}
