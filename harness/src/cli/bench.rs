//! `cxl-sim bench`.

use std::process::ExitCode;

use super::Failure;
use super::args;

pub(super) fn bench(_args: &args::Bench) -> Result<ExitCode, Failure> {
    Err(Failure::NotBuilt("bench".to_owned()))
}
