//! SMMUs of a machine: shared by the guest, who programs them, and by the devices, whose accesses they translate.
//!
//! An access is translated each time. Nothing is mirrored into a device, so an invalidation needs nothing more than
//! what the SMMU does itself. Interrupts of an SMMU go nowhere yet; software finds out by reading its queues.

use std::sync::Arc;

use cxl_spec::access::Access;
use cxl_spec::address::Iova;
use parking_lot::Mutex;
use vfio_abi::errno::Errno;

use super::dma::Pieces;
use crate::backend::DmaMemory;
use crate::smmu::Features;
use crate::smmu::Memory;
use crate::smmu::Operation;
use crate::smmu::Smmu;

/// An SMMU and the RAM that its tables are in. Nobody calls a device while he holds it.
#[derive(Debug)]
pub(crate) struct Unit {
    smmu: Mutex<Smmu>,
    ram: Arc<Pieces>,
}

impl Unit {
    /// An SMMU after reset, in a machine with this RAM.
    pub(crate) fn new(ram: Arc<Pieces>) -> Self {
        Self { smmu: Mutex::new(Smmu::new(Features::default())), ram }
    }

    /// The guest reads registers.
    pub(crate) fn read(&self, access: Access) -> u64 {
        self.smmu.lock().read(access)
    }

    /// The guest writes registers.
    pub(crate) fn write(&self, access: Access, value: u64) {
        self.smmu.lock().write(&*self.ram, access, value);
    }
}

/// What one device reaches through an SMMU.
#[derive(Debug)]
pub(crate) struct Translated {
    unit: Arc<Unit>,
    /// The device's requester ID.
    stream: u32,
    /// What is behind the SMMU's output addresses for this device.
    reach: Arc<Pieces>,
}

impl Translated {
    /// The device with this requester ID reaches so much through the SMMU.
    pub(crate) fn new(unit: Arc<Unit>, stream: u32, reach: Arc<Pieces>) -> Self {
        Self { unit, stream, reach }
    }

    /// Calls `done` with each run of bytes that is translated alike: its guest address, and which bytes.
    fn each(
        &self,
        at: Iova,
        length: usize,
        operation: Operation,
        mut done: impl FnMut(cxl_spec::address::Gpa, std::ops::Range<usize>) -> Option<()>,
    ) -> Result<(), Errno> {
        let mut from = 0;
        while from < length {
            let iova = at.checked_add(from as u64).ok_or(Errno::EFAULT)?;
            let translated = self.unit.smmu.lock().translate(&*self.unit.ram, self.stream, iova, operation);
            let translated = translated.map_err(|_| Errno::EFAULT)?;
            let left = length.saturating_sub(from);
            let count = usize::try_from(translated.length).map_or(left, |alike| alike.min(left)).max(1);
            done(translated.address, from..from.saturating_add(count)).ok_or(Errno::EFAULT)?;
            from = from.saturating_add(count);
        }
        Ok(())
    }
}

impl DmaMemory for Translated {
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        let length = buffer.len();
        self.each(at, length, Operation::Read, |from, bytes| {
            self.reach.read(from, buffer.get_mut(bytes)?).ok()
        })
    }

    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        self.each(at, data.len(), Operation::Write, |to, bytes| self.reach.write(to, data.get(bytes)?).ok())
    }
}

#[cfg(test)]
mod tests;
