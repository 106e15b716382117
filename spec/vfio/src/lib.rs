//! The VFIO interface as bytes: what crosses a vfio-user socket, and what the kernel's ioctls fill in.
//!
//! ```text
//!  inbox    whole messages out of a stream    frame    the 16-byte header of every message
//!  request  what one side asks                reply    what the other answers
//!  version  the negotiation's JSON            info     device, region and interrupt info
//!  chain    capability chains behind an info  cxl      what vfio-cxl adds, by revision
//!  errno    error numbers by name             malformed  what is wrong with bytes that do not parse
//!  io_fds   files that replace writes         drive    what must hold for any bytes
//!  kernel   the orders that the kernel's own files take
//! ```
//!
//! Everything is total and bounded: any bytes parse to a value or to an error that names the field, and nothing
//! is allocated because a length field says so. There is no I/O here but two calls in `socket`, which is a
//! feature and off by default; no state but the [`inbox`]'s bytes; and no rule about what a message means: both
//! sides of the project read this crate and each writes its rules itself.
//!
//! The protocol is vfio-user 0.1 as QEMU, libvfio-user and Cloud Hypervisor speak it, with one extension: a
//! capability chain in the reply to `DEVICE_GET_INFO` (see [`info::DeviceInfo`]).
//!
//! Not described here: the migration messages, dirty page tracking, `DEVICE_FEATURE`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "socket")]
extern crate std;

pub mod chain;
pub mod cxl;
pub mod drive;
pub mod errno;
pub mod frame;
pub mod inbox;
pub mod info;
pub mod io_fds;
pub mod kernel;
pub mod malformed;
pub mod reply;
pub mod request;
#[cfg(feature = "socket")]
pub mod socket;
pub mod version;
