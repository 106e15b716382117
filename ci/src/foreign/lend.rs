//! A device is lent to other people's programs, and to ours: they use the kernel's VFIO interface, and `cxl-sim lend`
//! answers.
//!
//! ```text
//!  cxl-sim lend ──▶ ci/lend/uapi.c, static        the interface as the kernel's headers have it    uapi
//!        ├────────▶ QEMU: vfio-pci, qtest          what a guest would see                           emulator
//!        ├────────▶ QEMU: vfio-pci, TCG            a Linux that looks at the device                 guest
//!        └────────▶ cxl-sim run --device vfio:…    the scenarios, as over vfio-user                 scenarios
//! ```

mod emulator;
mod guest;
mod scenarios;
mod uapi;

use std::process::Command;

use crate::commands::cargo;
use crate::commands::reason;
use crate::commands::run;
use crate::foreign::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

pub(crate) use emulator::check as emulator;
pub(crate) use guest::check as guest;
pub(super) use scenarios::by_ways;
pub(crate) use scenarios::check as scenarios;
pub(crate) use uapi::check as uapi;

/// The address under which programs find the device.
const BDF: &str = "0000:c1:00.0";

/// Our program, to which is still to be said what it shall do.
const PROGRAM: &str = "run --release -q --";

/// What it complains about where the system does not permit any of this.
const NOT_PERMITTED: [&str; 2] = ["a namespace of users:", "the filter:"];

/// The ways from a program to the IOMMU.
const WAYS: [&str; 2] = ["type1", "iommufd"];

/// A device that is lent as this kernel shows it; the program that it is lent to is still to be said.
fn lent(workspace: &Workspace, profile: &str, abi: &str) -> Command {
    let mut command = cargo(workspace, PROGRAM);
    command.args(["lend", "--bdf", BDF, "--profile", profile, "--abi", abi, "--"]);
    command
}

/// What QEMU is told for a way: an object, and more of the device.
fn by(way: &str) -> (&'static str, &'static str) {
    match way {
        "iommufd" => ("-object iommufd,id=iommufd0", ",iommufd=iommufd0"),
        _ => ("", ""),
    }
}

/// Whether a device can be lent here.
///
/// # Errors
/// If not: the step is skipped where the system does not permit it, and has failed where something else is wrong.
fn possible(workspace: &Workspace) -> Result<(), Outcome> {
    let mut nothing = lent(workspace, "t2-committed", "v2");
    nothing.arg("true");
    run(nothing).map(drop).map_err(unless_permitted)
}

/// The root of foreign programs, where a device can be lent to one of them.
///
/// # Errors
/// As of [`possible`]; the step is skipped where there is no root.
fn possible_in_root(workspace: &Workspace) -> Result<Root, Outcome> {
    possible(workspace)?;
    Root::find(workspace).map_err(Outcome::Skipped)
}

fn unless_permitted(said: String) -> Outcome {
    let last = reason(&said);
    if NOT_PERMITTED.iter().any(|what| last.contains(what)) {
        Outcome::Skipped(last.to_owned())
    } else {
        Outcome::Failed(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_system_does_not_permit_is_skipped() {
        let said = "cxl-sim: a namespace of users: Operation not permitted (os error 1)\n".to_owned();
        assert_eq!(unless_permitted(said.clone()), Outcome::Skipped(said.trim_end().to_owned()));
        let said = "cxl-sim: 0000:c1:00.0 is a device of this machine\n".to_owned();
        assert_eq!(unless_permitted(said.clone()), Outcome::Failed(said));
    }
}
