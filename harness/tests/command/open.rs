//! Scenarios without a machine: each kind of expectation, turned round, fails and says what was seen.

use rstest::rstest;

use crate::run;
use crate::scenario_file;

fn text(step: &str) -> String {
    format!("proves = \"x\"\nattach = false\n[[device]]\nname = \"a\"\n[[step]]\n{step}\n")
}

#[rstest]
#[case("device_info = { device = \"a\", without = [\"cxl\"] }", "expected flags 0x200 clear")]
#[case(
    "device_info = { device = \"a\", regions = 9 }",
    "11 regions, argsz 56, capabilities 6, expected 9 regions"
)]
#[case("device_info = { device = \"a\", argsz = 72 }", "expected argsz 72")]
#[case("device_info = { device = \"a\", capability = 5 }", "expected capability 5")]
#[case("device_info = { device = \"a\", capability = 6, version = 2 }", "expected its version 2")]
#[case(
    "device_info = { device = \"a\", capability = 6, bytes = \"02\" }",
    "expected capability 6 with 02 and not 02 00"
)]
#[case("device_info = { device = \"a\", no_capability = 6 }", "expected no capability 6")]
#[case("region_info = { device = \"a\", region = \"memory\", index = 10 }", "expected region 10")]
#[case("region_info = { device = \"a\", region = \"memory\", size = 1 }", "expected 0x1 bytes")]
#[case(
    "region_info = { device = \"a\", region = \"registers\", flags = [\"mmap\"] }",
    "expected flags 0x4 set"
)]
#[case("region_info = { device = \"a\", region = 9, subtype = 2 }", "expected subtype Some(2)")]
#[case("region_info = { device = \"a\", region = 7, type = 1 }", "expected type Some(1)")]
#[case("region_info = { device = \"a\", region = \"bar2\", no_areas = true }", "expected no list of areas")]
#[case(
    "region_info = { device = \"a\", region = \"bar2\", areas = [] }",
    "areas [(0, 20000), (30000, d0000)], expected areas []"
)]
#[case(
    "region_info = { device = \"a\", region = \"bar2\", hole = { offset = 0x2_0000, size = 4 } }",
    "expected areas that are all but (20000, 4)"
)]
#[case(
    "region_info = { device = \"a\", region = 7, errno = \"EINVAL\" }",
    "region 7 is described, expected EINVAL"
)]
#[case("region_info = { device = \"a\", region = 8, errno = \"EIO\" }", "refused with EINVAL, expected EIO")]
#[case("region_info = { device = \"a\", region = 99, size = 1 }", "region 99: refused with EINVAL")]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, width = 2, is = 1 }",
    "2 bytes: 0x1e98, expected 0x1"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, width = 2, is_not = 0x1e98 }",
    "0x1e98, expected anything but 0x1e98"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, width = 2, mask = 0xf, is = 0 }",
    "2 bytes: 0x8, expected 0x0"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, count = 3, bytes = \"98 1e 00\" }",
    "98 1e f2, expected 98 1e 00"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, count = 3, errno = \"EIO\" }",
    "98 1e f2, expected EIO"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 0, count = 3, count_is = 2 }",
    "98 1e f2, expected 2 bytes done"
)]
#[case(
    "region_read = { device = \"a\", region = 7, offset = 4095, count = 3, count_is = 2 }",
    "1 bytes done, expected 2 bytes done"
)]
#[case(
    "region_read = { device = \"a\", region = \"registers\", offset = 1, width = 4, is = 0 }",
    "refused with EINVAL, expected 0x0"
)]
#[case(
    "region_read = { device = \"a\", region = \"registers\", offset = 1, width = 4, is_not = 0 }",
    "refused with EINVAL, expected anything but 0x0"
)]
#[case(
    "region_read = { device = \"a\", region = \"registers\", offset = 1, width = 4, lost = \"hung up\" }",
    "refused with EINVAL, expected the device lost: \"hung up\""
)]
#[case(
    "region_write = { device = \"a\", region = 9, offset = 0, bytes = \"00\", errno = \"EIO\" }",
    "done, expected EIO"
)]
#[case(
    "region_write = { device = \"a\", region = 10, offset = 0, width = 2, value = 0 }",
    "region 10 at 0x0 written 00 00: refused with EINVAL, expected it done"
)]
#[case(
    "sweep = { device = \"a\", region = \"registers\", value = 0, reads = [] }",
    "0x0 reads 0x2110001 and not 0x0"
)]
#[case(
    "map = { device = \"a\", region = 9, offset = 0, size = 4096, refused = true }",
    "can be mapped, expected no mapping"
)]
#[case(
    "map = { device = \"a\", region = 9, offset = 0, size = \"512MiB\", width = 4, is = 0 }",
    "cannot be mapped: it ends outside the region, expected a mapping"
)]
#[case(
    "map = { device = \"a\", region = 2, offset = 0x2_0000, size = 4096, width = 4, is = 0 }",
    "cannot be mapped: it is in none of the areas, expected a mapping"
)]
#[case(
    "map = { device = \"a\", region = 9, offset = 0, size = 4096, width = 4, is = 1 }",
    "holds Some(0), expected Some(1)"
)]
#[case(
    "dma_map = { device = \"a\", address = 0, size = 4096, errno = \"EEXIST\" }",
    "mapped: done, expected EEXIST"
)]
#[case(
    "dma_unmap = { device = \"a\", address = 0, size = 4096 }",
    "unmapped: refused with ENOENT, expected it done"
)]
#[case("reset = { device = \"a\", errno = \"EINVAL\" }", "a: reset: done, expected EINVAL")]
fn an_expectation_that_is_wrong_fails_and_says_what_was_seen(#[case] step: &str, #[case] reason: &str) {
    let (_folder, path) = scenario_file(&text(step));
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.failed_steps()), (1, vec![1]), "{:?}", ran.output);
    assert!(ran.reason().contains(reason), "{}", ran.reason());
    ran.assert_clean();
}

#[test]
fn a_device_without_the_region_is_told_so() {
    let step = "region_read = { device = \"a\", region = \"memory\", offset = 0, width = 4, is = 0 }";
    let (_folder, path) = scenario_file(&text(step));
    let ran = run(&path, &["--abi", "plain"]);
    assert_eq!(ran.scenario()["outcome"], "skipped");
    let plain = text(step).replace("name = \"a\"\n", "name = \"a\"\nwith.firmware.committed = false\n");
    let (_folder, path) = scenario_file(&plain);
    let ran = run(&path, &[]);
    assert_eq!((ran.code, ran.reason()), (1, "a: no region says that it is the memory"));
}
