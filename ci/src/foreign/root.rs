//! The root that foreign programs run in: made by a script, once, and kept.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::workspace::Workspace;

/// The script that makes it.
const SCRIPT: &str = "ci/foreign-root.sh";

/// A directory with the programs of another system in it.
#[derive(Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// The root of this script, made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made here: why.
    pub(crate) fn find(workspace: &Workspace) -> Result<Self, String> {
        let said = run(program(workspace, "sh", SCRIPT)).map_err(|said| reason(&said).to_owned())?;
        let path = said.lines().next_back().unwrap_or_default();
        Ok(Self(path.into()))
    }

    /// The root inside, of a newer system, that has what no released one has.
    ///
    /// # Errors
    /// If it could not be made: why.
    pub(super) fn newer(&self) -> Result<Self, String> {
        let newer = self.0.join("forky");
        if newer.is_dir() {
            return Ok(Self(newer));
        }
        let missing = self.0.join("forky.missing");
        let why = std::fs::read_to_string(&missing);
        let why =
            why.map_or_else(|error| format!("{}: {error}", missing.display()), |why| why.trim().to_owned());
        Err(format!("there is no root of the newer system: {why}"))
    }

    /// A new folder that programs inside see too. It goes when it is dropped.
    ///
    /// # Errors
    /// If the system does not make it.
    pub(crate) fn folder(&self) -> Result<TempDir, String> {
        let below = self.0.join("tmp");
        let made = tempfile::Builder::new().prefix("cxl-sim-").tempdir_in(&below);
        made.map_err(|error| format!("{}: {error}", below.display()))
    }

    /// The path inside of a file that is below the root.
    ///
    /// # Errors
    /// If it is not below the root.
    pub(crate) fn inside(&self, path: &std::path::Path) -> Result<String, String> {
        let below = path.strip_prefix(&self.0).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(format!("/{}", below.display()))
    }

    /// The words of a command that runs a program inside, to which the system looks as to whoever begins it: mounts
    /// are made for that, so it must have a namespace of mounts of its own.
    pub(super) fn words_as_seen(&self, name: &str) -> Vec<String> {
        let script = "for folder in dev sys proc; do mount --rbind /$folder \"$0/$folder\" || exit; done\n\
                      exec chroot \"$0\" setpriv --pdeathsig KILL \"$@\"";
        ["sh", "-c", script, &self.0.display().to_string(), name].map(str::to_owned).to_vec()
    }

    /// Where a program is that is linked statically, so that it can be run from outside.
    pub(crate) fn static_program(&self, name: &str) -> PathBuf {
        self.0.join("usr/bin").join(name)
    }

    /// Where a shell and its tools are, linked statically, for what Debian calls this architecture.
    pub(super) fn busybox(&self, architecture: &str) -> PathBuf {
        self.0.join("linux").join(architecture).join("busybox")
    }

    /// A program inside. It is killed if we end before it, however we end.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.0).args(["setpriv", "--pdeathsig", "KILL", name]);
        command
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_path_below_the_root_has_a_path_inside() {
        let root = Root("/cache/foreign".into());
        assert_eq!(root.inside(Path::new("/cache/foreign/tmp/x/sock")), Ok("/tmp/x/sock".to_owned()));
    }

    #[test]
    fn a_newer_root_that_could_not_be_made_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root(folder.path().to_owned());
        std::fs::write(folder.path().join("forky.missing"), "E: no such suite\n").unwrap();
        assert_eq!(root.newer().unwrap_err(), "there is no root of the newer system: E: no such suite");
        std::fs::create_dir(folder.path().join("forky")).unwrap();
        assert_eq!(root.newer().unwrap().0, folder.path().join("forky"));
    }

    #[test]
    fn a_path_beside_the_root_has_none() {
        let root = Root("/cache/foreign".into());
        assert!(root.inside(Path::new("/cache/foreign.part/tmp")).is_err());
    }
}
