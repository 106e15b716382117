//! `/dev/vfio/devices/vfioN`: the device's own node, which is of no use before it is bound to an iommufd, and which
//! reaches what that has mapped when it is attached there.

use vfio_abi::errno::Errno;

use super::Desk;
use super::Node;
use super::iommufd::Iommufd;
use crate::caller::Caller;
use crate::caller::Open;
use crate::fields::must;
use crate::fields::or;
use crate::number;

/// The device as it is bound.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// Which open file of the device it was.
    pub(super) by: Open,
    /// To which iommufd.
    pub(super) iommufd: Open,
    /// Its id there.
    pub(super) device: u32,
    /// The page table that it is attached to.
    pub(super) attached: Option<u32>,
}

impl Desk {
    /// Answers an ioctl on the device's own node.
    pub(super) fn own_node_ioctl(
        &mut self,
        on: Open,
        number: u32,
        at: u64,
        by: &dyn Caller,
    ) -> Result<i64, Errno> {
        if number == number::DEVICE_BIND_IOMMUFD {
            return self.bind(on, at, by);
        }
        must(self.is_bound(on))?;
        match number {
            number::DEVICE_ATTACH_IOMMUFD_PT => self.attach_table(at, by),
            number::DEVICE_DETACH_IOMMUFD_PT => {
                let call = by.fields(at, 8)?;
                must(call.u32(0) >= 8 && call.u32(4) == 0)?;
                self.detach();
                Ok(0)
            }
            _ => self.device_ioctl(number, at, by),
        }
    }

    fn bind(&mut self, on: Open, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let mut call = by.fields(at, 16)?;
        must(call.u32(0) >= 16 && call.u32(4) == 0 && call.i32(8) >= 0)?;
        must(self.opens.get(&on) == Some(&Node::Device))?;
        or(!self.group.is_used(), Errno::EBUSY)?;
        // Only through its group a device can be open more than once.
        must(self.bound.is_none())?;
        let open = by.open(call.i32(8))?.ok_or(Errno::EBADFD)?;
        let iommufd = self.iommufds.get_mut(&open).ok_or(Errno::EBADFD)?;
        let device = iommufd.add_device();
        self.bound = Some(Bound { by: on, iommufd: open, device, attached: None });
        self.kernel.open();
        call.set_u32(12, device);
        // Who cannot be told the id has it not bound.
        by.put(at, &call.0).inspect_err(|_| self.unbind(on))?;
        Ok(0)
    }

    fn attach_table(&mut self, at: u64, by: &dyn Caller) -> Result<i64, Errno> {
        let mut call = by.fields(at, 12)?;
        must(call.u32(0) >= 12 && call.u32(4) == 0)?;
        let bound = self.bound.as_mut().ok_or(Errno::EINVAL)?;
        let iommufd = self.iommufds.get_mut(&bound.iommufd).ok_or(Errno::EINVAL)?;
        let table = iommufd.table_for(call.u32(8))?;
        if let Some(before) = bound.attached.replace(table).filter(|before| *before != table) {
            iommufd.detached(before);
        }
        call.set_u32(8, table);
        // Who cannot be told the page table is attached to none, not even to the one before.
        by.put(at, &call.0).inspect_err(|_| self.detach())?;
        Ok(0)
    }

    fn detach(&mut self) {
        if let Some(bound) = &mut self.bound
            && let Some(table) = bound.attached.take()
            && let Some(iommufd) = self.iommufds.get_mut(&bound.iommufd)
        {
            iommufd.detached(table);
        }
    }

    /// The device's own node was closed: if it was bound by it, it is not any more.
    pub(super) fn unbind(&mut self, on: Open) {
        if !self.is_bound(on) {
            return;
        }
        self.detach();
        if let Some(bound) = self.bound.take() {
            let forget = |iommufd: &mut Iommufd| iommufd.remove_device(bound.device);
            self.iommufds.entry(bound.iommufd).and_modify(forget);
            self.forget_iommufd(bound.iommufd);
        }
        self.release_device();
    }
}
