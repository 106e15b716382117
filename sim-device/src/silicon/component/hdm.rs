//! The HDM decoder capability as registers: one block for what is common, one for each decoder.
//!
//! What a decoder does when its control register is written, [`decoder`] knows.

use arbitrary_int::u2;
use arbitrary_int::u4;
use cxl_spec::access::Access;
use cxl_spec::address::Dpa;
use cxl_spec::address::Hpa;
use cxl_spec::component::hdm;

use crate::profile::Checked;
use crate::profile::Coherency;
use crate::silicon::Effect;
use crate::silicon::decoder;
use crate::silicon::decoder::Abilities;
use crate::silicon::decoder::Answer;
use crate::silicon::decoder::Previous;
use crate::silicon::decoder::Programming;
use crate::silicon::decoder::Situation;
use crate::silicon::decoder::State;
use crate::silicon::decoder::decode;
use crate::silicon::register::Block;
use crate::silicon::register::UNLOCKED;
use crate::silicon::reset::Fate;

/// [`hdm::Capability::coherency`] of a device whose memory is device-coherent, with back-invalidate or without.
const DEVICE_COHERENT: u2 = u2::new(1);

/// The address bits that the capability names for interleave.
const BITS_11_8: u64 = 0x0f00;
const BITS_14_12: u64 = 0x7000;

/// The registers, and what the decoders can do.
#[derive(Clone, Debug)]
pub(super) struct Hdm {
    common: Block,
    decoders: Vec<Block>,
    abilities: Abilities,
}

impl Hdm {
    /// The capability after power-on: nothing is committed.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let decoders = profile.decoders().number();
        Self {
            common: common(profile),
            decoders: (0..decoders).map(|_| one(profile.profile().memory.coherency)).collect(),
            abilities: abilities(profile),
        }
    }

    /// The capability after a reset, with a fate each for what is common and for the decoders.
    pub(super) fn reborn(self, fresh: Self, common_fate: Fate, decoder_fate: Fate) -> Self {
        let Self { common, decoders, abilities: _ } = self;
        let decoders = decoders.into_iter().zip(fresh.decoders);
        Self {
            common: common.reborn(fresh.common, common_fate),
            decoders: decoders.map(|(old, fresh)| old.reborn(fresh, decoder_fate)).collect(),
            abilities: fresh.abilities,
        }
    }

    pub(super) fn read(&self, access: Access) -> u64 {
        let Some(index) = decoder_of(access) else { return self.common.read(access) };
        let inside = access.relative_to(hdm::decoder_offset(index));
        let block = self.decoders.get(usize::from(index));
        inside.zip(block).map_or(0, |(inside, block)| block.read(inside))
    }

    /// Writes one dword.
    pub(super) fn write(&mut self, access: Access, value: u64) -> Option<Effect> {
        let Some(index) = decoder_of(access) else {
            self.common.write(access, value, UNLOCKED);
            return None;
        };
        let inside = access.relative_to(hdm::decoder_offset(index))?;
        let active = self.state(index).is_active();
        // The commit bit of an active decoder is not for the table to freeze: `decoder` knows when it may change.
        let frozen = |offset: u64| active && offset != hdm::CONTROL;
        let block = self.decoders.get_mut(usize::from(index))?;
        let changes = block.write(inside, value, &frozen);
        let change = changes.into_iter().find(|change| change.offset == hdm::CONTROL)?;
        let (before, written) =
            (hdm::Control::new(change.before as u32), hdm::Control::new(change.after as u32));
        let (after, event) = decoder::control_written(before, written, self.situation(index));
        self.decoders.get_mut(usize::from(index))?.set(hdm::CONTROL, after.raw());
        Some(Effect::Decoder { index, event: event? })
    }

    /// What decoder `index` does; open where there is none.
    pub(super) fn state(&self, index: u8) -> State {
        State::of(hdm::Control::new(self.register(index, hdm::CONTROL)))
    }

    /// What decoder `index` is programmed with; zeros where there is none.
    pub(super) fn programming(&self, index: u8) -> Programming {
        let join = |low, high| hdm::join(self.register(index, low), self.register(index, high));
        let control = hdm::Control::new(self.register(index, hdm::CONTROL));
        Programming {
            base: Hpa::new(join(hdm::BASE_LOW, hdm::BASE_HIGH)),
            size: join(hdm::SIZE_LOW, hdm::SIZE_HIGH),
            skip: join(hdm::SKIP_LOW, hdm::SKIP_HIGH),
            ways: control.interleave_ways(),
            granularity: control.interleave_granularity(),
        }
    }

    pub(super) fn global_control(&self) -> hdm::GlobalControl {
        hdm::GlobalControl::new(self.common.get(hdm::GLOBAL_CONTROL) as u32)
    }

    /// The device address that the first decoder which takes a host address makes of it. Only decoders that are
    /// committed count.
    pub(super) fn decode(&self, address: Hpa) -> Option<Dpa> {
        let mappings = decode::mappings(self.active_below(u8::MAX));
        mappings.into_iter().find_map(|mapping| decode::to_dpa(mapping, address))
    }

    fn register(&self, index: u8, offset: u64) -> u32 {
        self.decoders.get(usize::from(index)).map_or(0, |block| block.get(offset) as u32)
    }

    fn active_below(&self, end: u8) -> impl Iterator<Item = Programming> + '_ {
        let indices = (0..end).take(self.decoders.len());
        indices.filter(|index| self.state(*index).is_active()).map(|index| self.programming(index))
    }

    fn situation(&self, index: u8) -> Situation {
        let programming = self.programming(index);
        let previous = index
            .checked_sub(1)
            .map(|before| Previous { state: self.state(before), programming: self.programming(before) });
        let mappings = decode::mappings(self.active_below(index).chain([programming]));
        let dpa_base = mappings.last().map_or(0, |mapping| mapping.dpa_base);
        Situation { programming, previous, dpa_base, abilities: self.abilities }
    }
}

