//! Which part of all scenarios is run, as the command line says it.

use std::str::FromStr;

/// One part of all scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of them.
    pub(super) const WHOLE: Self = Self { index: 1, count: 1 };

    /// Its number, from 1, and how many there are.
    pub(super) fn numbers(self) -> (usize, usize) {
        (self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be I/N, with I from 1 to N".to_owned();
        let (index, count) = text.split_once('/').ok_or_else(wrong)?;
        let (index, count) = (index.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
        if (1..=count).contains(&index) { Ok(Self { index, count }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_part_is_written_as_a_number_of_how_many() {
        assert_eq!("2/8".parse::<Shard>().map(Shard::numbers), Ok((2, 8)));
        assert_eq!("1/1".parse(), Ok(Shard::WHOLE));
    }

    #[rstest]
    #[case("0/3")]
    #[case("4/3")]
    #[case("1/0")]
    #[case("1")]
    #[case("a/b")]
    #[case("-1/3")]
    fn a_shard_that_cannot_be_is_refused(#[case] text: &str) {
        assert!(text.parse::<Shard>().is_err());
    }
}
