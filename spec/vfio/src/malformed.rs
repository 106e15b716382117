//! What is wrong with bytes that do not parse.

use core::fmt;

use zerocopy::FromBytes;

/// Bytes that do not parse: what they should have been, and which number is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// There are fewer bytes than the structure has.
    Short {
        /// The structure.
        what: &'static str,
        /// How many bytes it has.
        need: u64,
        /// How many there are.
        have: u64,
    },
    /// A field has a value that it cannot have.
    Field {
        /// The structure.
        what: &'static str,
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A text is not what it must be.
    Text {
        /// Which text.
        what: &'static str,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { what, need, have } => {
                write!(out, "{what}: {have:#x} bytes where {need:#x} are needed")
            }
            Self::Field { what, field, value } => write!(out, "{what}: {field} cannot be {value:#x}"),
            Self::Text { what } => write!(out, "{what}: not a JSON object with a final NUL"),
        }
    }
}

impl core::error::Error for Malformed {}

/// The structure at the start of `bytes`, and what follows it.
///
/// # Errors
/// If there are fewer bytes than the structure has.
pub(crate) fn prefix<'a, T: FromBytes>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(T, &'a [u8]), Malformed> {
    T::read_from_prefix(bytes).map_err(|_| Malformed::Short {
        what,
        need: size_of::<T>() as u64,
        have: bytes.len() as u64,
    })
}
