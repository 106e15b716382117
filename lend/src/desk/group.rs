//! `/dev/vfio/N`: a group, through which its device is opened.

use vfio_abi::errno::Errno;

use super::Desk;
use super::Done;
use super::Node;
use crate::caller::Caller;
use crate::caller::Open;
use crate::fields::must;
use crate::fields::or;
use crate::number;

/// Flags of a group's status.
const VIABLE: u32 = 1;
const CONTAINER_SET: u32 = 2;

/// The longest name of a device, with its end.
const LONGEST_NAME: usize = 4096;

/// What is known of the group.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// The program has it open.
    pub(super) is_open: bool,
    /// How many files of its device are open that it gave.
    pub(super) devices: usize,
    /// Which container it is in.
    pub(super) container: Option<Open>,
}

impl Group {
    /// Whether anybody has it or a device of it open.
    pub(super) fn is_used(&self) -> bool {
        self.is_open || self.devices > 0
    }
}

impl Desk {
    /// Answers an ioctl on the group.
    pub(super) fn group_ioctl(&mut self, number: u32, argument: u64, by: &dyn Caller) -> Result<Done, Errno> {
        match number {
            number::GROUP_GET_STATUS => self.get_status(argument, by),
            number::GROUP_SET_CONTAINER => self.set_container(argument, by),
            number::GROUP_UNSET_CONTAINER => self.unset_container(),
            number::GROUP_GET_DEVICE_FD => self.get_device(argument, by),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn get_status(&self, at: u64, by: &dyn Caller) -> Result<Done, Errno> {
        let mut status = by.fields(at, 8)?;
        must(status.u32(0) >= 8)?;
        let container = if self.group.container.is_some() { CONTAINER_SET } else { 0 };
        status.set_u32(4, VIABLE | container);
        by.put(at, &status.0)?;
        Ok(Done::Value(0))
    }

    fn set_container(&mut self, at: u64, by: &dyn Caller) -> Result<Done, Errno> {
        let file = by.fields(at, 4)?.i32(0);
        must(file >= 0)?;
        must(self.group.container.is_none())?;
        let open = by.open(file)?.ok_or(Errno::EBADFD)?;
        // An iommufd in a container's place is not modelled.
        let container = self.containers.get_mut(&open).ok_or(Errno::EBADFD)?;
        // There is one group, so a container with an IOMMU already has it.
        container.has_group = true;
        self.group.container = Some(open);
        Ok(Done::Value(0))
    }

    fn unset_container(&mut self) -> Result<Done, Errno> {
        must(self.group.container.is_some())?;
        or(self.group.devices == 0, Errno::EBUSY)?;
        if let Some(open) = self.group.container.take() {
            self.containers.entry(open).and_modify(super::Container::group_leaves);
            self.forget_container(open);
        }
        Ok(Done::Value(0))
    }

    fn get_device(&mut self, at: u64, by: &dyn Caller) -> Result<Done, Errno> {
        let name = text(at, by)?;
        // A token for a virtual function may follow the name.
        or(name.split(' ').next() == Some(&self.name), Errno::ENODEV)?;
        let container = self.group.container.and_then(|open| self.containers.get(&open));
        must(container.is_some_and(|container| container.iommu.is_some()))?;
        if self.group.devices == 0 {
            self.kernel.open();
        }
        self.group.devices = self.group.devices.saturating_add(1);
        Ok(Done::Opened(self.add(Node::GroupDevice)))
    }
}

/// The text at an address, up to its end.
fn text(at: u64, by: &dyn Caller) -> Result<String, Errno> {
    let mut text = Vec::new();
    for offset in 0..LONGEST_NAME as u64 {
        match by.fields(at.wrapping_add(offset), 1)?.0.as_slice() {
            [0] => return String::from_utf8(text).or(Err(Errno::ENODEV)),
            byte => text.extend_from_slice(byte),
        }
    }
    Err(Errno::EINVAL)
}
