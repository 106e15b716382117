//! The life of an HDM decoder (CXL 3.2, 8.2.4.20.12 and 8.2.4.20.13), as pure functions.
//!
//! ```text
//!            commit, lock clear               commit, lock set, checks pass
//!      ┌────────────────────────▶ Committed          ┌──────────▶ Locked
//!    Open ◀───────────────────────┘  ·               │            (until reset)
//!      │ ▲     commit cleared        ·             Open
//!      │ └────────────────────────┐                  │
//!      └────────────────────────▶ Refused ◀──────────┘
//!          commit, lock set, a check fails
//! ```
//!
//! With lock-on-commit clear the hardware checks nothing: software owns correctness. With it set, it checks what
//! the specification lists, and besides that the codes are ones that the device can do and that the memory is large
//! enough: the specification leaves these undefined and permits to refuse them. While committed, shipped
//! silicon holds every field of the decoder but the commit bit; the specification leaves that undefined, and this
//! model does as the silicon. The change of the commit bit and its answer are one step: the 10 ms that the
//! specification allows are not used. Only a device that is broken so leaves a commit without an answer, and its
//! decoder is `Committing` until the bit is cleared.

pub mod decode;
#[cfg(kani)]
mod proofs;

use arbitrary_int::u4;
use cxl_spec::address::Hpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;
use cxl_spec::component::hdm::Control;

/// What a decoder does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It decodes nothing and can be programmed.
    Open,
    /// It decodes, and can be released.
    Committed,
    /// It decodes until reset.
    Locked,
    /// It decodes nothing: the last commit failed a check.
    Refused,
    /// It decodes nothing: the last commit was never answered.
    Committing,
}

impl State {
    /// The state that the control register shows.
    pub fn of(control: Control) -> Self {
        match (control.committed(), control.error_not_committed()) {
            (true, _) if control.lock_on_commit() => Self::Locked,
            (true, _) => Self::Committed,
            (false, true) => Self::Refused,
            (false, false) if control.commit() => Self::Committing,
            (false, false) => Self::Open,
        }
    }

    /// Whether the decoder decodes.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Committed | Self::Locked)
    }
}

/// What software put into a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programming {
    /// First host address.
    pub base: Hpa,
    /// Length in bytes; 0 is legal and decodes nothing.
    pub size: u64,
    /// How much of the device's memory is left out before this decoder's.
    pub skip: u64,
    /// Code of the interleave ways.
    pub ways: u4,
    /// Code of the interleave granularity.
    pub granularity: u4,
}

impl Programming {
    /// The host addresses that this decodes; nothing for size 0 and for a range that wraps.
    pub fn range(self) -> Option<Span<Hpa>> {
        Span::new(self.base, self.size)
    }
}

/// Why a commit with lock-on-commit set was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The decoder before this one is not committed.
    PreviousNotCommitted,
    /// The range begins before the end of the decoder before this one.
    BelowPrevious,
    /// Base and size pass the end of the address space.
    Wraps,
    /// With 3, 6 or 12 ways the size must be a multiple of three granules.
    NotDivisibleByThree,
    /// The interleave ways have a reserved code.
    ReservedWays,
    /// The interleave granularity has a reserved code.
    ReservedGranularity,
    /// The device cannot interleave so.
    UnsupportedInterleave,
    /// The range needs more memory than the device has.
    BeyondMemory,
    /// The device is broken so.
    Broken,
}

/// What happened to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It decodes this range now.
    Committed(Programming),
    /// It decodes no longer.
    Released,
    /// The commit was refused.
    Refused(Refusal),
}

/// The decoder before the one that is to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// What it does.
    pub state: State,
    /// What it was programmed with.
    pub programming: Programming,
}

/// What the decoders of a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// The address bits on which they can interleave.
    pub interleave_bits: u64,
    /// They can interleave over 3, 6 and 12 ways.
    pub three_way: bool,
    /// They can interleave over 16 ways.
    pub sixteen_way: bool,
    /// How much memory there is behind them.
    pub capacity: u64,
    /// How a commit is answered.
    pub answer: Answer,
}

/// How a device answers a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As the specification says.
    AsSpecified,
    /// Never: the device is broken.
    Never,
    /// Always with an error: the device is broken.
    Refused,
}

/// A decoder that is to be committed, and what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What it is programmed with; ways and granularity are in the register that is written.
    pub programming: Programming,
    /// The decoder before it.
    pub previous: Option<Previous>,
    /// Where its part of the memory begins.
    pub dpa_base: u64,
    /// What the device can do.
    pub abilities: Abilities,
}

