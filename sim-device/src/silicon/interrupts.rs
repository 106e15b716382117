//! BAR 0: the MSI-X table in its lower half, the pending bits behind it, and then the [engine](super::engine).
//!
//! The BAR is never offered for mapping: the engine's doorbell must be seen.

use cxl_spec::access::Access;
use cxl_spec::pci::msix;
use cxl_spec::register::Register;

use super::register::Block;
use super::register::UNLOCKED;
use super::reset::Fate;
use crate::profile::Checked;

/// The MSI-X table. No vector is ever pending: they are signalled at once, or lost while masked.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    table: Block,
}

impl Interrupts {
    /// The table after reset: every vector is masked.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let vectors = 0..u64::from(profile.profile().interrupts.msix_vectors);
        let entry = |vector| {
            msix::ENTRY.iter().map(move |register: &Register| register.shifted(vector * msix::ENTRY_SIZE))
        };
        let mut table = Block::new(vectors.clone().flat_map(entry));
        for vector in vectors {
            let masked = msix::VectorControl::new(0).with_mask(true);
            table.set(vector * msix::ENTRY_SIZE + msix::VECTOR_CONTROL, masked.raw());
        }
        Self { table }
    }

    /// The table after a reset.
    pub(super) fn reborn(self, fresh: Self, fate: Fate) -> Self {
        let Self { table } = self;
        Self { table: table.reborn(fresh.table, fate) }
    }

    /// Reads the table; the pending bits and what is between read 0.
    pub(super) fn read(&self, access: Access) -> u64 {
        self.table.read(access)
    }

    /// Writes the table.
    pub(super) fn write(&mut self, access: Access, value: u64) {
        self.table.write(access, value, UNLOCKED);
    }
}
