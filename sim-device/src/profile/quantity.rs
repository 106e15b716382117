//! Numbers as people write them in files: `4096`, `0x4_0000_0000`, `"256MiB"`, `"0x48_3000_0000"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

/// A number of bytes, or an address: a TOML integer, or a text with a unit or in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub u64);

/// A text that is no number, or one that does not fit 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no number: write 4096, \"0x1000\" or \"4KiB\" (units B, KiB, MiB, GiB, TiB)")]
pub struct NotANumber {
    text: String,
}

impl FromStr for Quantity {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, NotANumber> {
        parse(text.trim()).map(Self).ok_or_else(|| NotANumber { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(&digits.replace('_', ""), 16).ok();
    }
    let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number: u64 = digits.trim().replace('_', "").parse().ok()?;
    number.checked_mul(1 << shift)
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole =
            |&&(_, shift): &&(&str, u32)| shift > 0 && self.0 > 0 && self.0.is_multiple_of(1 << shift);
        match UNITS.iter().find(whole) {
            Some((unit, shift)) if self.0 >> shift < 0x1_0000 => write!(out, "{}{unit}", self.0 >> shift),
            _ => write!(out, "{:#x}", self.0),
        }
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes or an address: 4096, \"0x1000\" or \"4KiB\".",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^ *(0x[0-9a-fA-F_]+|[0-9_]+ *([KMGT]iB|B)?) *$" },
            ],
        })
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = Quantity;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a number, or a text such as \"256MiB\" or \"0x4_0000_0000\"")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
        Ok(Quantity(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
        u64::try_from(number).map(Quantity).map_err(|_| E::custom(format!("{number} is below 0")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("4096", 4096)]
    #[case("1_000", 1000)]
    #[case("0x4_0000_0000", 0x4_0000_0000)]
    #[case("256MiB", 256 << 20)]
    #[case(" 2 TiB ", 2 << 40)]
    #[case("7B", 7)]
    fn a_number_is_read_as_written(#[case] text: &str, #[case] number: u64) {
        assert_eq!(text.parse(), Ok(Quantity(number)));
    }

    #[rstest]
    #[case::empty("")]
    #[case::a_word("many")]
    #[case::negative("-1")]
    #[case::decimal_units("5MB")]
    #[case::a_fraction("1.5GiB")]
    #[case::beyond_64_bits("0x1_0000_0000_0000_0000")]
    #[case::a_unit_beyond_64_bits("16777216TiB")]
    fn what_is_no_number_is_refused_with_the_text(#[case] text: &str) {
        let error = text.parse::<Quantity>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }

    #[test]
    fn whole_units_are_printed_as_such() {
        assert_eq!(Quantity(256 << 20).to_string(), "256MiB");
        assert_eq!(Quantity(0x48_3000_0000).to_string(), "0x4830000000");
        assert_eq!(Quantity(0).to_string(), "0x0");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number: u64) {
            prop_assert_eq!(Quantity(number).to_string().parse(), Ok(Quantity(number)));
        }
    }
}
