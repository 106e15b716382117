//! The other architecture: the workspace builds for aarch64, and its tests pass under QEMU's user-mode emulator.
//!
//! ```text
//!  cargo test ──▶ emulated.sh ──▶ test program ──▶ cxl-sim ──▶ device process
//!                 tells the kernel of the emulator; all behind it are aarch64 programs
//! ```
//!
//! With musl the compiler brings all that a program is linked of, and its own linker. What does not run under the
//! emulator is named in [`LEFT_OUT`] and counted.

use std::process::Command;

use super::root::Root;
use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-unknown-linux-musl";

/// The emulator, which is linked statically, so that it runs outside of its root too.
const EMULATOR: &str = "qemu-aarch64";

/// Runs a program under the emulator, so that it can start others.
const RUNNER: &str = "ci/emulated.sh";

/// How often a property is tried. The emulator is some ten times slower; the step `test` tries them all.
const PROPERTY_CASES: &str = "32";

/// Tests that do not run under the emulator, and why.
const LEFT_OUT: [(&str, &str); 4] = [
    (
        "broken::every_expectation_fails_on_a_device_that_is_broken_for_it",
        "starts the program hundreds of times to judge scenarios, which takes minutes",
    ),
    ("files::the_readme_shows_what_a_run_says", "all scenarios again; another test runs them here"),
    ("lost::a_device_that_falls_silent_is_given_up_within_the_timeout_and_nothing_is_left", SLOW_START),
    ("lost::a_device_process_that_is_killed_or_frozen_ends_the_run_in_a_clear_error", SLOW_START),
];

/// Why a test with a short time-out does not run.
const SLOW_START: &str = "its time-out is shorter than an emulated device process may take to start";

/// The only package whose tests start programs of the workspace.
const STARTS_PROGRAMS: &str = "harness";

/// Builds everything, the tests too, for the other architecture.
pub(crate) fn build(workspace: &Workspace) -> Outcome {
    if let Err(said) = add_target(workspace) {
        return Outcome::Skipped(reason(&said).to_owned());
    }
    match run(cargo_test(workspace, "--no-run")) {
        Ok(_) => Outcome::Passed(String::new()),
        Err(said) => Outcome::Failed(said),
    }
}

/// Runs the tests under the emulator.
pub(crate) fn test(workspace: &Workspace) -> Outcome {
    let ready = add_target(workspace).map_err(|said| reason(&said).to_owned());
    match ready.and_then(|()| Root::find(workspace)) {
        Ok(root) => tested(workspace, &root.static_program(EMULATOR).display().to_string()),
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn tested(workspace: &Workspace, emulator: &str) -> Outcome {
    let script = workspace.root.join(RUNNER).display().to_string();
    let mut probe = program(workspace, "sh", "");
    probe.args([script.as_str(), emulator, "true"]);
    let lone = run(probe).err();
    let (runner, packages) = match &lone {
        None => (vec!["sh", &script, emulator], String::new()),
        Some(_) => (vec![emulator], format!("--exclude {STARTS_PROGRAMS}")),
    };
    let mut command = cargo_test(workspace, &format!("--no-fail-fast {packages}"));
    // What is written for debugging is an array of TOML too.
    command.arg("--config").arg(format!("target.{TARGET}.runner={runner:?}"));
    command.env("PROPTEST_CASES", PROPERTY_CASES).arg("--");
    for (test, _) in LEFT_OUT {
        command.args(["--skip", test]);
    }
    match run(command) {
        Ok(said) => Outcome::Passed(told(&said, lone.as_deref())),
        Err(said) => Outcome::Failed(said),
    }
}

/// Cargo's tests of the workspace for the other architecture. Nobody debugs these programs.
fn cargo_test(workspace: &Workspace, arguments: &str) -> Command {
    let linker = format!("--config target.{TARGET}.linker=\"rust-lld\" --config profile.dev.debug=false");
    cargo(workspace, &format!("test --workspace --target {TARGET} {linker} {arguments}"))
}

/// Installs the standard library of the other architecture unless it is there. An error is what was said instead.
fn add_target(workspace: &Workspace) -> Result<(), String> {
    // What is installed is asked for first: adding it a second time may want the network.
    let installed = run(program(workspace, "rustup", "target list --installed"))?;
    if installed.lines().any(|line| line == TARGET) {
        return Ok(());
    }
    run(program(workspace, "rustup", &format!("target add {TARGET}"))).map(drop)
}

/// How many tests did what, and what was left out. `lone` is why no program can start another here.
fn told(said: &str, lone: Option<&str>) -> String {
    let counts = [" passed", " failed", " ignored", " filtered out"].map(|what| total(said, what));
    let [passed, failed, ignored, left_out] = counts;
    let mut lines =
        vec![format!("passed {passed}, failed {failed}, ignored {ignored}, left out {left_out}, and why:")];
    match lone {
        None => lines.extend(LEFT_OUT.map(|(test, why)| format!("  {test}: {why}"))),
        // All that are named are in this package.
        Some(said) => lines.push(format!(
            "  the package {STARTS_PROGRAMS}, uncounted: an aarch64 program cannot start another here: {}",
            reason(said)
        )),
    }
    lines.push(format!("properties are tried {PROPERTY_CASES} times each"));
    lines.join("\n")
}

/// The sum of what all results of tests say of `what`.
fn total(said: &str, what: &str) -> u64 {
    let results = said.lines().filter(|line| line.starts_with("test result:"));
    let counts = results.flat_map(|line| line.split([';', '.'])).filter_map(|part| part.strip_suffix(what));
    counts.filter_map(|count| count.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "running 3 tests\n\
        test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.22s\n\
        8 passed; 8 failed\n\
        test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.05s\n";

    #[test]
    fn the_results_of_all_programs_are_added_up() {
        let counts = [" passed", " failed", " ignored", " filtered out"].map(|what| total(SAID, what));
        assert_eq!(counts, [42, 0, 1, 7]);
        assert_eq!(total("", " passed"), 0);
    }

    #[test]
    fn what_is_left_out_is_counted_and_named_with_its_reason() {
        let told = told(SAID, None);
        assert!(told.starts_with("passed 42, failed 0, ignored 1, left out 7, and why:\n"), "{told}");
        assert!(LEFT_OUT.iter().all(|(test, why)| told.contains(&format!("  {test}: {why}\n"))), "{told}");
        assert!(!told.contains("package"), "{told}");
    }

    #[test]
    fn a_package_that_is_left_out_is_named_with_what_was_said() {
        let told = told(SAID, Some("unshare: unshare failed: Operation not permitted\n"));
        let why = "the package harness, uncounted: an aarch64 program cannot start another here: \
                   unshare: unshare failed: Operation not permitted\n";
        assert!(told.contains(why), "{told}");
        assert!(LEFT_OUT.iter().all(|(test, _)| !told.contains(test)), "{told}");
    }

    #[test]
    fn every_test_that_is_left_out_exists() {
        let workspace = Workspace::load().unwrap();
        for (test, _) in LEFT_OUT {
            let (module, function) = test.split_once("::").unwrap();
            let path = workspace.root.join(format!("harness/tests/command/{module}.rs"));
            let text = std::fs::read_to_string(path).unwrap();
            assert!(text.contains(&format!("fn {function}(")), "{test}");
        }
    }
}
