//! The numbers of the calls: those that the project's own VMM makes, and the others that Linux has.

use vfio_abi::kernel::Order;

/// The type of all ioctls of VFIO and iommufd.
pub(crate) const TYPE: u32 = b';' as u32;

/// `_IO(';', number)`.
const fn io(number: u32) -> u32 {
    TYPE << 8 | number
}

/// Which API it is.
pub(crate) const GET_API_VERSION: u32 = Order::GET_API_VERSION.number;
/// Whether an extension is there.
pub(crate) const CHECK_EXTENSION: u32 = Order::CHECK_EXTENSION.number;
/// Which IOMMU a container is for.
pub(crate) const SET_IOMMU: u32 = Order::SET_IOMMU.number;
/// Whether a group can be used.
pub(crate) const GROUP_GET_STATUS: u32 = Order::GROUP_GET_STATUS.number;
/// A group comes into a container.
pub(crate) const GROUP_SET_CONTAINER: u32 = Order::GROUP_SET_CONTAINER.number;
/// A group leaves its container.
pub(crate) const GROUP_UNSET_CONTAINER: u32 = io(105);
/// A device of a group is opened.
pub(crate) const GROUP_GET_DEVICE_FD: u32 = Order::GROUP_GET_DEVICE_FD.number;
/// What a device is.
pub(crate) const DEVICE_GET_INFO: u32 = Order::DEVICE_GET_INFO.number;
/// What a region is.
pub(crate) const DEVICE_GET_REGION_INFO: u32 = Order::DEVICE_GET_REGION_INFO.number;
/// What an interrupt is.
pub(crate) const DEVICE_GET_IRQ_INFO: u32 = Order::DEVICE_GET_IRQ_INFO.number;
/// Interrupts are attached, masked or triggered.
pub(crate) const DEVICE_SET_IRQS: u32 = Order::DEVICE_SET_IRQS.number;
/// A device is reset.
pub(crate) const DEVICE_RESET: u32 = Order::DEVICE_RESET.number;
/// Which devices a reset of the bus resets.
pub(crate) const DEVICE_GET_PCI_HOT_RESET_INFO: u32 = io(112);
/// The bus is reset.
pub(crate) const DEVICE_PCI_HOT_RESET: u32 = io(113);
/// An event stands for a write.
pub(crate) const DEVICE_IOEVENTFD: u32 = io(116);
/// Something else that a device has.
pub(crate) const DEVICE_FEATURE: u32 = io(117);
/// A device is bound to an iommufd.
pub(crate) const DEVICE_BIND_IOMMUFD: u32 = Order::DEVICE_BIND_IOMMUFD.number;
/// A device is attached to an address space.
pub(crate) const DEVICE_ATTACH_IOMMUFD_PT: u32 = Order::DEVICE_ATTACH_IOMMUFD_PT.number;
/// A device is detached from its address space.
pub(crate) const DEVICE_DETACH_IOMMUFD_PT: u32 = io(120);
/// What a container's IOMMU can do.
pub(crate) const IOMMU_GET_INFO: u32 = Order::IOMMU_GET_INFO.number;
/// Memory is mapped in a container.
pub(crate) const IOMMU_MAP_DMA: u32 = Order::IOMMU_MAP_DMA.number;
/// Memory is unmapped in a container.
pub(crate) const IOMMU_UNMAP_DMA: u32 = Order::IOMMU_UNMAP_DMA.number;

/// An object of an iommufd is destroyed.
pub(crate) const DESTROY: u32 = io(0x80);
/// An address space is made.
pub(crate) const IOAS_ALLOC: u32 = Order::IOAS_ALLOC.number;
/// Where an address space may map by itself.
pub(crate) const IOAS_ALLOW_IOVAS: u32 = io(0x82);
/// A mapping of one address space is made in another.
pub(crate) const IOAS_COPY: u32 = io(0x83);
/// Where an address space can map.
pub(crate) const IOAS_IOVA_RANGES: u32 = Order::IOAS_IOVA_RANGES.number;
/// Memory is mapped in an address space.
pub(crate) const IOAS_MAP: u32 = Order::IOAS_MAP.number;
/// Memory is unmapped in an address space.
pub(crate) const IOAS_UNMAP: u32 = Order::IOAS_UNMAP.number;
/// An option is read or set.
pub(crate) const OPTION: u32 = io(0x87);
/// Which address space the calls of a container are for.
pub(crate) const VFIO_IOAS: u32 = io(0x88);
/// A page table is made.
pub(crate) const HWPT_ALLOC: u32 = io(0x89);
/// What the hardware is.
pub(crate) const GET_HW_INFO: u32 = io(0x8a);
/// A file is mapped in an address space.
pub(crate) const IOAS_MAP_FILE: u32 = Order::IOAS_MAP_FILE.number;

/// `KVM_SET_DEVICE_ATTR`: KVM is told of files of VFIO.
pub(crate) const KVM_SET_DEVICE_ATTR: u32 = 0x4018_aee1;
