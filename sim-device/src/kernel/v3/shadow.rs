//! The component register region: a shadow of the 64 KiB block, taken when the driver binds.
//!
//! | offset                    | read     | write                                            |
//! |---------------------------|----------|--------------------------------------------------|
//! | below the array           | 0        | dropped                                          |
//! | the array, and up to HDM  | snapshot | dropped                                          |
//! | HDM capability, gap       | snapshot | dropped                                          |
//! | HDM global control        | shadow   | stored, reserved bits and all                    |
//! | base, size                | shadow   | dropped while COMMITTED or LOCK; else stored     |
//! | control                   | shadow   | see [`control_written`]                          |
//! | the decoder's other dwords| shadow   | stored                                           |
//! | behind HDM                | 0        | dropped                                          |

use std::cell::Cell;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;

use crate::kernel::claim;
use crate::profile::Profile;
use crate::silicon::Silicon;

/// A copy of the component registers, from the capability array to the end of the HDM decoder.
#[derive(Debug)]
pub(super) struct Shadow {
    dwords: Vec<u32>,
    /// Offset of the HDM decoder capability in the block.
    hdm: u64,
    profile: Profile,
    /// How many dwords were read.
    reads: Cell<u64>,
}

impl Shadow {
    /// Takes the shadow of a device whose HDM decoder capability is at `hdm`, from the capability array.
    pub(super) fn take(silicon: &Silicon, hdm: u64) -> Self {
        let size = hdm.saturating_add(hdm::length(1));
        let hardware = |access: Access| {
            let at = Access::dword_around(CACHEMEM_OFFSET.saturating_add(access.offset()));
            silicon.component().read(at) as u32
        };
        let profile = silicon.profile().profile().clone();
        let mut dwords: Vec<u32> = Access::split(0, size, Width::Dword).map(hardware).collect();
        claim::point_elsewhere(&mut dwords, &profile.faults);
        Self { dwords, hdm: CACHEMEM_OFFSET.saturating_add(hdm), profile, reads: Cell::new(0) }
    }

    /// The BAR that holds the block.
    pub(super) fn bar(&self) -> u8 {
        self.profile.component.bar
    }

    /// Offset of the block in that BAR.
    pub(super) fn block(&self) -> u64 {
        self.profile.component.offset.0
    }

    /// The region's index as the capability tells it.
    pub(super) fn told(&self, index: u32) -> u32 {
        if self.profile.faults.lies.no_register_region { u32::MAX } else { index }
    }

    /// Software reads the dword at an offset of the region.
    pub(super) fn read(&self, offset: u64) -> u32 {
        self.reads.set(self.reads.get().saturating_add(1));
        let dead = self.profile.faults.registers_die_after.is_some_and(|last| self.reads.get() > last);
        if dead { u32::MAX } else { self.get(offset) }
    }

    /// Software writes the dword at an offset of the region.
    pub(super) fn write(&mut self, offset: u64, value: u32) {
        let Some(inside) = offset.checked_sub(self.hdm) else { return };
        let Some(register) = inside.checked_sub(hdm::HEADER_SIZE) else {
            if inside == hdm::GLOBAL_CONTROL {
                self.set(offset, value);
            }
            return;
        };
        let faults = &self.profile.faults;
        let control = Control::new(self.get(self.hdm + hdm::decoder_offset(0) + hdm::CONTROL));
        let held = control.committed() || control.lock_on_commit();
        let frozen = held && !faults.lock_freezes_nothing;
        match register {
            hdm::CONTROL => self.set(offset, control_written(control, value, &self.profile).raw()),
            hdm::BASE_LOW | hdm::BASE_HIGH if frozen || faults.base_write_dropped => {}
            hdm::SIZE_LOW | hdm::SIZE_HIGH if frozen => {}
            _ => self.set(offset, value),
        }
    }

    fn get(&self, offset: u64) -> u32 {
        index(offset).and_then(|index| self.dwords.get(index)).copied().unwrap_or(0)
    }

    fn set(&mut self, offset: u64, value: u32) {
        if let Some(dword) = index(offset).and_then(|index| self.dwords.get_mut(index)) {
            *dword = value;
        }
    }
}

/// What the control register's shadow reads after a write.
///
/// A committed decoder hears one thing only: a write without COMMIT, which clears COMMIT, COMMITTED and LOCK at once.
/// Hardware lets nobody release a locked decoder; reviewers asked for that, and `fixed_locked_commit` has it.
/// Otherwise what is written is stored, reserved bits and all, and COMMITTED follows COMMIT.
fn control_written(before: Control, value: u32, profile: &Profile) -> Control {
    let written = Control::new(value);
    if before.committed() {
        let held = before.lock_on_commit() && profile.kernel.fixed_locked_commit;
        if written.commit() || held {
            return before;
        }
        return before.with_commit(false).with_committed(false).with_lock_on_commit(false);
    }
    let committed = written.commit() && !profile.faults.commit_ignored;
    written.with_committed(committed).with_error_not_committed(false)
}

fn index(offset: u64) -> Option<usize> {
    usize::try_from(offset.checked_sub(CACHEMEM_OFFSET)? / 4).ok()
}
