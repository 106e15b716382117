//! The lab without hardware: a Linux with an IOMMU and KVM boots inside of QEMU, finds the device that we serve as one
//! of its own, and our program runs there as on a machine in a lab, on the kernel's own VFIO.
//!
//! ```text
//!  cxl-sim serve ──▶ socket ──▶ QEMU: vfio-user-pci behind intel-iommu ──▶ Linux: vfio-pci ──▶ cxl-sim run, static
//!        │                                                                 ci/lab/init         type1 | iommufd
//!        └──────────────▶ cxl-sim run --device vfio-user ──▶ the same scenarios ──▶ compared, one by one
//! ```
//!
//! QEMU hands on no capability of vfio-cxl, and Linux has no vfio-cxl: the device is a PCI device like others there,
//! and the scenarios are those for `--abi plain`. KVM inside is nested in an emulated SVM; what needs vfio-cxl meets it
//! with devices of our own, `--device sim`.

mod architecture;
mod kernel;
mod machine;
mod program;
mod readme;
mod session;

use std::process::Command;

use architecture::AARCH64;
use architecture::Architecture;
use architecture::X86_64;
use kernel::Kernel;
use machine::Lab;
use program::Program;
use session::Told;

use super::device::Device;
use super::outcomes::Outcomes;
use super::outcomes::Table;
use super::root::Root;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The device, and the kernel interface that it is served with.
const PROFILE: &str = "t2-committed";
const ABI: &str = "plain";

/// How the device is named inside.
const BDF: &str = "0000:01:00.0";

/// How long the program waits for an answer. The processor is emulated, and so is one inside of it.
const TIMEOUT: &str = "--timeout 120";

/// The README leaves the device as it was found. These give it to vfio-pci, again.
const GIVE: [&str; 4] = [
    "modprobe vfio-pci",
    "modprobe vfio_iommu_type1",
    "echo vfio-pci > /sys/bus/pci/devices/0000:01:00.0/driver_override",
    "echo 0000:01:00.0 > /sys/bus/pci/drivers_probe",
];

/// A profile is made of the device as a real kernel shows it, and compared with it: what the simulator does otherwise.
const CAPTURE: &str = "cxl-sim capture vfio:0000:01:00.0 -o /tmp/captured.toml";
const COMPARE: &str = "cxl-sim compare /tmp/captured.toml vfio:0000:01:00.0";

/// Scenarios on KVM inside, with devices of our own: what vfio-cxl adds meets a guest that is nested. Others have
/// devices that must answer sooner than such a processor can, or take minutes.
const NESTED: &str =
    "cxl-sim run --device sim --guest kvm --timeout 120 --filter '^(decoder|interrupt|life|reset|window)/'";

/// Boots the lab with a processor like ours, runs what is to be run there, and compares.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    check_on(workspace, &X86_64)
}

/// The same with the other processor.
pub(crate) fn check_aarch64(workspace: &Workspace) -> Outcome {
    check_on(workspace, &AARCH64)
}

