//! The fuzz targets: built, tried one after the other, and measured.
//!
//! ```text
//!  harness::replay ─▶ fuzz/fuzz_targets ─▶ libFuzzer ─▶ fuzz/corpus/TARGET      what reaches something new
//!                       dictionary ────────▶  │  ▲
//!                       seeds ────────────────┼──┘
//!                                             └──────▶ fuzz/artifacts/TARGET   what does not hold
//! ```
//!
//! They build with the toolchain that is here. It has no sanitizer on its stable channel, but the coverage that
//! guides libFuzzer is in every compiler.

mod bench;
mod dictionary;
mod oss_fuzz;
mod seeds;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

pub(crate) use bench::bench;
pub(crate) use oss_fuzz::bless;
pub(crate) use oss_fuzz::build_and_run;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// What makes the compiler leave traces of coverage, as cargo-fuzz asks for it.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cdebug-assertions --cfg fuzzing";

/// How long each target runs when nobody says.
const SECONDS: u32 = 5;

/// How long a target runs before it is the next one's turn.
const TURN: u32 = 20;

/// The longest input: what a machine says to a device in the usual scenario has room.
const LONGEST: u32 = 8192;

/// The target that does nothing: what all others are measured against.
const NOTHING: &str = "nothing";

/// The targets, built.
struct Targets<'a> {
    workspace: &'a Workspace,
    /// Where their programs are, below the root.
    programs: String,
    names: Vec<String>,
}

/// Builds the targets and runs each of them for a few seconds.
pub(crate) fn smoke(workspace: &Workspace) -> Outcome {
    smoke_for(workspace, SECONDS)
}

/// Builds the targets and runs each of them for so many seconds, in turns.
pub(crate) fn smoke_for(workspace: &Workspace, seconds: u32) -> Outcome {
    in_words(workspace, |targets| targets.fuzz(seconds))
}

