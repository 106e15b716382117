//! The machines that Linux meets, and what it must say of their tables.
//!
//! QEMU lends a processor, RAM, an interrupt controller, configuration space, and two host bridges on the buses that
//! our tables name. On aarch64 all this is where our layout has it, which is QEMU's; configuration space is not, so
//! it is the firmware's own business which devices it finds. What is behind our tables' other addresses is not there.

/// A machine.
#[derive(Debug)]
pub(super) struct Machine {
    /// Its scenario below `ci/machines`.
    pub(super) name: &'static str,
    /// The QEMU that lends what is behind the tables.
    pub(super) qemu: &'static str,
    /// Its options beside those that every machine has.
    options: &'static [&'static str],
    /// What Linux is told when it starts.
    parameters: &'static str,
    /// The folder of Linux in the root.
    pub(super) linux: &'static str,
    /// What lines must say, each in full, typed from the plan of the machine and from what each table is for.
    pub(super) told: &'static [&'static str],
    /// What no line may say, beside complaints.
    pub(super) untold: &'static [&'static str],
}

/// What any machine's lines must say.
pub(super) const TOLD: &[&str] = &[
    // DSDT: it has been run, and these are its devices; _OSC was asked for both UUIDs.
    "ACPI: 1 ACPI AML tables successfully acquired and loaded",
    "ACPI: PCI Root Bridge [PC00] (domain 0000 [bus 00-0b])",
    "ACPI: PCI Root Bridge [PC0C] (domain 0000 [bus 0c-13])",
    "ACPI: PCI Root Bridge [PC14] (domain 0000 [bus 14-ff])",
    "acpi PNP0A08:00: _OSC: OS now controls [PCIeHotplug PME AER PCIeCapability]",
    "acpi ACPI0016:00: _OSC: OS now controls [PCIeHotplug PME AER PCIeCapability]",
    "acpi ACPI0016:00: _OSC: OS now controls [CXLMemErrorReporting]",
    "acpi ACPI0016:01: _OSC: OS now controls [CXLMemErrorReporting]",
    "/sys/bus/acpi/devices/ACPI0016:00/path is \\_SB_.PC0C",
    "/sys/bus/acpi/devices/ACPI0016:00/uid is 12",
    "/sys/bus/acpi/devices/ACPI0016:01/uid is 20",
    "/sys/bus/acpi/devices/ACPI0017:00/path is \\_SB_.CXLM",
    // HMAT: a latency of 80 ns and a bandwidth of 200 GB/s.
    "acpi/hmat: Memory Flags:0001 Processor Domain:0 Memory Domain:0",
    "/sys/devices/system/node/node0/access0/initiators/read_latency is 80",
    "/sys/devices/system/node/node0/access0/initiators/write_bandwidth is 200000",
    // CEDT: the bridges, and what the windows are for.
    "pci0000:0c: host supports CXL",
    "pci0000:14: host supports CXL",
    "a port at pci0000:0c",
    "a port at pci0000:14",
    "/sys/bus/cxl/devices/decoder0.0/size is 0x10000000",
    "/sys/bus/cxl/devices/decoder0.0/target_list is 12",
    "/sys/bus/cxl/devices/decoder0.0/interleave_ways is 1",
    "/sys/bus/cxl/devices/decoder0.0/locked is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_type2 is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_type3 is 0",
    "/sys/bus/cxl/devices/decoder0.0/cap_ram is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_pmem is 0",
    "/sys/bus/cxl/devices/decoder0.1/size is 0x20000000",
    "/sys/bus/cxl/devices/decoder0.1/target_list is 20",
];

/// What no line may say: Linux says so of tables that it does not like.
pub(super) const COMPLAINTS: &[&str] = &[
    "ACPI Error",
    "ACPI Warning",
    "ACPI BIOS",
    "ACPI Exception",
    "irmware Bug",
    "irmware Warn",
    "SRAT not used",
    "nodes coverage",
    "NOT LOADED",
];

