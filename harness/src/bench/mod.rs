//! How fast it is, against something else in the same run: ratios, because a time on a busy machine is noise.
//!
//! | row                     | measured                                   | compared with                        |
//! |-------------------------|--------------------------------------------|--------------------------------------|
//! | read, write round trip  | 4 bytes of a region through our two sides  | a raw socket ping-pong of the sizes  |
//! | the same, crate         | 4 bytes through crate `vfio_user`'s sides  | the raw ping-pong                    |
//! | guest writes            | a guest filling device memory              | a guest filling its RAM              |
//! | nothing to first access | device process, attach, program, one load  | starting a process that does nothing |
//!
//! What is compared is measured turn by turn, so that whatever else the machine does meets both. The ratio is the
//! middle of the turns' ratios: a machine that is slower for a while is so for both sides of a turn.

pub mod peer;

mod memory;
mod round_trip;
mod start;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::report::json;
use crate::world::GuestKind;
use crate::world::WorldError;
use crate::world::best_guest;

/// How long any one wait may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Results {
    version: &'static str,
    guest: &'static str,
    rows: Vec<Row>,
}

/// One thing that was measured, and what it was compared with.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: &'static str,
    /// What it was compared with.
    pub against: &'static str,
    /// The unit of the numbers.
    pub unit: &'static str,
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
pub fn run(program: &Path) -> Result<Results, BenchError> {
    let (guest, _) = best_guest();
    let mut rows = round_trip::measure(program)?;
    rows.push(memory::measure(program, guest)?);
    rows.push(start::measure(program, guest)?);
    Ok(Results { version: env!("CARGO_PKG_VERSION"), guest: GuestKind::name(guest), rows })
}

/// Numbers of one kind that were measured, turn by turn.
#[derive(Debug, Default)]
struct Samples {
    turns: Vec<Vec<f64>>,
}

impl Samples {
    /// A turn with one number.
    fn push(&mut self, value: f64) {
        self.turns.push(vec![value]);
    }

    /// The value that `share` of all stay below.
    fn share(&self, share: f64) -> f64 {
        below(self.turns.concat(), share)
    }

    /// The middle of the turns' ratios to `other`'s.
    fn ratio_to(&self, other: &Self, share: f64) -> f64 {
        let pairs = self.turns.iter().zip(&other.turns);
        below(
            pairs.map(|(ours, theirs)| below(ours.clone(), share) / below(theirs.clone(), share)).collect(),
            0.5,
        )
    }
}

/// The value that `share` of `values`, from 0 to 1, stay below.
fn below(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

impl Row {
    fn new(
        name: &'static str,
        against: &'static str,
        unit: &'static str,
        ours: &Samples,
        theirs: &Samples,
    ) -> Self {
        let (p50, p99) = (ours.share(0.5), ours.share(0.99));
        let (against_p50, against_p99) = (theirs.share(0.5), theirs.share(0.99));
        let (ratio_p50, ratio_p99) = (ours.ratio_to(theirs, 0.5), ours.ratio_to(theirs, 0.99));
        Self { name, against, unit, p50, p99, against_p50, against_p99, ratio_p50, ratio_p99 }
    }
}

impl Results {
    /// The numbers as a table.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{:26} {:26} {:6} {:>10} {:>10} {:>10} {:>10} {:>7} {:>7}",
            "measured", "against", "unit", "p50", "p99", "its p50", "its p99", "x p50", "x p99"
        )];
        lines.extend(self.rows.iter().map(|row| {
            let Row { name, against, unit, p50, p99, against_p50, against_p99, ratio_p50, ratio_p99 } = row;
            format!(
                "{name:26} {against:26} {unit:6} {p50:>10.2} {p99:>10.2} {against_p50:>10.2} {against_p99:>10.2} \
                 {ratio_p50:>7.3} {ratio_p99:>7.3}"
            )
        }));
        lines.push(format!("guest {}; compare the ratios, not the times", self.guest));
        lines.join("\n")
    }

    /// The numbers as JSON.
    pub fn json(&self) -> String {
        json::pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_value_that_so_many_stay_below() {
        let samples = Samples { turns: vec![(0..=100).rev().map(f64::from).collect()] };
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| samples.share(share)), [0.0, 50.0, 99.0, 100.0]);
    }

    #[test]
    fn a_ratio_is_taken_turn_by_turn() {
        let turns = |numbers: [f64; 3]| Samples { turns: numbers.map(|number| vec![number]).to_vec() };
        // The machine was ten times slower for the last turn, for both.
        assert_eq!(turns([2.0, 2.0, 20.0]).ratio_to(&turns([1.0, 1.0, 10.0]), 0.5), 2.0);
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(Samples::default().share(0.5).is_nan());
    }
}
