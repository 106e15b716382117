//! Which device is below which host bridge, and which window leads there: intents in, one answer or a refusal out.
//!
//! ```text
//!  main memory ─┬─ host bridge, bus 12 ── root port ── bus 13: gpu0      buses 12 to 19
//!               └─ host bridge, bus 20 ── root port ── bus 21: gpu1      buses 20 to 255
//!  window 1 ──▶ the first host bridge            gpu0's: the one whose only target is its bridge
//!  window 2 ──▶ the second host bridge           gpu1's
//! ```
//!
//! A host bridge has one root port, and that one endpoint: with one port nothing is decoded in the bridge, and a
//! second endpoint would have no decoder that tells it from the first.

use cxl_spec::component::hdm;
use cxl_spec::pci::bridge::WINDOW_GRANULE;

use super::PlanError;
use super::Refusal;
use super::defect::Defect;
use super::machine::Machine;
use super::place::Candidate;

/// What somebody says about bridges and windows. What is left out is made up: each device that names no bridge has
/// one of its own, and where there is no window at all, each device has one of the length of its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// There are no windows, though host bridges have their registers.
    pub without_windows: bool,
    /// Host bridges.
    pub bridges: Vec<BridgeIntent>,
    /// CXL fixed memory windows.
    pub windows: Vec<WindowIntent>,
    /// Which device is below which bridge, by their names. Of a device that is not there nothing comes.
    pub below: Vec<(String, String)>,
}

/// A host bridge that somebody wants. Without a device below it, the slot of its port is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeIntent {
    /// What it is called.
    pub name: String,
    /// Its first bus; a free one if nothing is said.
    pub bus: Option<u8>,
    /// What its port forwards at least, for the BARs of a device that comes later.
    pub reserve: Reserve,
}

/// How many bytes a port forwards at least: multiples of 1 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Below 4 GiB, for BARs of 32 bits or that are not prefetchable.
    pub memory: u64,
    /// Prefetchable, anywhere.
    pub prefetchable: u64,
}

/// A window that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowIntent {
    /// Its length.
    pub size: u64,
    /// The names of the host bridges that it leads to.
    pub targets: Vec<String>,
}

/// The most host bridges: a machine has so many slots for their registers.
pub const MOST_BRIDGES: usize = 16;

/// The longest window.
pub const LARGEST_WINDOW: u64 = 1 << 40;

/// The most that a port forwards for a device that comes later.
const LARGEST_RESERVE: u64 = 1 << 40;

/// The first bus of a bridge for which nobody says one, and how far the next is.
const FIRST_BUS: u8 = 12;
const BUSES: usize = 8;

/// How many ways a window can interleave (CXL 3.2, 9.18.1.3).
const WAYS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

/// Bridges and windows as they will be.
#[derive(Clone, Debug)]
pub(super) struct Wiring {
    pub(super) bridges: Vec<WiredBridge>,
    pub(super) windows: Vec<WiredWindow>,
    /// The window of each device.
    pub(super) window_of: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct WiredBridge {
    pub(super) name: String,
    pub(super) bus: u8,
    pub(super) last_bus: u8,
    pub(super) reserve: Reserve,
    /// The device below.
    pub(super) device: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct WiredWindow {
    pub(super) name: String,
    pub(super) size: u64,
    /// The bridges that it leads to.
    pub(super) targets: Vec<usize>,
    /// The device that it is for.
    pub(super) device: Option<usize>,
}

fn wrong<T>(what: &str, field: &'static str, value: impl ToString, why: String) -> Result<T, PlanError> {
    Err(PlanError::Topology { what: what.to_owned(), field, value: value.to_string(), why })
}

/// What will be done about these devices.
///
/// # Errors
/// If an intent cannot be, or a device has no bridge or no window of its own.
pub(super) fn wire(machine: &Machine, devices: &[Candidate<'_>]) -> Result<Wiring, PlanError> {
    let topology = &machine.topology;
    let mut bridges = named(&topology.bridges)?;
    let mut buses: Vec<Option<u8>> = topology.bridges.iter().map(|bridge| bridge.bus).collect();
    for (index, device) in devices.iter().enumerate() {
        let below = topology.below.iter().find(|(name, _)| name == device.name());
        let slot = match below {
            None => None,
            Some((_, name)) => slot(machine, &mut bridges, name, (device, devices))?,
        };
        match slot {
            Some(bridge) => bridge.device = Some(index),
            None => {
                let name = format!("{} bridge", device.name());
                let reserve = Reserve::default();
                bridges.push(WiredBridge { name, bus: 0, last_bus: 0, reserve, device: Some(index) });
                buses.push(None);
            }
        }
    }
    if bridges.len() > MOST_BRIDGES {
        return wrong("machine", "bridges", bridges.len(), format!("must be 1 to {MOST_BRIDGES}"));
    }
    number(&mut bridges, &buses)?;
    let (windows, window_of) = windows(machine, &bridges, devices)?;
    Ok(Wiring { bridges, windows, window_of })
}

/// The bridge that a device is below by name. Nothing where another one is there and that goes unnoticed: the device is
/// below a bridge that nobody has named then.
fn slot<'a>(
    machine: &Machine,
    bridges: &'a mut [WiredBridge],
    name: &str,
    (device, devices): (&Candidate<'_>, &[Candidate<'_>]),
) -> Result<Option<&'a mut WiredBridge>, PlanError> {
    let bridge = bridges.iter_mut().find(|bridge| bridge.name == name);
    let bridge = bridge.ok_or_else(|| device.refused(Refusal::NoBridge(name.to_owned())))?;
    match bridge.device.and_then(|other| devices.get(other)) {
        None => Ok(Some(bridge)),
        Some(_) if machine.has(Defect::SecondEndpointTaken) => Ok(None),
        Some(other) => {
            let (bridge, other) = (name.to_owned(), other.name().to_owned());
            Err(device.refused(Refusal::BridgeTaken { bridge, other }))
        }
    }
}

