//! What is given away: programs that carry all they need, packages of them, and what they are made of.
//!
//! ```text
//!  cargo install ──────────────▶ a program that runs where no sources are                    install
//!  cargo build, with musl ─────▶ static programs for two architectures                       musl
//!        └──▶ cargo deb ───────▶ Debian packages, installed where nothing else is            deb
//!  cargo deny, cargo cyclonedx ▶ licences and origins; a list of all that is in the program  deny, sbom
//! ```
//!
//! [`elf`] is what a program says of itself.

pub(crate) mod deb;
pub(crate) mod deny;
mod elf;
pub(crate) mod install;
pub(crate) mod musl;
pub(crate) mod sbom;

use std::process::Command;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// The package of the program.
const PACKAGE: &str = "harness";

/// The program.
const PROGRAM: &str = "cxl-sim";

/// What every place where a program is tried has to show: nothing there is of the machine that it was built on.
const TRIALS: [&str; 4] =
    ["list profiles", "list scenarios", "plan decoder/first-light", "run --guest soft --jobs 2"];

/// Installs a command of cargo's unless it is there. An error is what was said instead.
///
/// It is built without optimisation: that takes half the time, and it is quick enough.
fn add_command(workspace: &Workspace, name: &str) -> Result<(), String> {
    if run(cargo(workspace, &format!("{name} --version"))).is_err() {
        run(cargo(workspace, &format!("install cargo-{name} --locked --debug")))?;
    }
    Ok(())
}

/// A command in namespaces of its own, after `script`, whose `$0` is `path`.
fn apart(workspace: &Workspace, script: &str, path: &str) -> Command {
    let mut command = program(workspace, "unshare", "--map-root-user --mount --pid --fork --kill-child");
    // A process that is started inside counts its own from 1, so it needs a /proc that does so too.
    command.args(["sh", "-c", script, path]);
    command
}

/// Makes all trials with a program, each a command that `with` begins. The last thing said is how scenarios ended.
fn try_all(with: impl Fn() -> Command) -> Result<String, String> {
    let mut last = String::new();
    for trial in TRIALS {
        let mut command = with();
        command.args(trial.split(' '));
        let said = run(command).map_err(|said| format!("{PROGRAM} {trial}:\n{said}"))?;
        last = said.trim_end().lines().next_back().unwrap_or_default().to_owned();
    }
    Ok(last)
}
