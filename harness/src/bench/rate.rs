//! How much is done in a second: scenarios, against processes that do nothing; and inputs of a fuzz driver, against
//! adding up their bytes.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::Unit;
use super::memory::maker;
use super::start::process;
use crate::replay::Target;
use crate::report::Outcome;
use crate::runner;
use crate::scenario::find::bundled;
use crate::world::GuestKind;

/// How many turns each has.
const TURNS: usize = 20;

/// Where the scenarios are that are run.
const SCENARIOS: &str = "decoder/";

/// The fuzz driver: the server, whole, which any client talks to.
const DRIVER: &str = "session";

/// The inputs of a turn: how many, how long each, and what they follow from, so that they are the same in every run.
const INPUTS: usize = 200;
const LENGTH: usize = 256;
const SEED: u64 = 1;

/// So often are bytes added up: once takes no time.
const SUMS: usize = 1000;

/// Some bundled scenarios, one after the other, against as many processes.
pub(super) fn scenarios(program: &Path, guest: GuestKind, effort: Effort) -> Result<Row, BenchError> {
    let all = bundled().map_err(|error| BenchError::peer("bundled scenarios")(error.to_string()))?;
    let some: Vec<_> = all.into_iter().filter(|one| one.name.starts_with(SCENARIOS)).collect();
    let (maker, count) = (maker(program, guest), some.len() as f64);
    let (mut ours, mut processes) = (Samples::default(), Samples::default());
    for _ in 0..effort.turns(TURNS) {
        let begun = Instant::now();
        for one in &some {
            let report = runner::run(&maker, one);
            if report.outcome == Outcome::Failed {
                return Err(BenchError::peer("a scenario")(format!("{}: {:?}", report.name, report.reason)));
            }
        }
        ours.push(Unit::PerSecond.of(begun.elapsed(), count));
        let mut took = Duration::ZERO;
        for _ in &some {
            took = took.saturating_add(process(program)?);
        }
        processes.push(Unit::PerSecond.of(took, count));
    }
    Ok(Row::new(("scenarios", "processes doing nothing"), Unit::PerSecond, &ours, &processes))
}

/// Random bytes through a fuzz driver, in this process, without a fuzzer.
pub(super) fn inputs(effort: Effort) -> Result<Row, BenchError> {
    let driver = Target::named(DRIVER);
    let driver = driver.ok_or_else(|| BenchError::peer("fuzz driver")(format!("there is no {DRIVER}")))?;
    let mut random = Rng::with_seed(SEED);
    let inputs: Vec<Vec<u8>> =
        (0..INPUTS).map(|_| std::iter::repeat_with(|| random.u8(..)).take(LENGTH).collect()).collect();
    let (mut ours, mut sums) = (Samples::default(), Samples::default());
    for _ in 0..effort.turns(TURNS) {
        let begun = Instant::now();
        inputs.iter().for_each(|input| driver.run(input));
        ours.push(Unit::PerSecond.of(begun.elapsed(), INPUTS as f64));
        let begun = Instant::now();
        for _ in 0..SUMS {
            for input in &inputs {
                black_box(black_box(input).iter().map(|byte| u64::from(*byte)).sum::<u64>());
            }
        }
        sums.push(Unit::PerSecond.of(begun.elapsed(), (INPUTS * SUMS) as f64));
    }
    Ok(Row::new(("fuzz inputs, session", "adding up their bytes"), Unit::PerSecond, &ours, &sums))
}
