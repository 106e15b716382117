//! Every access to the component registers, the device DVSEC and the component BAR: each offset, 1 to 8 bytes,
//! each alignment, in every kernel, against rules that are written here a second time, with bytes instead of
//! registers. The values are the default device's, typed by hand.

use super::*;

const KERNELS: [&str; 4] = ["v2", "v3", "next", "plain"];

/// The dwords of the component block that are not 0, by their offset in the block.
const BLOCK_DWORDS: [(u64, u32); 13] = [
    (0x1000, 0x0211_0001),
    (0x1004, 0x0802_0002),
    (0x1008, 0x1101_0005),
    // RAS: mask, severity, correctable mask, no first error.
    (0x1084, 0x0001_cfff),
    (0x1088, 0x0001_cfff),
    (0x1090, 0x0000_007f),
    (0x1094, 0x0000_023f),
    // HDM decoders: one, device-coherent, enabled; decoder 0.
    (0x1110, 0x0020_0000),
    (0x1114, 0x0000_0002),
    (0x1120, 0x3000_0000),
    (0x1124, 0x0000_0048),
    (0x1128, 0x1000_0000),
    (0x1130, 0x0000_0700),
];

/// What a byte of the block reads in the hardware.
fn block_byte(offset: u64) -> u8 {
    let dword = BLOCK_DWORDS.iter().find(|(at, _)| *at == offset & !3).map_or(0, |(_, value)| *value);
    dword.to_le_bytes()[(offset & 3) as usize]
}

/// The natural pieces of an access, none wider than `widest`: offset and length.
fn pieces(mut offset: u64, mut length: u64, widest: u64) -> Vec<(u64, u64)> {
    let mut list = Vec::new();
    while length > 0 {
        let mut width = widest;
        while width > length || !offset.is_multiple_of(width) {
            width /= 2;
        }
        list.push((offset, width));
        (offset, length) = (offset + width, length - width);
    }
    list
}

mod component_registers {
    use super::*;
    use crate::kernel::drive::shape::Shape;

    fn shape(abi: &str) -> Shape {
        Shape::ALL.into_iter().find(|shape| shape.abi == abi).unwrap()
    }

    fn byte(abi: &str, offset: u64) -> u8 {
        let at = shape(abi).origin + offset;
        match (abi, at) {
            // The base and the lock of firmware's decoder are hidden.
            ("v2", 0x1120..=0x1127) => 0,
            ("v2", 0x1131) => 0x06,
            _ => block_byte(at),
        }
    }

    #[rstest]
    fn every_read_agrees(#[values("v2", "v3", "next")] abi: &str) {
        let kernel = bound("", abi);
        let shape = shape(abi);
        let Shape { region, size, origin, .. } = shape;
        let ends = (size - 16..size + 16).chain([u64::MAX - 16]);
        for offset in (0..0x20).chain(0x1000 - origin.min(0x1000)..0x1160 - origin).chain(ends) {
            for length in 1..=16 {
                let expected =
                    if offset > 1 << 40 { Err(Errno::EINVAL) } else { shape.moved(offset, length) };
                let bytes = expected.map(|count| (offset..offset + count).map(|at| byte(abi, at)).collect());
                let seen: Result<Vec<u8>, Errno> = read_n(&kernel, region, offset, length as usize);
                assert_eq!(seen, bytes, "{offset:#x} {length}");
            }
        }
    }

    /// A write of the wrong shape is refused and changes nothing; one of the right shape takes as many bytes.
    #[rstest]
    fn every_write_is_taken_or_refused(#[values("v2", "v3", "next")] abi: &str) {
        let mut kernel = bound("", abi);
        let shape = shape(abi);
        let Shape { region, size, origin, .. } = shape;
        let all = |kernel: &Kernel| {
            (0..size.min(0x1140)).step_by(4).map(|at| dword(kernel, region, at)).collect::<Vec<_>>()
        };
        let before = all(&kernel);
        for offset in (0x1000 - origin.min(0x1000)..0x1160 - origin).chain(size - 16..size + 16) {
            for length in 1..=16 {
                let expected = shape.moved(offset, length);
                // What is there already is written, so that what is taken changes nothing either.
                let count = expected.unwrap_or(length);
                let same: Vec<u8> = (offset..offset + count).map(|at| byte(abi, at)).collect();
                let bytes = if expected.is_ok() {
                    [same, vec![0; (length - count) as usize]].concat()
                } else {
                    vec![0xff; length as usize]
                };
                let taken = kernel.write(region, offset, &bytes).map(|taken| taken as u64);
                assert_eq!(taken, expected, "{offset:#x} {length}");
            }
        }
        assert_eq!(all(&kernel), before);
    }
}

