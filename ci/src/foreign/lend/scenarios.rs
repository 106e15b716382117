//! The step `lend scenarios`: our own backend for the kernel's VFIO runs the whole set of scenarios with devices that
//! are lent to it, by a group and by an iommufd. What ends otherwise than over vfio-user is skipped, for a reason that
//! is known here. The reports are kept beside what is built.

use crate::commands::cargo;
use crate::commands::run;
use crate::foreign::outcomes::Outcomes;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// How devices are reached: over vfio-user at first, and then as they are lent.
const WAYS: [(&str, &str); 3] =
    [("vfio-user", ""), ("lend type1", "--lend type1"), ("lend iommufd", "--lend iommufd")];

/// What a device that is lent does not have. A scenario that is skipped for anything else is one too many.
const REASONS: [&str; 6] = [
    "needs a device process of its own to ",
    "needs a device that asks for memory by messages, ",
    "has a server that answers wrongly, ",
    "needs a new device at the place of another, ",
    "needs an IOMMU of type 1, ",
    // What over vfio-user is not there either.
    "needs the guest kvm, ",
];

/// Runs the scenarios by every way.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    if let Err(outcome) = super::possible(workspace) {
        return outcome;
    }
    match compared(workspace) {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

fn compared(workspace: &Workspace) -> Result<String, String> {
    let mut told = Vec::new();
    let mut first: Option<Outcomes> = None;
    for (way, how) in WAYS {
        let report = workspace.target.join(format!("{}.json", way.replace(' ', "-")));
        let mut command = cargo(workspace, "run --release -q -- run --jobs 2");
        command.args(how.split_whitespace()).arg("--report").arg(&report);
        // Where a scenario fails the run does, and what it said is judged.
        let said = run(command).unwrap_or_else(|said| said);
        let outcomes = Outcomes::parse(&said.lines().map(str::to_owned).collect::<Vec<_>>())?;
        outcomes.judge(&[]).map_err(|why| format!("{way}: {why}"))?;
        let reasons = outcomes.reasons();
        reasons.keys().try_for_each(|reason| known(reason)).map_err(|why| format!("{way}: {why}"))?;
        told.push(format!("{way}, {}: {}", report.display(), outcomes.told()));
        match &first {
            Some(first) if !outcomes.are_those_of(first) => {
                return Err(format!("{way}: the scenarios are others than over vfio-user"));
            }
            Some(_) => {}
            None => first = Some(outcomes),
        }
    }
    Ok(told.join("\n"))
}

/// Whether a scenario may be skipped for this.
fn known(reason: &str) -> Result<(), String> {
    let is_known = REASONS.iter().any(|known| reason.starts_with(known)) || is_about_devices(reason);
    if is_known { Ok(()) } else { Err(format!("skipped for a reason that is not known: {reason}")) }
}

/// Whether the reason is that so many devices are needed.
fn is_about_devices(reason: &str) -> bool {
    let count =
        reason.strip_prefix("needs ").and_then(|rest| rest.strip_suffix(" devices, and --device gives one"));
    count.is_some_and(|count| count.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_skipped_for_what_a_device_that_is_lent_does_not_have_and_for_nothing_else() {
        assert_eq!(known("needs 16 devices, and --device gives one"), Ok(()));
        assert_eq!(known("needs an IOMMU of type 1, and an iommufd refuses this"), Ok(()));
        assert!(known("needs a device of its own profile, which only --device sim makes").is_err());
        assert!(known("needs patience devices, and --device gives one").is_err());
        assert!(known("").is_err());
    }
}
