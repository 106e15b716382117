//! What was seen on a machine, as values.

use std::collections::BTreeMap;

/// What was seen on a machine.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The architecture that this program is for.
    pub architecture: &'static str,
    /// The release of the kernel.
    pub kernel: String,
    /// Whether a scenario runs with a soft guest; else what was said.
    pub soft: Result<(), String>,
    /// `/dev/kvm`.
    pub kvm_file: Access,
    /// What KVM offers, once a virtual machine was made; else why none was.
    pub kvm: Result<Kvm, String>,
    /// What there is of the kernel's VFIO.
    pub vfio: Vfio,
    /// What the kernel was built with.
    pub config: Option<Config>,
    /// How many memory devices and ports the kernel's CXL bus has; nothing where there is no such bus.
    pub cxl_bus: Option<usize>,
    /// Whether a program could be lent a device; else what was said.
    pub lend: Result<(), String>,
    /// Whether a server could confine itself; else what was said.
    pub sandbox: Result<(), String>,
    /// What this process may have.
    pub limits: Limits,
    /// Other people's programs.
    pub programs: Programs,
}

/// Whether a file can be opened for reading and writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// It can.
    Opens,
    /// It is not there.
    Absent,
    /// This user may not.
    Denied {
        /// The file's group: its name, or its number where it has none.
        group: String,
        /// The permissions.
        mode: u32,
    },
    /// It fails: how.
    Fails(String),
}

/// What KVM offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kvm {
    /// The version of its interface.
    pub api: i32,
    /// An event becomes an interrupt without an exit.
    pub irqfd: bool,
    /// A store becomes an event without a word of ours.
    pub ioeventfd: bool,
    /// A level that is cleared tells so.
    pub resample: bool,
}

/// What there is of the kernel's VFIO.
#[derive(Clone, Debug)]
pub struct Vfio {
    /// `/dev/vfio/vfio`, which makes containers.
    pub container: Access,
    /// Whether the module for an IOMMU of type 1 is there.
    pub type1: bool,
    /// `/dev/iommu`, which makes iommufds.
    pub iommufd: Access,
    /// Whether devices have files of their own, below `/dev/vfio/devices`.
    pub own_files: bool,
    /// How many IOMMU groups there are.
    pub groups: usize,
    /// The devices that vfio-pci has.
    pub devices: Vec<Device>,
}

/// A device that vfio-pci has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address: `0000:81:00.0`.
    pub address: String,
    /// Vendor and device, as the kernel writes them: `0x10de:0x2941`.
    pub identity: String,
    /// Its file, or that of its group, and whether this user may use it; nothing where there is neither.
    pub file: Option<(String, Access)>,
}

/// The options that a kernel was built with, and where they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file.
    pub file: String,
    /// The options by name, without `CONFIG_`; those that are off are not there.
    pub options: BTreeMap<String, String>,
}

impl Config {
    /// Reads the options out of the text of such a file.
    pub fn parse(file: &str, text: &str) -> Self {
        let set = text.lines().filter_map(|line| line.trim().strip_prefix("CONFIG_")?.split_once('='));
        let options = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { file: file.to_owned(), options }
    }

    /// Whether an option is built in, or a module.
    pub fn has(&self, name: &str) -> bool {
        self.options.get(name).is_some_and(|value| value == "y" || value == "m")
    }
}

/// What this process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of locked memory; nothing is without a limit.
    pub locked: Option<u64>,
    /// The capability `CAP_IPC_LOCK`: there is no limit of locked memory for this process.
    pub may_lock_all: bool,
    /// Open files; nothing is without a limit.
    pub files: Option<u64>,
}

/// Other people's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// QEMU for this architecture.
    pub qemu: Option<Qemu>,
    /// Where a C++ compiler is.
    pub compiler: Option<String>,
}

/// QEMU as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Where.
    pub path: String,
    /// What it says of its version.
    pub version: String,
    /// Whether it knows vfio-user-pci.
    pub has_vfio_user: bool,
}
