//! The component register block: capability array, RAS, HDM decoders (CXL 3.2, 8.2.4).
//!
//! Registers are read and written as aligned dwords, or two at once as a qword; narrower accesses are not
//! defined by the specification and reach nothing here: they read 0 and write nothing.

use arbitrary_int::u2;
use arbitrary_int::u4;
use arbitrary_int::u12;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Hpa;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::component::ras;
use cxl_spec::register::Register;

use super::Effect;
use super::decoder;
use super::decoder::Previous;
use super::decoder::Programming;
use super::decoder::State;
use super::register::Block;
use super::register::UNLOCKED;
use crate::profile::Checked;

/// The registers of one component block.
#[derive(Clone, Debug)]
pub struct Component {
    array: Block,
    ras: Placed,
    hdm: Placed,
    decoders: u8,
}

/// A capability and where it is in the block.
#[derive(Clone, Debug)]
struct Placed {
    offset: u64,
    registers: Block,
}

/// Version of the RAS capability and of the HDM decoder capability that this model shows.
const RAS_VERSION: u4 = u4::new(2);
const HDM_VERSION: u4 = u4::new(1);

/// [`hdm::Capability::coherency`] of a device whose memory is device-coherent.
const DEVICE_COHERENT: u2 = u2::new(1);

impl Component {
    /// The block after power-on: nothing is committed.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let placed = |offset: u64, registers| Placed { offset: CACHEMEM_OFFSET + offset, registers };
        let component = &profile.profile().component;
        Self {
            array: capability_array(profile),
            ras: placed(component.ras.0, ras_registers()),
            hdm: placed(component.hdm.0, hdm_registers(profile.decoders())),
            decoders: profile.decoders().number(),
        }
    }

    /// Host firmware puts decoder 0 over all of the memory and commits it, register by register as any software.
    pub(super) fn firmware_commits(&mut self, profile: &Checked) {
        let range = profile.host_range();
        let (base_low, base_high) = hdm::split(range.start().get());
        let (size_low, size_high) = hdm::split(range.size());
        let lock = profile.profile().firmware.locked;
        let control = hdm::Control::new(0).with_commit(true).with_lock_on_commit(lock);
        let enable = hdm::GlobalControl::new(0).with_decoder_enable(true);
        let decoder = hdm::decoder_offset(0);
        let programme = [
            (decoder + hdm::BASE_LOW, base_low),
            (decoder + hdm::BASE_HIGH, base_high),
            (decoder + hdm::SIZE_LOW, size_low),
            (decoder + hdm::SIZE_HIGH, size_high),
            (decoder + hdm::CONTROL, control.raw()),
            (hdm::GLOBAL_CONTROL, enable.raw()),
        ];
        for (offset, value) in programme {
            self.write_hdm(Access::dword_around(offset), value.into());
        }
    }

    /// What software reads at an offset of the block.
    pub fn read(&self, access: Access) -> u64 {
        if access.width() < Width::Dword {
            return 0;
        }
        let parts = [
            (CACHEMEM_OFFSET, &self.array),
            (self.ras.offset, &self.ras.registers),
            (self.hdm.offset, &self.hdm.registers),
        ];
        // A qword may begin in one capability and end in another: each gives its own dword.
        let dword = |piece: Access| {
            let found =
                parts.iter().filter_map(|(origin, block)| Some(block.read(piece.relative_to(*origin)?)));
            found.fold(0, |all, bits| all | bits)
        };
        let pieces = Access::split(access.offset(), access.width().bytes(), Width::Dword);
        pieces
            .map(|piece| dword(piece) << (8 * (piece.offset() - access.offset())))
            .fold(0, |all, bits| all | bits)
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
            if let Some(access) = piece.relative_to(self.ras.offset) {
                self.ras.registers.write(access, value, UNLOCKED);
            }
            if let Some(access) = piece.relative_to(self.hdm.offset) {
                effects.extend(self.write_hdm(access, value));
            }
        }
        effects
    }

    /// What decoder `index` does.
    pub fn decoder_state(&self, index: u8) -> State {
        State::of(self.control(index))
    }

    /// What decoder `index` is programmed with.
    pub fn programming(&self, index: u8) -> Programming {
        let register = |offset| self.hdm.registers.get(hdm::decoder_offset(index) + offset) as u32;
        Programming {
            base: Hpa::new(hdm::join(register(hdm::BASE_LOW), register(hdm::BASE_HIGH))),
            size: hdm::join(register(hdm::SIZE_LOW), register(hdm::SIZE_HIGH)),
        }
    }

    fn control(&self, index: u8) -> hdm::Control {
        hdm::Control::new(self.hdm.registers.get(hdm::decoder_offset(index) + hdm::CONTROL) as u32)
    }

    /// Writes one dword of the HDM decoder capability.
    fn write_hdm(&mut self, access: Access, value: u64) -> Option<Effect> {
        let index = decoder_of(access.offset()).filter(|index| *index < self.decoders);
        let Some(index) = index else {
            self.hdm.registers.write(access, value, UNLOCKED);
            return None;
        };
        let control = hdm::decoder_offset(index) + hdm::CONTROL;
        let active = self.decoder_state(index).is_active();
        // The commit bit of an active decoder is not for the table to freeze: `decoder` knows when it may change.
        let frozen = |offset: u64| active && offset != control;
        let change = self
            .hdm
            .registers
            .write(access, value, &frozen)
            .into_iter()
            .find(|change| change.offset == control)?;
        let (before, written) =
            (hdm::Control::new(change.before as u32), hdm::Control::new(change.after as u32));
        let (after, event) =
            decoder::control_written(before, written, self.programming(index), self.previous(index));
        self.hdm.registers.set(control, after.raw());
        Some(Effect::Decoder { index, event: event? })
    }

    fn previous(&self, index: u8) -> Option<Previous> {
        let before = index.checked_sub(1)?;
        Some(Previous { state: self.decoder_state(before), programming: self.programming(before) })
    }
}

