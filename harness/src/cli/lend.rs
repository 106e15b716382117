//! `cxl-sim lend`, and what becomes of it in the program's own process.

use std::process::Command;
use std::process::ExitCode;

use lend::outside;
use lend::outside::LendError;
use lend::outside::Order;
use sim_device::profile::Profile;

use super::Failure;
use super::args::Lend;
use super::args::LendEnter;
use super::this_program;

pub(super) fn lend(args: &Lend) -> Result<ExitCode, Failure> {
    let order = order(args, outside::free_group(), outside::free_index())?;
    let (group, index) = (order.group.to_string(), order.index.to_string());
    let program = this_program()?;
    let start = |channel: &str| {
        let mut command = Command::new(program);
        command.args(["lend-enter", "--channel", channel, "--group", &group, "--index", &index]);
        command.args([
            "--profile",
            &args.profile,
            "--abi",
            args.abi.name,
            "--bdf",
            &args.bdf.to_string(),
            "--",
        ]);
        command.args(&args.command);
        command
    };
    let ended = outside::supervise(order, start).map_err(failure)?;
    Ok(ExitCode::from(outside::exit_code(ended)))
}

/// Becomes the program.
pub(super) fn enter(args: &LendEnter) -> Result<ExitCode, Failure> {
    let order = order(&args.lend, args.group, args.index)?;
    let error = match outside::enter(&order, &args.channel, &args.lend.command) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    Err(failure(error))
}

fn order(args: &Lend, group: u32, index: u32) -> Result<Order, Failure> {
    let profile = Profile::find(&args.profile).map_err(|error| Failure::File(error.to_string()))?;
    let profile = profile.check().map_err(|error| Failure::File(error.to_string()))?;
    Ok(Order { profile, abi: args.abi, bdf: args.bdf.clone(), group, index })
}

fn failure(error: LendError) -> Failure {
    match error {
        LendError::Taken(_) => Failure::Usage(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    }
}
