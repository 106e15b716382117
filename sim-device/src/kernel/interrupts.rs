//! What the kernel does with the interrupts of a device, for a user that may not reach them itself.
//!
//! - **The MSI-X capability is the kernel's.** A user's writes to it go nowhere, and the enable bit tells whether
//!   the user has attached events.
//! - **So is the table.** Read through the region it is all ones, and writes to it go nowhere. A vector that has
//!   no event is masked in the hardware: signalled then, it is pending, and it is signalled again once it has one.
//! - The pending bits are the hardware's, and can be read.

use std::ops::Range;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::ras;
use cxl_spec::pci::msix;

use super::Kernel;
use crate::silicon::Effect;
use crate::silicon::RasError;
use crate::silicon::Silicon;
use crate::silicon::config;

/// Where the MSI-X table is in its BAR.
pub(super) fn table(silicon: &Silicon, bar: u8) -> Range<u64> {
    let vectors = u64::from(silicon.profile().profile().interrupts.msix_vectors);
    if bar == 0 { 0..vectors.saturating_mul(msix::ENTRY_SIZE) } else { 0..0 }
}

/// Whether an access to configuration space is one to the MSI-X capability.
pub(super) fn is_msix(access: Access) -> bool {
    config::MSIX < access.end() && access.offset() < config::MSIX.saturating_add(msix::SIZE)
}

impl Kernel {
    /// MSI-X is on while a user has attached an event to one of its vectors.
    pub(crate) fn turn_msix(&mut self, on: bool) {
        let control = self.silicon.config().msix();
        let at = Access::new(config::MSIX.saturating_add(msix::MESSAGE_CONTROL), Width::Word);
        if let Some(access) = at.filter(|_| control.enable() != on) {
            // The hardware does nothing but keep the bit.
            self.silicon.config_write(access, control.with_enable(on).raw().into());
        }
    }

    /// The error that a broken device has when a copy ends. The host's CXL driver has unmasked all of them before.
    pub(super) fn error_at_copy(&mut self) -> Vec<Effect> {
        let profile = self.silicon.profile().profile();
        let Some(error) = profile.faults.ras_error_at_copy else { return Vec::new() };
        let component = &profile.component;
        let at = component.offset.0.saturating_add(CACHEMEM_OFFSET).saturating_add(component.ras.0);
        let bar = component.bar;
        for mask in [ras::UNCORRECTABLE_MASK, ras::CORRECTABLE_MASK] {
            let access = Access::dword_around(at.saturating_add(mask));
            self.silicon.bar_write(bar, access, 0);
        }
        self.silicon.inject(RasError::with_sample_header(error))
    }

    /// A vector that is masked was signalled.
    pub(crate) fn pends(&mut self, vector: u16) {
        self.silicon.set_pending(vector, true);
    }

    /// Whether a vector that is not masked any more was pending.
    pub(crate) fn take_pending(&mut self, vector: u16) -> bool {
        let pending = self.silicon.is_pending(vector);
        self.silicon.set_pending(vector, false);
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ABIS;
    use crate::profile::Profile;

    fn kernels() -> impl Iterator<Item = Kernel> {
        ABIS.iter().map(|abi| {
            let silicon = Silicon::power_on(Profile::default().check().unwrap()).unwrap();
            let mut kernel = Kernel::bind(silicon, abi).unwrap();
            kernel.open();
            kernel
        })
    }

    fn read(kernel: &Kernel, region: u32, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        kernel.read(region, offset, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn a_user_does_not_turn_msix_on_by_the_capability() {
        for mut kernel in kernels() {
            kernel.write(7, 0x80, &u32::MAX.to_le_bytes()).unwrap();
            kernel.write(7, 0x82, &[0xff, 0xff]).unwrap();
            kernel.write(7, 0x84, &u32::MAX.to_le_bytes()).unwrap();
            assert_eq!((read(&kernel, 7, 0x80), read(&kernel, 7, 0x84)), (0x0007_9011, 0));
            kernel.turn_msix(true);
            kernel.reset();
            assert_eq!(read(&kernel, 7, 0x80), 0x8007_9011, "what is attached stays so over a reset");
            kernel.open();
            assert_eq!(read(&kernel, 7, 0x80), 0x0007_9011);
        }
    }

    #[test]
    fn a_user_reaches_the_pending_bits_and_not_the_table() {
        for mut kernel in kernels() {
            kernel.write(0, 0, &[0; 16]).unwrap();
            kernel.write(0, 0x7c, &[0; 4]).unwrap();
            assert_eq!((read(&kernel, 0, 0xc), read(&kernel, 0, 0x7c), read(&kernel, 0, 0x80)), (!0, !0, 0));
            let masked = kernel.silicon().bar_read(0, Access::new(0xc, Width::Dword).unwrap());
            assert_eq!(masked, 1, "the hardware's own is as it was");
            kernel.pends(3);
            assert_eq!(read(&kernel, 0, 0x8000), 8);
            assert_eq!((kernel.take_pending(3), kernel.take_pending(3)), (true, false));
            assert_eq!(read(&kernel, 0, 0x8000), 0);
        }
    }
}