fn check_on(workspace: &Workspace, architecture: &Architecture) -> Outcome {
    let ready = Root::find(workspace).and_then(|root| Ok((Kernel::find(workspace, architecture)?, root)));
    let (kernel, root) = match ready {
        Ok(ready) => ready,
        Err(reason) => return Outcome::Skipped(reason),
    };
    match checked(workspace, architecture, (&root, &kernel)) {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

fn checked(
    workspace: &Workspace,
    architecture: &Architecture,
    (root, kernel): (&Root, &Kernel),
) -> Result<String, String> {
    let outside = Program::build(workspace, X86_64.target)?;
    let inside = Program::build(workspace, architecture.target)?;
    let mut table = Table::default();
    table.add("vfio-user", over_vfio_user(&outside, root)?);
    let sequence = if architecture.takes_readme { readme::sequence(workspace)? } else { Vec::new() };
    let ways: Vec<_> = kernel.ways().iter().map(|way| (*way, scenarios(way))).collect();
    let mut commands = sequence.clone();
    commands.extend(GIVE.map(str::to_owned));
    commands.extend(ways.iter().map(|(_, command)| command.clone()));
    commands.extend([CAPTURE, COMPARE, NESTED].map(str::to_owned));
    let lab = Lab { architecture, root, kernel, outside: &outside, inside: &inside };
    let told = machine::session(&lab, &commands)?;
    readme::judge(&sequence, &told)?;
    GIVE.iter().chain([&CAPTURE]).try_for_each(|command| ended(&told, command)?.well())?;
    in_lab(architecture, &ways, &told)?.into_iter().for_each(|(way, outcomes)| table.add(&way, outcomes));
    let nested = Outcomes::parse(&ended(&told, NESTED)?.said)?;
    table.judge()?;
    nested.judge(&[])?;
    let nested = format!("nested KVM, devices of our own: {}", nested.told());
    Ok([kernel.told(), table.to_string(), compared(ended(&told, COMPARE)?)?, nested].join("\n"))
}

/// What became of the scenarios inside, by each way that VFIO has to the IOMMU, and which Linux it is.
///
/// # Errors
/// If the lab cannot be booted here, or did not tell: what came of the step then.
pub(super) fn by_ways(workspace: &Workspace) -> Result<(String, Vec<(String, Outcomes)>), Outcome> {
    let root = Root::find(workspace).map_err(Outcome::Skipped)?;
    let kernel = Kernel::find(workspace, &X86_64).map_err(Outcome::Skipped)?;
    let program = Program::build(workspace, X86_64.target).map_err(Outcome::Failed)?;
    let lab =
        Lab { architecture: &X86_64, root: &root, kernel: &kernel, outside: &program, inside: &program };
    let ways: Vec<_> = kernel.ways().iter().map(|way| (*way, scenarios(way))).collect();
    let commands: Vec<_> =
        GIVE.map(str::to_owned).into_iter().chain(ways.iter().map(|(_, command)| command.clone())).collect();
    let told = machine::session(&lab, &commands).map_err(Outcome::Failed)?;
    let outcomes = GIVE.iter().try_for_each(|command| ended(&told, command)?.well());
    let outcomes = outcomes.and_then(|()| in_lab(&X86_64, &ways, &told)).map_err(Outcome::Failed)?;
    Ok((kernel.told(), outcomes))
}

/// What became of the scenarios that these commands ran inside.
fn in_lab(
    architecture: &Architecture,
    ways: &[(&str, String)],
    told: &[Told],
) -> Result<Vec<(String, Outcomes)>, String> {
    let outcomes = |(way, command): &(&str, String)| {
        let outcomes = Outcomes::parse(&ended(told, command)?.said)?;
        Ok((format!("{} {way}", architecture.way), outcomes))
    };
    ways.iter().map(outcomes).collect()
}

/// What a comparison says: it ends with how many differences there are.
fn compared(told: &Told) -> Result<String, String> {
    match told.said.split_last() {
        Some((last, differences)) if told.status <= 1 && last.contains(" differences, --abi ") => {
            let lines = [format!("a profile captured there, and the device: {last}")].into_iter();
            let lines = lines.chain(differences.iter().map(|one| format!("  {one}")));
            Ok(lines.collect::<Vec<_>>().join("\n"))
        }
        _ => Err(format!("this ended with {}: {COMPARE}\n{}", told.status, told.said.join("\n"))),
    }
}

/// The command that runs the scenarios inside, by a way that VFIO has to the IOMMU.
fn scenarios(way: &str) -> String {
    format!("cxl-sim run --device vfio:{BDF},{way} --abi {ABI} --allow-touch {TIMEOUT}")
}

/// The scenarios over the same device's own protocol, without a kernel between.
fn over_vfio_user(program: &Program, root: &Root) -> Result<Outcomes, String> {
    let device = Device::served_by(Command::new(program.path()), root, PROFILE, ABI)?;
    let mut command = Command::new(program.path());
    command.args(["run", "--guest", "soft", "--abi", ABI, "--device"]);
    command.arg(format!("vfio-user:{}", device.socket().display()));
    // Where a scenario fails the run does, and what it said is judged with that of the others.
    let said = run(command).unwrap_or_else(|said| said);
    device.end()?;
    Outcomes::parse(&said.lines().map(str::to_owned).collect::<Vec<_>>())
}

/// What was told of a command that must have run.
fn ended<'a>(told: &'a [Told], command: &str) -> Result<&'a Told, String> {
    let found = told.iter().find(|told| told.command == command);
    found.ok_or_else(|| format!("the lab does not tell how this ended: {command}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(said: &[&str], status: u8) -> Result<String, String> {
        let said = said.iter().map(|line| (*line).to_owned()).collect();
        compared(&Told { command: COMPARE.to_owned(), said, status })
    }

    #[test]
    fn what_differs_is_told_and_is_no_failure() {
        let told = compare(&["region 0 flags: a, and b", "1 differences, --abi plain"], 1).unwrap();
        let lines: Vec<_> = told.lines().collect();
        let first = "a profile captured there, and the device: 1 differences, --abi plain";
        assert_eq!(lines, [first, "  region 0 flags: a, and b"]);
        assert!(compare(&["0 differences, --abi plain"], 0).is_ok());
    }

    #[test]
    fn a_comparison_that_did_not_come_to_its_end_is_an_error() {
        assert!(compare(&["no such device"], 2).unwrap_err().ends_with("\nno such device"));
        assert!(compare(&["1 differences, --abi plain"], 2).is_err());
        assert!(compare(&["cut off"], 0).is_err());
        assert!(compare(&[], 0).is_err());
    }
}
