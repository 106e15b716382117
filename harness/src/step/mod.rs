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
use crate::report::story::Who;
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
    /// Something else was seen than what must be seen.
    Differs {
        /// What was seen.
        seen: String,
        /// What must be seen.
        expected: String,
    },
    /// It could not be done, or not be judged, and here is why.
    Failed(String),
}

/// Carries a step out.
pub fn carry_out(scene: &mut Scene, step: &Step) -> Verdict {
    match scene {
        Scene::Machine(world) => machine::carry_out(world, step),
        Scene::Opened(opened) => user::carry_out(opened, step),
    }
}

/// On whose behalf a step says something to a device.
pub(crate) fn on_behalf_of(step: &Step) -> Who {
    match step {
        Step::Load(_) | Step::Store(_) | Step::Decoder(_) | Step::Hidden(_) | Step::Acpi(_) => Who::Guest,
        Step::Run(_) | Step::Copy(_) | Step::Handler(_) | Step::Interrupts(_) => Who::Guest,
        Step::DeviceHolds(_) | Step::DevicePuts(_) => Who::Scenario,
        Step::DeviceInfo(_) | Step::RegionInfo(_) | Step::RegionRead(_) | Step::RegionWrite(_) => Who::User,
        Step::Sweep(_) | Step::Map(_) | Step::DmaMap(_) | Step::DmaUnmap(_) | Step::DmaMemory(_) => Who::User,
        Step::DmaCopy(_) | Step::Vectors(_) | Step::Vector(_) | Step::Reset(_) | Step::Reopen(_) => Who::User,
        _ => Who::Machine,
    }
}

fn judged(holds: bool, seen: String, expected: impl FnOnce() -> String) -> Verdict {
    if holds { Verdict::Passed(seen) } else { Verdict::Differs { seen, expected: expected() } }
}
