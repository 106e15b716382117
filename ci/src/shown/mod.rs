//! The step `commands`: what README and book show is what happens.
//!
//! ```text
//!  document ──▶ blocks ──▶ commands ──▶ session ──▶ compared
//!     │           │           └ not run: a reason on the fence, which is told
//!     │           └ files that the reader writes
//!     └ sentences ──▶ what their commands name exists
//! ```

mod command;
mod compare;
mod document;
mod reasons;
mod session;
mod spoken;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use command::commands;
use document::Block;
use document::blocks;
use session::Session;
pub(crate) use session::built;
use spoken::Helps;
use spoken::of_template;
use spoken::spans;

use crate::commands::cargo;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The documents: the readme and the chapters.
const README: &str = "README.md";
const CHAPTERS: &str = "docs/src";

/// The templates for CI, whose commands must exist.
const TEMPLATES: [&str; 3] = ["ci/workflow/action.yml", "ci/workflow/github.yml", "ci/workflow/gitlab.yml"];

/// What came of the commands of all documents.
#[derive(Debug, Default)]
struct Told {
    /// How many were run and are as shown.
    right: usize,
    /// How many are inside of sentences or of templates for CI, and exist.
    spoken: usize,
    /// Those that were not run, by the reason: where they are.
    not_run: BTreeMap<String, Vec<String>>,
    /// What is not as shown.
    wrong: Vec<String>,
}

/// Runs every command that is shown and compares.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    match documents(workspace).and_then(|documents| all(workspace, &documents)) {
        Ok(told) if told.wrong.is_empty() => Outcome::Passed(told.summary()),
        Ok(told) => Outcome::Failed(told.wrong.join("\n")),
        Err(error) => Outcome::Failed(error),
    }
}

/// The documents by their paths from the root, in order.
fn documents(workspace: &Workspace) -> Result<Vec<String>, String> {
    let mut paths = vec![README.to_owned()];
    let chapters = fs::read_dir(workspace.root.join(CHAPTERS));
    for entry in chapters.map_err(|error| format!("{CHAPTERS}: {error}"))? {
        let entry = entry.map_err(|error| format!("{CHAPTERS}: {error}"))?;
        let name = entry.file_name().display().to_string();
        if Path::new(&name).extension().is_some_and(|ending| ending == "md") {
            paths.push(format!("{CHAPTERS}/{name}"));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Builds the program whose commands are shown.
///
/// # Errors
/// If it does not build.
pub(crate) fn build(workspace: &Workspace) -> Result<(), String> {
    run(cargo(workspace, "build --release -q")).map(drop)
}

fn all(workspace: &Workspace, documents: &[String]) -> Result<Told, String> {
    build(workspace)?;
    let mut told = Told::default();
    let mut helps = Helps::default();
    for path in documents {
        let text = read(workspace, path)?;
        told.spoken(path, helps.check(workspace, spans(&text)));
        let mut session = Session::new(workspace)?;
        for block in blocks(&text).map_err(|error| format!("{path}: {error}"))? {
            told.block(path, &block, &mut session)?;
        }
    }
    for path in TEMPLATES {
        told.spoken(path, helps.check(workspace, of_template(&read(workspace, path)?)));
    }
    Ok(told)
}

fn read(workspace: &Workspace, path: &str) -> Result<String, String> {
    fs::read_to_string(workspace.root.join(path)).map_err(|error| format!("{path}: {error}"))
}

impl Told {
    fn spoken(&mut self, path: &str, (right, wrong): (usize, Vec<(usize, String)>)) {
        self.spoken = self.spoken.saturating_add(right);
        self.wrong.extend(wrong.into_iter().map(|(line, why)| format!("{path}:{line}: {why}")));
    }

    fn block(&mut self, path: &str, block: &Block, session: &mut Session<'_>) -> Result<(), String> {
        let at = |line: usize| format!("{path}:{line}");
        if let Some(file) = &block.marks.file {
            return session.write(file, &block.lines).map_err(|why| format!("{}: {why}", at(block.line)));
        }
        let why = not_run(block).map_err(|why| format!("{}: {why}", at(block.line)))?;
        for shown in commands(block) {
            if let Some(why) = &why {
                self.not_run.entry(why.clone()).or_default().push(at(shown.line));
            } else if shown.is_roots {
                self.wrong
                    .push(format!("{}: what root types is not run, and no reason is given", at(shown.line)));
            } else if let Err(said) = session.run(&shown) {
                self.wrong.push(format!("{}: {}: {said}", at(shown.line), shown.typed));
            } else {
                self.right = self.right.saturating_add(1);
            }
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let not_run: usize = self.not_run.values().map(Vec::len).sum();
        let counts = format!(
            "{} commands say what is shown, {} in sentences and templates name what exists, {not_run} were not run",
            self.right, self.spoken
        );
        let reasons =
            self.not_run.iter().map(|(why, places)| format!("not run, as {why}: {}", places.join(" ")));
        [counts].into_iter().chain(reasons).collect::<Vec<_>>().join("\n")
    }
}

/// Why the commands of a block are not run, if they are not.
fn not_run(block: &Block) -> Result<Option<String>, String> {
    match &block.marks.not_run {
        Some(word) => match reasons::reason(word) {
            Some(reason) => Ok(Some(reason.to_owned())),
            None => Err(format!("not-run={word} is no reason")),
        },
        None => reasons::lack(block.marks.needs.as_deref()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Told, String> {
        let root = tempfile::tempdir().unwrap();
        let workspace =
            Workspace { root: root.path().into(), target: root.path().join("built"), packages: Vec::new() };
        let mut session = Session::new(&workspace).unwrap();
        let mut told = Told::default();
        for block in blocks(text).unwrap() {
            told.block("a.md", &block, &mut session)?;
        }
        Ok(told)
    }

    #[test]
    fn what_is_run_and_what_is_not_is_counted() {
        let text = "```text\n$ echo a\na\n```\n```text not-run=test\n$ b\n$ c\n```\n";
        let told = told(text).unwrap();
        assert_eq!(told.wrong, [""; 0]);
        let summary = told.summary();
        assert_eq!(
            summary,
            "1 commands say what is shown, 0 in sentences and templates name what exists, 2 were not run\n\
             not run, as the step test runs it, and compares: a.md:6 a.md:7"
        );
    }

    #[test]
    fn what_is_shown_wrongly_is_told_with_its_place() {
        let told = told("```text\n$ echo a\nb\n```\n").unwrap();
        assert_eq!(told.wrong, ["a.md:2: echo a: shown is\n  b\nand it says\n  a\nof\na\n"]);
    }

    #[test]
    fn a_command_may_not_be_left_out_without_a_known_reason() {
        assert_eq!(
            told("```text not-run=later\n$ a\n```\n").unwrap_err(),
            "a.md:2: not-run=later is no reason"
        );
        let roots = told("```text\n# reboot\n```\n").unwrap();
        assert_eq!(roots.wrong, ["a.md:2: what root types is not run, and no reason is given"]);
    }
}