/// Builds the targets and does something with them, unless there is no compiler for libFuzzer, which is C++.
fn in_words(workspace: &Workspace, act: impl FnOnce(&Targets<'_>) -> Result<Vec<String>, String>) -> Outcome {
    if let Err(said) = run(program(workspace, "c++", "--version")) {
        return Outcome::Skipped(format!("no C++ compiler: {}", reason(&said)));
    }
    match Targets::build(workspace).and_then(|targets| act(&targets)) {
        Ok(told) => Outcome::Passed(told.join("\n")),
        Err(said) => Outcome::Failed(said),
    }
}

impl<'a> Targets<'a> {
    fn build(workspace: &'a Workspace) -> Result<Self, String> {
        let host = host(&run(program(workspace, "rustc", "-vV"))?)?;
        // The target is named so that the flags are not for build scripts.
        let arguments = format!("build --release --manifest-path fuzz/Cargo.toml --target {host}");
        let mut build = cargo(workspace, &arguments);
        build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", workspace.root.join("fuzz/target"));
        run(build)?;
        let names = targets(&workspace.root.join("fuzz/fuzz_targets"))?;
        Ok(Self { workspace, programs: format!("fuzz/target/{host}/release"), names })
    }

    /// The names of those that do something.
    fn fuzzed(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| *name != NOTHING)
    }

    /// Runs a target with libFuzzer's options.
    fn command(&self, target: &str, options: &str) -> Command {
        program(self.workspace, &format!("{}/{target}", self.programs), options)
    }

    /// Runs all targets in turns, keeps what reaches something new, and tells how far each has come.
    fn fuzz(&self, seconds: u32) -> Result<Vec<String>, String> {
        let dictionary = self.workspace.root.join("fuzz/target/registers.dict");
        std::fs::write(&dictionary, dictionary::text()).map_err(|error| unreadable(&dictionary, &error))?;
        for target in self.fuzzed() {
            let (corpus, artifacts) = (self.folder("corpus", target)?, self.folder("artifacts", target)?);
            drop(artifacts);
            seeds::sow(self.workspace, target, &corpus)?;
        }
        let mut spent = 0;
        while spent < seconds {
            let turn = TURN.min(seconds - spent);
            for target in self.fuzzed() {
                let once = format!("fuzz/regressions/{target}");
                let found_once = if self.workspace.root.join(&once).is_dir() { once } else { String::new() };
                let options = format!(
                    "fuzz/corpus/{target} {found_once} -max_total_time={turn} -max_len={LONGEST} \
                     -artifact_prefix=fuzz/artifacts/{target}/ -dict=fuzz/target/registers.dict -verbosity=0"
                );
                run(self.command(target, &options)).map_err(|said| found(target, &said))?;
            }
            spent += turn;
        }
        self.fuzzed().map(|target| self.merged(target)).collect()
    }

    /// Keeps the smallest part of a target's corpus that reaches as much, and tells what it reaches.
    fn merged(&self, target: &str) -> Result<String, String> {
        let all = self.folder("corpus", target)?;
        let best = self.workspace.root.join("fuzz/corpus").join(format!("{target}.best"));
        // What a merge that was interrupted has left.
        let _ = std::fs::remove_dir_all(&best);
        std::fs::create_dir_all(&best).map_err(|error| unreadable(&best, &error))?;
        let options = format!("-merge=1 -max_len={LONGEST} {} {}", best.display(), all.display());
        run(self.command(target, &options)).map_err(|said| found(target, &said))?;
        std::fs::remove_dir_all(&all).map_err(|error| unreadable(&all, &error))?;
        std::fs::rename(&best, &all).map_err(|error| unreadable(&best, &error))?;
        let said = run(self.command(target, &format!("-runs=0 {}", all.display())))?;
        let reached = reached(&said).ok_or_else(|| format!("{target}: no summary in {said}"))?;
        Ok(format!("{target:17} {reached}"))
    }

    /// A folder of a target's, which is made unless it is there.
    fn folder(&self, kind: &str, target: &str) -> Result<PathBuf, String> {
        let folder = self.workspace.root.join("fuzz").join(kind).join(target);
        std::fs::create_dir_all(&folder).map_err(|error| unreadable(&folder, &error))?;
        Ok(folder)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// What did not hold, and how to see it again.
fn found(target: &str, said: &str) -> String {
    let file =
        said.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file.trim());
    let again = file.map(|file| format!("\nsee it in words: cargo run --release -- replay {file}"));
    format!("{target}: {said}{}", again.unwrap_or_default())
}

/// The triple of this machine, out of what the compiler says of itself.
fn host(said: &str) -> Result<String, String> {
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc names no host: {said}"))
}

/// The names of the targets: their files without the extension, in order.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

/// What a corpus reaches of a target's program, out of what libFuzzer says.
fn reached(said: &str) -> Option<String> {
    let line = said.lines().find(|line| line.contains("INITED") || line.contains("DONE"))?;
    let behind = |key| Some(line.split_once(key)?.1.split([' ', '/']).next()?.to_owned());
    let (edges, features, inputs) = (behind(" cov: ")?, behind(" ft: ")?, behind(" corp: ")?);
    let all = said.split_once(" inline 8-bit counters")?.0.rsplit('(').next()?;
    Some(format!("{edges} of {all} edges, {features} features, {inputs} inputs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_and_its_absence_is_told() {
        assert_eq!(
            host("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n"),
            Ok("x86_64-unknown-linux-gnu".into())
        );
        assert!(host("rustc 1.95.0\n").is_err());
    }

    #[test]
    fn targets_are_named_by_their_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["wire.rs", "chain.rs"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(targets(folder.path()), Ok(vec!["chain".into(), "wire".into()]));
        assert!(targets(&folder.path().join("nothing")).is_err());
    }

    #[test]
    fn what_is_reached_is_in_the_line_of_libfuzzer() {
        let said = "INFO: Loaded 1 modules   (20 inline 8-bit counters): 20 [0x1, 0x2)\n\
                    #1 INITED cov: 3 ft: 4 corp: 2/5b exec/s: 0\nDone 9 runs";
        assert_eq!(reached(said), Some("3 of 20 edges, 4 features, 2 inputs".into()));
        assert_eq!(reached("#1 INITED cov: 3 ft: 4 corp: 2/5b"), None);
    }

    #[test]
    fn a_find_says_how_it_is_seen_again() {
        let said = "panicked\nartifact_prefix='x'; Test unit written to fuzz/artifacts/life/crash-1\n";
        assert!(found("life", said).ends_with("replay fuzz/artifacts/life/crash-1"));
        assert_eq!(found("life", "no compiler"), "life: no compiler");
    }
}
