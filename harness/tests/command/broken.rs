//! Every expectation of every bundled scenario can fail: each is seen failing on a device that is broken.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::Value;

use crate::FIRST;
use crate::breaks::ALL;
use crate::bundled;
use crate::bundled_text;
use crate::requires_kvm;
use crate::run;
use crate::scenario_file;

/// The scenario with its devices broken: what it says of them is replaced, and what it says of the kernel where
/// the lines do. A line `old => new` replaces a line of the scenario, and one that begins with `machine.` is added:
/// it is the machine that is broken then, and the devices stay as they are.
pub(crate) fn broken_text(scenario: &str, lines: &str) -> String {
    let (abi, lines): (Vec<_>, Vec<_>) = lines.lines().partition(|line| line.starts_with("abi = "));
    let (replaced, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.contains(" => "));
    let replaced: Vec<_> = replaced.iter().filter_map(|line| line.split_once(" => ")).collect();
    let (machine, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("machine."));
    let (lines, devices_change) = (lines.join("\n"), machine.is_empty());
    let text = bundled_text(scenario);
    for (old, _) in &replaced {
        assert!(text.lines().any(|line| line == *old), "{scenario} has no line {old:?}");
    }
    let mut in_device = false;
    let mut broken = Vec::new();
    // Such a line is put where the scenario has the machine's keys, or before everything.
    let has_keys = text.lines().any(|line| line == "[machine]");
    if !has_keys {
        broken.extend(machine.iter().map(|line| (*line).to_owned()));
    }
    for line in text.lines() {
        if line.starts_with('[') {
            in_device = line == "[[device]]";
        }
        if devices_change && (line.starts_with("with.") || line.starts_with("profile = \"")) {
            continue;
        }
        let new = replaced.iter().find(|(old, _)| *old == line).map(|(_, new)| *new);
        broken.push(match (abi.first(), new) {
            (Some(abi), _) if line.starts_with("abi = ") => (*abi).to_owned(),
            (_, Some(new)) => new.to_owned(),
            _ => line.to_owned(),
        });
        if line == "[machine]" {
            broken.extend(machine.iter().filter_map(|line| line.strip_prefix("machine.")).map(str::to_owned));
        }
        if in_device && line.starts_with("name = ") {
            broken.push(lines.clone());
        }
    }
    broken.join("\n")
}

/// The numbers of the steps that expect something, from 1. A scenario that is to be refused has one. A step that
/// only does something expects nothing, unless it must end otherwise.
fn expecting_steps(scenario: &str) -> BTreeSet<usize> {
    let scenario: toml::Table = toml::from_str(&bundled_text(scenario)).unwrap();
    let Some(steps) = scenario.get("step") else { return BTreeSet::from([1]) };
    let silent = [
        "store",
        "handler",
        "device_puts",
        "region_write",
        "reset",
        "reopen",
        "dma_unmap",
        "machine_reset",
        "vfio_reset",
        "kill",
        "freeze",
        "thaw",
        "restart",
        "plug",
        "unplug",
    ];
    let expects = |step: &toml::Value| {
        let (kind, keys) = step.as_table().unwrap().iter().next().unwrap();
        let otherwise = ["errno", "count_is", "lost", "refused"].iter().any(|key| keys.get(key).is_some());
        otherwise || !silent.contains(&kind.as_str())
    };
    let steps = steps.as_array().unwrap().iter().enumerate();
    steps.filter(|(_, step)| expects(step)).map(|(index, _)| index + 1).collect()
}

