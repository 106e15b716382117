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
use crate::package::musl;
use crate::step::Outcome;
use crate::workspace::Workspace;

const TARGET: &str = "aarch64-unknown-linux-musl";

/// The emulator, which is linked statically, so that it runs outside of its root too.
const EMULATOR: &str = "qemu-aarch64";

/// Runs a program under the emulator, so that it can start others.
const RUNNER: &str = "ci/emulated.sh";

/// How often a property is tried. The emulator is some ten times slower; the step `test` tries them all.
const PROPERTY_CASES: &str = "32";

/// The only package whose tests start programs of the workspace.
const STARTS_PROGRAMS: &str = "harness";

/// A test, or tests of one name, that do not run under the emulator.
#[derive(Debug)]
struct LeftOut {
    package: &'static str,
    /// Its name, or what the names of its cases or of a module's tests begin with.
    test: &'static str,
    /// Why.
    why: &'static str,
}

const MINUTES: &str = "starts a program so often that it takes minutes";
const AGAIN: &str = "all scenarios again; another test runs them here";
const SLOW_START: &str = "its time-out is shorter than an emulated device process may take to start";
const NO_WALLS: &str = "the emulator has no Landlock and no seccomp, and a thread of its own";

/// Tests that do not run under the emulator.
const LEFT_OUT: [LeftOut; 14] = [
    of_harness("broken::every_expectation_fails_on_a_device_that_is_broken_for_it", MINUTES),
    of_harness("confined::a_server_in_a_sandbox_ends_with_0_and_takes_its_socket_away", NO_WALLS),
    of_harness("confined::every_thread_of_a_server_in_a_sandbox_is_confined", NO_WALLS),
    of_harness("confined::scenarios_end_in_a_sandbox_as_they_do_without", NO_WALLS),
    of_harness("confined::two_hundred_clients_that_end_badly_leave_nothing_behind::sandbox_2_true", NO_WALLS),
    of_harness("merging::shards_and_jobs_cover_every_scenario_once_and_merged_they_are_one_run", AGAIN),
    of_harness("files::the_readme_shows_what_a_run_says", AGAIN),
    of_harness("lost::a_device_process_that_is_killed_or_frozen_ends_the_run_in_a_clear_error", SLOW_START),
    of_harness(
        "lost::a_device_that_falls_silent_is_given_up_within_the_timeout_and_nothing_is_left",
        SLOW_START,
    ),
    of_harness(
        "lost::a_device_that_hangs_up_at_any_message_is_named_with_the_request_and_nothing_is_left",
        MINUTES,
    ),
    of_harness("speed::a_baseline_is_kept_and_what_is_worse_than_it_is_named_in_the_end", MINUTES),
    LeftOut {
        package: "sim-device",
        test: "a_process_that_confined_itself_may_what_it_must_and_no_more",
        why: NO_WALLS,
    },
    LeftOut { package: "sim-device", test: "server::stop::model::", why: SEARCHES },
    LeftOut { package: "vmm-core", test: "run::tests::races::", why: SEARCHES },
];

/// What has nothing to do with the processor.
const SEARCHES: &str =
    "shuttle searches thousands of schedules of its own, whatever the processor is, which takes minutes";

const fn of_harness(test: &'static str, why: &'static str) -> LeftOut {
    LeftOut { package: STARTS_PROGRAMS, test, why }
}

/// Builds everything, the tests too, for the other architecture.
pub(crate) fn build(workspace: &Workspace) -> Outcome {
    if let Err(said) = musl::add(workspace, TARGET) {
        return Outcome::Skipped(reason(&said).to_owned());
    }
    match run(cargo_test(workspace, "--no-run")) {
        Ok(_) => Outcome::Passed(String::new()),
        Err(said) => Outcome::Failed(said),
    }
}

/// Runs the tests under the emulator.
pub(crate) fn test(workspace: &Workspace) -> Outcome {
    let ready = musl::add(workspace, TARGET).map_err(|said| reason(&said).to_owned());
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
    for left_out in LEFT_OUT {
        command.args(["--skip", left_out.test]);
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

/// How many tests did what, and what was left out. `lone` is why no program can start another here.
fn told(said: &str, lone: Option<&str>) -> String {
    let counts = [" passed", " failed", " ignored", " filtered out"].map(|what| total(said, what));
    let [passed, failed, ignored, left_out] = counts;
    let mut lines =
        vec![format!("passed {passed}, failed {failed}, ignored {ignored}, left out {left_out}, and why:")];
    let named = LEFT_OUT.iter().filter(|it| lone.is_none() || it.package != STARTS_PROGRAMS);
    lines.extend(named.map(|it| format!("  {}: {}", it.test, it.why)));
    lines.extend(lone.map(|said| {
        let why = reason(said);
        format!(
            "  the package {STARTS_PROGRAMS}, uncounted: an aarch64 program cannot start another here: {why}"
        )
    }));
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
        assert!(LEFT_OUT.iter().all(|it| told.contains(&format!("  {}: {}\n", it.test, it.why))), "{told}");
        assert!(!told.contains("package"), "{told}");
    }

    #[test]
    fn a_package_that_is_left_out_is_named_with_what_was_said() {
        let told = told(SAID, Some("unshare: unshare failed: Operation not permitted\n"));
        let why = "the package harness, uncounted: an aarch64 program cannot start another here: \
                   unshare: unshare failed: Operation not permitted\n";
        assert!(told.contains(why), "{told}");
        for left_out in LEFT_OUT {
            assert_eq!(told.contains(left_out.test), left_out.package != STARTS_PROGRAMS, "{told}");
        }
    }

    #[test]
    fn every_test_that_is_left_out_exists() {
        let workspace = Workspace::load().unwrap();
        for LeftOut { package, test, .. } in LEFT_OUT {
            let names: Vec<_> = test.split("::").collect();
            let (file, text) = match names.as_slice() {
                [name] => ("tests/confined/main.rs".to_owned(), format!("\"{name}\"")),
                [modules @ .., ""] => (format!("src/{}.rs", modules.join("/")), "#[test]".to_owned()),
                [module, function, ..] => (format!("tests/command/{module}.rs"), format!("fn {function}(")),
                [] => panic!("no name"),
            };
            let source = std::fs::read_to_string(workspace.root.join(package).join(file)).unwrap();
            assert!(source.contains(&text), "{test}");
        }
    }
}
