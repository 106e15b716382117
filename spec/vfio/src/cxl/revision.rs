//! Which revisions of vfio-cxl are spoken here, and what they are called.

use core::fmt;
use core::str::FromStr;

/// A revision of vfio-cxl.
///
/// ```
/// use vfio_abi::cxl::Revision;
///
/// assert_eq!("v3".parse(), Ok(Revision::V3));
/// assert_eq!(Revision::V3.to_string(), "v3 (June 2026)");
/// assert!("v4".parse::<Revision>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// April 2026: [`v2`](super::v2).
    V2,
    /// June 2026: [`v3`](super::v3).
    V3,
    /// The newest shape, provisional: [`next`](super::next).
    Next,
}

/// A text that names no revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRevision;

impl Revision {
    /// All of them, the oldest first.
    pub const ALL: [Self; 3] = [Self::V2, Self::V3, Self::Next];

    /// The short name, as it is written in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V3 => "v3",
            Self::Next => "next",
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::V2 => "v2 (April 2026)",
            Self::V3 => "v3 (June 2026)",
            Self::Next => "next, provisional",
        })
    }
}

impl FromStr for Revision {
    type Err = NoRevision;

    fn from_str(text: &str) -> Result<Self, NoRevision> {
        Self::ALL.into_iter().find(|revision| revision.name() == text).ok_or(NoRevision)
    }
}

impl fmt::Display for NoRevision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("no revision of vfio-cxl: v2, v3 or next")
    }
}

impl core::error::Error for NoRevision {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn people_are_told_when_a_revision_was_posted_and_that_the_newest_is_not_settled() {
        let told = Revision::ALL.map(|revision| revision.to_string());
        assert_eq!(told, ["v2 (April 2026)", "v3 (June 2026)", "next, provisional"]);
    }

    #[test]
    fn every_name_is_read_as_what_it_names_and_no_other_text_is() {
        for revision in Revision::ALL {
            assert_eq!(revision.name().parse(), Ok(revision));
        }
        for text in ["", "v1", "V2", "plain", "v2 "] {
            assert_eq!(text.parse::<Revision>(), Err(NoRevision));
        }
    }
}
