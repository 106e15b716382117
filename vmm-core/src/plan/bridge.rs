//! Where a host bridge and what is below it go: its registers, its port, and the BARs behind the port.
//!
//! ```text
//!  window of 32 bits   ┌ port's BAR ┬ BARs of the endpoint that have 32 bits or are not prefetchable ┐
//!  window of 64 bits                ┌ prefetchable BARs of the endpoint ┐
//! ```
//!
//! What is not prefetchable is forwarded by the port's window of 32 bits alone, though the BAR may have 64; Linux
//! does not keep it anywhere else. Larger BARs come first, so that none leaves a gap before the next.

use cxl_spec::address::Bdf;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::pci::bridge::WINDOW_GRANULE;

use super::Kind;
use super::Placed;
use super::PlanError;
use super::layout::Cursor;
use super::machine::ECAM_FUNCTION_SIZE;
use super::machine::Layout;
use super::topology::WiredBridge;

/// A CXL host bridge. Its number, for ACPI and whoever else wants one, is its first bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// What it is called.
    pub name: String,
    /// Its first bus, on which its root port is.
    pub bus: u8,
    /// Its last bus.
    pub last_bus: u8,
    /// Its component registers.
    pub registers: Span<Gpa>,
    /// Its window of 32 bits.
    pub window_32: Span<Gpa>,
    /// Its window of 64 bits, if anything is in it.
    pub window_64: Option<Span<Gpa>>,
    /// Its root port.
    pub port: Port,
}

/// A CXL root port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its number, which no other port of the machine has.
    pub number: u8,
    /// Which function it is.
    pub bdf: Bdf,
    /// Its configuration space.
    pub config: Span<Gpa>,
    /// Its only BAR, of 64 bits: its component registers.
    pub bar: Span<Gpa>,
    /// The only bus below it.
    pub secondary: u8,
    /// What it forwards below 4 GiB.
    pub memory: Option<Span<Gpa>>,
    /// What it forwards of prefetchable memory.
    pub prefetchable: Option<Span<Gpa>>,
    /// The device below it, by its number in the plan.
    pub device: Option<usize>,
}

impl Bridge {
    /// The function below the port, and its configuration space.
    pub fn endpoint(&self, ecam: Span<Gpa>) -> Option<(Bdf, Span<Gpa>)> {
        let bdf = Bdf::new(self.port.secondary, 0, 0)?;
        Some((bdf, function(ecam, bdf)?))
    }
}

/// A BAR that wants a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Which of the device's.
    pub(super) index: u8,
    /// Its length.
    pub(super) size: u64,
    /// It can be anywhere.
    pub(super) high: bool,
}

/// What a bridge got.
pub(super) struct Got {
    pub(super) bridge: Bridge,
    /// Its parts, and the BARs, for the map.
    pub(super) placed: Vec<Placed>,
    /// The BARs of the device below, by their numbers.
    pub(super) bars: Vec<(u8, Span<Gpa>)>,
}

/// The configuration space of a function.
fn function(ecam: Span<Gpa>, bdf: Bdf) -> Option<Span<Gpa>> {
    let offset = u64::from(bdf.requester_id()).checked_mul(ECAM_FUNCTION_SIZE)?;
    let start = ecam.start().checked_add(offset)?;
    ecam.covers(start, ECAM_FUNCTION_SIZE).then(|| Span::new(start, ECAM_FUNCTION_SIZE))?
}