/// The control register after software wrote `written` over `before`, and what happened.
///
/// `written` obeys the attributes of the table already: the read-only bits are those of `before`.
///
/// ```
/// use arbitrary_int::u4;
/// use cxl_spec::address::Hpa;
/// use cxl_spec::component::hdm::Control;
/// use sim_device::silicon::decoder::Abilities;
/// use sim_device::silicon::decoder::Answer;
/// use sim_device::silicon::decoder::Event;
/// use sim_device::silicon::decoder::Programming;
/// use sim_device::silicon::decoder::Situation;
/// use sim_device::silicon::decoder::control_written;
///
/// let size = 256 << 20;
/// let one = u4::new(0);
/// let programming =
///     Programming { base: Hpa::new(0x1_1000_0000), size, skip: 0, ways: one, granularity: one };
/// let abilities = Abilities {
///     interleave_bits: 0,
///     three_way: false,
///     sixteen_way: false,
///     capacity: size,
///     answer: Answer::AsSpecified,
/// };
/// let around = Situation { programming, previous: None, dpa_base: 0, abilities };
///
/// let open = Control::new(0);
/// let (committed, event) = control_written(open, open.with_commit(true), around);
/// assert!(committed.committed() && event == Some(Event::Committed(programming)));
/// let (released, event) = control_written(committed, committed.with_commit(false), around);
/// assert!(!released.committed() && event == Some(Event::Released));
/// ```
pub fn control_written(before: Control, written: Control, around: Situation) -> (Control, Option<Event>) {
    match (State::of(before), written.commit()) {
        (State::Locked, _) | (State::Committed | State::Committing, true) => (before, None),
        (State::Committed, false) => (before.with_commit(false).with_committed(false), Some(Event::Released)),
        (State::Open | State::Refused | State::Committing, false) => {
            (written.with_error_not_committed(false), None)
        }
        (State::Open | State::Refused, true) => commit(written, around),
    }
}

fn commit(written: Control, around: Situation) -> (Control, Option<Event>) {
    let programming = Programming {
        ways: written.interleave_ways(),
        granularity: written.interleave_granularity(),
        ..around.programming
    };
    let checked = match around.abilities.answer {
        Answer::Never => return (written.with_error_not_committed(false), None),
        Answer::Refused => Err(Refusal::Broken),
        Answer::AsSpecified if written.lock_on_commit() => {
            mandatory(programming, around.previous).and_then(|()| permitted(programming, around))
        }
        Answer::AsSpecified => Ok(()),
    };
    match checked {
        Ok(()) => {
            let control = written.with_committed(true).with_error_not_committed(false);
            (control, Some(Event::Committed(programming)))
        }
        Err(refusal) => {
            let control = written.with_committed(false).with_error_not_committed(true);
            (control, Some(Event::Refused(refusal)))
        }
    }
}

/// The checks that lock-on-commit makes mandatory, in the order in which the specification lists them.
fn mandatory(programming: Programming, previous: Option<Previous>) -> Result<(), Refusal> {
    if let Some(previous) = previous {
        if !previous.state.is_active() {
            return Err(Refusal::PreviousNotCommitted);
        }
        let end = previous.programming.base.get().saturating_add(previous.programming.size);
        if programming.base.get() < end {
            return Err(Refusal::BelowPrevious);
        }
    }
    if programming.size > 0 && programming.range().is_none() {
        return Err(Refusal::Wraps);
    }
    match hdm::ways(programming.ways) {
        Some(3 | 6 | 12) if !(programming.size / hdm::GRANULE).is_multiple_of(3) => {
            Err(Refusal::NotDivisibleByThree)
        }
        _ => Ok(()),
    }
}

/// The checks that the specification permits besides.
fn permitted(programming: Programming, around: Situation) -> Result<(), Refusal> {
    let abilities = around.abilities;
    let ways = hdm::ways(programming.ways).ok_or(Refusal::ReservedWays)?;
    let lower = decode::lower_bits(programming.granularity).ok_or(Refusal::ReservedGranularity)?;
    let able = match ways {
        3 | 6 | 12 => abilities.three_way,
        16 => abilities.sixteen_way,
        _ => true,
    };
    // The bits that choose among the ways; a third of three, six and twelve ways is chosen by division.
    let choosing = if ways.is_multiple_of(3) { ways / 3 } else { ways };
    let bits = (u64::from(choosing) - 1) << lower;
    if !able || bits & !abilities.interleave_bits != 0 {
        return Err(Refusal::UnsupportedInterleave);
    }
    let end = around.dpa_base.checked_add(decode::device_size(programming));
    if end.is_some_and(|end| end <= abilities.capacity) { Ok(()) } else { Err(Refusal::BeyondMemory) }
}

#[cfg(test)]
mod tests;
