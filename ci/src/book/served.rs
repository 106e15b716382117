//! The project's own program, for the pages: what it says, and a device that it serves.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::commands::run;
use crate::foreign::process::Running;
use crate::foreign::process::deadline;
use crate::shown::built;
use crate::workspace::Workspace;

/// The program with these arguments; a blank is between them.
pub(super) fn program(workspace: &Workspace, arguments: &str) -> Command {
    let mut command = Command::new(built(workspace).join("cxl-sim"));
    command.args(arguments.split(' '));
    command
}

/// What the program says as JSON.
///
/// # Errors
/// If it fails, or says no JSON.
pub(super) fn json(workspace: &Workspace, arguments: &str) -> Result<Value, String> {
    let said = run(program(workspace, arguments))?;
    serde_json::from_str(&said).map_err(|error| format!("cxl-sim {arguments}: {error}"))
}

/// A device that is served.
pub(super) struct Served {
    server: Running,
    folder: TempDir,
}

impl Served {
    /// Serves a preset as a kernel shows it.
    ///
    /// # Errors
    /// If it does not begin to listen.
    pub(super) fn start(workspace: &Workspace, preset: &str, abi: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut command = program(workspace, &format!("serve --profile {preset} --abi {abi} --socket"));
        command.arg(folder.path().join("device.sock"));
        let (mut server, lines) = Running::start(command)?;
        let listens = lines.find(deadline(), |line| line.starts_with("listening on ").then_some(()));
        listens.map_err(|_| format!("cxl-sim serve does not listen: {}", server.kill()))?;
        Ok(Self { server, folder })
    }

    /// The socket to connect to.
    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("device.sock")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that does not end is killed.
        let _ = self.server.end(deadline());
    }
}
