//! The machine: a VMM core that attaches to a CXL Type-2 device and does the whole of its passthrough.
//!
//! ```text
//! discover ─▶ Inventory ─▶ plan ─▶ Plan ─▶ map ─▶ Mappings ─▶ program ─▶ Programmed ─▶ run ─▶ Running
//!  reads only    facts      pure,   printable      drop undoes   write, read back,       vCPU, bus
//!  device is                no I/O                 itself        compare
//!  hostile
//! ```
//!
//! A stage can only be entered with the former stage's type, so the order cannot be wrong. [`plan`], where the
//! mistakes are, is pure.
//!
//! - [`discover`]: what is there.
//! - [`plan`]: what will be done: the address map, bridges, windows, overlays, the decoders' programmes, DMA.
//! - [`acpi`]: the machine as its firmware tells a guest of it: tables as bytes.
//! - [`map`]: RAM, BARs and configuration space come into being.
//! - [`program`]: decoder 0 is programmed, and the device's memory is put at its window.
//! - [`run`]: a guest runs.
//! - [`irq`]: interrupts of devices, from what the guest programs to what it takes.
//! - [`ports`]: host bridges and root ports, which are the machine's own.
//! - [`smmu`]: an IOMMU that translates, as a value; [`map`] puts it between devices and memory.
//! - [`backend`]: the only code that touches the outside.
//! - [`drive`]: what must hold for any device.
//!
//! This crate knows the facts in `cxl-spec` and `vfio-abi`. It does not know the simulated device.

pub mod acpi;
pub mod backend;
pub mod discover;
pub mod drive;
pub mod irq;
pub mod map;
pub mod plan;
pub mod ports;
pub mod program;
pub mod run;
pub mod smmu;

mod sync;
