//! From nothing to the first access of a guest, against starting a process that does nothing.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use cxl_spec::access::Width;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::Unit;
use super::memory::world;
use crate::world::GuestKind;
use crate::world::WorldError;

/// How many turns each has.
const TURNS: usize = 40;

pub(super) fn measure(program: &Path, guest: GuestKind, effort: Effort) -> Result<Row, BenchError> {
    let (mut ours, mut nothing) = (Samples::default(), Samples::default());
    for _ in 0..effort.turns(TURNS) {
        let begun = Instant::now();
        let mut world = world(program, guest)?;
        let window = world.running.plan().devices.first().map(|device| device.window.span.start());
        let window = window.ok_or_else(|| BenchError::peer("window")("the machine has none".to_owned()))?;
        world.running.load(window, Width::Qword).map_err(WorldError::from)?;
        ours.push(Unit::Milliseconds.of(begun.elapsed(), 1.0));
        drop(world);
        nothing.push(Unit::Milliseconds.of(process(program)?, 1.0));
    }
    Ok(Row::new(("nothing to first access", "a process doing nothing"), Unit::Milliseconds, &ours, &nothing))
}

/// How long a process takes that does nothing.
pub(super) fn process(program: &Path) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    let status = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    status.map_err(|error| BenchError::peer("starting a process")(error.to_string()))?;
    Ok(begun.elapsed())
}
