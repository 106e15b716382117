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
use crate::profile::PENDING_OFFSET;

/// The MSI-X table and the pending bits. Whoever drives the vectors says which are masked.
#[derive(Clone, Debug)]
pub(super) struct Interrupts {
    table: Block,
    pending: Vec<bool>,
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
        let pending = vec![false; profile.profile().interrupts.msix_vectors.into()];
        Self { table, pending }
    }

    /// The table after a reset. Nothing is pending then.
    pub(super) fn reborn(self, fresh: Self, fate: Fate) -> Self {
        let Self { table, pending: _ } = self;
        Self { table: table.reborn(fresh.table, fate), pending: fresh.pending }
    }

    /// Reads the table and the pending bits; what is between reads 0.
    pub(super) fn read(&self, access: Access) -> u64 {
        let Some(inside) = access.relative_to(PENDING_OFFSET) else { return self.table.read(access) };
        let first = usize::try_from(inside.offset()).unwrap_or(usize::MAX).saturating_mul(8);
        let bits = (8 * inside.width().bytes()) as usize;
        let pending = self.pending.iter().skip(first).take(bits).enumerate();
        pending.fold(0, |value, (bit, pending)| value | u64::from(*pending) << bit)
    }

    /// Whether a vector is pending, from now on.
    pub(super) fn set_pending(&mut self, vector: u16, pending: bool) {
        self.pending.get_mut(usize::from(vector)).into_iter().for_each(|bit| *bit = pending);
    }

    /// Whether a vector is pending.
    pub(super) fn is_pending(&self, vector: u16) -> bool {
        self.pending.get(usize::from(vector)).is_some_and(|pending| *pending)
    }

    /// Writes the table.
    pub(super) fn write(&mut self, access: Access, value: u64) {
        self.table.write(access, value, UNLOCKED);
    }
}

#[cfg(test)]
mod tests {
    use cxl_spec::access::Width;

    use super::*;
    use crate::profile::Profile;

    #[test]
    fn a_pending_vector_is_a_bit_behind_the_table_and_no_reset_keeps_it() {
        let profile = Profile::parse("x", "[interrupts]\nmsix_vectors = 70").unwrap().check().unwrap();
        let mut interrupts = Interrupts::power_on(&profile);
        [1, 8, 69, 70].into_iter().for_each(|vector| interrupts.set_pending(vector, true));
        let read = |interrupts: &Interrupts, offset, width| {
            interrupts.read(Access::new(PENDING_OFFSET + offset, width).unwrap())
        };
        assert_eq!(read(&interrupts, 0, Width::Qword), 0x102);
        assert_eq!(read(&interrupts, 1, Width::Byte), 1);
        assert_eq!(read(&interrupts, 8, Width::Qword), 0x20);
        interrupts.set_pending(8, false);
        assert!(!interrupts.is_pending(8) && interrupts.is_pending(1) && !interrupts.is_pending(70));
        let reborn = interrupts.reborn(Interrupts::power_on(&profile), Fate::Fresh);
        assert_eq!(read(&reborn, 0, Width::Qword), 0);
    }
}
