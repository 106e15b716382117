//! What a fake device shows at first, typed by hand.

/// Typed by hand: ids, two 64-bit BARs, one capability, the device's DVSEC and the locator's.
pub(super) fn configuration() -> Vec<u8> {
    let mut bytes = vec![0; 0x1000];
    let dwords = [
        (0x00, 0xc7f2_1e98_u32),
        (0x04, 0x0010_0000),
        (0x08, 0x1200_0001),
        (0x10, 0x0000_0004),
        (0x18, 0x0000_000c),
        (0x2c, 0x0001_1e98),
        (0x34, 0x0000_0040),
        (0x40, 0x0002_0010),
        (0x100, 0x1501_0001),
        (0x150, 0x2001_0023),
        (0x154, 0x03c2_1e98),
        (0x158, 0xc05f_0000),
        (0x15c, 0x0000_0007),
        (0x170, 0x0000_0048),
        (0x174, 0x3000_0000),
        (0x200, 0x0001_0023),
        (0x204, 0x0141_1e98),
        (0x208, 0x0000_0008),
        (0x20c, 0x0002_0102),
    ];
    put(&mut bytes, &dwords);
    bytes
}

pub(super) fn put(bytes: &mut [u8], dwords: &[(usize, u32)]) {
    for (offset, value) in dwords {
        bytes[*offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Typed by hand: an array of RAS and HDM decoders, one decoder committed over 256 MiB at base 0.
pub(super) fn component_registers() -> Vec<u8> {
    let mut bytes = vec![0; 0x140];
    let dwords = [
        (0x000, 0x0211_0001_u32),
        (0x004, 0x0802_0002),
        (0x008, 0x1101_0005),
        (0x114, 0x0000_0002),
        (0x128, 0x1000_0000),
        (0x130, 0x0000_0600),
    ];
    put(&mut bytes, &dwords);
    bytes
}