mod dvsec {
    use super::*;

    /// The device DVSEC as every kernel shows it at first.
    const IMAGE: [u8; 0x3c] = [
        0x23, 0x00, 0x01, 0x19, 0x98, 0x1e, 0xc2,
        0x03, // headers: next at 0x190, revision 2, 0x3c bytes
        0x00, 0x00, 0xdf, 0xc2, 0x07, 0x00, 0x00, 0x00, // id 0, capability, control, status
        0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x01, 0x02, // control 2, status 2, lock, capability 2
        0x00, 0x00, 0x00, 0x00, 0x4b, 0x00, 0x00,
        0x10, // range 1 size: 256 MiB, valid, active, see CDAT
        0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, // range 1 base: the host's
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // range 2 is not in use
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
        0x00, 0x00, 0x00, 0x00, // capability 3
    ];

    /// The DVSEC's bytes, and what the rules need to remember besides.
    #[derive(Clone, Debug)]
    struct Model {
        abi: &'static str,
        mended: bool,
        image: [u8; 0x3c],
    }

    impl Model {
        fn new(abi: &'static str, mended: bool) -> Self {
            Self { abi, mended, image: IMAGE }
        }

        fn word(&self, at: usize) -> u16 {
            u16::from_le_bytes([self.image[at], self.image[at + 1]])
        }

        fn set(&mut self, at: usize, value: u16) {
            self.image[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }

        fn read(&self, offset: u64, length: u64) -> Vec<u8> {
            let posted_v2 = self.abi == "v2" && !self.mended;
            let mut seen = Vec::new();
            for (at, width) in pieces(offset, length, 4) {
                let at = at as usize;
                let shadowed = [0x0c, 0x0e, 0x10, 0x14].contains(&at);
                if posted_v2 && shadowed {
                    let value = u32::from(self.word(at)).to_le_bytes();
                    seen.extend(&value[..width as usize]);
                } else if posted_v2 && [0x0d, 0x0f, 0x11, 0x15].contains(&at) {
                    // Odd offsets are the hardware's, which no write of these tests has changed.
                    seen.push(IMAGE[at]);
                } else {
                    seen.extend(&self.image[at..at + width as usize]);
                }
            }
            seen
        }

        fn write(&mut self, offset: u64, bytes: &[u8]) {
            for (at, width) in pieces(offset, bytes.len() as u64, 4) {
                let from = (at - offset) as usize;
                self.piece(at as usize, &bytes[from..from + width as usize]);
            }
        }

        fn piece(&mut self, at: usize, bytes: &[u8]) {
            if self.abi == "v2" && !self.mended {
                let low = [bytes[0], bytes.get(1).copied().unwrap_or(0)];
                if at >= 0x0a {
                    self.v2(at, u16::from_le_bytes(low), 0xffff);
                }
                return;
            }
            let words = if bytes.len() == 4 { 2 } else { 1 };
            for index in 0..words {
                let register = (at & !1) + 2 * index;
                let (value, mask) = match bytes.len() {
                    1 => (u16::from(bytes[0]) << (8 * (at & 1)), 0xff << (8 * (at & 1))),
                    _ => (u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]), 0xffff),
                };
                if register < 0x0a || self.abi == "v3" && !self.mended && index > 0 {
                    continue;
                }
                match self.abi {
                    "v2" => self.v2(register, value, mask),
                    "v3" => self.v3(register, value, mask),
                    "next" => self.next(register, value, mask),
                    _ => self.plain(register, value, mask),
                }
            }
        }

