//! Every expectation of every bundled scenario can fail: each is seen failing on a device that is broken.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::Value;

use crate::bundled;
use crate::bundled_text;
use crate::run;
use crate::scenario_file;

/// A bundled scenario, and lines that break its device `gpu0`, or `gpu1` where it says so.
struct Broken {
    scenario: &'static str,
    breaks: &'static [&'static str],
}

/// After discovery and machine-done, the component registers read ones.
const REGISTERS_DIE: &str = "with.faults.registers_die_after = 13";

const DETACHED: &str = "with.faults.detached_memory = true";

const ALL: &[Broken] = &[
    Broken {
        scenario: "decoder/a-lock-that-shows-is-cleared-first",
        breaks: &[
            "with.kernel.show_lock = false",
            "with.kernel.show_lock = true\nwith.faults.registers_die_after = 13",
        ],
    },
    Broken { scenario: "decoder/first-light", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken {
        scenario: "decoder/machine-done-writes-the-decoder-in-order",
        breaks: &["with.kernel.show_lock = true"],
    },
    Broken {
        scenario: "decoder/the-guest-cannot-move-a-locked-decoder",
        breaks: &["with.faults.lock_freezes_nothing = true", DETACHED],
    },
    Broken {
        scenario: "overlay/around-the-block-the-bar-is-memory",
        breaks: &[
            "with.faults.host_base_at = 0",
            "with.component.offset = 0x1_0000",
            "with.component.offset = 0x3_0000",
            "with.faults.host_base_at = 0x2_0000",
        ],
    },
    Broken {
        scenario: "overlay/the-hosts-address-is-hidden",
        breaks: &[
            "with.ids = { subsystem_vendor = 0, subsystem = 0x3000 }",
            "with.faults.host_base_at = 0x2_8000",
            "with.faults.host_base_in_bar0_at = 0xc000",
            "with.faults.host_base_at = 0x40",
            "with.component.bar_size = \"256GiB\"",
        ],
    },
    Broken { scenario: "refused/not-a-cxl-device", breaks: &["with.firmware.committed = true"] },
    Broken { scenario: "refused/not-committed-by-firmware", breaks: &["with.firmware.committed = true"] },
    Broken {
        scenario: "window/the-window-is-where-the-plan-says",
        breaks: &[
            "with.memory.size = \"512MiB\"",
            DETACHED,
            "with.component.bar_size = \"128MiB\"",
            "with.component.bar_size = \"256MiB\"",
            "with.component.bar_size = \"4GiB\"",
        ],
    },
    Broken {
        scenario: "window/two-devices-get-two-windows",
        breaks: &["with.memory.size = \"512MiB\"", REGISTERS_DIE, DETACHED],
    },
];

/// The scenario with its devices broken: what it says of them is replaced.
fn broken_text(scenario: &str, lines: &str) -> String {
    let kept = bundled_text(scenario);
    let kept = kept.lines().filter(|line| !line.starts_with("with."));
    let broken = kept.flat_map(|line| match line.starts_with("name = ") {
        true => vec![line.to_owned(), lines.to_owned()],
        false => vec![line.to_owned()],
    });
    broken.collect::<Vec<_>>().join("\n")
}

/// The numbers of the steps that expect something, from 1. A scenario that is to be refused has one.
fn expecting_steps(scenario: &Value) -> BTreeSet<usize> {
    let steps = scenario["steps"].as_array().unwrap().iter().enumerate();
    let silent = ["store", "device_puts"];
    let expecting = steps.filter(|(_, step)| !silent.contains(&step["step"].as_str().unwrap()));
    expecting.map(|(index, _)| index + 1).collect()
}

#[rstest]
fn every_expectation_fails_on_a_device_that_is_broken_for_it(
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)] index: usize,
) {
    let Broken { scenario, breaks } = &ALL[index];
    let path = bundled().join(scenario).with_extension("toml");
    let good = run(&path, &[]);
    assert_eq!((good.code, good.scenario()["outcome"].as_str()), (0, Some("passed")));
    let mut seen_failing = BTreeSet::new();
    for lines in *breaks {
        let (_folder, path) = scenario_file(&broken_text(scenario, lines));
        let bad = run(&path, &[]);
        assert_eq!(bad.code, 1, "{lines} breaks nothing");
        assert_ne!(bad.scenario()["steps"][0]["step"], Value::Null);
        seen_failing.extend(bad.failed_steps());
        bad.assert_clean();
    }
    assert_eq!(seen_failing, expecting_steps(good.scenario()), "steps of {scenario} seen failing");
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
#[case(
    "hidden = { address = \"0x1_1000_0000\", from = \"gpu0.hdm+0x10\", size = 8 }",
    "0x110000000 shows at +0x0"
)]
#[case("load = { at = \"gpu0.bar4\", width = 4, is = 0 }", "gpu0.bar4: the machine has no such place")]
fn an_expectation_that_is_wrong_fails_and_says_what_was_seen(#[case] step: &str, #[case] reason: &str) {
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
    let (_folder, path) = scenario_file(&text);
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.failed_steps()), (1, vec![1]));
    assert!(ran.reason().contains(reason), "{}", ran.reason());
}
