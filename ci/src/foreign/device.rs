//! A device that `cxl-sim serve` serves, with its socket in a folder that foreign programs see.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::process::Running;
use super::process::Silence;
use super::process::deadline;
use super::root::Root;
use crate::commands::cargo;
use crate::commands::run;
use crate::workspace::Workspace;

/// What the server says when it is ready.
const LISTENING: &str = "listening on ";

/// Name of the socket in its folder.
const SOCKET: &str = "device.sock";

/// A served device. The server is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Device {
    server: Running,
    folder: TempDir,
}

/// The names of the presets. Building the program that knows them is part of this.
///
/// # Errors
/// If it does not build, or names none.
pub(super) fn presets(workspace: &Workspace) -> Result<Vec<String>, String> {
    let names = first_words(&run(cargo(workspace, "run --release -q -- list profiles"))?);
    if names.is_empty() { Err("there are no presets".to_owned()) } else { Ok(names) }
}

fn first_words(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

impl Device {
    /// Serves a preset, or a profile in a file, as this kernel shows it, and waits until it can be connected to.
    ///
    /// # Errors
    /// If the server does not begin to listen.
    pub(super) fn serve(
        workspace: &Workspace,
        root: &Root,
        profile: &str,
        abi: &str,
    ) -> Result<Self, String> {
        Self::served_by(cargo(workspace, "run --release -q --"), root, profile, abi)
    }

    /// The same, served by this program, which is cxl-sim.
    ///
    /// # Errors
    /// If it does not begin to listen.
    pub(super) fn served_by(
        mut command: Command,
        root: &Root,
        profile: &str,
        abi: &str,
    ) -> Result<Self, String> {
        let folder = root.folder()?;
        command
            .args(["serve", "--profile"])
            .arg(profile)
            .args(["--abi", abi])
            .arg("--socket")
            .arg(folder.path().join(SOCKET));
        // With this it ends when its input does, and takes the folder with it.
        command.arg("--lifeline").arg(folder.path());
        let (mut server, lines) = Running::start(command)?;
        let ready = |line: &str| line.starts_with(LISTENING).then_some(());
        lines.find(deadline(), ready).map_err(|silence| {
            let why = match silence {
                Silence::TooLong => "does not listen",
                Silence::Ended => "ended without listening",
            };
            format!("cxl-sim serve {why}: {}", server.kill())
        })?;
        Ok(Self { server, folder })
    }

    /// The socket to connect to.
    pub(super) fn socket(&self) -> PathBuf {
        self.path(SOCKET)
    }

    /// The path of something else in the device's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Ends the server as it should end.
    ///
    /// # Errors
    /// If it does not end, ends with an error, or leaves its folder behind.
    pub(super) fn end(mut self) -> Result<(), String> {
        let status = self.server.wait(deadline()).map_err(|why| format!("cxl-sim serve: {why}"))?;
        if !status.success() {
            return Err(format!("cxl-sim serve: {status}: {}", self.server.kill()));
        }
        let folder = self.folder.path();
        if folder.exists() { Err(format!("{} is still there", folder.display())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_the_first_words_of_the_lines() {
        assert_eq!(first_words("t2  Type-2 device\nplain  a PCI device\n\n"), ["t2", "plain"]);
    }
}
