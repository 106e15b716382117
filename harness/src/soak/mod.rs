//! Many lives of machines, each with accidents, and after each a look at what is left of it.
//!
//! ```text
//!  seed ─▶ machine, devices ─▶ attach ─▶ check ─▶ ( accident ─▶ recover ─▶ check )* ─▶ end ─▶ what is left? nothing
//! ```
//!
//! A life is chosen by its seed alone, so a life that fails can be repeated; the next life has the next seed.
//!
//! - `device`: a device that is served, by a thread or by a process, behind a [fuse](crate::fused).
//! - `life`: a machine with such devices, and what must hold of it at any time.
//! - `accident`: what can happen to it, and what comes of it.
//! - `left`: what this process holds; `counted`: what it has put into a hypervisor.
//! - `dice`: what chooses, and [`drive`]: a life that a fuzzer chooses.

mod accident;
mod counted;
mod device;
mod dice;
pub mod drive;
mod left;
mod life;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

pub use accident::Accident;
pub use counted::Counted;
use dice::Dice;
pub use left::Left;
use life::Life;
use vmm_core::plan::defect::Defect;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::life::AfterReset;

use crate::world::GuestKind;

/// How lives are lived.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The program that serves devices: this one.
    pub program: PathBuf,
    /// What may run the guest: with KVM some lives have a soft one, too.
    pub guest: GuestKind,
    /// How long any one wait may take.
    pub timeout: Duration,
    /// Who serves the devices.
    pub servers: Servers,
    /// What is different on purpose.
    pub changed: Changed,
}

/// What is different from a life that goes well, on purpose.
#[derive(Clone, Debug, Default)]
pub struct Changed {
    /// Keys of the devices' profile, as TOML.
    pub device: String,
    /// What is wrong with the machine.
    pub defects: Vec<Defect>,
    /// What devices may reach; any, if nothing is said.
    pub policy: Option<Policy>,
    /// What follows a reset.
    pub after_reset: AfterReset,
}

/// Who serves devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Threads of this process, and some processes.
    Others,
    /// Nobody: the thread that asks answers, too. A life goes the same way every time then.
    Within,
}

/// When to end.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// No life begins after so long.
    pub time: Option<Duration>,
    /// There are no more lives than this.
    pub lives: Option<u64>,
}

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many lives there were.
    pub lives: u64,
    /// The accidents by kind.
    pub accidents: BTreeMap<&'static str, u64>,
    /// What was left over, all lives together.
    pub left: Left,
}

/// A life that did not go as it must.
#[derive(Debug, thiserror::Error)]
#[error("the life of seed {seed}: {why}")]
pub struct Broken {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub why: String,
}

/// The first lives make what a process makes once; memory is compared with what there is after them.
const YOUTH: u64 = 50;

/// How much more resident memory is no leak: what an allocator keeps is not what is held.
const SLACK: u64 = 16 << 20;

/// Lives one life after another, with this seed and those behind it. `tell` hears of each.
///
/// # Errors
/// At the first life that does not go as it must, or that leaves something.
pub fn soak(
    setting: &Setting,
    seed: u64,
    until: Until,
    mut tell: impl FnMut(&Summary),
) -> Result<Summary, Broken> {
    let begun = Instant::now();
    let mut summary = Summary::default();
    let mut young = None;
    let goes_on = |lives: u64| {
        until.time.is_none_or(|time| begun.elapsed() < time) && until.lives.is_none_or(|most| lives < most)
    };
    while goes_on(summary.lives) {
        let seed = seed.wrapping_add(summary.lives);
        let before = Left::now();
        let lived = live(setting, &mut Dice::seeded(seed), &mut summary.accidents);
        summary.lives += 1;
        lived.map_err(|why| Broken { seed, why })?;
        let left = Left::since(&before, setting.timeout);
        summary.left = left;
        if !left.is_nothing() {
            return Err(Broken { seed, why: format!("left over: {left}") });
        }
        if summary.lives >= YOUTH {
            let memory = left::resident();
            let grown = memory.saturating_sub(*young.get_or_insert(memory));
            if grown > SLACK {
                return Err(Broken {
                    seed,
                    why: format!("{grown} bytes of memory more than after {YOUTH} lives"),
                });
            }
        }
        tell(&summary);
    }
    Ok(summary)
}

/// One life.
fn live(
    setting: &Setting,
    dice: &mut Dice,
    accidents: &mut BTreeMap<&'static str, u64>,
) -> Result<(), String> {
    let mut life = Life::begin(setting, dice)?;
    life.check(dice)?;
    for _ in 0..dice.below(1..4) {
        if life.is_over {
            break;
        }
        let accident = Accident::choose(&life, dice);
        *accidents.entry(accident.name()).or_default() += 1;
        let told = |why: String| format!("{}: {why}", accident.name());
        accident.happen(&mut life, dice).map_err(told)?;
        life.check(dice).map_err(|why| format!("after {}: {why}", accident.name()))?;
    }
    life.end()
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.accidents.values().sum();
        writeln!(out, "{} lives, {all} accidents", self.lives)?;
        for (name, count) in &self.accidents {
            writeln!(out, "  {name:22} {count}")?;
        }
        write!(out, "left over: {}", self.left)
    }
}

#[cfg(test)]
mod tests;
