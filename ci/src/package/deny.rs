//! cargo-deny: the packages that we depend on have licences that we may give on, come from where they should, and
//! nobody warns of them. What is allowed is in `deny.toml`.

use super::add_command;
use crate::commands::cargo;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// What needs nothing but the packages.
const OFFLINE: &str = "deny --offline check bans licenses sources --hide-inclusion-graph";

/// What needs a list from the network: packages that somebody warns of.
const WARNINGS: &str = "deny check advisories";

/// What is said where that list cannot be had.
const NO_LIST: &str = "failed to fetch advisory database";

/// Checks both.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    if let Err(said) = add_command(workspace, "deny") {
        return Outcome::Skipped(format!("no cargo-deny: {}", reason(&said)));
    }
    match run(cargo(workspace, OFFLINE)) {
        Ok(said) => warned(said.trim(), run(cargo(workspace, WARNINGS))),
        Err(said) => Outcome::Failed(said),
    }
}

/// What is told of packages that somebody warns of; a list that cannot be had is nobody's fault here.
fn warned(offline: &str, online: Result<String, String>) -> Outcome {
    match online {
        Ok(said) => Outcome::Passed(format!("{offline}\n{}", said.trim())),
        Err(said) if said.contains(NO_LIST) => {
            let why = said.lines().find(|line| line.starts_with("fatal:")).unwrap_or(NO_LIST);
            Outcome::Passed(format!("{offline}\nadvisories unchecked: {why}"))
        }
        Err(said) => Outcome::Failed(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_cannot_be_had_is_told_and_no_failure() {
        let said = "[ERROR] failed to fetch advisory database x\nfatal: unable to access 'x'\n".to_owned();
        let told = "bans ok\nadvisories unchecked: fatal: unable to access 'x'".to_owned();
        assert_eq!(warned("bans ok", Err(said)), Outcome::Passed(told));
    }

    #[test]
    fn a_package_that_somebody_warns_of_is_a_failure() {
        let said = "error[vulnerability]: x\nadvisories FAILED\n".to_owned();
        assert_eq!(warned("bans ok", Err(said.clone())), Outcome::Failed(said));
        let told = "bans ok\nadvisories ok".to_owned();
        assert_eq!(warned("bans ok", Ok("advisories ok\n".to_owned())), Outcome::Passed(told));
    }
}
