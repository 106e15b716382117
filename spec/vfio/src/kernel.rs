//! VFIO and iommufd as the kernel's own files take them: orders by number, and their structures.
//!
//! ```text
//!  /dev/vfio/vfio   a container: version, extension, IOMMU, maps
//!  /dev/vfio/N      a group: status, its container, its devices' files
//!  device file      info, interrupts, reset; from a group, or /dev/vfio/devices/vfioN, which is bound and attached
//!  /dev/iommu       address spaces: allocated, mapped, destroyed
//! ```
//!
//! An order is an ioctl. What follows a structure's first dword is [`info`](crate::info)'s and
//! [`request`](crate::request)'s wherever the kernel and vfio-user agree. Every structure but the few that
//! [`Argument`] names begins with its own length.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

/// The letter that all these orders have in the second byte of their numbers.
const LETTER: u32 = b';' as u32;

/// The first order of VFIO's, and of iommufd's.
const VFIO: u32 = 100;
const IOMMUFD: u32 = 0x80;

/// The version that a container states.
pub const API_VERSION: u32 = 0;

/// The kind of IOMMU that is asked for of a container.
pub const TYPE1V2: u32 = 3;

/// Something that is asked of one of the kernel's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The number of the ioctl.
    pub number: u32,
    /// Its name, without what all have in front.
    pub name: &'static str,
    /// What comes with it.
    pub argument: Argument,
}

/// What comes with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// Nothing.
    Nothing,
    /// A number.
    Number,
    /// So many bytes.
    Bytes(usize),
    /// A text with a final NUL. The answer is a file.
    Text,
    /// A structure of so many bytes, whose first dword says so.
    Structure(usize),
    /// A structure of so many bytes or more, whose first dword says how many.
    Growing(usize),
    /// A structure of fixed length with the address and the length of memory of the caller's in it.
    Memory {
        /// Its length.
        size: usize,
        /// Where the address is.
        address: usize,
        /// Where the length of the memory is.
        length: usize,
    },
    /// A structure of fixed length with the address of an array that is filled, and how many elements it has room for.
    Array {
        /// Its length.
        size: usize,
        /// Where the address is.
        address: usize,
        /// Where the number of elements is, a dword.
        count: usize,
        /// Bytes of an element.
        element: usize,
    },
}

macro_rules! orders {
    ($($(#[$meta:meta])* $name:ident = $first:ident + $number:literal, $argument:expr;)*) => {
        impl Order {
            $( $(#[$meta])* pub const $name: Self = Self {
                number: LETTER << 8 | ($first + $number),
                name: stringify!($name),
                argument: $argument,
            }; )*

            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$name ),*];
        }
    };
}

orders! {
    /// Of a container: which version it speaks.
    GET_API_VERSION = VFIO + 0, Argument::Nothing;
    /// Of a container: whether it has a kind of IOMMU.
    CHECK_EXTENSION = VFIO + 1, Argument::Number;
    /// Of a container with a group: it has this kind of IOMMU from now on.
    SET_IOMMU = VFIO + 2, Argument::Number;
    /// Of a group: whether all of its devices are the user's to take.
    GROUP_GET_STATUS = VFIO + 3, Argument::Structure(size_of::<GroupStatus>());
    /// Of a group: it is in this container from now on.
    GROUP_SET_CONTAINER = VFIO + 4, Argument::Bytes(4);
    /// Of a group: the file of the device with this name.
    GROUP_GET_DEVICE_FD = VFIO + 6, Argument::Text;
    /// Of a device: what it is.
    DEVICE_GET_INFO = VFIO + 7, Argument::Growing(16);
    /// Of a device: what a region is.
    DEVICE_GET_REGION_INFO = VFIO + 8, Argument::Growing(32);
    /// Of a device: what an interrupt is.
    DEVICE_GET_IRQ_INFO = VFIO + 9, Argument::Growing(16);
    /// Of a device: attach, mask, unmask or signal interrupts.
    DEVICE_SET_IRQS = VFIO + 10, Argument::Growing(20);
    /// Of a device: reset it.
    DEVICE_RESET = VFIO + 11, Argument::Nothing;
    /// Of a container: what its IOMMU can do.
    IOMMU_GET_INFO = VFIO + 12, Argument::Growing(16);
    /// Of a container: its devices reach this memory.
    IOMMU_MAP_DMA = VFIO + 13, Argument::Memory { size: size_of::<MapDma>(), address: 8, length: 24 };
    /// Of a container: they do not any more.
    IOMMU_UNMAP_DMA = VFIO + 14, Argument::Structure(24);
    /// Of a device's own file: it is this iommufd's from now on.
    DEVICE_BIND_IOMMUFD = VFIO + 18, Argument::Structure(size_of::<BindIommufd>());
    /// Of a device that is bound: it reaches what is in this address space.
    DEVICE_ATTACH_IOMMUFD_PT = VFIO + 19, Argument::Structure(size_of::<AttachIommufd>());
    /// Of an iommufd: an address space.
    IOAS_ALLOC = IOMMUFD + 1, Argument::Structure(size_of::<IoasAlloc>());
    /// Of an iommufd: which addresses an address space can have.
    IOAS_IOVA_RANGES = IOMMUFD + 4,
        Argument::Array { size: size_of::<IoasIovaRanges>(), address: 16, count: 8, element: size_of::<IovaRange>() };
    /// Of an iommufd: memory is in an address space.
    IOAS_MAP = IOMMUFD + 5, Argument::Memory { size: size_of::<IoasMap>(), address: 16, length: 24 };
    /// Of an iommufd: it is not any more.
    IOAS_UNMAP = IOMMUFD + 6, Argument::Structure(size_of::<IoasUnmap>());
    /// Of an iommufd: a part of a file is in an address space.
    IOAS_MAP_FILE = IOMMUFD + 15, Argument::Structure(size_of::<IoasMapFile>());
}

