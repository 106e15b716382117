//! The calls that a program can make: how long their structures are, and which errors the kernel has for them.

use vfio_abi::errno::Errno;

use crate::desk::Door;
use crate::number;

/// What is asked for is mapped where the device cannot have it.
const EADDRINUSE: Errno = Errno(98);

/// The errors of most calls with a structure.
const USUAL: &[Errno] = &[Errno::EFAULT, Errno::EINVAL];
/// The errors of most calls of an iommufd.
const OBJECT: &[Errno] = &[Errno::EFAULT, Errno::EINVAL, Errno::E2BIG, Errno::EOPNOTSUPP, Errno::ENOENT];

/// A call on what is behind a door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) on: Door,
    pub(super) number: u32,
    /// Length of its structure, which begins with a length; 0 if it has none.
    pub(super) length: u32,
    /// Where in the structure an array of the caller's is told: its address, its count, and the length of an item.
    pub(super) array: Option<(usize, usize, u64)>,
    errors: &'static [Errno],
    more: &'static [Errno],
}

const fn call(on: Door, number: u32, length: u32, errors: &'static [Errno], more: &'static [Errno]) -> Call {
    Call { on, number, length, array: None, errors, more }
}

const fn with_array(mut call: Call, array: (usize, usize, u64)) -> Call {
    call.array = Some(array);
    call
}

/// All that are known.
pub(super) const CALLS: [Call; 38] = [
    call(Door::Container, number::GET_API_VERSION, 0, &[], &[]),
    call(Door::Container, number::CHECK_EXTENSION, 0, &[], &[]),
    call(Door::Container, number::SET_IOMMU, 0, &[Errno::EINVAL, Errno::ENODEV], &[]),
    call(Door::Container, number::IOMMU_GET_INFO, 96, USUAL, &[]),
    call(Door::Container, number::IOMMU_MAP_DMA, 32, USUAL, &[Errno::EEXIST, Errno::ENOSPC, Errno::ENOENT]),
    call(Door::Container, number::IOMMU_UNMAP_DMA, 24, USUAL, &[]),
    call(Door::Group, number::GROUP_GET_STATUS, 8, USUAL, &[]),
    call(Door::Group, number::GROUP_SET_CONTAINER, 0, USUAL, &[Errno::EBADF, Errno::EBADFD]),
    call(Door::Group, number::GROUP_UNSET_CONTAINER, 0, &[Errno::EINVAL, Errno::EBUSY], &[]),
    call(Door::Group, number::GROUP_GET_DEVICE_FD, 0, USUAL, &[Errno::ENODEV]),
    call(Door::Device, number::DEVICE_GET_INFO, 56, USUAL, &[]),
    call(Door::Device, number::DEVICE_GET_REGION_INFO, 112, USUAL, &[]),
    call(Door::Device, number::DEVICE_GET_IRQ_INFO, 16, USUAL, &[]),
    call(Door::Device, number::DEVICE_SET_IRQS, 24, USUAL, &[Errno::EBADF, Errno::ENOTTY, Errno::EBUSY]),
    call(Door::Device, number::DEVICE_RESET, 0, &[Errno::EINVAL, Errno::ENOTTY], &[]),
    call(Door::Device, number::DEVICE_GET_PCI_HOT_RESET_INFO, 20, USUAL, &[Errno::ENOSPC]),
    call(Door::Device, number::DEVICE_PCI_HOT_RESET, 16, USUAL, &[Errno::EBADF]),
    call(
        Door::Device,
        number::DEVICE_IOEVENTFD,
        28,
        USUAL,
        &[Errno::EBADF, Errno::EEXIST, Errno::ENODEV, Errno::ENOSPC],
    ),
    call(Door::Device, number::DEVICE_FEATURE, 8, USUAL, &[Errno::ENOTTY]),
    call(Door::Device, number::DEVICE_BIND_IOMMUFD, 16, USUAL, &[Errno::EBADF, Errno::EBADFD, Errno::EBUSY]),
    // A device that a group opened does not know these two.
    call(
        Door::Device,
        number::DEVICE_ATTACH_IOMMUFD_PT,
        12,
        USUAL,
        &[Errno::ENOENT, EADDRINUSE, Errno::ENOTTY],
    ),
    call(Door::Device, number::DEVICE_DETACH_IOMMUFD_PT, 8, USUAL, &[Errno::ENOTTY]),
    call(Door::Iommufd, number::DESTROY, 8, OBJECT, &[Errno::EBUSY]),
    call(Door::Iommufd, number::IOAS_ALLOC, 12, OBJECT, &[]),
    call(Door::Iommufd, number::IOAS_ALLOW_IOVAS, 24, OBJECT, &[]),
    call(
        Door::Iommufd,
        number::IOAS_COPY,
        40,
        OBJECT,
        &[Errno::EEXIST, Errno::ENOSPC, Errno::EOVERFLOW, Errno::EPERM],
    ),
    with_array(call(Door::Iommufd, number::IOAS_IOVA_RANGES, 32, OBJECT, &[Errno::EMSGSIZE]), (16, 8, 16)),
    call(Door::Iommufd, number::IOAS_MAP, 40, OBJECT, &[Errno::EEXIST, Errno::ENOSPC, Errno::EOVERFLOW]),
    call(
        Door::Iommufd,
        number::IOAS_MAP_FILE,
        40,
        OBJECT,
        &[Errno::EEXIST, Errno::ENOSPC, Errno::EOVERFLOW, Errno::EBADF],
    ),
    call(Door::Iommufd, number::IOAS_UNMAP, 24, OBJECT, &[Errno::EOVERFLOW]),
    call(Door::Iommufd, number::OPTION, 24, OBJECT, &[]),
    call(Door::Iommufd, number::VFIO_IOAS, 12, OBJECT, &[Errno::ENODEV]),
    call(Door::Iommufd, number::HWPT_ALLOC, 48, OBJECT, &[EADDRINUSE]),
    with_array(call(Door::Iommufd, number::GET_HW_INFO, 40, OBJECT, &[]), (16, 12, 1)),
    // What no door has: a number beside those of each kind, and of another type.
    call(Door::Container, 0x3b63, 0, &[Errno::EINVAL, Errno::ENOTTY], &[]),
    call(Door::Device, 0x3b80 - 1, 8, &[Errno::EINVAL, Errno::ENOTTY], &[]),
    call(Door::Iommufd, 0x3b8b, 8, &[Errno::EINVAL, Errno::EFAULT, Errno::ENOTTY], &[]),
    call(Door::Iommufd, 0x4c81, 8, &[Errno::EFAULT, Errno::ENOTTY], &[]),
];

