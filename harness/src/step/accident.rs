//! Steps about accidents: what is done to a device's process, and what the machine has lost.

use super::Verdict;
use super::machine::Trouble;
use super::machine::device;
use super::machine::judge;
use crate::host::Host;
use crate::scenario::accident as scenario;
use crate::world::World;

/// The process behind a device.
fn host(world: &World, name: &str) -> Result<Host, Trouble> {
    world.host(name).cloned().ok_or_else(|| Trouble::NoProcess { name: name.to_owned() })
}

pub(super) fn kill(world: &World, step: &scenario::Kill) -> Result<Verdict, Trouble> {
    host(world, &step.device)?.kill();
    Ok(Verdict::Passed(format!("{}: its process is dead", step.device)))
}

pub(super) fn freeze(world: &World, step: &scenario::Freeze) -> Result<Verdict, Trouble> {
    host(world, &step.device)?.freeze(step.until_sought);
    Ok(Verdict::Passed(format!("{}: its process stands still", step.device)))
}

pub(super) fn thaw(world: &World, step: &scenario::Thaw) -> Result<Verdict, Trouble> {
    host(world, &step.device)?.thaw();
    Ok(Verdict::Passed(format!("{}: its process goes on", step.device)))
}

pub(super) fn restart(world: &World, step: &scenario::Restart) -> Result<Verdict, Trouble> {
    host(world, &step.device)?.restart(step.with.as_deref())?;
    Ok(Verdict::Passed(format!("{}: another process is in the place of its own", step.device)))
}

pub(super) fn lost(world: &mut World, step: &scenario::Lost) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    world.running.attend();
    let reason = step.reason.as_deref().unwrap_or_default();
    let expected = || {
        let because = if reason.is_empty() { String::new() } else { format!(" because of {reason:?}") };
        format!("to be lost at {:?}{because}, then {:?}", step.call, step.then)
    };
    let Some(loss) = world.running.take_loss(index) else {
        return judge(false, format!("{}: is not lost", step.device), expected);
    };
    let call = loss.error.call.to_string().contains(&step.call);
    let holds = call && loss.error.failure.to_string().contains(reason);
    judge(holds && loss.then.to_string().contains(&step.then), format!("{}: {loss}", step.device), expected)
}
