//! What follows from a register write or a translation, for others to carry out.

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

/// Something that others must carry out or may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// An interrupt by wire, as an edge.
    Interrupt(Interrupt),
    /// An interrupt by message: a write of 4 bytes. It comes after all that the same effects invalidate.
    Message(Message),
    /// Translations may have changed; see [`Invalidated`].
    Invalidated(Invalidated),
}

/// How many interrupts there are.
const INTERRUPTS: usize = 3;

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

/// An interrupt that is a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which interrupt.
    pub interrupt: Interrupt,
    /// Where it goes, a multiple of 4.
    pub address: Gpa,
    /// What is written.
    pub data: u32,
}

/// Translations that may be different now, so that whoever mirrors them lists them again.
///
/// Nothing outside has changed, as far as software keeps to the rules; inside, all may still be as it was.
/// Software need not invalidate where nothing was mapped before. So there is no effect when a mapping only comes,
/// and a mirror that lists again only then has it later than the tables.
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
    /// of everything. With so many messages that one more could be too many, no more commands are consumed; see
    /// [`Smmu::go_on`](super::Smmu::go_on).
    pub const MOST: usize = Self::MOST_INVALIDATED + Self::MOST_MESSAGES + INTERRUPTS;

    const MOST_INVALIDATED: usize = 61;

    const MOST_MESSAGES: usize = 16;

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
        // Of two equal messages another may lie between, so both are sent.
        if !matches!(effect, Effect::Message(_)) && self.0.iter().any(is_there) {
            return;
        }
        let is_invalidated = |there: &Effect| matches!(there, Effect::Invalidated(_));
        if is_invalidated(&effect) && self.count(is_invalidated) >= Self::MOST_INVALIDATED {
            self.0.retain(|there| !is_invalidated(there));
            self.0.push(Self::EVERYTHING);
        } else {
            self.0.push(effect);
        }
    }

    /// Whether one more command and its error could be one message too many.
    pub fn is_full(&self) -> bool {
        self.count(|effect| matches!(effect, Effect::Message(_))) + 1 >= Self::MOST_MESSAGES
    }

    fn count(&self, is_one: impl Fn(&Effect) -> bool) -> usize {
        self.0.iter().filter(|effect| is_one(effect)).count()
    }

    /// An interrupt: a message where it has an address, and else by wire.
    pub(super) fn signal(&mut self, interrupt: Interrupt, (address, data): (u64, u32)) {
        self.push(match address {
            0 => Effect::Interrupt(interrupt),
            _ => Effect::Message(Message { interrupt, address: Gpa::new(address), data }),
        });
    }

    pub(super) fn invalidated(&mut self, streams: Streams, range: Range) {
        self.push(Effect::Invalidated(Invalidated { streams, range }));
    }
}
