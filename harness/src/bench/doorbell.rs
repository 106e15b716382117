//! A guest rings a doorbell that KVM makes an event, against the same guest's store that is a message, and against an
//! event that is signalled from here.
//!
//! All three begin with the order and end when the guest, or the system, has done it; the device sees the event later.

use std::path::Path;
use std::time::Instant;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use rustix::event::EventfdFlags;
use rustix::event::eventfd;
use sim_device::silicon::engine;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::Unit;
use super::memory::world;
use super::round_trip::on_one_processor;
use crate::world::GuestKind;
use crate::world::World;
use crate::world::WorldError;

/// How many turns each has, and how many stores are in one.
const TURNS: usize = 200;
const STORES: usize = 50;

/// Turns before measuring begins.
const WARM_UP: usize = 10;

/// What rings the doorbell, or does what is compared with it.
type Ring<'a> = &'a mut dyn FnMut() -> Result<(), BenchError>;

/// Measures under KVM, which must be there.
pub(super) fn measure(program: &Path, effort: Effort) -> Result<[Row; 2], BenchError> {
    on_one_processor(|| measure_here(program, effort))
}

fn measure_here(program: &Path, effort: Effort) -> Result<[Row; 2], BenchError> {
    let mut world = world(program, GuestKind::Kvm)?;
    let bar = world.running.plan().devices.first().and_then(|device| device.bars.first()).map(|bar| bar.span);
    let bar = bar.ok_or_else(|| BenchError::peer("BAR 0")("the device has none".to_owned()))?;
    let at = |offset: u64| Gpa::new(bar.start().get().saturating_add(engine::OFFSET).saturating_add(offset));
    let system = |error: rustix::io::Errno| BenchError::peer("an event")(error.to_string());
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system)?;
    let (mut rung, mut told, mut plain) = (Samples::default(), Samples::default(), Samples::default());
    for turn in 0..WARM_UP + effort.turns(TURNS) {
        let times = [
            timed(&mut || store(&mut world, (at(engine::DOORBELL), Width::Dword, 1)))?,
            timed(&mut || store(&mut world, (at(engine::SOURCE), Width::Qword, 0)))?,
            timed(&mut || rustix::io::write(&event, &1_u64.to_ne_bytes()).map(drop).map_err(system))?,
        ];
        if turn >= WARM_UP {
            for (samples, times) in [&mut rung, &mut told, &mut plain].into_iter().zip(times) {
                samples.turns.push(times);
            }
        }
    }
    let name = "doorbell, by ioeventfd";
    Ok([
        Row::new((name, "the store as a message"), Unit::Microseconds, &rung, &told),
        Row::new((name, "an eventfd, without a guest"), Unit::Microseconds, &rung, &plain),
    ])
}

fn store(world: &mut World, (at, width, value): (Gpa, Width, u64)) -> Result<(), BenchError> {
    Ok(world.running.store(at, width, value).map_err(WorldError::from)?)
}

/// The microseconds of each of some rings.
fn timed(ring: Ring<'_>) -> Result<Vec<f64>, BenchError> {
    let mut times = Vec::with_capacity(STORES);
    for _ in 0..STORES {
        let begun = Instant::now();
        ring()?;
        times.push(Unit::Microseconds.of(begun.elapsed(), 1.0));
    }
    Ok(times)
}