/// The decoder to which an access belongs; none for what is common to all.
fn decoder_of(access: Access) -> Option<u8> {
    let behind = access.offset().checked_sub(hdm::HEADER_SIZE)?;
    Some(u8::try_from(behind / hdm::DECODER_SIZE).unwrap_or(u8::MAX))
}

fn common(profile: &Checked) -> Block {
    let decoder = &profile.profile().decoder;
    let capability = hdm::Capability::new(0)
        .with_decoder_count(profile.decoders().code())
        .with_interleave_11_8(decoder.interleave_11_8)
        .with_interleave_14_12(decoder.interleave_14_12)
        .with_poison_on_decode_error(decoder.poison_on_decode_error)
        .with_ways_3_6_12(decoder.three_way)
        .with_ways_16(decoder.sixteen_way)
        .with_coherency(DEVICE_COHERENT);
    // Poison on a decode error needs the capability.
    let poison = hdm::GlobalControl::new(0).with_poison_on_decode_error(!decoder.poison_on_decode_error);
    Block::new(hdm::HEADER.iter().copied())
        .with(hdm::CAPABILITY, capability.raw())
        .with_hardwired(hdm::GLOBAL_CONTROL, poison.raw().into())
}

fn one(coherency: Coherency) -> Block {
    let block = Block::new(hdm::DECODER.iter().copied());
    match coherency {
        // Without back-invalidate the set position is reserved.
        Coherency::HdmD => {
            let reserved = hdm::Control::new(0).with_set_position(u4::new(0xf));
            block.with_hardwired(hdm::CONTROL, reserved.raw().into())
        }
        Coherency::HdmDb => block.with(hdm::CONTROL, hdm::Control::new(0).with_back_invalidate(true).raw()),
    }
}

fn abilities(profile: &Checked) -> Abilities {
    let decoder = &profile.profile().decoder;
    let faults = &profile.profile().faults;
    let bits = |able, bits| if able { bits } else { 0 };
    Abilities {
        interleave_bits: bits(decoder.interleave_11_8, BITS_11_8)
            | bits(decoder.interleave_14_12, BITS_14_12),
        three_way: decoder.three_way,
        sixteen_way: decoder.sixteen_way,
        capacity: profile.profile().memory.size.0,
        answer: match (faults.commit_never_completes, faults.commit_refused) {
            (true, _) => Answer::Never,
            (false, true) => Answer::Refused,
            (false, false) => Answer::AsSpecified,
        },
    }
}
