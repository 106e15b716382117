//! The CXL device DVSEC in configuration space: partly a shadow, partly the hardware.
//!
//! | register | read                                | write                                             |
//! |----------|-------------------------------------|---------------------------------------------------|
//! | control  | shadow                              | dropped once LOCK; IO enable stays 1              |
//! | status   | shadow                              | bit 14 cleared by 1                               |
//! | control2 | shadow, bits that start things 0    | write-back and invalidate goes to the hardware    |
//! | status2  | hardware, reset outcome from shadow | dropped                                           |
//! | lock     | shadow                              | sticks once set                                   |
//! | range base | **hardware**                      | taken, never seen again                           |
//! | others   | hardware                            | dropped                                           |
//!
//! So the host's address of the memory shows in the range base, although the component registers hide it. A
//! virtual machine monitor that shows this DVSEC to a guest as it is gives the address away.
//!
//! Accesses of every width merge into the registers that they touch, as since the fix of August 2026; before,
//! only exact offsets were matched.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::dvsec::BODY;
use cxl_spec::dvsec::device;

use crate::silicon::Effect;
use crate::silicon::Silicon;
use crate::silicon::config::DEVICE_DVSEC;

/// The shadow of the registers that have one.
#[derive(Debug)]
pub(super) struct Dvsec {
    control: device::Control,
    status: device::Status,
    control_2: device::Control2,
    lock: device::Lock,
}

/// Where software wrote: which of the 16 bits, and what.
#[derive(Clone, Copy)]
struct Word {
    value: u16,
    enabled: u16,
}

impl Word {
    fn over(self, before: u16) -> u16 {
        (before & !self.enabled) | (self.value & self.enabled)
    }
}

impl Dvsec {
    /// The shadow as it is after the device was opened: what the hardware reads.
    pub(super) fn open(silicon: &Silicon) -> Self {
        let hardware = |offset| silicon.config().device_dvsec(offset);
        Self {
            control: device::Control::new(hardware(device::CONTROL)).with_io_enable(true),
            status: device::Status::new(hardware(device::STATUS)),
            control_2: device::Control2::new(hardware(device::CONTROL_2)),
            lock: device::Lock::new(hardware(device::LOCK)),
        }
    }

    /// Reads configuration space, at most a dword of it.
    pub(super) fn read(&self, silicon: &Silicon, access: Access) -> u64 {
        let words = Access::split(access.offset(), access.width().bytes(), Width::Word);
        let word = |piece: Access| {
            let offset = piece.offset() & !1;
            let value = match body_offset(offset).and_then(|offset| self.shadowed(offset)) {
                Some(value) => u64::from(value) >> (8 * (piece.offset() - offset)) & piece.width().mask(),
                None => silicon.config_read(piece),
            };
            value << (8 * (piece.offset() - access.offset()))
        };
        words.map(word).fold(0, |all, bits| all | bits)
    }

    /// Writes configuration space, at most a dword of it.
    pub(super) fn write(&mut self, silicon: &mut Silicon, access: Access, value: u64) -> Vec<Effect> {
        if body_offset(access.offset()).is_none() {
            // The headers are read-only, and an aligned access from before the body does not reach into it, but
            // for the dword at its second header, whose other half is the capability register: read-only, too.
            return silicon.config_write(access, value);
        }
        for piece in Access::split(access.offset(), access.width().bytes(), Width::Word) {
            let offset = piece.offset() & !1;
            let shift = 8 * (piece.offset() - offset);
            let value = (value >> (8 * (piece.offset() - access.offset()))) & piece.width().mask();
            let word =
                Word { value: (value << shift) as u16, enabled: (piece.width().mask() << shift) as u16 };
            if let Some(offset) = body_offset(offset) {
                self.word_written(silicon, offset, word);
            }
        }
        Vec::new()
    }

    /// The 16-bit register at this offset of the DVSEC, if it is shadowed.
    fn shadowed(&self, offset: u64) -> Option<u16> {
        match offset {
            device::CONTROL => Some(self.control.raw()),
            device::STATUS => Some(self.status.raw()),
            device::CONTROL_2 => Some(self.control_2.raw()),
            device::LOCK => Some(self.lock.raw()),
            _ => None,
        }
    }

    fn word_written(&mut self, silicon: &mut Silicon, offset: u64, word: Word) {
        match offset {
            device::CONTROL if !self.lock.config_lock() => {
                let written = device::Control::new(word.over(self.control.raw()));
                self.control = control_without_reserved(written);
            }
            device::STATUS => {
                let cleared = device::Status::new(word.value & word.enabled).viral_status();
                let viral = self.status.viral_status() && !cleared;
                self.status = self.status.with_viral_status(viral);
            }
            device::CONTROL_2 => {
                let written = device::Control2::new(word.over(self.control_2.raw()));
                self.control_2_written(silicon, written);
            }
            device::LOCK if !self.lock.config_lock() => {
                let written = device::Lock::new(word.over(self.lock.raw()));
                self.lock = device::Lock::new(0).with_config_lock(written.config_lock());
            }
            _ => {}
        }
    }

    /// The bits that start something are not kept. A CXL reset is dropped: the device does not offer one.
    fn control_2_written(&mut self, silicon: &mut Silicon, written: device::Control2) {
        let kept = device::Control2::new(0)
            .with_disable_caching(written.disable_caching())
            .with_cxl_reset_mem_clear_enable(written.cxl_reset_mem_clear_enable());
        if written.initiate_cache_writeback_invalidate() {
            let forwarded =
                kept.with_initiate_cache_writeback_invalidate(true).with_cxl_reset_mem_clear_enable(false);
            if let Some(access) = Access::new(DEVICE_DVSEC + device::CONTROL_2, Width::Word) {
                silicon.config_write(access, forwarded.raw().into());
            }
        }
        self.control_2 = kept;
    }
}

/// The control register without its reserved bits, of which direct peer-to-peer is one for this device, and with
/// IO enable, which is always 1.
fn control_without_reserved(written: device::Control) -> device::Control {
    let fields = device::Control::FIELDS.iter().map(cxl_spec::register::Field::mask);
    let named = fields.fold(0, |all, mask| all | mask) as u16;
    device::Control::new(written.raw() & named).with_direct_p2p_mem_enable(false).with_io_enable(true)
}

/// The offset in the device DVSEC of an offset in configuration space, if it lies behind the DVSEC's headers.
fn body_offset(offset: u64) -> Option<u64> {
    let inside = offset.checked_sub(DEVICE_DVSEC)?;
    (BODY..device::SIZE).contains(&inside).then_some(inside)
}
