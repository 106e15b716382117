//! What a kernel does for the CXL state of a device around a CXL reset: it saves it before and restores it after.
//!
//! A CXL reset clears the HDM decoders (CXL 3.2, 9.7) and hardware does not bring them back; the kernel writes
//! them as firmware did, register by register, control last.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;
use cxl_spec::dvsec::device;

use super::claim::Claim;
use crate::silicon::Silicon;
use crate::silicon::config::ConfigSpace;
use crate::silicon::config::DEVICE_DVSEC;

/// What was saved.
#[derive(Debug)]
pub(super) struct Saved {
    config: ConfigSpace,
    /// The HDM decoder capability, dword by dword.
    decoders: Vec<(Access, u32)>,
    hdm: u64,
}

impl Saved {
    /// Saves the state of a device.
    pub(super) fn of(silicon: &Silicon, claim: &Claim) -> Self {
        let hdm = CACHEMEM_OFFSET.saturating_add(claim.hdm);
        let registers = Access::split(hdm, hdm::length(claim.decoders), Width::Dword);
        let read = |access| (access, silicon.component().read(access) as u32);
        Self { config: silicon.config().clone(), decoders: registers.map(read).collect(), hdm }
    }

    /// Restores it. Of the control registers only those that were committed are written, with what commits them.
    pub(super) fn restore(self, silicon: &mut Silicon) {
        let Self { config, decoders, hdm } = self;
        silicon.restore_config(config);
        let is_control = |access: &Access| {
            let inside = access.offset().saturating_sub(hdm).checked_sub(hdm::HEADER_SIZE);
            inside.is_some_and(|offset| offset % hdm::DECODER_SIZE == hdm::CONTROL)
        };
        let (controls, others): (Vec<_>, Vec<_>) =
            decoders.into_iter().partition(|(access, _)| is_control(access));
        let committed = controls.into_iter().filter(|(_, value)| Control::new(*value).commit());
        let component = &silicon.profile().profile().component;
        let (bar, block) = (component.bar, component.offset.0);
        for (access, value) in others.into_iter().chain(committed) {
            let inside = Access::dword_around(block.saturating_add(access.offset()));
            silicon.bar_write(bar, inside, value.into());
        }
    }
}

/// A CXL reset, and what the kernel does around it. True if the device says that it is complete.
pub(super) fn cxl_reset(silicon: &mut Silicon, claim: &Claim, clear_memory: bool) -> bool {
    let saved = Saved::of(silicon, claim);
    let control = device::Control2::new(saved.config.device_dvsec(device::CONTROL_2))
        .with_initiate_cxl_reset(true)
        .with_cxl_reset_mem_clear_enable(clear_memory);
    if let Some(access) = Access::new(DEVICE_DVSEC + device::CONTROL_2, Width::Word) {
        silicon.config_write(access, control.raw().into());
    }
    let status = device::Status2::new(silicon.config().device_dvsec(device::STATUS_2));
    let enable_is_lost = silicon.profile().profile().kernel.enable_lost_in_reset;
    saved.restore(silicon);
    if enable_is_lost {
        disable(silicon);
    }
    status.cxl_reset_complete() && !status.cxl_reset_error()
}

/// CXL.mem and CXL.cache off, as before a reset.
fn disable(silicon: &mut Silicon) {
    let control = device::Control::new(silicon.config().device_dvsec(device::CONTROL));
    let off = control.with_mem_enable(false).with_cache_enable(false);
    if let Some(access) = Access::new(DEVICE_DVSEC + device::CONTROL, Width::Word) {
        silicon.config_write(access, off.raw().into());
    }
}
