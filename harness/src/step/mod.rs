//! Carrying out one step, and judging what was seen.
//!
//! - [`machine`]: what a guest does and sees.
//! - `accident`: what is done to a device's process, and what the machine has lost.
//! - `acpi`: what the ACPI tables in guest memory say.
//! - `dma`: what a device's engine copies, and what was planned about it.
//! - `interrupts`: what the guest was interrupted by, and what devices told the machine.
//! - `life`: resets, and what became of a device's decoder and memory.
//! - `plug`: devices that come and go.
//! - [`user`]: what a user of VFIO asks of a device, and what it answers.

pub mod machine;
pub mod user;

mod accident;
mod acpi;
mod dma;
mod info;
mod interrupts;
mod life;
mod plug;
mod reached;

use crate::opened::Opened;
use crate::scenario::step::Step;
use crate::world::World;

/// Where steps are carried out.
#[derive(Debug)]
pub enum Scene {
    /// A machine that runs.
    Machine(Box<World>),
    /// Devices that are open, and no machine.
    Opened(Opened),
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What must be seen was seen: this.
    Passed(String),
    /// Something else was seen, and here is what.
    Failed(String),
}

/// Carries a step out.
pub fn carry_out(scene: &mut Scene, step: &Step) -> Verdict {
    match scene {
        Scene::Machine(world) => machine::carry_out(world, step),
        Scene::Opened(opened) => user::carry_out(opened, step),
    }
}

fn judged(holds: bool, seen: String, expected: impl FnOnce() -> String) -> Verdict {
    if holds { Verdict::Passed(seen) } else { Verdict::Failed(format!("{seen}, expected {}", expected())) }
}
