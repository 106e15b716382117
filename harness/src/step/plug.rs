//! Steps about devices that come and go.

use super::Verdict;
use super::machine::Trouble;
use super::machine::judge;
use crate::scenario::plug as scenario;
use crate::world::World;

pub(super) fn plug(world: &mut World, step: &scenario::Plug) -> Result<Verdict, Trouble> {
    let outcome = world.plug(&step.device).map_err(|error| error.to_string());
    came(outcome, (&step.device, "plugged"), step.refused.as_deref())
}

pub(super) fn unplug(world: &mut World, step: &scenario::Unplug) -> Result<Verdict, Trouble> {
    let mut devices = world.running.plan().devices.iter();
    let Some(number) = devices.position(|device| device.name == step.device) else {
        return Err(Trouble::Device { name: step.device.clone() });
    };
    let outcome = world.unplug(number).map_err(|error| error.to_string());
    came(outcome, (&step.device, "unplugged"), step.refused.as_deref())
}

/// What came of it, against what should.
fn came(
    outcome: Result<(), String>,
    (device, done): (&str, &str),
    refused: Option<&str>,
) -> Result<Verdict, Trouble> {
    let holds = match (&outcome, refused) {
        (Ok(()), None) => true,
        (Err(error), Some(because)) => error.contains(because),
        (Ok(()), Some(_)) | (Err(_), None) => false,
    };
    let seen = match outcome {
        Ok(()) => format!("{device} is {done}"),
        Err(error) => format!("{device} is not {done}: {error}"),
    };
    judge(holds, seen, || refused.map_or(format!("to be {done}"), |because| format!("{because:?}")))
}
