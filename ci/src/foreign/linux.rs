//! A Linux as it is boots inside of QEMU with a machine's ACPI tables in place of QEMU's, and tells what it made of
//! them.
//!
//! ```text
//!  cxl-sim acpi ──▶ NAME.dat ──▶ image ──▶ memory of QEMU's q35 ──▶ Linux, acpi_rsdp= ──▶ its log, and as its first
//!               └─▶ places ───────┘                                  program ci/linux-init: sysfs, /proc/iomem
//! ```
//!
//! QEMU lends a processor, RAM, an interrupt controller, configuration space and two host bridges on the buses that
//! our tables name. What is behind our tables' other addresses is not there, so this judges what Linux reads out of
//! the tables, and not the devices.
//!
//! Our tables tell of no timer (the machine is one of reduced hardware, and a guest under KVM takes its clock from
//! there), so the kernel is told how fast its clock runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use super::process::Running;
use super::process::Silence;
use super::root::Root;
use crate::commands::cargo;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The machine whose tables they are.
const MACHINE: &str = "ci/machines/q35.toml";

/// The first program.
const INIT: &str = include_str!("../../linux-init");

/// What it says in the end.
const END: &str = "all is told";

/// How long the whole of it may take. It is there to end a wait that would have no end.
const PATIENCE: Duration = Duration::from_secs(600);

/// RAM of the machine, and what QEMU has above it for Linux to arrive in, in MiB.
const RAM: u64 = 512;
const ABOVE: u64 = 128;

