//! Second stage: what will be done, before anything is touched. Pure: no I/O, no clock, no host.
//!
//! ```text
//!  Inventory of each device ─┐
//!                            ├─▶ refuse, or place ─▶ Plan { map, devices { BARs, window, programme }, dma }
//!  Machine ──────────────────┘
//! ```
//!
//! A [`Plan`] can be printed and compared. Whatever cannot be done is refused here, by device and field: behind
//! this stage only the outside can fail.

pub mod bar;
pub mod machine;
pub mod programme;

mod layout;
mod place;

use bar::Piece;
use bar::SparseError;
use cxl_spec::address::Bdf;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use machine::Machine;
use place::Candidate;
use place::Places;
use programme::Programme;

use crate::discover::Inventory;

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The machine that was asked for.
    pub machine: Machine,
    /// The guest address map, by rising address.
    pub map: Vec<Placed>,
    /// What is done with each device, in the order in which they were given.
    pub devices: Vec<Device>,
    /// What the devices may reach and what not.
    pub dma: Vec<Dma>,
    /// What the user may want to know.
    pub notes: Vec<String>,
}

/// Something at its place in the guest address map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub span: Span<Gpa>,
}

/// What is at a place of the guest address map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Memory of the machine.
    Ram,
    /// Configuration space.
    Ecam,
    /// The guest program's doorbell.
    Doorbell,
    /// A device's BAR.
    Bar,
    /// A CXL fixed memory window: a device's memory.
    Window,
}

impl Kind {
    /// The kind's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Ecam => "ecam",
            Self::Doorbell => "doorbell",
            Self::Bar => "bar",
            Self::Window => "window",
        }
    }
}

/// What is done with one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The machine's name for it.
    pub name: String,
    /// Which function it is.
    pub bdf: Bdf,
    /// Its configuration space.
    pub config: Span<Gpa>,
    /// Its BARs.
    pub bars: Vec<Bar>,
    /// Where its memory will be, once decoder 0 is programmed.
    pub window: Window,
    /// Where the component registers cover the component BAR.
    pub overlay: Overlay,
    /// Where the component block begins.
    pub component: Gpa,
    /// What is written to decoder 0.
    pub programme: Programme,
    /// Offset in configuration space of the CXL device DVSEC, whose range bases the guest sees as the window's.
    pub device_dvsec: u64,
}

/// A BAR at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Which one, 0 to 5.
    pub index: u8,
    /// It has 64 bits.
    pub is_64_bit: bool,
    /// Reading has no side effects.
    pub prefetchable: bool,
    /// Where it is.
    pub span: Span<Gpa>,
    /// What of it is mapped and what traps.
    pub pieces: Vec<Piece>,
}

/// A device's memory at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it is.
    pub span: Span<Gpa>,
    /// The region that is mapped there.
    pub region: u32,
    /// It can be mapped. Where not, every access to it is a call.
    pub mapped: bool,
}

/// The component registers above a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The region that covers.
    pub region: u32,
    /// The BAR that is covered.
    pub bar: u8,
    /// What is covered of it.
    pub span: Span<Gpa>,
}

/// The overlay's priority over the BAR, which has 0.
pub const OVERLAY_PRIORITY: u32 = 1;

/// Whether a device may reach a part of the guest address map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dma {
    /// The machine's name of the device.
    pub device: String,
    /// The part of the map.
    pub name: String,
    /// Where it is. I/O virtual addresses are guest physical ones: there is no IOMMU in this machine.
    pub span: Span<Gpa>,
    /// What is done.
    pub decision: Decision,
}

/// What is done with a part of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The device may reach it.
    Map,
    /// The device may not: it is memory of a VFIO device. This is the rule of the QEMU series (its ninth patch),
    /// which its own authors took back later for devices that do ATS.
    SkipDeviceMemory,
}

impl Decision {
    /// The decision's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::SkipDeviceMemory => "skip",
        }
    }

    /// Why it was decided so.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Map => "RAM of the machine",
            Self::SkipDeviceMemory => "memory of a VFIO device",
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The machine cannot be.
    #[error("machine: {field} = {value:#x}: {why}")]
    Machine {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A device cannot be attached.
    #[error("{device}: refused at attach: {why}")]
    Refused {
        /// The machine's name of the device.
        device: String,
        /// Why.
        why: Refusal,
    },
    /// Something has no place.
    #[error("{name}: no place for {size:#x} bytes below {limit:#x}")]
    NoRoom {
        /// What has no place.
        name: String,
        /// Its length.
        size: u64,
        /// Where the space ends.
        limit: u64,
    },
}

