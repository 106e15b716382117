//! What became of scenarios, by the ways that the device was reached: one table, and every difference explained.

use std::collections::BTreeMap;
use std::fmt;

/// What became of the scenarios of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes(BTreeMap<String, Became>);

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Became {
    /// `passed`, `failed` or `skipped`.
    word: String,
    /// What was said behind that: the reason, or what it proves, and its steps where it failed.
    said: Vec<String>,
}

/// The words that a scenario's first line begins with.
const WORDS: [&str; 3] = ["passed", "failed", "skipped"];

impl Outcomes {
    /// Takes apart what a run says.
    ///
    /// # Errors
    /// If it does not end with how many became what, or these are others: all that it said.
    pub(crate) fn parse(lines: &[String]) -> Result<Self, String> {
        let mut all = BTreeMap::new();
        let mut last: Option<&mut Became> = None;
        for line in lines {
            match begins(line) {
                Some((word, name)) => {
                    let became = Became { word: word.to_owned(), said: Vec::new() };
                    last = Some(all.entry(name.to_owned()).or_insert(became));
                }
                None if line.starts_with(' ') => {
                    last.iter_mut().for_each(|became| became.said.push(line.trim().to_owned()));
                }
                None => last = None,
            }
        }
        let outcomes = Self(all);
        match lines.last() {
            Some(line) if *line == outcomes.to_string() => Ok(outcomes),
            _ => Err(format!("a run ends otherwise than with {outcomes}:\n{}", lines.join("\n"))),
        }
    }

    fn count(&self, word: &str) -> usize {
        self.0.values().filter(|became| became.word == word).count()
    }

    /// How many passed, failed, and were skipped.
    pub(super) fn counts(&self) -> [usize; 3] {
        WORDS.map(|word| self.count(word))
    }

    /// The names of the scenarios.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What was said of the scenario with this name: of one that was skipped, the reason.
    pub(crate) fn said(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], |became| &became.said)
    }

    /// What became of the scenario with this name.
    pub(crate) fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("not there", |became| &became.word)
    }

    /// Whether something passed, and nothing failed but what is explained.
    ///
    /// # Errors
    /// If not: the scenarios, and what was said of them.
    pub(super) fn judge(&self, explained: &[&str]) -> Result<(), String> {
        let failed = self.0.iter().filter(|(_, became)| became.word == "failed");
        let failed = failed.filter(|(name, _)| !explained.contains(&name.as_str()));
        let failed: Vec<_> =
            failed.map(|(name, became)| format!("failed   {name}\n{}", became.said.join("\n"))).collect();
        match (failed.is_empty(), self.count("passed")) {
            (true, 0) => Err(format!("nothing ran: {self}")),
            (true, _) => Ok(()),
            (false, _) => Err(failed.join("\n")),
        }
    }

    /// How many became what, and why those that were skipped were.
    pub(super) fn told(&self) -> String {
        let reasons = self.reasons();
        let lines = reasons.into_iter().map(|(reason, count)| format!("skipped {count}: {reason}"));
        [self.to_string()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }

    /// Why scenarios were skipped, and how many for each reason.
    fn reasons(&self) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for became in self.0.values().filter(|became| became.word == "skipped") {
            let reason = became.said.first().map_or("no reason was given", String::as_str);
            let count: &mut usize = reasons.entry(reason).or_default();
            *count = count.saturating_add(1);
        }
        reasons
    }
}

/// The word and the name of a line that says what became of a scenario: `passed   NAME  (0.02 s)`.
fn begins(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once(' ')?;
    let (name, _) = rest.trim_start().split_once("  (")?;
    WORDS.contains(&word).then_some((word, name))
}

impl fmt::Display for Outcomes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed, skipped] = self.counts();
        write!(out, "passed {passed}, failed {failed}, skipped {skipped}")
    }
}

/// A scenario that may end differently by one way than by the first, and why.
#[derive(Debug)]
struct Difference {
    way: &'static str,
    scenario: &'static str,
    /// How it ends by that way.
    word: &'static str,
    why: &'static str,
}

/// Every difference that there is.
const DIFFERENCES: [Difference; 2] = [
    Difference {
        way: "lab aarch64 type1",
        scenario: "plain/an-interrupt-arrives-at-its-vector",
        word: "failed",
        why: NO_MESSAGES,
    },
    Difference {
        way: "lab aarch64 type1",
        scenario: "plain/events-can-be-taken-back-and-given-again",
        word: "failed",
        why: NO_MESSAGES,
    },
];

/// Linux 7.3, `iommu_dma_prepare_msi`: what type1 makes there is none of the kinds that it lets messages through.
const NO_MESSAGES: &str =
    "where virtio's IOMMU lets messages by, Linux 7.3 gives vectors to no device that is type1's";

/// What became of the same scenarios by several ways.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(String, Outcomes)>);

impl Table {
    /// A run by one more way. What became of it in the first is what the others are compared with.
    pub(super) fn add(&mut self, way: &str, outcomes: Outcomes) {
        self.0.push((way.to_owned(), outcomes));
    }

