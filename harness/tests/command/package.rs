//! What a package has beside the program, and what it says of the machine that it is installed on.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

use crate::cxl_sim;
use crate::files::lines;

/// The commands that the program's own help lists.
fn commands() -> BTreeSet<String> {
    let nowhere = tempfile::tempdir().unwrap();
    let help = lines(&cxl_sim(nowhere.path()).arg("--help").output().unwrap());
    let listed =
        help.iter().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    assert!(names.contains("run") && names.contains("doctor"), "{names:?}");
    names
}

fn doctor(temporary: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = cxl_sim(temporary).arg("doctor").args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_command_has_a_manual_page_and_hidden_ones_have_none() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/man");
    let status = cxl_sim(folder.path()).arg("man").arg("--out").arg(&out).status().unwrap();
    assert!(status.success());
    let pages = std::fs::read_dir(&out).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    let mut expected: BTreeSet<_> = commands().iter().map(|name| format!("cxl-sim-{name}.1")).collect();
    expected.insert("cxl-sim.1".to_owned());
    assert_eq!(pages.collect::<BTreeSet<_>>(), expected);
    for page in expected {
        let text = std::fs::read_to_string(out.join(&page)).unwrap();
        assert!(
            text.contains("\n.TH ") && text.contains("\n.SH NAME\n") && text.contains("\n.SH SYNOPSIS\n"),
            "{page}"
        );
        assert!(!text.contains("bench\\-peer") && !text.contains("lend\\-enter"), "{page}");
    }
}

#[test]
fn pages_that_cannot_be_written_are_a_wrong_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let output = cxl_sim(folder.path()).arg("man").arg("--out").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&file.display().to_string()));
}

#[rstest]
#[case("bash")]
#[case("zsh")]
#[case("fish")]
fn a_shell_completes_every_command_and_no_hidden_one(#[case] shell: &str) {
    let nowhere = tempfile::tempdir().unwrap();
    let output = cxl_sim(nowhere.path()).args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for command in commands() {
        let offered = text.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == command);
        assert!(offered, "{command}");
    }
    assert!(!text.contains("bench-peer") && !text.contains("lend-enter"));
}

#[test]
fn bash_understands_what_completes_words_for_it_and_offers_commands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cxl-sim");
    let output = cxl_sim(folder.path()).args(["completions", "bash"]).output().unwrap();
    std::fs::write(&file, output.stdout).unwrap();
    let script = "set -e; source \"$0\"; set -- $(complete -p cxl-sim); while [ \"$1\" != -F ]; do shift; done\n\
                  COMP_WORDS=(cxl-sim do); COMP_CWORD=1; $2 cxl-sim do cxl-sim; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", script]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "doctor", "{output:?}");
}

#[test]
fn where_scenarios_run_the_doctor_says_so_and_every_finding_is_whole() {
    let nowhere = tempfile::tempdir().unwrap();
    let (code, text) = doctor(nowhere.path(), &["--json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &told["works"]), (Some(0), &Value::Bool(true)), "{text}");
    let findings = told["findings"].as_array().unwrap();
    assert_eq!(findings[0]["what"], "soft guest");
    assert_eq!(findings[0]["state"], "found");
    for finding in findings {
        assert!(["found", "missing", "unknown"].contains(&finding["state"].as_str().unwrap()), "{finding}");
        assert!(!finding["seen"].as_str().unwrap().is_empty(), "{finding}");
        assert!(!finding["enables"].as_str().unwrap().is_empty(), "{finding}");
    }
    let (_, lines) = doctor(nowhere.path(), &[]);
    assert!(lines.ends_with("\nscenarios run here\n"), "{lines}");
    let left: Vec<_> = std::fs::read_dir(nowhere.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn where_there_is_no_place_for_sockets_the_doctor_ends_in_1_and_says_why() {
    let nowhere = tempfile::tempdir().unwrap();
    let (code, text) = doctor(&nowhere.path().join("gone"), &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("missing  soft guest"), "{text}");
    assert!(text.contains("to do: the folder for temporary files (TMPDIR)"), "{text}");
    assert!(text.ends_with("\nscenarios do not run here\n"), "{text}");
}