impl Call {
    /// The call that a number is on what is behind a door.
    pub(super) fn find(on: Door, number: u32) -> Option<Self> {
        CALLS.into_iter().find(|call| call.on == on && call.number == number)
    }

    /// Whether the kernel has done it when it finds that it cannot write its answer.
    pub(super) fn is_done_before_it_is_told(&self) -> bool {
        match self.on {
            Door::Container => self.number == number::IOMMU_UNMAP_DMA,
            // It is detached then, from whatever it was attached to.
            Door::Device => self.number == number::DEVICE_ATTACH_IOMMUFD_PT,
            Door::Group => false,
            Door::Iommufd => matches!(
                self.number,
                number::IOAS_MAP
                    | number::IOAS_MAP_FILE
                    | number::IOAS_COPY
                    | number::IOAS_UNMAP
                    | number::OPTION
            ),
        }
    }

    /// Whether the kernel has an error for it.
    pub(super) fn has(&self, errno: Errno) -> bool {
        self.errors.contains(&errno) || self.more.contains(&errno)
    }
}

/// Whether the kernel may answer a call that is none there with an error: a container asks its IOMMU, a device whether
/// it is bound, and an iommufd looks at the structure first.
pub(super) fn is_for_strangers(on: Door, errno: Errno) -> bool {
    match on {
        Door::Container | Door::Device => matches!(errno, Errno::EINVAL | Errno::ENOTTY),
        Door::Group => errno == Errno::ENOTTY,
        Door::Iommufd => matches!(errno, Errno::EFAULT | Errno::ENOTTY),
    }
}
