//! The VFIO interface as bytes: what crosses a vfio-user socket, and what the kernel's ioctls fill in.
//!
//! ```text
//!  frame     16-byte header, and one message out of a stream      errno     error numbers by name
//!  request   what one side asks        reply   what the other answers
//!  version   the negotiation's JSON    info    device, region and interrupt info
//!  chain     capability chains behind an info structure           cxl       what vfio-cxl adds, by revision
//! ```
//!
//! Everything is total and bounded: any bytes parse to a value or to an error that names the field, and nothing
//! is allocated because a length field says so. There is no I/O here, no state, and no rule about what a
//! message means; both sides of the project read this crate and each writes its rules for itself.
//!
//! The protocol is vfio-user 0.1 as QEMU, libvfio-user and Cloud Hypervisor speak it, with one extension: a
//! capability chain in the reply to `DEVICE_GET_INFO` (see [`info::DeviceInfo`]).
//!
//! Not described here: the migration messages, dirty page tracking, `DEVICE_FEATURE`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod chain;
pub mod cxl;
pub mod errno;
pub mod frame;
pub mod info;
pub mod malformed;
pub mod reply;
pub mod request;
pub mod version;
