use rstest::rstest;
use vmm_core::plan::machine::Arch;
use vmm_core::plan::topology::Topology;

use super::*;

const GOOD: &str = "proves = \"something\"\n[[device]]\nname = \"gpu0\"\n";

fn mistake(text: &str) -> String {
    Loaded::parse("x", "x.toml", text, None).unwrap_err().to_string()
}

/// A scenario with one good device and this step.
fn with_step(step: &str) -> String {
    format!("{GOOD}[[step]]\n{step}\n")
}

#[rstest]
#[case::with_a_machine(include_str!("mod.rs"), 2)]
#[case::without_one(include_str!("user.rs"), 1)]
fn the_example_in_the_module_doc_loads(#[case] doc: &str, #[case] steps: usize) {
    let example = doc.split("```").nth(1).unwrap().trim_start_matches("toml");
    let text: String = example.lines().map(|line| format!("{}\n", line.trim_start_matches("//! "))).collect();
    let text = text.replace("//!\n", "\n");
    assert_eq!(Loaded::parse("x", "x.toml", &text, None).unwrap().scenario.steps.len(), steps);
}

#[rstest]
#[case::no_toml("proves = = 1", "x.toml:1: ")]
#[case::nothing("", "x.toml:1: missing field `proves`")]
#[case::an_unknown_key(&format!("colour = 1\n{GOOD}"), "x.toml:1: unknown field `colour`")]
#[case::an_unknown_machine_key(
    "proves = \"x\"\n[machine]\nrom = 1\n[[device]]\nname = \"a\"\n",
    "x.toml:3: unknown field `rom`"
)]
#[case::an_unknown_device_key(
    "proves = \"x\"\n[[device]]\nname = \"a\"\nnmae = 1\n",
    "x.toml:4: unknown field `nmae`"
)]
#[case::an_unknown_profile_key(
    "proves = \"x\"\n[[device]]\nname = \"a\"\nwith.memory.sise = 1\n",
    "x.toml:4: unknown field `sise`"
)]
#[case::no_device("proves = \"x\"\ndevice = []\n", "x.toml:2: device = []: a scenario has at least one")]
#[case::an_odd_name(
    "proves = \"x\"\n[[device]]\nname = \"a.b\"\n",
    "x.toml:3: name = \"a.b\": letters, digits"
)]
#[case::an_empty_name("proves = \"x\"\n[[device]]\nname = \"\"\n", "x.toml:3: name = \"\": letters, digits")]
#[case::the_same_name_twice(
    "proves = \"x\"\n[[device]]\nname = \"a\"\n[[device]]\nname = \"a\"\n",
    "x.toml:5: name = \"a\": another device"
)]
#[case::nothing_to_do(GOOD, "x.toml:1: a scenario has either steps or `refused`")]
#[case::too_much_to_do(
    &format!("refused = \"x\"\n{GOOD}[[step]]\nstore = {{ at = 0, width = 1, value = 1 }}\n"),
    "x.toml:1: a scenario has either steps or `refused`")]
#[case::odd_ram(
    "proves = \"x\"\nrefused = \"y\"\n\n[machine]\nram = \"3MiB\"\n[[device]]\nname = \"a\"\n",
    "x.toml:5: ram = 3MiB: must be a multiple of 2MiB"
)]
#[case::few_bits(
    "proves = \"x\"\nrefused = \"y\"\n[machine]\naddress_bits = 20\n[[device]]\nname = \"a\"\n",
    "x.toml:4: address_bits = 20: must be 36 to 52"
)]
#[case::another_layout(
    "proves = \"x\"\nrefused = \"y\"\n[machine]\narch = \"arm\"\n[[device]]\nname = \"a\"\n",
    "x.toml:4: arch = \"arm\": must be one of x86_64, aarch64"
)]
#[case::an_odd_bridge_name(
    "proves = \"x\"\nrefused = \"y\"\n[[bridge]]\nname = \"a b\"\n[[device]]\nname = \"a\"\n",
    "x.toml:4: name = \"a b\": letters, digits"
)]
#[case::no_such_bus(
    "proves = \"x\"\nrefused = \"y\"\n[[bridge]]\nname = \"a\"\nbus = 256\n[[device]]\nname = \"a\"\n",
    "x.toml:5: invalid value: integer `256`, expected u8"
)]
#[case::a_window_to_nowhere(
    "proves = \"x\"\nrefused = \"y\"\n[[window]]\nsize = \"1GiB\"\n[[device]]\nname = \"a\"\n",
    "x.toml:3: missing field `targets`"
)]
#[case::profile_and_with(
    "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\nprofile = \"t2-committed\"\nwith.decoder.count = 2\n",
    "x.toml:5: either `profile` or `with`"
)]
#[case::an_unknown_profile(
    "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\nprofile = \"t3\"\n",
    "x.toml:5: profile \"t3\" is neither a preset (t2-committed, "
)]
#[case::an_impossible_profile(
    "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\n[device.with.memory]\nsize = \"1MiB\"\n",
    "x.toml:6: memory.size = 1MiB: must be a multiple of 256MiB"
)]
fn a_mistake_is_found_at_its_line_with_field_and_value(#[case] text: &str, #[case] message: &str) {
    let found = mistake(text);
    assert!(found.starts_with(message), "{found}");
    assert!(!found.contains('\n'), "one line: {found}");
}

