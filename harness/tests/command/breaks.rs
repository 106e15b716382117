//! What breaks each expectation of each bundled scenario.

/// A bundled scenario, and lines that break its devices. They stand in place of what it says of them; a line
/// `abi = ` stands in place of the kernel that it is about, and a line `old => new` has `new` in place of `old`.
pub(crate) struct Broken {
    pub(crate) scenario: &'static str,
    pub(crate) breaks: &'static [&'static str],
}

/// After discovery and machine-done, the component registers read ones.
const REGISTERS_DIE: &str = "with.faults.registers_die_after = 13";

const DETACHED: &str = "with.faults.detached_memory = true";

const DETACHED_LARGE: &str = "with.memory.size = \"64GiB\"\nwith.faults.detached_memory = true";

/// The kernel finds no decoders, and shows a plain PCI device.
const PLAIN: &str = "with.faults.capability_array = \"garbage\"";

/// The component registers read ones from the start.
const DEAD: &str = "with.faults.registers_die_after = 0";

const NOT_MAPPED: &str = "with.kernel.memory_without_mmap = true";

/// The device hangs up as soon as it is asked anything.
const GONE: &str = "with.faults.disconnect_at_message = 2";

/// The device hangs up after it was attached, at the first step that reaches it.
const GONE_LATER: &str = "with.faults.disconnect_at_message = 53";

/// The same where nothing but RAM is mapped for it.
const GONE_AT_ONCE: &str = "with.faults.disconnect_at_message = 49";

/// The same where two devices are mapped into each other.
const GONE_LATER_OF_TWO: &str = "with.faults.disconnect_at_message = 56";

/// The same behind an SMMU, which maps less.
const GONE_LATER_BEHIND: &str = "with.faults.disconnect_at_message = 50";

/// The SMMU is not before the device.
const NO_SMMU_BEFORE: &str = "bus = \"gpu0 bridge\" => bus = \"pcie.0\"";

/// The device asks, and is not given anything.
const ASKS: &str = "reach = \"mirror\" => reach = \"ask\"";

/// The same of the kernel of June.
const GONE_LATER_OF_JUNE: &str = "with.faults.disconnect_at_message = 45";

/// The same of the newest.
const GONE_LATER_OF_NEXT: &str = "with.faults.disconnect_at_message = 47";

/// The machine commits the decoder, and not the guest.
const MACHINE_COMMITS: &str = "commit = \"guest\" => commit = \"firmware\"";

/// The same, and the memory is larger.
const MACHINE_COMMITS_MORE: &str =
    "commit = \"guest\" => commit = \"firmware\"\nwith.memory.size = \"512MiB\"";

/// The code returns something else.
const OTHER_CODE: &str = "store = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x0000_c312_3456_78b8\" } => \
     store = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x0000_c311_1111_11b8\" }";

/// The guest leaves the root pointer alone.
const NO_STORE: &str = "store = { at = 0xe_0000, width = 8, value = 0 } => \
     store = { at = 0x20_0000, width = 8, value = 0 }";

/// The guest leaves the device awake.
const NO_SLEEP: &str = "store = { at = \"gpu0.config+0x94\", width = 2, value = 3 } => \
     store = { at = 0x20_0000, width = 4, value = 0 }";

/// The guest gives its decoder no size.
const NO_SIZE: &str = "store = { at = \"gpu0.hdm+0x18\", width = 4, value = 0x1000_0000 } => \
     store = { at = \"gpu0.hdm+0x18\", width = 4, value = 0 }";

/// Nobody committed the decoder, and every access to the memory is a call.
const UNCOMMITTED_NOT_MAPPED: &str = "with.firmware.committed = false\nwith.kernel.show_uncommitted = true\n\
     with.dvsec.mem_enable_at_reset = true\nwith.kernel.memory_without_mmap = true";

/// Something else is done in place of a reset of the machine.
const NO_RESET: &str = "machine_reset = {} => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The guest leaves the BAR where it is, and memory decode on.
const STAYS_IN: &str = "store = { at = \"gpu0.config+0x18\", width = 4, value = 0xffff_ffff } => \
     store = { at = 0x20_0000, width = 4, value = 0 }\n\
     store = { at = \"gpu0.config+4\", width = 2, value = 0 } => \
     store = { at = \"gpu0.config+4\", width = 2, value = 6 }";

/// The device's process lives on.
const NO_KILL: &str = "kill = { device = \"gpu0\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The device's process goes on.
const NO_FREEZE: &str = "freeze = { device = \"gpu0\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The device's process stays.
const NO_RESTART: &str =
    "restart = { device = \"gpu0\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The device's process has no successor.
const NO_SUCCESSOR: &str = "restart = { device = \"gpu0\" } => kill = { device = \"gpu0\" }";

/// The guest stores something else in the first device's window.
const OTHER_STORE: &str = "store = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x1122_3344_5566_7788\" } => \
     store = { at = \"gpu0.window+0x1000\", width = 8, value = 1 }";

/// The guest stores to its decoder, in place of its memory.
const TO_THE_DECODER: &str = "store = { at = \"gpu0.window+0x40\", width = 8, value = 0x1234_5678 } => \
     store = { at = \"gpu0.hdm+0x10\", width = 4, value = 0 }";

/// The same, in place of control of the DVSEC.
const CONTROL_TO_THE_DECODER: &str = "store = { at = \"gpu0.config+0x15c\", width = 2, value = 0x2 } => \
     store = { at = \"gpu0.hdm+0x10\", width = 4, value = 0 }";

/// The guest sets Memory Space, which was clear, in place of clearing it again.
const NOT_CLEARED_AGAIN: &str = "store = { at = \"gpu1.config+0x4\", width = 2, value = 0x0004 } => \
     store = { at = \"gpu1.config+0x4\", width = 2, value = 6 }";

/// And in the second device's.
const OTHER_STORE_1: &str = "store = { at = \"gpu1.window+0x1000\", width = 8, value = \"0x0000_0000_bbbb_bbbb\" } => \
     store = { at = \"gpu1.window+0x1000\", width = 8, value = 1 }";

/// And in RAM.
const OTHER_STORE_IN_RAM: &str = "store = { at = \"0x20_0000\", width = 8, value = \"0x1122_3344_5566_7788\" } => \
     store = { at = \"0x20_0000\", width = 8, value = 1 }";

/// The guest commits without its lock.
const NO_LOCK: &str = "store = { at = \"gpu0.hdm+0x20\", width = 4, value = 0x300 } => \
     store = { at = \"gpu0.hdm+0x20\", width = 4, value = 0x200 }";
/// What the device signals is not heard.
const MUTE: &str = "with.faults.interrupts_lost = true";

