//! Who runs without privilege: nobody, by the programs `unshare` and `setpriv` of util-linux.

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::for_anybody;
use crate::commands::capture;

/// The user and the group that own nothing.
const NOBODY: &str = "65534";

/// What a root of these checks does to become nobody, who may never become more.
const BECOME: [&str; 7] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--no-new-privs",
    "--inh-caps=-all",
    "--bounding-set=-all",
];

/// Somebody without privilege, and a folder with what he runs.
pub(super) struct Nobody {
    is_root: bool,
    folder: TempDir,
}

impl Nobody {
    /// Finds out how to be nobody here.
    ///
    /// # Errors
    /// If it cannot be done: why.
    pub(super) fn find() -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("unprivileged-").tempdir();
        let folder = folder.map_err(|error| error.to_string())?;
        for_anybody(folder.path())?;
        let is_root = said("id", &["-u"])?.trim() == "0";
        let nobody = Self { is_root, folder };
        let who = nobody.says("id -u")?;
        if who.trim() == NOBODY { Ok(nobody) } else { Err(format!("nobody is {}", who.trim())) }
    }

    /// Copies a program to where nobody can run it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn copy(&self, program: &Path) -> Result<PathBuf, String> {
        let name = program.file_name().ok_or_else(|| format!("{} is no file", program.display()))?;
        let copy = self.folder.path().join(name);
        fs::copy(program, &copy).map_err(|error| format!("{}: {error}", program.display()))?;
        for_anybody(&copy)?;
        Ok(copy)
    }

    /// A command that nobody runs, without a network, in the folder for temporary files.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.arg("--net");
        if self.is_root {
            command.arg("--").args(BECOME);
        } else {
            command.arg("--user").arg("--");
        }
        command.arg(program).current_dir(std::env::temp_dir());
        // Whose files those were is not his.
        command.env("HOME", "/nonexistent").env_remove("XDG_RUNTIME_DIR");
        command
    }

    /// Whether nobody can have a virtual machine.
    ///
    /// # Errors
    /// If not: what the system says.
    pub(super) fn kvm(&self) -> Result<(), String> {
        self.says("exec 3<>/dev/kvm").map(drop).map_err(|said| said.trim().to_owned())
    }

    /// Whether nobody can read a file.
    pub(super) fn reads(&self, path: &Path) -> bool {
        let mut command = self.command(Path::new("cat"));
        command.arg(path);
        matches!(capture(command), Ok((Some(0), _)))
    }

    /// What a line of shell says.
    fn says(&self, line: &str) -> Result<String, String> {
        let mut command = self.command(Path::new("sh"));
        command.args(["-c", line]);
        match capture(command) {
            Ok((Some(0), said)) => Ok(said),
            Ok((_, said)) => Err(said),
            Err(error) => Err(format!("unshare: {error}")),
        }
    }
}

impl fmt::Display for Nobody {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.is_root {
            "user 65534, without groups, capabilities and network"
        } else {
            "our own user without a name, as only root can become another, and without network"
        })
    }
}

fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    capture(command).map(|(_, said)| said).map_err(|error| format!("{program}: {error}"))
}
