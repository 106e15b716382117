//! A guest writing device memory, against the same guest writing its RAM.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use cxl_spec::address::Gpa;
use vmm_core::plan::machine;
use vmm_core::run::guest::MAX_FILL;

use super::BenchError;
use super::Row;
use super::Samples;
use super::TIMEOUT;
use crate::scenario::Loaded;
use crate::scenario::find::bundled;
use crate::world::GuestKind;
use crate::world::Hardware;
use crate::world::Maker;
use crate::world::Source;
use crate::world::World;
use crate::world::WorldError;

/// How many turns each has.
const TURNS: usize = 40;

/// A fill shorter than this is mostly the way in and out; a longer one takes more.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The bundled scenario whose machine is used.
const SCENARIO: &str = "decoder/first-light";

/// A world with one device, and what its guest is.
pub(super) fn world(program: &Path, guest: GuestKind) -> Result<World, BenchError> {
    Ok(maker(program, guest).world(&scenario()?)?)
}

fn maker(program: &Path, guest: GuestKind) -> Maker {
    Maker {
        program: program.to_owned(),
        source: Source::Sim,
        abi: None,
        guest,
        timeout: TIMEOUT,
        hardware: Hardware::default(),
        journal: None,
    }
}

fn scenario() -> Result<Loaded, BenchError> {
    let all = bundled().map_err(|error| BenchError::peer("bundled scenarios")(error.to_string()))?;
    let found = all.into_iter().find(|one| one.name == SCENARIO);
    found.ok_or_else(|| BenchError::peer("bundled scenarios")(format!("{SCENARIO} is not there")))
}

pub(super) fn measure(program: &Path, guest: GuestKind) -> Result<Row, BenchError> {
    let mut world = world(program, guest)?;
    let window = world.running.plan().devices.first().map(|device| device.window.span.start());
    let window = window.ok_or_else(|| BenchError::peer("window")("the machine has none".to_owned()))?;
    let ram = Gpa::new(machine::PROGRAM_SIZE);
    let mut count = 1024;
    // Once over both, so that every page is there; and longer and longer, until it is long enough.
    while fill(&mut world, window, count)?.max(fill(&mut world, ram, count)?) < LONG_ENOUGH
        && count * 16 <= MAX_FILL
    {
        count *= 2;
    }
    let (mut device, mut plain) = (Samples::default(), Samples::default());
    let bytes = count as f64 * 8.0;
    for _ in 0..TURNS {
        device.push(bytes / MEBIBYTE / fill(&mut world, window, count)?.as_secs_f64());
        plain.push(bytes / MEBIBYTE / fill(&mut world, ram, count)?.as_secs_f64());
    }
    Ok(Row::new("guest writes device memory", "guest writes its RAM", "MiB/s", &device, &plain))
}

fn fill(world: &mut World, at: Gpa, count: u64) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    world.running.fill(at, count, 0x5555_5555_5555_5555).map_err(WorldError::from)?;
    Ok(begun.elapsed())
}
