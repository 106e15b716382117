//! `cargo install`: what it puts somewhere runs in an empty folder, where the sources are hidden from it.

use std::path::Path;
use std::process::Command;

use super::PACKAGE;
use super::PROGRAM;
use super::apart;
use super::try_all;
use crate::commands::cargo;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// Puts an empty folder over the one of this name, and then runs what is behind it.
const HIDDEN: &str = "mount -t tmpfs none \"$0\" && mount -t proc proc /proc && exec \"$@\"";

/// Installs the program into a folder, and tries it from another one.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    match installed(workspace) {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

fn installed(workspace: &Workspace) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut install = cargo(workspace, &format!("install --path {PACKAGE} --locked --root"));
    install.arg(folder.path());
    run(install)?;
    let program = folder.path().join("bin").join(PROGRAM);
    let bytes = std::fs::read(&program).map_err(|error| format!("{}: {error}", program.display()))?;
    if names(&bytes, &workspace.root) {
        return Err(format!("the program has the path of its sources in it: {}", workspace.root.display()));
    }
    let empty = tempfile::tempdir().map_err(|error| error.to_string())?;
    let root = workspace.root.display().to_string();
    let hidden = || {
        let mut command = apart(workspace, HIDDEN, &root);
        command.current_dir(empty.path());
        command
    };
    let mut probe = hidden();
    probe.arg("true");
    if let Err(said) = run(probe) {
        let ended = try_all(|| {
            let mut command = Command::new(&program);
            command.current_dir(empty.path());
            command
        })?;
        return Ok(format!("{ended}\nthe sources were not hidden: {}", reason(&said)));
    }
    try_all(|| {
        let mut command = hidden();
        command.arg(&program);
        command
    })
}

/// Whether a path is among these bytes.
fn names(bytes: &[u8], path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    bytes.windows(path.len().max(1)).any(|window| window == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_wherever_it_is() {
        let path = Path::new("/home/me/cxl-sim");
        assert!(names(b"\0/home/me/cxl-sim/harness/src/main.rs\0", path));
        assert!(names(b"/home/me/cxl-sim", path));
        assert!(!names(b"\0/home/me/cxl/harness\0", path));
        assert!(!names(b"", path));
    }
}
