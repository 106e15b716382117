//! The command `cxl-sim` from outside: its exit codes, its lines, and what it leaves behind.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod acpi;
mod breaks;
mod broken;
mod confined;
mod defects;
mod files;
mod likeness;
mod lost;
mod merging;
mod mistakes;
mod open;
mod package;
mod report;
mod schemas;
mod serve;
mod soak;
mod speed;
mod watch;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

/// The program, with temporary files in a folder that a test can look into.
fn cxl_sim(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cxl-sim"));
    command.env("TMPDIR", temporary);
    command
}

/// A run that has ended: its exit code, its report and the folder that its temporary files were in.
struct Ran {
    code: i32,
    report: Value,
    temporary: TempDir,
    output: Output,
}

/// Runs scenarios with a soft guest and a report.
fn run(scenario: &Path, more: &[&str]) -> Ran {
    let temporary = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = cxl_sim(temporary.path());
    command.arg("run").arg(scenario).args(["--guest", "soft", "--report"]).arg(&report).args(more);
    let output = command.output().unwrap();
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let report = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ran { code: output.status.code().unwrap(), report, temporary, output }
}

impl Ran {
    /// The only scenario of the report.
    fn scenario(&self) -> &Value {
        let scenarios = self.report["scenarios"].as_array().unwrap_or_else(|| panic!("{:?}", self.output));
        assert_eq!(scenarios.len(), 1);
        &scenarios[0]
    }

    /// The numbers of the steps that failed, from 1, and their number in all.
    fn failed_steps(&self) -> Vec<usize> {
        let steps = self.scenario()["steps"].as_array().unwrap();
        let failed = steps.iter().enumerate().filter(|(_, step)| step["outcome"] == "failed");
        failed.map(|(index, _)| index + 1).collect()
    }

    fn reason(&self) -> &str {
        self.scenario()["reason"].as_str().unwrap_or_default()
    }

    /// Nothing is left of the run: no process that it started, no file.
    fn assert_clean(&self) {
        assert_nothing_left(self.temporary.path());
    }
}

/// No process has this folder in its command line, and nothing is in it.
fn assert_nothing_left(temporary: &Path) {
    let left: Vec<PathBuf> =
        std::fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [] as [PathBuf; 0]);
    assert_eq!(processes_with(temporary), [] as [String; 0]);
}

/// The command lines that have this folder in them.
fn processes_with(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}

/// A scenario file in a folder of its own.
fn scenario_file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// The folder of the bundled scenarios.
fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// How many scenarios there are in a folder of the bundled ones and below it: one a file, or as many as its matrix has
/// combinations.
fn scenarios(folder: &str) -> usize {
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return scenarios(path.to_str().unwrap());
        }
        let text: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let lists = text.get("matrix").map_or(vec![], |matrix| matrix.as_table().unwrap().values().collect());
        lists.into_iter().map(|list| list.as_array().unwrap().len()).product()
    };
    std::fs::read_dir(bundled().join(folder)).unwrap().map(count).sum()
}

/// Only the first scenario of a file: all of them, where it has no matrix.
const FIRST: [&str; 2] = ["--shard", "1/1000"];

/// A bundled scenario's text, by its name.
fn bundled_text(name: &str) -> String {
    std::fs::read_to_string(bundled().join(name).with_extension("toml")).unwrap()
}

/// Whether a bundled scenario says that only a guest under KVM can play it.
fn requires_kvm(name: &str) -> bool {
    bundled_text(name).lines().any(|line| line == "requires = [\"kvm\"]")
}

/// The output's error lines.
fn complaint(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
