//! The command `cxl-sim`. Others script against it: its words, its exit codes and its JSON stay.
//!
//! Exit codes: 0 nothing failed, 1 something failed, 2 the command or a file was wrong.

mod acpi;
mod args;
mod bench;
mod doctor;
mod inspect;
mod lend;
mod likeness;
mod list;
mod merge;
mod pages;
mod plan;
mod progress;
mod refind;
mod replay;
mod reports;
mod run;
mod schema;
mod serve;
mod shard;
mod soak;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use args::Arguments;
use args::Command;
use clap::Parser;

use crate::scenario::find::FindError;
use crate::world::WorldError;

/// Something failed.
const FAILED: u8 = 1;

/// The command or a file was wrong.
const WRONG: u8 = 2;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The command was wrong.
    #[error("{0}")]
    Usage(String),
    /// A file was wrong.
    #[error("{0}")]
    File(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::File(_) => WRONG,
            Self::Failed(_) => FAILED,
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        Self::File(error.to_string())
    }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A file that could not be read or written.
fn file_failure(path: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::File(format!("{}: {error}", path.display()))
}

/// This program, for the device processes.
fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::Failed(format!("finding this program: {error}")))
}

/// Says what is wrong. Whoever closed our standard error does not want to hear it; the exit code tells the rest.
fn complain_of(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "cxl-sim: {what}");
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or_default();
    let done = match command {
        Command::Run(args) => run::run(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Capture(args) => likeness::capture(&args),
        Command::Compare(args) => likeness::compare(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Acpi(args) => acpi::acpi(&args),
        Command::List(args) => list::list(&args),
        Command::Schema(args) => schema::print(&args),
        Command::Merge(args) => merge::merge(&args),
        Command::Refind(args) => refind::refind(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Soak(args) => soak::soak(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Man(args) => pages::man(&args),
        Command::Completions(args) => pages::completions(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Lend(args) => lend::lend(&args),
        Command::LendEnter(args) => lend::enter(&args),
        Command::BenchPeer(args) => bench::peer(&args),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            complain_of(&failure.to_string());
            ExitCode::from(failure.code())
        }
    }
}
