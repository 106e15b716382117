//! Software that may write anything to any register, as values: property tests and fuzzers are two callers of [`run`].
//!
//! What must hold, whatever is written, wherever, at whatever width:
//!
//! - every bit is what its attribute lets it become, and no bit changes outside of what was written, but those by
//!   which hardware answers: see `laws`;
//! - a decoder that decodes stays as it is until it is released, and one that is locked until it is reset; nothing
//!   decodes outside of what is committed, and what decodes does so as the specification computes it: see
//!   `decoders`;
//! - reading changes nothing, and a wide read is what its parts read;
//! - after a loss of power the device is as it was at first.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

mod decoders;
mod laws;
mod places;

use std::ops::Range;
use std::sync::LazyLock;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use laws::Written;
use places::Space;

use super::Effect;
use super::RasError;
use super::Reset;
use super::Silicon;
use crate::profile::Checked;
use crate::profile::LinkError;
use crate::profile::Profile;

/// Something that software, or the world around the device, does.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Step {
    /// A write; what is not there is near something that is.
    Write {
        /// Where, in the area.
        offset: u16,
        /// 1, 2, 4 or 8 bytes: its low two bits are the exponent.
        width: u8,
        /// What.
        value: u64,
    },
    /// One of the resets.
    Reset(u8),
    /// An error of the link.
    Error(u8),
}

/// What a fuzzer is about: where the writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Configuration space.
    Config,
    /// The component block's capabilities.
    Component,
    /// Its HDM decoders.
    Decoders,
}

/// The devices that are driven: as firmware leaves them, and with many decoders that nobody has committed.
const DEVICES: [&str; 4] = [
    "",
    "[firmware]\nconfig_lock = \"after-mem-enable\"\n[memory]\ncoherency = \"hdm-db\"",
    "[decoder]\ncount = 4\n[firmware]\ncommitted = false",
    "[decoder]\ncount = 10\n[firmware]\ncommitted = false\n[memory]\ncoherency = \"hdm-db\"",
];

/// Errors of the link, of both severities.
const ERRORS: [LinkError; 3] =
    [LinkError::MemDataEcc, LinkError::CorrectableMemDataEcc, LinkError::PoisonReceived];

/// The most steps that are done: more tell nothing new.
const MOST_STEPS: usize = 64;

/// What a number says of the device, as a profile.
pub fn device(number: u8) -> &'static str {
    DEVICES.into_iter().cycle().nth(number.into()).unwrap_or_default()
}

/// The same, parsed and checked once.
fn checked(number: u8) -> Option<Checked> {
    static CHECKED: LazyLock<[Option<Checked>; DEVICES.len()]> =
        LazyLock::new(|| DEVICES.map(|text| Profile::parse("driven", text).ok()?.check().ok()));
    CHECKED.iter().cycle().nth(number.into()).cloned().flatten()
}

/// Does `steps` to one of four devices, all writes in this area, and checks what must hold after each.
pub fn run(area: Area, number: u8, steps: &[Step]) {
    let Some(mut silicon) = checked(number).and_then(|profile| Silicon::power_on(profile).ok()) else {
        return;
    };
    let places = places::all(&silicon);
    let first = places::values(&places, &silicon);
    for (place, first) in places.iter().zip(&first) {
        laws::check(place, *first, *first, *first, &Done::Reset);
    }
    let mut before = first.clone();
    for step in steps.iter().take(MOST_STEPS) {
        let decoders = decoders::Seen::of(&silicon);
        let done = step.carry_out(area, &mut silicon);
        let after = places::values(&places, &silicon);
        for (place, ((first, before), after)) in places.iter().zip(first.iter().zip(&before).zip(&after)) {
            laws::check(place, *first, *before, *after, &done);
        }
        decoders.check(&silicon, matches!(done, Done::Reset));
        before = after;
    }
    [Space::Config, Space::Component].into_iter().for_each(|space| parts_agree(&silicon, space));
    silicon.reset(Reset::Cold);
    silicon.firmware_boots();
    assert_eq!(places::values(&places, &silicon), first, "power was lost");
}

/// What a step came to.
enum Done {
    /// Software wrote.
    Written(Written),
    /// The device was reset, by software or by the world.
    Reset,
    /// Hardware told of an error.
    Error,
}

impl Step {
    fn carry_out(self, area: Area, silicon: &mut Silicon) -> Done {
        match self {
            Self::Write { offset, width, value } => {
                let (space, access) = area.access(silicon, offset, width);
                let value = value & access.width().mask();
                let effects = match space {
                    Space::Config => silicon.config_write(access, value),
                    Space::Component => silicon.component.write(access, value),
                };
                let is_reset = effects.contains(&Effect::CxlReset);
                if is_reset { Done::Reset } else { Done::Written(Written { space, access, value }) }
            }
            Self::Reset(which) => {
                let reset = Reset::ALL.into_iter().cycle().nth(which.into());
                silicon.reset(reset.unwrap_or(Reset::Cold));
                Done::Reset
            }
            Self::Error(which) => {
                let error = ERRORS.into_iter().cycle().nth(which.into());
                error.into_iter().for_each(|error| drop(silicon.inject(RasError::with_sample_header(error))));
                Done::Error
            }
        }
    }
}

impl Area {
    /// The access that an offset and a width mean here.
    fn access(self, silicon: &Silicon, offset: u16, width: u8) -> (Space, Access) {
        let offset = u64::from(offset);
        let (space, Range { start, end }) = match self {
            Self::Config => (Space::Config, Space::Config.range()),
            Self::Component => (Space::Component, Space::Component.range()),
            Self::Decoders => {
                let start = places::decoders(silicon);
                (Space::Component, start..start + 0x160)
            }
        };
        let widest = space.widest();
        let width = Width::of(1 << (width & 3)).unwrap_or(widest).min(widest);
        let at = (start + offset % (end - start)) & !(width.bytes() - 1);
        (space, Access::new(at, width).unwrap_or(Access::dword_around(at)))
    }
}

/// A dword of configuration space is its four bytes, and a qword of the block its two dwords; read twice they are
/// the same.
fn parts_agree(silicon: &Silicon, space: Space) {
    let read = |part| places::read(silicon, space, part);
    let joined = |start: u64, part| {
        let pieces = Access::split(start, space.widest().bytes(), part);
        pieces.fold(0, |all, piece| all | read(piece) << (8 * (piece.offset() - start)))
    };
    for start in space.range().step_by(space.widest().bytes() as usize) {
        let whole = joined(start, space.widest());
        for part in space.parts() {
            assert_eq!(joined(start, *part), whole, "{space:?} {start:#x} by {part:?}");
        }
    }
}

#[cfg(test)]
mod tests;
