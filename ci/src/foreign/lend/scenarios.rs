//! The step `lend scenarios`: our own backend for the kernel's VFIO runs the whole set of scenarios with devices that
//! are lent to it, by a group and by an iommufd. What ends otherwise than over vfio-user is skipped, for a reason that
//! is known. The reports are kept beside what is built.

use crate::commands::cargo;
use crate::commands::run;
use crate::foreign::outcomes::Outcomes;
use crate::foreign::ways::Compared;
use crate::foreign::ways::OVER_VFIO_USER;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// How devices are reached: over vfio-user at first, and then as they are lent.
const WAYS: [(&str, &str); 3] =
    [(OVER_VFIO_USER, ""), ("lend type1", "--lend type1"), ("lend iommufd", "--lend iommufd")];

/// Runs the scenarios by every way.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let ways = match by_ways(workspace) {
        Ok(ways) => ways,
        Err(outcome) => return outcome,
    };
    match Compared::new(ways).judge() {
        Ok(said) => Outcome::Passed(format!("{said}\nthe reports are in {}", workspace.target.display())),
        Err(said) => Outcome::Failed(said),
    }
}

/// What became of the scenarios by every way.
///
/// # Errors
/// If no device can be lent here, or a run did not come to its end: what came of the step then.
pub(in crate::foreign) fn by_ways(workspace: &Workspace) -> Result<Vec<(String, Outcomes)>, Outcome> {
    super::possible(workspace)?;
    let outcomes = |(way, how): (&str, &str)| {
        let outcomes = by_way(workspace, way, how).map_err(|why| Outcome::Failed(format!("{way}: {why}")))?;
        Ok((way.to_owned(), outcomes))
    };
    WAYS.into_iter().map(outcomes).collect()
}

fn by_way(workspace: &Workspace, way: &str, how: &str) -> Result<Outcomes, String> {
    let report = workspace.target.join(format!("{}.json", way.replace(' ', "-")));
    let mut command = cargo(workspace, "run --release -q -- run --jobs 2");
    command.args(how.split_whitespace()).arg("--report").arg(&report);
    // Where a scenario fails the run does, and what it said is judged.
    let said = run(command).unwrap_or_else(|said| said);
    Outcomes::parse(&said.lines().map(str::to_owned).collect::<Vec<_>>())
}
