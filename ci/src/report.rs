//! What is told of the steps: a line for each, a summary, and the exit code.

use std::time::Duration;

use crate::step::Outcome;

/// What came of the steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    passed: usize,
    failed: usize,
    skipped: Vec<String>,
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
                self.skipped.push(line.clone());
                line
            }
        }
    }

    /// How many passed, failed and were skipped, and why.
    pub(crate) fn summary(&self) -> String {
        let counts =
            format!("passed {}, failed {}, skipped {}", self.passed, self.failed, self.skipped.len());
        with_text(counts, &self.skipped.join("\n"))
    }

    /// 0 if all is well, else 1. With `no_skip` a skipped step counts as failed.
    pub(crate) fn exit_code(&self, no_skip: bool) -> u8 {
        u8::from(self.failed > 0 || (no_skip && !self.skipped.is_empty()))
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
    #[case(&[], false, 0)]
    #[case(&[passed()], true, 0)]
    #[case(&[passed(), skipped()], false, 0)]
    #[case(&[passed(), skipped()], true, 1)]
    #[case(&[failed(), passed()], false, 1)]
    fn the_exit_code_is_one_if_a_step_failed_or_may_not_be_skipped(
        #[case] outcomes: &[Outcome],
        #[case] no_skip: bool,
        #[case] code: u8,
    ) {
        assert_eq!(report(outcomes).exit_code(no_skip), code);
    }
}