/// Why a device cannot be attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not a CXL device, or its kernel does not show it as one.
    #[error("not a CXL device: VFIO_DEVICE_FLAGS_CXL is clear")]
    NotCxl,
    /// Nobody committed its decoder, and a guest could not do so either.
    #[error("host firmware did not commit HDM decoder 0: {0} is clear")]
    NotCommitted(&'static str),
    /// Its memory is off, and a guest's request to turn it on does not reach the hardware.
    #[error("CXL.mem is off: Mem_Enable is clear in the CXL device DVSEC{}", locked_for_good(*locked))]
    MemoryOff {
        /// It cannot be turned on by anybody either.
        locked: bool,
    },
    /// Another decoder than the first is committed, too. Only the first is moved to a window, so the guest would
    /// see the host's address in this one, or memory that is not there.
    #[error("HDM decoder {0} is committed, too: decoder 0 alone can be given a window")]
    AnotherDecoder(u64),
    /// The component registers are in a BAR that is not in memory.
    #[error("the component registers are in BAR {0}, which is no memory BAR")]
    PortBar(u8),
    /// Its memory is no multiple of what a decoder can decode.
    #[error("memory region of {0:#x} bytes: HDM decoders decode multiples of 0x10000000")]
    MemorySize(u64),
    /// Its decoder covers something else than its memory.
    #[error("HDM decoder 0 covers {decoder:#x} bytes and the memory region has {memory:#x}")]
    DecoderSize {
        /// What the decoder covers.
        decoder: u64,
        /// The region's length.
        memory: u64,
    },
    /// Its decoder interleaves.
    #[error("HDM decoder 0 interleaves (ways code {0:#x}): one device per window is all that can be done")]
    Interleaved(u8),
    /// What it says about mapping a region cannot be.
    #[error("region {region}: {error}")]
    Sparse {
        /// Which region.
        region: u32,
        /// What is wrong.
        error: SparseError,
    },
    /// The bus is full.
    #[error("there are 31 places for devices, and all are taken")]
    NoSlot,
}

fn locked_for_good(locked: bool) -> &'static str {
    if locked { ", and CONFIG_LOCK keeps it so" } else { "" }
}

/// Plans a machine with these devices. Each comes with the machine's name for it.
///
/// # Errors
/// If the machine cannot be, a device cannot be attached, or something has no place.
pub fn plan(machine: &Machine, devices: &[(&str, &Inventory)]) -> Result<Plan, PlanError> {
    check_machine(machine)?;
    let mut map = ram(machine)?;
    fixed(&mut map, "ecam", Kind::Ecam, machine::ecam());
    fixed(&mut map, "doorbell", Kind::Doorbell, machine::doorbell());
    let mut places = Places::new(machine);
    let candidates: Vec<Candidate> =
        devices.iter().map(|(name, inventory)| Candidate::new(name, inventory)).collect::<Result<_, _>>()?;
    let bars: Vec<Vec<Bar>> = candidates.iter().map(|one| places.bars(one)).collect::<Result<_, _>>()?;
    // Windows come after everything else, whatever order the devices are in.
    let placed = candidates.iter().zip(bars).enumerate();
    let planned: Vec<Device> = placed
        .map(|(slot, (candidate, bars))| {
            let window = places.window(candidate)?;
            candidate.device(slot, bars, window)
        })
        .collect::<Result<_, PlanError>>()?;
    for device in &planned {
        let bars =
            device.bars.iter().map(|bar| (format!("{} bar{}", device.name, bar.index), Kind::Bar, bar.span));
        let window = (format!("{} window", device.name), Kind::Window, device.window.span);
        map.extend(bars.chain([window]).map(|(name, kind, span)| Placed { name, kind, span }));
    }
    map.sort_by_key(|placed| placed.span);
    let dma = dma(&planned, &map);
    Ok(Plan { machine: machine.clone(), map, devices: planned, dma, notes: places.into_notes() })
}

fn check_machine(machine: &Machine) -> Result<(), PlanError> {
    let wrong = |field, value, why| Err(PlanError::Machine { field, value, why });
    if !machine.ram.is_multiple_of(machine::RAM_GRANULE) {
        return wrong("ram", machine.ram, "must be a multiple of 2 MiB");
    }
    if !(machine::LEAST_RAM..=machine::MOST_RAM).contains(&machine.ram) {
        return wrong("ram", machine.ram, "must be 4 MiB to 1 TiB");
    }
    if !machine::ADDRESS_BITS.contains(&machine.address_bits) {
        return wrong("address_bits", machine.address_bits.into(), "must be 36 to 52");
    }
    if !machine.page_size.is_power_of_two() || machine.page_size < 0x1000 {
        return wrong("page_size", machine.page_size, "must be a power of two from 4 KiB");
    }
    Ok(())
}

fn ram(machine: &Machine) -> Result<Vec<Placed>, PlanError> {
    let low = machine.ram.min(machine::LOW_RAM_END);
    let mut map = Vec::new();
    fixed(&mut map, "ram", Kind::Ram, Span::new(Gpa::new(0), low));
    let high = Span::new(Gpa::new(machine::HIGH_RAM), machine.ram - low);
    if high.is_some_and(|span| span.end().get() > machine.limit()) {
        return Err(PlanError::NoRoom { name: "ram".into(), size: machine.ram, limit: machine.limit() });
    }
    fixed(&mut map, "ram above 4 GiB", Kind::Ram, high);
    Ok(map)
}

fn fixed(map: &mut Vec<Placed>, name: &str, kind: Kind, span: Option<Span<Gpa>>) {
    map.extend(span.map(|span| Placed { name: name.to_owned(), kind, span }));
}

fn dma(devices: &[Device], map: &[Placed]) -> Vec<Dma> {
    let decide = |placed: &Placed| match placed.kind {
        Kind::Ram => Some(Decision::Map),
        Kind::Bar | Kind::Window => Some(Decision::SkipDeviceMemory),
        Kind::Ecam | Kind::Doorbell => None,
    };
    let of_device = |device: &Device| {
        let name = device.name.clone();
        map.iter().filter_map(move |placed| {
            let decision = decide(placed)?;
            Some(Dma { device: name.clone(), name: placed.name.clone(), span: placed.span, decision })
        })
    };
    devices.iter().flat_map(of_device).collect()
}

#[cfg(test)]
mod tests;
