//! The CXL device DVSEC in configuration space: its body is a shadow, taken word by word when the driver binds.
//!
//! | register          | write                                                                |
//! |-------------------|----------------------------------------------------------------------|
//! | control, control2 | stored; dropped once locked                                          |
//! | status, status2   | every bit is cleared by 1                                            |
//! | lock              | sticks once set                                                      |
//! | others            | dropped                                                              |
//!
//! Three mistakes of the posting are kept, each with a key that mends it. Firmware's lock does not count: the
//! gate is a flag of the driver's own that starts clear (`fixed_config_lock`). A dword's write reaches only its
//! first register (`fixed_dvsec_widths`). A byte written to a status register is first merged with what the
//! register reads, and so clears the other byte (`fixed_partial_status_write`).
//!
//! What a request in control 2 starts is not told of this revision: the bits are stored, and nothing happens.

use cxl_spec::access::Access;
use cxl_spec::dvsec::BODY;
use cxl_spec::dvsec::device;

use crate::kernel::plain;
use crate::kernel::word;
use crate::kernel::word::Word;
use crate::kernel::word::body_offset;
use crate::silicon::Effect;
use crate::silicon::Silicon;

/// The shadow of the DVSEC's body.
#[derive(Debug)]
pub(super) struct Dvsec {
    /// From [`BODY`] on.
    words: Vec<u16>,
    config_locked: bool,
    fixed_widths: bool,
    fixed_partial_status_write: bool,
}

impl Dvsec {
    /// Takes the shadow.
    pub(super) fn take(silicon: &Silicon) -> Self {
        let kernel = &silicon.profile().profile().kernel;
        let lock = device::Lock::new(silicon.config().device_dvsec(device::LOCK));
        let words = (BODY..device::SIZE).step_by(2);
        Self {
            words: words.map(|offset| silicon.config().device_dvsec(offset)).collect(),
            config_locked: lock.config_lock() && kernel.fixed_config_lock,
            fixed_widths: kernel.fixed_dvsec_widths,
            fixed_partial_status_write: kernel.fixed_partial_status_write,
        }
    }

    /// Reads configuration space, at most a dword of it.
    pub(super) fn read(&self, silicon: &Silicon, access: Access) -> u64 {
        word::read(access, |offset| self.word(offset), |piece| plain::config_read(silicon, piece))
    }

    /// Writes configuration space, at most a dword of it.
    pub(super) fn write(&mut self, silicon: &mut Silicon, access: Access, value: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut first = true;
        for word in Word::split(access, value) {
            let Some(offset) = body_offset(word.offset) else {
                // The headers go the normal way.
                effects.extend(plain::config_write(silicon, word.access(), word.bits()));
                continue;
            };
            // Only the register that the access begins in hears of it.
            if first || self.fixed_widths {
                self.word_written(offset, word);
            }
            first = false;
        }
        effects
    }

    fn word(&self, offset: u64) -> Option<u16> {
        self.words.get(index(body_offset(offset)?)).copied()
    }

    fn word_written(&mut self, offset: u64, written: Word) {
        let locked = self.config_locked;
        let merges = !self.fixed_partial_status_write;
        let Some(word) = self.words.get_mut(index(offset)) else { return };
        match offset {
            device::CONTROL | device::CONTROL_2 if !locked => *word = written.over(*word),
            device::STATUS | device::STATUS_2 => {
                let ones = if merges { written.over(*word) } else { written.over(0) };
                *word &= !ones;
            }
            device::LOCK if !device::Lock::new(*word).config_lock() => {
                *word = written.over(*word);
                self.config_locked |= device::Lock::new(*word).config_lock();
            }
            _ => {}
        }
    }
}

fn index(body: u64) -> usize {
    ((body - BODY) / 2) as usize
}
