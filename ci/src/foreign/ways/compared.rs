//! One set of scenarios by several ways: a table, and why what did not pass by each way did not.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use serde_json::json;

use super::explained::explained;
use crate::foreign::outcomes::Outcomes;
use crate::foreign::outcomes::rows;

/// What became of the scenarios by each way, compared.
#[derive(Debug)]
pub(in crate::foreign) struct Compared {
    ways: Vec<(String, Outcomes)>,
    /// How many scenarios there are, and how many of them come to the same end by all ways.
    count: usize,
    alike: usize,
    /// In the order in which they are told.
    groups: BTreeMap<usize, Group>,
    /// What no explanation is known for, a line or more each.
    unexplained: Vec<String>,
}

/// The scenarios that are skipped for the same reason.
#[derive(Debug, Default)]
struct Group {
    /// The reason.
    why: &'static str,
    /// Their names by the way.
    by: BTreeMap<String, Vec<String>>,
}

impl Compared {
    /// Compares what became of the scenarios by these ways.
    pub(in crate::foreign) fn new(ways: Vec<(String, Outcomes)>) -> Self {
        let names: BTreeSet<String> =
            ways.iter().flat_map(|(_, outcomes)| outcomes.names().map(str::to_owned)).collect();
        let mut compared = Self {
            ways: Vec::new(),
            count: names.len(),
            alike: 0,
            groups: BTreeMap::new(),
            unexplained: Vec::new(),
        };
        for name in &names {
            let ends: BTreeSet<_> = ways.iter().map(|(_, outcomes)| outcomes.of(name)).collect();
            compared.alike = compared.alike.saturating_add(usize::from(ends.len() == 1));
            ways.iter().for_each(|(way, outcomes)| compared.note(way, outcomes, name));
        }
        let idle =
            ways.iter().filter(|(_, outcomes)| !outcomes.names().any(|name| outcomes.of(name) == "passed"));
        compared.unexplained.extend(idle.map(|(way, _)| format!("{way}: nothing passed")));
        compared.ways = ways;
        compared
    }

    /// Puts a scenario that did not pass by this way to those with the same reason.
    fn note(&mut self, way: &str, outcomes: &Outcomes, name: &str) {
        let (word, said) = (outcomes.of(name), outcomes.said(name));
        let reason = said.first().map_or("", String::as_str);
        match (word, explained(way, reason)) {
            ("passed", _) => {}
            ("skipped", Some((order, why))) => {
                let group = self.groups.entry(order).or_default();
                group.why = why;
                group.by.entry(way.to_owned()).or_default().push(name.to_owned());
            }
            _ => self.unexplained.push(format!("{way}: {name} is {word}: {}", said.join("\n"))),
        }
    }

    /// What is to be told, if all is explained.
    ///
    /// # Errors
    /// If not: the same, and what is not explained.
    pub(in crate::foreign) fn judge(&self) -> Result<String, String> {
        if self.unexplained.is_empty() {
            return Ok(self.to_string());
        }
        Err(format!("{self}\nnot explained:\n{}", self.unexplained.join("\n")))
    }

    /// The same for programs to read, with the names of the scenarios, and which Linux the lab's is: one without
    /// iommufd has one way less.
    pub(super) fn json(&self, linux: &str) -> Value {
        let way = |(way, outcomes): &(String, Outcomes)| {
            let [passed, failed, skipped] = outcomes.counts();
            json!({ "way": way, "passed": passed, "failed": failed, "skipped": skipped })
        };
        let group = |group: &Group| json!({ "why": group.why, "skipped": group.by });
        json!({
            "linux": linux,
            "scenarios": self.count,
            "alike": self.alike,
            "ways": self.ways.iter().map(way).collect::<Vec<_>>(),
            "reasons": self.groups.values().map(group).collect::<Vec<_>>(),
            "unexplained": self.unexplained,
        })
    }

