//! The step `lend uapi`: a C program walks the interface with the structures and numbers of the kernel's own headers,
//! for each kernel that a device may be shown by, as root and as nobody. It is static, so no library is between.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::BDF;
use super::WAYS;
use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The program, and the script that says where the headers are.
const SOURCE: &str = "ci/lend/uapi.c";
const HEADERS: &str = "ci/lend-headers.sh";

/// The kernels, and whether the info of a device has the capability of CXL there.
const KERNELS: [(&str, &str); 4] = [("v2", "cxl"), ("v3", "cxl"), ("next", "none"), ("plain", "none")];

/// How many things the program says that hold, by each of the ways.
const HELD: [usize; 2] = [11, 12];

/// Who runs it, by number: root and nobody.
const USERS: [&str; 2] = ["0", "65534"];

/// Builds the program and lets it walk.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    if let Err(outcome) = super::possible(workspace) {
        return outcome;
    }
    let headers = match run(program(workspace, "sh", HEADERS)) {
        Ok(said) => PathBuf::from(said.lines().next_back().unwrap_or_default()),
        Err(said) => return Outcome::Skipped(reason(&said).trim_start_matches("error: ").to_owned()),
    };
    match walked(workspace, &headers) {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

fn walked(workspace: &Workspace, headers: &Path) -> Result<String, String> {
    // Of both programs there is a copy that nobody can reach.
    let system = |error: std::io::Error| format!("a folder: {error}");
    let folder = tempfile::tempdir().map_err(system)?;
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).map_err(system)?;
    let (ours, walk) = (folder.path().join("cxl-sim"), folder.path().join("uapi"));
    run(cargo(workspace, "build --release -q"))?;
    let built = workspace.target.join("release/cxl-sim");
    std::fs::copy(&built, &ours).map_err(|error| format!("{}: {error}", built.display()))?;
    let mut compiler = program(workspace, "cc", "-static -O1 -Wall -Wextra -Werror -isystem");
    compiler.arg(headers).arg("-o").arg(&walk).arg(SOURCE);
    run(compiler)?;
    let mut told = Vec::new();
    for user in USERS {
        for (abi, capability) in KERNELS {
            for (way, held) in WAYS.into_iter().zip(HELD) {
                let mut command = as_user(user, folder.path());
                command.arg(&ours).args(["lend", "--bdf", BDF, "--abi", abi, "--"]).arg(&walk);
                command.args([BDF, way, capability]);
                let name = format!("user {user}, {abi}, {way}");
                let said = run(command).map_err(|said| format!("{name}: {said}"))?;
                judge(&said, held).map_err(|why| format!("{name}: {why}"))?;
                told.push(format!("{name}: {held} held"));
            }
        }
    }
    Ok(told.join("\n"))
}

/// A command as this user, who is in no other group and may do nothing special.
fn as_user(user: &str, folder: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.current_dir(folder);
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    command
}

/// Whether the program said of so many things that they hold, and its count.
fn judge(said: &str, held: usize) -> Result<(), String> {
    let lines = said.lines().filter(|line| line.starts_with("ok ")).count();
    let last = said.lines().next_back();
    if lines == held && last == Some(&format!("{held} held")) { Ok(()) } else { Err(said.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_things_must_hold_as_there_are() {
        assert_eq!(judge("ok one\nok two\n2 held\n", 2), Ok(()));
        assert!(judge("ok one\n1 held\n", 2).is_err());
        assert!(judge("ok one\nok two\n", 2).is_err());
        assert!(judge("ok one\nFAILED line 7: two\n", 2).is_err());
    }
}
