//! `cxl-sim acpi`: tables of a scenario's machine, as files.

use std::path::Path;
use std::process::Output;

use rstest::rstest;

use crate::complaint;
use crate::cxl_sim;
use crate::run;
use crate::scenario_file;

const TWO: &str = "window/two-devices-get-two-windows";

fn acpi(scenario: &str, out: &Path, more: &[&str]) -> Output {
    let mut command = cxl_sim(Path::new("/tmp"));
    command.args(["acpi", scenario, "--out"]).arg(out).args(more).output().unwrap()
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Registers of the first host bridge, and windows of both, typed from the two layouts.
#[rstest]
#[case::q35("x86_64", 0xfe10_0000, [0x1_1000_0000, 0x1_2000_0000], false)]
#[case::virt("aarch64", 0x40_0400_0000, [0x100_0000_0000, 0x100_1000_0000], true)]
fn the_cedt_says_where_bridges_and_windows_are(
    #[case] arch: &str,
    #[case] registers: u64,
    #[case] windows: [u64; 2],
    #[case] iort: bool,
) {
    let out = tempfile::tempdir().unwrap();
    let done = acpi(TWO, out.path(), &["--arch", arch]);
    assert_eq!(done.status.code(), Some(0), "{}", complaint(&done));
    let cedt = std::fs::read(out.path().join("CEDT.dat")).unwrap();
    assert_eq!((&cedt[..4], cedt.len()), (&b"CEDT"[..], 36 + 2 * 32 + 2 * 40));
    // The first bridge: its number is its bus, version 1, 64 KiB of registers.
    let bridge = [(40, 4), (44, 4), (52, 8), (60, 8)].map(|(at, length)| number(&cedt, at, length));
    assert_eq!(bridge, [12, 1, registers, 0x1_0000]);
    for (index, base) in windows.into_iter().enumerate() {
        let at = 36 + 64 + 40 * index;
        let window =
            [(8, 8), (16, 8), (32, 2), (36, 4)].map(|(field, length)| number(&cedt, at + field, length));
        // 256 MiB, HDM-D, volatile and fixed, to the bridge of the device.
        assert_eq!(window, [base, 0x1000_0000, 0x0015, 12 + 8 * index as u64]);
    }
    assert_eq!(out.path().join("IORT.dat").exists(), iort);
}

#[test]
fn every_table_is_named_with_its_length_and_its_address() {
    let out = tempfile::tempdir().unwrap();
    let done = acpi(TWO, &out.path().join("new/folder"), &[]);
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(said.lines().count(), std::fs::read_dir(out.path().join("new/folder")).unwrap().count());
    assert!(said.lines().next().unwrap().ends_with("/RSDP.dat: 36 bytes for 0xe0000"), "{said}");
}

#[rstest]
#[case::told_to_keep("", 1)]
#[case::not_told("machine.preserve_config = false\n", 0)]
fn the_guest_is_told_to_keep_what_is_placed_unless_the_machine_says_otherwise(
    #[case] key: &str,
    #[case] expected: usize,
) {
    let text = format!(
        "proves = \"x\"\n{key}[[device]]\nname = \"gpu0\"\n\
         [[step]]\nwindow = {{ device = \"gpu0\", start = 0, size = 0 }}\n"
    );
    let (_folder, path) = scenario_file(&text);
    let out = tempfile::tempdir().unwrap();
    let done = acpi(path.to_str().unwrap(), out.path(), &[]);
    assert_eq!(done.status.code(), Some(0), "{}", complaint(&done));
    let dsdt = std::fs::read(out.path().join("DSDT.dat")).unwrap();
    // A `_DSM` that knows function 5 answers function 0 with one byte: 0x21.
    let answers = dsdt
        .windows(4)
        .filter(|bytes| *bytes == [0x11, 0x04, 0x01, 0x21] || *bytes == [0x11, 0x03, 0x01, 0x21]);
    assert_eq!(usize::from(answers.count() > 0), expected);
}

#[rstest]
#[case::an_unknown_architecture(&[TWO, "--out", "x", "--arch", "riscv"], 2, "must be one of x86_64, aarch64")]
#[case::no_folder(&[TWO], 2, "--out <DIR>")]
#[case::no_machine(&["selftest-v2/the-registers-cannot-be-mapped", "--out", "x"], 2, "has no machine to plan")]
#[case::a_refused_machine(&["refused/not-committed-by-firmware", "--out", "x"], 1, "COMMITTED is clear")]
#[case::a_file_for_a_folder(&[TWO, "--out", "/dev/null"], 2, "/dev/null")]
fn what_cannot_be_told_says_why(#[case] arguments: &[&str], #[case] code: i32, #[case] message: &str) {
    let ended = cxl_sim(Path::new("/tmp")).arg("acpi").args(arguments).output().unwrap();
    assert_eq!(ended.status.code(), Some(code));
    assert!(complaint(&ended).contains(message), "{}", complaint(&ended));
}

/// One device, and these steps, of which the last fails with this reason.
fn fails(steps: &[&str], reason: &str) {
    let steps: Vec<_> = steps.iter().map(|step| format!("[[step]]\n{step}\n")).collect();
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n{}", steps.concat());
    let (_folder, path) = scenario_file(&text);
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.failed_steps()), (1, vec![steps.len()]));
    assert!(ran.reason().contains(reason), "{}", ran.reason());
}

