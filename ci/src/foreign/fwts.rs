//! The Firmware Test Suite judges the machine's ACPI tables: unlike a decoder it has rules.
//!
//! ```text
//!  example acpi_tables ──▶ MACHINE/TABLE.dat ──▶ fwts ──▶ a line a test: how many passed, failed, ...
//! ```
//!
//! It makes the RSDP and the XSDT itself, so those are not shown to it. Its tests of the MADT and of the MCFG look at
//! the computer that they run on, so they are left out; the others are all that it has for our tables.
//!
//! What it may warn of is typed below: that a FADT of ACPI 6.5 is not of the newest revision.

use std::collections::BTreeMap;
use std::path::Path;

use super::acpi::MACHINES;
use super::acpi::written;
use super::root::Root;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// Its tests, and which table each is for; nothing for all of them.
const TESTS: [(&str, Option<&str>); 10] = [
    ("acpitables", None),
    ("cedt", Some("CEDT")),
    ("checksum", None),
    ("fadt", Some("FACP")),
    ("gtdt", Some("GTDT")),
    ("hmat", Some("HMAT")),
    ("iort", Some("IORT")),
    ("spcr", Some("SPCR")),
    ("srat", Some("SRAT")),
    ("syntaxcheck", None),
];

/// What it makes itself.
const OWN: [&str; 2] = ["RSDP", "XSDT"];

/// The only thing that it may warn of.
const WARNING: &str = "FADT revision is outdated: 6.5";

/// Shows it the tables of all machines.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let judged = |root: Root| match written(workspace, &root) {
        Ok(folder) => MACHINES.iter().try_fold(0_u32, |passed, (machine, tables)| {
            let told = |said| format!("{machine}: {said}");
            judge(&root, &folder.path().join(machine), tables)
                .map(|more| passed.saturating_add(more))
                .map_err(told)
        }),
        Err(said) => Err(said),
    };
    match Root::find(workspace).and_then(|root| root.newer()).map(judged) {
        Ok(Ok(passed)) => Outcome::Passed(format!("{passed} tests passed")),
        Ok(Err(said)) => Outcome::Failed(said),
        Err(reason) => Outcome::Skipped(reason),
    }
}

/// Takes its tests of the tables in a folder. How many passed.
fn judge(root: &Root, folder: &Path, tables: &[&str]) -> Result<u32, String> {
    for own in OWN {
        let file = folder.join(format!("{own}.dat"));
        std::fs::remove_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let folder = root.inside(folder)?;
    let tests = TESTS.iter().filter(|(_, table)| table.is_none_or(|table| tables.contains(&table)));
    let mut command = root.command("fwts");
    command.args(["--quiet", "--results-output=stdout", "--table-path", &folder]);
    command.args(tests.clone().map(|(test, _)| test));
    // Its exit code says only whether all passed.
    let said = run(command).unwrap_or_else(|said| said);
    let told = |why| format!("{why}\n{said}");
    let counts = counts(&said).ok_or_else(|| told("it does not sum up".to_owned()))?;
    let mut passed = 0_u32;
    for (test, _) in tests {
        let [ok, failed, aborted, ..] =
            counts.get(test).ok_or_else(|| told(format!("{test} was not taken")))?;
        if *ok == 0 || *failed > 0 || *aborted > 0 {
            return Err(told(format!("{test}: {ok} passed, {failed} failed, {aborted} aborted")));
        }
        passed = passed.saturating_add(*ok);
    }
    match said.lines().find(|line| line.starts_with("WARNING") && !line.ends_with(WARNING)) {
        Some(line) => Err(told(line.to_owned())),
        None => Ok(passed),
    }
}

/// What it says of each test in the end: how many passed, failed, were aborted, warned, were skipped, are told.
fn counts(said: &str) -> Option<BTreeMap<&str, [u32; 6]>> {
    let summary = said
        .lines()
        .skip_while(|line| !line.starts_with("Test           |Pass |Fail |Abort|Warn |Skip |Info |"));
    let rows = summary.skip(2).take_while(|line| !line.starts_with('-'));
    let counts: BTreeMap<_, _> = rows.filter_map(row).collect();
    (!counts.is_empty()).then_some(counts)
}

fn row(line: &str) -> Option<(&str, [u32; 6])> {
    let (test, rest) = line.split_once('|')?;
    let mut counts = [0; 6];
    for (count, text) in counts.iter_mut().zip(rest.split('|')) {
        let text = text.trim();
        *count = if text.is_empty() { 0 } else { text.parse().ok()? };
    }
    Some((test.trim(), counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read_row_by_row_to_its_end() {
        let said = "Test           |Pass | in a text\n\
                    Test           |Pass |Fail |Abort|Warn |Skip |Info |\n\
                    ---------------+-----+-----+-----+-----+-----+-----+\n\
                    cedt           |    1|     |     |     |     |     |\n\
                    fadt           |   11|    2|    3|    4|    5|    6|\n\
                    ---------------+-----+-----+-----+-----+-----+-----+\n\
                    Total:         |   12|    2|    3|    4|    5|    6|\n";
        let counts = counts(said).unwrap();
        assert_eq!(counts, BTreeMap::from([("cedt", [1, 0, 0, 0, 0, 0]), ("fadt", [11, 2, 3, 4, 5, 6])]));
    }

    #[test]
    fn without_a_summary_there_are_no_counts() {
        assert_eq!(counts("fwts: no such test\n"), None);
    }
}
