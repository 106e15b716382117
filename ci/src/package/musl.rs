//! Static programs, for two architectures, by what the compiler brings alone: with musl it has all that a program is
//! linked of, and its own linker.
//!
//! What runs here is tried in a root that has nothing but the program.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::PACKAGE;
use super::PROGRAM;
use super::apart;
use super::elf;
use super::try_all;
use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::foreign::root::Root;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// A kind of machine that a program is built for.
#[derive(Debug)]
pub(super) struct Target {
    /// What the compiler calls it.
    pub(super) name: &'static str,
    /// Its processor.
    pub(super) architecture: &'static str,
    /// What Debian calls that.
    pub(super) debian: &'static str,
}

/// The machines that programs are built for.
pub(super) const TARGETS: [Target; 2] = [
    Target { name: "x86_64-unknown-linux-musl", architecture: "x86_64", debian: "amd64" },
    Target { name: "aarch64-unknown-linux-musl", architecture: "aarch64", debian: "arm64" },
];

/// Emulates the other processor. It is linked statically, so that it runs outside of its root too.
const EMULATOR: &str = "qemu-aarch64";

/// Runs a program under the emulator, so that it can start others.
const RUNNER: &str = "ci/emulated.sh";

/// What the emulator is asked: all but the scenarios, which the tests run there.
const EMULATED: [&str; 3] = ["--version", "list profiles", "list scenarios"];

/// What starts a program there.
const STARTS: &str = "plan decoder/first-light";

/// Makes the folder an empty root but for what is in it, and then runs what is behind it there.
const ALONE: &str = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";

/// Builds both programs, and tries them.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    let mut told = Vec::new();
    for target in &TARGETS {
        let file = match build(workspace, target) {
            Ok(file) => file,
            Err(outcome) => return outcome,
        };
        match target.tried(workspace, &file) {
            Ok(said) => told.push(format!("{}: {}: {said}", target.name, size(&file))),
            Err(said) => return Outcome::Failed(format!("{}: {said}", target.name)),
        }
    }
    Outcome::Passed(told.join("\n"))
}

/// The static program for a machine.
///
/// # Errors
/// As the step ends: skipped where what the compiler needs cannot be had, failed where it is not static.
pub(super) fn build(workspace: &Workspace, target: &Target) -> Result<PathBuf, Outcome> {
    add(workspace, target.name).map_err(|said| Outcome::Skipped(reason(&said).to_owned()))?;
    run(target.cargo_build(workspace)).map_err(Outcome::Failed)?;
    let file = workspace.target.join(target.name).join("release").join(PROGRAM);
    let bytes = std::fs::read(&file);
    let bytes = bytes.map_err(|error| Outcome::Failed(format!("{}: {error}", file.display())))?;
    match elf::not_static(&bytes, target.architecture) {
        Some(why) => Err(Outcome::Failed(format!("{}: {why}", file.display()))),
        None => Ok(file),
    }
}

/// Installs the standard library for a machine unless it is there. An error is what was said instead.
pub(crate) fn add(workspace: &Workspace, target: &str) -> Result<(), String> {
    // What is installed is asked for first: adding it a second time may want the network.
    let installed = run(program(workspace, "rustup", "target list --installed"))?;
    if installed.lines().any(|line| line == target) {
        return Ok(());
    }
    run(program(workspace, "rustup", &format!("target add {target}"))).map(drop)
}

/// How large a file is.
fn size(file: &Path) -> String {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    format!("{:.1} MB", bytes as f64 / 1e6)
}

impl Target {
    /// Whether programs for it run here as they are.
    pub(super) fn is_here(&self) -> bool {
        self.architecture == std::env::consts::ARCH
    }

    /// Cargo's build of the program. The compiler's own linker knows processors that this machine's does not.
    fn cargo_build(&self, workspace: &Workspace) -> Command {
        let name = self.name;
        let linker = match self.is_here() {
            true => String::new(),
            false => format!("--config target.{name}.linker=\"rust-lld\""),
        };
        cargo(workspace, &format!("build --release --locked --package {PACKAGE} --target {name} {linker}"))
    }

    fn tried(&self, workspace: &Workspace, file: &Path) -> Result<String, String> {
        match self.architecture {
            _ if self.is_here() => alone(workspace, file),
            "aarch64" => emulated(workspace, file),
            other => Ok(format!("not run: no emulator of {other} is here")),
        }
    }
}

/// All trials, in a root where nothing else is; where that cannot be made, here.
fn alone(workspace: &Workspace, file: &Path) -> Result<String, String> {
    let root = tempfile::tempdir().map_err(|error| error.to_string())?;
    for folder in ["proc", "tmp"] {
        std::fs::create_dir(root.path().join(folder)).map_err(|error| error.to_string())?;
    }
    std::fs::copy(file, root.path().join(PROGRAM)).map_err(|error| error.to_string())?;
    let path = root.path().display().to_string();
    let inside = || {
        let mut command = apart(workspace, ALONE, &path);
        command.arg(format!("/{PROGRAM}"));
        command
    };
    let mut probe = inside();
    probe.arg("--version");
    match run(probe) {
        Ok(_) => Ok(format!("in an empty root: {}", try_all(inside)?)),
        Err(said) => {
            let ended = try_all(|| Command::new(file))?;
            Ok(format!("{ended}; not in an empty root: {}", reason(&said)))
        }
    }
}

/// A few trials under the emulator.
fn emulated(workspace: &Workspace, file: &Path) -> Result<String, String> {
    let root = match Root::find(workspace) {
        Ok(root) => root,
        Err(why) => return Ok(format!("not run: {why}")),
    };
    let emulator = root.static_program(EMULATOR);
    for trial in EMULATED {
        let mut command = Command::new(&emulator);
        command.arg(file).args(trial.split(' '));
        run(command)?;
    }
    let starting = |words: &str| {
        let mut command = program(workspace, "sh", RUNNER);
        command.arg(&emulator).args(words.split(' '));
        command
    };
    match run(starting("true")) {
        Ok(_) => {
            let words = format!("{} {STARTS}", file.display());
            run(starting(&words)).map(|_| format!("in the emulator: {}, {STARTS}", EMULATED.join(", ")))
        }
        Err(said) => {
            let why = reason(&said);
            Ok(format!(
                "in the emulator: {}; not {STARTS}, as a program starts no other: {why}",
                EMULATED.join(", ")
            ))
        }
    }
}
