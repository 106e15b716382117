//! The component register block: capability array, RAS, HDM decoders, back-invalidate (CXL 3.2, 8.2.4).
//!
//! Registers are read and written as aligned dwords, or two at once as a qword; narrower accesses are not
//! defined by the specification and reach nothing here: they read 0 and write nothing.

mod array;
mod hdm;
mod ras;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Dpa;
use cxl_spec::address::Hpa;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::back_invalidate;
use cxl_spec::component::hdm as spec_hdm;
use hdm::Hdm;
pub use ras::Header;
use ras::Ras;
pub use ras::RasError;
pub use ras::Severity;

use super::Effect;
use super::decoder::Programming;
use super::decoder::State;
use super::register::Block;
use super::register::UNLOCKED;
use super::reset::Domain;
use super::reset::Fate;
use crate::profile::Checked;
use crate::profile::Coherency;

/// The registers of one component block.
#[derive(Clone, Debug)]
pub struct Component {
    places: Places,
    array: Block,
    ras: Ras,
    hdm: Hdm,
    /// Only a device whose memory is HDM-DB has it.
    back_invalidate: Option<Block>,
}

/// Where the capabilities are in the block.
#[derive(Clone, Copy, Debug)]
struct Places {
    ras: u64,
    hdm: u64,
    back_invalidate: u64,
}

impl Component {
    /// The block after power-on: nothing is committed.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let component = &profile.profile().component;
        let coherency = profile.profile().memory.coherency;
        let mut ras = Ras::power_on();
        for error in &profile.profile().faults.ras_errors {
            // All errors are masked after power-on: none is signalled.
            ras.record(RasError::with_sample_header(*error));
        }
        Self {
            places: Places {
                ras: CACHEMEM_OFFSET + component.ras.0,
                hdm: CACHEMEM_OFFSET + component.hdm.0,
                back_invalidate: CACHEMEM_OFFSET + component.bi.0,
            },
            array: array::registers(profile),
            ras,
            hdm: Hdm::power_on(profile),
            back_invalidate: (coherency == Coherency::HdmDb)
                .then(|| Block::new(back_invalidate::REGISTERS.iter().copied())),
        }
    }

    /// The block after a reset in which each domain has its fate; `fresh` is the block as it is after power-on.
    pub(super) fn reborn(self, fresh: Self, fate: impl Fn(Domain) -> Fate) -> Self {
        let Self { places: _, array: _, ras, hdm, back_invalidate } = self;
        let back_invalidate = back_invalidate.zip(fresh.back_invalidate);
        Self {
            places: fresh.places,
            array: fresh.array,
            ras: ras.reborn(fresh.ras, fate(Domain::Ras)),
            hdm: hdm.reborn(fresh.hdm, fate(Domain::MemControl), fate(Domain::HdmDecoders)),
            back_invalidate: back_invalidate.map(|(old, fresh)| old.reborn(fresh, fate(Domain::MemControl))),
        }
    }

    /// Host firmware puts decoder 0 over all of the memory and commits it, register by register as any software.
    pub(super) fn firmware_commits(&mut self, profile: &Checked) {
        let range = profile.host_range();
        let (base_low, base_high) = spec_hdm::split(range.start().get());
        let size = if profile.profile().firmware.zero_size { 0 } else { range.size() };
        let (size_low, size_high) = spec_hdm::split(size);
        let lock = profile.profile().firmware.locked;
        let control = spec_hdm::Control::new(0).with_commit(true).with_lock_on_commit(lock);
        let enable = spec_hdm::GlobalControl::new(0).with_decoder_enable(true);
        let decoder = spec_hdm::decoder_offset(0);
        if let Some(registers) = &mut self.back_invalidate {
            let enable = back_invalidate::Control::new(0).with_enable(true);
            registers.write(Access::dword_around(back_invalidate::CONTROL), enable.raw().into(), UNLOCKED);
        }
        let programme = [
            (decoder + spec_hdm::BASE_LOW, base_low),
            (decoder + spec_hdm::BASE_HIGH, base_high),
            (decoder + spec_hdm::SIZE_LOW, size_low),
            (decoder + spec_hdm::SIZE_HIGH, size_high),
            (decoder + spec_hdm::CONTROL, control.raw()),
            (spec_hdm::GLOBAL_CONTROL, enable.raw()),
        ];
        for (offset, value) in programme {
            self.hdm.write(Access::dword_around(offset), value.into());
        }
    }

    /// What software reads at an offset of the block.
    pub fn read(&self, access: Access) -> u64 {
        if access.width() < Width::Dword {
            return 0;
        }
        // A qword may begin in one capability and end in another: each gives its own dword.
        let pieces = Access::split(access.offset(), access.width().bytes(), Width::Dword);
        let piece = |piece: Access| self.read_dword(piece) << (8 * (piece.offset() - access.offset()));
        pieces.map(piece).fold(0, |all, bits| all | bits)
    }

    fn read_dword(&self, at: Access) -> u64 {
        let Places { ras, hdm, back_invalidate } = self.places;
        let found = [
            at.relative_to(CACHEMEM_OFFSET).map(|at| self.array.read(at)),
            at.relative_to(ras).map(|at| self.ras.read(at)),
            at.relative_to(hdm).map(|at| self.hdm.read(at)),
            at.relative_to(back_invalidate).and_then(|at| Some(self.back_invalidate.as_ref()?.read(at))),
        ];
        found.into_iter().flatten().fold(0, |all, bits| all | bits)
    }

    /// What software writes at an offset of the block.
    pub fn write(&mut self, access: Access, value: u64) -> Vec<Effect> {
        if access.width() < Width::Dword {
            return Vec::new();
        }
        let pieces = Access::split(access.offset(), access.width().bytes(), Width::Dword);
        let mut effects = Vec::new();
        for piece in pieces {
            let value = (value >> (8 * (piece.offset() - access.offset()))) & piece.width().mask();
            effects.extend(self.write_dword(piece, value));
        }
        effects
    }

    fn write_dword(&mut self, at: Access, value: u64) -> Option<Effect> {
        let Places { ras, hdm, back_invalidate } = self.places;
        if let Some(at) = at.relative_to(ras) {
            self.ras.write(at, value);
        }
        if let (Some(at), Some(registers)) = (at.relative_to(back_invalidate), &mut self.back_invalidate) {
            registers.write(at, value, UNLOCKED);
        }
        self.hdm.write(at.relative_to(hdm)?, value)
    }

    /// What decoder `index` does.
    pub fn decoder_state(&self, index: u8) -> State {
        self.hdm.state(index)
    }

    /// What decoder `index` is programmed with.
    pub fn programming(&self, index: u8) -> Programming {
        self.hdm.programming(index)
    }

    /// The switches for all decoders together.
    pub fn global_control(&self) -> spec_hdm::GlobalControl {
        self.hdm.global_control()
    }

    /// The device address that the decoders make of a host address, whether or not they are enabled.
    pub(super) fn decode(&self, address: Hpa) -> Option<Dpa> {
        self.hdm.decode(address)
    }

    /// Records an error of the link. Returns how bad it is, if it is to be signalled.
    pub(super) fn record(&mut self, error: RasError) -> Option<Severity> {
        self.ras.record(error)
    }
}
