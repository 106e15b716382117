//! The desk: all that the kernel keeps of VFIO, and the calls on it.
//!
//! ```text
//!  /dev/vfio/vfio ── Container ◀── in ── Group ── /dev/vfio/N         ┐
//!                                          └─ GET_DEVICE_FD ─▶ Device ├─▶ Kernel
//!  /dev/iommu ────── Iommufd ◀── bound ── /dev/vfio/devices/vfioN ────┘
//! ```
//!
//! Each file that is open is an [`Open`]; what it keeps goes when the last copy of its descriptor is closed and
//! nothing of it is mapped, which somebody else finds out and [`Desk::closed`] is told. As in the kernel a container
//! lives as long as a group is in it, a group as long as a device of it is open, and an iommufd as long as a device
//! is bound to it.

mod container;
mod copy;
mod device;
pub mod drive;
mod group;
mod info;
mod iommufd;
mod irqs;
mod own_node;
mod space;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use sim_device::kernel::Kernel;
use sim_device::server::Irqs;
use sim_device::silicon::Effect;
use vfio_abi::errno::Errno;

use crate::caller::Caller;
use crate::caller::Open;
use crate::number;
use container::Container;
use device::IoEvent;
use group::Group;
use iommufd::Iommufd;
use own_node::Bound;

/// A node that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `/dev/vfio/vfio`.
    Container,
    /// `/dev/vfio/N`.
    Group,
    /// `/dev/vfio/devices/vfioN`.
    Device,
    /// `/dev/iommu`.
    Iommufd,
}

/// What an open file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Container,
    Group,
    /// The device, opened by its group.
    GroupDevice,
    /// The device, opened by its own node.
    Device,
    Iommufd,
}

/// An ioctl that was answered without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// With this value.
    Value(i64),
    /// With a file of the device, which was opened.
    Opened(Open),
}

/// All that is kept.
#[derive(Debug)]
pub struct Desk {
    /// The device's address as text.
    name: String,
    /// The number of its group.
    group_number: u32,
    kernel: Kernel,
    irqs: Irqs,
    events: Vec<IoEvent>,
    next: u64,
    opens: BTreeMap<Open, Node>,
    containers: BTreeMap<Open, Container>,
    group: Group,
    iommufds: BTreeMap<Open, Iommufd>,
    bound: Option<Bound>,
}

impl Desk {
    /// A desk for one device, which nobody has open.
    pub fn new(name: String, group_number: u32, kernel: Kernel) -> Self {
        Self {
            name,
            group_number,
            kernel,
            irqs: Irqs::default(),
            events: Vec::new(),
            next: 1,
            opens: BTreeMap::new(),
            containers: BTreeMap::new(),
            group: Group::default(),
            iommufds: BTreeMap::new(),
            bound: None,
        }
    }

    /// The device.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// All that are open.
    pub fn opens(&self) -> impl Iterator<Item = Open> {
        self.opens.keys().copied()
    }

    /// Whether an open file is one of the device, which is where something can be mapped.
    pub fn is_device(&self, open: Open) -> bool {
        matches!(self.opens.get(&open), Some(Node::GroupDevice | Node::Device))
    }

    /// What an open file is.
    pub fn door(&self, open: Open) -> Option<Door> {
        self.opens.get(&open).map(|node| match node {
            Node::Container => Door::Container,
            Node::Group => Door::Group,
            Node::GroupDevice | Node::Device => Door::Device,
            Node::Iommufd => Door::Iommufd,
        })
    }

    /// A node is opened.
    ///
    /// # Errors
    /// `EBUSY` of a group that is open, or whose device is by its own node.
    pub fn open(&mut self, door: Door) -> Result<Open, Errno> {
        let node = match door {
            Door::Container => Node::Container,
            Door::Group if self.group.is_used() || self.bound.is_some() => return Err(Errno::EBUSY),
            Door::Group => Node::Group,
            Door::Device => Node::Device,
            Door::Iommufd => Node::Iommufd,
        };
        let open = self.add(node);
        match door {
            Door::Container => {
                self.containers.insert(open, Container { is_open: true, ..Container::default() });
            }
            Door::Group => self.group.is_open = true,
            Door::Iommufd => {
                self.iommufds.insert(open, Iommufd::default());
            }
            Door::Device => {}
        }
        Ok(open)
    }

    fn add(&mut self, node: Node) -> Open {
        let open = Open(self.next);
        self.next = self.next.wrapping_add(1);
        self.opens.insert(open, node);
        open
    }

    /// The last descriptor of an open file was closed, and nothing of it is mapped.
    pub fn closed(&mut self, open: Open) {
        match self.opens.remove(&open) {
            None => {}
            Some(Node::Container) => {
                self.containers.entry(open).and_modify(|container| container.is_open = false);
                self.forget_container(open);
            }
            Some(Node::Group) => {
                self.group.is_open = false;
                self.group_may_go();
            }
            Some(Node::GroupDevice) => {
                self.group.devices = self.group.devices.saturating_sub(1);
                if self.group.devices == 0 {
                    self.release_device();
                }
                self.group_may_go();
            }
            Some(Node::Device) => self.unbind(open),
            Some(Node::Iommufd) => {
                self.iommufds.entry(open).and_modify(|iommufd| iommufd.is_open = false);
                self.forget_iommufd(open);
            }
        }
    }

