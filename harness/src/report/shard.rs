//! Which part of a run a report is about, so that parts can be put together and a missing one is told.
//!
//! ```text
//!  scenarios of the run   a b c d e f g        1/3  a d g ┐
//!                                              2/3  b e   ├─▶ merge ─▶ a b c d e f g
//!                                              3/3  c f   ┘
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::ScenarioReport;
use super::json::Report;

/// The most parts that a run is told to have by a report that is read.
const MOST_SHARDS: usize = 1 << 16;

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Run")]
pub struct Part {
    /// Which part, from 1: every so many-th scenario, beginning with this one.
    pub shard: usize,
    /// How many parts the run has.
    pub shards: usize,
    /// How many scenarios the whole run has.
    pub total: usize,
    /// A number that follows from the names and files of all of them, in order: two runs of other scenarios have
    /// another.
    pub fingerprint: String,
}

impl Part {
    /// A part of the run of scenarios with these names and files.
    pub fn new<'a>(
        (shard, shards): (usize, usize),
        all: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let (mut total, mut hash) = (0, FNV_BASIS);
        for (name, file) in all {
            total += 1;
            // A zero is in no name, so no two lists of names give the same bytes.
            for byte in name.bytes().chain([0]).chain(file.bytes()).chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
            }
        }
        Self { shard, shards, total, fingerprint: format!("{hash:016x}") }
    }

    /// Whether the scenario with this number, from 0, is in the part.
    pub fn has(&self, number: usize) -> bool {
        number.checked_rem(self.shards) == self.shard.checked_sub(1)
    }

    /// How many scenarios it has, if it can be.
    fn len(&self) -> Option<usize> {
        let can = (1..=MOST_SHARDS).contains(&self.shards) && (1..=self.shards).contains(&self.shard);
        let behind = self.total.checked_add(self.shards)?.checked_sub(self.shard)?;
        can.then(|| behind / self.shards)
    }

    fn is_of(&self, run: &Self) -> bool {
        (self.shards, self.total, &self.fingerprint) == (run.shards, run.total, &run.fingerprint)
    }
}

/// The parameters of the hash FNV-1a with 64 bits.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x100_0000_01b3;

/// Why reports do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmergeable {
    /// There is no report.
    #[error("no report")]
    Nothing,
    /// Another program has written one.
    #[error("{file}: of version {other}, and the first is of {version}")]
    Version {
        /// The report.
        file: String,
        /// Its version.
        other: String,
        /// The first one's.
        version: String,
    },
    /// A report does not have what its part of the run has.
    #[error("{file}: has {has} scenarios, which shard {shard}/{shards} of {total} does not have")]
    Length {
        /// The report.
        file: String,
        /// How many it has.
        has: usize,
        /// Its part.
        shard: usize,
        /// How many parts there are.
        shards: usize,
        /// How many scenarios all parts have.
        total: usize,
    },
    /// Two reports are of one part.
    #[error("{file}: is shard {shard}/{shards}, and so is {other}")]
    Twice {
        /// A report.
        file: String,
        /// The part.
        shard: usize,
        /// How many parts there are.
        shards: usize,
        /// The other report.
        other: String,
    },
    /// Parts are missing.
    #[error("shard {missing} of the run that {file} is of is missing")]
    Missing {
        /// Which.
        missing: String,
        /// A report that is there.
        file: String,
    },
    /// Two runs have a scenario in common.
    #[error("{file}: the scenario {name} is in another run, too")]
    Again {
        /// The report.
        file: String,
        /// The scenario.
        name: String,
    },
    /// The scenarios are not those that the run had.
    #[error("{file}: its scenarios are not those of the run that it says it is of")]
    Others {
        /// The report.
        file: String,
    },
}

/// A report, and the file that it was in.
pub type Named = (String, Report);

/// Puts reports together. The parts of a run must all be there, each once, and then have the order of the run; several
/// runs follow each other, and have no scenario in common.
///
/// # Errors
/// If they do not go together.
pub fn merge(reports: Vec<Named>) -> Result<Report, Unmergeable> {
    let version = reports.first().ok_or(Unmergeable::Nothing)?.1.version.clone();
    let mut runs: Vec<Vec<Named>> = Vec::new();
    for (file, report) in reports {
        if report.version != version {
            return Err(Unmergeable::Version { file, other: report.version, version });
        }
        let run = runs.iter_mut().find(|run| run.iter().any(|(_, one)| report.run.is_of(&one.run)));
        match run {
            Some(run) => run.push((file, report)),
            None => runs.push(vec![(file, report)]),
        }
    }
    let mut all: Vec<ScenarioReport> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for run in runs {
        let (file, whole) = whole(run)?;
        for one in whole {
            if !seen.insert((one.name.clone(), one.file.clone())) {
                return Err(Unmergeable::Again { file, name: one.name });
            }
            all.push(one);
        }
    }
    let part = Part::new((1, 1), names(&all));
    Ok(Report::new(part, all))
}

