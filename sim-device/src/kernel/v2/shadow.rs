//! The component register region: a shadow that hardware never sees the writes of.
//!
//! It is taken dword by dword when the driver binds, and its HDM part again at every open and after every reset.
//! Then the host's address is hidden: of a decoder that is committed *and* locked the shadow's base is cleared,
//! and its lock, so that a virtual machine monitor can program its own. Of a decoder that is committed and not
//! locked nothing is cleared: **the host's address shows**. That is what the kernel does.
//!
//! | offset in HDM | write                                                            |
//! |---------------|------------------------------------------------------------------|
//! | 0x00          | dropped                                                          |
//! | 0x04          | bit 1; bit 0 only with the capability                            |
//! | base, size    | dropped while LOCK; low halves lose bits 27:0                    |
//! | control       | see [`control_written`]                                          |
//! | others        | dropped                                                          |

use std::cell::Cell;

use arbitrary_int::u4;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;
use vfio_abi::cxl::v2;

use super::region_size;
use crate::kernel::claim;
use crate::profile::Faults;
use crate::profile::Kernel;
use crate::silicon::Silicon;

/// A copy of the component registers, from the capability array to the end of the HDM decoders.
#[derive(Debug)]
pub(super) struct Shadow {
    dwords: Vec<u32>,
    hdm: u64,
    bar: u8,
    block: u64,
    faults: Faults,
    kernel: Kernel,
    /// Nobody has seen it yet.
    fresh: bool,
    /// How many dwords were read.
    reads: Cell<u64>,
}

impl Shadow {
    /// Takes the shadow of a device whose HDM decoder capability is at `hdm`.
    pub(super) fn probe(silicon: &Silicon, hdm: u64) -> Self {
        let size = region_size(hdm, silicon.profile().decoders().number());
        let component = &silicon.profile().profile().component;
        let faults = silicon.profile().profile().faults.clone();
        let dwords = Access::split(0, size, Width::Dword).map(|access| hardware(silicon, access.offset()));
        let mut dwords: Vec<u32> = dwords.collect();
        claim::point_elsewhere(&mut dwords, &faults);
        let kernel = silicon.profile().profile().kernel.clone();
        Self {
            dwords,
            hdm,
            bar: component.bar,
            block: component.offset.0,
            faults,
            kernel,
            fresh: true,
            reads: Cell::new(0),
        }
    }

    /// Reads the HDM part of the hardware again and hides the host's address. The guest's base is lost with it,
    /// or kept, if that mistake is mended.
    pub(super) fn refresh(&mut self, silicon: &Silicon) {
        let before = self.dwords.clone();
        for access in Access::split(self.hdm, self.size() - self.hdm, Width::Dword) {
            self.set(access.offset(), hardware(silicon, access.offset()));
        }
        let keep = self.kernel.fixed_base_lost_in_reset && !self.fresh;
        for index in 0..silicon.profile().decoders().number() {
            let decoder = self.hdm + hdm::decoder_offset(index);
            let control = self.control(decoder);
            if !control.committed() || !control.lock_on_commit() {
                continue;
            }
            self.set(decoder + hdm::CONTROL, control.with_lock_on_commit(self.kernel.show_lock).raw());
            for register in [decoder + hdm::BASE_LOW, decoder + hdm::BASE_HIGH] {
                let guests = dword_at(&before, register).filter(|_| keep);
                self.set(register, guests.unwrap_or(0));
            }
        }
        self.fresh = false;
    }

    /// The BAR that holds the component block.
    pub(super) fn bar(&self) -> u8 {
        self.bar
    }

    /// Offset in that BAR of the first register that is shadowed.
    pub(super) fn bar_offset(&self) -> u64 {
        self.block.saturating_add(CACHEMEM_OFFSET)
    }

    /// Length of the region in bytes.
    pub(super) fn size(&self) -> u64 {
        4 * self.dwords.len() as u64
    }

    /// Software reads the dword at an offset of the region.
    pub(super) fn read(&self, offset: u64) -> u32 {
        self.reads.set(self.reads.get().saturating_add(1));
        let dead = self.faults.registers_die_after.is_some_and(|last| self.reads.get() > last);
        if dead { u32::MAX } else { self.get(offset) }
    }

