//! From a device's name to its open file and what it reaches.
//!
//! ```text
//!  type1     container ─▶ version, extension ─▶ group ─▶ viable? ─▶ into the container ─▶ IOMMU ─▶ device
//!  iommufd   iommufd ─▶ own file ─▶ bind ─▶ address space ─▶ attach
//! ```
//!
//! Every step that fails says what to do.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use vfio_abi::errno::Errno;
use vfio_abi::kernel::API_VERSION;
use vfio_abi::kernel::AttachIommufd;
use vfio_abi::kernel::BindIommufd;
use vfio_abi::kernel::GroupStatus;
use vfio_abi::kernel::Order;
use vfio_abi::kernel::TYPE1V2;
use vfio_abi::kernel::group;
use zerocopy::IntoBytes;

use super::address::Way;
use super::advice;
use super::advice::Step;
use super::host::Facts;
use super::host::Host;
use super::ioctl::System;
use super::ioctl::With;
use super::space::Space;

/// A device that is open. Fields are dropped in this order: the device before what it reaches.
#[derive(Debug)]
pub(super) struct Open {
    /// Its file.
    pub(super) device: OwnedFd,
    /// What it reaches.
    pub(super) space: Space,
    /// The addresses that it can reach, each with its last one; none if nobody says.
    pub(super) ranges: Vec<(u64, u64)>,
}

impl Open {
    /// Opens a device of which these are the facts.
    pub(super) fn new(system: &dyn System, host: &Host, facts: &Facts) -> Result<Self, String> {
        let opener = Opener { system, host };
        let (device, space) = match facts.way {
            Way::Type1 => opener.type1(facts)?,
            Way::Iommufd => opener.iommufd(facts)?,
        };
        if let Some(state) = host.sleeps(facts.function) {
            return Err(format!(
                "the device is in {state} though it is open, and answers nothing there: echo on > \
                 {}/power/control, and the same for the port above it",
                host.function(facts.function).display()
            ));
        }
        let ranges = space.ranges(system);
        Ok(Self { device, space, ranges })
    }
}

struct Opener<'a> {
    system: &'a dyn System,
    host: &'a Host,
}

impl Opener<'_> {
    fn open(&self, step: Step, path: &Path) -> Result<OwnedFd, String> {
        self.system.open(path).map_err(|errno| advice::at_step(step, path, errno))
    }

    fn type1(&self, facts: &Facts) -> Result<(OwnedFd, Space), String> {
        let (path, group_path) = (self.host.container(), self.host.group(&facts.group));
        let container = self.open(Step::Container, &path)?;
        let tell = |order, with| self.system.order(container.as_fd(), order, with);
        let version = tell(Order::GET_API_VERSION, With::Nothing);
        if version != Ok(API_VERSION) {
            return Err(format!("{}: is not VFIO's: its version is {version:?}", path.display()));
        }
        if tell(Order::CHECK_EXTENSION, With::Number(TYPE1V2)) != Ok(1) {
            let advice = "the kernel has no IOMMU of type 1: modprobe vfio_iommu_type1";
            return Err(format!("{}: {advice}", path.display()));
        }
        let group = self.open(Step::Group, &group_path)?;
        self.viable(&group, facts)?;
        let at = |step| move |errno| advice::at_step(step, &self.host.group(&facts.group), errno);
        let mut number = (container.as_raw_fd() as u32).to_le_bytes();
        let with = With::Bytes(&mut number);
        self.system.order(group.as_fd(), Order::GROUP_SET_CONTAINER, with).map_err(at(Step::SetContainer))?;
        tell(Order::SET_IOMMU, With::Number(TYPE1V2)).map_err(at(Step::SetIommu))?;
        let device = self.system.device(group.as_fd(), &facts.function.to_string());
        let device = device.map_err(at(Step::Device))?;
        Ok((device, Space::Type1 { container, _group: group }))
    }

    /// A group is the user's if nobody else has any device of it.
    fn viable(&self, group: &OwnedFd, facts: &Facts) -> Result<(), String> {
        let path = self.host.group(&facts.group);
        let mut status =
            GroupStatus { argsz: (size_of::<GroupStatus>() as u32).into(), ..GroupStatus::default() };
        let asked =
            self.system.order(group.as_fd(), Order::GROUP_GET_STATUS, With::Bytes(status.as_mut_bytes()));
        asked.map_err(|errno| format!("{}: VFIO_GROUP_GET_STATUS: {errno}", path.display()))?;
        if status.flags.get() & group::VIABLE != 0 {
            return Ok(());
        }
        Err(format!("{}: {}", path.display(), self.others(facts)))
    }

    /// Who else is in the group, and what to do.
    fn others(&self, facts: &Facts) -> String {
        let others = self.host.in_the_way(&facts.group);
        let others = if others.is_empty() { "devices of it".to_owned() } else { others.join(", ") };
        let group = &facts.group;
        format!("group {group} cannot be had while other drivers have {others}: give all of them to vfio-pci")
    }

    fn iommufd(&self, facts: &Facts) -> Result<(OwnedFd, Space), String> {
        let own = self.host.own_file(facts.own_file.as_deref().unwrap_or_default());
        let iommufd = self.open(Step::Iommufd, &self.host.iommufd())?;
        let device = self.open(Step::OwnFile, &own)?;
        let mut bind = BindIommufd {
            argsz: (size_of::<BindIommufd>() as u32).into(),
            iommufd: (iommufd.as_raw_fd() as u32).into(),
            ..BindIommufd::default()
        };
        let bound =
            self.system.order(device.as_fd(), Order::DEVICE_BIND_IOMMUFD, With::Bytes(bind.as_mut_bytes()));
        bound.map_err(|errno| self.at_bind(facts, &own, errno))?;
        let space = Space::allocate(self.system, iommufd).map_err(|errno| {
            format!("{}: IOMMU_IOAS_ALLOC: {errno}: see dmesg", self.host.iommufd().display())
        })?;
        if let Space::Ioas { id, .. } = &space {
            let argsz = (size_of::<AttachIommufd>() as u32).into();
            let mut attach = AttachIommufd { argsz, flags: 0.into(), ioas: (*id).into() };
            let with = With::Bytes(attach.as_mut_bytes());
            let attached = self.system.order(device.as_fd(), Order::DEVICE_ATTACH_IOMMUFD_PT, with);
            attached.map_err(|errno| advice::at_step(Step::Attach, &own, errno))?;
        }
        Ok((device, space))
    }

    /// A device cannot be bound while another of its group is somebody else's.
    fn at_bind(&self, facts: &Facts, own: &Path, errno: Errno) -> String {
        let said = advice::at_step(Step::Bind, own, errno);
        let others = self.host.in_the_way(&facts.group);
        if others.is_empty() { said } else { format!("{said}; {}", self.others(facts)) }
    }
}
