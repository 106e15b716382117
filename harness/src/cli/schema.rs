//! `cxl-sim schema`.

use std::process::ExitCode;

use sim_device::profile::Profile;

use super::Failure;
use super::args::Described;
use super::args::Schema;
use super::run::say;
use crate::report::json;

pub(super) fn schema(args: &Schema) -> Result<ExitCode, Failure> {
    let schema = match args.what {
        Described::Profile => Profile::schema(),
    };
    say(json::pretty(&schema).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