#[rstest]
fn every_expectation_fails_on_a_device_that_is_broken_for_it(
    #[values(
        "acpi/",
        "decoder/",
        "dma/",
        "fault/",
        "interrupt/",
        "life/",
        "overlay/",
        "presets/",
        "refused/",
        "regression/",
        "reset/",
        "selftest-next/",
        "selftest-v2/",
        "selftest-v3/",
        "smmu/",
        "topology/",
        "window/"
    )]
    folder: &str,
) {
    for broken in ALL.iter().filter(|broken| broken.scenario.starts_with(folder)) {
        let scenario = broken.scenario;
        let path = bundled().join(scenario).with_extension("toml");
        let good = run(&path, &FIRST);
        if requires_kvm(scenario) && good.scenario()["guest"] == "soft" {
            // The report of every run says so, and why.
            assert_eq!((good.code, good.scenario()["outcome"].as_str()), (0, Some("skipped")), "{scenario}");
            continue;
        }
        assert_eq!((good.code, good.scenario()["outcome"].as_str()), (0, Some("passed")), "{scenario}");
        let mut seen_failing = BTreeSet::new();
        for lines in broken.breaks {
            let (_folder, path) = scenario_file(&broken_text(scenario, lines));
            let bad = run(&path, &FIRST);
            assert_eq!(bad.code, 1, "{lines:?} breaks nothing of {scenario}");
            assert_ne!(bad.scenario()["steps"][0]["step"], Value::Null);
            seen_failing.extend(bad.failed_steps());
            bad.assert_clean();
        }
        let never: Vec<_> = expecting_steps(scenario).difference(&seen_failing).copied().collect();
        assert_eq!(never, [] as [usize; 0], "steps of {scenario} that were never seen failing");
    }
}

#[test]
fn every_bundled_scenario_is_broken_here() {
    let here: Vec<&str> = ALL.iter().map(|broken| broken.scenario).collect();
    let mut there: Vec<String> = Vec::new();
    for folder in std::fs::read_dir(bundled()).unwrap().map(|entry| entry.unwrap().path()) {
        for file in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            there.push(file.strip_prefix(bundled()).unwrap().with_extension("").display().to_string());
        }
    }
    there.sort_unstable();
    assert_eq!(here, there);
}

/// A device that fails at machine-done, or that cannot be understood: attaching fails and names what.
#[rstest]
#[case(
    "with.faults.base_write_dropped = true",
    "gpu0: HDM Decoder Base Low reads 0x0 where 0x10000000 was expected"
)]
#[case("with.faults.commit_ignored = true", "gpu0: HDM Decoder Control reads 0x300")]
#[case("with.faults.hdm_missing = true", "the capability array has no HDM decoder capability (id 5)")]
#[case(
    "with = { kernel.show_lock = true, faults.lock_clear_ignored = true }",
    "gpu0: HDM Decoder Base Low reads 0x0 where 0x10000000 was expected"
)]
#[case(
    "with.faults.registers_die_after = 0",
    "CXL capability header = 0xffffffff: unexpected capability array id"
)]
#[case("with.faults.registers_die_after = 9", "gpu0: HDM Decoder Base Low reads 0xffffffff")]
fn a_device_that_fails_while_attaching_is_named_with_the_register(#[case] lines: &str, #[case] reason: &str) {
    let (_folder, path) = scenario_file(&broken_text("decoder/first-light", lines));
    let ran = run(&path, &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.reason().contains(reason), "{}", ran.reason());
    assert_eq!(ran.scenario()["steps"].as_array().unwrap().len(), 1, "no step is tried on it");
    ran.assert_clean();
}

