//! How often a second each target is carried out, against one that does nothing in the same run.

use super::NOTHING;
use super::Targets;
use super::found;
use super::in_words;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// How long each is measured, in seconds.
const SECONDS: u32 = 5;

/// Measures all targets, from what their corpora have.
pub(crate) fn bench(workspace: &Workspace) -> Outcome {
    in_words(workspace, |targets| {
        let nothing = rate(targets, NOTHING)?;
        let mut told = vec![format!("{NOTHING:17} {nothing:>8} a second")];
        for target in targets.fuzzed() {
            let rate = rate(targets, target)?;
            let ratio = nothing.checked_div(rate).unwrap_or(0);
            told.push(format!("{target:17} {rate:>8} a second, 1/{ratio} of nothing"));
        }
        Ok(told)
    })
}

/// How often a second a target is carried out.
fn rate(targets: &Targets<'_>, target: &str) -> Result<u64, String> {
    targets.folder("corpus", target)?;
    let options = format!(
        "fuzz/corpus/{target} -max_total_time={SECONDS} -artifact_prefix=fuzz/target/ -print_final_stats=1"
    );
    let said = run(targets.command(target, &options)).map_err(|said| found(target, &said))?;
    stated(&said).ok_or_else(|| format!("{target}: no rate in {said}"))
}

/// The rate that libFuzzer states in the end.
fn stated(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("stat::average_exec_per_sec:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_libfuzzer_states() {
        assert_eq!(stated("#1\nstat::average_exec_per_sec:     12345\n"), Some(12345));
        assert_eq!(stated("stat::number_of_executed_units: 1"), None);
    }
}
