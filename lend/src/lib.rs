//! A device is lent to a program: the program uses the kernel's VFIO interface, and the device in software answers.
//!
//! ```text
//!  program ── system call ──▶ seccomp ── notification ──▶ outside ── bytes ──▶ desk ── access ──▶ Kernel
//!     │                        only calls that              who asks, which      containers, group,
//!     │                        may be for us                file, what memory    device, iommufd
//!     └── mmap ──▶ one sparse file, region by region at index << 40: the device's own memory
//! ```
//!
//! - [`desk`] is the interface as the kernel has it: bytes of an ioctl in, bytes and an error number out. It makes
//!   no system call and knows no process but through [`caller`].
//! - [`outside`] is how it gets there: a private view of `/dev` and `/sys` with our entries beside the machine's own,
//!   a filter in the program, and a supervisor that answers.
//!
//! Why seccomp's notifications and not a library that is loaded first: it works for static programs and for raw
//! system calls, nothing of ours is in the program, and the files are real ones, so that `dup`, `fork`, passing them
//! through a socket and closing them are the kernel's own. The price is a switch to another process and back for
//! each call that might be for us: `open`, `mmap` of files, `read` and `write` of all but the standard streams. What
//! a virtual CPU does is never one of these.
//!
//! It is no security boundary: a program that means harm can change what it asked for after it was looked at.
//!
//! This crate knows no virtual machine and no VMM.
//!
//! What is not as in a kernel:
//!
//! - A path says that the node behind it is a regular file; a file descriptor of it says that it is a device.
//! - Memory that is mapped for DMA is reached by its address when the device moves data, and not pinned before: what
//!   the program maps there later is what the device reaches.
//! - No dirty page tracking, no migration, no device feature, no nested translation, no faults to user space.
//! - A call of `io_uring` on one of our files is not seen.
//! - A program of another architecture than ours, 32-bit ones among them, is killed when it begins.

pub mod caller;
pub mod desk;
pub mod outside;

mod fields;
mod number;