fn named(intents: &[BridgeIntent]) -> Result<Vec<WiredBridge>, PlanError> {
    let mut bridges: Vec<WiredBridge> = Vec::new();
    for BridgeIntent { name, bus: _, reserve } in intents {
        if bridges.iter().any(|bridge| bridge.name == *name) {
            return wrong(&format!("bridge {name}"), "name", name, "another bridge has it".to_owned());
        }
        for (field, size) in
            [("reserve.memory", reserve.memory), ("reserve.prefetchable", reserve.prefetchable)]
        {
            if size > LARGEST_RESERVE || !size.is_multiple_of(WINDOW_GRANULE) {
                let why = "must be a multiple of 1 MiB, at most 1 TiB".to_owned();
                return wrong(&format!("bridge {name}"), field, format!("{size:#x}"), why);
            }
        }
        bridges.push(WiredBridge {
            name: name.clone(),
            bus: 0,
            last_bus: 0,
            reserve: *reserve,
            device: None,
        });
    }
    Ok(bridges)
}

/// Gives each bridge its buses: from its own to the one before the next bridge's.
fn number(bridges: &mut [WiredBridge], wanted: &[Option<u8>]) -> Result<(), PlanError> {
    let mut taken: Vec<u8> = wanted.iter().copied().flatten().collect();
    for (bridge, wish) in bridges.iter_mut().zip(wanted) {
        // The bus below the root port is the next one, so two bridges are two buses apart at least.
        let free = |bus: &u8| taken.iter().all(|other| other.abs_diff(*bus) > 1);
        let bus = wish.or_else(|| (FIRST_BUS..u8::MAX).step_by(BUSES).find(free));
        let Some(bus) = bus else {
            return wrong(&format!("bridge {}", bridge.name), "bus", "none", "no bus is free".to_owned());
        };
        bridge.bus = bus;
        if wish.is_none() {
            taken.push(bus);
        }
    }
    taken.sort_unstable();
    for bridge in bridges {
        let refuse = |why| wrong(&format!("bridge {}", bridge.name), "bus", bridge.bus, why);
        if bridge.bus == 0 || bridge.bus == u8::MAX {
            return refuse(
                "must be 1 to 254: bus 0 is the machine's own, and a port needs the next".to_owned(),
            );
        }
        if taken.iter().filter(|bus| **bus == bridge.bus).count() > 1 {
            return refuse("another bridge begins there".to_owned());
        }
        let next = taken.iter().find(|bus| **bus > bridge.bus);
        bridge.last_bus = next.map_or(u8::MAX, |next| next - 1);
        if bridge.last_bus == bridge.bus {
            let next = bridge.bus.saturating_add(1);
            return refuse(format!("its port needs bus {next}, where another bridge begins"));
        }
    }
    Ok(())
}

