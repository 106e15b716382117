//! The steps that are other programs: cargo, and the project's own through cargo.

use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::process::Command;
use std::process::Stdio;

use crate::step::Outcome;
use crate::workspace::Workspace;

const KVM: &str = "/dev/kvm";

/// The tests that do under KVM again what they do without it, where there is KVM.
const AGAIN_UNDER_KVM: [&str; 4] = [
    "harness/tests/busy/main.rs",
    "harness/tests/plug/main.rs",
    "vmm-core/src/run/tests.rs",
    "vmm-core/src/run/tests/interrupts.rs",
];

/// Checks that the sources are formatted.
pub(crate) fn format(workspace: &Workspace) -> Outcome {
    outcome(cargo(workspace, "fmt --all --check -- --color never"))
}

/// Runs the lints over everything, tests included.
pub(crate) fn clippy(workspace: &Workspace) -> Outcome {
    outcome(cargo(workspace, "clippy --workspace --all-targets -- -D warnings"))
}

/// Builds the documentation of the packages, without that of their dependencies.
pub(crate) fn document(workspace: &Workspace) -> Outcome {
    let mut command = cargo(workspace, "doc --workspace --no-deps");
    command.env("RUSTDOCFLAGS", "-D warnings");
    outcome(command)
}

/// Runs the tests, by the command that the README gives; what they say must be what it shows.
pub(crate) fn test(workspace: &Workspace) -> Outcome {
    let said = match run(cargo(workspace, "test --workspace")) {
        Ok(said) => said,
        Err(said) => return Outcome::Failed(said),
    };
    let results = results(&said);
    match std::fs::read_to_string(workspace.root.join("README.md")) {
        Ok(readme) if self::results(&readme) == results => {
            Outcome::Passed(format!("{} test programs{}", results.len(), without_kvm(kvm())))
        }
        Ok(_) => {
            Outcome::Failed(format!("README.md shows other results; they are:\n{}\n", results.join("\n")))
        }
        Err(error) => Outcome::Failed(format!("README.md: {error}\n")),
    }
}

fn kvm() -> io::Result<()> {
    OpenOptions::new().read(true).write(true).open(KVM).map(drop)
}

/// What tests have left out where there is no KVM.
fn without_kvm(kvm: io::Result<()>) -> String {
    let tell = |error| format!("; nothing under KVM ({KVM}: {error}) by {}", AGAIN_UNDER_KVM.join(", "));
    kvm.err().map(tell).unwrap_or_default()
}

/// The lines that tell how many tests did what, without the time that they took, and none for no tests at all.
pub(crate) fn results(said: &str) -> Vec<&str> {
    let results = said.lines().map(str::trim).filter(|line| line.starts_with("test result:"));
    let timeless = results.filter_map(|line| line.split("; finished in").next());
    timeless.filter(|line| !line.contains(" 0 passed; 0 failed")).collect()
}

/// Plays the scenarios with the guest that needs nothing of the host.
pub(crate) fn soft_guest(workspace: &Workspace) -> Outcome {
    summarised(cargo(workspace, "run --release -q -- run --guest soft"))
}

/// Plays the scenarios with a guest under KVM, if there is KVM; then none of them may be skipped.
pub(crate) fn kvm_guest(workspace: &Workspace) -> Outcome {
    match kvm() {
        Ok(()) => summarised(cargo(workspace, "run --release -q -- run --guest kvm --no-skip")),
        Err(error) => Outcome::Skipped(format!("{KVM}: {error}")),
    }
}

/// How long machines live with accidents when nobody says.
const SOAK_SECONDS: u32 = 20;

/// Lives lives of machines for a short time.
pub(crate) fn soak(workspace: &Workspace) -> Outcome {
    soak_for(workspace, SOAK_SECONDS)
}

/// Lives lives of machines for so many seconds; what happened is told.
pub(crate) fn soak_for(workspace: &Workspace, seconds: u32) -> Outcome {
    match run(cargo(workspace, &format!("run --release -q -- soak --seconds {seconds}"))) {
        Ok(said) => Outcome::Passed(said.trim_end().to_owned()),
        Err(said) => Outcome::Failed(said),
    }
}

