//! What a run shows: the page, what a script gets of it, the drawings, and when there are colours.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use rstest::rstest;
use serde_json::Value;

use crate::bundled;
use crate::cxl_sim;
use crate::run;
use crate::scenario_file;

const WRONG: &str = "proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n\
                     load = { at = \"gpu0.hdm\", width = 4, is = 0 }\n";

/// The page of a run, and the run.
fn page(scenario: &Path) -> (String, Output) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.html");
    let mut command = cxl_sim(folder.path());
    let output =
        command.arg("run").arg(scenario).args(["--guest", "soft", "--report"]).arg(&path).output().unwrap();
    (std::fs::read_to_string(path).unwrap(), output)
}

fn events(scenario: &Value) -> &Vec<Value> {
    scenario["timeline"]["events"].as_array().unwrap()
}

/// The events of a step as lines.
fn lines(scenario: &Value, step: u64) -> Vec<String> {
    let inside = events(scenario).iter().filter(|event| event["step"] == step);
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    inside
        .map(|event| {
            let [who, what, place, words] = ["who", "what", "place", "words"].map(|key| text(event, key));
            format!("{who} {what} {place}: {words}")
        })
        .collect()
}

#[test]
fn a_run_is_told_as_a_page_with_its_map_its_topology_and_its_timeline() {
    let (page, output) = page(&bundled().join("decoder/first-light.toml"));
    assert_eq!(output.status.code(), Some(0));
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for text in [
        "<title>cxl-sim: passed 1, failed 0, skipped 0</title>",
        "aria-label=\"the guest address map\"",
        "aria-label=\"the topology\"",
        ">gpu0 window</text>",
        ">+0x21000 320 B COMP_REGS</text>",
        ">HDM decoder 0 CTRL</span>: <b>COMMIT 1, COMMITTED 1</b>",
        ">HDM decoder 0 CTRL</span>: <b>LOCK_ON_COMMIT 0→1</b>",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_failure_is_told_on_the_page_with_both_sides_and_the_access_before_it() {
    let (_folder, path) = scenario_file(WRONG);
    let (page, output) = page(&path);
    assert_eq!(output.status.code(), Some(1));
    let failure = page.split("<section class=\"failure\">").nth(1).unwrap();
    let failure = failure.split("</section>").next().unwrap();
    for text in [
        "<h4>expected</h4><p>0x0</p>",
        "<h4>seen</h4><p>gpu0.hdm: 4 bytes read 0x200000</p>",
        ">guest → gpu0</td>",
        ">HDM Decoder Capability</span>",
    ] {
        assert!(failure.contains(text), "{text} in {failure}");
    }
}

#[test]
fn a_commit_is_told_by_register_and_field() {
    let ran = run(&bundled().join("selftest-v2/commit-and-committed-go-together.toml"), &[]);
    let scenario = ran.scenario();
    let last = |step| lines(scenario, step).pop().unwrap();
    assert_eq!(last(10), "user write HDM decoder 0 CTRL: COMMIT 0→1");
    assert_eq!(last(11), "user read HDM decoder 0 CTRL: COMMITTED 0→1");
}

#[test]
fn what_the_machine_says_before_the_steps_is_told_and_what_is_left_out_is_counted() {
    let ran = run(&bundled().join("decoder/first-light.toml"), &[]);
    let scenario = ran.scenario();
    let said = lines(scenario, 0);
    assert_eq!(said[0], "machine DEVICE_GET_INFO : ");
    assert!(said.contains(&"machine DMA_MAP of [0x0, 0x4000000) : ".to_owned()), "{said:?}");
    assert!(said.contains(&"machine write HDM decoder 0 BASE HIGH: BASE 0x1".to_owned()), "{said:?}");
    let numbers: Vec<_> = events(scenario).iter().map(|event| event["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers[2] == 3 && numbers[3] > 4, "{numbers:?}");
    assert_eq!(scenario["timeline"]["count"].as_u64(), numbers.last().copied());
}

#[test]
fn what_fails_while_a_device_is_attached_is_told_by_the_access_that_it_failed_at() {
    let text = "proves = \"x\"\n[[device]]\nname = \"gpu0\"\nwith.faults.base_write_dropped = true\n\
                [[step]]\ndecoder = { device = \"gpu0\", committed = true }\n";
    let (_folder, path) = scenario_file(text);
    let ran = run(&path, &[]);
    let step = &ran.scenario()["steps"][0];
    assert_eq!((ran.code, &step["step"]), (1, &"attach".into()));
    let differs =
        serde_json::json!({"seen": "gpu0: HDM Decoder Base Low reads 0x0", "expected": "0x10000000"});
    assert_eq!(step["differs"], differs);
    let cause = events(ran.scenario()).iter().find(|event| event["number"] == step["cause"]).unwrap();
    assert_eq!((&cause["what"], &cause["place"]), (&"read".into(), &"HDM decoder 0 BASE LOW".into()));
    assert_eq!(cause["words"], "BASE 0x1→0x0");
    assert!(events(ran.scenario()).iter().all(|event| event["step"] == 1));
}

#[test]
fn what_a_device_asks_for_by_messages_is_told() {
    let ran = run(&bundled().join("smmu/a-device-reaches-what-the-guest-maps-and-no-more.toml"), &[]);
    assert_eq!(ran.code, 0);
    let asked = events(ran.scenario()).iter().filter(|event| event["who"] == "device");
    let what: BTreeSet<_> = asked.clone().map(|event| event["what"].as_str().unwrap()).collect();
    assert_eq!(what, BTreeSet::from(["DMA_READ", "DMA_WRITE"]));
    let in_step_13 = asked.filter(|event| event["step"] == 13);
    let told: Vec<_> = in_step_13.map(|event| (&event["place"], &event["value"])).collect();
    assert_eq!(told, [(&"memory at 0x1010".into(), &"0x1122334455667788".into())]);
}

#[test]
fn a_script_is_told_both_sides_of_a_failure_and_which_access_was_before_it() {
    let (_folder, path) = scenario_file(WRONG);
    let ran = run(&path, &[]);
    let step = &ran.scenario()["steps"][0];
    let differs = serde_json::json!({"seen": "gpu0.hdm: 4 bytes read 0x200000", "expected": "0x0"});
    assert_eq!(step["differs"], differs);
    let cause = events(ran.scenario()).iter().find(|event| event["number"] == step["cause"]).unwrap();
    assert_eq!((&cause["step"], &cause["place"]), (&1.into(), &"HDM Decoder Capability".into()));
    assert_eq!(cause["value"], "0x200000");
}

#[test]
fn a_device_that_is_refused_is_told_up_to_what_it_said_last() {
    let ran =
        run(&bundled().join("regression/16-a-decoder-committed-over-nothing-is-no-cxl-device.toml"), &[]);
    assert_eq!(ran.code, 0);
    assert!(!events(ran.scenario()).is_empty() && ran.scenario()["map"].is_null());
}

#[test]
fn a_plan_and_a_device_are_drawn() {
    let nowhere = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = cxl_sim(nowhere.path()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = said(&["plan", "decoder/first-light"]);
    for line in [
        "  0x1_1000_0000 │██████│ gpu0 window                         256 MiB  maps",
        "                │▚▚▚▚▚▚│   +0x21000 COMP_REGS, region 10       320 B  overlay, traps",
        "                ┆  ⋮   ┆ unused 2.7 GiB",
    ] {
        assert!(plan.lines().any(|drawn| drawn == line), "{plan}");
    }
    let device = said(&["inspect", "sim"]);
    for line in [
        "            0x0 │▒▒▒▒▒▒│ 0: bar0                              64 KiB  traps",
        "                │██████│   +0x30000                          832 KiB  maps",
    ] {
        assert!(device.lines().any(|drawn| drawn == line), "{device}");
    }
}

#[rstest]
#[case::run(&["run", "--guest", "soft", "--filter", "first-light"])]
#[case::plan(&["plan", "decoder/first-light"])]
#[case::inspect(&["inspect", "sim"])]
fn colours_are_for_terminals_and_no_color_is_honoured(#[case] arguments: &[&str]) {
    let nowhere = tempfile::tempdir().unwrap();
    let output = |variables: &[(&str, &str)]| {
        let mut command = cxl_sim(nowhere.path());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command.envs(variables.iter().copied()).args(arguments).output().unwrap()
    };
    let is_coloured = |variables: &[(&str, &str)]| output(variables).stdout.contains(&0x1b);
    assert!(!is_coloured(&[]), "standard output is no terminal here");
    assert!(is_coloured(&[("CLICOLOR_FORCE", "1")]), "who insists gets them");
    assert!(!is_coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn nothing_of_how_far_a_run_is_is_said_where_there_is_no_terminal() {
    let nowhere = tempfile::tempdir().unwrap();
    // One of these takes longer than it takes until something would be shown.
    let mut command = cxl_sim(nowhere.path());
    let output = command.args(["run", "--guest", "soft", "--filter", "frozen|first-light"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