/// The windows, and which of them each device has.
fn windows(
    machine: &Machine,
    bridges: &[WiredBridge],
    devices: &[Candidate<'_>],
) -> Result<(Vec<WiredWindow>, Vec<usize>), PlanError> {
    let topology = &machine.topology;
    let mut windows = match topology.windows.as_slice() {
        [] => own(bridges, devices),
        intents => wanted(intents, bridges)?,
    };
    for window in &windows {
        check_size(window)?;
    }
    let mut window_of = Vec::new();
    for (index, device) in devices.iter().enumerate() {
        if topology.without_windows {
            return Err(device.refused(Refusal::WindowsOff));
        }
        let below = topology.below.iter().find(|(name, _)| name == device.name());
        let own = bridges.iter().position(|bridge| match below {
            None => bridge.device == Some(index),
            Some((_, name)) => bridge.name == *name,
        });
        let found = match machine.has(Defect::FirstWindowForAll) {
            true => 0,
            false => find(&windows, own, bridges, device)?,
        };
        windows.get_mut(found).into_iter().for_each(|window| window.device = window.device.or(Some(index)));
        window_of.push(found);
    }
    if topology.without_windows {
        windows.clear();
    }
    Ok((windows, window_of))
}

/// A window for each device, as long as its memory.
fn own(bridges: &[WiredBridge], devices: &[Candidate<'_>]) -> Vec<WiredWindow> {
    let own = |(index, device): (usize, &Candidate<'_>)| WiredWindow {
        name: format!("{} window", device.name()),
        size: device.memory(),
        targets: bridges.iter().position(|bridge| bridge.device == Some(index)).into_iter().collect(),
        device: None,
    };
    devices.iter().enumerate().map(own).collect()
}

fn wanted(intents: &[WindowIntent], bridges: &[WiredBridge]) -> Result<Vec<WiredWindow>, PlanError> {
    let mut windows = Vec::new();
    for (number, intent) in (1..).zip(intents) {
        let name = format!("window {number}");
        let listed = intent.targets.join(", ");
        let refuse = |why: &str| wrong(&name, "targets", format!("[{listed}]"), why.to_owned());
        let mut targets = Vec::new();
        for target in &intent.targets {
            match bridges.iter().position(|bridge| bridge.name == *target) {
                None => return refuse(&format!("there is no bridge {target}")),
                Some(index) if targets.contains(&index) => return refuse("has a bridge twice"),
                Some(index) => targets.push(index),
            }
        }
        if !WAYS.contains(&targets.len()) {
            return refuse("must be 1, 2, 3, 4, 6, 8, 12 or 16 bridges");
        }
        windows.push(WiredWindow { name, size: intent.size, targets, device: None });
    }
    Ok(windows)
}

fn check_size(window: &WiredWindow) -> Result<(), PlanError> {
    let WiredWindow { name, size, targets, .. } = window;
    let refuse = |why: String| wrong(name, "size", format!("{size:#x}"), why);
    let granule = hdm::GRANULE.saturating_mul(targets.len() as u64);
    if !(hdm::GRANULE..=LARGEST_WINDOW).contains(size) {
        return refuse("must be 256 MiB to 1 TiB".to_owned());
    }
    if !size.is_multiple_of(granule) {
        return refuse(match targets.len() {
            1 => "must be a multiple of 256 MiB".to_owned(),
            ways => format!("must be a multiple of 256 MiB for each of its {ways} targets"),
        });
    }
    Ok(())
}

/// The window whose only target is this device's `own` bridge.
fn find(
    windows: &[WiredWindow],
    own: Option<usize>,
    bridges: &[WiredBridge],
    device: &Candidate<'_>,
) -> Result<usize, PlanError> {
    let bridge = || own.and_then(|own| bridges.get(own)).map_or_else(String::new, |own| own.name.clone());
    let leads = |window: &&WiredWindow| own.is_some_and(|own| window.targets.contains(&own));
    let mut alone =
        windows.iter().enumerate().filter(|(_, window)| leads(window) && window.targets.len() == 1);
    let why = match (alone.next(), alone.next()) {
        (Some((found, window)), None) if window.size >= device.memory() => return Ok(found),
        (Some((_, WiredWindow { name, size, .. })), None) => {
            Refusal::SmallWindow { window: name.clone(), size: *size, memory: device.memory() }
        }
        (Some((_, first)), Some((_, second))) => Refusal::AmbiguousWindow {
            bridge: bridge(),
            first: first.name.clone(),
            second: second.name.clone(),
        },
        (None, _) => match windows.iter().find(leads) {
            None => Refusal::NoWindow(bridge()),
            Some(WiredWindow { name, targets, .. }) => {
                Refusal::SharedWindow { window: name.clone(), targets: targets.len() }
            }
        },
    };
    Err(device.refused(why))
}

#[cfg(test)]
mod tests;
