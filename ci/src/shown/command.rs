//! The commands of a block, and what is shown of what they say.

use super::document::Block;

/// What a user types behind.
const USER: &str = "$ ";

/// What root types behind.
const ROOT: &str = "# ";

/// A line ends so if the next one goes on with it.
const GOES_ON: &str = "\\";

/// A command, and what the document shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// The line in which it begins.
    pub(super) line: usize,
    /// What is typed, without the prompt, as one line.
    pub(super) typed: String,
    /// Root types it.
    pub(super) is_roots: bool,
    /// The lines below it.
    pub(super) says: Vec<String>,
    /// With what it ends.
    pub(super) exit: i32,
}

/// The commands of a block, in order; of a file, none.
pub(super) fn commands(block: &Block) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    if block.marks.file.is_some() || block.language == "toml" {
        return commands;
    }
    let mut goes_on = false;
    for (line, text) in (block.line..).zip(&block.lines) {
        let typed = [(USER, false), (ROOT, true)]
            .into_iter()
            .find_map(|(prompt, is_roots)| Some((text.strip_prefix(prompt)?, is_roots)));
        let part = match (commands.last_mut().filter(|_| goes_on), typed) {
            (Some(command), _) => {
                command.typed.push_str(without(text.trim_start()));
                text
            }
            (None, Some((typed, is_roots))) => {
                let typed = without(typed).to_owned();
                commands.push(Shown { line, typed, is_roots, says: Vec::new(), exit: 0 });
                text
            }
            (None, None) => {
                if let Some(command) = commands.last_mut() {
                    command.says.push(text.clone());
                }
                continue;
            }
        };
        goes_on = part.ends_with(GOES_ON);
    }
    if let Some((last, exit)) = commands.last_mut().zip(block.marks.exit) {
        last.exit = exit;
    }
    commands
}

/// A line without what says that it goes on.
fn without(line: &str) -> &str {
    line.strip_suffix(GOES_ON).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::super::document::blocks;
    use super::*;

    fn of(text: &str) -> Vec<Shown> {
        commands(&blocks(text).unwrap()[0])
    }

    #[test]
    fn a_command_has_the_lines_up_to_the_next_one() {
        let shown = of("```text exit=3\n$ a b\none\n\n# c\n```\n");
        let a = Shown {
            line: 2,
            typed: "a b".to_owned(),
            is_roots: false,
            says: vec!["one".to_owned(), String::new()],
            exit: 0,
        };
        let c = Shown { line: 5, typed: "c".to_owned(), is_roots: true, says: Vec::new(), exit: 3 };
        assert_eq!(shown, [a, c]);
    }

    #[test]
    fn a_line_that_goes_on_is_one_command_with_the_next() {
        let shown = of("```text\n$ a \\\n    b \\\n    c\nsaid\n```\n");
        assert_eq!((shown[0].typed.as_str(), shown[0].says.as_slice()), ("a b c", &["said".to_owned()][..]));
    }

    #[test]
    fn a_block_without_a_prompt_and_a_file_have_no_commands() {
        assert_eq!(of("```text\na\n```\n"), []);
        assert_eq!(of("```text file=x\n$ a\n```\n"), []);
        assert_eq!(of("```toml\n# a comment\n```\n"), []);
    }
}
