//! Placing things one behind the other: arithmetic and nothing else.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

/// A run of addresses that is used up from its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    next: u64,
    end: u64,
}

impl Cursor {
    /// The addresses from `start` to `end`, the last not included.
    pub(super) fn new(start: u64, end: u64) -> Self {
        Self { next: start, end }
    }

    /// The first free `size` bytes at a multiple of `alignment`; nothing if they do not fit.
    pub(super) fn place(&mut self, size: u64, alignment: u64) -> Option<Span<Gpa>> {
        let start = self.next.checked_next_multiple_of(alignment)?;
        let end = start.checked_add(size).filter(|end| *end <= self.end)?;
        let span = Span::new(Gpa::new(start), size)?;
        self.next = end;
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_is_not_placed_and_takes_nothing() {
        let mut cursor = Cursor::new(0x1000, 0x3000);
        assert_eq!(cursor.place(0x1001, 0x1000).map(|span| span.start().get()), Some(0x1000));
        assert_eq!(cursor.place(0x1000, 0x1000), None);
        assert_eq!(cursor.place(0xfff, 1).map(|span| span.end().get()), Some(0x3000));
    }

    #[test]
    fn sums_beyond_the_address_space_do_not_fit() {
        assert_eq!(Cursor::new(u64::MAX - 5, u64::MAX).place(16, 16), None);
        assert_eq!(Cursor::new(16, u64::MAX).place(u64::MAX, 1), None);
        assert_eq!(Cursor::new(16, u64::MAX).place(0, 1), None);
    }

    proptest! {
        #[test]
        fn what_is_placed_is_aligned_inside_and_apart(
            sizes in prop::collection::vec((1u64..1 << 20, 0u32..20), 0..30)
        ) {
            let mut cursor = Cursor::new(0x1234, 1 << 22);
            let mut end = 0x1234;
            for (size, shift) in sizes {
                if let Some(span) = cursor.place(size, 1 << shift) {
                    prop_assert!(span.start().get() >= end && span.start().get().is_multiple_of(1 << shift));
                    prop_assert_eq!(span.size(), size);
                    end = span.end().get();
                    prop_assert!(end <= 1 << 22);
                }
            }
        }
    }
}
