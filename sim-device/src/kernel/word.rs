//! The device DVSEC's registers have 16 bits; accesses have 8, 16 or 32. Here the one is made of the other.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::dvsec::BODY;
use cxl_spec::dvsec::device;

use crate::silicon::config::DEVICE_DVSEC;

/// What a write brings to one 16-bit register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Offset of the register in configuration space.
    pub(super) offset: u64,
    piece: Access,
    value: u64,
}

impl Word {
    /// The registers that a write reaches, at most two.
    pub(super) fn split(access: Access, value: u64) -> impl Iterator<Item = Self> {
        Access::split(access.offset(), access.width().bytes(), Width::Word).map(move |piece| Self {
            offset: piece.offset() & !1,
            piece,
            value: (value >> (8 * (piece.offset() - access.offset()))) & piece.width().mask(),
        })
    }

    /// The access to the register alone: one byte of it, or both.
    pub(super) fn access(self) -> Access {
        self.piece
    }

    /// What is written there.
    pub(super) fn bits(self) -> u64 {
        self.value
    }

    /// What the register reads then, if it takes everything: bytes that are not reached stay.
    pub(super) fn over(self, before: u16) -> u16 {
        let shift = 8 * (self.piece.offset() - self.offset);
        let (value, reached) = ((self.value << shift) as u16, (self.piece.width().mask() << shift) as u16);
        (before & !reached) | (value & reached)
    }
}

/// The offset in the device DVSEC of an offset in configuration space, if it lies behind the DVSEC's headers.
pub(super) fn body_offset(offset: u64) -> Option<u64> {
    let inside = offset.checked_sub(DEVICE_DVSEC)?;
    (BODY..device::SIZE).contains(&inside).then_some(inside)
}

/// Reads configuration space where `shadowed` knows what some of its 16-bit registers read; `hardware` reads the
/// others.
pub(super) fn read(
    access: Access,
    shadowed: impl Fn(u64) -> Option<u16>,
    hardware: impl Fn(Access) -> u64,
) -> u64 {
    let word = |piece: Access| {
        let offset = piece.offset() & !1;
        let value = match shadowed(offset) {
            Some(value) => u64::from(value) >> (8 * (piece.offset() - offset)) & piece.width().mask(),
            None => hardware(piece),
        };
        value << (8 * (piece.offset() - access.offset()))
    };
    let words = Access::split(access.offset(), access.width().bytes(), Width::Word);
    words.map(word).fold(0, |all, bits| all | bits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_low_byte(0x10, Width::Byte, 0xab, &[(0x10, 0x11ab)])]
    #[case::a_high_byte(0x11, Width::Byte, 0xab, &[(0x10, 0xab22)])]
    #[case::a_word(0x12, Width::Word, 0xabcd, &[(0x12, 0xabcd)])]
    #[case::two_words(0x10, Width::Dword, 0x8765_4321, &[(0x10, 0x4321), (0x12, 0x8765)])]
    fn a_write_reaches_its_registers_and_leaves_the_other_byte(
        #[case] offset: u64,
        #[case] width: Width,
        #[case] value: u64,
        #[case] expected: &[(u64, u16)],
    ) {
        let words = Word::split(Access::new(offset, width).unwrap(), value);
        assert_eq!(words.map(|word| (word.offset, word.over(0x1122))).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_read_takes_what_is_shadowed_from_the_shadow_and_the_rest_from_the_hardware() {
        let shadow = |offset| (offset == 0x10).then_some(0x1122);
        let hardware = |piece: Access| 0x9988 >> (8 * (piece.offset() & 1)) & piece.width().mask();
        let at = |offset, width| read(Access::new(offset, width).unwrap(), shadow, hardware);
        assert_eq!(at(0x10, Width::Dword), 0x9988_1122);
        assert_eq!((at(0x11, Width::Byte), at(0x13, Width::Byte)), (0x11, 0x99));
    }
}
