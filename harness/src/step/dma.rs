//! Steps about DMA: a copy by a device's engine, rung by the guest, and what was planned.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use sim_device::profile::quantity::Quantity;
use sim_device::silicon::engine;
use vmm_core::backend::recording::Recording;
use vmm_core::backend::recording::Told;

use super::Verdict;
use super::machine::Trouble;
use super::machine::device;
use super::machine::judge;
use super::machine::listed;
use super::machine::resolve;
use crate::scenario::dma as scenario;
use crate::scenario::place::Place;
use crate::world::World;

/// One side of a copy: its address, and whether it is in the device's memory.
fn side(world: &World, host: Option<&Place>, memory: Option<Quantity>) -> Result<(u64, bool), Trouble> {
    match (host, memory) {
        (Some(place), _) => Ok((resolve(world, place)?, false)),
        (None, memory) => Ok((memory.map_or(0, |offset| offset.0), true)),
    }
}

pub(super) fn copy(world: &mut World, step: &scenario::Copy) -> Result<Verdict, Trouble> {
    let (source, source_is_device) = side(world, step.from.as_ref(), step.from_memory)?;
    let (destination, destination_is_device) = side(world, step.to.as_ref(), step.to_memory)?;
    let control = engine::Control::new(0)
        .with_doorbell(!step.by_event)
        .signalling(step.vector)
        .with_source_is_device(source_is_device)
        .with_destination_is_device(destination_is_device);
    let registers = [
        (engine::SOURCE, Width::Qword, source),
        (engine::DESTINATION, Width::Qword, destination),
        (engine::LENGTH, Width::Dword, step.length.into()),
        (engine::CONTROL, Width::Dword, control.raw().into()),
    ];
    for (offset, width, value) in registers {
        let at = register(world, &step.device, offset)?;
        world.running.store(at, width, value)?;
    }
    if step.by_event {
        let at = register(world, &step.device, engine::DOORBELL)?;
        world.running.store(at, Width::Dword, 1)?;
    }
    let at = register(world, &step.device, engine::STATUS)?;
    // The device ends every copy by itself, also one that nobody answers.
    let status = loop {
        let status = engine::Status::new(world.running.load(at, Width::Dword)? as u32);
        // What is not there is never busy: it reads ones.
        if !status.busy() || status.raw() == u32::MAX {
            break status;
        }
    };
    let ends = |name: &str| scenario::ENDS.iter().find(|(end, _)| *end == name);
    let name = scenario::ENDS.iter().find(|(_, bit)| status.raw() == 1 << bit).map(|(name, _)| *name);
    let seen = format!("{}: copy of {} bytes ends with status {:#x}", step.device, step.length, status.raw());
    let seen = name.map_or(seen.clone(), |name| format!("{seen}, {name}"));
    let expected = ends(&step.ends).map_or(0, |(_, bit)| 1 << bit);
    judge(status.raw() == expected, seen, || step.ends.clone())
}

/// Where a register of the engine is.
fn register(world: &World, device: &str, offset: u64) -> Result<Gpa, Trouble> {
    let place: Place = format!("{device}.bar0").parse()?;
    Ok(Gpa::new(resolve(world, &place)?.saturating_add(engine::OFFSET).saturating_add(offset)))
}

pub(super) fn calls(world: &World, step: &scenario::DmaCalls) -> Result<Verdict, Trouble> {
    let (index, _) = device(world, &step.device)?;
    let told = world.since.get(index).map(Recording::take_told).unwrap_or_default();
    let told: Vec<_> = told.iter().map(Told::to_string).collect();
    let seen = format!("{}: was told: {}", step.device, listed(&told));
    judge(told == step.calls, seen, || listed(&step.calls))
}

pub(super) fn decided(world: &World, step: &scenario::Decided) -> Result<Verdict, Trouble> {
    let plan = world.running.plan();
    let found = plan.dma.iter().find(|dma| dma.device == step.device && dma.name == step.part);
    let about = format!("{}: does ATS", step.device);
    let noted = plan.notes.iter().any(|note| note.starts_with(&about));
    let note = |noted| if noted { "with a note" } else { "without a note" };
    let seen = match found {
        Some(dma) => (dma.decision.name(), dma.decision.reason(), noted),
        None => ("nothing", "it is not in the map", noted),
    };
    let expected = (step.is.as_str(), step.because.as_str(), step.noted);
    let told = |(name, reason, noted)| format!("{name}: {reason}, {}", note(noted));
    let text = format!("{}: {}: {}", step.device, step.part, told(seen));
    judge(seen == expected, text, || told(expected))
}
