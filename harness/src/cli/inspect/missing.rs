//! What is missing for vfio-cxl at a device that the kernel shows without it, from what can be seen.
//!
//! The kernel says no more than that its flag is clear. What the hardware says in its configuration space and in its
//! BAR tells whether it is the device, its firmware, or the kernel.

use cxl_spec::dvsec::device;
use cxl_spec::dvsec::id;
use vfio_abi::info::region;
use vmm_core::backend::BackendError;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::hardware::Hardware;
use vmm_core::discover::hardware::hardware;

/// What is missing, a sentence each; nothing where vfio-cxl is there.
pub(super) fn without_vfio_cxl(backend: &Shared, inventory: &Inventory) -> Vec<String> {
    if inventory.cxl.is_some() {
        return Vec::new();
    }
    let Some(dvsec) = inventory.config.cxl_dvsec(id::DEVICE) else {
        return vec![
            "it has no CXL device DVSEC: it is no CXL device, or its link came up as PCI Express (see the port's \
             flex bus status)"
                .to_owned(),
        ];
    };
    let mut missing = Vec::new();
    match dvsec_word(backend, dvsec) {
        Ok(control) if !control.mem_enable() => missing.push(
            "CXL.mem is off in its DVSEC: firmware has not turned the memory on, which kernels need"
                .to_owned(),
        ),
        Ok(_) => {}
        Err(error) => missing.push(format!("its DVSEC does not answer: {error}")),
    }
    match hardware(backend, inventory) {
        Ok(Some(found)) => missing.extend(of_decoders(&found)),
        Ok(None) => missing.push(
            "its Register Locator lists no component block that lies in a BAR: the kernel finds no HDM decoder"
                .to_owned(),
        ),
        Err(error) => missing.push(format!("its component block does not answer: {error}")),
    }
    if missing.is_empty() {
        missing.push(
            "the device has what vfio-cxl needs, so the kernel has no vfio-cxl for it: CONFIG_VFIO_CXL_CORE in \
             kernels of April 2026 (v2), CONFIG_VFIO_PCI_CXL in those of June (v3), the module vfio-cxl in newer \
             ones (next); and no module parameter that turns it off"
                .to_owned(),
        );
    }
    missing
}

fn dvsec_word(backend: &Shared, dvsec: u64) -> Result<device::Control, BackendError> {
    let mut bytes = [0; 2];
    backend.lock().read(region::CONFIG, dvsec.saturating_add(device::CONTROL), &mut bytes)?;
    Ok(device::Control::new(u16::from_le_bytes(bytes)))
}

/// What is missing of the decoders.
fn of_decoders(found: &Hardware) -> Vec<String> {
    let mut missing = Vec::new();
    let first = found.decoders.first().map(|decoder| decoder.control);
    if !first.is_some_and(|control| control.committed()) {
        missing.push(
            "decoder 0 is not committed: firmware has not put the memory anywhere, and kernels of April and June 2026 \
             take only what firmware has committed (a setting of the firmware: CXL memory, or special purpose memory)"
                .to_owned(),
        );
    }
    if found.decoders.len() > 1 {
        let count = found.decoders.len();
        missing.push(format!("it has {count} decoders: kernels since June 2026 take devices with one"));
    }
    if first.is_some_and(|control| control.interleave_ways().value() > 0) {
        missing.push("decoder 0 interleaves: kernels take devices that do not".to_owned());
    }
    missing
}
