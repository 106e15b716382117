//! `cxl-sim soak`.

use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::time::SystemTime;

use super::Failure;
use super::args;
use super::run::guest;
use super::run::say;
use super::this_program;
use crate::soak;
use crate::soak::Broken;
use crate::soak::Changed;
use crate::soak::Servers;
use crate::soak::Setting;
use crate::soak::Summary;
use crate::soak::Until;

/// A terminal is told after so many lives.
const OFTEN: u64 = 100;

pub(super) fn soak(args: &args::Soak) -> Result<ExitCode, Failure> {
    let (guest, _) = guest(args.guest);
    let setting = Setting {
        program: this_program()?,
        guest,
        timeout: args.timeout.0,
        servers: Servers::Others,
        changed: Changed::default(),
    };
    let seed = args.seed.unwrap_or_else(seed);
    let until = Until { time: args.seconds.map(|seconds| seconds.0), lives: args.cycles };
    say(&format!("soak, guest {}, seed {seed}", guest.name()))?;
    match soak::soak(&setting, seed, until, tell) {
        Ok(summary) => {
            say(&summary.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(broken) => {
            let Broken { seed, .. } = &broken;
            let again = format!("cxl-sim soak --seed {seed} --cycles 1 --guest {}", guest.name());
            Err(Failure::Failed(format!("{broken}\nrepeat it: {again}")))
        }
    }
}

/// Some seed: which one does not matter, and it is told.
pub(super) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

/// Says at a terminal how far it is; the next such line, or the summary, replaces this one.
fn tell(summary: &Summary) {
    if summary.lives.is_multiple_of(OFTEN) && std::io::stdout().is_terminal() {
        // If it cannot be shown now, the summary comes anyway.
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{} lives ...\r", summary.lives).and_then(|()| out.flush());
    }
}