        fn v2(&mut self, at: usize, value: u16, mask: u16) {
            let merged = self.word(at.min(0x3a)) & !mask | value & mask;
            match at {
                0x0c if self.word(0x14) & 1 == 0 => self.set(at, merged & 0x4fff | 2),
                0x0e => self.set(at, self.word(at) & !(value & mask & 0x4000)),
                0x10 => {
                    self.set(at, merged & 0x0009);
                    if merged & 2 != 0 {
                        self.set(0x12, self.word(0x12) & !1 | merged & 1);
                    }
                }
                0x14 if self.word(0x14) & 1 == 0 => self.set(at, merged & 1),
                _ => {}
            }
        }

        fn v3(&mut self, at: usize, value: u16, mask: u16) {
            let merged = self.word(at) & !mask | value & mask;
            match at {
                0x0c | 0x10 if self.word(0x14) & 1 == 0 => self.set(at, merged),
                // Merging first writes the other byte's ones back to it.
                0x0e | 0x12 => self.set(at, self.word(at) & !merged),
                0x14 if self.word(0x14) & 1 == 0 => self.set(at, merged),
                _ => {}
            }
        }

        fn next(&mut self, at: usize, value: u16, mask: u16) {
            let merged = self.word(at) & !mask | value & mask;
            match at {
                0x0c => self.set(at, merged),
                0x10 => {
                    self.set(at, merged & !6);
                    let flushed = if merged & 2 != 0 { 1 } else { 0 };
                    let reset = if merged & 4 != 0 { 2 } else { 0 };
                    self.set(0x12, self.word(0x12) | flushed | reset);
                }
                _ => {}
            }
        }

        fn plain(&mut self, at: usize, value: u16, mask: u16) {
            let merged = self.word(at) & !mask | value & mask;
            let locked = self.word(0x14) & 1 != 0;
            match at {
                0x0c if !locked => self.set(at, merged & 0x4ffd | 2),
                0x10 if merged & 4 != 0 => {
                    // The reset takes control 2 with it, and what caching was disabled by.
                    self.set(0x10, 0);
                    self.set(0x12, 0x8002);
                }
                0x10 => {
                    self.set(at, merged & 0x0009);
                    self.set(0x12, self.word(0x12) & !1 | merged & 1);
                }
                0x14 => self.set(at, self.word(at) | merged & 1),
                0x20 | 0x22 | 0x30 | 0x32 if !locked => self.set(at, merged),
                0x26 | 0x36 if !locked => self.set(at, merged & 0xf000),
                _ => {}
            }
        }
    }

    fn kernel(abi: &str, mended: bool) -> Kernel {
        bound(&format!("[kernel]\nfixed_dvsec_widths = {mended}"), abi)
    }

    fn image(kernel: &Kernel) -> Vec<u8> {
        (0..0x3c).step_by(2).flat_map(|at| word(kernel, DVSEC + at).to_le_bytes()).collect()
    }

    #[rstest]
    fn every_read_agrees(
        #[values("v2", "v3", "next", "plain")] abi: &'static str,
        #[values(false, true)] mended: bool,
    ) {
        let mut kernel = kernel(abi, mended);
        let mut model = Model::new(abi, mended);
        if abi != "plain" {
            // Where there is a shadow it differs from the hardware, so that it is seen which of them is read.
            write_word(&mut kernel, DVSEC + 0x0c, 0x4103);
            model.write(0x0c, &[0x03, 0x41]);
        }
        for offset in 0..0x3c {
            for length in 1..=8.min(0x3c - offset) {
                let seen = read_n(&kernel, CONFIG, DVSEC + offset, length as usize);
                assert_eq!(seen, Ok(model.read(offset, length)), "{offset:#x} {length}");
            }
        }
    }

    #[rstest]
    fn every_write_agrees(
        #[values("v2", "v3", "next", "plain")] abi: &'static str,
        #[values(false, true)] mended: bool,
    ) {
        for value in [0x00, 0x01, 0x40, 0x59, 0xff] {
            for offset in 0..0x3c {
                for length in [1, 2, 4, 8] {
                    if offset + length > 0x3c {
                        continue;
                    }
                    let mut kernel = kernel(abi, mended);
                    let mut model = Model::new(abi, mended);
                    let bytes = vec![value; length as usize];
                    assert_eq!(kernel.write(CONFIG, DVSEC + offset, &bytes), Ok(bytes.len()));
                    model.write(offset, &bytes);
                    assert_eq!(image(&kernel), model.image, "{value:#x} at {offset:#x} {length}");
                }
            }
        }
    }
}