impl Order {
    /// The order with this number. Numbers mean different things to different files where the kernel gave them twice;
    /// those are not orders here.
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|order| order.number == number)
    }
}

/// Bits of a group's status.
pub mod group {
    /// All of its devices are the user's to take.
    pub const VIABLE: u32 = 1;
    /// It is in a container.
    pub const CONTAINER_SET: u32 = 1 << 1;
}

/// Bits of what an IOMMU can do, and its capabilities.
pub mod iommu {
    /// There is a capability chain.
    pub const CAPS: u32 = 1 << 1;
    /// Capability: which addresses can be mapped.
    pub const IOVA_RANGES: u16 = 1;
    /// Capability: how many more maps there may be.
    pub const DMA_AVAILABLE: u16 = 3;
}

/// Bits of a map in an address space of an iommufd.
pub mod ioas {
    /// It is at the address that the user says.
    pub const FIXED_IOVA: u32 = 1;
    /// The device may write.
    pub const WRITEABLE: u32 = 1 << 1;
    /// The device may read.
    pub const READABLE: u32 = 1 << 2;
}

/// What a group is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct GroupStatus {
    /// Length of this structure.
    pub argsz: U32,
    /// See [`group`].
    pub flags: U32,
}

/// What an IOMMU can do, before its chain.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IommuInfo {
    /// Length of this structure and the chain.
    pub argsz: U32,
    /// See [`iommu`]; bit 0 says that the page sizes are known.
    pub flags: U32,
    /// A bit for each page size.
    pub page_sizes: U64,
    /// Where the chain begins.
    pub cap_offset: U32,
    /// Nothing.
    pub pad: U32,
}

/// Addresses that can be mapped, the last one included.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IovaRange {
    /// The first.
    pub start: U64,
    /// The last.
    pub last: U64,
}

/// Memory of the caller's for devices.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MapDma {
    /// Length of this structure.
    pub argsz: U32,
    /// [`DmaFlags`](crate::request::DmaFlags).
    pub flags: U32,
    /// Where the caller has it.
    pub address: U64,
    /// First I/O virtual address.
    pub iova: U64,
    /// Length in bytes.
    pub size: U64,
}

/// A device becomes an iommufd's.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct BindIommufd {
    /// Length of this structure.
    pub argsz: U32,
    /// Nothing.
    pub flags: U32,
    /// The file.
    pub iommufd: U32,
    /// The answer: which device it is there.
    pub device: U32,
}

/// A device gets an address space.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AttachIommufd {
    /// Length of this structure.
    pub argsz: U32,
    /// Nothing.
    pub flags: U32,
    /// Which address space.
    pub ioas: U32,
}

