//! Machines typed by hand, and what is said of them.

use rstest::rstest;

use super::*;
use crate::doctor::facts::Config;
use crate::doctor::facts::Device;
use crate::doctor::facts::Kvm;
use crate::doctor::facts::Limits;
use crate::doctor::facts::Programs;
use crate::doctor::facts::Qemu;

/// A machine in a lab: root on it, and all that there can be.
fn lab() -> Facts {
    let options =
        "CONFIG_IOMMUFD=y\nCONFIG_CXL_BUS=y\nCONFIG_VFIO_PCI_CXL=y\n# CONFIG_VFIO_NOIOMMU is not set\n";
    Facts {
        architecture: "x86_64",
        kernel: "7.2.0".to_owned(),
        soft: Ok(()),
        kvm_file: Access::Opens,
        kvm: Ok(Kvm { api: 12, irqfd: true, ioeventfd: true, resample: true }),
        vfio: Vfio {
            container: Access::Opens,
            type1: true,
            iommufd: Access::Opens,
            own_files: true,
            groups: 41,
            devices: vec![device(Access::Opens)],
        },
        config: Some(Config::parse("/proc/config.gz", options)),
        cxl_bus: Some(3),
        lend: Ok(()),
        sandbox: Ok(()),
        limits: Limits { locked: None, may_lock_all: true, files: Some(1024) },
        programs: Programs {
            qemu: Some(Qemu {
                path: "/usr/bin/qemu-system-x86_64".to_owned(),
                version: "QEMU emulator version 11.1.0".to_owned(),
                has_vfio_user: true,
            }),
            compiler: Some("/usr/bin/c++".to_owned()),
        },
    }
}

fn device(access: Access) -> Device {
    Device {
        address: "0000:81:00.0".to_owned(),
        identity: "0x10de:0x2941".to_owned(),
        file: Some(("/dev/vfio/devices/vfio0".to_owned(), access)),
    }
}

/// A laptop: a user who is in no group, no IOMMU, an older QEMU.
fn laptop() -> Facts {
    Facts {
        kvm_file: denied("kvm", 0o660),
        kvm: Err("it does not open".to_owned()),
        vfio: Vfio {
            container: denied("root", 0o600),
            type1: false,
            iommufd: Access::Absent,
            own_files: false,
            groups: 0,
            devices: vec![],
        },
        config: Some(Config::parse("/boot/config-6.1.0", "CONFIG_CXL_BUS=m\n")),
        cxl_bus: None,
        limits: Limits { locked: Some(8 << 20), may_lock_all: false, files: Some(256) },
        programs: Programs {
            qemu: Some(Qemu {
                path: "/usr/bin/qemu-system-x86_64".to_owned(),
                version: "QEMU emulator version 7.2.0".to_owned(),
                has_vfio_user: false,
            }),
            compiler: None,
        },
        ..lab()
    }
}

/// A container that may do nothing.
fn container() -> Facts {
    Facts {
        kvm_file: Access::Absent,
        kvm: Err("it does not open".to_owned()),
        vfio: Vfio { container: Access::Absent, ..laptop().vfio },
        config: None,
        lend: Err("unshare: Operation not permitted".to_owned()),
        sandbox: Err("this kernel has no Landlock".to_owned()),
        programs: Programs { qemu: None, compiler: None },
        ..laptop()
    }
}

fn denied(group: &str, mode: u32) -> Access {
    Access::Denied { group: group.to_owned(), mode }
}

fn finding(facts: &Facts, what: &str) -> Finding {
    judge(facts).findings.into_iter().find(|finding| finding.what == what).unwrap()
}

fn advice(facts: &Facts, what: &str) -> String {
    finding(facts, what).advice.unwrap()
}

fn in_state(facts: &Facts, state: State) -> Vec<&'static str> {
    let findings = judge(facts).findings.into_iter();
    findings.filter(|finding| finding.state == state).map(|finding| finding.what).collect()
}

#[test]
fn in_a_lab_nothing_is_missing_and_nothing_is_to_do() {
    let told = judge(&lab());
    assert!(told.works);
    assert!(told.findings.iter().all(|finding| finding.state == State::Found), "{}", told.text());
    assert!(told.findings.iter().all(|finding| finding.advice.is_none()), "{}", told.text());
}

#[test]
fn on_a_laptop_scenarios_run_and_what_is_missing_is_named() {
    assert!(judge(&laptop()).works);
    let there = ["soft guest", "lending", "Landlock"];
    assert_eq!(in_state(&laptop(), State::Found), there);
    assert_eq!(
        advice(&laptop(), "KVM"),
        "be in the group kvm (usermod -aG kvm USER, and log in anew), or be root"
    );
    assert_eq!(
        advice(&laptop(), "VFIO type1"),
        "its mode is 600 and its group root: chown or chmod it, or be root"
    );
    assert!(advice(&laptop(), "locked memory").starts_with("1024 MiB or more: "));
    assert_eq!(finding(&laptop(), "locked memory").seen, "8192 KiB");
    assert_eq!(advice(&laptop(), "open files"), "ulimit -n 512");
}

#[test]
fn in_a_container_the_kernels_options_are_unknown_and_not_missing() {
    assert!(judge(&container()).works);
    assert_eq!(in_state(&container(), State::Found), ["soft guest"]);
    assert_eq!(in_state(&container(), State::Unknown), ["kernel's vfio-cxl"]);
    assert_eq!(finding(&container(), "lending").seen, "unshare: Operation not permitted");
    assert_eq!(finding(&container(), "QEMU").seen, "no qemu-system-x86_64 in PATH");
}

