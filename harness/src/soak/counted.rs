//! Memory slots, counted: what a machine has left in its hypervisor shows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use vmm_core::map::memory::HostMemory;
use vmm_core::map::space::Slot;
use vmm_core::map::space::SlotError;
use vmm_core::map::space::Slots;

/// The slots of a hypervisor, and how many of them are held.
pub struct Counted {
    inner: Arc<dyn Slots>,
    here: AtomicUsize,
}

impl Counted {
    /// Counts what is put into these slots from now on.
    pub fn over(inner: Arc<dyn Slots>) -> Arc<Self> {
        Arc::new(Self { inner, here: AtomicUsize::new(0) })
    }

    /// How many are held.
    pub fn here(&self) -> usize {
        self.here.load(Ordering::SeqCst)
    }
}

impl Slots for Counted {
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError> {
        let slot = self.inner.insert(at, memory)?;
        self.here.fetch_add(1, Ordering::SeqCst);
        Ok(slot)
    }

    fn remove(&self, slot: Slot) {
        self.inner.remove(slot);
        self.here.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Counted({})", self.here())
    }
}
