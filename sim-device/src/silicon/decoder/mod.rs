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
//! With lock-on-commit clear the hardware checks nothing: software owns correctness. While committed, shipped
//! silicon holds every field of the decoder but the commit bit; the specification leaves that undefined, and this
//! model does as the silicon. The change of the commit bit and its answer are one step: the 10 ms that the
//! specification allows are not used.

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
}

impl State {
    /// The state that the control register shows.
    pub fn of(control: Control) -> Self {
        match (control.committed(), control.lock_on_commit(), control.error_not_committed()) {
            (true, true, _) => Self::Locked,
            (true, false, _) => Self::Committed,
            (false, _, true) => Self::Refused,
            (false, _, false) => Self::Open,
        }
    }

    /// Whether the decoder decodes.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Committed | Self::Locked)
    }
}

/// What software put into a decoder's base, size and skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programming {
    /// First host address.
    pub base: Hpa,
    /// Length in bytes; 0 is legal and decodes nothing.
    pub size: u64,
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
    /// The interleave ways have a reserved code. The specification leaves that undefined; refusing is safe.
    ReservedWays,
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

/// The control register after software wrote `written` over `before`, and what happened.
///
/// `written` obeys the attributes of the table already: the read-only bits are those of `before`.
pub fn control_written(
    before: Control,
    written: Control,
    programming: Programming,
    previous: Option<Previous>,
) -> (Control, Option<Event>) {
    match (State::of(before), written.commit()) {
        (State::Locked, _) | (State::Committed, true) => (before, None),
        (State::Committed, false) => (before.with_commit(false).with_committed(false), Some(Event::Released)),
        (State::Open | State::Refused, false) => (written.with_error_not_committed(false), None),
        (State::Open | State::Refused, true) => commit(written, programming, previous),
    }
}

fn commit(
    written: Control,
    programming: Programming,
    previous: Option<Previous>,
) -> (Control, Option<Event>) {
    let checked = if written.lock_on_commit() {
        check(written.interleave_ways(), programming, previous)
    } else {
        Ok(())
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
fn check(ways: u4, programming: Programming, previous: Option<Previous>) -> Result<(), Refusal> {
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
    match hdm::ways(ways) {
        None => Err(Refusal::ReservedWays),
        Some(3 | 6 | 12) if !(programming.size / hdm::GRANULE).is_multiple_of(3) => {
            Err(Refusal::NotDivisibleByThree)
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
