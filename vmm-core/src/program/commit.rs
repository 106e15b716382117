//! A decoder that the guest commits itself: registers in, what is to be done about the memory out.
//!
//! ```text
//!                 commit, lock ──────────────────────────────▶ Locked, until reset: takes nothing
//!                 commit ─────────▶ Committed ◀─ commit again, lock: no effect
//!  Open ──────────┤                     │
//!   ▲  base, size, skip are taken       └── commit cleared ──▶ Open
//!   └─ ERROR_NOT_COMMITTED ◀── commit of what cannot be
//! ```
//!
//! | the guest                                             | answer                                             |
//! |-------------------------------------------------------|----------------------------------------------------|
//! | commits, all of the range in the device's window      | COMMITTED; mapped while decode is enabled          |
//! | commits, some of the range outside of that window     | `ERROR_NOT_COMMITTED`                              |
//! | commits more than the memory has behind the skip      | `ERROR_NOT_COMMITTED`                              |
//! | commits with interleaving                             | `ERROR_NOT_COMMITTED`: one device per window       |
//! | commits a size of 0                                   | COMMITTED, and nothing is mapped                   |
//! | commits what the machine then cannot map              | `ERROR_NOT_COMMITTED`: something else is there     |
//! | commits with the lock                                 | COMMITTED, and nothing is taken until a reset      |
//! | sets the lock of a committed decoder                  | nothing: a lock comes with a commit                |
//! | clears the lock of a locked decoder                   | nothing                                            |
//! | writes base, size or skip of a committed decoder      | nothing                                            |
//! | clears commit, not locked                             | unmapped; open                                     |
//! | turns decode off or on, for all decoders              | unmapped, or mapped where it is committed          |
//!
//! Another device can be in the way only where the machine has put something into the window: windows have one device
//! each. Other decoders than the first are the device's own and reach no memory of this machine. What cannot be is
//! judged when the guest commits, as hardware does it.

use std::fmt;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;

use crate::backend::decoders::merged;

/// How many dwords a decoder has.
const DWORDS: usize = hdm::DECODER.len();

/// A decoder that belongs to the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GuestDecoder {
    /// Where it may be.
    window: Span<Gpa>,
    /// How much memory the device has.
    memory: u64,
    /// What of its control is hard-wired.
    wired: Control,
    global: hdm::GlobalControl,
    dwords: [u32; DWORDS],
}

/// Where memory is seen, and from which of its addresses on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Where.
    pub(super) span: Span<Gpa>,
    /// The first device address.
    pub(super) dpa: u64,
}

/// What is to be done after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Nothing,
    /// The memory comes.
    Map(Mapping),
    /// It goes.
    Unmap,
    /// The guest wanted what cannot be. Its decoder says so.
    Refused(Refused),
}

/// Why a commit was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The range is not all in the window.
    Outside {
        /// First address.
        base: u64,
        /// Length.
        size: u64,
        /// The window.
        window: Span<Gpa>,
    },
    /// The memory ends before the range does.
    Beyond {
        /// How much is skipped.
        skip: u64,
        /// Length.
        size: u64,
        /// How much memory there is.
        memory: u64,
    },
    /// It interleaves.
    Interleaved,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { base, size, window } => {
                write!(out, "HDM decoder 0 of {size:#x} bytes at {base:#x} is not in the window {window}")
            }
            Self::Beyond { skip, size, memory } => {
                write!(out, "HDM decoder 0 of {size:#x} bytes behind {skip:#x}: the memory has {memory:#x}")
            }
            Self::Interleaved => {
                write!(out, "HDM decoder 0 interleaves: one device per window is all there is")
            }
        }
    }
}

impl GuestDecoder {
    /// A decoder after reset. Its control register is hard-wired as this one is.
    pub(super) fn new(window: Span<Gpa>, memory: u64, found: Control) -> Self {
        let wired =
            Control::new(0).with_host_only(found.host_only()).with_back_invalidate(found.back_invalidate());
        let mut decoder =
            Self { window, memory, wired, global: hdm::GlobalControl::new(0), dwords: [0; DWORDS] };
        decoder.reset();
        decoder
    }

    /// Everything is as after reset.
    pub(super) fn reset(&mut self) {
        let Self { window: _, memory: _, wired, global, dwords } = self;
        (*global, *dwords) = (hdm::GlobalControl::new(0), [0; DWORDS]);
        let control = wired.raw();
        self.put(hdm::CONTROL, control);
    }

    /// Where the memory is to be seen now.
    pub(super) fn mapping(&self) -> Option<Mapping> {
        let works = self.control().committed() && self.global.decoder_enable();
        let (base, size, dpa) = self.range();
        let span = Span::new(Gpa::new(base), size).filter(|_| works)?;
        Some(Mapping { span, dpa })
    }

