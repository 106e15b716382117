//! The nightly toolchain, which rustup brings: the sanitizers and Miri are in no other.

use std::process::Command;

use crate::commands::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// What rustup calls it: one day's, so that what passes today passes tomorrow.
const TOOLCHAIN: &str = "nightly-2026-10-30";

/// Installs the toolchain and these parts of it, unless they are there. An error is what was said instead.
pub(crate) fn add(workspace: &Workspace, components: &[&str]) -> Result<(), String> {
    let listed = format!("component list --toolchain {TOOLCHAIN} --installed");
    // What is installed is asked for first: installing it a second time brings a newer one.
    if run(program(workspace, "rustup", &listed)).is_err() {
        run(program(workspace, "rustup", &format!("toolchain install {TOOLCHAIN} --profile minimal")))?;
    }
    let installed = run(program(workspace, "rustup", &listed))?;
    for component in missing(&installed, components) {
        run(program(workspace, "rustup", &format!("component add {component} --toolchain {TOOLCHAIN}")))?;
    }
    Ok(())
}

/// Those that rustup's list of what is installed does not have. It adds the machine to the names of most.
fn missing<'a>(installed: &str, components: &[&'a str]) -> Vec<&'a str> {
    let has = |component: &str| {
        let rests = installed.lines().filter_map(|line| line.strip_prefix(component));
        rests.map(str::trim_end).any(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    components.iter().copied().filter(|component| !has(component)).collect()
}

/// A program of that toolchain, or one that uses it, at the root of the repository.
pub(crate) fn nightly(workspace: &Workspace, arguments: &str) -> Command {
    program(workspace, "rustup", &format!("run {TOOLCHAIN} {arguments}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_there_by_its_name_with_or_without_the_machine() {
        let installed = "miri-x86_64-unknown-linux-gnu\nrust-src\nrustc-x86_64-unknown-linux-gnu\n";
        assert_eq!(missing(installed, &["miri", "rust-src"]), [""; 0]);
        assert_eq!(missing(installed, &["clippy", "rustfmt"]), ["clippy", "rustfmt"]);
    }
}