/// Places one bridge, and the BARs of the device below it, of which each has pages of its own.
pub(super) fn place(
    layout: &mut Layout,
    number: usize,
    wired: &WiredBridge,
    (device, bars): (&str, &[Wanted]),
    page: u64,
) -> Result<Got, PlanError> {
    let mut placing = Placing::new(device, bars, page);
    let name = format!("{} registers", wired.name);
    let registers = placing.put(&mut layout.slots, (&name, Kind::Registers), BLOCK_SIZE, BLOCK_SIZE)?;
    let start = layout.low.skip_to(WINDOW_GRANULE);
    let name = format!("{} port bar0", wired.name);
    let alignment = BLOCK_SIZE.max(page);
    let bar = placing.put(&mut layout.low, (&name, Kind::Registers), BLOCK_SIZE, alignment)?;
    let memory = placing.forwarded(&mut layout.low, false, wired.reserve.memory)?;
    let prefetchable = placing.forwarded(&mut layout.high, true, wired.reserve.prefetchable)?;
    let end = layout.low.skip_to(WINDOW_GRANULE);
    let limit = layout.low.end();
    let no_room = || PlanError::NoRoom { name: wired.name.clone(), size: BLOCK_SIZE, limit };
    let window_32 = end.offset_from(start).and_then(|size| Span::new(start, size)).ok_or_else(no_room)?;
    let bdf = Bdf::new(wired.bus, 0, 0).ok_or_else(no_room)?;
    let port = Port {
        number: u8::try_from(number).unwrap_or(u8::MAX),
        bdf,
        config: function(layout.ecam, bdf).ok_or_else(no_room)?,
        bar,
        secondary: wired.bus.saturating_add(1),
        memory,
        prefetchable,
        device: wired.device,
    };
    let bridge = Bridge {
        name: wired.name.clone(),
        bus: wired.bus,
        last_bus: wired.last_bus,
        registers,
        window_32,
        window_64: prefetchable,
        port,
    };
    Ok(Got { bridge, placed: placing.placed, bars: placing.got })
}

/// Places the BARs of a device that comes below a bridge later, in what its port forwards already.
pub(super) fn fit(
    bridge: &Bridge,
    (device, bars): (&str, &[Wanted]),
    page: u64,
) -> Result<Fitted, PlanError> {
    let mut placing = Placing::new(device, bars, page);
    for (window, high) in [(bridge.port.memory, false), (bridge.port.prefetchable, true)] {
        let (start, end) = window.map_or((0, 0), |window| (window.start().get(), window.end().get()));
        placing.forwarded(&mut Cursor::new(start, end, &bridge.name), high, 0)?;
    }
    Ok(Fitted { placed: placing.placed, bars: placing.got })
}

/// What a device got that came later.
pub(super) struct Fitted {
    /// Its BARs, for the map.
    pub(super) placed: Vec<Placed>,
    /// The same, by their numbers.
    pub(super) bars: Vec<(u8, Span<Gpa>)>,
}

/// A bridge that is being placed.
struct Placing<'a> {
    device: &'a str,
    bars: &'a [Wanted],
    page: u64,
    placed: Vec<Placed>,
    got: Vec<(u8, Span<Gpa>)>,
}

impl<'a> Placing<'a> {
    fn new(device: &'a str, bars: &'a [Wanted], page: u64) -> Self {
        Self { device, bars, page, placed: Vec::new(), got: Vec::new() }
    }

    fn put(
        &mut self,
        cursor: &mut Cursor,
        (name, kind): (&str, Kind),
        size: u64,
        alignment: u64,
    ) -> Result<Span<Gpa>, PlanError> {
        let (span, why) = cursor.place(name, size, alignment)?;
        self.placed.push(Placed { name: name.to_owned(), kind, span, why });
        Ok(span)
    }

    /// Places the BARs that go here, and gives the window that they are in. It is `reserve` bytes long at least.
    fn forwarded(
        &mut self,
        cursor: &mut Cursor,
        high: bool,
        reserve: u64,
    ) -> Result<Option<Span<Gpa>>, PlanError> {
        // A window for something that comes later begins where the largest that fits may begin.
        let alignment = reserve.checked_ilog2().map_or(WINDOW_GRANULE, |bit| 1 << bit);
        let start = cursor.skip_to(alignment.max(WINDOW_GRANULE));
        let mut wanted: Vec<_> = self.bars.iter().filter(|bar| bar.high == high).collect();
        wanted.sort_by_key(|bar| std::cmp::Reverse(bar.size));
        let mut first = (reserve > 0).then_some(start);
        let mut is_first = true;
        for Wanted { index, size, .. } in wanted {
            let name = format!("{} bar{index}", self.device);
            let least = if is_first { self.page.max(WINDOW_GRANULE) } else { self.page };
            let span = self.put(cursor, (&name, Kind::Bar), *size, (*size).max(least))?;
            first.get_or_insert(span.start());
            is_first = false;
            self.got.push((*index, span));
        }
        let used = cursor.skip_to(WINDOW_GRANULE).offset_from(start).unwrap_or(0);
        if let Some(rest) = reserve.checked_sub(used).filter(|rest| *rest > 0) {
            cursor.place("what a bridge keeps free", rest, 1)?;
        }
        let end = cursor.skip_to(WINDOW_GRANULE);
        Ok(first.and_then(|first| Span::new(first, end.offset_from(first)?)))
    }
}
