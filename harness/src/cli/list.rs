//! `cxl-sim list`.

use std::process::ExitCode;

use sim_device::profile::PRESETS;

use super::Failure;
use super::args::List;
use super::args::Listed;
use super::run::say;
use crate::scenario::find::bundled;

pub(super) fn list(args: &List) -> Result<ExitCode, Failure> {
    let lines: Vec<(String, String)> = match args.what {
        Listed::Profiles => {
            PRESETS.iter().map(|preset| (preset.name.to_owned(), preset.about.to_owned())).collect()
        }
        Listed::Scenarios => bundled()?.into_iter().map(|one| (one.place(), one.scenario.proves)).collect(),
    };
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in lines {
        say(&format!("{name:width$}  {about}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
