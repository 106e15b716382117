//! A run as lines, for people.

use super::Outcome;
use super::ScenarioReport;
use super::Summary;
use super::paint::Paint;

/// What is said of a scenario when it ends: a line, what it proves, and where it failed the steps. `guest` is what
/// the run has been said to have; a scenario that had another says so.
pub fn scenario(report: &ScenarioReport, guest: &str, paint: Paint) -> String {
    let other = if report.guest == guest { String::new() } else { format!(", guest {}", report.guest) };
    let (name, duration) = (&report.name, report.duration_s);
    let outcome = paint.outcome(report.outcome, &format!("{:7}", report.outcome.word()));
    let mut lines = vec![format!("{outcome}  {name}  ({duration:.2} s{other})")];
    match (report.outcome, &report.reason) {
        (Outcome::Skipped, Some(reason)) => lines.push(format!("         {reason}")),
        _ => lines.push(format!("         {}", report.proves)),
    }
    if report.outcome == Outcome::Failed {
        let steps = report.steps.iter().enumerate();
        lines.extend(steps.map(|(index, step)| {
            let outcome = paint.outcome(step.outcome, &format!("{:6}", step.outcome.word()));
            format!("         {outcome} step {} {}: {}", index + 1, step.step, step.detail)
        }));
    }
    lines.join("\n")
}

/// The last line of a run.
pub fn summary(scenarios: &[ScenarioReport]) -> String {
    let Summary { passed, failed, skipped } = Summary::of(scenarios);
    format!("passed {passed}, failed {failed}, skipped {skipped}")
}
