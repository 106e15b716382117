//! What is told of the steps: a line for each, a summary, and the exit code.

use std::time::Duration;

use crate::step::ALL;
use crate::step::Outcome;

/// The steps that may not be skipped, by their subcommands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoSkip(pub(crate) Vec<String>);

impl NoSkip {
    /// Whether the step of this name counts as failed when it is skipped.
    fn covers(&self, step: &str) -> bool {
        let command = step.split(' ').next().unwrap_or(step);
        self.0.iter().any(|name| name == ALL || name == command)
    }
}

/// What came of the steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    /// Name of the step, and the line that says why.
    skipped: Vec<(String, String)>,
}

impl Report {
    /// The report before the first step.
    pub(crate) const fn new() -> Self {
        Self { passed: 0, failed: 0, skipped: Vec::new() }
    }

    /// Counts a step and returns what to print of it: one line, then what the step said.
    pub(crate) fn note(&mut self, name: &str, outcome: Outcome, took: Duration) -> String {
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Passed(said) => {
                self.passed = self.passed.saturating_add(1);
                with_text(format!("ok    {name}  {seconds:.1} s"), &said)
            }
            Outcome::Failed(said) => {
                self.failed = self.failed.saturating_add(1);
                with_text(format!("FAIL  {name}  {seconds:.1} s"), &said)
            }
            Outcome::Skipped(reason) => {
                let line = format!("skip  {name}: {reason}");
                self.skipped.push((name.to_owned(), line.clone()));
                line
            }
        }
    }

    /// How many passed, failed and were skipped, and why.
    pub(crate) fn summary(&self) -> String {
        let counts =
            format!("passed {}, failed {}, skipped {}", self.passed, self.failed, self.skipped.len());
        let lines: Vec<_> = self.skipped.iter().map(|(_, line)| line.as_str()).collect();
        with_text(counts, &lines.join("\n"))
    }

    /// 0 if all is well, else 1. A skipped step that `no_skip` covers counts as failed.
    pub(crate) fn exit_code(&self, no_skip: &NoSkip) -> u8 {
        u8::from(self.failed > 0 || self.skipped.iter().any(|(step, _)| no_skip.covers(step)))
    }
}

fn with_text(line: String, text: &str) -> String {
    match text.trim_end() {
        "" => line,
        text => format!("{line}\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TOOK: Duration = Duration::from_millis(1240);

    fn passed() -> Outcome {
        Outcome::Passed(String::new())
    }

    fn failed() -> Outcome {
        Outcome::Failed("error: no\nat all\n".to_owned())
    }

    fn skipped() -> Outcome {
        Outcome::Skipped("/dev/kvm: not found".to_owned())
    }

    fn report(outcomes: &[Outcome]) -> Report {
        let mut report = Report::new();
        for outcome in outcomes {
            report.note("step", outcome.clone(), TOOK);
        }
        report
    }

    #[rstest]
    #[case(passed(), "ok    fmt  1.2 s")]
    #[case(Outcome::Passed("files 3\n".to_owned()), "ok    fmt  1.2 s\nfiles 3")]
    #[case(failed(), "FAIL  fmt  1.2 s\nerror: no\nat all")]
    #[case(skipped(), "skip  fmt: /dev/kvm: not found")]
    fn a_step_has_a_line_and_what_it_said(#[case] outcome: Outcome, #[case] text: &str) {
        assert_eq!(Report::new().note("fmt", outcome, TOOK), text);
    }

    #[test]
    fn the_summary_counts_and_repeats_why_steps_were_skipped() {
        let report = report(&[passed(), failed(), passed(), skipped()]);
        assert_eq!(report.summary(), "passed 2, failed 1, skipped 1\nskip  step: /dev/kvm: not found");
    }

    #[test]
    fn the_summary_of_steps_that_passed_is_one_line() {
        assert_eq!(report(&[passed()]).summary(), "passed 1, failed 0, skipped 0");
    }

    #[rstest]
    #[case(&[], &[], 0)]
    #[case(&[passed()], &["all"], 0)]
    #[case(&[passed(), skipped()], &[], 0)]
    #[case(&[passed(), skipped()], &["all"], 1)]
    #[case(&[passed(), skipped()], &["qemu", "step"], 1)]
    #[case(&[passed(), skipped()], &["qemu"], 0)]
    #[case(&[failed(), passed()], &[], 1)]
    fn the_exit_code_is_one_if_a_step_failed_or_may_not_be_skipped(
        #[case] outcomes: &[Outcome],
        #[case] no_skip: &[&str],
        #[case] code: u8,
    ) {
        let no_skip = NoSkip(no_skip.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(report(outcomes).exit_code(&no_skip), code);
    }

    #[test]
    fn steps_that_share_a_subcommand_may_not_be_skipped_together() {
        let no_skip = NoSkip(vec!["scenarios".to_owned()]);
        assert!(no_skip.covers("scenarios soft") && no_skip.covers("scenarios kvm"));
        assert!(!no_skip.covers("scenariosx"));
    }
}