/// Every machine.
///
/// The tables of q35 tell of no timer (it is a machine of reduced hardware, whose guests under KVM take their clock
/// from there), so Linux is told there how fast its clock runs.
pub(super) const MACHINES: [Machine; 2] = [
    Machine {
        name: "q35",
        qemu: "qemu-system-x86_64",
        options: &["-M", "q35,cxl=on,acpi=off", "-cpu", "max"],
        parameters: "console=ttyS0 reboot=t tsc_early_khz=2500000",
        linux: "/linux/amd64",
        told: &[
            "IOAPIC[0]: apic_id 0, version 32, address 0xfec00000, GSI 0-23",
            "ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x1fffffff]",
            "PCI: ECAM [mem 0xb0000000-0xbfffffff] (base 0xb0000000) for domain 0000 [bus 00-ff]",
            "acpi PNP0C02:00: Reserved [mem 0xb0000000-0xbfffffff]",
            "pci_bus 0000:0c: root bus resource [mem 0xc0000000-0xc01fffff window]",
            "pci_bus 0000:0c: root bus resource [mem 0x100000000-0x1000fffff window]",
            "pci_bus 0000:14: root bus resource [mem 0xc0200000-0xc03fffff window]",
            "pci_bus 0000:14: root bus resource [mem 0x100100000-0x1001fffff window]",
            "iomem 110000000-11fffffff : CXL Window 0",
            "iomem 120000000-13fffffff : CXL Window 1",
            "/sys/bus/cxl/devices/decoder0.0/start is 0x110000000",
            "/sys/bus/cxl/devices/decoder0.1/start is 0x120000000",
        ],
        // The windows are in no bridge's _CRS.
        untold: &["root bus resource [mem 0x110000000", "root bus resource [mem 0x120000000"],
    },
    Machine {
        name: "virt",
        qemu: "qemu-system-aarch64",
        options: &[
            "-M",
            "virt,cxl=on,gic-version=3,acpi=off",
            "-cpu",
            "cortex-a72",
            "-bios",
            "/linux/QEMU_EFI.fd",
        ],
        parameters: "acpi=force",
        linux: "/linux/arm64",
        told: &[
            "ACPI: SPCR: console: pl011,mmio32,0x9000000,115200",
            "printk: console [ttyAMA0] enabled",
            "ACPI: SRAT: Node 0 PXM 0 [mem 0x40000000-0x5fffffff]",
            "ACPI: NUMA: SRAT: PXM 0 -> MPIDR 0x0 -> Node 0",
            "psci: probing for conduit method from ACPI.",
            "GICv3: CPU0: found redistributor 0 region 0:0x00000000080a0000",
            "ITS [mem 0x08080000-0x0809ffff]",
            "ACPI: MCFG table detected, 1 entries",
            "acpi ACPI0016:00: ECAM area [mem 0x4010c00000-0x40113fffff] reserved by PNP0C02:00",
            "ACPI: Remapped I/O 0x000000003eff0000 to [io  0x0000-0xffff window]",
            "pci_bus 0000:0c: root bus resource [mem 0x10000000-0x101fffff window]",
            "pci_bus 0000:0c: root bus resource [mem 0x8000000000-0x80000fffff window]",
            // All windows are in the _CRS of the first bridge.
            "pci_bus 0000:0c: root bus resource [mem 0x10000000000-0x1002fffffff window]",
            // Linux takes them for memory of PCI devices, and deals a part out.
            "pci 0000:0c:00.0: bridge window [mem 0x10000000000-0x100001fffff 64bit pref]: assigned",
            "pci_bus 0000:14: root bus resource [mem 0x10200000-0x103fffff window]",
            "pci_bus 0000:14: root bus resource [mem 0x8000100000-0x80001fffff window]",
            "/sys/bus/cxl/devices/decoder0.0/start is 0x10000000000",
            "/sys/bus/cxl/devices/decoder0.1/start is 0x10010000000",
        ],
        untold: &["pci_bus 0000:14: root bus resource [mem 0x100"],
    },
];

impl Machine {
    /// The options of its QEMU. The folder is the one inside the root with its files.
    pub(super) fn arguments(&self, folder: &str, files: &[(&str, &str)]) -> Vec<String> {
        let mut arguments: Vec<String> = self.options.iter().map(|one| (*one).to_owned()).collect();
        arguments.extend(
            ["-accel", "tcg", "-m", "512", "-nodefaults", "-nographic", "-no-reboot"].map(Into::into),
        );
        arguments.extend(["-serial", "stdio", "-kernel"].map(Into::into));
        arguments.extend([format!("{}/vmlinuz", self.linux), "-initrd".into(), format!("{folder}/initrd")]);
        arguments.extend(["-append".into(), format!("printk.devkmsg=on panic=-1 {}", self.parameters)]);
        for (name, file) in files {
            arguments.extend(["-fw_cfg".into(), format!("name={name},file={folder}/{file}")]);
        }
        for (number, bus) in [(1, 12), (2, 20)] {
            arguments
                .extend(["-device".into(), format!("pxb-cxl,bus=pcie.0,id=bridge{number},bus_nr={bus}")]);
            let port = format!("cxl-rp,bus=bridge{number},id=port{number},chassis={number},slot=2,port=0");
            arguments.extend(["-device".into(), port]);
        }
        arguments
    }
}
