//! `run --watch` from outside.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Lines;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Stdio;

use rstest::rstest;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::assert_nothing_left;
use crate::complaint;
use crate::cxl_sim;

/// A scenario that passes if the number is the one that the decoder has in it.
const SCENARIO: &str = "include = [\"../base.toml\"]\nproves = \"x\"\n[[device]]\nname = \"gpu0\"\n\
    [[step]]\nload = { at = \"gpu0.hdm\", width = 4, is = \"${number}\" }\n";

const RIGHT: &str = "[vars]\nnumber = 0x20_0000\n";
const WRONG: &str = "[vars]\nnumber = 1\n";

/// Puts a file there whole, as editors do: nobody sees half of it.
fn put(path: &Path, text: &str) {
    let whole = path.with_extension("new");
    std::fs::write(&whole, text).unwrap();
    std::fs::rename(&whole, path).unwrap();
}

/// What is said last until the program waits again, and that it does.
fn said(lines: &mut Lines<BufReader<ChildStdout>>) -> [String; 2] {
    let mut last = String::new();
    loop {
        let line = lines.next().expect("it ended").unwrap();
        if line.starts_with("watching ") {
            return [last, line];
        }
        last = line;
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Ends the program where the test fails before it does.
struct Ends(Pid);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.0, Signal::KILL);
    }
}

#[rstest]
#[case::interrupted(Signal::INT, RIGHT, 0)]
#[case::asked_to_end(Signal::TERM, WRONG, 1)]
fn it_runs_again_when_a_file_changes_and_ends_with_the_last_code(
    #[case] end: Signal,
    #[case] last: &str,
    #[case] code: i32,
) {
    let (temporary, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (all, base) = (folder.path().join("all"), folder.path().join("base.toml"));
    std::fs::create_dir(&all).unwrap();
    let (file, report) = (all.join("a.toml"), folder.path().join("report.json"));
    put(&file, SCENARIO);
    put(&base, RIGHT);
    let mut command = cxl_sim(temporary.path());
    command.args(["run", "--guest", "soft", "--watch", "--report"]).arg(&report).arg(&all);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ends = Ends(Pid::from_raw(child.id().try_into().unwrap()).unwrap());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut outcome = || said(&mut lines);
    assert_eq!(outcome(), ["passed 1, failed 0, skipped 0", "watching 2 files"]);

    // What it includes changes, then it itself.
    put(&base, WRONG);
    assert_eq!(outcome(), ["passed 0, failed 1, skipped 0", "watching 2 files"]);
    assert!(std::fs::read_to_string(&report).unwrap().contains("\"failed\": 1"));
    put(&file, &SCENARIO.replace("${number}", "0x20_0000"));
    assert_eq!(outcome(), ["passed 1, failed 0, skipped 0", "watching 2 files"]);

    // A mistake is told, and the mending of it is noticed.
    put(&file, "proves = = 1");
    assert_eq!(outcome(), ["", "watching 2 files"]);
    put(&base, last);
    assert_eq!(outcome(), ["", "watching 2 files"]);
    put(&file, SCENARIO);
    let passed = usize::from(code == 0);
    let summary = format!("passed {passed}, failed {code}, skipped 0");
    assert_eq!(outcome(), [summary.as_str(), "watching 2 files"]);

    signal(&child, end);
    let ended = child.wait_with_output().unwrap();
    // Its number may be another program's by now.
    std::mem::forget(ends);
    assert_eq!(ended.status.code(), Some(code));
    let told = complaint(&ended);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.lines().all(|line| line.starts_with(&format!("cxl-sim: {}:1: ", file.display()))), "{told}");
    assert_nothing_left(temporary.path());
}

#[test]
fn what_comes_with_the_program_does_not_change() {
    let nowhere = tempfile::tempdir().unwrap();
    let wrong = cxl_sim(nowhere.path()).args(["run", "--watch"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(complaint(&wrong).contains("<PATH>"), "{wrong:?}");
}
