//! Placing things one behind the other: arithmetic and nothing else. Every place comes with its reason.

use std::fmt;

use cxl_spec::address::Address;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::PlanError;

/// Why something is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The layout of the machine has it there, whatever else there is.
    Fixed(&'static str),
    /// It is at the first multiple behind something.
    Behind {
        /// What is before it.
        what: String,
        /// What its address is a multiple of.
        alignment: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(layout) => write!(out, "fixed: {layout}"),
            Self::Behind { what, alignment } => {
                write!(out, "the first multiple of {alignment:#x} behind {what}")
            }
        }
    }
}

/// A run of addresses that is used up from its start.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    next: u64,
    end: u64,
    /// What is before the next place.
    before: String,
}

impl Cursor {
    /// The addresses from `start` to `end`, the last not included. `before` says what `start` is.
    pub(super) fn new(start: u64, end: u64, before: &str) -> Self {
        Self { next: start, end, before: before.to_owned() }
    }

    /// The first free `size` bytes at a multiple of `alignment`, for something of this name.
    ///
    /// # Errors
    /// If they do not fit; nothing is taken then.
    pub(super) fn place(
        &mut self,
        name: &str,
        size: u64,
        alignment: u64,
    ) -> Result<(Span<Gpa>, Reason), PlanError> {
        let span = self.fit(size, alignment);
        let span = span.ok_or_else(|| PlanError::NoRoom { name: name.to_owned(), size, limit: self.end })?;
        self.next = span.end().get();
        let what = std::mem::replace(&mut self.before, name.to_owned());
        Ok((span, Reason::Behind { what, alignment }))
    }

    /// Leaves out what is before the next multiple of `alignment`. Where the addresses end in between, nothing is
    /// left of them.
    pub(super) fn skip_to(&mut self, alignment: u64) -> Gpa {
        self.next = self.next.checked_next_multiple_of(alignment).unwrap_or(self.end).min(self.end);
        Gpa::at(self.next)
    }

    /// What is left.
    pub(super) fn rest(&self) -> Option<Span<Gpa>> {
        Span::new(Gpa::new(self.next), self.end.saturating_sub(self.next))
    }

    /// The end of the addresses.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    fn fit(&self, size: u64, alignment: u64) -> Option<Span<Gpa>> {
        let start = self.next.checked_next_multiple_of(alignment)?;
        start.checked_add(size).filter(|end| *end <= self.end)?;
        Span::new(Gpa::new(start), size)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(cursor: &mut Cursor, size: u64, alignment: u64) -> Option<(u64, u64)> {
        let (span, _) = cursor.place("x", size, alignment).ok()?;
        Some((span.start().get(), span.end().get()))
    }

    #[test]
    fn what_does_not_fit_is_not_placed_and_takes_nothing() {
        let mut cursor = Cursor::new(0x1000, 0x3000, "the start");
        assert_eq!(placed(&mut cursor, 0x1001, 0x1000), Some((0x1000, 0x2001)));
        let error = cursor.place("bar", 0x1000, 0x1000).unwrap_err().to_string();
        assert_eq!(error, "bar: no place for 0x1000 bytes below 0x3000");
        assert_eq!(placed(&mut cursor, 0xfff, 1), Some((0x2001, 0x3000)));
        assert_eq!(cursor.rest(), None);
    }

    #[test]
    fn a_place_says_what_it_is_behind() {
        let mut cursor = Cursor::new(0x1000, 0x9000, "RAM");
        let mut reason = |name| cursor.place(name, 0x10, 0x1000).unwrap().1.to_string();
        assert_eq!(reason("a"), "the first multiple of 0x1000 behind RAM");
        assert_eq!(reason("b"), "the first multiple of 0x1000 behind a");
    }

    #[test]
    fn sums_beyond_the_address_space_do_not_fit() {
        assert_eq!(placed(&mut Cursor::new(u64::MAX - 5, u64::MAX, ""), 16, 16), None);
        assert_eq!(placed(&mut Cursor::new(16, u64::MAX, ""), u64::MAX, 1), None);
        assert_eq!(placed(&mut Cursor::new(16, u64::MAX, ""), 0, 1), None);
    }

    #[test]
    fn what_is_left_out_is_not_placed_in() {
        let mut cursor = Cursor::new(0x1001, 0x2800, "");
        assert_eq!(cursor.skip_to(0x1000), Gpa::new(0x2000));
        assert_eq!(placed(&mut cursor, 0x10, 1), Some((0x2000, 0x2010)));
        assert_eq!(cursor.skip_to(0x1000), Gpa::new(0x2800), "there is no such multiple");
        assert_eq!(placed(&mut cursor, 1, 1), None);
    }

    proptest! {
        #[test]
        fn what_is_placed_is_aligned_inside_and_apart(
            sizes in prop::collection::vec((1u64..1 << 20, 0u32..20), 0..30)
        ) {
            let mut cursor = Cursor::new(0x1234, 1 << 22, "");
            let mut end = 0x1234;
            for (size, shift) in sizes {
                if let Ok((span, _)) = cursor.place("x", size, 1 << shift) {
                    prop_assert!(span.start().get() >= end && span.start().get().is_multiple_of(1 << shift));
                    prop_assert_eq!(span.size(), size);
                    end = span.end().get();
                    prop_assert!(end <= 1 << 22);
                }
            }
        }
    }
}
