//! `cxl-sim man` and `cxl-sim completions`: what a package has beside the program.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Command;
use clap::CommandFactory;
use clap::ValueEnum;
use clap_complete::Shell;
use clap_complete::generate;

use super::Failure;
use super::args::Arguments;
use super::file_failure;
use super::run::say;

/// `cxl-sim man`.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder for the pages, cxl-sim.1 and one for each command; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// `cxl-sim completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Completed,
}

/// A shell that completes words.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Completed {
    /// A file for bash-completion's folder, or for `source`
    Bash,
    /// A file for a folder of fpath, as _cxl-sim
    Zsh,
    /// A file for fish's folder of completions
    Fish,
}

/// Writes a page for the program and for each of its commands.
pub(super) fn man(args: &Man) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(&args.out).map_err(|error| file_failure(&args.out, &error))?;
    clap_mangen::generate_to(shown(), &args.out).map_err(|error| file_failure(&args.out, &error))?;
    Ok(ExitCode::SUCCESS)
}

/// Says what a shell reads to complete words.
pub(super) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    let shell = match args.shell {
        Completed::Bash => Shell::Bash,
        Completed::Zsh => Shell::Zsh,
        Completed::Fish => Shell::Fish,
    };
    say(completion(shell).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

fn completion(shell: Shell) -> String {
    let mut text = Vec::new();
    generate(shell, &mut shown(), "cxl-sim", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The commands that people use. Hidden ones are for ourselves, and no shell offers them.
fn shown() -> Command {
    let all = Arguments::command();
    let mut shown = Command::new("cxl-sim").version(env!("CARGO_PKG_VERSION"));
    if let Some(about) = all.get_about() {
        shown = shown.about(about.clone());
    }
    shown.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}