    /// The region's index as the capability tells it.
    pub(super) fn told(&self, index: u32) -> u32 {
        if self.faults.lies.no_register_region { v2::NO_REGION } else { index }
    }

    fn get(&self, offset: u64) -> u32 {
        dword_at(&self.dwords, offset).unwrap_or(0)
    }

    /// Software writes the dword at an offset of the region.
    pub(super) fn write(&mut self, offset: u64, value: u32, cache_capable: bool) {
        let Some(inside) = offset.checked_sub(self.hdm) else { return };
        let Some(register) = inside.checked_sub(hdm::HEADER_SIZE) else {
            if inside == hdm::GLOBAL_CONTROL {
                self.set(offset, self.global_control_written(value));
            }
            return;
        };
        let decoder = offset - register % hdm::DECODER_SIZE;
        let control = self.control(decoder);
        let frozen = control.lock_on_commit() && !self.faults.lock_freezes_nothing;
        match register % hdm::DECODER_SIZE {
            hdm::CONTROL => {
                let written = Control::new(value);
                let after = control_written(control, written, self.capability(), cache_capable, &self.faults);
                self.set(offset, after.raw());
            }
            // The freeze tests the lock alone: a committed decoder that is not locked takes a new range.
            hdm::BASE_LOW | hdm::BASE_HIGH if frozen || self.faults.base_write_dropped => {}
            hdm::SIZE_LOW | hdm::SIZE_HIGH if frozen => {}
            hdm::BASE_LOW | hdm::SIZE_LOW => self.set(offset, hdm::join(value, 0) as u32),
            hdm::BASE_HIGH | hdm::SIZE_HIGH => self.set(offset, value),
            _ => {}
        }
    }

    fn capability(&self) -> hdm::Capability {
        hdm::Capability::new(self.get(self.hdm + hdm::CAPABILITY))
    }

    fn control(&self, decoder: u64) -> Control {
        Control::new(self.get(decoder + hdm::CONTROL))
    }

    fn global_control_written(&self, value: u32) -> u32 {
        let written = hdm::GlobalControl::new(value);
        let poison = written.poison_on_decode_error() && self.capability().poison_on_decode_error();
        hdm::GlobalControl::new(0)
            .with_decoder_enable(written.decoder_enable())
            .with_poison_on_decode_error(poison)
            .raw()
    }

    fn set(&mut self, offset: u64, value: u32) {
        if let Some(dword) = index(offset).and_then(|index| self.dwords.get_mut(index)) {
            *dword = value;
        }
    }
}

/// What the control register's shadow reads after a write.
///
/// While LOCK is set, a write without LOCK clears that bit **and nothing else**: hardware knows no such thing, it
/// is the virtual machine monitor's way in. A write with LOCK is ignored. Otherwise commit and committed go
/// together at once, whatever base and size are, and nothing is ever refused.
fn control_written(
    before: Control,
    written: Control,
    capability: hdm::Capability,
    cache_capable: bool,
    faults: &Faults,
) -> Control {
    if before.lock_on_commit() {
        let unlocked = !written.lock_on_commit() && !faults.lock_clear_ignored;
        return if unlocked { before.with_lock_on_commit(false) } else { before };
    }
    let uio = capability.uio();
    let set_position = if uio { written.set_position() } else { u4::new(0) };
    Control::new(0)
        .with_interleave_granularity(written.interleave_granularity())
        .with_interleave_ways(written.interleave_ways())
        .with_lock_on_commit(written.lock_on_commit())
        .with_commit(written.commit())
        .with_committed(written.commit() && !faults.commit_ignored)
        .with_error_not_committed(before.error_not_committed())
        .with_host_only(before.host_only())
        .with_back_invalidate(written.back_invalidate() && cache_capable)
        .with_uio(written.uio() && uio)
        .with_set_position(set_position)
}

fn hardware(silicon: &Silicon, offset: u64) -> u32 {
    let access = Access::dword_around(CACHEMEM_OFFSET.saturating_add(offset));
    silicon.component().read(access) as u32
}

fn dword_at(dwords: &[u32], offset: u64) -> Option<u32> {
    dwords.get(index(offset)?).copied()
}

fn index(offset: u64) -> Option<usize> {
    usize::try_from(offset / 4).ok()
}