/// The line that says best why a command failed: its first error, else the last thing it said.
pub(crate) fn reason(said: &str) -> &str {
    let errors = said.lines().find(|line| line.starts_with("error"));
    errors.or(said.trim_end().lines().next_back()).unwrap_or("no reason was given")
}

/// The cargo that runs this program, so that everything is checked with one toolchain.
pub(crate) fn cargo(workspace: &Workspace, arguments: &str) -> Command {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    program(workspace, &cargo, arguments)
}

/// A program at the root of the repository; a blank separates its arguments.
pub(crate) fn program(workspace: &Workspace, name: &str, arguments: &str) -> Command {
    let mut command = Command::new(name);
    command.args(arguments.split_whitespace()).current_dir(&workspace.root);
    command
}

/// As [`outcome`], with the last line that the command said: how many of what it tried did what.
fn summarised(command: Command) -> Outcome {
    match run(command) {
        Ok(said) => Outcome::Passed(said.trim_end().lines().next_back().unwrap_or_default().to_owned()),
        Err(said) => Outcome::Failed(said),
    }
}

fn outcome(command: Command) -> Outcome {
    match run(command) {
        Ok(_) => Outcome::Passed(String::new()),
        Err(said) => Outcome::Failed(said),
    }
}

/// Runs a command. What it said is the result if it succeeds, else the error.
pub(crate) fn run(command: Command) -> Result<String, String> {
    let name = format!("{}", command.get_program().display());
    let (code, said) = capture(command).map_err(|error| format!("{name}: {error}"))?;
    if code == Some(0) { Ok(said) } else { Err(said) }
}

/// With what a command ends, unless it is a signal, and what it says on both its outputs, in the order in which it says
/// it.
pub(crate) fn capture(mut command: Command) -> io::Result<(Option<i32>, String)> {
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command still holds the writing end, and reading ends only when nobody does.
    drop(command);
    let mut said = Vec::new();
    reader.read_to_end(&mut said)?;
    let status = child.wait()?;
    Ok((status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_that_fails_gives_both_outputs_in_order() {
        let said = "one\ntwo\nthree\n".to_owned();
        let command = shell("echo one; echo two >&2; echo three; exit 3");
        assert_eq!(outcome(command), Outcome::Failed(said));
    }

    #[test]
    fn what_tests_leave_out_without_kvm_is_told_with_the_reason() {
        assert_eq!(without_kvm(Ok(())), "");
        let told = without_kvm(Err(io::ErrorKind::NotFound.into()));
        assert!(told.starts_with("; nothing under KVM (/dev/kvm: entity not found) by harness/"), "{told}");
    }

    #[test]
    fn the_tests_that_look_for_kvm_are_those_that_are_named() {
        let workspace = Workspace::load().unwrap();
        let below = |folder: &str| run(program(&workspace, "grep", &format!("-rlF kvm::Vm::new() {folder}")));
        let found = ["harness/tests", "vmm-core/src/run"].map(|folder| below(folder).unwrap()).concat();
        let mut found: Vec<_> = found.lines().collect();
        found.sort_unstable();
        assert_eq!(found, AGAIN_UNDER_KVM);
    }

    #[test]
    fn results_are_told_without_their_time_and_none_where_there_are_no_tests() {
        let said = "running 2 tests\ntest result: ok. 2 passed; 0 failed; finished in 0.01s\n\
                    test result: ok. 0 passed; 0 failed; 0 ignored; finished in 0.00s\n";
        assert_eq!(results(said), ["test result: ok. 2 passed; 0 failed"]);
    }

    #[test]
    fn a_command_that_succeeds_has_nothing_to_tell() {
        assert_eq!(outcome(shell("echo warning >&2")), Outcome::Passed(String::new()));
    }

    #[test]
    fn a_command_that_does_not_exist_fails_by_name() {
        let said = run(Command::new("no-such-program")).unwrap_err();
        assert!(said.starts_with("no-such-program: "), "{said}");
    }

    #[rstest]
    #[case("info: downloading\nerror: no network\nwarning: bye\n", "error: no network")]
    #[case("first\nlast\n", "last")]
    #[case("", "no reason was given")]
    fn the_reason_is_the_first_error_or_the_last_line(#[case] said: &str, #[case] line: &str) {
        assert_eq!(reason(said), line);
    }
}
