//! Info structures as the kernel writes them, which is not as vfio-user does: what was asked stays in `argsz` where
//! there is room, and where there is none `cap_offset` is 0.

use vfio_abi::chain::Chain;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;

use crate::fields::Fields;

/// Bits of an offset in a device's file below the number of the region.
pub(super) const OFFSET_SHIFT: u32 = 40;

/// A structure with a chain behind it, if there is room for that. The structure has `argsz` at its begin, and
/// `cap_offset` at this place.
pub(super) fn with_chain(fixed: Fields, cap_offset: usize, chain: &Chain, room: u32) -> Vec<u8> {
    let mut info = fixed;
    let size = info.0.len();
    let needed = size.saturating_add(chain.encoded_size());
    if chain.is_empty() {
        // Nothing is behind it.
    } else if (room as usize) < needed {
        info.set_u32(0, needed as u32);
    } else {
        info.set_u32(cap_offset, size as u32);
        chain.encode(&mut info.0);
    }
    if chain.is_empty() || (room as usize) < needed {
        // Who has room for less gets less.
        info.0.truncate(room as usize);
    }
    info.0
}

/// What a device is, for who has this room.
pub(super) fn device(info: &DeviceInfo, room: u32) -> Vec<u8> {
    let mut flags = info.flags - DeviceFlags::CAPS;
    flags.set(DeviceFlags::CAPS, !info.chain.is_empty());
    let fixed = Fields::default().with_u32(room).with_u32(flags.bits());
    let fixed = fixed.with_u32(info.num_regions).with_u32(info.num_irqs).with_u32(0).with_u32(0);
    with_chain(fixed, 16, &info.chain, room)
}

/// What a region is, for who has this room.
pub(super) fn region(info: &RegionInfo, room: u32) -> Vec<u8> {
    let mut flags = info.flags - RegionFlags::CAPS;
    flags.set(RegionFlags::CAPS, !info.chain.is_empty());
    let offset = u64::from(info.index) << OFFSET_SHIFT;
    let fixed = Fields::default().with_u32(room).with_u32(flags.bits()).with_u32(info.index).with_u32(0);
    with_chain(fixed.with_u64(info.size).with_u64(offset), 12, &info.chain, room)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn with_cap() -> DeviceInfo {
        let flags = DeviceFlags::RESET | DeviceFlags::PCI;
        DeviceInfo { flags, num_regions: 11, num_irqs: 5, chain: Chain::new().with(6, 1, &[7; 24]) }
    }

    /// `argsz`, flags, `cap_offset` and the length, by the bytes.
    fn seen(bytes: &[u8]) -> (u32, u32, u32, usize) {
        let word =
            |at: usize| bytes.get(at..at + 4).map_or(0, |word| u32::from_le_bytes(word.try_into().unwrap()));
        (word(0), word(4), word(16), bytes.len())
    }

    #[rstest]
    #[case(16, (56, 0x83, 0, 16))]
    #[case(20, (56, 0x83, 0, 20))]
    #[case(24, (56, 0x83, 0, 24))]
    #[case(55, (56, 0x83, 0, 24))]
    #[case(56, (56, 0x83, 24, 56))]
    #[case(128, (128, 0x83, 24, 56))]
    fn a_device_with_a_chain_is_told_as_the_room_allows(
        #[case] room: u32,
        #[case] told: (u32, u32, u32, usize),
    ) {
        assert_eq!(seen(&device(&with_cap(), room)), told);
    }

    #[rstest]
    #[case(16, (16, 3, 0, 16))]
    #[case(24, (24, 3, 0, 24))]
    #[case(128, (128, 3, 0, 24))]
    fn a_device_without_a_chain_leaves_the_room_as_it_was(
        #[case] room: u32,
        #[case] told: (u32, u32, u32, usize),
    ) {
        let info = DeviceInfo { chain: Chain::new(), ..with_cap() };
        assert_eq!(seen(&device(&info, room)), told);
    }

    #[test]
    fn a_region_is_at_its_index_in_the_upper_bits_of_the_offset() {
        let flags = RegionFlags::READ | RegionFlags::MMAP;
        let chain = Chain::new().with_region_type(0x8000_1e98, 1);
        let info = RegionInfo { flags, index: 9, size: 1 << 28, offset: 0, chain };
        let short = region(&info, 32);
        assert_eq!(short.len(), 32);
        assert_eq!(short[..16], [48, 0, 0, 0, 0xd, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(short[24..], [0, 0, 0, 0, 0, 9, 0, 0]);
        let long = region(&info, 64);
        assert_eq!((long[0], long[12], long.len()), (64, 32, 48));
        assert_eq!(long[32..], [2, 0, 1, 0, 0, 0, 0, 0, 0x98, 0x1e, 0, 0x80, 1, 0, 0, 0]);
    }
}
