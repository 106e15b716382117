//! Where the commands of a document are run: one folder for all of them, as a reader has one.
//!
//! The folder has a link to everything at the top of the repository, so that a command finds what it names, and
//! what it writes, there or below `~`, stays in the folder. `cargo run --release --` is the program that was built
//! before: the same, without cargo looking at every file again. Other commands of cargo are run where the repository
//! is. A server runs until its document ends.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::command::Shown;
use super::compare;
use crate::commands::capture;
use crate::foreign::process::Running;
use crate::foreign::process::deadline;
use crate::workspace::Workspace;

/// How documents call the program, the longest first.
const PROGRAM: [&str; 2] = ["cargo run --release --", "cargo run --release"];

/// Which of cargo's builds is run.
const BUILT: &str = "release";

/// What the program is called.
pub(super) const NAME: &str = "cxl-sim";

/// The subcommand that goes on until it is ended.
const SERVES: &str = "cxl-sim serve ";

/// Where cargo puts what it builds, as documents name it.
const TARGET: &str = "target";

/// Where the program is built.
pub(crate) fn built(workspace: &Workspace) -> PathBuf {
    workspace.target.join(BUILT)
}

/// A document's commands, as they are run.
pub(super) struct Session<'a> {
    workspace: &'a Workspace,
    folder: TempDir,
    servers: Vec<Running>,
}

impl<'a> Session<'a> {
    /// Makes the folder.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn new(workspace: &'a Workspace) -> Result<Self, String> {
        let folder = folder(workspace).map_err(|error| format!("a folder for commands: {error}"))?;
        Ok(Self { workspace, folder, servers: Vec::new() })
    }

    /// Writes a file that a document shows.
    ///
    /// # Errors
    /// If it would be elsewhere, or the system refuses.
    pub(super) fn write(&self, path: &str, lines: &[String]) -> Result<(), String> {
        let failed = |error: io::Error| format!("{path}: {error}");
        let file = self.folder.path().join(path);
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("{path}: not below the folder"));
        }
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(file, lines.join("\n") + "\n").map_err(failed)
    }

    /// Runs a command and compares what it says and how it ends.
    ///
    /// # Errors
    /// If that is not as shown: what is, and all that it said.
    pub(super) fn run(&mut self, shown: &Shown) -> Result<(), String> {
        let typed = program(&shown.typed);
        if typed.starts_with(SERVES) {
            return self.serve(&typed, &shown.says);
        }
        let (exit, said) = capture(self.shell(&typed)).map_err(|error| format!("sh: {error}"))?;
        if exit != Some(shown.exit) {
            let exit = exit.map_or("a signal".to_owned(), |exit| exit.to_string());
            return Err(format!("it ends with {exit}, not {}\n{said}", shown.exit));
        }
        match compare::difference(&shown.says, &said) {
            Some(difference) => Err(format!("{difference}\nof\n{said}")),
            None => Ok(()),
        }
    }

    /// Starts a server, and waits until it has said what is shown.
    fn serve(&mut self, typed: &str, says: &[String]) -> Result<(), String> {
        let (mut server, lines) = Running::start(self.shell(&format!("exec {typed}")))?;
        for shown in says.iter().filter(|line| !line.is_empty()) {
            let heard = lines.find(deadline(), |line| (line == shown).then_some(()));
            if heard.is_err() {
                return Err(format!("it does not say: {shown}\n{}", server.kill()));
            }
        }
        self.servers.push(server);
        Ok(())
    }

    /// A shell that finds the program by its name.
    fn shell(&self, typed: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        let is_cargos = typed.starts_with("cargo ");
        let at: &Path = if is_cargos { &self.workspace.root } else { self.folder.path() };
        command.args(["-c", typed]).current_dir(at);
        if !is_cargos {
            // What is written below the user's folder goes with this one.
            command.env("HOME", self.folder.path());
        }
        command.env("PATH", format!("{}:{path}", built(self.workspace).display()));
        command
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // One that does not end is killed.
            let _ = server.end(deadline());
        }
    }
}

/// The folder, with links.
fn folder(workspace: &Workspace) -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for entry in fs::read_dir(&workspace.root)? {
        let entry = entry?;
        if entry.file_name() != TARGET {
            symlink(entry.path(), folder.path().join(entry.file_name()))?;
        }
    }
    symlink(&workspace.target, folder.path().join(TARGET))?;
    Ok(folder)
}

/// A command with the program in place of cargo.
fn program(typed: &str) -> String {
    let rest = PROGRAM.iter().find_map(|cargo| typed.strip_prefix(cargo));
    // What is set before a command stays there.
    let inner = PROGRAM.first().and_then(|cargo| typed.split_once(cargo));
    match (rest, inner) {
        (Some(rest), _) => format!("{NAME}{rest}"),
        (None, Some((before, after))) => format!("{before}{NAME}{after}"),
        (None, None) => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn workspace(root: &Path) -> Workspace {
        Workspace { root: root.into(), target: root.join("built"), packages: Vec::new() }
    }

    fn shown(typed: &str, says: &[&str], exit: i32) -> Shown {
        let says = says.iter().map(|line| (*line).to_owned()).collect();
        Shown { line: 1, typed: typed.to_owned(), is_roots: false, says, exit }
    }

    #[rstest]
    #[case("cargo run --release", "cxl-sim")]
    #[case("cargo run --release -- list profiles", "cxl-sim list profiles")]
    #[case("A=b cargo run --release -- run x", "A=b cxl-sim run x")]
    #[case("cargo ci tidy", "cargo ci tidy")]
    fn the_program_is_the_one_that_was_built(#[case] typed: &str, #[case] run: &str) {
        assert_eq!(program(typed).trim_end(), run);
    }

    #[test]
    fn commands_share_a_folder_with_links_to_the_repository() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("LAW"), "obey\n").unwrap();
        let workspace = workspace(root.path());
        let mut session = Session::new(&workspace).unwrap();
        session.write("a/b.toml", &["x = 1".to_owned()]).unwrap();
        assert_eq!(session.run(&shown("cat LAW a/b.toml > c && cat c", &["obey", "x = 1"], 0)), Ok(()));
        assert_eq!(session.run(&shown("cat c; exit 3", &["..."], 3)), Ok(()));
        assert!(!root.path().join("c").exists());
    }

    #[test]
    fn a_command_may_not_say_or_end_otherwise() {
        let root = tempfile::tempdir().unwrap();
        let workspace = workspace(root.path());
        let mut session = Session::new(&workspace).unwrap();
        let said = session.run(&shown("echo b", &["a"], 0)).unwrap_err();
        assert!(said.contains("and it says\n  b"), "{said}");
        let said = session.run(&shown("echo why >&2; exit 1", &[], 0)).unwrap_err();
        assert_eq!(said, "it ends with 1, not 0\nwhy\n");
    }

    #[test]
    fn a_file_may_not_be_written_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        let workspace = workspace(root.path());
        let session = Session::new(&workspace).unwrap();
        assert!(session.write("../x", &[]).unwrap_err().contains("not below"));
        assert!(session.write("/tmp/x", &[]).unwrap_err().contains("not below"));
    }
}
