//! The step `ways`: the same scenarios over vfio-user, with devices that are lent, and on a kernel's own VFIO in the
//! lab, in one table.
//!
//! ```text
//!  lend: vfio-user, lend type1, lend iommufd ──▶ Outcomes ──┐
//!  lab:  lab type1, lab iommufd              ──▶ Outcomes ──┴─▶ Compared ──▶ table, reasons, ways.json
//! ```

mod compared;
mod explained;

use super::lab;
use super::lend;
use crate::step::Outcome;
use crate::workspace::Workspace;

pub(super) use compared::Compared;
pub(super) use explained::OVER_VFIO_USER;

/// Where the table is kept for programs to read, beside what is built.
const KEPT: &str = "ways.json";

/// Runs the scenarios by every way, and explains what differs.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    compared(workspace).map_or_else(|outcome| outcome, Outcome::Passed)
}

fn compared(workspace: &Workspace) -> Result<String, Outcome> {
    let mut ways = lend::by_ways(workspace)?;
    let (linux, in_lab) = lab::by_ways(workspace)?;
    ways.extend(in_lab);
    let compared = Compared::new(ways);
    let path = workspace.target.join(KEPT);
    let kept = std::fs::write(&path, format!("{:#}\n", compared.json(&linux)));
    kept.map_err(|error| Outcome::Failed(format!("{}: {error}", path.display())))?;
    let told = compared.judge().map_err(Outcome::Failed)?;
    Ok(format!("{linux}\n{told}"))
}
