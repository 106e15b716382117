//! The rows of the list of defects: what puts each back, and who finds it, or why nobody does.

use sim_device::kernel::drive::mended::Law;

use super::Driver;
use super::Row;

/// All mistakes of the kernels that have a key are mended, and a guest's CXL reset is one.
const MENDED: &str = "
kernel.guest_cxl_reset = true
kernel.status_2 = \"merged\"
kernel.fixed_base_lost_in_reset = true
kernel.fixed_dvsec_widths = true
kernel.fixed_config_lock = true
kernel.fixed_partial_status_write = true
kernel.fixed_stale_shadow = true
kernel.fixed_locked_commit = true
";

/// What there is to find.
pub const ROWS: &[Row] = &[
    Row {
        number: 1,
        always: &[
            "firmware.committed = false\nkernel.show_uncommitted = true\ndvsec.mem_enable_at_reset = true",
        ],
        knob: "machine.defects = [\"uncommitted-taken\"]",
        driver: Driver::Lives(Some("host firmware did not commit HDM decoder 0")),
        law: " has 0x",
    },
    Row {
        number: 3,
        always: &[],
        knob: "machine.defects = [\"short-second-mmio\"]",
        driver: Driver::Plans,
        law: "no place for",
    },
    Row {
        number: 4,
        always: &["machine.dma = \"skip\""],
        knob: "machine.defects = [\"unmaps-what-it-skipped\"]",
        driver: Driver::Lives(None),
        law: "refused with ENOENT",
    },
    Row {
        number: 5,
        always: &["machine = { dma = \"map\", ats = true }"],
        knob: "machine.dma = \"skip\"",
        driver: Driver::Plans,
        law: "cannot reach device memory",
    },
    Row {
        number: 6,
        always: &[],
        knob: "faults.base_write_dropped = true",
        driver: Driver::Lives(None),
        law: "HDM Decoder Base Low reads",
    },
    Row {
        number: 7,
        always: &[],
        knob: "machine.defects = [\"ends-over-a-refused-device\"]",
        driver: Driver::Lives(None),
        law: "stopped",
    },
    Row {
        number: 8,
        always: &[],
        knob: "machine.defects = [\"second-endpoint-taken\"]",
        driver: Driver::Plans,
        law: "gpu1 is in its window",
    },
    Row {
        number: 9,
        always: &[],
        knob: "machine.defects = [\"first-window-for-all\"]",
        driver: Driver::Plans,
        law: "gpu1 is in its window",
    },
    Row {
        number: 10,
        always: &[MENDED],
        knob: "kernel.status_2 = \"shadow\"",
        driver: Driver::Kernel("v2", &[]),
        law: "status 2 is the hardware's",
    },
    Row {
        number: 11,
        always: &[MENDED],
        knob: "kernel.fixed_dvsec_widths = false",
        driver: Driver::Kernel("v2", &[Law::Bytes, Law::Dwords]),
        law: "is not lost",
    },
    Row {
        number: 12,
        always: &[MENDED],
        knob: "kernel.memory_without_mmap = true",
        driver: Driver::Kernel("v2", &[]),
        law: "the memory can be mapped",
    },
    Row {
        number: 13,
        always: &[MENDED],
        knob: "kernel.fixed_dvsec_widths = false",
        driver: Driver::Kernel("v2", &[]),
        law: "the dword at",
    },
    Row {
        number: 14,
        always: &[MENDED],
        knob: "kernel.fixed_dvsec_widths = false",
        driver: Driver::Kernel("v2", &[Law::Dwords]),
        law: "the bytes of the register",
    },
    Row {
        number: 15,
        always: &[MENDED],
        knob: "kernel.enable_lost_in_reset = true",
        driver: Driver::Kernel("v2", &[]),
        law: "after a CXL reset",
    },
    Row {
        number: 16,
        always: &[MENDED, "firmware.zero_size = true"],
        knob: "kernel.zero_size_counts = true",
        driver: Driver::Kernel("v2", &[]),
        law: "the decoder covers the memory",
    },
    Row {
        number: 17,
        always: &[MENDED],
        knob: "kernel.fixed_dvsec_widths = false",
        driver: Driver::Kernel("v3", &[]),
        law: "reaches the second register",
    },
    Row {
        number: 17,
        always: &[MENDED],
        knob: "kernel.fixed_stale_shadow = false",
        driver: Driver::Kernel("v3", &[]),
        law: "outlives a reset",
    },
    Row {
        number: 18,
        always: &[],
        knob: "faults.maps_outlive_client = true",
        driver: Driver::Maps,
        law: "nothing is there",
    },
    Row {
        number: 19,
        always: &[],
        knob: "faults.maps_may_overlap = true",
        driver: Driver::Maps,
        law: "mapped over what is there",
    },
    Row {
        number: 20,
        always: &[],
        knob: "faults.disconnect_at_message = 3",
        driver: Driver::Maps,
        law: "the server is gone",
    },
    Row {
        number: 21,
        always: &["faults.map_efault_from = \"4GiB\"\nmachine.dma = \"tolerate\""],
        knob: "machine.dma = \"map\"",
        driver: Driver::Lives(None),
        law: "refused with EFAULT",
    },
    Row {
        number: 22,
        always: &[],
        knob: "faults.unmaps_forget_nothing = true",
        driver: Driver::Maps,
        law: "nothing is there",
    },
    Row {
        number: 23,
        always: &[MENDED, "firmware.config_lock = \"after-mem-enable\""],
        knob: "firmware.config_lock = \"before-mem-enable\"",
        driver: Driver::Kernel("v2", &[]),
        law: "the memory can be read",
    },
    Row {
        number: 24,
        always: &[MENDED],
        knob: "faults.cannot_be_reset = true",
        driver: Driver::Kernel("v2", &[]),
        law: "the device can be reset",
    },
    Row {
        number: 24,
        always: &[],
        knob: "machine.after_reset = \"nothing\"",
        driver: Driver::Lives(None),
        law: "the decoder's base has",
    },
];

/// What nobody finds: the number of the row, what of it, and why.
pub const UNSEEN: &[(u8, &str, &str)] = &[
    (2, "memory freed twice", "it has one owner here, and no key can give it another"),
    (20, "a client that does not notice", "the key ends the server; no key makes this client overlook it"),
    (
        13,
        "a byte that clears the other one",
        "it takes two writes in a row, and random bytes rarely are; its key is found",
    ),
    (
        16,
        "a size that outlives a reset",
        "it takes five writes in a row, and random bytes rarely are; its key is row 17's",
    ),
    (22, "a kernel's buffer freed twice", "there is no such kernel here, so no key can make it"),
];
