//! The step `unprivileged`: all of it as the user nobody, in a namespace without a network.
//!
//! ```text
//!  program, test programs ──▶ a folder that anybody can read ──▶ nobody, no network ──▶ compared
//! ```
//!
//! The scenarios come to the same end as for whoever runs these checks, with the same guest. The test programs pass.
//! What is otherwise is listed, each with its reason, and told. Where whoever runs these checks is not root, nobody
//! cannot be had: then it is the user that a namespace of users shows without a map, who has no more than we.

mod nobody;
mod tests_alone;

use std::fs;

use nobody::Nobody;

use crate::commands::capture;
use crate::foreign::outcomes::Outcomes;
use crate::shown::build;
use crate::shown::built;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// Scenarios that end otherwise for nobody, and why. There is none.
const OTHERWISE: &[(&str, &str)] = &[];

/// The name of the program.
const PROGRAM: &str = "cxl-sim";

/// Runs all of it and compares.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let nobody = match Nobody::find() {
        Ok(nobody) => nobody,
        Err(why) => return Outcome::Skipped(why),
    };
    let told = scenarios(workspace, &nobody).and_then(|scenarios| {
        let tests = tests_alone::pass(workspace, &nobody)?;
        Ok(format!("as {nobody}\n{scenarios}\n{tests}"))
    });
    match told {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

/// The scenarios as nobody, beside the scenarios as we are.
fn scenarios(workspace: &Workspace, nobody: &Nobody) -> Result<String, String> {
    build(workspace)?;
    let program = built(workspace).join(PROGRAM);
    let copy = nobody.copy(&program)?;
    let (guest, why) = match nobody.kvm() {
        Ok(()) => ("kvm", String::new()),
        Err(why) => ("soft", format!(": {why}")),
    };
    let arguments = ["run", "--guest", guest];
    let mut theirs = nobody.command(&copy);
    theirs.args(arguments);
    let mut ours = std::process::Command::new(&program);
    ours.args(arguments).current_dir(&workspace.root);
    let [theirs, ours] = [theirs, ours].map(|command| {
        let (_, said) = capture(command).map_err(|error| format!("{PROGRAM}: {error}"))?;
        Outcomes::parse(&said.trim_end().lines().map(str::to_owned).collect::<Vec<_>>())
    });
    let (theirs, ours) = (theirs?, ours?);
    let wrong = differences(&theirs, &ours, OTHERWISE);
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let listed = OTHERWISE.iter().map(|(name, why)| format!("\notherwise for nobody, as {why}: {name}"));
    Ok(format!("scenarios with guest {guest}{why}: {theirs}, and so for us{}", listed.collect::<String>()))
}

/// The scenarios that end otherwise, and are not listed; and those that are listed, and do not.
fn differences(theirs: &Outcomes, ours: &Outcomes, listed: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in ours.names() {
        let is_listed = listed.iter().any(|(other, _)| *other == name);
        let (nobodys, own) = (theirs.of(name), ours.of(name));
        if (nobodys == own) == is_listed {
            let said = theirs.said(name).join("\n");
            wrong.push(format!("{name}: {own} for us, {nobodys} for nobody\n{said}"));
        }
    }
    let strangers = theirs.names().filter(|name| ours.of(name) == "not there");
    wrong.extend(strangers.map(|name| format!("{name}: for nobody alone")));
    wrong
}

/// Makes a file or folder of ours one that anybody can read, and run or enter.
fn for_anybody(path: &std::path::Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Outcomes {
        Outcomes::parse(&text.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_ends_otherwise_for_nobody_is_told_unless_it_is_listed() {
        let ours = outcomes("passed   a  (0.01 s)\npassed   b  (0.01 s)\npassed 2, failed 0, skipped 0");
        let theirs =
            outcomes("passed   a  (0.02 s)\nskipped  b  (0.02 s)\n  no\npassed 1, failed 0, skipped 1");
        assert_eq!(differences(&theirs, &ours, &[]), ["b: passed for us, skipped for nobody\nno"]);
        assert_eq!(differences(&theirs, &ours, &[("b", "x")]), [""; 0]);
    }

    #[test]
    fn what_is_listed_must_end_otherwise() {
        let same = outcomes("passed   a  (0.01 s)\npassed 1, failed 0, skipped 0");
        assert_eq!(differences(&same, &same, &[("a", "x")]), ["a: passed for us, passed for nobody\n"]);
    }

    #[test]
    fn nobody_may_not_have_scenarios_of_his_own() {
        let ours = outcomes("passed   a  (0.01 s)\npassed 1, failed 0, skipped 0");
        let theirs = outcomes("passed   a  (0.01 s)\npassed   b  (0.01 s)\npassed 2, failed 0, skipped 0");
        assert_eq!(differences(&theirs, &ours, &[]), ["b: for nobody alone"]);
    }
}
