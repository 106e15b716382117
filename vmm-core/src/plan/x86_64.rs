//! The layout of an x86-64 machine like QEMU's q35. A policy, as constants with their reasons.
//!
//! ```text
//! 0x0000_0000              RAM, at most 2 GiB of it            (the first MiB is the guest program's)
//! 0xb000_0000  256 MiB     ECAM: configuration space, 1 MiB a bus
//! 0xc000_0000              windows of bridges that have only 32 bits, each at a multiple of 1 MiB
//! 0xfe00_0000  4 KiB       doorbell: the guest program says here that it is done
//! 0xfe10_0000  1 MiB       registers of CXL host bridges, 16 slots of 64 KiB
//! 0xfe20_0000  2 MiB       registers of SMMUs, 128 KiB each
//! 0xfec0_0000  4 KiB       I/O APIC
//! 0xfee0_0000  4 KiB       local APICs
//! 4 GiB                    the rest of RAM
//! then, from 1 GiB on      64-bit windows of bridges, each at a multiple of 1 MiB
//! then, from 256 MiB on    CXL fixed memory windows, packed
//! ```
//!
//! It never depends on the host: what the host cannot do is found out afterwards, so that the map is the same
//! everywhere.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::Kind;
use super::Placed;
use super::PlanError;
use super::layout::Cursor;
use super::machine::ECAM_BUS_SIZE;
use super::machine::ECAM_BUSES;
use super::machine::Layout;
use super::machine::Machine;

/// Where RAM below 4 GiB ends, if there is so much.
const LOW_RAM_END: u64 = 2 << 30;

/// Where RAM goes on.
const HIGH_RAM: u64 = 4 << 30;

/// Where configuration space is.
const ECAM: u64 = 0xb000_0000;

/// What bridges' windows of 32 bits are cut from.
const LOW: (u64, u64) = (0xc000_0000, 0xfe00_0000);

/// Where the guest program says that it is done.
const DOORBELL: u64 = 0xfe00_0000;

/// Where the registers of CXL host bridges are: below the interrupt controllers, in no bridge's window.
const SLOTS: (u64, u64) = (0xfe10_0000, 0xfe20_0000);

/// Where the registers of SMMUs are. No such machine has any; these are 128 KiB for each bridge, right behind.
const SMMUS: (u64, u64) = (0xfe20_0000, 0xfe40_0000);

/// The interrupt controllers, where every such machine has them.
pub const IO_APIC: u64 = 0xfec0_0000;
/// Where every processor finds its own.
pub const LOCAL_APIC: u64 = 0xfee0_0000;

/// What the I/O APIC is called in the map.
pub const IO_APIC_NAME: &str = "io apic";

/// The inputs of the I/O APIC that pins of PCI functions are wired to, as `q35` has them: the first, and how many.
const PCI_INPUTS: (u8, u8) = (16, 8);

/// The input that a pin is wired to, 1 for INTA to 4 for INTD, of the slot below the port of the bridge with this
/// number. Neighbours have different ones, and with more bridges than inputs some have the same.
pub fn input(bridge: usize, pin: u8) -> u8 {
    let (first, count) = PCI_INPUTS;
    let turn = (bridge % usize::from(count)) as u8;
    first + (turn + pin.saturating_sub(1) % count) % count
}

/// What the first 64-bit window's place is a multiple of.
const HIGH_ALIGNMENT: u64 = 1 << 30;

const PAGE: u64 = 0x1000;

/// The page to which the guest program writes when it is done.
pub(super) fn doorbell() -> Option<Span<Gpa>> {
    Span::new(Gpa::new(DOORBELL), PAGE)
}

/// Where things may be in such a machine.
pub(super) fn layout(machine: &Machine) -> Result<Layout, PlanError> {
    let limit = machine.limit();
    let no_room = |name: &str, size| PlanError::NoRoom { name: name.to_owned(), size, limit };
    let low_ram = machine.ram.min(LOW_RAM_END);
    let high_ram = machine.ram.saturating_sub(low_ram);
    let high_end = HIGH_RAM.saturating_add(high_ram);
    if high_end > limit {
        return Err(no_room("ram", machine.ram));
    }
    let ecam_size = ECAM_BUS_SIZE * ECAM_BUSES;
    let ecam = Span::new(Gpa::new(ECAM), ecam_size).ok_or_else(|| no_room("ecam", ecam_size))?;
    let fixed = [
        ("ram", Kind::Ram, Span::new(Gpa::new(0), low_ram), "RAM begins at 0"),
        ("ecam", Kind::Ecam, Some(ecam), "below 4 GiB, for every guest"),
        ("doorbell", Kind::Doorbell, doorbell(), "the guest program knows it"),
        (IO_APIC_NAME, Kind::Platform, Span::new(Gpa::new(IO_APIC), PAGE), "every such machine has it there"),
        ("local apic", Kind::Platform, Span::new(Gpa::new(LOCAL_APIC), PAGE), "processors have it there"),
        ("ram above 4 GiB", Kind::Ram, Span::new(Gpa::new(HIGH_RAM), high_ram), "what 2 GiB do not hold"),
    ];
    let high_start = high_end.next_multiple_of(HIGH_ALIGNMENT);
    Ok(Layout {
        fixed: fixed.into_iter().filter_map(Placed::fixed).collect(),
        ecam,
        slots: Cursor::new(SLOTS.0, SLOTS.1, "the doorbell"),
        smmus: Cursor::new(SMMUS.0, SMMUS.1, "host bridge registers"),
        low: Cursor::new(LOW.0, LOW.1, "ecam"),
        high: Cursor::new(high_start, limit, if high_ram > 0 { "ram above 4 GiB" } else { "4 GiB" }),
        windows: None,
    })
}