/// A device with a pin hangs up at the first step that reaches it.
const GONE_AT_ONCE_PIN: &str = "with.interrupts.pin = true\nwith.faults.disconnect_at_message = 51";

/// The same where the pin is wired to nothing, which is a message less.
const GONE_AT_ONCE_LOOSE_PIN: &str = "with.interrupts.pin = true\nwith.faults.disconnect_at_message = 50";

/// The machine is not reset, and the device has a pin.
const NO_RESET_PIN: &str = "with.interrupts.pin = true\n\
     machine_reset = {} => store = { at = 0x20_0000, width = 4, value = 0 }";

/// What a device with a pin signals is not heard.
const MUTE_PIN: &str = "with.interrupts.pin = true\nwith.faults.interrupts_lost = true";

/// Something else is done in place of a device's coming.
const NOTHING_COMES: &str =
    "plug = { device = \"gpu1\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The device is in its slot from the start.
const COMES_AT_ONCE: &str = "plugged = false => plugged = true";

/// Its memory has room: nothing is said of it.
const FITS: &str = "plugged = false => plugged = false";

/// The guest stores in the other window.
const OTHER_WINDOW: &str = "store = { at = \"gpu1.window+0x1000\", width = 8, value = \"0x1122_3344_5566_7788\" } => \
     store = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x1122_3344_5566_7788\" }";

/// It comes where another one should be refused.
const COMES_LATE: &str = "plug = { device = \"gpu0\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// No device comes in place of the one that goes.
const NOBODY_COMES: &str = "plug = { device = \"gpu0\" } => \
     store = { at = 0x20_0000, width = 4, value = 0 }\n\
     plug = { device = \"gpu0\", refused = \"gpu0 is in the slot of its port\" } => \
     store = { at = 0x20_0000, width = 4, value = 0 }";

/// The guest does not clear what has changed.
const NOT_CLEARED: &str = "store = { at = \"slot.port+0x5a\", width = 2, value = 0x0008 } => \
     store = { at = \"slot.port+0x5a\", width = 2, value = 0 }";

/// The device stays, and nobody comes.
const STAYS: &str = "unplug = { device = \"gpu0\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// The other device goes.
const THE_OTHER_GOES: &str = "unplug = { device = \"gpu1\" } => unplug = { device = \"gpu0\" }";

/// No device goes.
const NOBODY_GOES: &str =
    "unplug = { device = \"gpu1\" } => store = { at = 0x20_0000, width = 4, value = 0 }";

/// Nor later.
const NOBODY_EVER_GOES: &str = "unplug = { device = \"gpu1\" } => \
     store = { at = 0x20_0000, width = 4, value = 0 }\n\
     unplug = { device = \"gpu1\", refused = \"it is not in the machine\" } => \
     store = { at = 0x20_0000, width = 4, value = 0 }";

/// Refused for another reason.
const UNCOMMITTED: &str = "with.firmware.committed = false\nwith.kernel.show_uncommitted = true";