    /// The ways by which scenarios of a group are skipped, in the order of the table, and how many are.
    fn skipped_by(&self, group: &Group) -> String {
        let counts = self.ways.iter().filter_map(|(way, _)| Some((way, group.by.get(way)?.len())));
        counts.map(|(way, count)| format!("{way} {count}")).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, alike, .. } = self;
        let differ = count.saturating_sub(*alike);
        write!(out, "{}", rows(&self.ways))?;
        write!(out, "\nof {count} scenarios {alike} come to the same end by all ways, and {differ} do not")?;
        for group in self.groups.values() {
            write!(out, "\nskipped, as {}: {}", group.why, self.skipped_by(group))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSED: &str = "proves it";
    const DEVICES: &str = "needs 2 devices, and --device gives one";
    const FOUR: &str = "needs 4 devices, and --device gives one";
    const ABI: &str = "is about the kernel interface v2, and --abi is plain";

    /// A scenario, what became of it, and what is said then.
    type Scenario = (&'static str, &'static str, &'static str);

    /// A run as the program tells of it.
    fn run(scenarios: &[Scenario]) -> Outcomes {
        let mut lines = Vec::new();
        for (name, word, said) in scenarios {
            lines.extend([format!("{word:7}  {name}  (0.02 s)"), format!("         {said}")]);
        }
        let count = |word: &str| scenarios.iter().filter(|one| one.1 == word).count();
        let [passed, failed, skipped] = ["passed", "failed", "skipped"].map(count);
        lines.push(format!("passed {passed}, failed {failed}, skipped {skipped}"));
        Outcomes::parse(&lines).unwrap()
    }

    fn compared(ways: &[(&str, &[Scenario])]) -> Compared {
        Compared::new(ways.iter().map(|(way, scenarios)| ((*way).to_owned(), run(scenarios))).collect())
    }

    const FIRST: [Scenario; 4] =
        [("a", "passed", PASSED), ("b", "passed", PASSED), ("c", "passed", PASSED), ("d", "passed", PASSED)];
    const LENT: [Scenario; 4] =
        [("a", "passed", PASSED), ("b", "passed", PASSED), ("c", "skipped", DEVICES), ("d", "skipped", FOUR)];
    const REAL: [Scenario; 4] =
        [("a", "passed", PASSED), ("b", "skipped", ABI), ("c", "passed", PASSED), ("d", "skipped", ABI)];

    fn three() -> Compared {
        compared(&[("vfio-user", &FIRST), ("lend type1", &LENT), ("lab type1", &REAL)])
    }

    #[test]
    fn a_way_has_a_row_and_a_reason_has_a_line_with_the_ways_and_how_many() {
        let told = three().judge().unwrap();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "way                passed  failed  skipped",
                "vfio-user               4       0        0",
                "lend type1              2       0        2",
                "lab type1               2       0        2",
                "of 4 scenarios 1 come to the same end by all ways, and 3 do not",
                "skipped, as an unchanged kernel has no vfio-cxl, and shows a plain PCI device: lab type1 2",
                "skipped, as several devices are needed, and one is lent: lend type1 2",
            ]
        );
    }

    #[test]
    fn the_same_can_be_read_by_programs_with_the_names_of_the_scenarios() {
        let json = three().json("Linux is the lab's own");
        assert_eq!(json["linux"], json!("Linux is the lab's own"));
        assert_eq!((&json["scenarios"], &json["alike"]), (&json!(4), &json!(1)));
        assert_eq!(json["ways"][1], json!({ "way": "lend type1", "passed": 2, "failed": 0, "skipped": 2 }));
        assert_eq!(json["reasons"][0]["skipped"], json!({ "lab type1": ["b", "d"] }));
        assert_eq!(json["reasons"][1]["skipped"], json!({ "lend type1": ["c", "d"] }));
        assert_eq!(json["unexplained"], json!([]));
    }

    #[test]
    fn a_difference_that_is_not_explained_fails() {
        let tired = [("a", "passed", PASSED), ("b", "skipped", "is tired")];
        let why = compared(&[("vfio-user", &FIRST[..2]), ("lab type1", &tired)]).judge().unwrap_err();
        assert!(why.ends_with("\nnot explained:\nlab type1: b is skipped: is tired"), "{why}");
        assert!(why.starts_with("way "), "{why}");
    }

    #[test]
    fn a_reason_of_another_way_explains_nothing() {
        let lent = [("a", "passed", PASSED), ("b", "skipped", ABI)];
        assert!(compared(&[("vfio-user", &FIRST[..2]), ("lab type1", &lent)]).judge().is_ok());
        assert!(compared(&[("vfio-user", &FIRST[..2]), ("lend type1", &lent)]).judge().is_err());
    }

    #[test]
    fn what_failed_is_not_explained_by_any_reason_even_if_it_failed_by_all_ways() {
        let failed = [("a", "passed", PASSED), ("b", "failed", DEVICES)];
        let compared = compared(&[("vfio-user", &failed), ("lend type1", &failed)]);
        assert_eq!(compared.alike, 2);
        assert_eq!(compared.unexplained.len(), 2);
        assert!(compared.judge().unwrap_err().contains(&format!("lend type1: b is failed: {DEVICES}")));
    }

    #[test]
    fn a_scenario_that_a_way_does_not_have_is_a_difference_without_an_explanation() {
        let compared = compared(&[("vfio-user", &FIRST[..1]), ("lend type1", &FIRST[..2])]);
        assert_eq!((compared.count, compared.alike), (2, 1));
        assert_eq!(compared.unexplained, ["vfio-user: b is not there: "]);
    }

    #[test]
    fn a_way_by_which_nothing_passed_shows_nothing() {
        let none = [("a", "skipped", DEVICES)];
        let compared = compared(&[("vfio-user", &FIRST[..1]), ("lend type1", &none)]);
        assert_eq!(compared.unexplained, ["lend type1: nothing passed"]);
    }
}
