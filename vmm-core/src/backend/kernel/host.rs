//! What the host says of a device in its file system, before anything is opened.
//!
//! ```text
//!  /sys/bus/pci/devices/BDF/driver        who drives it
//!                          /iommu_group   which group it is in
//!                          /vfio-dev      its own file, where the kernel makes one
//!                          /power_state   whether it sleeps
//!  /sys/kernel/iommu_groups/N/devices     who else is in the group
//! ```

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use super::address::Address;
use super::address::Function;
use super::address::Way;

/// Where the host's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// `/dev`.
    pub dev: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
}

impl Default for Host {
    fn default() -> Self {
        Self { dev: PathBuf::from("/dev"), sys: PathBuf::from("/sys") }
    }
}

/// What the host says of a device that is VFIO's to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Which device.
    pub(super) function: Function,
    /// The number of its group.
    pub(super) group: String,
    /// The name of its own file, where the kernel makes one.
    pub(super) own_file: Option<String>,
    /// By which way it is reached.
    pub(super) way: Way,
}

impl Host {
    /// What there is to say of a device, or why it cannot be had and what to do.
    pub(super) fn look(&self, address: &Address) -> Result<Facts, String> {
        let function = address.function;
        let folder = self.function(function);
        if std::fs::metadata(&folder).is_err() {
            return Err(format!(
                "{} is not there: `lspci -D` lists the devices of this host",
                folder.display()
            ));
        }
        let driver = name_behind(&folder.join("driver"));
        if !driver.as_deref().is_some_and(is_vfio) {
            return Err(self.unbound(function, driver.as_deref()));
        }
        let Some(group) = name_behind(&folder.join("iommu_group")) else {
            return Err(format!(
                "{} is not there, so no IOMMU stands before the device: switch it on in the firmware, and where the \
                 kernel leaves it off, boot with intel_iommu=on or amd_iommu=on",
                folder.join("iommu_group").display()
            ));
        };
        let own_file = entries(&folder.join("vfio-dev")).into_iter().find(|name| name.starts_with("vfio"));
        let way = self.way(address.way, own_file.as_deref())?;
        Ok(Facts { function, group, own_file, way })
    }

    /// The way that is wished. Without a wish, the device's own file where there is one.
    fn way(&self, wished: Option<Way>, own_file: Option<&str>) -> Result<Way, String> {
        let iommu = self.iommufd();
        let own = own_file.map(|name| self.own_file(name));
        let missing = match &own {
            None => Some(format!(
                "the device has no file of its own below {}: the kernel needs CONFIG_VFIO_DEVICE_CDEV, or take \
                 `,type1`",
                self.dev.join("vfio/devices").display()
            )),
            Some(own) => {
                [own, &iommu].into_iter().find(|path| std::fs::metadata(path).is_err()).map(|path| {
                    format!(
                        "{} is not there: the kernel needs CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV \
                     (`modprobe iommufd`), or take `,type1`",
                        path.display()
                    )
                })
            }
        };
        match (wished, missing) {
            (Some(Way::Type1), _) | (None, Some(_)) => Ok(Way::Type1),
            (Some(Way::Iommufd), Some(missing)) => Err(missing),
            (Some(Way::Iommufd) | None, None) => Ok(Way::Iommufd),
        }
    }

    /// How a device comes to VFIO that another driver has, or none.
    fn unbound(&self, function: Function, driver: Option<&str>) -> String {
        let has =
            driver.map_or("no driver has it".to_owned(), |driver| format!("the driver {driver} has it"));
        let folder = self.function(function);
        let folder = folder.display();
        let unbind = driver.map_or(String::new(), |_| format!("echo {function} > {folder}/driver/unbind; "));
        let probe = self.sys.join("bus/pci/drivers_probe");
        format!(
            "{has}, and not vfio-pci. As root: modprobe vfio-pci; {unbind}echo vfio-pci > {folder}/driver_override; \
             echo {function} > {}",
            probe.display()
        )
    }

    /// The devices of a group that keep it from being the user's, with their drivers.
    pub(super) fn in_the_way(&self, group: &str) -> Vec<String> {
        let devices = self.sys.join("kernel/iommu_groups").join(group).join("devices");
        let held = |name: String| {
            let driver = name_behind(&self.sys.join("bus/pci/devices").join(&name).join("driver"))?;
            let harmless = is_vfio(&driver) || driver == "pci-stub" || driver == "pcieport";
            (!harmless).then(|| format!("{name} (driver {driver})"))
        };
        entries(&devices).into_iter().filter_map(held).collect()
    }

    /// The power state of a device that sleeps although it is open.
    pub(super) fn sleeps(&self, function: Function) -> Option<String> {
        let state = std::fs::read_to_string(self.function(function).join("power_state")).ok()?;
        let state = state.trim();
        state.starts_with("D3").then(|| state.to_owned())
    }

    /// The folder of a device.
    pub(super) fn function(&self, function: Function) -> PathBuf {
        self.sys.join("bus/pci/devices").join(function.to_string())
    }

    /// The file that makes containers.
    pub(super) fn container(&self) -> PathBuf {
        self.dev.join("vfio/vfio")
    }

    /// The file of a group.
    pub(super) fn group(&self, group: &str) -> PathBuf {
        self.dev.join("vfio").join(group)
    }

    /// A device's own file.
    pub(super) fn own_file(&self, name: &str) -> PathBuf {
        self.dev.join("vfio/devices").join(name)
    }

    /// The file that makes iommufds.
    pub(super) fn iommufd(&self) -> PathBuf {
        self.dev.join("iommu")
    }
}

/// Whether a driver gives devices to VFIO: vfio-pci, and those that are one for a single kind of device.
fn is_vfio(driver: &str) -> bool {
    driver.contains("vfio")
}

/// The last part of what a link leads to.
fn name_behind(link: &Path) -> Option<String> {
    let target = std::fs::read_link(link).ok()?;
    target.file_name().and_then(OsStr::to_str).map(str::to_owned)
}

/// The names in a folder, sorted; none if it is not there.
fn entries(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = found.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}
