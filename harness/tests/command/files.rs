//! The command line and the files that it reads and writes.

use std::path::Path;
use std::process::Output;

use rstest::rstest;
use serde_json::Value;

use crate::breaks::ALL;
use crate::bundled;
use crate::complaint;
use crate::cxl_sim;
use crate::requires_kvm;
use crate::run;
use crate::scenario_file;
use crate::scenarios;

fn output(arguments: &[&str]) -> Output {
    // From a folder where there is nothing: a program that was installed has its scenarios with it.
    let nowhere = tempfile::tempdir().unwrap();
    cxl_sim(nowhere.path()).current_dir(nowhere.path()).args(arguments).output().unwrap()
}

pub(crate) fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn without_arguments_the_bundled_scenarios_run_from_anywhere() {
    let ran = output(&[]);
    let lines = lines(&ran);
    assert_eq!(ran.status.code(), Some(0), "{lines:?}");
    let count = scenarios("");
    let first = format!("{count} scenarios, device sim, abi v2, v3, next (provisional), plain, guest ");
    assert!(lines[0].starts_with(&first), "{}", lines[0]);
    let is_soft = lines[0].contains(", guest soft");
    let skipped = ALL.iter().filter(|broken| is_soft && requires_kvm(broken.scenario)).count();
    let passed = count - skipped;
    assert_eq!(*lines.last().unwrap(), format!("passed {passed}, failed 0, skipped {skipped}"));
}

#[test]
fn the_report_has_the_shape_that_others_script_against() {
    let ran = run(&bundled().join("decoder/first-light.toml"), &[]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&ran.report), ["run", "scenarios", "summary", "version"]);
    assert_eq!(keys(&ran.report["run"]), ["fingerprint", "shard", "shards", "total"]);
    assert_eq!(ran.report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ran.report["summary"], serde_json::json!({"passed": 1, "failed": 0, "skipped": 0}));
    let scenario = ran.scenario();
    let expected =
        ["abi", "duration_s", "file", "guest", "map", "name", "outcome", "proves", "reason", "steps"];
    let seen = ["timeline", "topology"];
    assert_eq!(keys(scenario), [&expected[..], &seen[..]].concat());
    assert_eq!((scenario["outcome"].as_str(), scenario["guest"].as_str()), (Some("passed"), Some("soft")));
    assert_eq!(scenario["abi"], "v2");
    assert!(scenario["duration_s"].as_f64().unwrap() > 0.0);
    assert_eq!(keys(&scenario["steps"][0]), ["detail", "outcome", "step"]);
}

#[test]
fn a_failing_scenario_ends_in_1_and_its_step_is_told() {
    let step = "load = { at = \"gpu0.hdm\", width = 4, is = 0 }";
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
    let (_folder, path) = scenario_file(&text);
    let ran = run(&path, &[]);
    assert_eq!(ran.code, 1);
    let said = String::from_utf8(ran.output.stdout.clone()).unwrap();
    assert!(said.contains("failed step 1 load: gpu0.hdm: 4 bytes read 0x200000, expected 0x0"), "{said}");
}

#[rstest]
#[case::no_such_file(&["run", "nope.toml"], 2, "cxl-sim: nope.toml: No such file or directory (os error 2)\n")]
#[case::an_endless_file(&["run", "/dev/zero"], 2, "cxl-sim: /dev/zero: not a file\n")]
#[case::nothing_matches(&["run", "--filter", "zzz"], 2, "cxl-sim: --filter zzz: no scenario has such a name\n")]
#[case::no_jobs(&["run", "--jobs", "0"], 2, "cxl-sim: --jobs 0: must be at least 1\n")]
#[case::another_report(&["run", "--report", "x.pdf"], 2, "cxl-sim: --report x.pdf: must end in .json, .xml or .html\n")]
#[case::a_report_nowhere(
    &["run", "--report", "/nonexistent/x.json"], 2,
    "cxl-sim: /nonexistent/x.json: No such file or directory (os error 2)\n")]
