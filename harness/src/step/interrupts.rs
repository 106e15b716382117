//! Steps about interrupts: those that the guest has taken, and what devices told the machine.

use cxl_spec::address::Gpa;
use vmm_core::run::guest::Handler;

use super::Verdict;
use super::machine::Trouble;
use super::machine::device;
use super::machine::judge;
use super::machine::resolve;
use crate::scenario::interrupts as scenario;
use crate::world::World;

pub(super) fn handler(world: &mut World, step: &scenario::Handler) -> Result<Verdict, Trouble> {
    let at = Gpa::new(resolve(world, &step.at)?);
    // Loading the scenario has checked these.
    let number = u8::try_from(step.number.0).unwrap_or(u8::MAX);
    let (value, every) = (step.value.0 as u32, step.every.unwrap_or(1));
    world.running.handle(Handler { number, at, value, every })?;
    Ok(Verdict::Passed(format!("interrupt {number:#x}: {value:#x} to {} at every {every}", step.at)))
}

pub(super) fn interrupts(world: &mut World, step: &scenario::Interrupts) -> Result<Verdict, Trouble> {
    // Loading the scenario has checked it.
    let number = u8::try_from(step.number.0).unwrap_or(u8::MAX);
    let count = world.running.interrupts(number)?;
    judge(count == step.count, format!("the guest has taken interrupt {number:#x} {}", times(count)), || {
        times(step.count)
    })
}

pub(super) fn signalled(world: &World, step: &scenario::Signalled) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let all = world.running.signals();
    let found = all.iter().find(|told| told.device == index && Some(told.signal) == step.signal());
    let count = found.map_or(0, |told| told.times);
    judge(
        count == step.count,
        format!("{}: {} was signalled {}", step.device, step.what, times(count)),
        || times(step.count),
    )
}

pub(super) fn unmask_pin(world: &World, step: &scenario::UnmaskPin) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    world.running.unmask_pin(index)?;
    Ok(Verdict::Passed(format!("{}: the pin may signal again", step.device)))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