/// The decoder to which an offset of the capability belongs.
fn decoder_of(offset: u64) -> Option<u8> {
    let behind = offset.checked_sub(hdm::HEADER_SIZE)?;
    u8::try_from(behind / hdm::DECODER_SIZE).ok()
}

fn capability_array(profile: &Checked) -> Block {
    let component = &profile.profile().component;
    let header = array::Header::new(0)
        .with_id(array::id::ARRAY)
        .with_version(u4::new(1))
        .with_cachemem_version(u4::new(1))
        .with_entries(2);
    let entry = |id, version, offset: u64| {
        array::Entry::new(0).with_id(id).with_version(version).with_pointer(u12::new(offset as u16 & 0xfff))
    };
    let hdm = entry(array::id::HDM_DECODER, HDM_VERSION, component.hdm.0);
    let (first, second) = (array::entry_offset(1), array::entry_offset(2));
    Block::new([array::Header::at(0), array::Entry::at(first), array::Entry::at(second)])
        .with(0, header.raw())
        .with(first, entry(array::id::RAS, RAS_VERSION, component.ras.0).raw())
        .with(second, hdm.raw())
}

fn ras_registers() -> Block {
    let control = ras::CapabilitiesAndControl::new(0).with_first_error(ras::NO_ERROR);
    Block::new(ras::REGISTERS.iter().copied())
        .with(ras::UNCORRECTABLE_MASK, ras::ALL_UNCORRECTABLE)
        .with(ras::UNCORRECTABLE_SEVERITY, ras::ALL_UNCORRECTABLE)
        .with(ras::CORRECTABLE_MASK, ras::ALL_CORRECTABLE)
        .with(ras::CAPABILITIES_AND_CONTROL, control.raw())
}

fn hdm_registers(decoders: hdm::DecoderCount) -> Block {
    let capability =
        hdm::Capability::new(0).with_decoder_count(decoders.code()).with_coherency(DEVICE_COHERENT);
    let decoder = |index| {
        hdm::DECODER.iter().map(move |register: &Register| register.shifted(hdm::decoder_offset(index)))
    };
    let table = hdm::HEADER.iter().copied().chain((0..decoders.number()).flat_map(decoder));
    let block = Block::new(table).with(hdm::CAPABILITY, capability.raw());
    // Poison on a decode error needs a capability that this device does not have.
    let poison = hdm::GlobalControl::new(0).with_poison_on_decode_error(true);
    block.with_hardwired(hdm::GLOBAL_CONTROL, poison.raw().into())
}