/// The guest spoils its own memory first. The root pointer is at `0xe_0000` and the DSDT, the first of the others,
/// at `0x3f0_0000`.
#[rstest]
#[case::no_root_pointer(0xe_0000, "RSDP: found nowhere from 0xe0000 to 0x100000")]
#[case::root_pointer(0xe_000a, "RSDP: checksum of the first 20 bytes is ")]
#[case::extended_root_pointer(0xe_0021, "RSDP: checksum is ")]
#[case::signature(0x3f0_0000, "DSDT: signature at 0x3f00000")]
#[case::length(0x3f0_0007, "DSDT: length is 0xee000")]
#[case::checksum(0x3f0_0010, "DSDT: checksum is ")]
fn a_table_that_is_spoilt_in_guest_memory_is_not_believed(#[case] at: u64, #[case] reason: &str) {
    let store = format!("store = {{ at = {at:#x}, width = 1, value = 0xee }}");
    fails(&[&store, "acpi = { table = \"DSDT\", revision = 2 }"], reason);
}

/// What a scenario says of a table can be a mistake of the file.
#[rstest]
#[case("table = \"BERT\", absent = true", "table = \"BERT\": must be one of CEDT, IORT, APIC, MCFG, ")]
#[case("table = \"CEDT\"", "either `absent` or what the table says")]
#[case("table = \"CEDT\", absent = true, chbs = []", "either `absent` or what the table says")]
#[case("table = \"CEDT\", chbss = []", "CEDT.chbss: must be one of chbs, cfmws, revision")]
#[case("table = \"CEDT\", chbs = [{ uids = 1 }]", "CEDT.chbs[0].uids: must be one of uid, cxl_version, base")]
#[case("table = \"CEDT\", chbs = 1", "CEDT.chbs: must be a list")]
#[case("table = \"CEDT\", chbs = [1]", "CEDT.chbs[0]: must be fields in braces")]
#[case("table = \"CEDT\", revision = []", "CEDT.revision: must be a number or a text")]
#[case("table = \"CEDT\", cfmws = [{ targets = [[]] }]", "CEDT.cfmws[0].targets: must be a number or a text")]
#[case(
    "table = \"CEDT\", cfmws = [{ restrictions = [\"hdm\"] }]",
    "CEDT.cfmws[0].restrictions: must be some of dev"
)]
#[case("table = \"CEDT\", cfmws = [{ base = \"gpu1.window\" }]", "device \"gpu1\": there is only gpu0")]
#[case("table = \"DSDT\", acpi0016 = [{ _CRS = 1 }]", "DSDT.acpi0016[0]._CRS: must be one of _UID, _BBN")]
fn what_no_table_could_say_is_a_mistake_of_the_file(#[case] step: &str, #[case] message: &str) {
    let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n[[step]]\nacpi = {{ {step} }}\n");
    let (_folder, path) = scenario_file(&text);
    let ran = cxl_sim(Path::new("/tmp")).arg("run").arg(&path).output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(complaint(&ran).contains(message), "{}", complaint(&ran));
}