#[test]
fn where_no_scenario_runs_nothing_works_whatever_else_is_there() {
    let facts = Facts { soft: Err("making a folder: Read-only file system".to_owned()), ..lab() };
    let told = judge(&facts);
    assert!(!told.works);
    assert_eq!(in_state(&facts, State::Missing), ["soft guest"]);
    assert!(told.text().ends_with("scenarios do not run here"), "{}", told.text());
}

#[test]
fn kvm_that_makes_no_machine_is_missing_and_so_are_its_events() {
    let facts = Facts { kvm: Err("Device or resource busy".to_owned()), ..lab() };
    assert_eq!(in_state(&facts, State::Missing), ["KVM", "KVM's events"]);
    assert_eq!(finding(&facts, "KVM").seen, "/dev/kvm opens, and then: Device or resource busy");
}

#[rstest]
#[case(Kvm { api: 12, irqfd: false, ioeventfd: true, resample: true }, "KVM has no irqfd")]
#[case(Kvm { api: 12, irqfd: true, ioeventfd: false, resample: true }, "KVM has no ioeventfd")]
#[case(Kvm { api: 12, irqfd: true, ioeventfd: true, resample: false }, "KVM has no resampling of irqfd")]
fn an_event_that_kvm_has_not_is_named(#[case] kvm: Kvm, #[case] seen: &str) {
    let found = finding(&Facts { kvm: Ok(kvm), ..lab() }, "KVM's events");
    assert_eq!((found.state, found.seen.as_str()), (State::Missing, seen));
}

#[test]
fn each_part_of_the_kernels_vfio_is_missed_by_itself() {
    let with = |change: fn(&mut Vfio)| {
        let mut facts = lab();
        change(&mut facts.vfio);
        in_state(&facts, State::Missing)
    };
    assert_eq!(with(|vfio| vfio.container = Access::Absent), ["VFIO type1"]);
    assert_eq!(with(|vfio| vfio.type1 = false), ["VFIO type1"]);
    assert_eq!(with(|vfio| vfio.iommufd = Access::Fails("No such device".to_owned())), ["VFIO iommufd"]);
    assert_eq!(with(|vfio| vfio.own_files = false), ["VFIO iommufd"]);
    assert_eq!(with(|vfio| vfio.groups = 0), ["IOMMU groups"]);
    assert_eq!(with(|vfio| vfio.devices.clear()), ["vfio-pci devices"]);
}

#[test]
fn one_device_that_this_user_may_open_is_enough() {
    let with = |devices: Vec<Device>| Facts { vfio: Vfio { devices, ..lab().vfio }, ..lab() };
    let closed = || device(denied("vfio", 0o660));
    let found = finding(&with(vec![closed(), device(Access::Opens)]), "vfio-pci devices");
    assert_eq!(found.state, State::Found);
    let facts = with(vec![closed()]);
    let seen = "0000:81:00.0 (0x10de:0x2941) /dev/vfio/devices/vfio0 is not this user's";
    assert_eq!(finding(&facts, "vfio-pci devices").seen, seen);
    assert!(advice(&facts, "vfio-pci devices").starts_with("be in the group vfio "));
    let lone = Device { file: None, ..closed() };
    assert_eq!(advice(&with(vec![lone]), "vfio-pci devices"), IOMMU_ON);
}

#[rstest]
#[case("CONFIG_VFIO_CXL_CORE=y", State::Found)]
#[case("CONFIG_VFIO_PCI_CXL=m", State::Found)]
#[case("CONFIG_VFIO_PCI_CXL=n", State::Missing)]
#[case("# CONFIG_VFIO_PCI_CXL is not set", State::Missing)]
#[case("CONFIG_VFIO_PCI=y\nCONFIG_CXL_PCI=y", State::Missing)]
fn a_kernel_has_vfio_cxl_by_the_options_it_was_built_with(#[case] text: &str, #[case] state: State) {
    let facts = Facts { config: Some(Config::parse("/proc/config.gz", text)), ..lab() };
    assert_eq!(finding(&facts, "kernel's vfio-cxl").state, state);
}

#[test]
fn a_limit_of_locked_memory_binds_who_has_no_capability() {
    let with = |locked, may_lock_all| {
        let facts = Facts { limits: Limits { locked, may_lock_all, files: None }, ..lab() };
        finding(&facts, "locked memory").state
    };
    assert_eq!(with(Some(1 << 20), true), State::Found);
    assert_eq!(with(Some((1 << 30) - 1), false), State::Missing);
    assert_eq!(with(Some(1 << 30), false), State::Found);
    assert_eq!(with(None, false), State::Found);
}

#[test]
fn what_is_missing_is_told_with_what_it_would_enable_and_what_to_do() {
    let text = judge(&laptop()).text();
    let lines: Vec<_> = text.lines().collect();
    let at = lines.iter().position(|line| *line == "missing  open files        256").unwrap();
    assert_eq!(
        lines[at + 1],
        "                           would enable machines with 16 devices, and several scenarios at a time"
    );
    assert_eq!(lines[at + 2], "                           to do: ulimit -n 512");
}

#[test]
fn the_json_has_the_shape_that_others_script_against() {
    let told: serde_json::Value = serde_json::from_str(&judge(&laptop()).json()).unwrap();
    assert_eq!(told["works"], true);
    let files = told["findings"].as_array().unwrap().iter().find(|one| one["what"] == "open files").unwrap();
    let expected = serde_json::json!({
        "what": "open files", "state": "missing", "seen": "256", "advice": "ulimit -n 512",
        "enables": "machines with 16 devices, and several scenarios at a time",
    });
    assert_eq!(*files, expected);
}
