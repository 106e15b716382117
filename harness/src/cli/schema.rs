//! `cxl-sim schema`.

use std::process::ExitCode;

use sim_device::profile::Profile;

use super::Failure;
use super::args::Described;
use super::args::Schema;
use super::run::say;
use crate::report::json;
use crate::scenario::schema;

pub(super) fn print(args: &Schema) -> Result<ExitCode, Failure> {
    let schema = match args.what {
        Described::Profile => Profile::schema(),
        Described::Scenario => schema::schema(),
        Described::Report => json::schema(),
    };
    say(json::pretty(&schema).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
