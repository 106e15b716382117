//! The project's checks as one command: what passes here passes there.
//!
//! ```text
//!  arguments ──▶ steps ──▶ Outcome ──▶ Report ──▶ lines, summary, exit code
//!                  │ commands   cargo and the project's own program
//!                  │ tidy       the law of the house, over the sources
//!                  └ edges      which package may depend on which
//! ```
//!
//! `cargo ci` takes all steps, `cargo ci tidy` takes one. A step that fails does not keep the next from running.
//! The exit code is 0 if all passed or were skipped, 1 if one failed, 2 if the arguments are wrong; with
//! `--no-skip` a skipped step counts as failed.
//!
//! The rules are pure: they take text, syntax trees and tables, and return what they found. Only
//! [`workspace`], [`commands`] and the listing of files touch anything outside.

mod commands;
mod edges;
mod fuzz;
mod report;
mod step;
mod tidy;
mod workspace;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Arg;
use clap::ArgAction;
use clap::Command;

use report::Report;
use step::STEPS;
use step::Step;
use workspace::Workspace;

/// The subcommand that takes every step; also what is done without a subcommand.
const ALL: &str = "all";

fn main() -> ExitCode {
    let matches = arguments().get_matches();
    let chosen = matches.subcommand_name().unwrap_or(ALL);
    let steps = STEPS.iter().filter(|step| chosen == ALL || chosen == step.command());
    match Workspace::load() {
        Ok(workspace) => {
            let report = take(steps, &workspace);
            say(&report.summary());
            ExitCode::from(report.exit_code(matches.get_flag("no-skip")))
        }
        Err(error) => {
            // Whoever closed our standard error does not want to hear it.
            let _ = writeln!(io::stderr().lock(), "cargo ci: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command line: `all`, and a subcommand for the steps of each name.
fn arguments() -> Command {
    let no_skip = Arg::new("no-skip")
        .long("no-skip")
        .action(ArgAction::SetTrue)
        .global(true)
        .help("A skipped step counts as failed");
    let all = Command::new(ALL).about("Every step, in this order; the same as no subcommand");
    let mut commands = vec![all];
    for step in STEPS {
        if commands.iter().all(|command| command.get_name() != step.command()) {
            commands.push(Command::new(step.command()).about(step.about));
        }
    }
    Command::new("ci")
        .bin_name("cargo ci")
        .about("The project's checks as one command")
        .arg(no_skip)
        .subcommands(commands)
}

/// Takes the steps one after the other and prints what comes of each.
fn take<'a>(steps: impl Iterator<Item = &'a Step>, workspace: &Workspace) -> Report {
    let mut report = Report::new();
    for step in steps {
        announce(step.name);
        let start = Instant::now();
        let outcome = (step.run)(workspace);
        say(&report.note(step.name, outcome, start.elapsed()));
    }
    report
}

/// Says at a terminal which step is running; the step's own line then replaces this one.
fn announce(name: &str) {
    if io::stdout().is_terminal() {
        // If it cannot be shown now, the step's line comes anyway.
        let mut out = io::stdout().lock();
        let _ = write!(out, "...   {name}\r").and_then(|()| out.flush());
    }
}

/// Says a line. Whoever closed our standard output does not want to hear it; the exit code tells the rest.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use rstest::rstest;

    use super::*;

    fn parsed(line: &str) -> Result<(Option<String>, bool), ErrorKind> {
        let matches = arguments().try_get_matches_from(line.split(' ')).map_err(|error| error.kind())?;
        Ok((matches.subcommand_name().map(str::to_owned), matches.get_flag("no-skip")))
    }

    #[test]
    fn the_command_line_is_consistent() {
        arguments().debug_assert();
    }

    #[rstest]
    #[case("ci", None, false)]
    #[case("ci --no-skip", None, true)]
    #[case("ci all --no-skip", Some("all"), true)]
    #[case("ci tidy", Some("tidy"), false)]
    #[case("ci scenarios --no-skip", Some("scenarios"), true)]
    fn a_step_can_be_chosen(#[case] line: &str, #[case] chosen: Option<&str>, #[case] no_skip: bool) {
        assert_eq!(parsed(line), Ok((chosen.map(str::to_owned), no_skip)));
    }

    #[test]
    fn a_step_that_does_not_exist_cannot_be_chosen() {
        assert_eq!(parsed("ci polish"), Err(ErrorKind::InvalidSubcommand));
        assert_eq!(arguments().try_get_matches_from(["ci", "polish"]).unwrap_err().exit_code(), 2);
    }
}
