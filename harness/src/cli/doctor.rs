//! `cxl-sim doctor`.

use std::process::ExitCode;

use clap::Args;

use super::FAILED;
use super::Failure;
use super::run::say;
use super::this_program;
use crate::doctor;

/// `cxl-sim doctor`.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// 0 if scenarios run here, else 1.
pub(super) fn doctor(args: &Doctor) -> Result<ExitCode, Failure> {
    let told = doctor::judge(&doctor::look(&this_program()?));
    let text = if args.json { told.json() } else { told.text() };
    say(text.trim_end())?;
    Ok(if told.works { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}