#[rstest]
#[case::an_unknown_step("jump = { at = 0 }", "unknown variant `jump`")]
#[case::two_keys("load = { at = 0, width = 1, is = 0 }\nstore = { at = 0, width = 1, value = 0 }", "")]
#[case::an_unknown_key("load = { at = 0, width = 1, is = 0, color = 1 }", "unknown field `color`")]
#[case::a_missing_key("load = { at = 0, is = 0 }", "missing field `width`")]
#[case::three_bytes("load = { at = 0, width = 3, is = 0 }", "width = 3: must be 1, 2, 4 or 8")]
#[case::three_bytes_stored("store = { at = 0, width = 3, value = 0 }", "width = 3: must be 1, 2, 4 or 8")]
#[case::nothing_to_see("load = { at = 0, width = 1 }", "load: either `is` or `is_not`")]
#[case::both_to_see("load = { at = 0, width = 1, is = 0, is_not = 1 }", "load: either `is` or `is_not`")]
#[case::no_place("load = { at = \"gpu0.bar9\", width = 1, is = 0 }", "\"gpu0.bar9\" is no place")]
#[case::another_device(
    "load = { at = \"gpu1.window\", width = 1, is = 0 }",
    "at has device \"gpu1\": there is only gpu0"
)]
#[case::another_device_seen("load = { at = 0, width = 1, is = \"gpu1.window\" }", "is has device \"gpu1\"")]
#[case::another_device_searched(
    "hidden = { address = 1, from = \"gpu1.bar0\", size = 8 }",
    "from has device \"gpu1\""
)]
#[case::another_device_named(
    "window = { device = \"gpu1\", start = 0, size = 0 }",
    "device has device \"gpu1\""
)]
#[case::another_base("decoder = { device = \"gpu0\", base = \"gpu1.window\" }", "base has device \"gpu1\"")]
#[case::an_empty_decoder("decoder = { device = \"gpu0\" }", "decoder: nothing says what must be seen")]
#[case::an_endless_search(
    "hidden = { address = 1, from = 0, size = \"1TiB\" }",
    "size = 1TiB: must be 1 byte to 16MiB"
)]
#[case::an_empty_search(
    "hidden = { address = 1, from = 0, size = 0 }",
    "size = 0x0: must be 1 byte to 16MiB"
)]
#[case::a_negative_number("store = { at = 0, width = 1, value = -1 }", "-1 is below 0")]
fn a_mistake_in_a_step_is_found_at_its_line(#[case] step: &str, #[case] message: &str) {
    let found = mistake(&with_step(step));
    let place: Vec<&str> = found.splitn(3, ':').collect();
    assert!(matches!(place[1], "4" | "5"), "the step is at line 5, its table at 4: {found}");
    assert!(found.contains(message), "{found}");
    assert!(!found.contains('\n'), "one line: {found}");
}

#[test]
fn what_is_said_of_bridges_and_windows_is_what_the_machine_is_asked_for() {
    let text = "proves = \"x\"\nrefused = \"y\"\n[machine]\narch = \"aarch64\"\nfixed_windows = false\n\
                [[bridge]]\nname = \"a\"\nbus = 12\n[[bridge]]\nname = \"b\"\n\
                [[window]]\nsize = \"1GiB\"\ntargets = [\"a\", \"b\"]\n\
                [[device]]\nname = \"x\"\n[[device]]\nname = \"y\"\nbridge = \"b\"\n";
    let machine = Loaded::parse("x", "x.toml", text, None).unwrap().machine;
    assert_eq!((machine.arch, machine.address_bits), (Arch::Aarch64, 48));
    let Topology { without_windows, bridges, windows, below } = machine.topology;
    let bridges: Vec<_> = bridges.into_iter().map(|bridge| (bridge.name, bridge.bus)).collect();
    assert_eq!((without_windows, bridges), (true, vec![("a".to_owned(), Some(12)), ("b".to_owned(), None)]));
    assert_eq!((windows.len(), windows[0].size, windows[0].targets.join(" ").as_str()), (1, 1 << 30, "a b"));
    assert_eq!(below, [("y".to_owned(), "b".to_owned())]);
}

#[test]
fn a_profile_beside_the_scenario_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), "[memory]\nsize = \"512MiB\"\n").unwrap();
    let text = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\nprofile = \"mine.toml\"\n";
    let loaded = Loaded::parse("x", "x.toml", text, Some(folder.path())).unwrap();
    assert_eq!(loaded.profiles[0].as_ref().unwrap().memory.size, Quantity(512 << 20));
}

#[test]
fn the_default_profile_by_name_is_no_profile_of_its_own() {
    let text = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\nprofile = \"t2-committed\"\n";
    assert_eq!(Loaded::parse("x", "x.toml", text, None).unwrap().profiles, [None]);
}