    /// What a dword at an offset of the capability reads, if it is the guest's own.
    pub(super) fn read(&self, offset: u64) -> Option<u32> {
        match offset {
            hdm::GLOBAL_CONTROL => Some(self.global.raw()),
            _ => self.dwords.get(place(offset)?).copied(),
        }
    }

    /// The guest writes a dword at an offset of the capability. Nothing if it is not its own.
    pub(super) fn write(&mut self, offset: u64, value: u32) -> Option<Effect> {
        let before = self.mapping();
        if offset == hdm::GLOBAL_CONTROL {
            let written = merged(self.global.raw(), value, hdm::GlobalControl::FIELDS);
            self.global = hdm::GlobalControl::new(written).with_poison_on_decode_error(false);
        } else {
            self.dwords.get(place(offset)?)?;
            if let Err(why) = self.decoder_written(offset.checked_sub(hdm::HEADER_SIZE)?, value) {
                return Some(Effect::Refused(why));
            }
        }
        Some(match (before, self.mapping()) {
            (None, Some(mapping)) => Effect::Map(mapping),
            (Some(_), None) => Effect::Unmap,
            // What is mapped is frozen until it is unmapped.
            (None, None) | (Some(_), Some(_)) => Effect::Nothing,
        })
    }

    /// The machine cannot do what it was told: the commit has failed.
    pub(super) fn refuse(&mut self) {
        let control = self.control().with_commit(false).with_committed(false).with_error_not_committed(true);
        self.put(hdm::CONTROL, control.raw());
    }

    fn decoder_written(&mut self, offset: u64, value: u32) -> Result<(), Refused> {
        let Some(register) = hdm::DECODER.iter().find(|register| register.offset == offset) else {
            return Ok(());
        };
        let before = self.control();
        let written = merged(self.get(offset), value, register.fields);
        match (offset, before.committed()) {
            (hdm::CONTROL, false) => return self.control_written(Control::new(written)),
            (hdm::CONTROL, true) => {
                let released = !before.lock_on_commit() && !Control::new(written).commit();
                if released {
                    self.put(offset, before.with_commit(false).with_committed(false).raw());
                }
            }
            (_, true) => {}
            (_, false) => self.put(offset, written),
        }
        Ok(())
    }

    /// Control of an open decoder.
    fn control_written(&mut self, written: Control) -> Result<(), Refused> {
        let open = written.with_committed(false).with_error_not_committed(false);
        self.put(hdm::CONTROL, open.raw());
        if !open.commit() {
            return Ok(());
        }
        let judged = self.judged();
        match judged {
            Ok(()) => self.put(hdm::CONTROL, open.with_committed(true).raw()),
            Err(_) => self.refuse(),
        }
        judged
    }

    /// Whether what the registers say can be.
    fn judged(&self) -> Result<(), Refused> {
        let (base, size, skip) = self.range();
        if self.control().interleave_ways().value() != 0 {
            return Err(Refused::Interleaved);
        }
        if size == 0 {
            return Ok(());
        }
        if !self.window.covers(Gpa::new(base), size) {
            return Err(Refused::Outside { base, size, window: self.window });
        }
        if skip.checked_add(size).is_none_or(|end| end > self.memory) {
            return Err(Refused::Beyond { skip, size, memory: self.memory });
        }
        Ok(())
    }

    /// Base, size and skip.
    fn range(&self) -> (u64, u64, u64) {
        let joined = |low, high| hdm::join(self.get(low), self.get(high));
        (
            joined(hdm::BASE_LOW, hdm::BASE_HIGH),
            joined(hdm::SIZE_LOW, hdm::SIZE_HIGH),
            joined(hdm::SKIP_LOW, hdm::SKIP_HIGH),
        )
    }

    fn control(&self) -> Control {
        Control::new(self.get(hdm::CONTROL))
    }

    fn get(&self, offset: u64) -> u32 {
        usize::try_from(offset / 4).ok().and_then(|at| self.dwords.get(at)).copied().unwrap_or(0)
    }

    fn put(&mut self, offset: u64, value: u32) {
        if let Some(dword) = usize::try_from(offset / 4).ok().and_then(|at| self.dwords.get_mut(at)) {
            *dword = value;
        }
    }
}

/// Which dword of decoder 0 is at an offset of the capability.
fn place(offset: u64) -> Option<usize> {
    let inside = offset.checked_sub(hdm::decoder_offset(0))?;
    usize::try_from(inside / 4).ok().filter(|_| inside.is_multiple_of(4))
}

#[cfg(test)]
mod tests;
