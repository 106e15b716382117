//! The device: a CXL Type-2 accelerator in software, shown as vfio-cxl shows one, served over vfio-user.
//!
//! ```text
//!  bytes + fds          Request            Access               field change         Effect
//!  vfio-user frame ──▶ server ──▶ kernel view             ──▶ silicon register block ──▶ decoder / reset
//!                      session    v2 | v3 | next | plain       config, component      pure state machines
//! ```
//!
//! - [`profile`] says which device to be, what firmware did to it, and what is broken.
//! - [`silicon`] is the hardware as the specifications describe it.
//! - [`kernel`] is what Linux vfio-pci makes of that hardware. Everything odd about vfio-cxl lives there.
//! - [`server`] speaks vfio-user.
//!
//! This crate knows the facts in `cxl-spec` and `vfio-abi`. It knows no virtual machine and no KVM, and it never
//! sees the VMM core that it is tested against.

pub mod kernel;
pub mod profile;
pub mod server;
pub mod silicon;
