//! Addresses of different spaces, which do not mix, and spans of them.
//!
//! A CXL memory access changes its number several times: the guest knows a guest physical address, the host a
//! host physical one, the device its own. Each has a type, so that handing one where another belongs does not
//! compile. All arithmetic on them is checked.

use core::fmt;

/// What all address types can do: be read as a number and be made from one.
pub trait Address: Copy + Ord + fmt::Display {
    /// The address as a plain number.
    fn get(self) -> u64;
    /// The address with this number.
    fn at(number: u64) -> Self;
}

macro_rules! address {
    ($($(#[$meta:meta])* $name:ident;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(u64);

            impl $name {
                /// The address with this number.
                pub const fn new(number: u64) -> Self {
                    Self(number)
                }

                /// The address as a plain number.
                pub const fn get(self) -> u64 {
                    self.0
                }

                /// The address `bytes` further on, unless that is past the end of the space.
                pub fn checked_add(self, bytes: u64) -> Option<Self> {
                    self.0.checked_add(bytes).map(Self)
                }

                /// How many bytes `self` lies behind `origin`; nothing if it lies before it.
                pub fn offset_from(self, origin: Self) -> Option<u64> {
                    self.0.checked_sub(origin.0)
                }
            }

            impl Address for $name {
                fn get(self) -> u64 {
                    self.0
                }

                fn at(number: u64) -> Self {
                    Self(number)
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(out, "{:#x}", self.0)
                }
            }
        )*
    };
}

address! {
    /// Host physical address: what host firmware programmed into the decoders.
    Hpa;
    /// Device physical address: an offset into the memory that the device itself carries.
    Dpa;
    /// Guest physical address: what a virtual machine takes for a physical one.
    Gpa;
    /// I/O virtual address: what the device puts on the link when it does DMA.
    Iova;
}

/// A non-empty run of addresses that does not wrap.
///
/// ```
/// use cxl_spec::address::Gpa;
/// use cxl_spec::address::Span;
///
/// let window = Span::new(Gpa::new(0x1_1000_0000), 256 << 20).ok_or("it has bytes")?;
/// assert!(window.contains(Gpa::new(0x1_1fff_ffff)) && !window.contains(window.end()));
/// assert_eq!(window.offset_of(Gpa::new(0x1_1000_1000)), Some(0x1000));
/// assert_eq!(Span::new(Gpa::new(u64::MAX), 2), None);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span<A> {
    start: A,
    size: u64,
}

impl<A: Address> Span<A> {
    /// `size` bytes from `start`; nothing if that is empty or reaches past the last address.
    pub fn new(start: A, size: u64) -> Option<Self> {
        let last = start.get().checked_add(size.checked_sub(1)?)?;
        (last < u64::MAX).then_some(Self { start, size })
    }

    /// The first address.
    pub fn start(self) -> A {
        self.start
    }

    /// The length in bytes, never 0.
    pub fn size(self) -> u64 {
        self.size
    }

    /// The first address behind the span.
    pub fn end(self) -> A {
        // `new` has shown that the last address is below `u64::MAX`.
        A::at(self.start.get().saturating_add(self.size))
    }

    /// Whether `address` lies inside.
    pub fn contains(self, address: A) -> bool {
        self.start <= address && address < self.end()
    }

    /// Whether `size` bytes from `address` all lie inside.
    pub fn covers(self, address: A, size: u64) -> bool {
        self.offset_of(address).is_some_and(|offset| size <= self.size.saturating_sub(offset))
    }

    /// How far behind the start an inside `address` lies.
    pub fn offset_of(self, address: A) -> Option<u64> {
        self.contains(address).then(|| address.get().saturating_sub(self.start.get()))
    }

    /// Whether the two have a byte in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

impl<A: Address> fmt::Display for Span<A> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "[{}, {})", self.start, self.end())
    }
}

/// Bus, device and function: the name of a PCI function, and its requester ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bdf(u16);

impl Bdf {
    /// The function `function` (0 to 7) of device `device` (0 to 31) on `bus`; nothing outside these bounds.
    pub const fn new(bus: u8, device: u8, function: u8) -> Option<Self> {
        if device < 32 && function < 8 {
            Some(Self((bus as u16) << 8 | (device as u16) << 3 | function as u16))
        } else {
            None
        }
    }

    /// The 16-bit requester ID: bus, device and function from the top.
    pub const fn requester_id(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Bdf {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:02x}:{:02x}.{}", self.0 >> 8, (self.0 >> 3) & 0x1f, self.0 & 7)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn span(start: u64, size: u64) -> Span<Gpa> {
        Span::new(Gpa::new(start), size).unwrap()
    }

    #[test]
    fn an_empty_span_cannot_be_made() {
        assert_eq!(Span::new(Gpa::new(0x1000), 0), None);
    }