    /// A group that nobody has open, and no device of it, leaves its container.
    fn group_may_go(&mut self) {
        if !self.group.is_used()
            && let Some(container) = self.group.container.take()
        {
            self.containers.entry(container).and_modify(Container::group_leaves);
            self.forget_container(container);
        }
    }

    fn forget_container(&mut self, open: Open) {
        if self.containers.get(&open).is_some_and(|container| !container.is_open && !container.has_group) {
            self.containers.remove(&open);
        }
    }

    /// Nobody has the device open any more.
    fn release_device(&mut self) {
        self.irqs = Irqs::default();
        self.events.clear();
    }

    /// Answers an ioctl on one of our files.
    ///
    /// # Errors
    /// As the kernel's.
    pub fn ioctl(&mut self, on: Open, number: u32, argument: u64, by: &dyn Caller) -> Result<Done, Errno> {
        let node = *self.opens.get(&on).ok_or(Errno::EBADF)?;
        match node {
            Node::Container => {
                let container = self.containers.get_mut(&on).ok_or(Errno::EBADF)?;
                container.ioctl(number, argument, by).map(Done::Value)
            }
            Node::Group => self.group_ioctl(number, argument, by),
            // It is refused there, as only the device's own node can be bound.
            Node::GroupDevice if number == number::DEVICE_BIND_IOMMUFD => {
                self.own_node_ioctl(on, number, argument, by).map(Done::Value)
            }
            Node::GroupDevice => self.device_ioctl(number, argument, by).map(Done::Value),
            Node::Device => self.own_node_ioctl(on, number, argument, by).map(Done::Value),
            Node::Iommufd => self.iommufd_ioctl(on, number, argument, by).map(Done::Value),
        }
    }

    /// The device as one of its files shows it.
    fn shown(&self, on: Open) -> Result<&Kernel, Errno> {
        match self.opens.get(&on) {
            Some(Node::GroupDevice) => Ok(&self.kernel),
            Some(Node::Device) if self.is_bound(on) => Ok(&self.kernel),
            // The other nodes can neither be read nor mapped, nor can the device before it is bound.
            Some(_) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    fn is_bound(&self, on: Open) -> bool {
        self.bound.as_ref().is_some_and(|bound| bound.by == on)
    }

    /// Does what the device wants of the host.
    fn act(&mut self, by: &dyn Caller) {
        let faults = self.kernel.silicon().profile().profile().faults.clone();
        // A copy's end may have effects of its own.
        loop {
            let effects = self.kernel.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Transfer(transfer) => self.copy(transfer, by),
                    Effect::Interrupt { .. } | Effect::InternalError(_) if faults.interrupts_lost => {}
                    Effect::Interrupt { vector } => self.irqs.raise(&mut self.kernel, vector),
                    Effect::InternalError(severity) => self.irqs.error(severity),
                    // The driver acts on these.
                    Effect::FunctionLevelReset | Effect::CxlReset | Effect::Decoder { .. } => {}
                }
            }
        }
        // What unmasked it before this call is seen before what the call did.
        self.irqs.take_unmask();
        if !faults.interrupts_lost {
            self.irqs.watch_pin(&self.kernel);
        }
    }

    fn copy(&mut self, transfer: sim_device::silicon::engine::Transfer, by: &dyn Caller) {
        // The kernel is borrowed beside what it reaches, so that is looked up by fields.
        let container = self.group.container.and_then(|container| self.containers.get(&container));
        let space = match (container, &self.bound) {
            (Some(container), _) => container.iommu.map(|_| &container.space),
            (None, Some(bound)) => bound.attached.and_then(|attached| {
                self.iommufds.get(&bound.iommufd).and_then(|iommufd| iommufd.space(attached))
            }),
            (None, None) => None,
        };
        let outcome = copy::carry_out(&mut self.kernel, transfer, space, by);
        self.kernel.transfer_ended(outcome);
    }

    /// The events that stand for a write, and the one that unmasks the pin.
    pub fn events(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.events.iter().map(IoEvent::file).chain(self.irqs.unmask_event())
    }

    /// Does what the events stand for that were signalled.
    pub fn ring(&mut self, by: &dyn Caller) {
        let rung: Vec<_> = self.events.iter().filter_map(IoEvent::take).collect();
        for (region, offset, bytes) in rung {
            // Where the device does not answer now, a write that nobody waits for is lost.
            let _ = self.kernel.write(region, offset, &bytes);
            self.act(by);
        }
        if self.irqs.take_unmask() {
            self.act(by);
        }
    }
}

#[cfg(test)]
mod tests;
