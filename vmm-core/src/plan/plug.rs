//! A device that comes below a root port while the machine runs: where its parts go.
//!
//! ```text
//!  at start   buses, what the port forwards, the fixed memory window ── reserved, and told to the guest
//!  later      BARs in what the port forwards, memory at the start of the window ── or the device is refused
//! ```
//!
//! What the guest was told stays as it is: a device that does not fit is refused. The same device in the same slot has
//! the same places each time.

use cxl_spec::address::Span;

use super::Bridge;
use super::FixedWindow;
use super::Plan;
use super::PlanError;
use super::Refusal;
use super::bridge;
use super::dma;
use super::place::Candidate;
use super::place::Shown;
use crate::discover::Inventory;

impl Plan {
    /// The plan with this device below that bridge, in place of one that was there, and the device's number.
    ///
    /// # Errors
    /// If the device cannot be attached, or does not fit into what the machine keeps for it.
    pub fn with_device(
        &self,
        below: &str,
        name: &str,
        inventory: &Inventory,
    ) -> Result<(Self, usize), PlanError> {
        let candidate = Candidate::new(&self.machine, name, inventory)?;
        let found = self.bridges.iter().position(|bridge| bridge.name == below);
        let place = found.and_then(|number| Some((number, self.bridges.get(number)?)));
        let no_bridge = || candidate.refused(Refusal::NoBridge(below.to_owned()));
        let (number, bridge) = place.ok_or_else(no_bridge)?;
        let device = bridge.port.device.unwrap_or(self.devices.len());
        let mut others = self.devices.iter().enumerate().filter(|(other, _)| *other != device);
        if others.any(|(_, other)| other.name == name) {
            return Err(candidate.refused(Refusal::NameTaken));
        }
        let window = self.window_of(number, bridge, &candidate)?;
        let mut plan = self.clone();
        plan.put(&candidate, (number, bridge), (device, window))?;
        Ok((plan, device))
    }

    /// The window that leads to a bridge alone, if it takes the device's memory.
    fn window_of(&self, number: usize, bridge: &Bridge, device: &Candidate<'_>) -> Result<usize, PlanError> {
        let mut alone =
            self.windows.iter().enumerate().filter(|(_, window)| window.only_target() == Some(number));
        let bridge = || bridge.name.clone();
        let why = match (alone.next(), alone.next()) {
            (None, _) => Refusal::NoWindow(bridge()),
            (Some((_, first)), Some((_, second))) => {
                let (first, second) = (first.name.clone(), second.name.clone());
                Refusal::AmbiguousWindow { bridge: bridge(), first, second }
            }
            (Some((found, window)), None) => match refusal(window, device) {
                None => return Ok(found),
                Some(why) => why,
            },
        };
        Err(device.refused(why))
    }

    fn put(
        &mut self,
        candidate: &Candidate<'_>,
        (number, bridge): (usize, &Bridge),
        (device, window): (usize, usize),
    ) -> Result<(), PlanError> {
        let no_function = || candidate.refused(Refusal::NoFunction);
        let function = bridge.endpoint(self.ecam).ok_or_else(no_function)?;
        let fitted = bridge::fit(bridge, (candidate.name(), &candidate.wanted()), self.machine.page_size)?;
        let mut shown = Shown::new(&self.machine);
        let bars = shown.bars(candidate, &fitted.bars)?;
        let span = self.windows.get(window).map(|window| window.span);
        let span = span.ok_or_else(|| candidate.refused(Refusal::NoWindow(bridge.name.clone())))?;
        let memory = shown.window(candidate, span)?;
        let planned = candidate.device(function, number, bars, (span, memory))?;
        let mut notes = shown.into_notes();
        notes.extend(dma::note(&self.machine, &planned));
        self.notes.extend(notes.into_iter().filter(|note| !self.notes.contains(note)).collect::<Vec<_>>());
        // The BARs of the one that was there are not in the map any more.
        let before: Vec<Span<_>> =
            self.devices.get(device).into_iter().flat_map(|was| &was.bars).map(|bar| bar.span).collect();
        self.map.retain(|placed| !(placed.kind == super::Kind::Bar && before.contains(&placed.span)));
        self.map.extend(fitted.placed);
        self.map.sort_by_key(|placed| placed.span);
        match self.devices.get_mut(device) {
            Some(was) => *was = planned,
            None => self.devices.push(planned),
        }
        self.bridges.get_mut(number).into_iter().for_each(|bridge| bridge.port.device = Some(device));
        self.windows.get_mut(window).into_iter().for_each(|window| window.device = Some(device));
        self.dma = dma::decide(&self.machine, &self.devices, &self.map, &self.smmus);
        Ok(())
    }
}

/// Why a window does not take a device's memory.
fn refusal(window: &FixedWindow, device: &Candidate<'_>) -> Option<Refusal> {
    let FixedWindow { name, span, back_invalidate, .. } = window;
    if span.size() < device.memory() {
        return Some(Refusal::SmallWindow {
            window: name.clone(),
            size: span.size(),
            memory: device.memory(),
        });
    }
    let is_other = *back_invalidate != device.back_invalidates();
    is_other.then(|| Refusal::OtherCoherency { window: name.clone(), back_invalidate: *back_invalidate })
}
