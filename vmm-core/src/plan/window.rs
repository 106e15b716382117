//! CXL fixed memory windows: packed, behind everything else.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;

use super::Bridge;
use super::Kind;
use super::Placed;
use super::PlanError;
use super::Reason;
use super::layout::Cursor;
use super::topology::WiredWindow;
use super::topology::Wiring;

/// A CXL fixed memory window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub span: Span<Gpa>,
    /// Why it is there.
    pub why: Reason,
    /// The bridges that it leads to, by their numbers in the plan.
    pub targets: Vec<usize>,
    /// The device whose memory is in it, from its start on, by its number in the plan.
    pub device: Option<usize>,
    /// The device keeps that memory coherent by back-invalidation (HDM-DB), and not over CXL.cache (HDM-D).
    pub back_invalidate: bool,
}

/// Places windows one directly behind the other.
///
/// # Errors
/// If one does not fit. It is not left out: a guest would miss it without a word.
pub(super) fn place(cursor: &mut Cursor, wiring: &Wiring) -> Result<Vec<FixedWindow>, PlanError> {
    // What comes into an empty slot, its bridge says; what is there says it itself, later.
    let back_invalidates = |wired: &WiredWindow| match wired.targets.as_slice() {
        [target] => wiring.bridges.get(*target).is_some_and(|bridge| bridge.back_invalidate),
        _ => false,
    };
    let place = |wired: &WiredWindow| {
        let (span, why) = cursor.place(&wired.name, wired.size, hdm::GRANULE)?;
        Ok(FixedWindow {
            name: wired.name.clone(),
            span,
            why,
            targets: wired.targets.clone(),
            device: wired.device,
            back_invalidate: back_invalidates(wired),
        })
    };
    wiring.windows.iter().map(place).collect()
}

impl FixedWindow {
    /// The bridge that it leads to, if that is one alone.
    pub fn only_target(&self) -> Option<usize> {
        match self.targets.as_slice() {
            [target] => Some(*target),
            _ => None,
        }
    }

    /// The window in the map.
    pub(super) fn placed(&self) -> Placed {
        Placed { name: self.name.clone(), kind: Kind::Window, span: self.span, why: self.why.clone() }
    }
}

/// What there is to say about windows that overlap what a bridge forwards to its devices' BARs. An access there
/// would have two ways to go.
pub fn overlaps(windows: &[FixedWindow], bridges: &[Bridge]) -> Vec<String> {
    let note = |window: &FixedWindow, bridge: &Bridge| {
        let range = bridge.window_64.filter(|range| range.overlaps(window.span))?;
        let (window, span, bridge) = (&window.name, window.span, &bridge.name);
        Some(format!("{window} at {span} overlaps the 64-bit window of {bridge} at {range}"))
    };
    windows.iter().flat_map(|window| bridges.iter().filter_map(move |bridge| note(window, bridge))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake::Fake;
    use crate::discover::discover;
    use crate::plan::machine::Machine;
    use crate::plan::plan;

    #[test]
    fn a_window_over_what_a_bridge_forwards_is_noted_and_one_beside_it_is_not() {
        let inventory = discover(&Fake::committed().shared()).unwrap();
        let plan = plan(&Machine::default(), &[("gpu0", &inventory)]).unwrap();
        let mut windows = plan.windows;
        assert_eq!(overlaps(&windows, &plan.bridges), [] as [String; 0]);
        windows[0].span = Span::new(Gpa::new(0x1_0000_0000), hdm::GRANULE).unwrap();
        let note = "gpu0 window at [0x100000000, 0x110000000) overlaps the 64-bit window of gpu0 bridge at \
                    [0x100000000, 0x100100000)";
        assert_eq!(overlaps(&windows, &plan.bridges), [note]);
        windows[0].span = Span::new(Gpa::new(0x1_0010_0000), hdm::GRANULE).unwrap();
        assert_eq!(overlaps(&windows, &plan.bridges), [] as [String; 0]);
    }
}