#[case::real_hardware(
    &["run", "--device", "vfio:fffffff0:ff:1f.7"], 1,
    "cxl-sim: vfio:fffffff0:ff:1f.7: connecting: /sys/bus/pci/devices/fffffff0:ff:1f.7 is not there: `lspci -D` \
     lists the devices of this host\n")]
#[case::hardware_to_capture(
    &["capture", "vfio:fffffff0:ff:1f.7,type1", "--out", "/nonexistent/x.toml"], 1,
    "cxl-sim: vfio:fffffff0:ff:1f.7,type1: connecting: /sys/bus/pci/devices/fffffff0:ff:1f.7 is not there: `lspci \
     -D` lists the devices of this host\n")]
#[case::no_profile_to_compare(
    &["compare", "/nonexistent/x.toml", "sim"], 2,
    "cxl-sim: profile \"/nonexistent/x.toml\" is neither a preset (t2-committed, t2-uncommitted, \
     t2-committed-unlocked, t2-config-locked, t2-block-start, t2-block-end, t2-block-whole-bar, t2-hdm-db, t2-large, \
     t2-many-decoders) nor a file\n")]
#[case::nobody_there(
    &["inspect", "vfio-user:/nonexistent"], 1,
    "cxl-sim: vfio-user:/nonexistent: connecting: No such file or directory (os error 2)\n")]
#[case::no_plan(&["plan", "nope"], 2, "cxl-sim: nope: No such file or directory (os error 2)\n")]
#[case::several_to_plan(
    &["plan", "presets/whatever-the-preset-and-the-kernel-the-memory-is-the-guests"], 2,
    "cxl-sim: presets/whatever-the-preset-and-the-kernel-the-memory-is-the-guests: has several scenarios; a plan is \
     for one, such as FILE.toml[KEY=VALUE]\n")]
#[case::a_folder_to_plan(&["plan", "/tmp"], 2, "cxl-sim: /tmp: is a folder; a plan is for one scenario\n")]
#[case::no_machine_to_plan(
    &["plan", "selftest-v2/the-registers-cannot-be-mapped"], 2,
    "cxl-sim: scenarios/selftest-v2/the-registers-cannot-be-mapped.toml: has no machine to plan: `attach = false`\n")]
fn what_is_wrong_is_said_in_one_line(#[case] arguments: &[&str], #[case] code: i32, #[case] message: &str) {
    let wrong = output(arguments);
    assert_eq!((wrong.status.code(), complaint(&wrong)), (Some(code), message.to_owned()));
    assert!(wrong.stdout.is_empty());
}

#[rstest]
#[case(&["run", "--shard", "3/2"], "must be I/N, with I from 1 to N")]
#[case(&["run", "--device", "magic"], "must be sim, vfio-user:SOCKET or vfio:BDF")]
#[case(&["run", "--device", "vfio:81:20.0"], "must be DOMAIN:BUS:DEVICE.FUNCTION in hex, such as 0000:81:00.0")]
#[case(&["run", "--device", "vfio:81:00.0,type2"], "type2: must be type1 or iommufd")]
#[case(&["run", "--filter", "("], "unclosed group")]
#[case(&["run", "--timeout", "0"], "must be a number of seconds from 0.001 to 86400")]
#[case(&["run", "--guest", "xen"], "possible values: auto, kvm, soft")]
#[case(&["frobnicate"], "unrecognized subcommand 'frobnicate'")]
fn wrong_usage_ends_in_2(#[case] arguments: &[&str], #[case] message: &str) {
    let wrong = output(arguments);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(complaint(&wrong).contains(message), "{}", complaint(&wrong));
}

#[test]
fn scenarios_and_profiles_are_listed_a_line_each() {
    let listed = lines(&output(&["list", "scenarios"]));
    assert_eq!(listed.len(), scenarios(""));
    let is_place = |place: &str| place.ends_with(".toml") || place.contains(".toml[") && place.ends_with(']');
    let is_line =
        |line: &String| line.starts_with("scenarios/") && is_place(line.split("  ").next().unwrap());
    assert!(listed.iter().all(is_line), "{listed:?}");
    let profiles = lines(&output(&["list", "profiles"]));
    assert!(profiles[0].starts_with("t2-committed  "));
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap()
}

