//! Values of as many bits as a field has, for widths that the register types of `cxl-spec` do not bring.

use cxl_spec::register::Value;

/// A number of at most `N` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bits<const N: u32>(u64);

impl<const N: u32> Bits<N> {
    /// The bits that fit.
    const MASK: u64 = u64::MAX >> (64 - N);

    /// The low bits of a number.
    pub const fn masked(number: u64) -> Self {
        Self(number & Self::MASK)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const N: u32> Value for Bits<N> {
    const BITS: u32 = N;

    fn from_bits(bits: u64) -> Self {
        Self::masked(bits)
    }

    fn into_bits(self) -> u64 {
        self.0
    }
}
