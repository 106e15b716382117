//! Circular queues: indices with a wrap bit above them.
//!
//! ```text
//!  PROD == CONS                    empty
//!  same index, other wrap bit      full
//!  next index                      plus one, from the last entry to the first with the wrap bit turned over
//! ```

use super::register::QueueBase;

/// Where a queue is, and how many entries it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    address: u64,
    entry: u64,
    log2: u32,
}

impl Queue {
    /// The queue that a register describes: entries of `entry` bytes, at most two to the power of `most` of them.
    pub(super) fn new(register: QueueBase, entry: u64, most: u8) -> Self {
        let log2 = u32::from(register.log2size().value().min(most).min(19));
        // The base is aligned to the whole queue, whatever is written.
        let address = register.addr().get() << 5 & !((entry << log2).wrapping_sub(1));
        Self { address, entry, log2 }
    }

    /// The bits of an index with its wrap bit.
    fn mask(self) -> u32 {
        (2 << self.log2) - 1
    }

    /// Whether there is nothing to read.
    pub(super) fn is_empty(self, prod: u32, cons: u32) -> bool {
        (prod ^ cons) & self.mask() == 0
    }

    /// Whether there is no room to write.
    pub(super) fn is_full(self, prod: u32, cons: u32) -> bool {
        (prod ^ cons) & self.mask() == 1 << self.log2
    }

    /// The index behind one.
    pub(super) fn next(self, index: u32) -> u32 {
        (index & self.mask()).wrapping_add(1) & self.mask()
    }

    /// Where an entry is.
    pub(super) fn at(self, index: u32) -> u64 {
        let number = u64::from(index & (self.mask() >> 1));
        // An address of 52 bits and a queue of at most 2^24 bytes below its alignment.
        self.address | (number * self.entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use arbitrary_int::u5;
    use proptest::prelude::*;

    use super::*;
    use crate::smmu::bits::Bits;

    fn queue(log2: u8) -> Queue {
        let base = QueueBase::new(0).with_log2size(u5::new(log2)).with_addr(Bits::masked(0x10_0000 >> 5));
        Queue::new(base, 32, 19)
    }

    #[test]
    fn a_queue_of_one_entry_is_full_with_one() {
        let queue = queue(0);
        assert!(queue.is_empty(0, 0) && queue.is_empty(1, 1));
        assert!(queue.is_full(1, 0) && queue.is_full(0, 1));
        assert_eq!((queue.next(0), queue.next(1)), (1, 0));
        assert_eq!((queue.at(0), queue.at(1)), (0x10_0000, 0x10_0000));
    }

    #[test]
    fn a_base_is_aligned_to_the_whole_queue() {
        let base = QueueBase::new(0x1000_0fe0 | 7);
        assert_eq!(Queue::new(base, 16, 19).at(0), 0x1000_0800, "128 entries of 16 bytes");
        assert_eq!(Queue::new(base, 16, 3).at(0), 0x1000_0f80, "no more entries than there may be");
        assert_eq!(Queue::new(base, 16, 3).at(9), 0x1000_0f90);
    }

    #[test]
    fn the_longest_queue_is_counted_in_20_bits() {
        let queue = Queue::new(QueueBase::new(0x1f), 16, 31);
        assert!(queue.is_full(0x8_0000, 0) && queue.is_empty(0xf_ffff, 0xf_ffff));
        assert_eq!((queue.next(0xf_ffff), queue.at(0xf_ffff)), (0, 0x7f_fff0));
    }

    proptest! {
        #[test]
        fn indices_behave_as_a_queue_of_the_model(
            log2 in 0u8..5,
            begin in any::<u32>(),
            puts in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let queue = queue(log2);
            let mut model: VecDeque<u64> = VecDeque::new();
            let (mut prod, mut cons) = (queue.next(begin), queue.next(begin));
            for put in puts {
                prop_assert_eq!(queue.is_empty(prod, cons), model.is_empty());
                prop_assert_eq!(queue.is_full(prod, cons), model.len() == 1 << log2);
                if put && !queue.is_full(prod, cons) {
                    prop_assert!(!model.contains(&queue.at(prod)), "an entry that is not read yet is written");
                    model.push_back(queue.at(prod));
                    prod = queue.next(prod);
                } else if !put && !queue.is_empty(prod, cons) {
                    prop_assert_eq!(Some(queue.at(cons)), model.pop_front());
                    cons = queue.next(cons);
                }
            }
        }
    }
}
