//! What decides how a life goes: a seed, or the bytes of a fuzzer, which end.

use std::ops::Range;

use fastrand::Rng;

/// Something that chooses. Bytes that have run out choose the first of everything, so such a life ends soon.
#[derive(Debug)]
pub(super) enum Dice {
    /// All follows from a seed.
    Seeded(Rng),
    /// Each choice takes some of these bytes, from the last to the first.
    Bytes(Vec<u8>),
}

impl Dice {
    /// Dice that fall as this seed has it.
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded(Rng::with_seed(seed))
    }

    /// A number of the range; its start if the range is empty.
    pub(super) fn below(&mut self, range: Range<u64>) -> u64 {
        let Some(last) = range.end.checked_sub(range.start).and_then(|size| size.checked_sub(1)) else {
            return range.start;
        };
        match self {
            Self::Seeded(rng) => rng.u64(range),
            Self::Bytes(bytes) => {
                // As many bytes as the range needs.
                let wanted = (u64::BITS - last.leading_zeros()).div_ceil(8) as usize;
                let kept = bytes.len().saturating_sub(wanted);
                let value = bytes.drain(kept..).fold(0u64, |value, byte| value << 8 | u64::from(byte));
                range.start + last.checked_add(1).map_or(value, |size| value % size)
            }
        }
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        match self {
            Self::Seeded(rng) => rng.u64(..),
            Self::Bytes(_) => self.below(0..u64::MAX),
        }
    }

    /// True or false.
    pub(super) fn bool(&mut self) -> bool {
        self.below(0..2) == 1
    }

    /// One of them; nothing if there are none.
    pub(super) fn choice<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let index = self.below(0..all.len() as u64);
        all.get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_choose_within_the_range_and_end_in_firsts() {
        let mut dice = Dice::Bytes(vec![9, 1, 0x34, 0x12, 5]);
        assert_eq!(dice.below(10..13), 12);
        assert_eq!(dice.below(0..0x1_0000), 0x3412);
        assert!(dice.bool());
        assert_eq!(dice.choice(&[7, 8]), Some(8));
        assert_eq!((dice.below(3..9), dice.bool(), dice.any()), (3, false, 0));
        assert_eq!(dice.choice::<u8>(&[]), None);
    }

    #[test]
    fn a_seed_decides_everything() {
        let throw = |seed| {
            let mut dice = Dice::seeded(seed);
            (dice.below(0..1000), dice.any(), dice.choice(&[1, 2, 3]))
        };
        assert_eq!(throw(7), throw(7));
        assert_ne!(throw(7), throw(8));
    }
}
