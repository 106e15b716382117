//! Info structures: what the device, its regions and its interrupts are.
//!
//! The device and region structures have a fixed part and may have a capability chain behind it. Who asks says in
//! `argsz` how much room there is; the answer's `argsz` says how much is needed.

use alloc::vec::Vec;

use bitflags::bitflags;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::chain::Chain;
use crate::malformed::Malformed;
use crate::malformed::prefix;

bitflags! {
    /// What the device is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DeviceFlags: u32 {
        /// Can be reset.
        const RESET = 1;
        /// Is a PCI device.
        const PCI = 1 << 1;
        /// There is a capability chain.
        const CAPS = 1 << 7;
    }

    /// What can be done with a region.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct RegionFlags: u32 {
        /// It can be read.
        const READ = 1;
        /// It can be written.
        const WRITE = 1 << 1;
        /// It can be mapped, all of it or the areas that the chain lists.
        const MMAP = 1 << 2;
        /// There is a capability chain.
        const CAPS = 1 << 3;
    }

    /// What can be done with an interrupt.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct IrqFlags: u32 {
        /// It is signalled through event file descriptors.
        const EVENTFD = 1;
        /// It can be masked.
        const MASKABLE = 1 << 1;
        /// It masks itself when it fires.
        const AUTOMASKED = 1 << 2;
        /// Vectors cannot be added while some are in use.
        const NORESIZE = 1 << 3;
    }
}

/// Region indices of a PCI device.
pub mod region {
    /// The first base address register; the others follow.
    pub const BAR0: u32 = 0;
    /// The last base address register.
    pub const BAR5: u32 = 5;
    /// The expansion ROM.
    pub const ROM: u32 = 6;
    /// Configuration space.
    pub const CONFIG: u32 = 7;
    /// Legacy VGA.
    pub const VGA: u32 = 8;
    /// The first index that a device gives meaning to by itself.
    pub const FIRST_SPECIFIC: u32 = 9;
    /// Bit of a region type: the rest is a PCI vendor id.
    pub const TYPE_PCI_VENDOR: u32 = 1 << 31;
}

/// Interrupt indices of a PCI device.
pub mod irq {
    /// Legacy interrupt.
    pub const INTX: u32 = 0;
    /// MSI.
    pub const MSI: u32 = 1;
    /// MSI-X.
    pub const MSIX: u32 = 2;
    /// An uncorrectable error happened.
    pub const ERR: u32 = 3;
    /// The host wants the device back.
    pub const REQ: u32 = 4;
    /// How many there are.
    pub const COUNT: u32 = 5;
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct DeviceBytes {
    argsz: U32,
    flags: U32,
    num_regions: U32,
    num_irqs: U32,
}

/// What follows the fixed part of a device info where there is a chain.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct DeviceTail {
    cap_offset: U32,
    pad: U32,
}

/// What the device is.
///
/// The vfio-user documents give this structure 16 bytes and no chain. Here a request whose `argsz` covers 24
/// bytes and the chain is answered with exactly those: `cap_offset` at byte 16, as in the kernel's structure,
/// offsets from the start of the structure. Any smaller `argsz` is answered with the 16 bytes, and so is any
/// `argsz` where there is no chain. `argsz` alone decides. Clients that know only 16 bytes ask for 16 or 32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What it is; bits without a name are kept.
    pub flags: DeviceFlags,
    /// How many regions there are.
    pub num_regions: u32,
    /// How many interrupt indices there are.
    pub num_irqs: u32,
    /// What else there is to say.
    pub chain: Chain,
}

impl DeviceInfo {
    /// Length of the structure without a chain.
    pub const SHORT_SIZE: usize = size_of::<DeviceBytes>();
    /// Length of the fixed part where there is a chain.
    pub const FIXED_SIZE: usize = size_of::<DeviceBytes>() + size_of::<DeviceTail>();

    /// How much room the whole answer needs.
    pub fn argsz(&self) -> u32 {
        if self.chain.is_empty() {
            return Self::SHORT_SIZE as u32;
        }
        Self::FIXED_SIZE.saturating_add(self.chain.encoded_size()) as u32
    }

