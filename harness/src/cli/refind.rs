//! `cxl-sim refind`.

use std::panic;
use std::process::ExitCode;

use super::Failure;
use super::args;
use super::run::say;
use crate::refind::Missing;
use crate::refind::Until;
use crate::refind::rows::ROWS;
use crate::refind::rows::UNSEEN;

/// So much is told of what broke.
const MOST_WORDS: usize = 110;

pub(super) fn refind(args: &args::Refind) -> Result<ExitCode, Failure> {
    let seed = args.seed.unwrap_or_else(super::soak::seed);
    let until = Until { time: Some(args.seconds.0), inputs: None };
    say(&format!("seed {seed}, inputs of random bytes\n"))?;
    say("| row | knob | found by | inputs | seconds | what broke |")?;
    say("|-----|------|----------|--------|---------|------------|")?;
    // What breaks is told in the table, and not when it breaks.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let missing = table(seed, until);
    panic::set_hook(hook);
    let missing = missing?;
    say("\nWhat nobody looks for:\n")?;
    for (number, what, why) in UNSEEN {
        say(&format!("- row {number}, {what}: {why}"))?;
    }
    match missing {
        0 => Ok(ExitCode::SUCCESS),
        missing => Err(Failure::Failed(format!("{missing} of {} not found", ROWS.len()))),
    }
}

/// Says a line for each row, and counts those that are not found.
fn table(seed: u64, until: Until) -> Result<usize, Failure> {
    let mut missing = 0;
    for row in ROWS {
        let head = format!("| {} | `{}` | {} |", row.number, row.knob, row.driver.name());
        match row.find(seed, until) {
            Ok(found) => {
                let broke: String = found.broke.chars().take(MOST_WORDS).collect();
                let seconds = found.took.as_secs_f64();
                say(&format!("{head} {} | {seconds:.3} | {broke} |", found.inputs))?;
            }
            Err(Missing::Knob(why)) => return Err(Failure::Failed(why)),
            Err(why) => {
                missing += 1;
                say(&format!("{head} - | - | MISSING: {why} |"))?;
            }
        }
    }
    Ok(missing)
}
