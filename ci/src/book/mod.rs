//! The step `book`: the pages that follow from the code are as the code is, and the book builds.
//!
//! ```text
//!  tables of cxl-spec, a served device ─▶ registers      ┐
//!  files and schema of profiles ────────▶ presets        ├─▶ docs/src/generated ─▶ mdbook
//!  structures, what devices say ────────▶ interface      │
//!  what the parser says of itself ──────▶ scenarios, steps ┘
//! ```
//!
//! With `--bless` the pages are written anew.

mod comments;
mod interface;
mod markdown;
mod presets;
mod registers;
mod scenarios;
mod seen;
mod served;

use std::fs;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::reason;
use crate::commands::run;
use crate::shown;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// Where the book and the pages are.
const BOOK: &str = "docs";
const PAGES: &str = "docs/src/generated";

/// A page: the name of its file, and what writes it.
type Page = (&'static str, fn(&Workspace) -> Result<String, String>);

/// All of them.
const WRITTEN: [Page; 5] = [
    ("registers.md", registers::written),
    ("presets.md", presets::written),
    ("interface.md", interface::written),
    ("scenarios.md", scenarios::bundled),
    ("steps.md", scenarios::steps),
];

/// Compares the pages, and builds the book where mdBook is, or can be installed.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    match compared(workspace) {
        Ok(()) => {}
        Err(said) => return Outcome::Failed(said),
    }
    if let Err(said) = add_mdbook(workspace) {
        return Outcome::Skipped(format!(
            "the pages are as the code is, and mdBook is missing: {}",
            reason(&said)
        ));
    }
    let built = program(workspace, "mdbook", &format!("build {BOOK} --dest-dir"));
    match build(workspace, built) {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

/// Writes the pages anew. What changed is for a person to judge.
pub(crate) fn bless(workspace: &Workspace) -> Outcome {
    let write = || {
        shown::build(workspace)?;
        for (name, written) in WRITTEN {
            let path = workspace.root.join(PAGES).join(name);
            fs::write(&path, written(workspace)?).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok::<_, String>(format!("wrote {} pages", WRITTEN.len()))
    };
    match write() {
        Ok(said) => Outcome::Passed(said),
        Err(said) => Outcome::Failed(said),
    }
}

/// Whether every page is what would be written.
fn compared(workspace: &Workspace) -> Result<(), String> {
    shown::build(workspace)?;
    let mut wrong = Vec::new();
    for (name, written) in WRITTEN {
        let kept = fs::read_to_string(workspace.root.join(PAGES).join(name)).unwrap_or_default();
        let written = written(workspace)?;
        wrong.extend(difference(&kept, &written).map(|line| format!("{PAGES}/{name}: {line}")));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n") + "\ncargo ci book --bless writes them anew") }
}

/// The first line in which two pages differ.
fn difference(kept: &str, written: &str) -> Option<String> {
    let [mut kept, mut written] = [kept, written].map(str::lines);
    for number in 1_usize.. {
        match (kept.next(), written.next()) {
            (None, None) => return None,
            (kept, written) if kept == written => {}
            (kept, written) => {
                let [kept, written] = [kept, written].map(|line| line.unwrap_or("nothing"));
                return Some(format!("line {number} is\n  {kept}\nand the code says\n  {written}"));
            }
        }
    }
    None
}

/// Installs mdBook, unless it is there.
fn add_mdbook(workspace: &Workspace) -> Result<(), String> {
    if run(program(workspace, "mdbook", "--version")).is_err() {
        run(cargo(workspace, "install mdbook --locked"))?;
    }
    Ok(())
}

/// Builds the book below the target directory. A warning is a failure: a link that leads nowhere is one.
fn build(workspace: &Workspace, mut command: std::process::Command) -> Result<String, String> {
    let to = workspace.target.join("book");
    command.arg(&to);
    let said = run(command)?;
    if said.contains("WARN") || said.contains("ERROR") {
        return Err(said);
    }
    Ok(format!("{} pages from the code; the book is in {}", WRITTEN.len(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let said = difference("a\nb\n", "a\nc\n").unwrap();
        assert_eq!(said, "line 2 is\n  b\nand the code says\n  c");
        assert_eq!(difference("", "a\n").unwrap(), "line 1 is\n  nothing\nand the code says\n  a");
    }
}
