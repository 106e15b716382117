//! What follows from what was seen: a finding for each thing, by itself.

use super::Diagnosis;
use super::Finding;
use super::State;
use super::facts::Access;
use super::facts::Facts;
use super::facts::Vfio;

/// Guest memory of the bundled scenarios that is mapped for DMA, with some room: less locked memory is too little.
const LOCKED: u64 = 1 << 30;

/// Open files of the largest bundled machine, with its device processes, and some room.
const FILES: u64 = 512;

/// What was seen, judged.
pub fn judge(facts: &Facts) -> Diagnosis {
    let findings = vec![
        soft(facts),
        kvm(facts),
        events(facts),
        type1(facts),
        iommufd(facts),
        groups(facts),
        devices(facts),
        vfio_cxl(facts),
        cxl_bus(facts),
        lend(facts),
        sandbox(facts),
        locked(facts),
        files(facts),
        qemu(facts),
        compiler(facts),
    ];
    Diagnosis { version: env!("CARGO_PKG_VERSION"), works: facts.soft.is_ok(), findings }
}

impl Finding {
    fn found(what: &'static str, enables: &'static str, seen: impl Into<String>) -> Self {
        Self { what, state: State::Found, seen: seen.into(), enables, advice: None }
    }

    fn missing(what: &'static str, enables: &'static str, seen: impl Into<String>) -> Self {
        Self { state: State::Missing, ..Self::found(what, enables, seen) }
    }

