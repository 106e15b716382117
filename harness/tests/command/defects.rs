//! The defects on record, put back one by one: each time its scenario fails, at the step that is about it.
//!
//! A scenario below `scenarios/regression` begins with the number of its row in the list of defects. A defect of the
//! device or of the kernel is a key of the profile, one of a VMM a key of the machine.
//!
//! | rows      | made by                 | put back by                                                  |
//! |-----------|-------------------------|--------------------------------------------------------------|
//! | 1, 6 to 9 | a VMM                   | `machine.defects`                                            |
//! | 2         | a VMM                   | nothing, see below                                           |
//! | 3, 4      | a VMM                   | `machine.defects`; by how much 3 was wrong is not on record  |
//! | 5, 21     | a VMM                   | `machine.dma`, for 21 with a device that refuses: `faults`   |
//! | 10 to 17  | a kernel                | `kernel`                                                     |
//! | 18 to 20  | a server, or its client | `faults`                                                     |
//! | 22        | a kernel                | `faults`, in part, see below                                 |
//! | 23        | firmware                | `firmware`                                                   |
//! | 24        | a device, or a VMM      | `faults`, `machine.after_reset`                              |
//!
//! What software cannot have on purpose:
//!
//! - Row 2, memory that a VMM frees twice: here it has one owner, and no key could give it another. Its scenario sees
//!   that what was freed is told again alike, however often it is asked for.
//! - Of row 22, a buffer of the kernel that is freed twice, or counted below nothing: there is no such kernel here. Its
//!   scenario sees what a stale buffer is to a device, and that taking it back twice takes back nothing more.

use std::collections::BTreeSet;

use rstest::rstest;

use crate::broken::broken_text;
use crate::bundled;
use crate::run;
use crate::scenario_file;

#[rstest]
#[case(
    "01-a-device-that-firmware-did-not-commit-is-refused",
    "machine.defects = [\"uncommitted-taken\"]",
    &[1],
    "attached, expected to be refused because of \"HOST_FIRMWARE_COMMITTED is clear\""
)]
#[case(
    "03-a-large-bar-and-two-large-windows-have-places-of-their-own",
    "machine.defects = [\"short-second-mmio\"]",
    &[1],
    "gpu0 bar2: no place for 0x4000000000 bytes below 0x6000000000"
)]
#[case(
    "04-what-was-skipped-is-not-unmapped",
    "machine.defects = [\"unmaps-what-it-skipped\"]",
    &[3, 7],
    "DMA_UNMAP of [0x100100000, 0x100120000): refused with ENOENT"
)]
#[case(
    "05-where-ats-is-on-device-memory-can-be-reached",
    "dma = \"map\" => dma = \"skip\"",
    &[2, 3, 4, 5, 6, 7, 8],
    "ends with status 0x1000, unmapped, expected done"
)]
#[case(
    "06-the-base-is-of-the-window-that-leads-to-the-device",
    "machine.defects = [\"first-window-for-all\"]",
    &[1, 2, 3, 5],
    "gpu0: window of 0x10000000 bytes at 0x110000000, expected 0x10000000 bytes at 0x120000000"
)]
#[case(
    "06-the-decoder-has-the-base-of-the-window",
    "with.faults.base_write_dropped = true",
    &[1],
    "HDM Decoder Base Low reads 0x0 where 0x10000000 was expected"
)]
#[case(
    "07-a-device-that-cannot-come-does-not-end-the-machine",
    "machine.defects = [\"ends-over-a-refused-device\"]",
    &[2, 4, 5, 8, 9, 10],
    "guest: stopped earlier"
)]
#[case(
    "08-a-second-endpoint-below-one-bridge-is-refused",
    "machine.defects = [\"second-endpoint-taken\"]",
    &[1],
    "gpu1 window: [0x110000000, 0x120000000) overlaps [0x110000000, 0x120000000)"
)]
#[case(
    "09-every-device-has-a-window-of-its-own",
    "machine.defects = [\"first-window-for-all\"]",
    &[1],
    "gpu1 window: [0x110000000, 0x120000000) overlaps [0x110000000, 0x120000000)"
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
    "16-a-decoder-committed-over-nothing-is-no-cxl-device",
    "with = { firmware.zero_size = true, kernel.zero_size_counts = true }",
    &[1],
    "HDM decoder 0 covers 0x0 bytes and the memory region has 0x10000000"
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
    "19-a-map-over-another-is-refused-and-changes-nothing",
    "with.faults.maps_may_overlap = true",
    &[2, 3, 5, 6],
    "0x10000 bytes at 0x18000 mapped: done, expected EEXIST"
)]
#[case(
    "20-a-server-that-is-gone-is-noticed",
    "",
    &[2, 3, 4],
    "expected the device lost: \"the server hung up\""
)]
#[case(
    "21-a-machine-runs-where-device-memory-cannot-be-mapped",
    "with.faults.map_efault_from = \"4GiB\"\ndma = \"tolerate\" => dma = \"map\"",
    &[1],
    "DMA_MAP of [0x100000000, 0x100020000): refused with EFAULT"
)]
#[case(
    "22-what-does-not-decode-cannot-be-reached",
    "with.faults.unmaps_forget_nothing = true",
    &[6, 11, 15, 16],
    "ends with status 0x2, done, expected unmapped"
)]
#[case(
    "23-a-device-that-firmware-locked-is-programmed-as-any-other",
    "with.firmware.config_lock = \"before-mem-enable\"",
    &[1],
    "Mem_Enable is clear in the CXL device DVSEC, and CONFIG_LOCK keeps it so"
)]
#[case(
    "23-what-firmware-locked-stays-as-firmware-left-it",
    "with.firmware.config_lock = \"after-mem-enable\"",
    &[3],
    "2 bytes: 0x2, expected 0x7"
)]
#[case(
    "24-a-machine-that-is-reset-programs-the-decoder-again",
    "machine.after_reset = \"nothing\"",
    &[3, 4, 8],
    "written since: nothing, expected HDM Decoder Base Low = 0x10000000"
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

#[test]
fn every_row_has_a_scenario() {
    let files =
        std::fs::read_dir(bundled().join("regression")).unwrap().map(|file| file.unwrap().file_name());
    let row = |file: std::ffi::OsString| file.to_str().unwrap().split_once('-').unwrap().0.parse().unwrap();
    let rows: BTreeSet<u8> = files.map(row).collect();
    assert_eq!(rows, (1..=24).collect());
}