    /// Whether nothing failed, and every difference is one that is explained, and is there.
    ///
    /// # Errors
    /// If not: the table, and what is not explained.
    pub(super) fn judge(&self) -> Result<(), String> {
        let mut wrong = self.wrong(&DIFFERENCES);
        for (way, outcomes) in &self.0 {
            let explained = DIFFERENCES.iter().filter(|one| one.way == way);
            let explained: Vec<_> = explained.map(|one| one.scenario).collect();
            wrong.extend(outcomes.judge(&explained).err().map(|why| format!("{way}: {why}")));
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{self}\n{}", wrong.join("\n"))) }
    }

    /// What is not as these explanations say.
    fn wrong(&self, explained: &[Difference]) -> Vec<String> {
        let Some(((_, first), others)) = self.0.split_first() else {
            return vec!["nothing was run".to_owned()];
        };
        let mut wrong = Vec::new();
        for (way, outcomes) in others {
            for name in first.0.keys().chain(outcomes.0.keys().filter(|name| !first.0.contains_key(*name))) {
                let (was, is) = (first.of(name), outcomes.of(name));
                let known = explained.iter().find(|one| one.way == way && one.scenario == name);
                let expected = known.map_or(was, |one| one.word);
                if is != expected {
                    wrong.push(format!("{way}: {name} is {is}, not {expected}"));
                }
                if known.is_some() && is == was {
                    wrong.push(format!(
                        "{way}: {name} is {is} as over the first way, and that needs no reason"
                    ));
                }
            }
        }
        wrong
    }
}

/// A line for each way: how many passed, failed, and were skipped.
pub(super) fn rows(ways: &[(String, Outcomes)]) -> String {
    let mut lines = vec![format!("{:17}  passed  failed  skipped", "way")];
    lines.extend(ways.iter().map(|(way, outcomes)| {
        let [passed, failed, skipped] = outcomes.counts();
        format!("{way:17}  {passed:6}  {failed:6}  {skipped:7}")
    }));
    lines.join("\n")
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", rows(&self.0))?;
        let known = DIFFERENCES.iter().filter(|one| self.0.iter().any(|(way, _)| way == one.way));
        for Difference { way, scenario, word, why } in known {
            write!(out, "\n{way}: {scenario} is {word}: {why}")?;
        }
        let reasons = self.0.first().map(|(_, outcomes)| outcomes.reasons()).unwrap_or_default();
        for (reason, count) in reasons {
            write!(out, "\nskipped {count}: {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "3 scenarios, device sim, abi plain, guest soft\n\
                        passed   plain/one  (0.02 s)\n         what it proves\n\
                        skipped  dma/two  (0.00 s, guest kvm)\n         needs more\n\
                        failed   plain/three  (1.00 s)\n         what it proves\n         failed step 1 reset: no\n\
                        passed 1, failed 1, skipped 1\n";

    const EXPLAINED: Difference =
        Difference { way: "lab", scenario: "plain/one", word: "skipped", why: "it is elsewhere" };

    fn run(said: &str) -> Result<Outcomes, String> {
        Outcomes::parse(&said.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    fn table(first: &str, other: &str) -> Table {
        let mut table = Table::default();
        table.add("vfio-user", run(first).unwrap());
        table.add("lab", run(other).unwrap());
        table
    }

    #[test]
    fn a_run_is_taken_apart_into_scenarios_with_what_became_of_them() {
        let all = run(SAID).unwrap();
        assert_eq!(
            ["plain/one", "dma/two", "plain/three"].map(|name| all.of(name)),
            ["passed", "skipped", "failed"]
        );
        assert_eq!(all.of("plain/four"), "not there");
        assert_eq!(all.told(), "passed 1, failed 1, skipped 1\nskipped 1: needs more");
        let why = all.judge(&[]).unwrap_err();
        assert_eq!(why, "failed   plain/three\nwhat it proves\nfailed step 1 reset: no");
        assert_eq!(all.judge(&["plain/three"]), Ok(()));
        assert!(all.judge(&["plain/one"]).is_err());
    }

    #[test]
    fn a_run_that_does_not_end_with_its_counts_is_an_error() {
        assert!(run("passed   plain/one  (0.02 s)\n").is_err());
        assert!(run("passed   plain/one  (0.02 s)\npassed 2, failed 0, skipped 0\n").is_err());
        assert!(run("cxl-sim: no such device\n").is_err());
    }

    #[test]
    fn a_run_in_which_nothing_passed_is_not_good() {
        assert!(run("passed 0, failed 0, skipped 0\n").unwrap().judge(&[]).is_err());
        assert!(run("passed   a  (0.1 s)\npassed 1, failed 0, skipped 0\n").unwrap().judge(&[]).is_ok());
    }

    #[test]
    fn a_difference_is_wrong_unless_it_is_explained() {
        let other = SAID.replace("passed   plain/one", "skipped  plain/one").replace("passed 1", "passed 0");
        let other = other.replace("skipped 1\n", "skipped 2\n");
        let table = table(SAID, &other);
        assert_eq!(table.wrong(&[]), ["lab: plain/one is skipped, not passed"]);
        assert_eq!(table.wrong(&[EXPLAINED]), [""; 0]);
    }

    #[test]
    fn an_explanation_of_what_is_the_same_is_wrong() {
        let wrong = table(SAID, SAID).wrong(&[EXPLAINED]);
        assert_eq!(wrong[0], "lab: plain/one is passed, not skipped");
        assert_eq!(table(SAID, SAID).wrong(&[]), [""; 0]);
    }

    #[test]
    fn a_scenario_that_only_one_way_has_is_a_difference() {
        let more = SAID.replace("passed 1, failed", "passed   plain/four  (0.1 s)\npassed 2, failed");
        assert_eq!(table(SAID, &more).wrong(&[]), ["lab: plain/four is passed, not not there"]);
        assert_eq!(table(&more, SAID).wrong(&[]), ["lab: plain/four is not there, not passed"]);
    }

    #[test]
    fn the_table_counts_by_way_and_by_reason() {
        let shown = table(SAID, SAID).to_string();
        let line = "lab                     1       1        1";
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
        assert!(shown.ends_with("\nskipped 1: needs more"), "{shown}");
    }
}