/// What no line may say: Linux says so of tables that it does not like.
const COMPLAINTS: [&str; 9] = [
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

/// What lines must say, each in full, typed from the plan of the machine and from what each table is for.
const TOLD: &[&str] = &[
    // RSDP, XSDT and the tables behind it.
    "ACPI: RSDP 0x000000001FF00000 000024 (v02 CXLSIM)",
    "ACPI: 1 ACPI AML tables successfully acquired and loaded",
    // MADT, SRAT and HMAT.
    "IOAPIC[0]: apic_id 0, version 32, address 0xfec00000, GSI 0-23",
    "ACPI: SRAT: Node 0 PXM 0 [mem 0x00000000-0x1fffffff]",
    "acpi/hmat: Memory Flags:0001 Processor Domain:0 Memory Domain:0",
    "/sys/devices/system/node/node0/access0/initiators/read_latency is 80",
    "/sys/devices/system/node/node0/access0/initiators/write_bandwidth is 200000",
    // MCFG.
    "PCI: ECAM [mem 0xb0000000-0xbfffffff] (base 0xb0000000) for domain 0000 [bus 00-ff]",
    "acpi PNP0C02:00: Reserved [mem 0xb0000000-0xbfffffff]",
    // _CRS of the host bridges, and the fixed windows in none of them.
    "ACPI: PCI Root Bridge [PC00] (domain 0000 [bus 00-0b])",
    "ACPI: PCI Root Bridge [PC0C] (domain 0000 [bus 0c-13])",
    "pci_bus 0000:0c: root bus resource [mem 0xc0000000-0xc01fffff window]",
    "pci_bus 0000:0c: root bus resource [mem 0x100000000-0x1000fffff window]",
    "ACPI: PCI Root Bridge [PC14] (domain 0000 [bus 14-ff])",
    "pci_bus 0000:14: root bus resource [mem 0xc0200000-0xc03fffff window]",
    "pci_bus 0000:14: root bus resource [mem 0x100100000-0x1001fffff window]",
    // _OSC, both times.
    "acpi PNP0A08:00: _OSC: OS now controls [PCIeHotplug PME AER PCIeCapability]",
    "acpi ACPI0016:00: _OSC: OS now controls [PCIeHotplug PME AER PCIeCapability]",
    "acpi ACPI0016:00: _OSC: OS now controls [CXLMemErrorReporting]",
    "acpi ACPI0016:01: _OSC: OS now controls [CXLMemErrorReporting]",
    // The devices of the DSDT.
    "/sys/bus/acpi/devices/ACPI0016:00/path is \\_SB_.PC0C",
    "/sys/bus/acpi/devices/ACPI0016:00/uid is 12",
    "/sys/bus/acpi/devices/ACPI0016:01/uid is 20",
    "/sys/bus/acpi/devices/ACPI0017:00/path is \\_SB_.CXLM",
    // CEDT: a window of each device, the second one with back-invalidation, and the bridges.
    "iomem 110000000-11fffffff : CXL Window 0",
    "/sys/bus/cxl/devices/decoder0.0/start is 0x110000000",
    "/sys/bus/cxl/devices/decoder0.0/size is 0x10000000",
    "/sys/bus/cxl/devices/decoder0.0/target_list is 12",
    "/sys/bus/cxl/devices/decoder0.0/interleave_ways is 1",
    "/sys/bus/cxl/devices/decoder0.0/locked is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_type2 is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_type3 is 0",
    "/sys/bus/cxl/devices/decoder0.0/cap_ram is 1",
    "/sys/bus/cxl/devices/decoder0.0/cap_pmem is 0",
    "iomem 120000000-13fffffff : CXL Window 1",
    "/sys/bus/cxl/devices/decoder0.1/start is 0x120000000",
    "/sys/bus/cxl/devices/decoder0.1/size is 0x20000000",
    "/sys/bus/cxl/devices/decoder0.1/target_list is 20",
    "pci0000:0c: host supports CXL",
    "pci0000:14: host supports CXL",
    "a port at pci0000:0c",
    "a port at pci0000:14",
];

/// Boots Linux with the tables of the machine.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    match Root::find(workspace).map(|root| booted(workspace, &root)) {
        Ok(Ok(told)) => Outcome::Passed(format!("{told} things told")),
        Ok(Err(said)) => Outcome::Failed(said),
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn booted(workspace: &Workspace, root: &Root) -> Result<usize, String> {
    let folder = root.folder()?;
    let place = image(workspace, folder.path())?;
    initial_files(root, folder.path())?;
    let log = boot(root, folder.path(), place)?;
    judge(&log).map_err(|said| format!("{said}\n{}", log.join("\n")))
}

/// Writes the tables of the machine as they are in memory, and returns where that is.
fn image(workspace: &Workspace, folder: &Path) -> Result<u64, String> {
    let mut write = cargo(workspace, "run --release -q -- acpi --out");
    write.arg(folder).arg(MACHINE);
    let said = run(write)?;
    let places: Vec<_> = said.lines().map(placed).collect::<Option<_>>().ok_or_else(|| said.clone())?;
    let start = places.iter().map(|(_, place)| *place).min().ok_or("there are no tables")?;
    let mut image = Vec::new();
    for (file, place) in places {
        let unreadable = |error| format!("{file}: {error}");
        let table = fs::read(file).map_err(unreadable)?;
        let offset = usize::try_from(place.saturating_sub(start)).unwrap_or(usize::MAX);
        let end = offset.saturating_add(table.len());
        if end > 1 << 20 {
            return Err(format!("{file}: at {place:#x}, too far from the first at {start:#x}"));
        }
        image.resize(image.len().max(end), 0);
        let target = image.get_mut(offset..end).ok_or("a table has no place")?;
        target.copy_from_slice(&table);
    }
    written(&folder.join("image"), &image)?;
    Ok(start)
}

/// The file and the place that a line tells of: `FILE: N bytes for PLACE`.
fn placed(line: &str) -> Option<(&str, u64)> {
    let (file, rest) = line.split_once(": ")?;
    let (_, place) = rest.split_once(" for 0x")?;
    Some((file, u64::from_str_radix(place, 16).ok()?))
}

/// Packs what Linux finds when it starts: the first program, a shell for it, and modules.
fn initial_files(root: &Root, folder: &Path) -> Result<(), String> {
    let init = folder.join("init");
    written(&init, INIT.as_bytes())?;
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&init, executable).map_err(|error| format!("{}: {error}", init.display()))?;
    let mut pack = root.command("sh");
    let script = "cd \"$1\" && mkdir bin dev proc sys && cp /bin/busybox bin/ && cp -r /linux modules &&
        find bin dev proc sys init modules/*.ko modules | busybox cpio -o -H newc > initrd";
    pack.args(["-euc", script, "sh"]).arg(root.inside(folder)?);
    run(pack).map(drop)
}

fn written(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Everything that Linux says, until its first program has told all.
fn boot(root: &Root, folder: &Path, place: u64) -> Result<Vec<String>, String> {
    let mut qemu = root.command("qemu-system-x86_64");
    qemu.args(arguments(&root.inside(folder)?, place));
    let (mut running, lines) = Running::start(qemu)?;
    let now = Instant::now();
    let deadline = now.checked_add(PATIENCE).unwrap_or(now);
    let mut log = Vec::new();
    loop {
        match lines.find(deadline, |line| Some(without_time(line).to_owned())) {
            Ok(line) if line == END => return Ok(log),
            Ok(line) => log.push(line),
            Err(silence) => {
                let how = match silence {
                    Silence::TooLong => "Linux did not tell all in time",
                    Silence::Ended => "Linux ended before it had told all",
                };
                return Err(format!("{how}: {}\n{}", running.kill(), log.join("\n")));
            }
        }
    }
}

/// A machine with two host bridges of its own on the buses of ours, each with a port.
fn arguments(folder: &str, place: u64) -> Vec<String> {
    // The image has a place of its own in the memory map, as firmware would have made it.
    let parameters = format!(
        "console=ttyS0 earlyprintk=serial,keep printk.devkmsg=on reboot=t panic=-1 tsc_early_khz=2500000 \
         mem={RAM}M memmap=64K${place:#x} acpi_rsdp={place:#x}"
    );
    let memory = RAM.saturating_add(ABOVE).to_string();
    let (kernel, initrd) = ("/linux/vmlinuz".to_owned(), format!("{folder}/initrd"));
    let image = format!("loader,file={folder}/image,addr={place:#x},force-raw=on");
    let mut arguments: Vec<String> =
        ["-M", "q35,cxl=on", "-accel", "tcg", "-cpu", "max"].map(Into::into).into();
    arguments.extend(["-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"].map(Into::into));
    arguments.extend(["-m".into(), memory, "-kernel".into(), kernel, "-initrd".into(), initrd]);
    arguments.extend(["-append".into(), parameters, "-device".into(), image]);
    for (number, bus) in [(1, 12), (2, 20)] {
        arguments.extend(["-device".into(), format!("pxb-cxl,bus=pcie.0,id=bridge{number},bus_nr={bus}")]);
        let port = format!("cxl-rp,bus=bridge{number},id=port{number},chassis={number},slot=2,port=0");
        arguments.extend(["-device".into(), port]);
    }
    arguments
}

/// A line of the kernel's log without the time that it begins with, and without blanks around it.
fn without_time(line: &str) -> &str {
    let text = line.trim().strip_prefix('[').and_then(|line| line.split_once("] "));
    text.map_or(line, |(_, text)| text).trim()
}

/// Whether the log has all that it must and nothing that it may not. How many things were told.
fn judge(log: &[String]) -> Result<usize, String> {
    let complained = log.iter().find(|line| COMPLAINTS.iter().any(|one| line.contains(one)));
    if let Some(line) = complained {
        return Err(format!("Linux complains: {line}"));
    }
    match TOLD.iter().find(|told| log.iter().all(|line| line != *told)) {
        Some(missing) => Err(format!("Linux does not say: {missing}")),
        None => Ok(TOLD.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Vec<String> {
        TOLD.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_log_that_says_all_passes_and_one_that_lacks_a_line_does_not() {
        assert_eq!(judge(&told()), Ok(TOLD.len()));
        for index in 0..TOLD.len() {
            let mut log = told();
            let missing = log.remove(index);
            assert_eq!(judge(&log), Err(format!("Linux does not say: {missing}")));
        }
    }

    #[test]
    fn a_complaint_fails_whatever_else_is_said() {
        for complaint in COMPLAINTS {
            let mut log = told();
            log.push(format!("[{complaint}]: x"));
            assert_eq!(judge(&log), Err(format!("Linux complains: [{complaint}]: x")));
        }
    }

    #[test]
    fn the_time_of_a_line_is_not_part_of_it() {
        assert_eq!(
            without_time("[    3.738390]  pci0000:0c: host supports CXL\r"),
            "pci0000:0c: host supports CXL"
        );
        assert_eq!(without_time("Booting from ROM..."), "Booting from ROM...");
    }

    #[test]
    fn a_line_tells_the_file_of_a_table_and_its_place() {
        assert_eq!(placed("t/RSDP.dat: 36 bytes for 0x1ff00000"), Some(("t/RSDP.dat", 0x1ff0_0000)));
        assert_eq!(placed("t/RSDP.dat: 36 bytes"), None);
    }
}
