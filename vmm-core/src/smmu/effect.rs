//! What follows from a register write or a translation, for others to carry out.

use cxl_spec::address::Iova;

/// Something that others must carry out or may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An interrupt by wire, as an edge.
    Interrupt(Interrupt),
    /// Translations may have changed; see [`Invalidated`].
    Invalidated(Invalidated),
}

/// Which interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The event queue is no longer empty.
    EventQueue,
    /// A global error became active.
    GlobalError,
    /// A `CMD_SYNC` that asked for an interrupt is done.
    CommandSync,
}

/// Translations that may be different now, so that whoever mirrors them lists them again.
///
/// Nothing outside has changed, as far as software keeps to the rules; inside, all may still be as it was.
/// Software need not invalidate where nothing was mapped before. So there is no effect when a mapping only comes:
/// a mirror must list again also when a device misses one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidated {
    /// Of which streams.
    pub streams: Streams,
    /// Which of their addresses.
    pub range: Range,
}

/// Some streams of an SMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// All.
    All,
    /// Those with a stream id between these, both included.
    Between(u32, u32),
    /// Those whose context descriptor has this address space id.
    Asid(u16),
}

/// Some input addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All.
    All,
    /// Those between these, both included. All 64 bits count, so the last address can be one of them.
    Between(Iova, Iova),
}

/// Effects in the order in which they came about. There are never more than [`Effects::MOST`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// The most effects that one write has. A guest can queue any number of invalidations: more than fit become one
    /// of everything.
    pub const MOST: usize = 64;

    const EVERYTHING: Effect = Effect::Invalidated(Invalidated { streams: Streams::All, range: Range::All });

    /// The effects.
    pub fn as_slice(&self) -> &[Effect] {
        &self.0
    }

    /// Adds an effect that is not there yet.
    pub(super) fn push(&mut self, effect: Effect) {
        let is_there = |there: &Effect| {
            let covered = *there == Self::EVERYTHING && matches!(effect, Effect::Invalidated(_));
            *there == effect || covered
        };
        if self.0.iter().any(is_there) {
            return;
        }
        // Three places are kept for the three interrupts.
        if matches!(effect, Effect::Invalidated(_)) && self.0.len() >= Self::MOST - 3 {
            self.0.retain(|there| matches!(there, Effect::Interrupt(_)));
            self.0.push(Self::EVERYTHING);
        } else {
            self.0.push(effect);
        }
    }

    pub(super) fn interrupt(&mut self, interrupt: Interrupt) {
        self.push(Effect::Interrupt(interrupt));
    }

    pub(super) fn invalidated(&mut self, streams: Streams, range: Range) {
        self.push(Effect::Invalidated(Invalidated { streams, range }));
    }
}
