//! The layout of an aarch64 machine like QEMU's `virt`. A policy, as constants with their reasons.
//!
//! ```text
//! 0x0000_0000  128 MiB     flash
//! 0x0800_0000              interrupt controller: distributor, ITS, redistributors
//! 0x0900_0000  4 KiB       UART
//! 0x0905_0000  128 KiB     SMMUv3
//! 0x0c00_0000  32 MiB      platform bus
//! 0x0f00_0000  2 MiB       registers of SMMUs on bridges, 128 KiB each
//! 0x1000_0000              windows of bridges that have only 32 bits, each at a multiple of 1 MiB
//! 0x3eff_0000  64 KiB      I/O ports
//! 0x3f00_0000  16 MiB      first ECAM, of 16 buses: not in use, the second has them all
//! 0x4000_0000              RAM
//! ```
//!
//! From the end of RAM, and at least from 256 GiB, come the high regions in this order, each at a multiple of its
//! own size:
//!
//! ```text
//! 64 MiB                   second redistributors
//! 1 MiB                    registers of CXL host bridges, 16 slots of 64 KiB
//! 256 MiB                  second ECAM: configuration space of 256 buses
//! 512 GiB                  64-bit windows of bridges, each at a multiple of 1 MiB
//! then, from 256 MiB on    CXL fixed memory windows, packed
//! ```

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;

use super::Kind;
use super::Placed;
use super::PlanError;
use super::defect::Defect;
use super::layout::Cursor;
use super::machine::ECAM_BUS_SIZE;
use super::machine::ECAM_BUSES;
use super::machine::Layout;
use super::machine::Machine;

/// The low regions but RAM and the bridges' windows, with where they are and how long.
pub const PLATFORM: [(&str, u64, u64); 9] = [
    ("flash", 0x0000_0000, 128 << 20),
    ("gic distributor", 0x0800_0000, 0x1_0000),
    ("gic its", 0x0808_0000, 0x2_0000),
    ("gic redistributors", 0x080a_0000, 0xf6_0000),
    ("uart", 0x0900_0000, 0x1000),
    ("smmu", 0x0905_0000, 0x2_0000),
    ("platform bus", 0x0c00_0000, 32 << 20),
    ("io ports", 0x3eff_0000, 0x1_0000),
    ("first ecam", 0x3f00_0000, 16 << 20),
];

/// Where the registers of SMMUs on bridges are: 128 KiB for each bridge, where the layout has nothing.
const SMMUS: (u64, u64) = (0x0f00_0000, 0x0f20_0000);

/// What bridges' windows of 32 bits are cut from. The layout has it end at the I/O ports; a bridge's window ends
/// at a multiple of 1 MiB.
const LOW: (u64, u64) = (0x1000_0000, 0x3ef0_0000);

/// Where RAM is.
pub const RAM: u64 = 0x4000_0000;

/// Where high regions are at the lowest.
const HIGH: u64 = 256 << 30;

/// Length of the second redistributors.
const SECOND_REDISTRIBUTORS: u64 = 64 << 20;

/// Length of the registers of CXL host bridges.
const SLOTS: u64 = 1 << 20;

/// Length of the range that the bridges' windows of 64 bits are cut from.
const SECOND_MMIO: u64 = 512 << 30;

/// The same in a machine where it is too short.
const SHORT_SECOND_MMIO: u64 = 64 << 30;

/// Where things may be in such a machine.
pub(super) fn layout(machine: &Machine) -> Result<Layout, PlanError> {
    let limit = machine.limit();
    let ram_end = RAM.saturating_add(machine.ram);
    let ram = Span::new(Gpa::new(RAM), machine.ram).filter(|_| ram_end <= limit);
    let no_ram = || PlanError::NoRoom { name: "ram".to_owned(), size: machine.ram, limit };
    let ram = ram.ok_or_else(no_ram)?;
    let mut high = match ram_end > HIGH {
        true => Cursor::new(ram_end, limit, "ram"),
        false => Cursor::new(HIGH, limit, "256 GiB"),
    };
    let second_mmio = match machine.has(Defect::ShortSecondMmio) {
        true => SHORT_SECOND_MMIO,
        false => SECOND_MMIO,
    };
    // Each at a multiple of its own size, in this order.
    let mut region = |name, size| high.place(name, size, size);
    let (redistributors, redistributors_why) = region("second gic redistributors", SECOND_REDISTRIBUTORS)?;
    let (slots, _) = region("host bridge registers", SLOTS)?;
    let (ecam, ecam_why) = region("ecam", ECAM_BUS_SIZE * ECAM_BUSES)?;
    let (mmio, _) = region("second mmio", second_mmio)?;
    high.skip_to(hdm::GRANULE);
    let platform = PLATFORM.into_iter().filter_map(|(name, start, size)| {
        Placed::fixed((name, Kind::Platform, Span::new(Gpa::new(start), size), "the virt layout"))
    });
    let ram = Placed::fixed(("ram", Kind::Ram, Some(ram), "the virt layout"));
    let placed = |name: &str, kind, span, why| Placed { name: name.to_owned(), kind, span, why };
    let above = [
        placed("second gic redistributors", Kind::Platform, redistributors, redistributors_why),
        placed("ecam", Kind::Ecam, ecam, ecam_why),
    ];
    let inside = |span: Span<Gpa>, name| Cursor::new(span.start().get(), span.end().get(), name);
    Ok(Layout {
        fixed: platform.chain(ram).chain(above).collect(),
        ecam,
        slots: inside(slots, "second gic redistributors"),
        smmus: Cursor::new(SMMUS.0, SMMUS.1, "platform bus"),
        low: Cursor::new(LOW.0, LOW.1, "platform bus"),
        high: inside(mmio, "ecam"),
        windows: Some(high),
    })
}
