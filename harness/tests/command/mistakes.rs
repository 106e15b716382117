//! Mistakes in scenarios without a machine: each is told with its line, and nothing runs.

use rstest::rstest;

use crate::complaint;
use crate::run;
use crate::scenario_file;

const KEYS: &str = "region = 7, offset = 0";

#[rstest]
#[case::another_errno(
    "region_info = { device = \"a\", region = 7, errno = \"EINVALID\" }",
    "\"EINVALID\" is no error number: write EPERM, ENOENT, EIO, E2BIG, EBADF, EAGAIN, ENOMEM, EACCES, EFAULT, EBUSY, \
     EEXIST, ENODEV, EINVAL, ENOTTY, ENOSPC, ESPIPE, ERANGE, ENOSYS, EPROTO, EOVERFLOW, EBADFD, EMSGSIZE, \
     EOPNOTSUPP, in \
     `region_info = { device = \"a\", region = 7, errno = \"EINVALID\" }`"
)]
#[case::another_region(
    "reset = { device = \"a\", region = \"window\" }",
    "unknown field `region`, expected `device` or `errno`, in `reset = { device = \"a\", region = \"window\" }`"
)]
#[case::an_unknown_region(
    "region_info = { device = \"a\", region = \"window\", size = 1 }",
    "\"window\" is no region: write a number, or memory, registers, config or bar0 to bar5, in \
     `region_info = { device = \"a\", region = \"window\", size = 1 }`"
)]
#[case::a_negative_region(
    "region_info = { device = \"a\", region = -1, size = 1 }",
    "-1 is no region's number, in `region_info = { device = \"a\", region = -1, size = 1 }`"
)]
#[case::an_unknown_flag(
    "device_info = { device = \"a\", flags = [\"cdx\"] }",
    "unknown variant `cdx`, expected one of `reset`, `pci`, `caps`, `cxl`, in \
     `device_info = { device = \"a\", flags = [\"cdx\"] }`"
)]
#[case::half_a_byte(
    "device_info = { device = \"a\", capability = 6, bytes = \"012\" }",
    "\"012\" is no row of bytes: write two hex digits for each, in \
     `device_info = { device = \"a\", capability = 6, bytes = \"012\" }`"
)]
#[case::three_bytes(
    "region_read = { device = \"a\", KEYS, width = 3, is = 0 }",
    "width = 3: must be 1, 2, 4 or 8"
)]
#[case::nothing_read(
    "region_read = { device = \"a\", KEYS, count = 0, count_is = 0 }",
    "count = 0: must be 1 to 4096"
)]
#[case::width_and_count(
    "region_read = { device = \"a\", KEYS, width = 4, count = 4, is = 0 }",
    "region_read: either `width` or `count` says how many bytes"
)]
#[case::nothing_to_see(
    "region_read = { device = \"a\", KEYS, width = 4 }",
    "region_read: one of `is`, `is_not`, `bytes`, `errno`, `count_is` and `lost` says what must be seen, and only one"
)]
#[case::two_things_to_see(
    "region_read = { device = \"a\", KEYS, width = 4, is = 0, errno = \"EIO\" }",
    "region_read: one of `is`, `is_not`, `bytes`, `errno`, `count_is` and `lost` says what must be seen, and only one"
)]
#[case::a_number_without_a_width(
    "region_read = { device = \"a\", KEYS, count = 4, is = 0 }",
    "region_read: what is a number has a `width` and no `count`"
)]
#[case::a_mask_for_nothing(
    "region_read = { device = \"a\", KEYS, width = 4, mask = 1, errno = \"EIO\" }",
    "region_read: a `mask` goes with `is` or `is_not`"
)]
#[case::other_bytes(
    "region_read = { device = \"a\", KEYS, count = 4, bytes = \"00 11\" }",
    "bytes: are 2, and 4 are read"
)]
#[case::nothing_written(
    "region_write = { device = \"a\", KEYS, width = 4 }",
    "region_write: either `width` and `value`, or `bytes`, say what is written"
)]
#[case::two_endings(
    "region_write = { device = \"a\", KEYS, bytes = \"00\", errno = \"EIO\", count_is = 0 }",
    "region_write: only one of `errno`, `count_is` and `lost` can come of it"
)]
#[case::a_device_info_of_nothing(
    "device_info = { device = \"a\" }",
    "device_info: nothing says what must be seen"
)]
#[case::bytes_of_nothing(
    "device_info = { device = \"a\", bytes = \"00\" }",
    "device_info: `version` and `bytes` are a capability's: `capability` says which"
)]
#[case::a_region_info_of_nothing(
    "region_info = { device = \"a\", region = 7 }",
    "region_info: nothing says what must be seen"
)]
#[case::refused_and_described(
    "region_info = { device = \"a\", region = 7, size = 1, errno = \"EINVAL\" }",
    "region_info: what is refused with `errno` tells nothing else"
)]
#[case::areas_and_none(
    "region_info = { device = \"a\", region = 2, areas = [], no_areas = true }",
    "region_info: `no_areas` goes with neither `areas` nor `hole`"
)]
#[case::region_bytes_of_nothing(
    "region_info = { device = \"a\", region = 2, bytes = \"00\", size = 1 }",
    "region_info: `bytes` are a capability's: `capability` says which"
)]
#[case::more_than_a_dword(
    "sweep = { device = \"a\", region = 10, value = 0x1_0000_0000, reads = [] }",
    "value = 0x100000000: must be a dword"
)]
#[case::no_dword(
    "sweep = { device = \"a\", region = 10, value = 0, reads = [{ offset = 2, is = 0 }] }",
    "offset = 0x2: must be a multiple of 4"
)]
#[case::refused_and_stored(
    "map = { device = \"a\", region = 9, offset = 0, size = 4096, refused = true, width = 4, store = 1 }",
    "map: either `refused`, or `width` with one of `is` and `store`"
)]
#[case::mapped_and_not_looked_at(
    "map = { device = \"a\", region = 9, offset = 0, size = 4096 }",
    "map: either `refused`, or `width` with one of `is` and `store`"
)]
#[case::half_a_page(
    "map = { device = \"a\", region = 9, offset = 2048, size = 4096, refused = true }",
    "offset = 2KiB: must be a multiple of 4KiB"
)]
#[case::no_page(
    "map = { device = \"a\", region = 9, offset = 0, size = 0, refused = true }",
    "size = 0x0: must be a multiple of 4KiB"
)]
#[case::too_much_memory(
    "dma_map = { device = \"a\", address = 0, size = \"32MiB\" }",
    "size = 32MiB: must be a multiple of 4KiB up to 16MiB"
)]
#[case::a_step_of_a_machine(
    "load = { at = \"a.window\", width = 4, is = 0 }",
    "load: needs a machine, and the scenario has `attach = false`"
)]
#[case::another_device("reset = { device = \"b\" }", "device has device \"b\": there is only a")]
fn a_mistake_is_told_with_its_line_and_nothing_runs(#[case] step: &str, #[case] message: &str) {
    let step = step.replace("KEYS", KEYS);
    let text = format!("proves = \"x\"\nattach = false\n[[device]]\nname = \"a\"\n[[step]]\n{step}\n");
    assert_eq!(told(&text), format!(":6: {message}"));
}