/// All bundled scenarios, in the order of their names.
pub(crate) const ALL: &[Broken] = &[
    Broken {
        scenario: "acpi/a-window-of-nobody-is-not-fixed",
        breaks: &["with.memory.coherency = \"hdm-db\""],
    },
    Broken {
        scenario: "acpi/a-window-of-two-bridges-is-not-announced",
        breaks: &["targets = [\"a\", \"b\"] => targets = [\"b\"]"],
    },
    Broken {
        scenario: "acpi/configuration-space-is-in-the-mcfg",
        breaks: &["arch = \"x86_64\" => arch = \"aarch64\""],
    },
    Broken {
        scenario: "acpi/each-bridge-is-a-generic-port",
        breaks: &["bridge = [{ name = \"a\" }, { name = \"b\" }] => bridge = [{ name = \"a\" }]"],
    },
    Broken {
        scenario: "acpi/memory-that-the-device-asks-for-itself-is-hdm-d",
        breaks: &["with.memory.coherency = \"hdm-db\""],
    },
    Broken { scenario: "acpi/memory-with-back-invalidation-is-hdm-db", breaks: &[""] },
    Broken {
        scenario: "acpi/no-bridge-has-the-range-of-the-windows",
        breaks: &["arch = \"x86_64\" => fmws_in_crs = \"first-bridge\""],
    },
    Broken {
        scenario: "acpi/on-virt-ats-is-told-where-the-machine-has-it",
        breaks: &["ats = true => ats = false"],
    },
    Broken {
        scenario: "acpi/on-virt-configuration-space-is-in-the-mcfg",
        breaks: &["arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-virt-each-bridge-is-a-generic-port",
        breaks: &["bridge = [{ name = \"a\" }, { name = \"b\" }] => bridge = [{ name = \"a\" }]"],
    },
    Broken {
        scenario: "acpi/on-virt-each-bus-with-an-smmu-has-a-node",
        breaks: &["bus = \"pcie.0\" => bus = \"gpu0 bridge\""],
    },
    Broken {
        scenario: "acpi/on-virt-the-first-bridge-has-the-range-of-the-windows",
        breaks: &["arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-virt-the-interrupt-controller-is-a-gic",
        breaks: &["arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-virt-the-machine-can-have-the-range-nowhere",
        breaks: &["fmws_in_crs = \"nowhere\" => fmws_in_crs = \"first-bridge\""],
    },
    Broken {
        scenario: "acpi/on-virt-the-root-pointer-is-where-firmware-hands-it-over",
        breaks: &["ram = \"64MiB\" => ram = \"128MiB\"", "arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-virt-windows-and-bridges-are-announced",
        breaks: &["arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-virt-without-ats-the-root-complex-says-none",
        breaks: &["ats = false => ats = true"],
    },
    Broken {
        scenario: "acpi/on-virt-without-smmus-every-id-goes-to-the-its",
        breaks: &["arch = \"aarch64\" => arch = \"x86_64\""],
    },
    Broken {
        scenario: "acpi/on-x86-64-no-table-speaks-of-ats-or-smmus",
        breaks: &["arch = \"x86_64\" => arch = \"aarch64\""],
    },
    Broken {
        scenario: "acpi/the-guest-is-told-to-keep-what-is-placed",
        breaks: &["arch = \"x86_64\" => preserve_config = false"],
    },
    Broken {
        scenario: "acpi/the-interrupt-controllers-are-apics",
        breaks: &["arch = \"x86_64\" => arch = \"aarch64\""],
    },
    Broken {
        scenario: "acpi/the-machine-can-have-the-range-in-the-first-bridge",
        breaks: &["fmws_in_crs = \"first-bridge\" => fmws_in_crs = \"nowhere\""],
    },
    Broken {
        scenario: "acpi/the-root-pointer-is-where-a-guest-searches",
        breaks: &["arch = \"x86_64\" => arch = \"aarch64\""],
    },
    Broken {
        scenario: "acpi/there-is-one-cxl-root-and-a-device-for-each-bridge",
        breaks: &["bus = 20 => bus = 24"],
    },
    Broken {
        scenario: "acpi/where-the-guest-may-move-things-there-is-no-dsm",
        breaks: &["preserve_config = false => preserve_config = true"],
    },
    Broken { scenario: "acpi/windows-and-bridges-are-announced", breaks: &["with.memory.size = \"512MiB\""] },
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
    Broken { scenario: "dma/ats-with-map", breaks: &[GONE_LATER, NOT_MAPPED] },
    Broken { scenario: "dma/ats-with-skip", breaks: &[GONE_LATER, NOT_MAPPED] },
    Broken { scenario: "dma/ats-with-tolerate", breaks: &[GONE_LATER, NOT_MAPPED] },
    Broken { scenario: "dma/decode-with-map", breaks: &[GONE_LATER_OF_TWO] },
    Broken { scenario: "dma/decode-with-skip", breaks: &[GONE_LATER] },
    Broken { scenario: "dma/decode-with-tolerate", breaks: &[GONE_LATER_OF_TWO] },
    Broken {
        scenario: "dma/map-lets-a-device-reach-the-window",
        breaks: &[GONE_LATER, NOT_MAPPED, DETACHED],
    },
    Broken { scenario: "dma/map-takes-no-refusal", breaks: &[""] },
    Broken { scenario: "dma/skip-leaves-the-window-out-of-reach", breaks: &[GONE_LATER, NOT_MAPPED] },
    Broken { scenario: "dma/tolerate-goes-on-without-what-is-refused", breaks: &["", GONE_LATER] },
    Broken {
        scenario: "dma/tolerate-lets-a-device-reach-the-window",
        breaks: &[GONE_LATER, NOT_MAPPED, DETACHED],
    },
    Broken {
        scenario: "dma/what-cannot-be-copied-is-refused",
        breaks: &[GONE_AT_ONCE, "", "with.memory.size = \"512MiB\""],
    },
    Broken { scenario: "dma/writes-that-are-posted-stay-in-order", breaks: &[GONE_AT_ONCE, MUTE] },
    Broken {
        scenario: "fault/a-device-replaced-by-one-of-another-id-is-not-taken",
        breaks: &["restart = { device = \"gpu0\", with.ids.device = 0x1234 } => \
             store = { at = 0x20_0000, width = 4, value = 0 }"],
    },
    Broken {
        scenario: "fault/a-device-replaced-by-one-of-another-size-is-not-taken",
        breaks: &["restart = { device = \"gpu0\", with.memory.size = \"512MiB\" } => \
             store = { at = 0x20_0000, width = 4, value = 0 }"],
    },
    Broken {
        scenario: "fault/a-device-that-is-lost-in-a-machine-reset-is-detached",
        breaks: &[NO_FREEZE, OTHER_STORE_1, GONE_AT_ONCE],
    },
    Broken {
        scenario: "fault/a-frozen-device-is-detached-and-its-late-answer-is-nobodys",
        breaks: &[NO_FREEZE, OTHER_STORE_1, GONE_AT_ONCE],
    },
    Broken {
        scenario: "fault/a-frozen-device-is-reconnected-and-its-memory-is-as-before",
        breaks: &[
            "freeze = { device = \"gpu0\", until_sought = true } => store = { at = 0x20_0000, width = 4, value = 0 }",
            "freeze = { device = \"gpu0\", until_sought = true } => freeze = { device = \"gpu0\" }",
        ],
    },
    Broken { scenario: "fault/a-frozen-device-that-is-not-found-is-out", breaks: &[NO_FREEZE] },
    Broken {
        scenario: "fault/a-killed-device-fails-the-run-and-what-is-mapped-stays",
        breaks: &[NO_KILL, OTHER_STORE],
    },
    Broken {
        scenario: "fault/a-killed-device-is-detached-and-the-guest-goes-on",
        breaks: &[NO_KILL, OTHER_STORE_1, OTHER_STORE_IN_RAM, GONE_AT_ONCE],
    },
    Broken { scenario: "fault/a-killed-device-that-is-not-found-is-out", breaks: &[NO_KILL] },
    Broken {
        scenario: "fault/a-machine-reset-goes-on-without-a-detached-device",
        breaks: &[NO_KILL, OTHER_STORE_1, GONE_AT_ONCE],
    },
    Broken {
        scenario: "fault/a-restarted-device-fails-the-run-and-what-is-mapped-stays",
        breaks: &[NO_RESTART, OTHER_STORE],
    },
    Broken {
        scenario: "fault/a-restarted-device-interrupts-as-before",
        breaks: &[
            NO_SUCCESSOR,
            "store = { at = \"gpu0.config+0x82\", width = 2, value = \"0x8000\" } => \
             store = { at = 0x20_0000, width = 4, value = 0 }",
            GONE_AT_ONCE,
        ],
    },
    Broken {
        scenario: "fault/a-restarted-device-is-where-the-guest-has-put-it",
        breaks: &[
            NO_SUCCESSOR,
            "store = { at = \"gpu0.config+0x18\", width = 4, value = 0xffff_ffff } => \
             store = { at = 0x20_0000, width = 4, value = 0 }",
        ],
    },
    Broken {
        scenario: "fault/a-restarted-device-of-april-is-reconnected-with-new-memory",
        breaks: &[NO_SUCCESSOR, OTHER_STORE_1, GONE_AT_ONCE],
    },
    Broken {
        scenario: "fault/a-restarted-device-of-june-is-reconnected-with-new-memory",
        breaks: &[NO_SUCCESSOR, OTHER_STORE_1, GONE_LATER_OF_JUNE],
    },
    Broken {
        scenario: "fault/a-restarted-device-of-the-newest-kernel-is-reconnected-with-new-memory",
        breaks: &[NO_SUCCESSOR, OTHER_STORE_1, GONE_LATER_OF_NEXT],
    },
    Broken {
        scenario: "fault/a-restarted-device-that-is-to-be-detached-is-not-sought",
        breaks: &[NO_RESTART],
    },
    Broken {
        scenario: "fault/a-restarted-device-without-memory-space-has-no-bars",
        breaks: &[
            NO_SUCCESSOR,
            "store = { at = \"gpu0.config+4\", width = 2, value = 0 } => \
             store = { at = \"gpu0.config+4\", width = 2, value = 6 }",
        ],
    },
    Broken {
        scenario: "fault/a-slow-device-is-not-lost",
        breaks: &[OTHER_STORE, REGISTERS_DIE, "with.ids.device = 0x1234"],
    },
    Broken { scenario: "interrupt/a-copy-ends-with-an-interrupt", breaks: &[GONE_AT_ONCE, MUTE] },
    Broken { scenario: "interrupt/a-doorbell-by-an-event-is-in-order", breaks: &[GONE_AT_ONCE, MUTE] },
    Broken { scenario: "interrupt/a-host-that-wants-the-device-back-says-so", breaks: &["", GONE_AT_ONCE] },
    Broken {
        scenario: "interrupt/a-masked-input-holds-its-level",
        breaks: &[
            GONE_AT_ONCE_PIN,
            MUTE_PIN,
            // The input is not masked.
            "with.interrupts.pin = true\nstore = { at = \"0xfec0_0010\", width = 4, value = \"0x1_8051\" } => \
             store = { at = \"0xfec0_0010\", width = 4, value = \"0x8051\" }",
        ],
    },
    Broken {
        scenario: "interrupt/a-masked-vector-is-pending",
        breaks: &[
            GONE_AT_ONCE,
            MUTE,
            // The vector is not masked.
            "store = { at = \"gpu0.bar0+0x18\", width = 8, value = \"0x1_0000_0041\" } => \
             store = { at = \"gpu0.bar0+0x18\", width = 8, value = \"0x41\" }",
        ],
    },
    Broken {
        scenario: "interrupt/a-message-that-changes-is-the-new-one",
        breaks: &[
            GONE_AT_ONCE,
            MUTE,
            // The message is as it was.
            "store = { at = \"gpu0.bar0+0x8\", width = 4, value = \"0x50\" } => \
             store = { at = \"gpu0.bar0+0x8\", width = 4, value = \"0x40\" }",
        ],
    },
    Broken {
        scenario: "interrupt/a-pin-is-told-once-until-it-is-unmasked",
        breaks: &[GONE_AT_ONCE_LOOSE_PIN, MUTE_PIN],
    },
    Broken {
        scenario: "interrupt/a-pin-that-stays-asserted-interrupts-again",
        breaks: &[GONE_AT_ONCE_PIN, MUTE_PIN],
    },
    Broken {
        scenario: "interrupt/a-reset-of-the-function-turns-msix-off",
        breaks: &[
            GONE_AT_ONCE,
            MUTE,
            // The guest does not reset it.
            "store = { at = \"gpu0.config+0x48\", width = 2, value = \"0x8000\" } => \
             store = { at = \"gpu0.config+0x48\", width = 2, value = \"0\" }",
        ],
    },
    Broken {
        scenario: "interrupt/a-reset-of-the-machine-lowers-the-pin",
        breaks: &["", GONE_AT_ONCE_PIN, MUTE_PIN, NO_RESET_PIN],
    },
    Broken {
        scenario: "interrupt/a-reset-of-the-machine-turns-msix-off",
        breaks: &[GONE_AT_ONCE, MUTE, NO_RESET],
    },
    Broken {
        scenario: "interrupt/a-slot-interrupts-by-its-ports-message",
        breaks: &[
            NOTHING_COMES,
            // The slot interrupts from the start.
            "store = { at = \"slot.port+0x58\", width = 2, value = 0 } => \
             store = { at = \"slot.port+0x58\", width = 2, value = \"0x1028\" }",
            // MSI is off.
            "store = { at = \"slot.port+0x7e\", width = 2, value = 1 } => \
             store = { at = \"slot.port+0x7e\", width = 2, value = 0 }",
        ],
    },
    Broken {
        scenario: "interrupt/an-error-that-cannot-be-corrected-is-told",
        breaks: &["", GONE_AT_ONCE, "with.faults.ras_error_at_copy = \"correctable-physical\""],
    },
    Broken {
        scenario: "interrupt/an-error-that-was-corrected-is-not-told",
        breaks: &[GONE_AT_ONCE, "with.faults.ras_error_at_copy = \"internal\""],
    },
    Broken {
        scenario: "interrupt/interrupt-disable-silences-the-pin",
        breaks: &[
            GONE_AT_ONCE_PIN,
            MUTE_PIN,
            // The bit is not set.
            "with.interrupts.pin = true\nstore = { at = \"gpu0.config+0x4\", width = 2, value = \"0x406\" } => \
             store = { at = \"gpu0.config+0x4\", width = 2, value = \"0x6\" }",
        ],
    },
    Broken {
        scenario: "interrupt/the-capability-and-the-table-are-the-machines",
        breaks: &[GONE_AT_ONCE, "with.interrupts.msix_vectors = 16"],
    },
    Broken {
        scenario: "interrupt/the-mask-of-the-function-masks-every-vector",
        breaks: &[
            GONE_AT_ONCE,
            MUTE,
            // The function is not masked.
            "store = { at = \"gpu0.config+0x82\", width = 2, value = \"0xc000\" } => \
             store = { at = \"gpu0.config+0x82\", width = 2, value = \"0x8000\" }",
        ],
    },
    Broken {
        scenario: "interrupt/the-pin-of-a-device-reaches-the-guest",
        breaks: &["", GONE_AT_ONCE_PIN, MUTE_PIN],
    },
    Broken {
        scenario: "interrupt/two-devices-interrupt-by-their-own-inputs",
        breaks: &[GONE_AT_ONCE_PIN, MUTE_PIN],
    },
    Broken {
        scenario: "interrupt/two-devices-interrupt-by-their-own-messages",
        breaks: &[GONE_AT_ONCE, MUTE],
    },
    Broken { scenario: "interrupt/with-msix-on-the-pin-is-silent", breaks: &[GONE_AT_ONCE_PIN, MUTE_PIN] },
    Broken { scenario: "interrupt/without-msix-nothing-comes", breaks: &[GONE_AT_ONCE, MUTE] },
    Broken {
        scenario: "life/a-device-comes-into-an-empty-slot",
        breaks: &[NOTHING_COMES, COMES_AT_ONCE, NOT_CLEARED, OTHER_WINDOW],
    },
    Broken {
        scenario: "life/a-device-of-hdm-d-is-refused-by-a-slot-for-hdm-db",
        breaks: &["profile = \"t2-hdm-db\""],
    },
    Broken { scenario: "life/a-device-of-hdm-db-is-refused-by-a-slot-for-hdm-d", breaks: &[FITS] },
    Broken {
        scenario: "life/a-device-that-comes-back-is-a-new-one-at-the-old-place",
        breaks: &[STAYS, NOBODY_COMES, COMES_LATE],
    },
    Broken { scenario: "life/a-device-that-does-not-fit-the-slot-is-refused", breaks: &[FITS, DETACHED] },
    Broken {
        scenario: "life/a-device-that-firmware-did-not-commit-is-the-guests",
        breaks: &[MACHINE_COMMITS_MORE, UNCOMMITTED_NOT_MAPPED],
    },
    Broken {
        scenario: "life/a-device-that-goes-reads-ones-and-the-other-one-goes-on",
        breaks: &[THE_OTHER_GOES, NOBODY_GOES, NOBODY_EVER_GOES, NO_RESET],
    },
    Broken {
        scenario: "life/a-device-with-back-invalidation-comes-into-a-slot-for-such",
        breaks: &["profile = \"t2-hdm-db\"\ncoherency = \"hdm-db\" => coherency = \"hdm-d\"", FITS],
    },
    Broken { scenario: "life/a-guest-runs-code-from-device-memory", breaks: &[OTHER_CODE, DETACHED] },
    Broken { scenario: "life/a-guest-runs-code-where-it-has-committed-the-memory", breaks: &[OTHER_CODE] },
    Broken {
        scenario: "life/a-guests-lock-holds-until-the-machine-is-reset",
        breaks: &[MACHINE_COMMITS, NO_RESET, NO_LOCK],
    },
    Broken { scenario: "life/the-window-of-a-guests-decoder-is-not-fixed", breaks: &[MACHINE_COMMITS] },
    Broken {
        scenario: "life/what-cannot-be-committed-is-refused-in-the-decoder",
        breaks: &[MACHINE_COMMITS, NO_SIZE, DETACHED],
    },
    Broken {
        scenario: "life/what-the-guest-commits-is-mapped-and-what-it-uncommits-is-gone",
        breaks: &[MACHINE_COMMITS, MACHINE_COMMITS_MORE],
    },
    Broken {
        scenario: "overlay/around-the-block-the-bar-is-memory",
        breaks: &[
            "with.faults.host_base_at = 0",
            "with.component.offset = 0x1_0000",
            "with.component.offset = 0x3_0000",
        ],
    },
    Broken {
        scenario: "overlay/the-first-page-of-the-block-keeps-nothing",
        breaks: &["with.faults.host_base_at = 0x2_0000"],
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
    Broken {
        scenario: "overlay/the-registers-move-with-their-bar",
        breaks: &["with.component.bar_size = \"2MiB\"", REGISTERS_DIE],
    },
    Broken {
        scenario: "overlay/without-memory-space-the-bars-are-gone",
        breaks: &["with.component.bar_size = \"2MiB\"", REGISTERS_DIE, DETACHED],
    },
    Broken { scenario: "plain/a-bar-can-be-mapped", breaks: &[GONE] },
    Broken { scenario: "plain/a-bar-is-read-and-written", breaks: &[GONE] },
    Broken { scenario: "plain/a-copy-goes-over-the-end-of-a-page", breaks: &[GONE] },
    Broken { scenario: "plain/a-reset-clears-registers-and-keeps-configuration", breaks: &[GONE] },
    Broken { scenario: "plain/an-interrupt-arrives-at-its-vector", breaks: &[GONE, MUTE] },
    Broken { scenario: "plain/events-can-be-taken-back-and-given-again", breaks: &[GONE, MUTE] },
    Broken { scenario: "plain/maps-do-not-overlap", breaks: &[GONE] },
    Broken { scenario: "plain/the-bars-tell-their-length", breaks: &[GONE] },
    Broken { scenario: "plain/the-device-copies-both-ways", breaks: &[GONE] },
    Broken { scenario: "plain/the-device-is-a-pci-device-and-no-more", breaks: &[GONE] },
    Broken { scenario: "plain/the-ids-cannot-be-written", breaks: &[GONE, "with.ids.device = 0x1234"] },
    Broken { scenario: "plain/what-is-taken-back-is-out-of-reach", breaks: &[GONE] },
    Broken { scenario: "plain/who-opens-the-device-anew-finds-it-anew", breaks: &[GONE] },
    Broken { scenario: "plain/without-bus-mastering-nothing-is-copied", breaks: &[GONE] },
    Broken { scenario: "plain/without-memory-space-a-bar-is-not-there", breaks: &[GONE] },
    Broken { scenario: "presets/t2-block-end", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-block-start", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-block-whole-bar", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-committed-unlocked", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-config-locked", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-hdm-db", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-large", breaks: &[REGISTERS_DIE, DETACHED, DETACHED_LARGE] },
    Broken { scenario: "presets/t2-many-decoders", breaks: &[REGISTERS_DIE, DETACHED] },
    Broken { scenario: "presets/t2-uncommitted", breaks: &["with.firmware.committed = true"] },
    Broken {
        scenario: "presets/whatever-the-preset-and-the-kernel-the-memory-is-the-guests",
        breaks: &[REGISTERS_DIE, DETACHED],
    },
    Broken {
        scenario: "refused/a-device-of-april-is-not-taken-for-one-of-june",
        breaks: &["abi = [\"v3\"]"],
    },
    Broken {
        scenario: "refused/a-device-of-april-is-not-taken-for-one-of-the-newest-shape",
        breaks: &["abi = [\"next\"]"],
    },
    Broken {
        scenario: "refused/a-device-of-june-is-not-taken-for-one-of-april",
        breaks: &["abi = [\"v2\"]"],
    },
    Broken {
        scenario: "refused/a-device-of-the-newest-shape-is-not-taken-for-one-of-april",
        breaks: &["abi = [\"v2\"]"],
    },
    Broken { scenario: "refused/not-a-cxl-device", breaks: &["with.firmware.committed = true"] },
    Broken { scenario: "refused/not-committed-by-firmware", breaks: &["with.firmware.committed = true"] },
    Broken { scenario: "regression/01-a-device-that-firmware-did-not-commit-is-refused", breaks: &[""] },
    Broken {
        scenario: "regression/02-what-is-told-of-regions-is-told-again-alike",
        breaks: &[GONE, NOT_MAPPED],
    },
    Broken {
        scenario: "regression/03-a-large-bar-and-two-large-windows-have-places-of-their-own",
        breaks: &[
            "machine.defects = [\"short-second-mmio\"]",
            DETACHED,
            "arch = \"aarch64\" => arch = \"x86_64\"",
        ],
    },
    Broken {
        scenario: "regression/04-what-was-skipped-is-not-unmapped",
        breaks: &[
            "machine.defects = [\"unmaps-what-it-skipped\"]",
            "dma = \"skip\" => dma = \"map\"",
            GONE_LATER,
        ],
    },
    Broken {
        scenario: "regression/05-where-ats-is-on-device-memory-can-be-reached",
        breaks: &["dma = \"map\" => dma = \"skip\""],
    },
    Broken {
        scenario: "regression/06-the-base-is-of-the-window-that-leads-to-the-device",
        breaks: &["machine.defects = [\"first-window-for-all\"]"],
    },
    Broken {
        scenario: "regression/06-the-decoder-has-the-base-of-the-window",
        breaks: &["", "with.kernel.show_lock = true"],
    },
    Broken {
        scenario: "regression/07-a-device-that-cannot-come-does-not-end-the-machine",
        breaks: &[
            "machine.defects = [\"ends-over-a-refused-device\"]",
            "",
            "with.faults.commit_ignored = true",
            TO_THE_DECODER,
        ],
    },
    Broken {
        scenario: "regression/08-a-second-endpoint-below-one-bridge-is-refused",
        breaks: &["machine.defects = [\"second-endpoint-taken\"]"],
    },
    Broken {
        scenario: "regression/09-every-device-has-a-window-of-its-own",
        breaks: &["with.memory.size = \"512MiB\"", DETACHED, "with.kernel.show_lock = true"],
    },
    Broken {
        scenario: "regression/10-who-polls-for-the-end-of-a-flush-sees-it",
        breaks: &["with.kernel.status_2 = \"shadow\""],
    },
    Broken {
        scenario: "regression/11-a-byte-written-to-the-upper-half-of-control-is-not-lost",
        breaks: &[""],
    },
    Broken { scenario: "regression/12-the-memory-can-be-mapped", breaks: &[DETACHED, NOT_MAPPED] },
    Broken {
        scenario: "regression/13-a-byte-written-to-control-leaves-its-upper-half",
        breaks: &["", "with.firmware.config_lock = \"after-mem-enable\""],
    },
    Broken { scenario: "regression/13-a-dword-that-polls-has-status-2-in-it", breaks: &[""] },
    Broken { scenario: "regression/14-an-odd-offset-reads-and-writes-the-shadow", breaks: &[""] },
    Broken { scenario: "regression/15-memory-is-on-after-a-guests-cxl-reset", breaks: &["", PLAIN] },
    Broken { scenario: "regression/16-a-decoder-committed-over-nothing-is-no-cxl-device", breaks: &[""] },
    Broken {
        scenario: "regression/16-a-decoder-without-a-size-does-not-outlive-a-reset",
        breaks: &["", DEAD],
    },
    Broken { scenario: "regression/17-a-write-over-two-registers-reaches-both", breaks: &["", GONE] },
    Broken { scenario: "regression/17-after-a-reset-nothing-is-stale", breaks: &[""] },
    Broken {
        scenario: "regression/18-what-a-client-mapped-goes-with-it",
        breaks: &["with.faults.maps_outlive_client = true", GONE],
    },
    Broken { scenario: "regression/19-a-map-over-another-is-refused-and-changes-nothing", breaks: &[GONE] },
    Broken {
        scenario: "regression/20-a-server-that-is-gone-is-noticed",
        breaks: &["", "with.ids.device = 0x1234"],
    },
    Broken {
        scenario: "regression/21-a-machine-runs-where-device-memory-cannot-be-mapped",
        breaks: &[
            "",
            "with.faults.map_efault_from = \"4GiB\"\ndma = \"tolerate\" => dma = \"map\"",
            GONE_LATER,
            DETACHED,
        ],
    },
    Broken {
        scenario: "regression/22-what-does-not-decode-cannot-be-reached",
        breaks: &[
            "with.faults.unmaps_forget_nothing = true",
            "dma = \"map\" => dma = \"skip\"",
            NOT_CLEARED_AGAIN,
        ],
    },
    Broken {
        scenario: "regression/23-a-device-that-firmware-locked-is-programmed-as-any-other",
        breaks: &["", "with.kernel.show_lock = true", REGISTERS_DIE, DETACHED, CONTROL_TO_THE_DECODER],
    },
    Broken {
        scenario: "regression/23-memory-that-the-lock-left-off-is-refused",
        breaks: &[
            "with.firmware.config_lock = \"after-mem-enable\"",
            "with = { firmware.config_lock = \"before-mem-enable\", dvsec.mem_enable_at_reset = true }",
        ],
    },
    Broken { scenario: "regression/23-what-firmware-locked-stays-as-firmware-left-it", breaks: &["", PLAIN] },
    Broken {
        scenario: "regression/24-a-machine-that-is-reset-programs-the-decoder-again",
        breaks: &["machine.after_reset = \"nothing\"", GONE_LATER, "with.faults.commit_ignored = true"],
    },
    Broken {
        scenario: "regression/24-after-a-reset-the-device-can-be-used-again",
        breaks: &["with.faults.cannot_be_reset = true", GONE],
    },
    Broken {
        scenario: "reset/a-device-that-cannot-be-reset-is-named",
        breaks: &["", "with.faults.cannot_be_reset = true\nwith.faults.disconnect_at_message = 53"],
    },
    Broken {
        scenario: "reset/a-device-that-sleeps-is-awake-after-a-machine-reset",
        breaks: &[NO_RESET, NO_SLEEP, GONE_LATER],
    },
    Broken {
        scenario: "reset/a-guests-cxl-reset-is-noticed-and-the-decoder-programmed-again",
        breaks: &[GONE_LATER],
    },
    Broken {
        scenario: "reset/a-guests-cxl-reset-leaves-the-window-where-it-is",
        breaks: &[GONE_LATER_OF_NEXT],
    },
    Broken {
        scenario: "reset/a-guests-flr-is-noticed-and-the-decoder-programmed-again",
        breaks: &[GONE_LATER],
    },
    Broken {
        scenario: "reset/a-guests-flr-leaves-the-machines-own-decoder-alone",
        breaks: &[GONE_LATER_OF_JUNE, "abi = [\"v2\"]"],
    },
    Broken { scenario: "reset/a-kernel-that-keeps-the-base-has-the-lock-restored", breaks: &[GONE_LATER] },
    Broken { scenario: "reset/a-machine-reset-keeps-ram-and-device-memory", breaks: &[GONE_LATER] },
    Broken {
        scenario: "reset/a-machine-reset-puts-moved-bars-back",
        breaks: &[REGISTERS_DIE, NO_RESET, STAYS_IN],
    },
    Broken {
        scenario: "reset/a-vfio-reset-of-one-device-leaves-the-other-alone",
        breaks: &[GONE_LATER_OF_TWO],
    },
    Broken {
        scenario: "reset/after-a-machine-reset-the-decoder-is-at-the-same-base",
        breaks: &[GONE_LATER, REGISTERS_DIE],
    },
    Broken {
        scenario: "reset/the-acpi-tables-are-there-again",
        breaks: &["machine.arch = \"x86_64\" => machine.arch = \"aarch64\"", NO_RESET, NO_STORE],
    },
    Broken { scenario: "reset/the-guests-last-access-is-not-repeated", breaks: &[GONE_LATER] },
    Broken {
        scenario: "reset/the-newest-kernel-clears-the-memory-in-a-reset",
        breaks: &["", GONE_LATER_OF_NEXT],
    },
    Broken {
        scenario: "reset/the-series-does-not-notice-a-guests-flr",
        breaks: &["after_reset = \"nothing\" => after_reset = \"reprogram\"", GONE_LATER],
    },
    Broken {
        scenario: "reset/the-series-does-not-program-again-after-a-machine-reset",
        breaks: &["after_reset = \"nothing\" => after_reset = \"reprogram\"", GONE_LATER, DETACHED],
    },
    Broken {
        scenario: "reset/two-devices-come-back-from-a-machine-reset",
        breaks: &[GONE_LATER_OF_TWO, DETACHED],
    },
    Broken { scenario: "reset/what-does-not-come-back-takes-the-memory-with-it", breaks: &["", GONE_LATER] },
    Broken {
        scenario: "selftest-next/a-decoder-cannot-be-released",
        breaks: &["with.faults.lies.no_register_region = true"],
    },
    Broken {
        scenario: "selftest-next/a-guest-finds-the-decoders-by-itself",
        breaks: &["with.component.offset = 0x3_0000", GONE],
    },
    Broken {
        scenario: "selftest-next/a-guest-gets-its-cxl-reset",
        breaks: &["with.dvsec.cxl_reset_capable = false", "abi = [\"v3\"]"],
    },
    Broken {
        scenario: "selftest-next/behind-the-registers-there-is-nothing",
        breaks: &["with.faults.lies.no_register_region = true"],
    },
    Broken {
        scenario: "selftest-next/only-the-decoders-page-of-the-bar-cannot-be-mapped",
        breaks: &["with.component.bar = 4", "with.faults.lies.areas = [{ offset = 0, size = \"1MiB\" }]"],
    },
    Broken { scenario: "selftest-next/the-device-can-be-reset", breaks: &[GONE] },
    Broken {
        scenario: "selftest-next/the-dvsecs-control-is-the-users-and-its-capability-is-not",
        breaks: &[GONE],
    },
    Broken {
        scenario: "selftest-next/the-memory-is-as-long-as-the-decoder-says",
        breaks: &["with.dvsec.cxl_reset_capable = false"],
    },
    Broken {
        scenario: "selftest-next/the-memory-is-not-there-while-decode-is-off",
        breaks: &["with.faults.lies.no_memory_region = true"],
    },
    Broken {
        scenario: "selftest-next/the-regions-say-what-they-are",
        breaks: &["with.dvsec.cxl_reset_capable = false"],
    },
    Broken {
        scenario: "selftest-next/the-registers-begin-with-the-decoder-capability",
        breaks: &["with.faults.lies.no_register_region = true"],
    },
    Broken {
        scenario: "selftest-next/the-registers-take-aligned-dwords",
        breaks: &["with.faults.lies.no_register_region = true"],
    },
    Broken {
        scenario: "selftest-next/through-the-bar-the-decoders-read-ones",
        breaks: &["with.component.bar = 4", "with.faults.lies.no_register_region = true"],
    },
    Broken {
        scenario: "selftest-next/what-is-stored-in-mapped-memory-stays",
        breaks: &[DETACHED, NOT_MAPPED],
    },
    Broken {
        scenario: "selftest-v2/a-reset-undoes-what-the-user-programmed",
        breaks: &["with.kernel.fixed_base_lost_in_reset = true", PLAIN],
    },
    Broken {
        scenario: "selftest-v2/around-the-component-block-the-bar-can-be-mapped",
        breaks: &["with.component.offset = 0"],
    },
    Broken {
        scenario: "selftest-v2/commit-and-committed-go-together",
        breaks: &["with.faults.commit_ignored = true", PLAIN],
    },
    Broken {
        scenario: "selftest-v2/ones-and-zeros-in-every-register",
        breaks: &["with.component.hdm = 0x200"],
    },
    Broken {
        scenario: "selftest-v2/the-capability-says-where-registers-and-memory-are",
        breaks: &["with.memory.size = \"512MiB\"", "with.component.offset = 0x3_0000", GONE],
    },
    Broken {
        scenario: "selftest-v2/the-component-block-cannot-be-mapped-through-the-bar",
        breaks: &["with.component.offset = 0x1_0000", "with.component.offset = 0x3_0000"],
    },
    Broken {
        scenario: "selftest-v2/the-decoder-capability-says-how-many-decoders-there-are",
        breaks: &[DEAD],
    },
    Broken { scenario: "selftest-v2/the-device-says-that-it-is-a-cxl-device", breaks: &[PLAIN] },
    Broken {
        scenario: "selftest-v2/the-dvsecs-lock-sticks-and-freezes-control",
        breaks: &["with.firmware.config_lock = \"after-mem-enable\"", "abi = [\"next\"]"],
    },
    Broken {
        scenario: "selftest-v2/the-memory-region-is-the-devices-memory",
        breaks: &["with.memory.size = \"512MiB\"", PLAIN],
    },
    Broken {
        scenario: "selftest-v2/the-register-region-ends-with-the-last-decoder",
        breaks: &["with.component.hdm = 0x200", PLAIN],
    },
    Broken { scenario: "selftest-v2/the-registers-cannot-be-mapped", breaks: &[PLAIN] },
    Broken {
        scenario: "selftest-v2/the-registers-take-one-dword-at-a-time",
        breaks: &["abi = [\"v3\"]", PLAIN],
    },
    Broken { scenario: "selftest-v2/what-is-stored-in-mapped-memory-stays", breaks: &[DETACHED, NOT_MAPPED] },
    Broken {
        scenario: "selftest-v3/a-byte-of-the-dvsecs-lock-can-be-read",
        breaks: &["with.firmware.config_lock = \"after-mem-enable\"", "abi = [\"next\"]"],
    },
    Broken {
        scenario: "selftest-v3/commit-and-committed-go-together",
        breaks: &["with.faults.commit_ignored = true", PLAIN],
    },
    Broken {
        scenario: "selftest-v3/no-area-of-the-bar-is-in-the-component-block",
        breaks: &["with.component.offset = 0x1_0000", "with.component.offset = 0"],
    },
    Broken { scenario: "selftest-v3/the-capability-array-is-at-0x1000", breaks: &[DEAD] },
    Broken {
        scenario: "selftest-v3/the-capability-says-where-registers-and-memory-are",
        breaks: &["with.memory.size = \"512MiB\"", "with.component.offset = 0x3_0000", PLAIN],
    },
    Broken { scenario: "selftest-v3/the-registers-take-whole-dwords", breaks: &["abi = [\"v2\"]", PLAIN] },
    Broken { scenario: "selftest-v3/what-is-stored-in-mapped-memory-stays", breaks: &[DETACHED, NOT_MAPPED] },
    Broken {
        scenario: "smmu/a-device-reaches-what-the-guest-maps-and-no-more",
        breaks: &[GONE_LATER_BEHIND],
    },
    Broken {
        scenario: "smmu/a-mirrored-device-cannot-write-a-read-only-page",
        breaks: &[GONE_LATER_BEHIND, ASKS, NO_SMMU_BEFORE],
    },
    Broken {
        scenario: "smmu/a-mirrored-device-has-what-the-guest-maps-and-no-more",
        breaks: &[GONE_LATER_BEHIND, ASKS, NO_SMMU_BEFORE],
    },
    Broken { scenario: "smmu/an-smmu-sits-on-a-root-bus-only", breaks: &[UNCOMMITTED] },
    Broken {
        scenario: "smmu/interrupts-are-messages-where-the-guest-says-so",
        breaks: &[GONE_LATER_BEHIND, NO_SMMU_BEFORE],
    },
    Broken {
        scenario: "smmu/on-virt-a-device-reaches-what-the-guest-maps-and-no-more",
        breaks: &[GONE_LATER_BEHIND, NO_SMMU_BEFORE],
    },
    Broken {
        scenario: "smmu/on-virt-a-mirrored-device-has-what-the-guest-maps-and-no-more",
        breaks: &[GONE_LATER_BEHIND, ASKS, NO_SMMU_BEFORE],
    },
    Broken {
        scenario: "smmu/on-virt-interrupts-are-messages-where-the-guest-says-so",
        breaks: &[GONE_LATER_BEHIND, NO_SMMU_BEFORE],
    },
    Broken {
        scenario: "topology/a-port-without-a-device-has-trained-nothing",
        breaks: &["bridge = \"empty\""],
    },
    Broken {
        scenario: "topology/bridges-and-ports-have-component-registers-without-decoders",
        breaks: &["arch = \"x86_64\" => arch = \"aarch64\""],
    },
    Broken {
        scenario: "topology/buses-and-windows-of-a-port-stay-as-they-are",
        breaks: &["bus = 12 => bus = 14"],
    },
    Broken {
        scenario: "topology/the-guest-finds-the-port-and-the-endpoint-below-it",
        breaks: &["bus = 12 => bus = 14", "bus = 12 => bus = 11"],
    },
    Broken { scenario: "topology/the-port-tells-that-cxl-mem-is-trained", breaks: &["bus = 12 => bus = 14"] },
    Broken {
        scenario: "topology/two-ports-have-two-numbers",
        breaks: &[
            "bus = 12 => bus = 14",
            "bridge = \"a\" => bridge = \"b\"\nbridge = \"b\" => bridge = \"a\"",
            "bus = 20 => bus = 22",
        ],
    },
    Broken { scenario: "window/a-bridge-is-not-on-bus-0", breaks: &["bus = 0 => bus = 1"] },
    Broken { scenario: "window/a-bridge-needs-a-bus-for-its-port", breaks: &["bus = 13 => bus = 14"] },
    Broken {
        scenario: "window/a-device-below-no-bridge-is-refused",
        breaks: &["bridge = \"c\" => bridge = \"a\""],
    },
    Broken {
        scenario: "window/a-device-with-two-windows-is-refused",
        breaks: &["targets = [\"a\"] # as the first => targets = [\"b\"]"],
    },
    Broken {
        scenario: "window/a-device-without-a-window-is-refused",
        breaks: &["bridge = \"a\" => bridge = \"b\""],
    },
    Broken {
        scenario: "window/a-larger-window-has-the-memory-at-its-start",
        breaks: &["with.memory.size = \"512MiB\"", DETACHED],
    },
    Broken {
        scenario: "window/a-window-above-1-tib-is-refused",
        breaks: &["size = \"1048832MiB\" => size = \"1TiB\""],
    },
    Broken {
        scenario: "window/a-window-below-256-mib-is-refused",
        breaks: &["size = \"128MiB\" => size = \"256MiB\""],
    },
    Broken { scenario: "window/a-window-below-the-memorys-size-is-refused", breaks: &[""] },
    Broken {
        scenario: "window/a-window-of-an-odd-size-is-refused",
        breaks: &["size = \"384MiB\" => size = \"512MiB\""],
    },
    Broken {
        scenario: "window/a-window-of-several-bridges-is-for-no-device",
        breaks: &["targets = [\"a\", \"b\"] => targets = [\"a\"]"],
    },
    Broken {
        scenario: "window/a-window-that-does-not-fit-is-refused-by-name",
        breaks: &["size = \"16GiB\" => size = \"8GiB\""],
    },
    Broken {
        scenario: "window/four-devices-of-256-gib-on-virt",
        breaks: &[
            "",
            "with.memory.size = \"256GiB\"\nwith.faults.detached_memory = true",
            "bus = 36 => bus = 38",
        ],
    },
    Broken {
        scenario: "window/on-virt-windows-lie-behind-the-second-mmio",
        breaks: &[
            "arch = \"aarch64\" => arch = \"x86_64\"",
            "with.memory.size = \"512MiB\"",
            DETACHED,
            "ram = \"64MiB\" => ram = \"128MiB\"",
            "with.component.bar_size = \"512GiB\"",
        ],
    },
    Broken { scenario: "window/seventeen-bridges-are-refused", breaks: &["bridge = \"b0\""] },
    Broken { scenario: "window/sixteen-devices-have-sixteen-windows", breaks: &[DETACHED, REGISTERS_DIE] },
    Broken {
        scenario: "window/the-window-is-where-the-plan-says",
        breaks: &[
            "with.memory.size = \"512MiB\"",
            DETACHED,
            "with.component.bar_size = \"256MiB\"",
            "with.component.bar_size = \"4GiB\"",
        ],
    },
    Broken { scenario: "window/two-bridges-on-one-bus-are-refused", breaks: &["bus = 0xc => bus = 20"] },
    Broken {
        scenario: "window/two-devices-get-two-windows",
        breaks: &["with.memory.size = \"512MiB\"", REGISTERS_DIE, DETACHED],
    },
    Broken {
        scenario: "window/two-endpoints-below-one-bridge-are-refused",
        breaks: &["bridge = \"a\" # where gpu0 is => bridge = \"b\""],
    },
    Broken {
        scenario: "window/without-windows-a-device-is-refused",
        breaks: &["fixed_windows = false => fixed_windows = true"],
    },
];
