//! Commands inside of a sentence, and in templates for CI: they are not run, but what they name must exist.
//!
//! A span of code that begins with `cxl-sim`, `cargo run --release --` or `cargo ci` and goes on with a word names a
//! subcommand, or a step, and options; the program's own help must know them.

use std::collections::BTreeMap;
use std::process::Command;

use super::document::prose;
use super::session::NAME;
use super::session::built;
use crate::commands::run;
use crate::step::ALL;
use crate::step::STEPS;
use crate::workspace::Workspace;

/// How sentences call the program.
const PROGRAM: [&str; 2] = ["cargo run --release -- ", "cxl-sim "];

/// How they call these checks.
const CHECKS: &str = "cargo ci ";

/// What the subcommands of the program say of themselves, each asked once.
#[derive(Debug, Default)]
pub(super) struct Helps(BTreeMap<String, Option<String>>);

impl Helps {
    /// How many of these commands, with their lines, are right, and what is wrong with the others.
    pub(super) fn check<'t>(
        &mut self,
        workspace: &Workspace,
        commands: impl Iterator<Item = (usize, &'t str)>,
    ) -> (usize, Vec<(usize, String)>) {
        let mut right: usize = 0;
        let mut wrong = Vec::new();
        for (line, words) in commands {
            match self.judge(workspace, words) {
                Some(Ok(())) => right = right.saturating_add(1),
                Some(Err(why)) => wrong.push((line, why)),
                None => {}
            }
        }
        (right, wrong)
    }

    /// Whether what a command names exists; nothing if the span is none of ours.
    fn judge(&mut self, workspace: &Workspace, span: &str) -> Option<Result<(), String>> {
        if let Some(rest) = span.strip_prefix(CHECKS) {
            let step = rest.split(' ').next().filter(|step| !step.starts_with(char::is_uppercase))?;
            let known = step == ALL || STEPS.iter().any(|known| known.command() == step);
            return Some(known.then_some(()).ok_or_else(|| format!("{span}: there is no such step")));
        }
        let rest = PROGRAM.iter().find_map(|program| span.strip_prefix(program))?;
        let mut words = rest.split(' ');
        let subcommand =
            words.next().filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))?;
        let help = self.of(workspace, subcommand);
        let Some(help) = help else { return Some(Err(format!("{span}: there is no such command"))) };
        // What is behind two dashes is another program's.
        let options = words.take_while(|word| *word != "--").filter(|word| word.starts_with("--"));
        let missing = options.map(name).find(|option| !help.contains(option));
        Some(missing.map_or(Ok(()), |option| Err(format!("{span}: there is no {option}"))))
    }

    fn of(&mut self, workspace: &Workspace, subcommand: &str) -> Option<&str> {
        let ask = || {
            let mut command = Command::new(built(workspace).join(NAME));
            command.args([subcommand, "--help"]);
            run(command).ok()
        };
        self.0.entry(subcommand.to_owned()).or_insert_with(ask).as_deref()
    }
}

/// An option without its value.
fn name(word: &str) -> &str {
    let end = word.find(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
    word.get(..end.unwrap_or(word.len())).unwrap_or(word)
}

/// The lines of a template for CI, with their numbers, without what YAML has before them.
pub(super) fn of_template(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).map(|(number, line)| (number, line.trim_start().trim_start_matches("- ")))
}

/// The spans of code in a text, with their lines. One does not go over the end of a line.
pub(super) fn spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(line, text)| text.split('`').skip(1).step_by(2).map(move |span| (line, span)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What is said of a span if the program has `run` with `--guest`, and nothing else.
    fn judged(span: &str) -> Option<Result<(), String>> {
        let workspace = Workspace { root: "/here".into(), target: "/there".into(), packages: Vec::new() };
        let help = |name: &str, help: Option<&str>| (name.to_owned(), help.map(str::to_owned));
        let known = [help("run", Some("      --guest <GUEST>")), help("sing", None)];
        Helps(known.into()).judge(&workspace, span)
    }

    #[rstest]
    #[case("cxl-sim run --guest soft")]
    #[case("cxl-sim run x -- --song")]
    #[case("cargo run --release -- run --guest=soft")]
    #[case("cargo ci tidy")]
    #[case("cargo ci fuzz --seconds 600")]
    fn what_exists_can_be_spoken_of(#[case] span: &str) {
        assert_eq!(judged(span), Some(Ok(())));
    }

    #[rstest]
    #[case("cxl-sim sing", "cxl-sim sing: there is no such command")]
    #[case("cxl-sim run --song", "cxl-sim run --song: there is no --song")]
    #[case("cargo ci polish", "cargo ci polish: there is no such step")]
    fn what_does_not_exist_may_not(#[case] span: &str, #[case] why: &str) {
        assert_eq!(judged(span), Some(Err(why.to_owned())));
    }

    #[test]
    fn other_code_is_none_of_ours() {
        assert_eq!(judged("cargo build"), None);
        assert_eq!(judged("cargo ci STEP"), None);
        assert_eq!(of_template("a:\n  - cxl-sim run\n").last(), Some((2, "cxl-sim run")));
        assert_eq!(spans("a `b` c `d`\n```\n`e`\n```\n").collect::<Vec<_>>(), [(1, "b"), (1, "d")]);
    }
}
