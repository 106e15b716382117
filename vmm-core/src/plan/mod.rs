//! Second stage: what will be done, before anything is touched. Pure: no I/O, no clock, no host.
//!
//! ```text
//!  Inventory of each device ─┐
//!                            ├─▶ refuse ─▶ wire ─▶ place ─▶ Plan { map, bridges, windows, devices, dma }
//!  Machine ──────────────────┘            [`topology`]  policy: [`x86_64`], [`aarch64`]
//! ```
//!
//! A device that comes while the machine runs is planned into what its bridge keeps for it ([`Plan::with_device`]).
//! A [`Plan`] can be printed and compared. Whatever cannot be done is refused here, by device and field: behind
//! this stage only the outside can fail.

pub mod aarch64;
pub mod bar;
pub mod defect;
pub mod dma;
pub mod firmware;
pub mod iommu;
pub mod life;
pub mod machine;
pub mod programme;
pub mod topology;
pub mod x86_64;

mod bridge;
mod error;
mod layout;
mod place;
mod plug;
mod window;

use bar::Piece;
pub use bridge::Bridge;
pub use bridge::Port;
use cxl_spec::address::Bdf;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
pub use dma::Decision;
pub use dma::Dma;
pub use error::PlanError;
pub use error::Refusal;
use firmware::Tables;
pub use iommu::Smmu;
pub use layout::Reason;
use life::Committer;
use life::OnLoss;
use machine::Machine;
use place::Candidate;
use place::Shown;
use programme::Programme;
pub use window::FixedWindow;
pub use window::overlaps;

use crate::discover::Inventory;
use crate::discover::msix::Msix;

/// What will be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The machine that was asked for.
    pub machine: Machine,
    /// The guest address map, by rising address.
    pub map: Vec<Placed>,
    /// Where firmware leaves the ACPI tables in RAM.
    pub tables: Tables,
    /// Configuration space of all buses, from bus 0 on.
    pub ecam: Span<Gpa>,
    /// How many processors there are: the guest program's.
    pub cpus: u32,
    /// What no CXL bridge forwards of the 32-bit range: it is the machine's own bridge's, on bus 0.
    pub rest_32: Option<Span<Gpa>>,
    /// The CXL host bridges, in the order of their numbers.
    pub bridges: Vec<Bridge>,
    /// The CXL fixed memory windows, by rising address.
    pub windows: Vec<FixedWindow>,
    /// The SMMUs, in the order in which they were wanted.
    pub smmus: Vec<Smmu>,
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
    /// Why it is there.
    pub why: Reason,
}

impl Placed {
    /// Something that has its place whatever else there is; nothing if it is empty.
    fn fixed((name, kind, span, why): (&str, Kind, Option<Span<Gpa>>, &'static str)) -> Option<Self> {
        Some(Self { name: name.to_owned(), kind, span: span?, why: Reason::Fixed(why) })
    }
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
    /// What such machines have besides. Nothing answers there yet.
    Platform,
    /// Component registers of a host bridge or a root port.
    Registers,
    /// Registers of an SMMU.
    Smmu,
    /// A device's BAR.
    Bar,
    /// A CXL fixed memory window: a device's memory.
    Window,
    /// ACPI tables, which are in RAM.
    Tables,
}

impl Kind {
    /// The kind's name in plans and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Ecam => "ecam",
            Self::Doorbell => "doorbell",
            Self::Platform => "platform",
            Self::Registers => "registers",
            Self::Smmu => "smmu",
            Self::Bar => "bar",
            Self::Window => "window",
            Self::Tables => "tables",
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
    /// The bridge that it is below, by its number in the plan.
    pub bridge: usize,
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
    /// Offset in configuration space of the PCI Express capability, if it has one.
    pub express: Option<u64>,
    /// It offers address translation services.
    pub ats: bool,
    /// Who commits decoder 0.
    pub committer: Committer,
    /// What is done when it is lost.
    pub on_loss: OnLoss,
    /// Where the decoder may be: the CXL fixed memory window that leads to the device.
    pub fixed_window: Span<Gpa>,
    /// Its MSI-X, if it has it: the table and the pending bits that the guest sees are the machine's.
    pub msix: Option<Msix>,
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

/// Plans a machine with these devices. Each comes with the machine's name for it.
///
/// # Errors
/// If the machine cannot be, a device cannot be attached, or something has no place.
pub fn plan(machine: &Machine, devices: &[(&str, &Inventory)]) -> Result<Plan, PlanError> {
    machine.check()?;
    let mut layout = machine.layout()?;
    let candidates: Vec<Candidate> = devices
        .iter()
        .map(|(name, inventory)| Candidate::new(machine, name, inventory))
        .collect::<Result<_, _>>()?;
    let wiring = topology::wire(machine, &candidates)?;
    let mut map = std::mem::take(&mut layout.fixed);
    let mut bridges = Vec::new();
    let mut places = Vec::new();
    for (number, wired) in wiring.bridges.iter().enumerate() {
        let below = wired.device.and_then(|device| candidates.get(device));
        let wanted = below.map(Candidate::wanted).unwrap_or_default();
        let below = (below.map_or("", Candidate::name), wanted.as_slice());
        let got = bridge::place(&mut layout, number, wired, below, machine.page_size)?;
        map.extend(got.placed);
        bridges.push(got.bridge);
        places.push(got.bars);
    }
    // Windows come after everything else, whatever order the devices are in.
    let mut cursor = layout.windows.unwrap_or(layout.high);
    let mut windows = window::place(&mut cursor, &wiring.windows)?;
    map.extend(windows.iter().map(FixedWindow::placed));
    let mut shown = Shown::new(machine);
    let mut planned = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let found = bridges.iter().zip(&places).enumerate();
        let mut found = found.filter(|(_, (bridge, _))| bridge.port.device == Some(index));
        let window = wiring.window_of.get(index).and_then(|window| windows.get_mut(*window));
        // The wiring has given each device a bridge and a window.
        let Some(((number, (bridge, places)), window)) = found.next().zip(window) else { continue };
        window.back_invalidate = candidate.back_invalidates();
        let bars = shown.bars(candidate, places)?;
        let memory = shown.window(candidate, window.span)?;
        let windows = (window.span, memory);
        let function = bridge.endpoint(layout.ecam).ok_or_else(|| candidate.refused(Refusal::NoFunction))?;
        planned.push(candidate.device(function, number, bars, windows)?);
    }
    let (smmus, placed) = iommu::place(&mut layout.smmus, &machine.smmus, &bridges)?;
    map.extend(placed);
    map.sort_by_key(|placed| placed.span);
    let tables = firmware::place(machine, &map)?;
    let dma = dma::decide(machine, &planned, &map, &smmus);
    let mut notes = shown.into_notes();
    notes.extend(planned.iter().filter_map(|device| dma::note(machine, device)));
    notes.extend(overlaps(&windows, &bridges));
    notes.extend(firmware::silent(&windows));
    let (machine, rest_32) = (machine.clone(), layout.low.rest());
    Ok(Plan {
        machine,
        map,
        tables,
        ecam: layout.ecam,
        cpus: 1,
        rest_32,
        bridges,
        windows,
        smmus,
        devices: planned,
        dma,
        notes,
    })
}

#[cfg(test)]
mod tests;