mod component_bar {
    use super::*;

    const BAR: u32 = 2;

    fn offsets() -> impl Iterator<Item = u64> {
        let edges = (BLOCK - 16..BLOCK + 16).chain(BLOCK + 0xfff0..BLOCK + 0x1_0010);
        edges.chain(BLOCK + 0xff0..BLOCK + 0x1160).chain((1 << 20) - 16..(1 << 20) + 4)
    }

    fn is_block(at: u64) -> bool {
        (BLOCK..BLOCK + 0x1_0000).contains(&at)
    }

    fn is_decoder(at: u64) -> bool {
        (BLOCK + 0x1110..BLOCK + 0x1140).contains(&at)
    }

    /// What the bytes read; nothing where the whole access is refused.
    fn expected(abi: &str, offset: u64, length: u64) -> Option<Vec<u8>> {
        let end = (offset + length).min(1 << 20);
        if offset >= 1 << 20 || abi == "v3" && (offset..end).any(is_block) {
            return None;
        }
        let mut bytes = Vec::new();
        for (at, width) in pieces(offset, end - offset, 8) {
            for at in at..at + width {
                bytes.push(match (abi, width) {
                    ("next", _) if is_decoder(at) => 0xff,
                    // Component registers are dwords and qwords; narrower accesses reach nothing.
                    (_, 4 | 8) if is_block(at) => block_byte(at - BLOCK),
                    _ => 0,
                });
            }
        }
        Some(bytes)
    }

    #[rstest]
    fn every_read_agrees(#[values(0, 1, 2, 3)] index: usize) {
        let abi = KERNELS[index];
        let kernel = bound("", abi);
        for offset in offsets() {
            for length in 1..=8 {
                let seen = read_n(&kernel, BAR, offset, length as usize);
                let expected = expected(abi, offset, length).ok_or(Errno::EINVAL);
                assert_eq!(seen, expected, "{abi} {offset:#x} {length}");
            }
        }
    }

    /// Ones written anywhere: the same accesses are refused as for reads, and of a locked device nothing in the
    /// block changes but what the hardware lets software change.
    #[rstest]
    fn every_write_agrees(#[values(0, 1, 2, 3)] index: usize) {
        let abi = KERNELS[index];
        for offset in offsets() {
            for length in [1, 2, 4, 8] {
                let mut kernel = bound("", abi);
                let taken = kernel.write(BAR, offset, &vec![0xff; length as usize]).map(|taken| taken as u64);
                let count = length.min((1u64 << 20).saturating_sub(offset));
                let refused = expected(abi, offset, length).is_none();
                assert_eq!(
                    taken,
                    if refused { Err(Errno::EINVAL) } else { Ok(count) },
                    "{abi} {offset:#x} {length}"
                );
                for (at, width) in pieces(offset, count, 8).into_iter().filter(|_| !refused) {
                    for dword in (at..at + width).step_by(4).filter(|at| is_block(*at)) {
                        let hardware = kernel
                            .silicon()
                            .component()
                            .read(cxl_spec::access::Access::dword_around(dword - BLOCK))
                            as u32;
                        let before = u32::from_le_bytes(std::array::from_fn(|byte| {
                            block_byte((dword & !3) - BLOCK + byte as u64)
                        }));
                        let writable = width >= 4 && !(abi == "next" && is_decoder(dword));
                        let after = match (dword - BLOCK) & !3 {
                            0x1084 | 0x1088 => 0x0001_cfff,
                            0x1090 => 0x0000_007f,
                            // Skip is a field of the decoder, and frozen with it; the enable bit is set already.
                            _ => before,
                        };
                        assert_eq!(hardware, if writable { after } else { before }, "{abi} {dword:#x}");
                    }
                }
            }
        }
    }
}
