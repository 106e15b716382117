//! A run as lines, for people.

use super::Outcome;
use super::ScenarioReport;
use super::Summary;

/// What is said of a scenario when it ends: a line, what it proves, and where it failed the steps. `guest` is what
/// the run has been said to have; a scenario that had another says so.
pub fn scenario(report: &ScenarioReport, guest: &str) -> String {
    let other = if report.guest == guest { String::new() } else { format!(", guest {}", report.guest) };
    let (outcome, name, duration) = (report.outcome.word(), &report.name, report.duration_s);
    let mut lines = vec![format!("{outcome:7}  {name}  ({duration:.2} s{other})")];
    match (report.outcome, &report.reason) {
        (Outcome::Skipped, Some(reason)) => lines.push(format!("         {reason}")),
        _ => lines.push(format!("         {}", report.proves)),
    }
    if report.outcome == Outcome::Failed {
        let steps = report.steps.iter().enumerate();
        lines.extend(steps.map(|(index, step)| {
            format!("         {:6} step {} {}: {}", step.outcome.word(), index + 1, step.step, step.detail)
        }));
    }
    lines.join("\n")
}

/// The last line of a run.
pub fn summary(scenarios: &[ScenarioReport]) -> String {
    let Summary { passed, failed, skipped } = Summary::of(scenarios);
    format!("passed {passed}, failed {failed}, skipped {skipped}")
}
