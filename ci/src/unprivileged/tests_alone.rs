//! The test programs of the workspace, run as nobody.
//!
//! They read files of the repository, so nobody must be able to. What documentation has for examples is compiled when
//! it is tested, and is left to the step `test`.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::nobody::Nobody;
use crate::commands::capture;
use crate::commands::cargo;
use crate::commands::results;
use crate::commands::run;
use crate::workspace::Workspace;

/// Tests that nobody cannot pass: of which program, which, or all without a name, and why.
const LEFT_OUT: &[(&str, Option<&str>, &str)] =
    &[("ci", None, "these checks call cargo, which is that of whoever runs them")];

/// A program of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Program {
    /// What cargo calls it.
    name: String,
    /// The file that is run.
    file: PathBuf,
    /// Where cargo would run it.
    directory: PathBuf,
}

/// Whether all of them pass, and how many tests there are; what is left out is told.
///
/// # Errors
/// If one fails: what it said.
pub(super) fn pass(workspace: &Workspace, nobody: &Nobody) -> Result<String, String> {
    let manifest = workspace.root.join("Cargo.toml");
    if !nobody.reads(&manifest) {
        return Ok(format!("tests left out, as nobody cannot read {}", manifest.display()));
    }
    let said = run(cargo(workspace, "test --workspace --no-run --message-format=json -q"))?;
    let mut programs = programs(&said);
    programs.retain(|program| !is_left_out(&program.name));
    if programs.is_empty() {
        return Err(format!("cargo names no programs of tests:\n{said}"));
    }
    let mut passed: u64 = 0;
    let mut failed = Vec::new();
    for program in &programs {
        match passes(nobody, program) {
            Ok(more) => passed = passed.saturating_add(more),
            Err(said) => failed.push(said),
        }
    }
    if !failed.is_empty() {
        return Err(failed.join("\n"));
    }
    let left_out = LEFT_OUT.iter().map(|(program, test, why)| {
        let test = test.unwrap_or("with all its tests");
        format!("\nleft out, as {why}: {program} {test}")
    });
    Ok(format!(
        "{passed} tests of {} programs pass; the examples of the documentation are left to the step test{}",
        programs.len(),
        left_out.collect::<String>()
    ))
}

/// Whether nothing of a program is run.
fn is_left_out(program: &str) -> bool {
    LEFT_OUT.iter().any(|(name, test, _)| *name == program && test.is_none())
}

/// The programs that cargo has built, as it says in JSON, a line for each thing.
fn programs(said: &str) -> Vec<Program> {
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = |line: Value| {
        let is_test = line.pointer("/profile/test")?.as_bool()?;
        let text = |pointer| Some(line.pointer(pointer)?.as_str()?.to_owned());
        let file = PathBuf::from(text("/executable")?);
        let directory = Path::new(&text("/manifest_path")?).parent()?.to_owned();
        is_test.then_some(Program { name: text("/target/name")?, file, directory })
    };
    lines.filter_map(program).collect()
}

/// How many tests of a program pass.
fn passes(nobody: &Nobody, program: &Program) -> Result<u64, String> {
    let copy = nobody.copy(&program.file)?;
    let mut command = nobody.command(&copy);
    command.current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
    command.env("RUST_BACKTRACE", "0");
    let left_out = LEFT_OUT.iter().filter(|(name, ..)| *name == program.name);
    for test in left_out.filter_map(|(_, test, _)| *test) {
        command.args(["--skip", test]);
    }
    // A copy that is not removed goes with its folder.
    let ended = capture(command);
    let _ = std::fs::remove_file(copy);
    match ended {
        Ok((Some(0), said)) => Ok(passed(&said)),
        Ok((_, said)) => Err(format!("{} as nobody:\n{said}", program.name)),
        Err(error) => Err(format!("{}: {error}", program.name)),
    }
}

/// How many tests passed, as the program itself says.
fn passed(said: &str) -> u64 {
    let counts = results(said).into_iter().filter_map(|line| {
        let (_, rest) = line.split_once("ok. ")?;
        rest.split(' ').next()?.parse::<u64>().ok()
    });
    counts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_tests_are_known_among_what_cargo_builds() {
        let artifact = |name: &str, is_test: bool, file: &str| {
            format!(
                "{{\"profile\":{{\"test\":{is_test}}},\"executable\":{file},\
                 \"manifest_path\":\"/w/{name}/Cargo.toml\",\"target\":{{\"name\":\"{name}\"}}}}"
            )
        };
        let said = [
            "warning: x".to_owned(),
            artifact("a", true, "\"/t/a-1\""),
            artifact("b", false, "\"/t/b\""),
            artifact("c", true, "null"),
        ];
        let a = Program { name: "a".to_owned(), file: "/t/a-1".into(), directory: "/w/a".into() };
        assert_eq!(programs(&said.join("\n")), [a]);
    }

    #[test]
    fn a_program_is_left_out_only_by_its_name() {
        assert!(is_left_out("ci") && !is_left_out("sim-device"));
    }

    #[test]
    fn tests_that_passed_are_counted_as_the_program_says() {
        assert_eq!(
            passed("running 2 tests\n\ntest result: ok. 12 passed; 0 failed; finished in 0.01s\n"),
            12
        );
    }
}
