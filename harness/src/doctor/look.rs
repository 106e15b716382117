//! Looking at this machine: files, limits, and trials that harm nobody.
//!
//! Files that make containers, iommufds and virtual machines are opened. Those of devices and groups are not: whether
//! this user may open them is all that is asked.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use flate2::read::GzDecoder;
use kvm_ioctls::Cap;
use rustix::fs::Access as Wanted;
use rustix::process::Resource;
use vmm_core::backend::kernel::Function;

use super::facts::Access;
use super::facts::Config;
use super::facts::Device;
use super::facts::Facts;
use super::facts::Kvm;
use super::facts::Limits;
use super::facts::Programs;
use super::facts::Qemu;
use super::facts::Vfio;
use crate::process::DeviceProcess;

/// How long a server may take to confine itself and listen.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The scenario that is tried.
const SCENARIO: &str = "^decoder/first-light$";

/// The number of the capability `CAP_IPC_LOCK`.
const CAP_IPC_LOCK: u32 = 14;

/// What there is on this machine. Trials are made with `program`, which is this one.
pub fn look(program: &Path) -> Facts {
    let root = Path::new("/");
    let kernel = line(&root.join("proc/sys/kernel/osrelease"));
    let kvm_file = opened(root, "dev/kvm");
    Facts {
        architecture: std::env::consts::ARCH,
        soft: tried(Command::new(program).args(["run", "--guest", "soft", "--filter", SCENARIO])),
        kvm: if kvm_file == Access::Opens { kvm() } else { Err("it does not open".to_owned()) },
        kvm_file,
        vfio: vfio(root),
        config: config(root, &kernel),
        cxl_bus: entries(&root.join("sys/bus/cxl/devices")).map(|names| names.len()),
        lend: tried(Command::new(program).args(["lend", "--"]).arg(program).arg("--version")),
        sandbox: sandbox(program),
        limits: limits(root),
        programs: programs(),
        kernel,
    }
}

/// Runs a program that says nothing of interest unless it fails; then the last thing that it says is the error.
fn tried(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it fails").trim().to_owned())
}

fn sandbox(program: &Path) -> Result<(), String> {
    let confined = DeviceProcess::start_with(program, TIMEOUT, |command, _| {
        command.args(["serve", "--sandbox"]);
        Ok(())
    });
    confined.map(drop).map_err(|error| error.to_string())
}

fn kvm() -> Result<Kvm, String> {
    let said = |error: kvm_ioctls::Error| error.to_string();
    let kvm = kvm_ioctls::Kvm::new().map_err(said)?;
    kvm.create_vm().map_err(said)?;
    let has = |what| kvm.check_extension(what);
    Ok(Kvm {
        api: kvm.get_api_version(),
        irqfd: has(Cap::Irqfd),
        ioeventfd: has(Cap::Ioeventfd),
        resample: has(Cap::IrqfdResample),
    })
}

fn vfio(root: &Path) -> Vfio {
    Vfio {
        container: opened(root, "dev/vfio/vfio"),
        type1: root.join("sys/module/vfio_iommu_type1").is_dir(),
        iommufd: opened(root, "dev/iommu"),
        own_files: entries(&root.join("dev/vfio/devices")).is_some_and(|names| !names.is_empty()),
        groups: entries(&root.join("sys/kernel/iommu_groups")).map_or(0, |names| names.len()),
        devices: devices(root),
    }
}

/// The devices that vfio-pci has.
fn devices(root: &Path) -> Vec<Device> {
    let driver = root.join("sys/bus/pci/drivers/vfio-pci");
    let mut names = entries(&driver).unwrap_or_default();
    // Beside the devices there are files to tell the driver something.
    names.retain(|name| name.parse::<Function>().is_ok());
    names.sort_unstable();
    names.into_iter().map(|address| device(root, &driver.join(&address), address)).collect()
}

fn device(root: &Path, folder: &Path, address: String) -> Device {
    let own = entries(&folder.join("vfio-dev")).and_then(|names| names.into_iter().next());
    let own = own.map(|name| format!("dev/vfio/devices/{name}")).filter(|file| root.join(file).exists());
    let group = std::fs::read_link(folder.join("iommu_group")).ok();
    let group = group.and_then(|path| Some(format!("dev/vfio/{}", path.file_name()?.display())));
    Device {
        identity: format!("{}:{}", line(&folder.join("vendor")), line(&folder.join("device"))),
        file: own.or(group).map(|file| (format!("/{file}"), permitted(root, &file))),
        address,
    }
}

/// Whether a file can be opened: it is tried.
fn opened(root: &Path, file: &str) -> Access {
    let tried = OpenOptions::new().read(true).write(true).open(root.join(file));
    access(root, file, tried.map(drop))
}

/// Whether a file can be opened, by its permissions alone: it stays as it is.
fn permitted(root: &Path, file: &str) -> Access {
    let asked = rustix::fs::access(root.join(file), Wanted::READ_OK | Wanted::WRITE_OK);
    access(root, file, asked.map_err(io::Error::from))
}

fn access(root: &Path, file: &str, tried: io::Result<()>) -> Access {
    match tried {
        Ok(()) => Access::Opens,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Access::Absent,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            match std::fs::metadata(root.join(file)) {
                Ok(metadata) => {
                    Access::Denied { group: group(root, metadata.gid()), mode: metadata.mode() & 0o777 }
                }
                Err(_) => Access::Fails(error.to_string()),
            }
        }
        Err(error) => Access::Fails(error.to_string()),
    }
}

/// The name of a group, or its number where it has none.
fn group(root: &Path, number: u32) -> String {
    let number = number.to_string();
    let groups = std::fs::read_to_string(root.join("etc/group")).unwrap_or_default();
    let found = groups.lines().find_map(|line| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        (parts.nth(1)? == number).then(|| name.to_owned())
    });
    found.unwrap_or(number)
}

