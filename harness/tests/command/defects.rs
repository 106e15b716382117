//! The defects on record, put back one by one: each time its scenario fails, at the step that is about it.

use rstest::rstest;

use crate::broken::broken_text;
use crate::bundled;
use crate::run;
use crate::scenario_file;

#[rstest]
#[case(
    "06-the-decoder-has-the-base-of-the-window",
    "with.faults.base_write_dropped = true",
    &[1],
    "HDM Decoder Base Low reads 0x0 where 0x10000000 was expected"
)]
#[case(
    "10-who-polls-for-the-end-of-a-flush-sees-it",
    "with.kernel.status_2 = \"shadow\"",
    &[2],
    "2 bytes: 0x0, expected 0x1"
)]
#[case(
    "11-a-byte-written-to-the-upper-half-of-control-is-not-lost",
    "",
    &[2],
    "2 bytes: 0x7, expected 0x807"
)]
#[case(
    "12-the-memory-can-be-mapped",
    "with.kernel.memory_without_mmap = true",
    &[1, 2, 3, 4],
    "flags 0xb, argsz 48, capabilities 2, expected flags 0x4 set"
)]
#[case(
    "13-a-byte-written-to-control-leaves-its-upper-half",
    "",
    &[4],
    "2 bytes: 0x6, expected 0x806"
)]
#[case(
    "13-a-dword-that-polls-has-status-2-in-it",
    "",
    &[1, 3],
    "4 bytes: 0x0, expected 0x80000000"
)]
#[case(
    "14-an-odd-offset-reads-and-writes-the-shadow",
    "",
    &[2, 4],
    "1 bytes: 0x0, expected 0x8"
)]
#[case(
    "15-memory-is-on-after-a-guests-cxl-reset",
    "with.kernel = { guest_cxl_reset = true, status_2 = \"merged\", enable_lost_in_reset = true }",
    &[4],
    "refused with EIO, expected 0x1234"
)]
#[case(
    "16-a-decoder-without-a-size-does-not-outlive-a-reset",
    "",
    &[7, 8],
    "4 bytes: 0x0, expected 0x10000000"
)]
#[case(
    "17-a-write-over-two-registers-reaches-both",
    "",
    &[4],
    "2 bytes: 0x8000, expected 0x0"
)]
#[case(
    "17-after-a-reset-nothing-is-stale",
    "",
    &[4, 5, 9, 10],
    "4 bytes: 0x0, expected 0x700"
)]
#[case(
    "18-what-a-client-mapped-goes-with-it",
    "with.faults.maps_outlive_client = true",
    &[4, 5, 6, 7],
    "refused with EEXIST, expected it done"
)]
#[case(
    "20-a-server-that-is-gone-is-noticed",
    "",
    &[2, 3, 4],
    "expected the device lost: \"the server hung up\""
)]
#[case(
    "23-what-firmware-locked-stays-as-firmware-left-it",
    "with.firmware.config_lock = \"after-mem-enable\"",
    &[3],
    "2 bytes: 0x2, expected 0x7"
)]
#[case(
    "24-after-a-reset-the-device-can-be-used-again",
    "with.faults.cannot_be_reset = true",
    &[1, 5, 6, 7],
    "expected flags 0x1 set"
)]
fn a_defect_that_is_put_back_fails_its_scenario_at_its_step(
    #[case] scenario: &str,
    #[case] put_back: &str,
    #[case] steps: &[usize],
    #[case] seen: &str,
) {
    let scenario = format!("regression/{scenario}");
    assert_eq!(run(&bundled().join(&scenario).with_extension("toml"), &[]).code, 0);
    let (_folder, path) = scenario_file(&broken_text(&scenario, put_back));
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.failed_steps().as_slice()), (1, steps), "{}", ran.reason());
    assert!(ran.reason().contains(seen), "{}", ran.reason());
    ran.assert_clean();
}