/// A new address space.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IoasAlloc {
    /// Length of this structure.
    pub size: U32,
    /// Nothing.
    pub flags: U32,
    /// The answer: which one.
    pub ioas: U32,
}

/// Which addresses an address space can have.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IoasIovaRanges {
    /// Length of this structure.
    pub size: U32,
    /// Which address space.
    pub ioas: U32,
    /// For how many [`IovaRange`]s there is room; the answer: how many there are.
    pub count: U32,
    /// Nothing.
    pub reserved: U32,
    /// Where they go.
    pub address: U64,
    /// The answer: what addresses must be multiples of.
    pub alignment: U64,
}

/// Memory of the caller's in an address space.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IoasMap {
    /// Length of this structure.
    pub size: U32,
    /// See [`ioas`].
    pub flags: U32,
    /// Which address space.
    pub ioas: U32,
    /// Nothing.
    pub reserved: U32,
    /// Where the caller has it.
    pub address: U64,
    /// Length in bytes.
    pub length: U64,
    /// First I/O virtual address.
    pub iova: U64,
}

/// A part of a file in an address space.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IoasMapFile {
    /// Length of this structure.
    pub size: U32,
    /// See [`ioas`].
    pub flags: U32,
    /// Which address space.
    pub ioas: U32,
    /// The file.
    pub file: U32,
    /// Where the part begins.
    pub start: U64,
    /// Length in bytes.
    pub length: U64,
    /// First I/O virtual address.
    pub iova: U64,
}

/// Addresses of an address space become free.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct IoasUnmap {
    /// Length of this structure.
    pub size: U32,
    /// Which address space.
    pub ioas: U32,
    /// First I/O virtual address.
    pub iova: U64,
    /// Length in bytes; the answer: how many were unmapped.
    pub length: U64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Typed by hand from `linux/vfio.h` and `linux/iommufd.h`.
    #[test]
    fn orders_have_the_kernels_numbers() {
        let numbers: alloc::vec::Vec<_> = Order::ALL.iter().map(|order| (order.name, order.number)).collect();
        #[rustfmt::skip]
        assert_eq!(numbers, [
            ("GET_API_VERSION", 0x3b64), ("CHECK_EXTENSION", 0x3b65), ("SET_IOMMU", 0x3b66),
            ("GROUP_GET_STATUS", 0x3b67), ("GROUP_SET_CONTAINER", 0x3b68), ("GROUP_GET_DEVICE_FD", 0x3b6a),
            ("DEVICE_GET_INFO", 0x3b6b), ("DEVICE_GET_REGION_INFO", 0x3b6c), ("DEVICE_GET_IRQ_INFO", 0x3b6d),
            ("DEVICE_SET_IRQS", 0x3b6e), ("DEVICE_RESET", 0x3b6f), ("IOMMU_GET_INFO", 0x3b70),
            ("IOMMU_MAP_DMA", 0x3b71), ("IOMMU_UNMAP_DMA", 0x3b72), ("DEVICE_BIND_IOMMUFD", 0x3b76),
            ("DEVICE_ATTACH_IOMMUFD_PT", 0x3b77), ("IOAS_ALLOC", 0x3b81), ("IOAS_IOVA_RANGES", 0x3b84),
            ("IOAS_MAP", 0x3b85), ("IOAS_UNMAP", 0x3b86), ("IOAS_MAP_FILE", 0x3b8f),
        ]);
    }

    #[test]
    fn an_order_is_found_by_its_number_and_another_number_is_none() {
        assert!(Order::ALL.iter().all(|order| Order::of_number(order.number) == Some(*order)));
        assert_eq!(Order::of_number(0x3b69), None);
    }

    #[test]
    fn structures_have_the_kernels_lengths() {
        assert_eq!((size_of::<GroupStatus>(), size_of::<IommuInfo>(), size_of::<IovaRange>()), (8, 24, 16));
        assert_eq!((size_of::<MapDma>(), size_of::<BindIommufd>(), size_of::<AttachIommufd>()), (32, 16, 12));
        assert_eq!((size_of::<IoasAlloc>(), size_of::<IoasIovaRanges>(), size_of::<IoasMap>()), (12, 32, 40));
        assert_eq!((size_of::<IoasMapFile>(), size_of::<IoasUnmap>()), (40, 24));
    }
}
