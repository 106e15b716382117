//! Coverage: which lines of the specifications, of the device and of the machine are reached by tests and by what
//! fuzzers have kept.
//!
//! `cargo llvm-cov` runs the tests and says of each line how often it was reached. Lines of tests do not count, by
//! the same rule by which `tidy` knows them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::tidy::test_lines;
use crate::workspace::Workspace;

/// The packages that are measured.
const PACKAGES: [&str; 4] = ["cxl-spec", "vfio-abi", "sim-device", "vmm-core"];

/// The package whose tests run besides theirs: what needs KVM, a second process or both sides shows there, and it runs
/// what fuzzers have kept.
const RUNS_BOTH: &str = "harness";

/// What fuzzers keep, where they have run, and how the tests are told of it.
const CORPUS: &str = "fuzz/corpus";
const CORPUS_VARIABLE: &str = "CXL_SIM_CORPUS";

/// The fewest lines that must be reached, of a hundred, all packages together. A file with fewer is named. Below it,
/// whole behaviours have no test; what is missing above it is mostly the system refusing something.
const LEAST: f64 = 95.0;

/// Where the lines are written to.
const OUTPUT: &str = "coverage.lcov";

/// How many lines were reached, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reached {
    reached: usize,
    of: usize,
}

/// The lines of a file by number, and whether each was reached.
type Lines = BTreeMap<usize, bool>;

/// Measures, and fails if it is too little.
pub(crate) fn measured(workspace: &Workspace) -> Outcome {
    if let Err(said) = add_tools(workspace) {
        return Outcome::Skipped(reason(&said).to_owned());
    }
    match measure(workspace) {
        Ok(files) => judge(&in_packages(workspace, files), inputs(&workspace.root.join(CORPUS))),
        Err(said) => Outcome::Failed(said),
    }
}

/// Installs what measures, unless it is there.
fn add_tools(workspace: &Workspace) -> Result<(), String> {
    if !run(program(workspace, "rustup", "component list --installed"))?.contains("llvm-tools") {
        run(program(workspace, "rustup", "component add llvm-tools"))?;
    }
    if run(cargo(workspace, "llvm-cov --version")).is_err() {
        run(cargo(workspace, "install cargo-llvm-cov --locked"))?;
    }
    Ok(())
}

/// The lines that count, by the file's path from the root.
fn measure(workspace: &Workspace) -> Result<Vec<(String, Lines)>, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = folder.path().join(OUTPUT);
    let mut command = cargo(workspace, "llvm-cov --lcov --output-path");
    command.arg(&output);
    for package in PACKAGES.into_iter().chain([RUNS_BOTH]) {
        command.args(["--package", package]);
    }
    let corpus = workspace.root.join(CORPUS);
    if corpus.is_dir() {
        command.env(CORPUS_VARIABLE, corpus);
    }
    run(command)?;
    let text = std::fs::read_to_string(&output).map_err(|error| format!("{OUTPUT}: {error}"))?;
    let mut files = Vec::new();
    for (path, lines) in parse(&text)? {
        // What is not of this repository is not ours to test.
        let Ok(path) = Path::new(&path).strip_prefix(&workspace.root) else { continue };
        let path = path.display().to_string();
        let text = std::fs::read_to_string(workspace.root.join(&path))
            .map_err(|error| format!("{path}: {error}"))?;
        files.push((path.clone(), without_tests(&path, text, lines)?));
    }
    Ok(files)
}

/// The files that a report in the format of lcov names, with their lines.
fn parse(report: &str) -> Result<Vec<(String, Lines)>, String> {
    let mut files = Vec::new();
    let mut current: Option<(String, Lines)> = None;
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = Some((path.to_owned(), Lines::new()));
        } else if let Some(data) = line.strip_prefix("DA:") {
            let lines = current.as_mut().map(|(_, lines)| lines);
            let (lines, (number, is_reached)) =
                lines.zip(reached(data)).ok_or_else(|| format!("{OUTPUT}: {line}"))?;
            *lines.entry(number).or_default() |= is_reached;
        } else if line == "end_of_record" {
            files.extend(current.take());
        }
    }
    Ok(files)
}

/// The number of a line and whether it was reached, out of `number,count`.
fn reached(data: &str) -> Option<(usize, bool)> {
    let mut parts = data.split(',');
    let number = parts.next()?.parse().ok()?;
    let count: u64 = parts.next()?.parse().ok()?;
    Some((number, count > 0))
}

fn without_tests(path: &str, text: String, mut lines: Lines) -> Result<Lines, String> {
    let tests = test_lines(path, text)?;
    lines.retain(|number, _| tests.iter().all(|run| !run.contains(number)));
    Ok(lines)
}

/// The files by the packages they are of, with their counts; files of no measured package are left out.
fn in_packages(workspace: &Workspace, files: Vec<(String, Lines)>) -> Vec<(String, Vec<(String, Reached)>)> {
    let packages = workspace.packages.iter().filter(|package| PACKAGES.contains(&package.name.as_str()));
    let of = |directory: &str| {
        let below = format!("{directory}/");
        let theirs = files.iter().filter(|(path, lines)| path.starts_with(&below) && !lines.is_empty());
        theirs.map(|(path, lines)| (path.clone(), Reached::of(lines))).collect()
    };
    packages.map(|package| (package.name.clone(), of(&package.directory))).collect()
}