/// What lasts of a line of a run: not the guest that it was, nor how long it took. A guest that runs no code has some
/// scenarios skipped that pass with another.
fn lasting(line: &str) -> String {
    let numbers: Vec<u32> = line.split([' ', ',']).filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [passed, failed, skipped] if line.starts_with("passed ") => {
            format!("{} did not fail, {failed} did", passed + skipped)
        }
        _ => line.split(", guest").next().unwrap().split("  (").next().unwrap().to_owned(),
    }
}

#[test]
fn the_readme_shows_what_a_run_says() {
    let readme = readme();
    let shown = readme.split("$ cargo run --release\n").nth(1).unwrap().split("```").next().unwrap();
    let ran = lines(&output(&["run", "--guest", "soft"]));
    let mut said = ran.iter().map(|line| lasting(line));
    // In the order in which it is said; dots stand for lines that are left out.
    for line in shown.lines().filter(|line| *line != "...") {
        assert!(said.any(|said| said == lasting(line)), "{line:?} is not what a run says, or not there");
    }
    assert_eq!(said.next(), None, "the last line is shown");
}

#[test]
fn the_scenario_in_the_readme_passes() {
    let readme = readme();
    let example =
        readme.split("```toml file=my-scenarios/first.toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (_folder, path) = scenario_file(example);
    assert_eq!(run(&path, &[]).code, 0);
}

#[test]
fn a_plan_is_printed_for_people_and_for_scripts() {
    let text = lines(&output(&["plan", "scenarios/decoder/first-light.toml"]));
    for heading in ["map", "bridges", "windows", "overlays", "programme", "dma"] {
        assert!(text.iter().any(|line| line == heading), "{heading}");
    }
    let json = output(&["plan", "decoder/first-light", "--json"]);
    let plan: Value = serde_json::from_slice(&json.stdout).unwrap();
    let ram: Vec<_> =
        plan["map"].as_array().unwrap().iter().filter(|placed| placed["kind"] == "ram").collect();
    assert_eq!(
        (ram.len(), ram[0]["start"].as_str(), ram[0]["size"].as_str()),
        (1, Some("0x0"), Some("0x4000000"))
    );
    let tables: Vec<_> = plan["map"].as_array().unwrap().iter().filter(|at| at["kind"] == "tables").collect();
    let tables: Vec<_> = tables.iter().map(|at| [&at["name"], &at["start"], &at["size"]]).collect();
    assert_eq!(
        tables,
        [["acpi root pointer", "0xe0000", "0x1000"], ["acpi tables", "0x3f00000", "0x100000"]]
    );
    assert_eq!(plan["windows"][0]["start"], "0x110000000");
    assert_eq!(plan["windows"][0]["targets"], serde_json::json!(["gpu0 bridge"]));
    assert_eq!(plan["windows"][0]["why"], "the first multiple of 0x10000000 behind gpu0 bar2");
    let bridge = &plan["bridges"][0];
    assert_eq!((bridge["uid"].as_u64(), bridge["last_bus"].as_u64()), (Some(12), Some(255)));
    assert_eq!(
        (bridge["registers"].as_str(), bridge["port"]["bdf"].as_str()),
        (Some("0xfe100000"), Some("0c:00.0"))
    );
    assert_eq!(
        (&bridge["port"]["device"], &bridge["window_64"]["start"]),
        (&"gpu0".into(), &"0x100000000".into())
    );
    assert_eq!(plan["overlays"][0]["priority"], 1);
    let values: Vec<_> =
        plan["programme"].as_array().unwrap().iter().map(|step| step["value"].clone()).collect();
    assert_eq!((values[2].as_str(), values[3].as_str()), (Some("0x10000000"), Some("0x1")));
    let decided = |plan: &Value| {
        let dma = plan["dma"].as_array().unwrap();
        dma.iter().map(|dma| dma["decision"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(decided(&plan), ["map", "nothing", "skip", "skip"], "RAM, BARs 0 and 2, and the window");
    assert_eq!((plan["dma"][0].get("through"), plan.get("smmus")), (None, None));
    let json = output(&["plan", "smmu/a-device-reaches-what-the-guest-maps-and-no-more", "--json"]);
    let plan: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(decided(&plan), ["map", "nothing", "skip", "skip"]);
    assert_eq!(plan["dma"][0]["through"], "gpu0 bridge smmu");
    assert_eq!(plan["smmus"][0]["reach"], "ask");
    let text = lines(&output(&["plan", "smmu/a-mirrored-device-has-what-the-guest-maps-and-no-more"]));
    let smmu = "       0xfe200000        0x20000  gpu0 bridge smmu on pxb-cxl: mirror";
    assert!(text.iter().any(|line| line == smmu), "{text:?}");
}

#[test]
fn the_plan_of_a_large_machine_is_made_before_anything_is_touched() {
    let json = output(&["plan", "window/four-devices-of-256-gib-on-virt", "--json"]);
    let plan: Value = serde_json::from_slice(&json.stdout).unwrap();
    let starts: Vec<_> = plan["windows"].as_array().unwrap().iter().map(|one| one["start"].clone()).collect();
    assert_eq!(starts, ["0x10000000000", "0x14000000000", "0x18000000000", "0x1c000000000"]);
    let buses: Vec<_> = plan["bridges"].as_array().unwrap().iter().map(|one| one["bus"].clone()).collect();
    assert_eq!(buses, [12, 20, 28, 36]);
    let text = lines(&output(&["plan", "window/a-device-with-two-windows-is-refused"]));
    assert_eq!(text, [] as [&str; 0], "what is refused is not planned");
}

#[rstest]
#[case("presets/t2-hdm-db", "hdm-db")]
#[case("decoder/first-light", "hdm-d")]
fn a_plan_tells_how_the_memory_of_a_window_is_kept_coherent(#[case] scenario: &str, #[case] coherency: &str) {
    let plan: Value = serde_json::from_slice(&output(&["plan", scenario, "--json"]).stdout).unwrap();
    assert_eq!(plan["windows"][0]["coherency"], coherency);
}

#[test]
fn a_plan_that_is_refused_says_why() {
    let refused = output(&["plan", "refused/not-committed-by-firmware"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(complaint(&refused).contains("FIRMWARE_COMMITTED is clear"));
}

#[test]
fn a_device_is_inspected_in_full() {
    let seen: Value = serde_json::from_slice(&output(&["inspect", "sim", "--json"]).stdout).unwrap();
    assert_eq!(seen["flags"], serde_json::json!(["reset", "pci", "caps", "cxl"]));
    assert_eq!(seen["capabilities"], serde_json::json!([6]));
    assert_eq!(seen["ids"]["class"], "0x120000");
    let dvsecs: Vec<_> = seen["pci_capabilities"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["dvsec"]["id"].as_u64())
        .collect();
    assert_eq!(dvsecs, [0, 5, 7, 8, 2]);
    assert_eq!(seen["cxl"]["decoders"][0]["base"], "0x0");
    assert_eq!(seen["cxl"]["component_capabilities"][1]["name"], "HDM decoders");
    let text = lines(&output(&["inspect", "sim"]));
    assert!(text.iter().any(|line| line.contains("mappable: 0x0+0x20000 0x30000+0xd0000")), "{text:?}");
}

#[test]
fn who_does_not_listen_does_not_stop_a_run() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut child = cxl_sim(nowhere.path())
        .args(["run", "--guest", "soft", "--filter", "first-light"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(Path::new(nowhere.path()).read_dir().unwrap().next().is_none());
}

#[test]
fn what_cannot_be_said_because_the_disk_is_full_is_no_success() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = cxl_sim(Path::new("/tmp"));
    let ended = command.args(["list", "profiles"]).stdout(full()).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        complaint(&ended).starts_with("cxl-sim: standard output: No space left"),
        "{}",
        complaint(&ended)
    );
}
