//! The CXL device DVSEC in configuration space: partly a shadow, partly the hardware.
//!
//! | register | read                                | write                                             |
//! |----------|-------------------------------------|---------------------------------------------------|
//! | control  | shadow                              | dropped once LOCK; IO enable stays 1              |
//! | status   | shadow                              | bit 14 cleared by 1                               |
//! | control2 | shadow, bits that start things 0    | write-back and invalidate goes to the hardware    |
//! | status2  | hardware                            | bit 3 goes to the hardware                        |
//! | lock     | shadow                              | sticks once set                                   |
//! | range base | **hardware**                      | taken, never seen again                           |
//! | others   | hardware                            | dropped                                           |
//!
//! So the host's address of the memory shows in the range base, although the component registers hide it. A
//! virtual machine monitor that shows this DVSEC to a guest as it is gives the address away.
//!
//! As posted, an access is matched by its first byte alone, and everything it moves is meant for that register:
//! a dword read at control 2 has zeros where status 2 should be, so that who polls there polls for ever; a byte
//! written to control clears its other byte; what begins at an odd offset is dropped, and read from the hardware.
//! `fixed_dvsec_widths` is the repair of August 2026: accesses merge into every register that they touch.
//!
//! A CXL reset was only warned about when it was posted. A vendor's later patches do one (`guest_cxl_reset`), and
//! took three steps to make status 2 readable (`status_2`).

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::dvsec::device;

use crate::kernel::plain;
use crate::kernel::word;
use crate::kernel::word::Word;
use crate::kernel::word::body_offset;
use crate::profile::Status2Source;
use crate::silicon::Effect;
use crate::silicon::Silicon;
use crate::silicon::config::DEVICE_DVSEC;

/// The shadow of the registers that have one.
#[derive(Debug)]
pub(super) struct Dvsec {
    control: device::Control,
    status: device::Status,
    control_2: device::Control2,
    /// As it was at open, with the outcome of resets since.
    status_2: device::Status2,
    lock: device::Lock,
    any_width: bool,
    status_2_source: Status2Source,
    guest_cxl_reset: bool,
}

/// What a write to the DVSEC asks of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CxlReset {
    /// The memory shall be cleared with it.
    pub(super) clear_memory: bool,
}

impl Dvsec {
    /// The shadow as it is after the device was opened: what the hardware reads.
    pub(super) fn open(silicon: &Silicon) -> Self {
        let hardware = |offset| silicon.config().device_dvsec(offset);
        let kernel = &silicon.profile().profile().kernel;
        Self {
            control: device::Control::new(hardware(device::CONTROL)).with_io_enable(true),
            status: device::Status::new(hardware(device::STATUS)),
            control_2: device::Control2::new(hardware(device::CONTROL_2)),
            status_2: device::Status2::new(hardware(device::STATUS_2)),
            lock: device::Lock::new(hardware(device::LOCK)),
            any_width: kernel.fixed_dvsec_widths,
            status_2_source: kernel.status_2,
            guest_cxl_reset: kernel.guest_cxl_reset,
        }
    }

    /// Reads configuration space, at most a dword of it.
    pub(super) fn read(&self, silicon: &Silicon, access: Access) -> u64 {
        let hardware = |piece| plain::config_read(silicon, piece);
        let shadowed = |offset| self.shadowed(silicon, body_offset(offset)?);
        if self.any_width {
            return word::read(access, shadowed, hardware);
        }
        match shadowed(access.offset()) {
            Some(value) => u64::from(value) & access.width().mask(),
            None => hardware(access),
        }
    }

    /// Writes configuration space, at most a dword of it. Says if the guest asked for a CXL reset.
    pub(super) fn write(
        &mut self,
        silicon: &mut Silicon,
        access: Access,
        value: u64,
    ) -> (Vec<Effect>, Option<CxlReset>) {
        let Some(offset) = body_offset(access.offset()) else {
            // The headers are read-only, and an aligned access from before the body does not reach into it, but
            // for the dword at its second header, whose other half is the capability register: read-only, too.
            return (plain::config_write(silicon, access, value), None);
        };
        if !self.any_width {
            return (Vec::new(), self.word_written(silicon, offset, value as u16));
        }
        let mut reset = None;
        for word in Word::split(access, value) {
            if let Some(offset) = body_offset(word.offset) {
                let before = self.shadowed(silicon, offset).unwrap_or(0);
                // What clears by 1 hears zeros for a byte that is not reached.
                let before = if offset == device::STATUS || offset == device::STATUS_2 { 0 } else { before };
                reset = self.word_written(silicon, offset, word.over(before)).or(reset);
            }
        }
        (Vec::new(), reset)
    }

    /// The guest's CXL reset is over.
    pub(super) fn after_cxl_reset(&mut self, complete: bool) {
        let cleared = self.status_2.with_cxl_reset_complete(complete);
        self.status_2 = cleared.with_cxl_reset_error(!complete);
    }