    #[test]
    fn a_span_that_wraps_cannot_be_made() {
        assert_eq!(Span::new(Gpa::new(u64::MAX - 0xfff), 0x2000), None);
    }

    #[test]
    fn a_span_whose_end_has_no_number_cannot_be_made() {
        assert_eq!(Span::new(Gpa::new(u64::MAX), 1), None);
        assert!(Span::new(Gpa::new(u64::MAX - 1), 1).is_some());
    }

    #[test]
    fn touching_spans_do_not_overlap() {
        assert!(!span(0, 0x1000).overlaps(span(0x1000, 0x1000)));
    }

    #[test]
    fn spans_are_printed_half_open_in_hex() {
        assert_eq!(span(0x1000, 0x20).to_string(), "[0x1000, 0x1020)");
    }

    #[test]
    fn bdf_is_the_requester_id() {
        let bdf = Bdf::new(0x0c, 2, 1).unwrap();
        assert_eq!(bdf.requester_id(), 0x0c11);
        assert_eq!(bdf.to_string(), "0c:02.1");
    }

    #[test]
    fn a_device_number_of_six_bits_is_no_bdf() {
        assert_eq!(Bdf::new(0, 32, 0), None);
        assert_eq!(Bdf::new(0, 0, 8), None);
    }

    /// The numbers beside both ends and the middle of the space.
    fn boundaries() -> impl Iterator<Item = u64> + Clone {
        let around = |middle: u64| (0..7).map(move |beside| middle.wrapping_sub(3).wrapping_add(beside));
        [0, 0x1000, 1 << 63].into_iter().flat_map(around)
    }

    /// All spans between boundaries, with first and last address as numbers that cannot overflow.
    fn spans() -> Vec<(Span<Gpa>, u128, u128)> {
        let pairs = boundaries().flat_map(|start| boundaries().map(move |size| (start, size)));
        let made = pairs.filter_map(|(start, size)| {
            let end = u128::from(start) + u128::from(size);
            let span = Span::new(Gpa::new(start), size);
            assert_eq!(span.is_some(), size > 0 && end < 1 << 64, "{start:#x} {size:#x}");
            span.map(|span| (span, u128::from(start), end))
        });
        made.collect()
    }

    #[test]
    fn every_span_between_boundaries_has_its_end_and_the_addresses_up_to_it() {
        for (span, start, end) in spans() {
            assert_eq!((u128::from(span.start().get()), u128::from(span.end().get())), (start, end));
            for address in boundaries() {
                let offset = u128::from(address).checked_sub(start).filter(|_| u128::from(address) < end);
                assert_eq!(span.offset_of(Gpa::new(address)).map(u128::from), offset, "{span} {address:#x}");
                assert_eq!(span.contains(Gpa::new(address)), offset.is_some(), "{span} {address:#x}");
            }
        }
    }

    #[test]
    #[cfg(not(miri))]
    fn every_pair_of_spans_between_boundaries_overlaps_as_intervals_do() {
        let spans = spans();
        for &(left, left_start, left_end) in &spans {
            for &(right, right_start, right_end) in &spans {
                let common = left_start.max(right_start) < left_end.min(right_end);
                assert_eq!(left.overlaps(right), common, "{left} {right}");
            }
        }
    }

    #[test]
    #[cfg(not(miri))]
    fn every_run_between_boundaries_is_covered_if_no_end_of_it_is_outside() {
        for (span, start, end) in spans() {
            for (from, size) in boundaries().flat_map(|from| boundaries().map(move |size| (from, size))) {
                // A run of no bytes is covered where it begins inside.
                let last = u128::from(from) + u128::from(size.max(1));
                let inside = start <= u128::from(from) && last <= end;
                assert_eq!(span.covers(Gpa::new(from), size), inside, "{span} {from:#x} {size:#x}");
            }
        }
    }

    #[test]
    #[cfg(not(miri))]
    fn every_bus_device_and_function_has_a_requester_id_of_its_own() {
        for id in 0..=u16::MAX {
            let [bus, rest] = id.to_be_bytes();
            assert_eq!(Bdf::new(bus, rest >> 3, rest & 7).map(Bdf::requester_id), Some(id));
        }
    }

    proptest! {
        #[test]
        fn overlap_is_having_a_common_address(a in 0u64..64, m in 1u64..64, b in 0u64..64, n in 1u64..64) {
            let (left, right) = (span(a, m), span(b, n));
            let common = (0..128).map(Gpa::new).any(|at| left.contains(at) && right.contains(at));
            prop_assert_eq!(left.overlaps(right), common);
        }

        #[test]
        fn covering_is_containing_every_byte(a in 0u64..64, m in 1u64..64, b in 0u64..64, n in 1u64..64) {
            let outer = span(a, m);
            let every = (b..b + n).map(Gpa::new).all(|at| outer.contains(at));
            prop_assert_eq!(outer.covers(Gpa::new(b), n), every);
        }
    }
}