/// The options of the kernel: of the running one's own file, or of one that its package has.
fn config(root: &Path, kernel: &str) -> Option<Config> {
    let own = Path::new("proc/config.gz");
    let packed = File::open(root.join(own)).ok().and_then(|file| {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).ok().map(|_| text)
    });
    let paths = [format!("boot/config-{kernel}"), format!("lib/modules/{kernel}/config")];
    let plain = || {
        paths.iter().find_map(|path| {
            let text = std::fs::read_to_string(root.join(path)).ok()?;
            Some(Config::parse(&format!("/{path}"), &text))
        })
    };
    packed.map(|text| Config::parse("/proc/config.gz", &text)).or_else(plain)
}

fn limits(root: &Path) -> Limits {
    let status = std::fs::read_to_string(root.join("proc/self/status")).unwrap_or_default();
    Limits {
        locked: rustix::process::getrlimit(Resource::Memlock).current,
        may_lock_all: capabilities(&status) >> CAP_IPC_LOCK & 1 == 1,
        files: rustix::process::getrlimit(Resource::Nofile).current,
    }
}

/// The capabilities that are in effect, by the file that tells of a process.
fn capabilities(status: &str) -> u64 {
    let found = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    found.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn programs() -> Programs {
    let qemu = in_path(&format!("qemu-system-{}", std::env::consts::ARCH)).map(|path| {
        let said = |arguments: &[&str]| {
            let output = Command::new(&path).args(arguments).stdin(Stdio::null()).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        Qemu {
            version: said(&["--version"]).lines().next().unwrap_or("no version").to_owned(),
            has_vfio_user: said(&["-device", "help"]).contains("\"vfio-user-pci\""),
            path: path.display().to_string(),
        }
    });
    Programs { qemu, compiler: in_path("c++").map(|path| path.display().to_string()) }
}

/// Where a program is.
fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The names in a folder; nothing where it cannot be read.
fn entries(folder: &Path) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(folder).ok()?;
    Some(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// What a file of one line says.
fn line(file: &Path) -> String {
    std::fs::read_to_string(file).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_root_with_nothing_has_no_vfio() {
        let root = root(&[]);
        let Vfio { container, type1, iommufd, own_files, groups, devices } = vfio(root.path());
        assert_eq!((container, iommufd), (Access::Absent, Access::Absent));
        assert_eq!((type1, own_files, groups, devices), (false, false, 0, vec![]));
    }

    #[test]
    fn a_device_of_vfio_pci_has_its_own_file_or_that_of_its_group() {
        let pci = "sys/bus/pci/drivers/vfio-pci";
        let root = root(&[
            (&format!("{pci}/new_id"), ""),
            (&format!("{pci}/0000:c1:00.0/vendor"), "0x8086\n"),
            (&format!("{pci}/0000:c1:00.0/device"), "0x0d93\n"),
            (&format!("{pci}/0000:c1:00.0/vfio-dev/vfio3/dev"), "511:3\n"),
            (&format!("{pci}/0000:81:00.0/vendor"), "0x10de\n"),
            (&format!("{pci}/0000:81:00.0/device"), "0x2941\n"),
            ("dev/vfio/devices/vfio3", ""),
        ]);
        symlink("../../../kernel/iommu_groups/7", root.path().join(pci).join("0000:81:00.0/iommu_group"))
            .unwrap();
        let found = devices(root.path());
        let expected = [
            ("0000:81:00.0", "0x10de:0x2941", ("/dev/vfio/7", Access::Absent)),
            ("0000:c1:00.0", "0x8086:0x0d93", ("/dev/vfio/devices/vfio3", Access::Opens)),
        ];
        let expected = expected.map(|(address, identity, (file, access))| Device {
            address: address.to_owned(),
            identity: identity.to_owned(),
            file: Some((file.to_owned(), access)),
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn the_running_kernels_own_options_come_first() {
        let root = root(&[("boot/config-6.12.1", "CONFIG_IOMMUFD=m\n")]);
        let found = config(root.path(), "6.12.1").unwrap();
        assert_eq!((found.file.as_str(), found.has("IOMMUFD")), ("/boot/config-6.12.1", true));
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let mut packed =
            GzEncoder::new(File::create(root.path().join("proc/config.gz")).unwrap(), Compression::fast());
        io::Write::write_all(&mut packed, b"# CONFIG_IOMMUFD is not set\nCONFIG_CXL_BUS=y\n").unwrap();
        packed.finish().unwrap();
        let found = config(root.path(), "6.12.1").unwrap();
        assert_eq!(found.file, "/proc/config.gz");
        assert_eq!((found.has("IOMMUFD"), found.has("CXL_BUS")), (false, true));
        assert_eq!(config(root.path().join("dev").as_path(), "6.12.1"), None);
    }

    #[test]
    fn a_group_is_told_by_name_or_else_by_number() {
        let root = root(&[("etc/group", "root:x:0:\nkvm:x:104:me\n")]);
        assert_eq!([0, 104, 105].map(|number| group(root.path(), number)), ["root", "kvm", "105"]);
    }

    #[test]
    fn capabilities_are_those_in_effect() {
        assert_eq!(capabilities("CapPrm:\t000001ffffffffff\nCapEff:\t0000000000004001\n"), 0x4001);
        assert_eq!(capabilities(""), 0);
    }

    #[test]
    fn a_program_that_fails_says_why_in_its_last_line() {
        let said = tried(Command::new("sh").args(["-c", "echo first; echo last >&2; exit 3"]));
        assert_eq!(said.unwrap_err(), "last");
        assert_eq!(tried(Command::new("sh").args(["-c", "echo first"])), Ok(()));
    }
}
