//! Other people's programs look at the device that we serve, and at the machine's tables: what they make of it we
//! cannot get wrong on both sides.
//!
//! ```text
//!  foreign-root.sh ──▶ root ──▶ a folder below its /tmp ◀── device: cxl-sim serve
//!                               │ socket                     ▲       ▲
//!           lspci ◀── dump ◀────┼── client ──────────────────┘       │
//!           qemu ◀── qtest: QEMU, a line asked, a line answered ─────┘
//!           acpi, fwts ◀── tables of sample machines
//!           linux ◀── tables of a scenario's machine, in QEMU's memory
//!           lend ◀── the kernel's VFIO interface: a C program, QEMU's vfio-pci, and our own
//!           lab ◀── QEMU: the device behind an IOMMU, Linux, and our program on the kernel's VFIO
//!           ways ◀── what became of the same scenarios by lend and lab, in one table
//! ```
//!
//! [`client`] is what we see ourselves, [`config`] takes its bytes apart. [`process`] runs a program beside us and
//! never waits for it without an end. [`aarch64`] is not drawn: there QEMU runs our tests.

pub(crate) mod aarch64;
pub(crate) mod acpi;
pub(crate) mod client;
pub(crate) mod config;
mod device;
pub(crate) mod fwts;
pub(crate) mod lab;
pub(crate) mod lend;
pub(crate) mod linux;
pub(crate) mod lspci;
pub(crate) mod outcomes;
pub(crate) mod process;
pub(crate) mod qemu;
mod qtest;
pub(crate) mod root;
pub(crate) mod ways;
