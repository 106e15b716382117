//! The ratios of a run, kept in a file, and those of another run that are worse.
//!
//! Only middles are compared: what 99 of 100 stay below is another number each time. A baseline holds for a kind of
//! guest: what KVM does and what the soft guest does cannot be compared.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use super::Better;
use super::Results;
use super::Row;
use crate::report::json;

/// The ratios of a run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// What ran the guest.
    guest: String,
    /// The ratio of the middles of each row, by what was measured and what it was compared with.
    ratios: BTreeMap<String, f64>,
}

/// Why results cannot be compared with a baseline.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BaselineError {
    /// The text is none.
    #[error("no baseline: {0}")]
    Malformed(String),
    /// A ratio is no number above 0.
    #[error("no baseline: {0}: {1} is no ratio")]
    NoRatio(String, f64),
    /// It is of another kind of guest.
    #[error("the baseline is of a guest {theirs}, and this run has a guest {ours}")]
    Guest {
        /// Ours.
        ours: String,
        /// The baseline's.
        theirs: String,
    },
}

/// A ratio that is worse than it was, or a row that is no more.
#[derive(Clone, Debug, PartialEq)]
pub enum Regression {
    /// The ratio is worse by this factor.
    Worse {
        /// The row.
        name: String,
        /// What the ratio was.
        was: f64,
        /// What it is.
        is: f64,
        /// How many times worse that is.
        factor: f64,
    },
    /// The baseline has a row that was not measured.
    Unmeasured(String),
}

impl fmt::Display for Regression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worse { name, was, is, factor } => {
                write!(out, "{name}: the ratio was {was:.3} and is {is:.3}, {factor:.2} times worse")
            }
            Self::Unmeasured(name) => write!(out, "{name}: it is in the baseline, and was not measured"),
        }
    }
}

impl Baseline {
    /// The ratios of these results.
    pub fn of(results: &Results) -> Self {
        let ratios = results.rows.iter().map(|row| (name(row), row.ratio_p50)).collect();
        Self { guest: results.guest.to_owned(), ratios }
    }

    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    /// If the text is something else.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| BaselineError::Malformed(error.to_string()))?;
        let wrong = read.ratios.iter().find(|(_, ratio)| !ratio.is_finite() || **ratio <= 0.0);
        match wrong {
            Some((name, ratio)) => Err(BaselineError::NoRatio(name.clone(), *ratio)),
            None => Ok(read),
        }
    }

    /// As a text.
    pub fn json(&self) -> String {
        json::pretty(self)
    }

    /// What is worse in these results by more than `tolerance`, a factor.
    ///
    /// # Errors
    /// If they cannot be compared.
    pub fn compare(&self, results: &Results, tolerance: f64) -> Result<Vec<Regression>, BaselineError> {
        if self.guest != results.guest {
            let (ours, theirs) = (results.guest.to_owned(), self.guest.clone());
            return Err(BaselineError::Guest { ours, theirs });
        }
        let found = self.ratios.iter().filter_map(|(name, was)| {
            match results.rows.iter().find(|row| self::name(row) == *name) {
                None => Some(Regression::Unmeasured(name.clone())),
                Some(row) => worse(row, *was, tolerance),
            }
        });
        Ok(found.collect())
    }
}

/// What a baseline calls a row.
fn name(row: &Row) -> String {
    format!("{} / {}", row.name, row.against)
}

