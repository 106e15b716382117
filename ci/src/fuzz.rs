//! The fuzz targets, for a few seconds each: that they build, and that nothing is found at first sight.
//!
//! They build with the toolchain that is here. It has no sanitizer on its stable channel, but the coverage that
//! guides libFuzzer is in every compiler.

use std::path::Path;

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

/// How long each target runs.
const SECONDS: u32 = 5;

/// Builds the targets and runs each of them from nothing.
pub(crate) fn smoke(workspace: &Workspace) -> Outcome {
    // libFuzzer itself is C++.
    if let Err(said) = run(program(workspace, "c++", "--version")) {
        return Outcome::Skipped(format!("no C++ compiler: {}", reason(&said)));
    }
    match attempt(workspace) {
        Ok(told) => Outcome::Passed(told.join("\n")),
        Err(said) => Outcome::Failed(said),
    }
}

fn attempt(workspace: &Workspace) -> Result<Vec<String>, String> {
    let host = host(&run(program(workspace, "rustc", "-vV"))?)?;
    // The target is named so that the flags are not for build scripts.
    let arguments = format!("build --release --manifest-path fuzz/Cargo.toml --target {host}");
    let mut build = cargo(workspace, &arguments);
    build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", workspace.root.join("fuzz/target"));
    run(build)?;
    let mut told = Vec::new();
    for target in targets(&workspace.root.join("fuzz/fuzz_targets"))? {
        let path = format!("fuzz/target/{host}/release/{target}");
        let arguments = format!("-max_total_time={SECONDS} -artifact_prefix=fuzz/target/");
        let said = run(program(workspace, &path, &arguments))?;
        told.push(format!("{target:20} {}", done(&said)));
    }
    Ok(told)
}

/// The triple of this machine, out of what the compiler says of itself.
fn host(said: &str) -> Result<String, String> {
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| format!("rustc names no host: {said}"))
}

/// The names of the targets: their files without the extension, in order.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort_unstable();
    Ok(names)
}

/// The line in which libFuzzer sums up.
fn done(said: &str) -> &str {
    said.lines().find(|line| line.contains("DONE")).unwrap_or("no summary").trim()
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
    fn the_summary_is_the_line_of_libfuzzer() {
        assert_eq!(done("#1 INITED\n#9\tDONE   cov: 3\nDone 9 runs"), "#9\tDONE   cov: 3");
        assert_eq!(done(""), "no summary");
    }
}