/// Each kind of expectation, turned round: on a good device it fails.
#[rstest]
#[case(
    "load = { at = \"gpu0.registers\", width = 4, is_not = 0x0211_0001 }",
    "expected anything but 0x2110001"
)]
#[case("load = { at = \"gpu0.registers\", width = 4, is = 0x0211_0002 }", "expected 0x2110002")]
#[case("load = { at = \"gpu0.registers\", width = 4, mask = 0xff, is = 2 }", "read 0x1, expected 0x2")]
#[case(
    "device_holds = { device = \"gpu0\", offset = 0, width = 4, is = 1 }",
    "holds 0x0 at 0x0 of its memory, expected 0x1"
)]
#[case("decoder = { device = \"gpu0\", base = 0 }", "expected base 0x0")]
#[case("decoder = { device = \"gpu0\", size = \"512MiB\" }", "expected size 0x20000000")]
#[case(
    "decoder = { device = \"gpu0\", committed = false, locked = false }",
    "expected committed = false and locked = false"
)]
#[case("window = { device = \"gpu0\", start = 0, size = \"256MiB\" }", "expected 0x10000000 bytes at 0x0")]
#[case(
    "window = { device = \"gpu0\", start = \"0x1_1000_0000\", size = 1 }",
    "expected 0x1 bytes at 0x110000000"
)]
#[case("machine_done = { device = \"gpu0\", writes = [] }", "HDM Decoder Control = 0x700, expected nothing")]
#[case(
    "hidden = { address = \"0x0211_0001\", from = \"gpu0.registers\", size = 8 }",
    "0x2110001 shows at +0x0"
)]
#[case("programmed = { device = \"gpu0\", writes = [\"x\"] }", "written since: nothing, expected x")]
#[case(
    "unplaced = { device = \"gpu0\", because = \"x\" }",
    "nothing is wrong with the place of its memory, expected"
)]
#[case(
    "lost = { device = \"gpu0\", call = \"x\", reason = \"y\", then = \"z\" }",
    "gpu0: is not lost, expected to be lost at \"x\" because of \"y\", then \"z\""
)]
#[case("machine_reset = { refused = \"x\" }", "the machine is reset, expected \"x\"")]
#[case("vfio_reset = { device = \"gpu0\", refused = \"x\" }", "gpu0 is reset, expected \"x\"")]
#[case(
    "hidden = { address = \"0x1_1000_0000\", from = \"gpu0.hdm+0x10\", size = 8 }",
    "0x110000000 shows at +0x0"
)]
#[case("acpi = { table = \"CEDT\", absent = true }", "CEDT: 108 bytes, expected none")]
#[case("acpi = { table = \"IORT\", its_group = [] }", "IORT: there is none, expected one")]
#[case("acpi = { table = \"CEDT\", chbs = [] }", "CEDT.chbs: there are 1, expected 0")]
#[case(
    "acpi = { table = \"CEDT\", cfmws = [{ targets = [1, 2] }] }",
    "CEDT.cfmws[0].targets: there are 1, expected 2; CEDT.cfmws[0].targets[0]: 0xc, expected 0x1"
)]
#[case(
    "acpi = { table = \"CEDT\", chbs = [{ uid = \"gpu7 bridge\" }] }",
    "CEDT.chbs[0].uid: \"gpu7 bridge\" is no number, no place and no host bridge"
)]
#[case(
    "acpi = { table = \"CEDT\", cfmws = [{ restrictions = [\"persistent\"] }] }",
    "CEDT.cfmws[0].restrictions: device-coherent, fixed-device-configuration, volatile, expected persistent"
)]
#[case(
    "acpi = { table = \"SRAT\", generic_port = [{ acpi_hid = \"ACPI0017\" }] }",
    "SRAT.generic_port[0].acpi_hid: \"ACPI0016\", expected \"ACPI0017\""
)]
#[case("acpi = { table = \"DSDT\", revision = 1 }", "DSDT.revision: 0x2, expected 0x1")]
#[case("acpi = { table = \"DSDT\", acpi0017 = [{ _UID = 1 }] }", "DSDT.acpi0017[0]._UID: is not there")]
#[case("load = { at = \"gpu0.bar4\", width = 4, is = 0 }", "gpu0.bar4: the machine has no such place")]
fn an_expectation_that_is_wrong_fails_and_says_what_was_seen(#[case] step: &str, #[case] reason: &str) {
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
    let (_folder, path) = scenario_file(&text);
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.failed_steps()), (1, vec![1]));
    assert!(ran.reason().contains(reason), "{}", ran.reason());
}