fn worse(row: &Row, was: f64, tolerance: f64) -> Option<Regression> {
    let is = row.ratio_p50;
    let factor = match row.better {
        Better::Less => is / was,
        Better::More => was / is,
    };
    // What is no number is no better, either.
    let is_fine = factor <= tolerance;
    (!is_fine).then(|| Regression::Worse { name: name(row), was, is, factor })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn row(name: &str, better: Better, ratio: f64) -> Row {
        Row {
            name: name.to_owned(),
            against: "nothing".to_owned(),
            unit: "us",
            better,
            p50: 1.0,
            p99: 1.0,
            against_p50: 1.0,
            against_p99: 1.0,
            ratio_p50: ratio,
            ratio_p99: 9.0,
        }
    }

    fn results(time: f64, rate: f64) -> Results {
        let rows = vec![row("time", Better::Less, time), row("rate", Better::More, rate)];
        Results { version: "0", guest: "soft", rows, left_out: vec![] }
    }

    #[rstest]
    #[case(1.0, 1.0, &[])]
    #[case(0.1, 10.0, &[])]
    #[case(1.5, 0.7, &[])]
    #[case(1.6, 1.0, &["time / nothing"])]
    #[case(1.0, 0.6, &["rate / nothing"])]
    #[case(2.0, 0.5, &["rate / nothing", "time / nothing"])]
    #[case(f64::NAN, 1.0, &["time / nothing"])]
    #[case(1.0, 0.0, &["rate / nothing"])]
    fn a_ratio_that_is_worse_by_more_than_the_tolerance_is_named(
        #[case] time: f64,
        #[case] rate: f64,
        #[case] named: &[&str],
    ) {
        let found = Baseline::of(&results(1.0, 1.0)).compare(&results(time, rate), 1.5).unwrap();
        let names = found.iter().map(|regression| match regression {
            Regression::Worse { name, .. } | Regression::Unmeasured(name) => name.as_str(),
        });
        assert_eq!(names.collect::<Vec<_>>(), named);
    }

    #[test]
    fn what_is_worse_is_told_with_both_ratios_and_the_factor() {
        let found = Baseline::of(&results(1.0, 1.0)).compare(&results(1.0, 0.25), 2.0).unwrap();
        let told = "rate / nothing: the ratio was 1.000 and is 0.250, 4.00 times worse";
        assert_eq!(found.iter().map(Regression::to_string).collect::<Vec<_>>(), [told]);
    }

    #[test]
    fn a_row_that_is_no_more_is_named_and_a_new_one_is_not() {
        let (mut fewer, all) = (results(1.0, 1.0), results(1.0, 1.0));
        fewer.rows.pop();
        let found = Baseline::of(&all).compare(&fewer, 1.5).unwrap();
        assert_eq!(found, [Regression::Unmeasured("rate / nothing".to_owned())]);
        assert_eq!(Baseline::of(&fewer).compare(&all, 1.5), Ok(vec![]));
    }

    #[test]
    fn a_baseline_is_read_as_it_was_written() {
        let kept = Baseline::of(&results(1.25, 0.5));
        assert_eq!(Baseline::parse(&kept.json()), Ok(kept));
    }

    #[test]
    fn another_guest_cannot_be_compared() {
        let kept = Baseline { guest: "kvm".to_owned(), ..Baseline::of(&results(1.0, 1.0)) };
        let error = kept.compare(&results(1.0, 1.0), 1.5).unwrap_err();
        assert_eq!(error.to_string(), "the baseline is of a guest kvm, and this run has a guest soft");
    }

    #[rstest]
    #[case("", "no baseline: EOF")]
    #[case("{}", "no baseline: missing field `guest`")]
    #[case(r#"{"guest": "soft", "ratios": {}, "more": 1}"#, "no baseline: unknown field `more`")]
    #[case(r#"{"guest": "soft", "ratios": {"a": "b"}}"#, "no baseline: invalid type")]
    #[case(r#"{"guest": "soft", "ratios": {"a": null}}"#, "no baseline: invalid type")]
    #[case(r#"{"guest": "soft", "ratios": {"a / b": 0}}"#, "no baseline: a / b: 0 is no ratio")]
    #[case(r#"{"guest": "soft", "ratios": {"a / b": -1.5}}"#, "no baseline: a / b: -1.5 is no ratio")]
    fn what_is_no_baseline_is_refused_with_the_reason(#[case] text: &str, #[case] why: &str) {
        let error = Baseline::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(why), "{error}");
    }
}
