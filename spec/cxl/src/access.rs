//! A register access: where and how wide, parsed once at the edge.
//!
//! Below the edge nobody checks a size or an alignment again: a [`Width`] is 1, 2, 4 or 8 bytes and an
//! [`Access`] is naturally aligned, or it does not exist.

/// How many bytes an access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes, the width of most CXL registers.
    Dword,
    /// Eight bytes.
    Qword,
}

impl Width {
    /// All widths, widest first.
    pub const ALL: [Self; 4] = [Self::Qword, Self::Dword, Self::Word, Self::Byte];

    /// The width of this many bytes, if there is one.
    pub const fn of(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// The number of bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// The bits that an access of this width moves, from bit 0.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Byte => 0xff,
            Self::Word => 0xffff,
            Self::Dword => 0xffff_ffff,
            Self::Qword => u64::MAX,
        }
    }

    /// The first [`bytes`](Self::bytes) of a little-endian number, for copying into a buffer.
    pub fn to_bytes(self, value: u64) -> ([u8; 8], usize) {
        (value.to_le_bytes(), self.bytes() as usize)
    }
}

/// A naturally aligned access of 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    offset: u64,
    width: Width,
}

impl Access {
    /// The access of `width` at `offset`; nothing if the offset is not a multiple of the width.
    pub const fn new(offset: u64, width: Width) -> Option<Self> {
        if offset.is_multiple_of(width.bytes()) { Some(Self { offset, width }) } else { None }
    }

    /// The aligned dword that holds the byte at `offset`.
    pub const fn dword_around(offset: u64) -> Self {
        Self { offset: offset & !3, width: Width::Dword }
    }

    /// Where the access begins.
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// How wide it is.
    pub const fn width(self) -> Width {
        self.width
    }

    /// The first offset behind the access.
    pub const fn end(self) -> u64 {
        // A multiple of the width plus the width cannot pass 2^64, except at its very end, which is 0 there.
        self.offset.wrapping_add(self.width.bytes())
    }

    /// The same access seen from a block that begins at `origin`, if it is still aligned there.
    pub const fn relative_to(self, origin: u64) -> Option<Self> {
        match self.offset.checked_sub(origin) {
            Some(offset) => Self::new(offset, self.width),
            None => None,
        }
    }

    /// The aligned accesses, at most `widest` each, that together move `length` bytes from `offset`.
    ///
    /// This is how a bus bridge and the kernel's region I/O take a long or crooked transfer apart. Nothing is
    /// yielded past the end of the 64-bit space.
    ///
    /// ```
    /// use cxl_spec::access::Access;
    /// use cxl_spec::access::Width;
    ///
    /// // Seven bytes from offset 3 on, by a bus that has no more than dwords.
    /// let parts = Access::split(3, 7, Width::Dword);
    /// let parts: Vec<_> = parts.map(|part| (part.offset(), part.width().bytes())).collect();
    /// assert_eq!(parts, [(3, 1), (4, 4), (8, 2)]);
    /// ```
    pub fn split(offset: u64, length: u64, widest: Width) -> Split {
        Split { offset, left: length, widest }
    }
}

/// The iterator that [`Access::split`] gives.
#[derive(Clone, Debug)]
pub struct Split {
    offset: u64,
    left: u64,
    widest: Width,
}

impl Iterator for Split {
    type Item = Access;

    fn next(&mut self) -> Option<Access> {
        let fits = |width: &Width| *width <= self.widest && width.bytes() <= self.left;
        let access = Width::ALL.into_iter().filter(fits).find_map(|width| Access::new(self.offset, width))?;
        let bytes = access.width.bytes();
        self.left = self.left.saturating_sub(bytes);
        match self.offset.checked_add(bytes) {
            Some(next) => self.offset = next,
            None => self.left = 0,
        }
        Some(access)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn shape(offset: u64, length: u64, widest: Width) -> Vec<(u64, u64)> {
        Access::split(offset, length, widest)
            .map(|access| (access.offset(), access.width().bytes()))
            .collect()
    }

    #[test]
    fn three_bytes_are_no_width() {
        assert_eq!(Width::of(3), None);
    }

    #[test]
    fn an_unaligned_access_cannot_be_made() {
        assert_eq!(Access::new(2, Width::Dword), None);
    }

    #[test]
    fn a_crooked_transfer_is_split_at_the_natural_boundaries() {
        assert_eq!(shape(0xffd, 8, Width::Qword), [(0xffd, 1), (0xffe, 2), (0x1000, 4), (0x1004, 1)]);
    }

    #[test]
    fn no_piece_is_wider_than_allowed() {
        assert_eq!(shape(0, 8, Width::Dword), [(0, 4), (4, 4)]);
    }

    #[test]
    fn a_transfer_past_the_end_of_the_space_stops_there() {
        assert_eq!(shape(u64::MAX - 1, 64, Width::Qword), [(u64::MAX - 1, 2)]);
    }

    #[test]
    fn a_block_at_an_odd_origin_does_not_see_an_aligned_dword() {
        let access = Access::new(8, Width::Dword).unwrap();
        assert_eq!(access.relative_to(2), None);
        assert_eq!(access.relative_to(4), Access::new(4, Width::Dword));
        assert_eq!(access.relative_to(12), None);
    }

    /// All lengths from all places of a page's end and of the space's end, in all widths.
    #[test]
    #[cfg(not(miri))]
    fn every_short_transfer_is_split_into_aligned_pieces_that_are_the_transfer() {
        for (start, length, widest) in (0..40)
            .chain(u64::MAX - 40..=u64::MAX)
            .flat_map(|start| (0..40).map(move |length| (start, length)))
            .flat_map(|(start, length)| Width::ALL.map(|widest| (start, length, widest)))
        {
            let mut at = u128::from(start);
            for access in Access::split(start, length, widest) {
                assert_eq!(u128::from(access.offset()), at);
                assert!(access.width() <= widest && access.offset() % access.width().bytes() == 0);
                at += u128::from(access.width().bytes());
            }
            assert_eq!(at, (u128::from(start) + u128::from(length)).min(1 << 64), "{start} {length}");
        }
    }

    #[test]
    fn every_number_of_bytes_is_a_width_or_none_and_its_mask_has_as_many_bytes() {
        for bytes in 0..=256 {
            let width = Width::of(bytes);
            assert_eq!(width.is_some(), [1, 2, 4, 8].contains(&bytes));
            assert!(width.is_none_or(|width| width.bytes() == bytes));
            assert!(width.is_none_or(|width| u128::from(width.mask()) == (1 << (8 * bytes)) - 1));
        }
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_transfer(offset in 0u64..64, length in 0u64..64) {
            let mut at = offset;
            for access in Access::split(offset, length, Width::Qword) {
                prop_assert_eq!(access.offset(), at);
                at = access.end();
            }
            prop_assert_eq!(at, offset + length);
        }
    }
}
