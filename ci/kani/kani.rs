//! What stands in for Kani's crate where Kani is not: as much of it as the proofs use, to be compiled and not to run.

pub use kani_macros::proof;
pub use kani_macros::unwind;

/// What Kani can take every value of.
pub trait Arbitrary: Sized {
    /// Every value at once; here none.
    fn any() -> Self {
        unreachable!("only Kani can carry out a proof")
    }
}

impl Arbitrary for bool {}
impl Arbitrary for u8 {}
impl Arbitrary for u16 {}
impl Arbitrary for u32 {}
impl Arbitrary for u64 {}

/// Every value of a type at once.
pub fn any<T: Arbitrary>() -> T {
    T::any()
}

/// Leaves out the values for which this does not hold.
pub fn assume(holds: bool) {
    let _ = holds;
}