#[rstest]
#[case::a_call_in_a_machine(
    "[[device]]\nname = \"a\"\n[[step]]\nreset = { device = \"a\" }\n",
    ":5: reset: is a call on a device, and the scenario has no `attach = false`"
)]
#[case::refused_without_attaching(
    "attach = false\nrefused = \"x\"\n[[device]]\nname = \"a\"\n",
    ":3: `refused` is about attaching, and the scenario has `attach = false`"
)]
#[case::a_machine_without_attaching(
    "attach = false\n[machine]\nram = \"64MiB\"\n[[device]]\nname = \"a\"\n[[step]]\nreset = { device = \"a\" }\n",
    ":3: `machine` is about attaching, and the scenario has `attach = false`"
)]
#[case::a_layout_without_attaching(
    "attach = false\n[machine]\narch = \"aarch64\"\n[[device]]\nname = \"a\"\n[[step]]\nreset = { device = \"a\" }\n",
    ":3: `machine` is about attaching, and the scenario has `attach = false`"
)]
#[case::a_bridge_without_attaching(
    "attach = false\n[[bridge]]\nname = \"x\"\n[[device]]\nname = \"a\"\n[[step]]\nreset = { device = \"a\" }\n",
    ":3: `bridge` is about attaching, and the scenario has `attach = false`"
)]
fn what_needs_a_machine_and_what_needs_none_do_not_mix(#[case] text: &str, #[case] message: &str) {
    assert_eq!(told(&format!("proves = \"x\"\n{text}")), message);
}

/// What the command says of a scenario's text, behind the name of the file.
fn told(text: &str) -> String {
    let (_folder, path) = scenario_file(text);
    let ran = run(&path, &[]);
    assert_eq!(ran.code, 2, "{:?}", ran.output);
    let prefix = format!("cxl-sim: {}", path.display());
    let said = complaint(&ran.output);
    said.trim_end().strip_prefix(&prefix).unwrap_or_else(|| panic!("{said}")).to_owned()
}