    /// What the 16-bit register at this offset of the DVSEC reads, if that is not what the hardware reads.
    fn shadowed(&self, silicon: &Silicon, offset: u64) -> Option<u16> {
        match offset {
            device::CONTROL => Some(self.control.raw()),
            device::STATUS => Some(self.status.raw()),
            device::CONTROL_2 => Some(self.control_2.raw()),
            device::STATUS_2 => self.status_2_read(silicon),
            device::LOCK => Some(self.lock.raw()),
            _ => None,
        }
    }

    fn status_2_read(&self, silicon: &Silicon) -> Option<u16> {
        match self.status_2_source {
            Status2Source::Hardware => None,
            Status2Source::Shadow => Some(self.status_2.raw()),
            Status2Source::Merged => {
                let live = device::Status2::new(silicon.config().device_dvsec(device::STATUS_2));
                let outcome = live.with_cxl_reset_complete(self.status_2.cxl_reset_complete());
                Some(outcome.with_cxl_reset_error(self.status_2.cxl_reset_error()).raw())
            }
        }
    }

    fn word_written(&mut self, silicon: &mut Silicon, offset: u64, written: u16) -> Option<CxlReset> {
        match offset {
            device::CONTROL if !self.lock.config_lock() => {
                self.control = control_without_reserved(silicon, device::Control::new(written));
            }
            device::STATUS => {
                let viral = self.status.viral_status() && !device::Status::new(written).viral_status();
                self.status = self.status.with_viral_status(viral);
            }
            device::CONTROL_2 => return self.control_2_written(silicon, device::Control2::new(written)),
            device::STATUS_2 => status_2_written(silicon, device::Status2::new(written)),
            device::LOCK if !self.lock.config_lock() => {
                let lock = device::Lock::new(written).config_lock();
                self.lock = device::Lock::new(0).with_config_lock(lock);
            }
            _ => {}
        }
        None
    }

    /// The bits that start something are not kept.
    fn control_2_written(&mut self, silicon: &mut Silicon, written: device::Control2) -> Option<CxlReset> {
        let kept = device::Control2::new(0)
            .with_disable_caching(written.disable_caching())
            .with_cxl_reset_mem_clear_enable(written.cxl_reset_mem_clear_enable())
            .with_desired_volatile_state(written.desired_volatile_state() && keeps_volatile_state(silicon))
            .with_modified_completion_enable(
                written.modified_completion_enable() && completes_modified(silicon),
            );
        if written.initiate_cache_writeback_invalidate() {
            let forwarded = device::Control2::new(0)
                .with_disable_caching(written.disable_caching())
                .with_initiate_cache_writeback_invalidate(true);
            write_word(silicon, device::CONTROL_2, forwarded.raw());
        }
        self.control_2 = kept;
        let capable = device::Capability::new(silicon.config().device_dvsec(device::CAPABILITY));
        let reset = written.initiate_cxl_reset() && self.guest_cxl_reset && capable.cxl_reset_capable();
        reset.then_some(CxlReset { clear_memory: kept.cxl_reset_mem_clear_enable() })
    }
}

/// The one bit of status 2 that software may clear, where the device has it.
fn status_2_written(silicon: &mut Silicon, written: device::Status2) {
    if keeps_volatile_state(silicon) {
        let preservation = written.volatile_preservation_error();
        let forwarded = device::Status2::new(0).with_volatile_preservation_error(preservation);
        write_word(silicon, device::STATUS_2, forwarded.raw());
    }
}

/// The control register without its reserved bits, of which direct peer-to-peer is one without its capability,
/// and with IO enable, which is always 1.
fn control_without_reserved(silicon: &Silicon, written: device::Control) -> device::Control {
    let fields = device::Control::FIELDS.iter().map(cxl_spec::register::Field::mask);
    let named = fields.fold(0, |all, mask| all | mask) as u16;
    let capability = device::Capability3::new(silicon.config().device_dvsec(device::CAPABILITY_3));
    let p2p = written.direct_p2p_mem_enable() && capability.direct_p2p_mem_capable();
    device::Control::new(written.raw() & named).with_direct_p2p_mem_enable(p2p).with_io_enable(true)
}

fn keeps_volatile_state(silicon: &Silicon) -> bool {
    let capability = silicon.config().device_dvsec(device::CAPABILITY_3);
    device::Capability3::new(capability).volatile_configurability()
}

fn completes_modified(silicon: &Silicon) -> bool {
    let capability = silicon.config().device_dvsec(device::CAPABILITY_2);
    device::Capability2::new(capability).modified_completion_capable()
}

fn write_word(silicon: &mut Silicon, offset: u64, value: u16) {
    if let Some(access) = Access::new(DEVICE_DVSEC + offset, Width::Word) {
        silicon.config_write(access, value.into());
    }
}
