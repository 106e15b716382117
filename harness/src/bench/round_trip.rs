//! Four bytes of a region, there and back.

use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

use rustix::thread::CpuSet;
use vmm_core::backend::Backend;
use vmm_core::backend::vfio_user::VfioUser;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::TIMEOUT;
use super::Unit;
use super::peer;
use super::peer::Sizes;
use crate::process::DeviceProcess;
use crate::world::WorldError;
use sim_device::kernel::DEFAULT_ABI;

/// How many turns each has, and how many round trips are in one.
const TURNS: usize = 300;
const TRIPS: usize = 100;

/// Turns before measuring begins: caches warm, processes awake.
const WARM_UP: usize = 20;

/// The four bytes: in BAR 0, where the MSI-X table is.
const REGION: u32 = 0;
const OFFSET: u64 = 0;

/// One way to do a round trip.
trait Trip {
    fn go(&mut self) -> Result<(), String>;
}

struct Raw {
    stream: UnixStream,
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Raw {
    fn connect(socket: &Path, (goes, comes): (usize, usize)) -> std::io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        let sizes: Sizes = [goes as u8, comes as u8];
        stream.write_all(&sizes)?;
        Ok(Self { stream, question: vec![0; goes], answer: vec![0; comes] })
    }
}

impl Trip for Raw {
    fn go(&mut self) -> Result<(), String> {
        let sent = self.stream.write_all(&self.question);
        sent.and_then(|()| self.stream.read_exact(&mut self.answer)).map_err(|error| error.to_string())
    }
}

/// Reads or writes through our two sides.
struct Ours {
    client: VfioUser,
    is_write: bool,
}

impl Trip for Ours {
    fn go(&mut self) -> Result<(), String> {
        let done = if self.is_write {
            self.client.write(REGION, OFFSET, &[0; 4])
        } else {
            self.client.read(REGION, OFFSET, &mut [0; 4])
        };
        done.map_err(|error| error.to_string())
    }
}

/// Reads or writes through the two sides of the crate `vfio_user`.
struct Theirs {
    client: vfio_user::Client,
    is_write: bool,
}

impl Trip for Theirs {
    fn go(&mut self) -> Result<(), String> {
        let done = if self.is_write {
            self.client.region_write(REGION, OFFSET, &[0; 4])
        } else {
            self.client.region_read(REGION, OFFSET, &mut [0; 4])
        };
        done.map_err(|error| error.to_string())
    }
}

/// Measures reads, then writes, all processes on one processor: on which of several the scheduler puts two that
/// talk to each other decides more than anything that is measured here, and it changes its mind.
pub(super) fn measure(program: &Path, effort: Effort) -> Result<Vec<Row>, BenchError> {
    on_one_processor(|| measure_here(program, effort))
}

/// Runs `measure` with this thread, and the processes that it starts, on the processor where it is now.
pub(super) fn on_one_processor<T>(measure: impl FnOnce() -> T) -> T {
    let before = rustix::thread::sched_getaffinity(None);
    let mut here = CpuSet::new();
    here.set(rustix::thread::sched_getcpu());
    // Where it is not allowed, the numbers are what they are.
    let _ = rustix::thread::sched_setaffinity(None, &here);
    let measured = measure();
    if let Ok(before) = before {
        let _ = rustix::thread::sched_setaffinity(None, &before);
    }
    measured
}

fn measure_here(program: &Path, effort: Effort) -> Result<Vec<Row>, BenchError> {
    let device = DeviceProcess::start(program, None, DEFAULT_ABI, TIMEOUT).map_err(WorldError::from)?;
    let peer = |kind: &'static str| {
        let arguments = |command: &mut std::process::Command, _: &Path| {
            command.args(["bench-peer", "--kind", kind]);
            Ok(())
        };
        DeviceProcess::start_with(program, TIMEOUT, arguments).map_err(WorldError::from)
    };
    let (raw, theirs) = (peer("raw")?, peer("crate")?);
    let mut rows = Vec::new();
    for is_write in [false, true] {
        let sizes = if is_write { peer::WRITE } else { peer::READ };
        let raw = Raw::connect(raw.socket(), sizes).map_err(|error| error.to_string());
        let client = VfioUser::connect(device.socket(), TIMEOUT).map_err(WorldError::from)?;
        let crate_client = vfio_user::Client::new(theirs.socket()).map_err(|error| error.to_string());
        let mut ways: [(Box<dyn Trip>, Samples); 3] = [
            (Box::new(raw.map_err(BenchError::peer("raw ping-pong"))?), Samples::default()),
            (Box::new(Ours { client, is_write }), Samples::default()),
            (
                Box::new(Theirs {
                    client: crate_client.map_err(BenchError::peer("crate vfio_user"))?,
                    is_write,
                }),
                Samples::default(),
            ),
        ];
        take_turns(&mut ways, effort.turns(TURNS))?;
        let [(_, raw), (_, ours), (_, theirs)] = ways;
        rows.extend(rows_of(is_write, &raw, &ours, &theirs));
    }
    Ok(rows)
}

fn rows_of(is_write: bool, raw: &Samples, ours: &Samples, theirs: &Samples) -> [Row; 3] {
    let (name, crate_name) = if is_write {
        ("region write, 4 bytes", "the same write, vfio_user")
    } else {
        ("region read, 4 bytes", "the same read, vfio_user")
    };
    [
        Row::new((name, "raw socket ping-pong"), Unit::Microseconds, ours, raw),
        Row::new((name, "crate vfio_user"), Unit::Microseconds, ours, theirs),
        Row::new((crate_name, "raw socket ping-pong"), Unit::Microseconds, theirs, raw),
    ]
}

fn take_turns(ways: &mut [(Box<dyn Trip>, Samples)], turns: usize) -> Result<(), BenchError> {
    for turn in 0..WARM_UP + turns {
        for (trip, samples) in ways.iter_mut() {
            let mut times = Vec::with_capacity(TRIPS);
            for _ in 0..TRIPS {
                let begun = Instant::now();
                trip.go().map_err(BenchError::peer("round trip"))?;
                times.push(Unit::Microseconds.of(begun.elapsed(), 1.0));
            }
            if turn >= WARM_UP {
                samples.turns.push(times);
            }
        }
    }
    Ok(())
}
