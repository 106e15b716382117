//! What vfio-cxl adds to VFIO: a device flag, a device capability and two region subtypes.
//!
//! The interface was posted in several revisions that share names and differ in layout. Each has a module here,
//! and no other file spells its layout:
//!
//! - [`v2`]: April 2026, which the QEMU series "CXL Type-2 device passthrough via vfio-pci" uses.
//! - [`v3`]: June 2026, a rewrite.
//! - [`next`]: autumn 2026, the newest shape that was seen. Provisional.
//!
//! Id, version and even size of the capability are shared by revisions that mean different things by them, so a
//! user cannot tell them apart by these three alone: [`describe`] does it by what the device says in all.

pub mod next;
pub mod v2;
pub mod v3;

mod describe;
mod revision;
mod undescribed;

pub use describe::Committed;
pub use describe::Description;
pub use describe::Extent;
pub use describe::describe;
pub use revision::NoRevision;
pub use revision::Revision;
pub use undescribed::Evidence;
pub use undescribed::Undescribed;

use crate::info::DeviceFlags;
use crate::info::region;

/// The device is a CXL device and vfio-cxl serves it.
pub const DEVICE_FLAG: DeviceFlags = DeviceFlags::from_bits_retain(1 << 9);

/// Id of the device capability.
pub const DEVICE_CAPABILITY: u16 = 6;

/// Type of the two regions: the vendor id of the CXL consortium.
pub const REGION_TYPE: u32 = region::TYPE_PCI_VENDOR | 0x1e98;

/// Subtype of the region that is the device's memory.
pub const SUBTYPE_MEMORY: u32 = 1;

/// Subtype of the region that is the component registers.
pub const SUBTYPE_COMPONENT_REGISTERS: u32 = 2;
