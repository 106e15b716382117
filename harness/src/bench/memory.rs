//! Writing device memory: a guest, against the same guest writing its RAM; and this process, against its own memory.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use cxl_spec::address::Gpa;
use sim_device::kernel::DEFAULT_ABI;
use vmm_core::backend::Shared;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::discover::Inventory;
use vmm_core::discover::discover;
use vmm_core::map::memory::HostMemory;
use vmm_core::plan::machine;
use vmm_core::run::guest::MAX_FILL;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::TIMEOUT;
use super::Unit;
use crate::process::DeviceProcess;
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

/// So many bytes the host copies, a piece after the other: more than a cache holds, and pieces that fit one.
const COPIED: usize = 64 << 20;
const PIECE: usize = 64 << 10;

/// A fill shorter than this is mostly the way in and out; a longer one takes more.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// The bundled scenario whose machine is used.
const SCENARIO: &str = "decoder/first-light";

/// A world with one device, and what its guest is.
pub(super) fn world(program: &Path, guest: GuestKind) -> Result<World, BenchError> {
    Ok(maker(program, guest).world(&scenario()?)?)
}

pub(super) fn maker(program: &Path, guest: GuestKind) -> Maker {
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

pub(super) fn guest(program: &Path, guest: GuestKind, effort: Effort) -> Result<Row, BenchError> {
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
    let (unit, bytes) = (Unit::MebibytesPerSecond, count as f64 * 8.0);
    for _ in 0..effort.turns(TURNS) {
        device.push(unit.of(fill(&mut world, window, count)?, bytes));
        plain.push(unit.of(fill(&mut world, ram, count)?, bytes));
    }
    Ok(Row::new(("guest writes device memory", "guest writes its RAM"), unit, &device, &plain))
}

/// Copies to the device's memory as it is mapped, and to as much memory of this process.
pub(super) fn host(program: &Path, effort: Effort) -> Result<Row, BenchError> {
    let process = DeviceProcess::start(program, None, DEFAULT_ABI, TIMEOUT).map_err(WorldError::from)?;
    let client = VfioUser::connect(process.socket(), TIMEOUT).map_err(WorldError::from)?;
    let inventory = discover(&Shared::new(client)).map_err(WorldError::from)?;
    let mapped = mapped(&inventory).map_err(BenchError::peer("mapping device memory"))?;
    let mut own = vec![0; COPIED];
    let (mut device, mut plain) = (Samples::default(), Samples::default());
    // Once over both before it counts, so that every page is there.
    for turn in 0..=effort.turns(TURNS) {
        let piece = vec![turn as u8; PIECE];
        let begun = Instant::now();
        let copied = (0..COPIED).step_by(PIECE).try_for_each(|at| mapped.write(at as u64, &piece));
        copied.ok_or_else(|| BenchError::peer("copying")("it does not fit".to_owned()))?;
        let to_device = begun.elapsed();
        let begun = Instant::now();
        own.chunks_exact_mut(PIECE).for_each(|part| part.copy_from_slice(&piece));
        let to_own = begun.elapsed();
        if turn > 0 {
            device.push(Unit::MebibytesPerSecond.of(to_device, COPIED as f64));
            plain.push(Unit::MebibytesPerSecond.of(to_own, COPIED as f64));
        }
    }
    // What nobody reads need not be written.
    std::hint::black_box(&own);
    Ok(Row::new(
        ("host copies to device memory", "host copies to its own"),
        Unit::MebibytesPerSecond,
        &device,
        &plain,
    ))
}

/// The first part of the device's memory.
fn mapped(inventory: &Inventory) -> Result<HostMemory, String> {
    let memory = inventory.cxl.as_ref().and_then(|cxl| inventory.region(cxl.description.memory));
    let region = memory.ok_or("the device has no memory")?;
    let file = region.file.clone().ok_or("no file maps it")?;
    HostMemory::of_file(file, region.file_offset, COPIED as u64).map_err(|error| error.to_string())
}

fn fill(world: &mut World, at: Gpa, count: u64) -> Result<Duration, BenchError> {
    let begun = Instant::now();
    world.running.fill(at, count, 0x5555_5555_5555_5555).map_err(WorldError::from)?;
    Ok(begun.elapsed())
}