    fn with(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    fn unknown(self) -> Self {
        Self { state: State::Unknown, ..self }
    }
}

/// What is found by a trial.
fn tried(
    what: &'static str,
    enables: &'static str,
    seen: &'static str,
    trial: &Result<(), String>,
) -> Finding {
    match trial {
        Ok(()) => Finding::found(what, enables, seen),
        Err(said) => Finding::missing(what, enables, said.as_str()),
    }
}

/// A file that cannot be opened, and what to do where it is not there.
fn closed(finding: (&'static str, &'static str), file: &str, access: &Access, absent: &str) -> Finding {
    let (what, enables) = finding;
    match access {
        Access::Opens => Finding::found(what, enables, format!("{file} opens")),
        Access::Absent => Finding::missing(what, enables, format!("{file} is not there")).with(absent),
        Access::Denied { group, mode } => {
            Finding::missing(what, enables, format!("{file}: this user may not"))
                .with(permission(group, *mode))
        }
        Access::Fails(said) => Finding::missing(what, enables, format!("{file}: {said}")).with(absent),
    }
}

/// How a user gets to open a file of this group.
fn permission(group: &str, mode: u32) -> String {
    if mode & 0o060 == 0o060 && group != "root" {
        format!("be in the group {group} (usermod -aG {group} USER, and log in anew), or be root")
    } else {
        format!("its mode is {:03o} and its group {group}: chown or chmod it, or be root", mode & 0o777)
    }
}

fn soft(facts: &Facts) -> Finding {
    let enables = "scenarios, but for those whose guest runs code; serve, plan, inspect, capture, compare";
    let finding = tried("soft guest", enables, "a scenario passed", &facts.soft);
    match finding.state {
        State::Found => finding,
        _ => {
            finding.with("the folder for temporary files (TMPDIR) must take sockets, and programs be started")
        }
    }
}

fn kvm(facts: &Facts) -> Finding {
    let enables = "guests that run code: --guest kvm, which auto takes where it is";
    let absent = match facts.architecture {
        "x86_64" => {
            "turn on virtualisation in the firmware (or nested virtualisation in the host), and modprobe kvm_intel \
             or kvm_amd; a container must be given /dev/kvm"
        }
        _ => "the kernel must have begun at EL2, with CONFIG_KVM; a container must be given /dev/kvm",
    };
    let finding = closed(("KVM", enables), "/dev/kvm", &facts.kvm_file, absent);
    match (&facts.kvm_file, &facts.kvm) {
        (Access::Opens, Ok(kvm)) => {
            let seen = format!("/dev/kvm, version {} of its interface, makes a virtual machine", kvm.api);
            Finding { seen, ..finding }
        }
        (Access::Opens, Err(said)) => {
            Finding::missing("KVM", enables, format!("/dev/kvm opens, and then: {said}")).with("see dmesg")
        }
        _ => finding,
    }
}

fn events(facts: &Facts) -> Finding {
    let (what, enables) = ("KVM's events", "interrupts and doorbells of a KVM guest without an exit");
    let Some(kvm) = facts.kvm.as_ref().ok().filter(|_| facts.kvm_file == Access::Opens) else {
        return Finding::missing(what, enables, "there is no KVM to ask");
    };
    let offers = [("irqfd", kvm.irqfd), ("ioeventfd", kvm.ioeventfd), ("resampling of irqfd", kvm.resample)];
    let named = |there: bool| {
        let names = offers.iter().filter(|(_, is)| *is == there).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    match named(false) {
        lacks if lacks.is_empty() => Finding::found(what, enables, named(true)),
        lacks => Finding::missing(what, enables, format!("KVM has no {lacks}")),
    }
}

/// What the kernel's way to a device needs first.
const IOMMU_ON: &str =
    "turn on the IOMMU in the firmware, and on the kernel's command line (intel_iommu=on, or its like)";

fn type1(facts: &Facts) -> Finding {
    let Vfio { container, type1, .. } = &facts.vfio;
    let enables = "vfio:BDF,type1: a device of this host through its group";
    let absent = "modprobe vfio-pci, and modprobe vfio_iommu_type1";
    let finding = closed(("VFIO type1", enables), "/dev/vfio/vfio", container, absent);
    if *container == Access::Opens && !type1 {
        let seen = "/dev/vfio/vfio opens, and vfio_iommu_type1 is not loaded";
        return Finding::missing("VFIO type1", enables, seen).with("modprobe vfio_iommu_type1");
    }
    finding
}

fn iommufd(facts: &Facts) -> Finding {
    let Vfio { iommufd, own_files, .. } = &facts.vfio;
    let enables = "vfio:BDF,iommufd: a device of this host through its own file";
    let absent = "modprobe iommufd; the kernel needs CONFIG_IOMMUFD, which Linux has since 6.2";
    let finding = closed(("VFIO iommufd", enables), "/dev/iommu", iommufd, absent);
    if *iommufd != Access::Opens {
        return finding;
    }
    if *own_files {
        Finding {
            seen: "/dev/iommu opens, and devices have files below /dev/vfio/devices".to_owned(),
            ..finding
        }
    } else {
        let seen = "/dev/iommu opens, and no device has a file below /dev/vfio/devices";
        let advice =
            "give a device to vfio-pci; the kernel needs CONFIG_VFIO_DEVICE_CDEV, which Linux has since 6.6";
        Finding::missing("VFIO iommufd", enables, seen).with(advice)
    }
}

fn groups(facts: &Facts) -> Finding {
    let (what, enables) = ("IOMMU groups", "devices that are passed through");
    match facts.vfio.groups {
        0 => Finding::missing(what, enables, "there are none: no IOMMU is on").with(IOMMU_ON),
        1 => Finding::found(what, enables, "there is 1"),
        count => Finding::found(what, enables, format!("there are {count}")),
    }
}

fn devices(facts: &Facts) -> Finding {
    let (what, enables) = ("vfio-pci devices", "inspect, capture, compare and run with vfio:BDF");
    let devices = &facts.vfio.devices;
    let told = devices.iter().map(|device| {
        let state = match &device.file {
            Some((file, Access::Opens)) => format!("by {file}"),
            Some((file, _)) => format!("{file} is not this user's"),
            None => "without a file".to_owned(),
        };
        format!("{} ({}) {state}", device.address, device.identity)
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let denied = devices.iter().find_map(|device| match &device.file {
        Some((_, Access::Denied { group, mode })) => Some(permission(group, *mode)),
        _ => None,
    });
    let is_usable = devices.iter().any(|device| matches!(device.file, Some((_, Access::Opens))));
    match (is_usable, denied) {
        (true, _) => Finding::found(what, enables, told),
        (false, Some(advice)) => Finding::missing(what, enables, told).with(advice),
        (false, None) if devices.is_empty() => Finding::missing(what, enables, "vfio-pci has no device")
            .with("give it one, as the README says under \"On your lab machine\""),
        (false, None) => Finding::missing(what, enables, told).with(IOMMU_ON),
    }
}

fn vfio_cxl(facts: &Facts) -> Finding {
    let (what, enables) =
        ("kernel's vfio-cxl", "the CXL memory of a device of this host, and not its PCI side alone");
    let advice = "a kernel with CONFIG_VFIO_CXL_CORE (posted in April 2026) or CONFIG_VFIO_PCI_CXL (in June); a device \
                  in software has it without";
    let Some(config) = &facts.config else {
        let seen = format!("Linux {}: its options are in no file that can be read", facts.kernel);
        return Finding::missing(what, enables, seen).unknown();
    };
    let names = config.options.keys().filter(|name| name.contains("VFIO") && name.contains("CXL"));
    let on: Vec<_> = names.filter(|name| config.has(name)).map(|name| format!("CONFIG_{name}")).collect();
    if on.is_empty() {
        Finding::missing(what, enables, format!("{}: no option of VFIO for CXL is on", config.file))
            .with(advice)
    } else {
        Finding::found(what, enables, format!("{}: {}", config.file, on.join(", ")))
    }
}

fn cxl_bus(facts: &Facts) -> Finding {
    let (what, enables) =
        ("CXL bus", "the kernel's own view of the host's CXL devices, which vfio-cxl stands on");
    match (facts.cxl_bus, &facts.config) {
        (Some(count), _) => Finding::found(what, enables, format!("/sys/bus/cxl has {count} devices")),
        (None, Some(config)) if config.has("CXL_BUS") => Finding::missing(
            what,
            enables,
            format!("{} has CONFIG_CXL_BUS, and no bus is there", config.file),
        )
        .with("modprobe cxl_core, and cxl_acpi where the firmware tells of CXL"),
        (None, Some(config)) => {
            Finding::missing(what, enables, format!("{} has no CONFIG_CXL_BUS", config.file))
        }
        (None, None) => Finding::missing(what, enables, "/sys/bus/cxl is not there"),
    }
}

fn lend(facts: &Facts) -> Finding {
    let enables = "lend, and run --lend: programs that know the kernel's VFIO alone get a device in software";
    let finding = tried("lending", enables, "a program was lent a device", &facts.lend);
    match finding.state {
        State::Found => finding,
        _ => finding.with(
            "be root, or allow user namespaces (user.max_user_namespaces above 0, and \
             kernel.apparmor_restrict_unprivileged_userns=0); a container must allow unshare, mounts, and \
             seccomp's notifications",
        ),
    }
}

fn sandbox(facts: &Facts) -> Finding {
    let finding = tried("Landlock", "serve --sandbox", "a server confined itself", &facts.sandbox);
    if !finding.seen.contains("has no Landlock") {
        return finding;
    }
    finding.with("--sandbox=best-effort goes without; the kernel needs landlock in CONFIG_LSM, or in lsm=")
}

fn locked(facts: &Facts) -> Finding {
    let (what, enables) =
        ("locked memory", "guest memory that a device of this host reaches, which the kernel locks");
    let limits = &facts.limits;
    match limits.locked {
        _ if limits.may_lock_all => Finding::found(what, enables, "no limit for this process: CAP_IPC_LOCK"),
        None => Finding::found(what, enables, "no limit"),
        Some(limit) if limit >= LOCKED => Finding::found(what, enables, format!("{} MiB", limit >> 20)),
        Some(limit) => Finding::missing(what, enables, format!("{} KiB", limit >> 10)).with(format!(
            "{} MiB or more: ulimit -l, or memlock in /etc/security/limits.conf, or LimitMEMLOCK of a service",
            LOCKED >> 20
        )),
    }
}

fn files(facts: &Facts) -> Finding {
    let (what, enables) = ("open files", "machines with 16 devices, and several scenarios at a time");
    match facts.limits.files {
        None => Finding::found(what, enables, "no limit"),
        Some(limit) if limit >= FILES => Finding::found(what, enables, limit.to_string()),
        Some(limit) => Finding::missing(what, enables, limit.to_string()).with(format!("ulimit -n {FILES}")),
    }
}

fn qemu(facts: &Facts) -> Finding {
    let (what, enables) = ("QEMU", "a second VMM for the device that serve has: -device vfio-user-pci");
    let Some(qemu) = &facts.programs.qemu else {
        let seen = format!("no qemu-system-{} in PATH", facts.architecture);
        return Finding::missing(what, enables, seen).with("QEMU 10.1 or newer");
    };
    let seen = format!("{}: {}", qemu.path, qemu.version);
    if qemu.has_vfio_user {
        return Finding::found(what, enables, format!("{seen}, with vfio-user-pci"));
    }
    Finding::missing(what, enables, format!("{seen}, without vfio-user-pci")).with(
        "QEMU 10.1 or newer, built with vfio-user; an older one takes a device that is lent, by vfio-pci",
    )
}

fn compiler(facts: &Facts) -> Finding {
    let (what, enables) = ("C++ compiler", "cargo ci fuzz, in the sources; this program needs none");
    match &facts.programs.compiler {
        Some(path) => Finding::found(what, enables, path.as_str()),
        None => Finding::missing(what, enables, "no c++ in PATH"),
    }
}

#[cfg(test)]
mod tests;
