//! The newest shape, seen in autumn 2026 and **provisional**: the regions describe themselves.
//!
//! There is no device capability. The two regions are found by their type, and the component register region
//! says in a capability of its own where its registers are:
//!
//! ```text
//! +0   capability header: id and version are guesses
//! +8   u32  BAR that holds the component block         +16  u64  offset of the decoder block in that BAR
//! +12  u32  reserved
//! ```
//!
//! The region is the HDM decoder capability and nothing else. Id, version and widths of this capability have not
//! been seen in print: the id is the next one that is free, the widths are those that its fields need. Both are
//! spelled here and nowhere else.

use alloc::vec::Vec;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::malformed::Malformed;
use crate::malformed::prefix;

/// Id of the region capability. Provisional: 1 to 5 are taken.
pub const REGION_CAPABILITY: u16 = 6;

/// Version in the capability's header. Provisional.
pub const VERSION: u16 = 1;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Bytes {
    bar: U32,
    reserved: U32,
    offset: U64,
}

/// Where the registers of the component register region are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentRegisters {
    /// BAR that holds them, 0 to 5.
    pub bar: u32,
    /// Offset of the HDM decoder capability in that BAR.
    pub offset: u64,
}

impl ComponentRegisters {
    /// Length of the capability behind its header, in bytes.
    pub const SIZE: usize = size_of::<Bytes>();

    /// The capability behind its header.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = Bytes { bar: self.bar.into(), reserved: 0.into(), offset: self.offset.into() };
        bytes.as_bytes().to_vec()
    }

    /// The capability in the bytes behind its header.
    ///
    /// # Errors
    /// If there are fewer bytes than it has.
    pub fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (bytes, _) = prefix::<Bytes>("CXL component registers capability", data)?;
        Ok(Self { bar: bytes.bar.get(), offset: bytes.offset.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Typed by hand from the layout: BAR 2, decoders at 0x21110.
    const PRINTED: [u8; 16] = [2, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x11, 0x02, 0, 0, 0, 0, 0];

    #[test]
    fn the_layout_is_the_one_above() {
        let registers = ComponentRegisters { bar: 2, offset: 0x2_1110 };
        assert_eq!(registers.encode(), PRINTED);
        assert_eq!(ComponentRegisters::parse(&PRINTED), Ok(registers));
    }

    #[test]
    fn one_byte_less_is_malformed() {
        assert!(ComponentRegisters::parse(&PRINTED[..15]).is_err());
    }
}
