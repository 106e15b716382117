//! How fast it is, against something else in the same run: ratios, because a time on a busy machine is noise.
//!
//! | row                     | measured                                   | compared with                        |
//! |-------------------------|--------------------------------------------|--------------------------------------|
//! | read, write round trip  | 4 bytes of a region through our two sides  | a raw socket ping-pong of the sizes  |
//! | the same, crate         | 4 bytes through crate `vfio_user`'s sides  | the raw ping-pong                    |
//! | doorbell                | a guest's store that becomes an event      | the store as a message; an eventfd   |
//! | guest writes            | a guest filling device memory              | a guest filling its RAM              |
//! | host writes             | copying to device memory that is mapped    | copying to memory of this process    |
//! | nothing to first access | device process, attach, program, one load  | starting a process that does nothing |
//! | attach, N devices       | from nothing to a machine with N devices   | N times a machine with one           |
//! | attach, SIZE            | the same with a device of so much memory   | one with 256 MiB                     |
//! | scenarios               | running some of them                       | starting as many processes           |
//! | fuzz inputs             | a fuzz driver on random bytes              | adding up the bytes                  |
//!
//! What is compared is measured turn by turn, so that whatever else the machine does meets both. The ratio is the
//! middle of the turns' ratios: a machine that is slower for a while is so for both sides of a turn.
//!
//! [`baseline`] keeps ratios and finds those that got worse; [`plot`] draws them.

pub mod baseline;
pub mod peer;
pub mod plot;

mod attach;
mod doorbell;
mod memory;
mod rate;
mod round_trip;
mod samples;
mod start;

use std::path::Path;
use std::time::Duration;

use samples::Samples;
use serde::Serialize;

use crate::report::json;
use crate::world::GuestKind;
use crate::world::WorldError;
use crate::world::best_guest;

/// How long any one wait may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// All that there is, as often as it takes to trust it.
    Whole,
    /// Small machines, and each thing a few times: whether it works, and no more.
    Quick,
}

impl Effort {
    /// How many turns, where so many are needed to trust the numbers.
    fn turns(self, whole: usize) -> usize {
        match self {
            Self::Whole => whole,
            Self::Quick => whole.min(2),
        }
    }
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Results {
    version: &'static str,
    /// What ran the guest.
    pub guest: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
    /// What could not be measured, and why.
    pub left_out: Vec<String>,
}

/// Which ratio is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The smaller: it is a time.
    Less,
    /// The larger: it is so much in a time.
    More,
}

/// One thing that was measured, and what it was compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// What it was compared with.
    pub against: String,
    /// The unit of the numbers.
    pub unit: &'static str,
    /// Which ratio is the better one.
    pub better: Better,
    /// The middle of what was measured.
    pub p50: f64,
    /// What 99 of 100 stay below.
    pub p99: f64,
    /// The middle of what it was compared with.
    pub against_p50: f64,
    /// What 99 of 100 of that stay below.
    pub against_p99: f64,
    /// The middle of the turns' ratios of their middles.
    pub ratio_p50: f64,
    /// The middle of the turns' ratios of what 99 of 100 stay below.
    pub ratio_p99: f64,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The world could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
    /// A peer did not do its part.
    #[error("bench: {what}: {why}")]
    Peer {
        /// What was tried.
        what: &'static str,
        /// What happened.
        why: String,
    },
}

impl BenchError {
    fn peer(what: &'static str) -> impl Fn(String) -> Self {
        move |why| Self::Peer { what, why }
    }
}

/// Measures everything.
///
/// # Errors
/// If a process does not start, or a device does not answer.
pub fn run(program: &Path, effort: Effort) -> Result<Results, BenchError> {
    let (guest, why) = best_guest();
    let mut left_out = Vec::new();
    let mut rows = round_trip::measure(program, effort)?;
    match why {
        None => rows.extend(doorbell::measure(program, effort)?),
        Some(why) => left_out.push(format!("the doorbell, which KVM makes an event: {why}")),
    }
    rows.push(memory::guest(program, guest, effort)?);
    rows.push(memory::host(program, effort)?);
    rows.push(start::measure(program, guest, effort)?);
    rows.extend(attach::by_count(program, guest, effort)?);
    rows.extend(attach::by_size(program, effort)?);
    rows.push(rate::scenarios(program, guest, effort)?);
    rows.push(rate::inputs(effort)?);
    Ok(Results { version: env!("CARGO_PKG_VERSION"), guest: GuestKind::name(guest), rows, left_out })
}

impl Row {
    /// What was measured, and what it was compared with, in this unit.
    fn new((name, against): (&str, &str), unit: Unit, ours: &Samples, theirs: &Samples) -> Self {
        Self {
            name: name.to_owned(),
            against: against.to_owned(),
            unit: unit.name(),
            better: unit.better(),
            p50: ours.share(0.5),
            p99: ours.share(0.99),
            against_p50: theirs.share(0.5),
            against_p99: theirs.share(0.99),
            ratio_p50: ours.ratio_to(theirs, 0.5),
            ratio_p99: ours.ratio_to(theirs, 0.99),
        }
    }
}

/// What numbers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Microseconds,
    Milliseconds,
    MebibytesPerSecond,
    PerSecond,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::MebibytesPerSecond => "MiB/s",
            Self::PerSecond => "1/s",
        }
    }

    fn better(self) -> Better {
        match self {
            Self::Microseconds | Self::Milliseconds => Better::Less,
            Self::MebibytesPerSecond | Self::PerSecond => Better::More,
        }
    }

    /// A time in this unit, or what is done so often in it.
    fn of(self, time: Duration, count: f64) -> f64 {
        let seconds = time.as_secs_f64();
        match self {
            Self::Microseconds => seconds * 1e6,
            Self::Milliseconds => seconds * 1e3,
            Self::MebibytesPerSecond => count / MEBIBYTE / seconds,
            Self::PerSecond => count / seconds,
        }
    }
}

const MEBIBYTE: f64 = 1024.0 * 1024.0;

impl Results {
    /// The numbers as a table.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{:26} {:28} {:6} {:>11} {:>11} {:>11} {:>11} {:>8} {:>8}",
            "measured", "against", "unit", "p50", "p99", "its p50", "its p99", "x p50", "x p99"
        )];
        lines.extend(self.rows.iter().map(Row::text));
        lines.extend(self.left_out.iter().map(|what| format!("left out: {what}")));
        lines.push(format!("guest {}; compare the ratios, not the times", self.guest));
        lines.join("\n")
    }

    /// The numbers as JSON.
    pub fn json(&self) -> String {
        json::pretty(self)
    }
}

impl Row {
    fn text(&self) -> String {
        let Self { name, against, unit, p50, p99, against_p50, against_p99, .. } = self;
        let (ratio_p50, ratio_p99) = (self.ratio_p50, self.ratio_p99);
        format!(
            "{name:26} {against:28} {unit:6} {p50:>11.2} {p99:>11.2} {against_p50:>11.2} {against_p99:>11.2} \
             {ratio_p50:>8.3} {ratio_p99:>8.3}"
        )
    }
}