    /// The answer to a request with room for `room` bytes.
    pub fn encode(&self, room: u32) -> Vec<u8> {
        let mut flags = self.flags - DeviceFlags::CAPS;
        if !self.chain.is_empty() {
            flags |= DeviceFlags::CAPS;
        }
        let fixed = DeviceBytes {
            argsz: self.argsz().into(),
            flags: flags.bits().into(),
            num_regions: self.num_regions.into(),
            num_irqs: self.num_irqs.into(),
        };
        let mut bytes = fixed.as_bytes().to_vec();
        if !self.chain.is_empty() && room >= self.argsz() {
            let tail = DeviceTail { cap_offset: (Self::FIXED_SIZE as u32).into(), pad: 0.into() };
            bytes.extend_from_slice(tail.as_bytes());
            self.chain.encode(&mut bytes);
        }
        bytes
    }

    /// The structure in `bytes`, and how much room the whole of it needs. Where that is more than there are
    /// bytes, the chain is not here yet and is empty.
    ///
    /// # Errors
    /// If there are fewer than 16 bytes, or the chain is malformed.
    pub fn parse(bytes: &[u8]) -> Result<(Self, u32), Malformed> {
        let (fixed, rest) = prefix::<DeviceBytes>("device info", bytes)?;
        let flags = DeviceFlags::from_bits_retain(fixed.flags.get());
        let first = match DeviceTail::read_from_prefix(rest) {
            Ok((tail, _)) if flags.contains(DeviceFlags::CAPS) => tail.cap_offset.get(),
            _ => 0,
        };
        let info = Self {
            flags,
            num_regions: fixed.num_regions.get(),
            num_irqs: fixed.num_irqs.get(),
            chain: Chain::parse(bytes, Self::FIXED_SIZE, first)?,
        };
        Ok((info, fixed.argsz.get()))
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RegionBytes {
    argsz: U32,
    flags: U32,
    index: U32,
    cap_offset: U32,
    size: U64,
    offset: U64,
}

/// What a region is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionInfo {
    /// What can be done with it; bits without a name are kept.
    pub flags: RegionFlags,
    /// Which region.
    pub index: u32,
    /// Length in bytes; 0 means that there is none.
    pub size: u64,
    /// Where it begins in the file that maps it.
    pub offset: u64,
    /// What else there is to say.
    pub chain: Chain,
}

impl RegionInfo {
    /// Length of the fixed part.
    pub const FIXED_SIZE: usize = size_of::<RegionBytes>();

    /// How much room the whole answer needs.
    pub fn argsz(&self) -> u32 {
        Self::FIXED_SIZE.saturating_add(self.chain.encoded_size()) as u32
    }

    /// The answer to a request with room for `room` bytes.
    ///
    /// An answer without room for the chain states `cap_offset` all the same. The kernel states 0 there, but
    /// QEMU's vfio-user client refuses a region whose first answer has the flag and no offset.
    pub fn encode(&self, room: u32) -> Vec<u8> {
        let mut flags = self.flags - RegionFlags::CAPS;
        let mut cap_offset = 0;
        if !self.chain.is_empty() {
            flags |= RegionFlags::CAPS;
            cap_offset = Self::FIXED_SIZE as u32;
        }
        let fixed = RegionBytes {
            argsz: self.argsz().into(),
            flags: flags.bits().into(),
            index: self.index.into(),
            cap_offset: cap_offset.into(),
            size: self.size.into(),
            offset: self.offset.into(),
        };
        let mut bytes = fixed.as_bytes().to_vec();
        if room >= self.argsz() {
            self.chain.encode(&mut bytes);
        }
        bytes
    }

