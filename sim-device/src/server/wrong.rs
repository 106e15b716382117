//! What a client did wrong, by kind and counted. What was refused although it was asked for in order, such as a
//! region that is not there, is nothing wrong.

use std::fmt;

use vfio_abi::errno::Errno;

macro_rules! wrongs {
    ($($(#[$meta:meta])* $name:ident = $text:literal;)*) => {
        /// A kind of wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Wrong {
            $( $(#[$meta])* $name, )*
        }

        impl Wrong {
            /// All kinds.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// What it is called when it is counted.
            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )*
                }
            }
        }
    };
}

wrongs! {
    /// It sent bytes of which no message can be told.
    NoMessage = "bytes that are no message";
    /// It began a message and left, or took too long over the rest.
    Unfinished = "unfinished messages";
    /// It did not say in time which version it speaks.
    NoVersion = "negotiation not done in time";
    /// It said its version a second time, or something else before it.
    OutOfTurn = "messages out of turn";
    /// It sent a command that nobody knows.
    UnknownCommand = "unknown commands";
    /// It sent a payload that is not what its command's must be.
    BadPayload = "payloads that make no sense";
    /// It sent, or asked for, more in one message than is taken.
    TooLarge = "messages with too much in them";
    /// It sent file descriptors with a message that takes none.
    StrayFiles = "messages with files that nobody asked for";
    /// It answered what nobody asked, or asks any more.
    StrayReply = "answers to nothing";
    /// It wanted more held than its limits allow.
    OverLimit = "requests beyond a limit";
    /// It did not answer the device in time.
    Unanswered = "requests of the device not answered in time";
    /// It does not read its answers.
    Unread = "answers not read";
    /// The connection broke.
    Vanished = "broken connections";
}

/// How much of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wrongs {
    counts: [u64; Wrong::ALL.len()],
}

impl Wrongs {
    /// One more of a kind.
    pub(super) fn note(&mut self, wrong: Wrong) {
        if let Some(count) = self.counts.get_mut(wrong as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How many of a kind.
    pub fn of(&self, wrong: Wrong) -> u64 {
        self.counts.get(wrong as usize).copied().unwrap_or(0)
    }

    /// Whether there was nothing wrong.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Wrongs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for wrong in Wrong::ALL.iter().filter(|wrong| self.of(**wrong) > 0) {
            write!(out, "{between}{}: {}", wrong.name(), self.of(*wrong))?;
            between = ", ";
        }
        Ok(())
    }
}

/// Why a message is answered with an error, and whether the client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) wrong: Option<Wrong>,
}

impl Wrong {
    /// What is answered to this kind of wrong.
    pub(super) fn refused(self) -> Refusal {
        let errno = match self {
            Self::TooLarge => Errno::E2BIG,
            Self::OverLimit => Errno::ENOSPC,
            Self::UnknownCommand => Errno::ENOSYS,
            _ => Errno::EINVAL,
        };
        Refusal { errno, wrong: Some(self) }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, wrong: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself_and_told_in_one_line() {
        let mut wrongs = Wrongs::default();
        assert!(wrongs.is_none());
        assert_eq!(wrongs.to_string(), "");
        for wrong in [Wrong::OverLimit, Wrong::StrayReply, Wrong::OverLimit] {
            wrongs.note(wrong);
        }
        assert!(!wrongs.is_none());
        assert_eq!(wrongs.to_string(), "answers to nothing: 1, requests beyond a limit: 2");
        let others = Wrong::ALL.iter().filter(|wrong| !matches!(wrong, Wrong::OverLimit | Wrong::StrayReply));
        assert!(others.map(|wrong| wrongs.of(*wrong)).all(|count| count == 0));
    }

    #[test]
    fn every_kind_has_a_name_and_a_place_of_its_own() {
        for (place, wrong) in Wrong::ALL.iter().enumerate() {
            assert_eq!(*wrong as usize, place);
            assert_eq!(Wrong::ALL.iter().filter(|other| other.name() == wrong.name()).count(), 1);
        }
    }
}
