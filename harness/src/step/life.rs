//! Steps about a device's life: resets, and what became of its decoder and its memory.

use cxl_spec::address::Gpa;

use super::Verdict;
use super::machine::Trouble;
use super::machine::device;
use super::machine::judge;
use super::machine::listed;
use super::machine::programme;
use super::machine::resolve;
use super::machine::written_lines;
use crate::scenario::life as scenario;
use crate::world::World;

pub(super) fn machine_reset(world: &mut World, step: &scenario::MachineReset) -> Result<Verdict, Trouble> {
    let outcome = world.running.reset().map_err(|error| error.to_string());
    came(outcome, "the machine", step.refused.as_deref())
}

pub(super) fn vfio_reset(world: &mut World, step: &scenario::VfioReset) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let outcome = world.running.reset_device(index).map_err(|error| error.to_string());
    came(outcome, &step.device, step.refused.as_deref())
}

/// What came of a reset, against what should.
fn came(outcome: Result<(), String>, what: &str, refused: Option<&str>) -> Result<Verdict, Trouble> {
    let holds = match (&outcome, refused) {
        (Ok(()), None) => true,
        (Err(error), Some(because)) => error.contains(because),
        (Ok(()), Some(_)) | (Err(_), None) => false,
    };
    let seen = match outcome {
        Ok(()) => format!("{what} is reset"),
        Err(error) => format!("{what} is not reset: {error}"),
    };
    judge(holds, seen, || refused.map_or("to be reset".to_owned(), |because| format!("{because:?}")))
}

pub(super) fn programmed(world: &mut World, step: &scenario::Programmed) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let programme = programme(world, &step.device)?;
    let accesses = world.since.get(index).map(|recording| recording.go_on_with_writes_to(programme.region));
    let written = written_lines(&accesses.unwrap_or_default(), programme);
    let seen = format!("{}: written since: {}", step.device, listed(&written));
    judge(written == step.writes, seen, || listed(&step.writes))
}

pub(super) fn run(world: &mut World, step: &scenario::Run) -> Result<Verdict, Trouble> {
    let value = world.running.run_code(Gpa::new(resolve(world, &step.at)?))?;
    let seen = format!("{}: the code there returns {value:#x}", step.at);
    judge(value == step.is.0, seen, || format!("{:#x}", step.is.0))
}

pub(super) fn unplaced(world: &mut World, step: &scenario::Unplaced) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let because = world.running.unplaced(index);
    let seen = match &because {
        Some(because) => format!("{}: memory not in place: {because}", step.device),
        None => format!("{}: nothing is wrong with the place of its memory", step.device),
    };
    judge(because.is_some_and(|because| because.contains(&step.because)), seen, || {
        format!("{:?}", step.because)
    })
}