    /// The structure in `bytes`, and how much room the whole of it needs. Where that is more than there are
    /// bytes, the chain is not here yet and is empty.
    ///
    /// # Errors
    /// If there are fewer than 32 bytes, or the chain is malformed.
    pub fn parse(bytes: &[u8]) -> Result<(Self, u32), Malformed> {
        let (fixed, rest) = prefix::<RegionBytes>("region info", bytes)?;
        let flags = RegionFlags::from_bits_retain(fixed.flags.get());
        let here = flags.contains(RegionFlags::CAPS) && !rest.is_empty();
        let first = if here { fixed.cap_offset.get() } else { 0 };
        let info = Self {
            flags,
            index: fixed.index.get(),
            size: fixed.size.get(),
            offset: fixed.offset.get(),
            chain: Chain::parse(bytes, Self::FIXED_SIZE, first)?,
        };
        Ok((info, fixed.argsz.get()))
    }
}

/// What an interrupt index is, as it stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IrqInfo {
    /// Length of this structure.
    pub argsz: U32,
    /// [`IrqFlags`].
    pub flags: U32,
    /// Which interrupt.
    pub index: U32,
    /// How many vectors.
    pub count: U32,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn device() -> DeviceInfo {
        let flags = DeviceFlags::RESET | DeviceFlags::PCI;
        DeviceInfo { flags, num_regions: 11, num_irqs: 5, chain: Chain::new().with(6, 1, &[0; 24]) }
    }

    fn region() -> RegionInfo {
        let flags = RegionFlags::READ | RegionFlags::WRITE;
        let chain = Chain::new().with_region_type(0x8000_1e98, 1);
        RegionInfo { flags, index: 9, size: 1 << 28, offset: 9 << 40, chain }
    }

    #[rstest]
    #[case(0, 16)]
    #[case(16, 16)]
    #[case(24, 16)]
    #[case(32, 16)]
    #[case(55, 16)]
    #[case(56, 56)]
    #[case(4096, 56)]
    fn the_room_alone_decides_which_device_info_is_sent(#[case] room: u32, #[case] length: usize) {
        let bytes = device().encode(room);
        assert_eq!(bytes.len(), length);
        assert_eq!(bytes[..8], [56, 0, 0, 0, 0x83, 0, 0, 0]);
    }

    #[test]
    fn the_offset_of_the_chain_is_at_byte_16() {
        assert_eq!(device().encode(56)[16..28], [24, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1, 0]);
    }

    #[test]
    fn a_device_without_a_chain_needs_16_bytes_at_any_room() {
        let device = DeviceInfo { chain: Chain::new(), ..device() };
        assert_eq!(device.encode(4096), device.encode(16));
        assert_eq!(device.encode(16)[..8], [16, 0, 0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn a_device_info_with_its_chain_parses_back() {
        let (parsed, argsz) = DeviceInfo::parse(&device().encode(56)).unwrap();
        assert_eq!(parsed, DeviceInfo { flags: device().flags | DeviceFlags::CAPS, ..device() });
        assert_eq!(argsz, 56);
    }

    #[test]
    fn a_short_device_info_parses_without_its_chain_and_says_what_is_needed() {
        let (parsed, argsz) = DeviceInfo::parse(&device().encode(16)).unwrap();
        assert!(parsed.chain.is_empty() && parsed.flags.contains(DeviceFlags::CAPS));
        assert_eq!(argsz, 56);
    }

    #[test]
    fn fifteen_bytes_are_no_device_info() {
        assert!(DeviceInfo::parse(&[0; 15]).is_err());
    }

    #[test]
    fn a_short_region_info_has_the_offset_of_the_chain_already() {
        let bytes = region().encode(32);
        assert_eq!(bytes.len(), 32);
        assert_eq!(bytes[..16], [48, 0, 0, 0, 0xb, 0, 0, 0, 9, 0, 0, 0, 32, 0, 0, 0]);
    }

    #[test]
    fn a_region_info_with_its_chain_parses_back() {
        let (parsed, argsz) = RegionInfo::parse(&region().encode(48)).unwrap();
        assert_eq!(parsed, RegionInfo { flags: region().flags | RegionFlags::CAPS, ..region() });
        assert_eq!(argsz, 48);
    }

    #[test]
    fn a_short_region_info_parses_without_its_chain() {
        let (parsed, argsz) = RegionInfo::parse(&region().encode(32)).unwrap();
        assert!(parsed.chain.is_empty());
        assert_eq!(argsz, 48);
    }

    #[test]
    fn the_kernels_short_region_info_parses_too() {
        let mut bytes = region().encode(32);
        bytes[12..16].fill(0);
        assert_eq!(RegionInfo::parse(&bytes).unwrap().1, 48);
    }

    #[test]
    fn a_region_info_whose_chain_leaves_it_is_malformed() {
        let mut bytes = region().encode(48);
        bytes[12] = 200;
        assert!(RegionInfo::parse(&bytes).is_err());
    }
}
