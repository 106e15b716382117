//! Memory slots that exist in memory, for tests.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use parking_lot::Mutex;

use crate::map::memory::HostMemory;
use crate::map::space::Slot;
use crate::map::space::SlotError;
use crate::map::space::Slots;

/// Memory slots that are only counted, and refused from a number on.
#[derive(Debug, Default)]
pub(crate) struct CountedSlots {
    made: AtomicUsize,
    refuse_from: AtomicUsize,
    here: Mutex<BTreeMap<u32, Span<Gpa>>>,
}

impl CountedSlots {
    /// How many slots there are now.
    pub(crate) fn here(&self) -> usize {
        self.here.lock().len()
    }

    /// How many slots were asked for.
    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// Refuses the slot with this number, from 1, and all later ones.
    pub(crate) fn refuse_from(&self, number: usize) {
        self.refuse_from.store(number, Ordering::SeqCst);
    }
}

impl Slots for CountedSlots {
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError> {
        assert_eq!(at.size(), memory.size());
        let number = self.made.fetch_add(1, Ordering::SeqCst) + 1;
        let from = self.refuse_from.load(Ordering::SeqCst);
        if from > 0 && number >= from {
            return Err(SlotError { at, why: "refused".to_owned() });
        }
        let mut here = self.here.lock();
        assert!(here.values().all(|other| !other.overlaps(at)), "two slots overlap");
        here.insert(number as u32, at);
        Ok(Slot(number as u32))
    }

    fn remove(&self, Slot(slot): Slot) {
        assert!(self.here.lock().remove(&slot).is_some(), "a slot is removed once");
    }
}
