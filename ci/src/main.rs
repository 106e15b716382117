//! The project's checks as one command: what passes here passes there.
//!
//! ```text
//!  arguments ──▶ steps ──▶ Outcome ──▶ Report ──▶ lines, summary, exit code
//!                  │ commands   cargo and the project's own program
//!                  │ tidy       the law of the house, over the sources
//!                  │ edges      which package may depend on which
//!                  │ foreign    what other people's programs make of the device
//!                  │ kani, miri proofs that compile, and tests that are interpreted
//!                  │ coverage   which lines the tests reach
//!                  └ package    what is given away
//! ```
//!
//! `cargo ci` takes all steps, `cargo ci tidy` takes one. A step that fails does not keep the next from running.
//! The exit code is 0 if all passed or were skipped, 1 if one failed, 2 if the arguments are wrong; with
//! `--no-skip` a skipped step counts as failed, with `--no-skip=qemu,lspci` only those steps do.
//!
//! The rules are pure: they take text, syntax trees and tables, and return what they found. Only
//! [`workspace`], [`commands`], [`foreign`] and the listing of files touch anything outside.

mod book;
mod commands;
mod coverage;
mod edges;
mod foreign;
mod fuzz;
mod kani;
mod miri;
mod nightly;
mod package;
mod report;
mod shown;
mod step;
mod tidy;
mod unprivileged;
#[cfg(test)]
mod workflow;
mod workspace;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::Arg;
use clap::ArgAction;
use clap::ArgMatches;
use clap::Command;
use clap::builder::PossibleValuesParser;
use clap::value_parser;

use report::NoSkip;
use report::Report;
use step::ALL;
use step::STEPS;
use step::Step;
use workspace::Workspace;

/// The options.
const NO_SKIP: &str = "no-skip";
const BLESS: &str = "bless";
const SECONDS: &str = "seconds";

fn main() -> ExitCode {
    let matches = arguments().get_matches();
    let chosen = matches.subcommand_name().unwrap_or(ALL);
    let steps = STEPS.iter().filter(|step| step.is_taken_by(chosen));
    match Workspace::load() {
        Ok(workspace) => {
            let report = take(steps, &workspace, &matches);
            say(&report.summary());
            ExitCode::from(report.exit_code(&no_skip(&matches)))
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
    let mut commands = vec![Command::new(ALL).about("Every step, in this order; the same as no subcommand")];
    for step in STEPS {
        if commands.iter().all(|command| command.get_name() != step.command()) {
            let command = Command::new(step.command()).about(step.about);
            let options = [step.bless.map(|_| bless_option()), step.lasting.map(|_| seconds_option())];
            commands.push(command.args(options.into_iter().flatten()));
        }
    }
    Command::new("ci")
        .bin_name("cargo ci")
        .about("The project's checks as one command")
        .arg(no_skip_option())
        .subcommands(commands)
}

fn no_skip_option() -> Arg {
    let names = [ALL].into_iter().chain(STEPS.iter().map(Step::command));
    Arg::new(NO_SKIP)
        .long(NO_SKIP)
        .value_name("STEP,...")
        .num_args(0..=1)
        .require_equals(true)
        .value_delimiter(',')
        .default_missing_value(ALL)
        .value_parser(PossibleValuesParser::new(names))
        .hide_possible_values(true)
        .global(true)
        .help("A skipped step counts as failed: every one, or one of those that are named")
}

fn bless_option() -> Arg {
    Arg::new(BLESS)
        .long(BLESS)
        .action(ArgAction::SetTrue)
        .help("Write what is compared with anew, as it is now")
}

fn seconds_option() -> Arg {
    Arg::new(SECONDS)
        .long(SECONDS)
        .value_name("N")
        .value_parser(value_parser!(u32).range(1..))
        .help("How long the step goes on, in seconds")
}

/// The steps that may not be skipped.
fn no_skip(matches: &ArgMatches) -> NoSkip {
    NoSkip(matches.get_many(NO_SKIP).map(|names| names.cloned().collect()).unwrap_or_default())
}

/// Whether what is found is to be kept, instead of compared.
fn is_blessing(matches: &ArgMatches) -> bool {
    let step = matches.subcommand().map(|(_, step)| step);
    // Most steps do not have the option.
    step.and_then(|step| step.try_get_one(BLESS).ok().flatten()).copied().unwrap_or(false)
}

/// How long a step goes on, if that is said.
fn seconds(matches: &ArgMatches) -> Option<u32> {
    let step = matches.subcommand().map(|(_, step)| step);
    // Most steps do not have the option.
    step.and_then(|step| step.try_get_one(SECONDS).ok().flatten()).copied()
}

/// Takes the steps one after the other and prints what comes of each.
fn take<'a>(steps: impl Iterator<Item = &'a Step>, workspace: &Workspace, matches: &ArgMatches) -> Report {
    let mut report = Report::new();
    for step in steps {
        announce(step.name);
        let start = Instant::now();
        let how = step.bless.filter(|_| is_blessing(matches)).unwrap_or(step.run);
        let outcome = match step.lasting.zip(seconds(matches)) {
            Some((lasting, seconds)) => lasting(workspace, seconds),
            None => how(workspace),
        };
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

    fn matches(line: &str) -> Result<ArgMatches, ErrorKind> {
        arguments().try_get_matches_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_command_line_is_consistent() {
        arguments().debug_assert();
    }

    #[rstest]
    #[case("ci", None, &[])]
    #[case("ci --no-skip", None, &["all"])]
    #[case("ci all --no-skip", Some("all"), &["all"])]
    #[case("ci --no-skip all", Some("all"), &["all"])]
    #[case("ci all --no-skip=qemu,lspci", Some("all"), &["qemu", "lspci"])]
    #[case("ci tidy", Some("tidy"), &[])]
    #[case("ci scenarios --no-skip", Some("scenarios"), &["all"])]
    fn a_step_can_be_chosen(#[case] line: &str, #[case] chosen: Option<&str>, #[case] required: &[&str]) {
        let matches = matches(line).unwrap();
        assert_eq!(matches.subcommand_name(), chosen);
        assert_eq!(no_skip(&matches).0, required);
    }

    #[test]
    fn only_a_step_that_keeps_something_can_be_blessed() {
        assert!(is_blessing(&matches("ci lspci --bless").unwrap()));
        assert!(!is_blessing(&matches("ci lspci").unwrap()));
        assert!(!is_blessing(&matches("ci tidy").unwrap()));
        assert_eq!(matches("ci tidy --bless").unwrap_err(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn only_a_step_that_goes_on_for_some_time_can_be_told_for_how_long() {
        assert_eq!(seconds(&matches("ci soak --seconds 90").unwrap()), Some(90));
        assert_eq!(seconds(&matches("ci soak").unwrap()), None);
        assert_eq!(matches("ci soak --seconds 0").unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(matches("ci tidy --seconds 9").unwrap_err(), ErrorKind::UnknownArgument);
    }

    #[test]
    fn a_step_that_does_not_exist_cannot_be_required() {
        assert_eq!(matches("ci --no-skip=polish").unwrap_err(), ErrorKind::InvalidValue);
    }

    #[test]
    fn a_step_that_does_not_exist_cannot_be_chosen() {
        assert_eq!(matches("ci polish").unwrap_err(), ErrorKind::InvalidSubcommand);
        assert_eq!(arguments().try_get_matches_from(["ci", "polish"]).unwrap_err().exit_code(), 2);
    }
}
