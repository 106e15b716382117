//! Reports of runs in parts, and what becomes of them.

use std::path::Path;
use std::path::PathBuf;
use std::process::Output;

use quick_junit::Report;
use rstest::rstest;
use serde_json::Value;

use crate::bundled;
use crate::complaint;
use crate::cxl_sim;
use crate::files::lines;
use crate::scenario_file;
use crate::scenarios;

const SOME: [&str; 2] = ["--filter", "^decoder/|^refused/|^window/"];

/// Runs bundled scenarios with this report and these arguments.
fn report(folder: &Path, name: &str, more: &[&str]) -> PathBuf {
    let path = folder.join(name);
    let mut command = cxl_sim(folder);
    command.arg("run").arg(bundled()).args(["--guest", "soft", "--report"]).arg(&path).args(SOME).args(more);
    let ran = command.output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    path
}

fn merge(folder: &Path, arguments: &[&Path]) -> Output {
    cxl_sim(folder).arg("merge").args(arguments).output().unwrap()
}

/// A report without what is never the same twice: how long things took, and what they say of addresses.
fn lasting(path: &Path) -> Value {
    let mut report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for scenario in report["scenarios"].as_array_mut().unwrap() {
        let keep = ["name", "file", "proves", "outcome", "reason", "guest", "abi"];
        scenario.as_object_mut().unwrap().retain(|key, _| keep.contains(&key.as_str()));
    }
    report
}

#[test]
fn shards_and_jobs_cover_every_scenario_once_and_merged_they_are_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let whole = report(folder.path(), "whole.json", &[]);
    let shards = [1, 2, 3].map(|number| {
        let shard = format!("{number}/3");
        report(folder.path(), &format!("{number}.json"), &["--shard", &shard, "--jobs", "4"])
    });
    let (all, page) = (folder.path().join("all.json"), folder.path().join("all.xml"));
    let to = Path::new("--report");
    let merged = merge(folder.path(), &[&shards[2], &shards[0], &shards[1], to, &all, to, &page]);
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    let count = scenarios("decoder") + scenarios("refused") + scenarios("window");
    assert_eq!(lasting(&all), lasting(&whole));
    assert_eq!(lasting(&all)["scenarios"].as_array().unwrap().len(), count);
    let summary = &lasting(&all)["summary"];
    let last = format!("passed {}, failed 0, skipped {}", summary["passed"], summary["skipped"]);
    assert_eq!(lines(&merged), [last]);
    let suites = Report::deserialize_from_str(&std::fs::read_to_string(&page).unwrap()).unwrap();
    assert_eq!((suites.tests, suites.test_suites.len()), (count, 3));

    let missing = merge(folder.path(), &[&shards[2], &shards[0]]);
    assert_eq!(missing.status.code(), Some(2));
    let first = shards[0].display();
    let told = format!("cxl-sim: shard 2/3 of the run that {first} is of is missing\n");
    assert_eq!(complaint(&missing), told);
    let twice = merge(folder.path(), &[&shards[2], &shards[0], &shards[1], &whole]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(complaint(&twice).contains("is in another run, too"), "{twice:?}");
}

#[rstest]
#[case::nothing("", "no report of cxl-sim: EOF while parsing a value at line 1 column 0")]
#[case::something_else("{}", "no report of cxl-sim: missing field `version` at line 1 column 2")]
fn what_is_no_report_is_not_merged(#[case] text: &str, #[case] why: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.json");
    std::fs::write(&path, text).unwrap();
    let out = folder.path().join("out.json");
    let wrong = merge(folder.path(), &[&path, Path::new("--report"), &out]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(complaint(&wrong), format!("cxl-sim: {}: {why}\n", path.display()));
    assert!(!out.exists());
}

#[test]
fn a_failure_is_one_after_a_merge_and_the_page_has_its_steps() {
    let step = "load = { at = \"gpu0.hdm\", width = 4, is = 0 }";
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
    let (folder, path) = scenario_file(&text);
    let (report, page) = (folder.path().join("a.json"), folder.path().join("a.xml"));
    let mut command = cxl_sim(folder.path());
    command
        .arg("run")
        .arg(&path)
        .args(["--guest", "soft", "--report"])
        .arg(&report)
        .arg("--report")
        .arg(&page);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    let merged = merge(folder.path(), &[&report]);
    assert_eq!(
        (merged.status.code(), lines(&merged)),
        (Some(1), vec!["passed 0, failed 1, skipped 0".to_owned()])
    );
    let page = std::fs::read_to_string(&page).unwrap();
    assert!(page.contains("failed step 1 load: gpu0.hdm: 4 bytes read 0x200000, expected 0x0"), "{page}");
    assert_eq!(Report::deserialize_from_str(&page).unwrap().failures, 1);
}