/// How many inputs fuzzers have kept; none where none ran.
fn inputs(corpus: &Path) -> usize {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries(corpus).map(|target| entries(&target.path()).count()).sum()
}

/// Tells every package, the files that are below the least, and whether all together are.
fn judge(packages: &[(String, Vec<(String, Reached)>)], inputs: usize) -> Outcome {
    let mut told = vec![format!("by tests and by {inputs} inputs that fuzzers have kept")];
    let mut total = Reached::default();
    for (name, files) in packages {
        let sum = files.iter().fold(Reached::default(), |sum, (_, reached)| sum.and(*reached));
        told.push(format!("{name:32} {sum}"));
        let low = files.iter().filter(|(_, reached)| reached.percent() < LEAST);
        told.extend(low.map(|(path, reached)| format!("  {path:30} {reached}")));
        total = total.and(sum);
    }
    told.push(format!("{:32} {total}", "all"));
    if total.percent() < LEAST {
        told.push(format!("fewer than {LEAST} % of the lines are reached"));
        return Outcome::Failed(told.join("\n"));
    }
    Outcome::Passed(told.join("\n"))
}

impl Reached {
    fn of(lines: &Lines) -> Self {
        Self { reached: lines.values().filter(|reached| **reached).count(), of: lines.len() }
    }

    fn and(self, other: Self) -> Self {
        Self { reached: self.reached.saturating_add(other.reached), of: self.of.saturating_add(other.of) }
    }

    /// Of a hundred lines; of none at all, none is reached.
    fn percent(self) -> f64 {
        100.0 * self.reached as f64 / self.of.max(1) as f64
    }
}

impl std::fmt::Display for Reached {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:5.1} %  {} of {} lines", self.percent(), self.reached, self.of)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REPORT: &str = "SF:/r/a.rs\nFN:1,f\nDA:1,3\nDA:2,0\nDA:2,1\nDA:4,0\nLF:3\nend_of_record\n\
                          SF:/r/b.rs\nDA:9,18446744073709551615\nend_of_record\n";

    fn reached_of(reached: usize, of: usize) -> Reached {
        Reached { reached, of }
    }

    #[test]
    fn a_report_names_files_and_their_lines_and_a_line_is_reached_if_any_count_of_it_is() {
        let a = Lines::from([(1, true), (2, true), (4, false)]);
        let b = Lines::from([(9, true)]);
        assert_eq!(parse(REPORT), Ok(vec![("/r/a.rs".to_owned(), a), ("/r/b.rs".to_owned(), b)]));
    }

    #[rstest]
    #[case("DA:1,1\n", "coverage.lcov: DA:1,1")]
    #[case("SF:a\nDA:1\n", "coverage.lcov: DA:1")]
    #[case("SF:a\nDA:x,1\n", "coverage.lcov: DA:x,1")]
    fn a_report_may_not_be_malformed(#[case] report: &str, #[case] said: &str) {
        assert_eq!(parse(report).unwrap_err(), said);
    }

    #[test]
    fn lines_of_tests_do_not_count() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n".to_owned();
        let lines = Lines::from([(1, true), (4, false)]);
        assert_eq!(without_tests("a.rs", text.clone(), lines.clone()), Ok(Lines::from([(1, true)])));
        assert_eq!(without_tests("tests.rs", text, lines), Ok(Lines::new()));
    }

    #[test]
    fn files_below_the_least_are_named_and_the_sum_decides() {
        let files = vec![("a/x.rs".to_owned(), reached_of(9, 10)), ("a/y.rs".to_owned(), reached_of(90, 90))];
        let Outcome::Passed(said) = judge(&[("a".to_owned(), files)], 7) else { panic!("failed") };
        let lines: Vec<_> =
            said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "by tests and by 7 inputs that fuzzers have kept",
                "a 99.0 % 99 of 100 lines",
                "a/x.rs 90.0 % 9 of 10 lines",
                "all 99.0 % 99 of 100 lines"
            ]
        );
    }

    #[rstest]
    #[case(&[("a/x.rs", reached_of(94, 100))])]
    #[case(&[("a/x.rs", reached_of(949, 1000))])]
    #[case(&[])]
    fn too_few_lines_may_not_pass(#[case] files: &[(&str, Reached)]) {
        let files = files.iter().map(|(path, reached)| ((*path).to_owned(), *reached)).collect();
        assert!(matches!(judge(&[("a".to_owned(), files)], 7), Outcome::Failed(_)));
    }

    #[test]
    fn exactly_the_least_passes() {
        let files = vec![("a/x.rs".to_owned(), reached_of(95, 100))];
        assert!(matches!(judge(&[("a".to_owned(), files)], 7), Outcome::Passed(_)));
    }
}