fn names(all: &[ScenarioReport]) -> impl Iterator<Item = (&str, &str)> {
    all.iter().map(|one| (one.name.as_str(), one.file.as_str()))
}

/// The scenarios of one run, in its order, and the first of its files.
fn whole(mut run: Vec<Named>) -> Result<(String, Vec<ScenarioReport>), Unmergeable> {
    run.sort_by_key(|(_, report)| report.run.shard);
    for (file, report) in &run {
        let Part { shard, shards, total, .. } = report.run;
        let has = report.scenarios.len();
        if report.run.len() != Some(has) {
            return Err(Unmergeable::Length { file: file.clone(), has, shard, shards, total });
        }
    }
    for ((other, before), (file, report)) in run.iter().zip(run.iter().skip(1)) {
        let Part { shard, shards, .. } = report.run;
        if before.run.shard == shard {
            return Err(Unmergeable::Twice { file: file.clone(), shard, shards, other: other.clone() });
        }
    }
    let Some((file, part)) = run.first().map(|(file, report)| (file.clone(), report.run.clone())) else {
        return Err(Unmergeable::Nothing);
    };
    let is_there = |shard: &usize| run.iter().any(|(_, report)| report.run.shard == *shard);
    let missing: Vec<_> = (1..=part.shards).filter(|shard| !is_there(shard)).collect();
    if !missing.is_empty() {
        let missing: Vec<_> = missing.iter().map(|shard| format!("{shard}/{}", part.shards)).collect();
        return Err(Unmergeable::Missing { missing: missing.join(", "), file });
    }
    let mut shards: Vec<_> = run.into_iter().map(|(_, report)| report.scenarios.into_iter()).collect();
    let mut all = Vec::new();
    while let Some(one) = next(&mut shards, all.len()) {
        all.push(one);
    }
    match Part::new((1, 1), names(&all)).fingerprint == part.fingerprint {
        true => Ok((file, all)),
        false => Err(Unmergeable::Others { file }),
    }
}

