//! Words of a user of VFIO in scenarios: regions, error numbers and rows of bytes.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use vfio_abi::errno::Errno;

/// A region of a device, by number or by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionName {
    /// This index.
    Index(u32),
    /// A base address register.
    Bar(u8),
    /// Configuration space.
    Config,
    /// The device's memory, found by the type that the region states.
    Memory,
    /// The component registers, found so, too.
    Registers,
}

/// A text that is no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no region: write a number, or memory, registers, config or bar0 to bar5")]
pub struct NoRegion {
    text: String,
}

impl fmt::Display for RegionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(out, "region {index}"),
            Self::Bar(index) => write!(out, "bar{index}"),
            Self::Config => out.write_str("config"),
            Self::Memory => out.write_str("memory"),
            Self::Registers => out.write_str("registers"),
        }
    }
}

impl FromStr for RegionName {
    type Err = NoRegion;

    fn from_str(text: &str) -> Result<Self, NoRegion> {
        let bar = || text.strip_prefix("bar")?.parse().ok().filter(|index| *index < 6);
        match text {
            "memory" => Ok(Self::Memory),
            "registers" => Ok(Self::Registers),
            "config" => Ok(Self::Config),
            _ => bar().map(Self::Bar).ok_or_else(|| NoRegion { text: text.to_owned() }),
        }
    }
}

impl<'de> Deserialize<'de> for RegionName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = RegionName;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a region: a number, or a text such as \"registers\"")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RegionName, E> {
        let index = u32::try_from(number);
        index.map(RegionName::Index).map_err(|_| E::custom(format!("{number} is no region's number")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RegionName, E> {
        text.parse().map_err(E::custom)
    }
}

/// An error number, written by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ErrnoName(pub Errno);

/// A text that is no error number's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no error number: write {}", names().join(", "))]
pub struct NoErrno {
    text: String,
}

/// The largest number that a kernel returns as an error.
const LAST_ERRNO: u32 = 4095;

fn known() -> impl Iterator<Item = Errno> {
    (1..=LAST_ERRNO).map(Errno).filter(|errno| errno.name().is_some())
}

pub(super) fn names() -> Vec<&'static str> {
    known().filter_map(Errno::name).collect()
}

impl TryFrom<String> for ErrnoName {
    type Error = NoErrno;

    fn try_from(text: String) -> Result<Self, NoErrno> {
        let found = known().find(|errno| errno.name() == Some(text.as_str()));
        found.map(Self).ok_or(NoErrno { text })
    }
}

/// A row of bytes, written as two hex digits each. Spaces are for the eye.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bytes(pub Vec<u8>);

/// A text that is no row of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no row of bytes: write two hex digits for each")]
pub struct NoBytes {
    text: String,
}

impl TryFrom<String> for Bytes {
    type Error = NoBytes;

    fn try_from(text: String) -> Result<Self, NoBytes> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|char| *char != ' ')
            .map(|char| char.to_digit(16).map(|it| it as u8))
            .collect();
        let digits = digits.filter(|digits| !digits.is_empty() && digits.len().is_multiple_of(2));
        let pairs = digits.map(|digits| {
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
        });
        pairs.map(Self).ok_or(NoBytes { text })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(out, "{}{byte:02x}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("memory")]
    #[case("registers")]
    #[case("config")]
    #[case("bar0")]
    #[case("bar5")]
    fn a_region_is_printed_as_it_is_written(#[case] text: &str) {
        assert_eq!(text.parse::<RegionName>().unwrap().to_string(), text);
    }

    #[rstest]
    #[case("bar6")]
    #[case("bar")]
    #[case("9")]
    #[case("Memory")]
    #[case("")]
    fn what_is_no_region_is_refused_with_the_text(#[case] text: &str) {
        let error = text.parse::<RegionName>().unwrap_err().to_string();
        let expected = "is no region: write a number, or memory, registers, config or bar0 to bar5";
        assert_eq!(error, format!("{text:?} {expected}"));
    }

    #[test]
    fn an_error_number_is_known_by_its_name_and_by_no_other() {
        assert_eq!(ErrnoName::try_from("EINVAL".to_owned()), Ok(ErrnoName(Errno(22))));
        assert_eq!(ErrnoName::try_from("EIO".to_owned()), Ok(ErrnoName(Errno(5))));
        let error = ErrnoName::try_from("einval".to_owned()).unwrap_err().to_string();
        assert!(
            error.starts_with("\"einval\" is no error number: write EPERM, ENOENT, EIO, E2BIG,"),
            "{error}"
        );
    }

    #[test]
    fn bytes_are_two_digits_each_and_nothing_else() {
        let bytes = Bytes::try_from("02 00ff 1E".to_owned()).unwrap();
        assert_eq!(
            (bytes.0.as_slice(), bytes.to_string().as_str()),
            (&[2, 0, 0xff, 0x1e][..], "02 00 ff 1e")
        );
        for text in ["", " ", "0", "0 00", "0x00", "zz"] {
            assert!(Bytes::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
