//! `cxl-sim capture` and `cxl-sim compare`: what a device is like.

use std::process::ExitCode;

use sim_device::kernel::Abi;
use sim_device::profile::Profile;

use super::FAILED;
use super::Failure;
use super::args::Capture;
use super::args::Compare;
use super::file_failure;
use super::inspect::device;
use super::run::say;
use crate::likeness;
use crate::likeness::Difference;

pub(super) fn capture(args: &Capture) -> Result<ExitCode, Failure> {
    let timeout = args.timeout.0;
    let (_process, backend) = device(&args.device.source(), timeout)?;
    let inventory = likeness::inventory(&backend)?;
    let (profile, given_up) = likeness::playable(likeness::captured(&backend, &inventory)?);
    let abi = likeness::abi_of(&inventory).ok_or_else(|| unspoken(&inventory.device))?;
    let differences = likeness::compare((&profile, abi), &backend, timeout)?;
    let text = format!("{}\n{}", header(abi, &given_up, &differences), profile.to_toml());
    std::fs::write(&args.out, text).map_err(|error| file_failure(&args.out, &error))?;
    say(&format!("{}: serve it with --abi {}", args.out.display(), abi.name))?;
    let left = given_up.len().saturating_add(differences.len());
    if left > 0 {
        say(&format!("{left} things of the device are not in the profile: they are comments in the file"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn compare(args: &Compare) -> Result<ExitCode, Failure> {
    let profile = Profile::find(&args.profile).map_err(|error| Failure::File(error.to_string()))?;
    let (_process, backend) = device(&args.device.source(), args.timeout.0)?;
    let inventory = likeness::inventory(&backend)?;
    let abi = args.abi.or_else(|| likeness::abi_of(&inventory));
    let abi = abi.ok_or_else(|| unspoken(&inventory.device))?;
    let differences = likeness::compare((&profile, abi), &backend, args.timeout.0)?;
    for difference in &differences {
        say(&difference.to_string())?;
    }
    say(&format!("{} differences, --abi {}", differences.len(), abi.name))?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// A device of a kernel that is not simulated.
fn unspoken(device: &str) -> Failure {
    Failure::Failed(format!("{device}: no kernel that is simulated here shows a device so"))
}

/// The comment before a profile.
fn header(abi: &Abi, given_up: &[String], differences: &[Difference]) -> String {
    let mut lines = vec![
        format!("# A device as it was found by `cxl-sim capture`. Serve it with `--abi {}`.", abi.name),
        "# Its memory and its serial number were not read.".to_owned(),
    ];
    let told = given_up.iter().cloned().chain(differences.iter().map(Difference::to_string));
    let told: Vec<_> = told.map(|one| format!("#   {one}")).collect();
    if !told.is_empty() {
        lines.push("#".to_owned());
        lines.push("# What this profile does not have as the device has it:".to_owned());
        lines.extend(told);
    }
    lines.push(String::new());
    lines.join("\n")
}