/// The scenario with this number.
fn next(shards: &mut [std::vec::IntoIter<ScenarioReport>], number: usize) -> Option<ScenarioReport> {
    let shard = number.checked_rem(shards.len())?;
    shards.get_mut(shard)?.next()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Outcome;
    use super::super::story::Story;
    use super::*;

    const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

    fn scenario(name: &str) -> ScenarioReport {
        ScenarioReport {
            name: name.to_owned(),
            file: format!("{name}.toml"),
            proves: "x".to_owned(),
            outcome: Outcome::Passed,
            reason: None,
            guest: "soft".to_owned(),
            abi: "v2".to_owned(),
            duration_s: 1.0,
            steps: Vec::new(),
            story: Story::default(),
        }
    }

    /// A part of the run of these scenarios, in a file of this name.
    fn part(file: &str, shard: (usize, usize), names: &[&str]) -> Named {
        let all: Vec<_> = names.iter().map(|name| scenario(name)).collect();
        let part = Part::new(shard, super::names(&all));
        let numbered = all.into_iter().enumerate();
        let mine = numbered.filter(|(number, _)| part.has(*number)).map(|(_, one)| one).collect();
        (file.to_owned(), Report::new(part, mine))
    }

    fn merged(reports: Vec<Named>) -> Result<Vec<String>, String> {
        let merged = merge(reports).map_err(|wrong| wrong.to_string())?;
        Ok(merged.scenarios.into_iter().map(|one| one.name).collect())
    }

    #[rstest]
    #[case::one(1)]
    #[case::two(2)]
    #[case::three(3)]
    #[case::as_many_as_scenarios(7)]
    #[case::more_than_scenarios(9)]
    fn all_parts_in_any_order_are_the_run(#[case] shards: usize) {
        let mut parts: Vec<_> = (1..=shards).map(|shard| part("x", (shard, shards), &NAMES)).collect();
        parts.reverse();
        let together = merge(parts).unwrap();
        assert_eq!(together, part("x", (1, 1), &NAMES).1);
    }

    #[test]
    fn what_was_merged_is_merged_again() {
        let of = |shard| part("x", (shard, 2), &NAMES);
        let together = merge(vec![of(1), of(2)]).unwrap();
        assert_eq!(merge(vec![("y".to_owned(), together.clone())]), Ok(together));
    }

    #[test]
    fn several_runs_follow_each_other() {
        let both = vec![
            part("1", (1, 2), &["d", "e", "f"]),
            part("2", (1, 1), &["a"]),
            part("3", (2, 2), &["d", "e", "f"]),
        ];
        assert_eq!(merged(both).unwrap(), ["d", "e", "f", "a"]);
    }

    #[test]
    fn a_part_that_is_missing_is_named() {
        let parts = vec![part("x.json", (2, 4), &NAMES), part("y.json", (3, 4), &NAMES)];
        let told = "shard 1/4, 4/4 of the run that x.json is of is missing";
        assert_eq!(merged(parts), Err(told.to_owned()));
        assert_eq!(merged(Vec::new()), Err("no report".to_owned()));
    }

    #[test]
    fn a_part_that_is_there_twice_is_named() {
        let parts = vec![part("x", (1, 2), &NAMES), part("y", (2, 2), &NAMES), part("z", (1, 2), &NAMES)];
        assert_eq!(merged(parts), Err("z: is shard 1/2, and so is x".to_owned()));
    }

    #[test]
    fn parts_of_different_runs_do_not_go_together() {
        let parts = vec![part("x", (1, 2), &["a", "b"]), part("y", (2, 2), &["a", "c"])];
        assert_eq!(merged(parts), Err("shard 2/2 of the run that x is of is missing".to_owned()));
        let parts = vec![part("x", (1, 1), &["a", "b"]), part("y", (1, 1), &["c", "b"])];
        assert_eq!(merged(parts), Err("y: the scenario b is in another run, too".to_owned()));
    }

    #[test]
    fn scenarios_of_one_name_in_two_files_are_two() {
        let mut other = scenario("a");
        other.file = "b.toml".to_owned();
        let all = [scenario("a"), other];
        let whole = Report::new(Part::new((1, 1), names(&all)), all.to_vec());
        assert_eq!(merged(vec![("x".to_owned(), whole)]).unwrap(), ["a", "a"]);
    }

    #[test]
    fn a_report_that_somebody_changed_is_refused() {
        let (file, whole) = part("x", (1, 1), &NAMES);
        let told = |change: &dyn Fn(&mut Report)| {
            let mut report = whole.clone();
            change(&mut report);
            merged(vec![(file.clone(), report)]).unwrap_err()
        };
        let lacks = told(&|report| drop(report.scenarios.pop()));
        assert_eq!(lacks, "x: has 6 scenarios, which shard 1/1 of 7 does not have");
        for (shard, shards) in [(0, 1), (1, 0), (2, 1), (1, usize::MAX), (usize::MAX, usize::MAX)] {
            let wrong = told(&|report| (report.run.shard, report.run.shards) = (shard, shards));
            assert!(wrong.contains("does not have"), "{wrong}");
        }
        let wrong = told(&|report| report.run.total = usize::MAX);
        assert!(wrong.contains("does not have"), "{wrong}");
        let others = told(&|report| report.scenarios.swap(0, 1));
        assert_eq!(others, "x: its scenarios are not those of the run that it says it is of");
        let two = vec![(file.clone(), whole.clone()), {
            let mut other = whole.clone();
            other.version = "9.9.9".to_owned();
            ("y".to_owned(), other)
        }];
        let version = &whole.version;
        assert_eq!(merged(two), Err(format!("y: of version 9.9.9, and the first is of {version}")));
    }

    #[test]
    fn the_fingerprint_is_of_the_bytes_that_it_is_said_to_be_of() {
        // FNV-1a of nothing is its basis; of "a\0a.toml\0", worked out by hand with the published parameters.
        assert_eq!(Part::new((1, 1), []).fingerprint, "cbf29ce484222325");
        let mut hash: u128 = 0xcbf2_9ce4_8422_2325;
        for byte in b"a\0a.toml\0" {
            hash = ((hash ^ u128::from(*byte)) * 0x100_0000_01b3) % (1 << 64);
        }
        assert_eq!(Part::new((1, 1), [("a", "a.toml")]).fingerprint, format!("{hash:016x}"));
    }
}
