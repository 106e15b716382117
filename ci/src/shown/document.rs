//! A document as its fenced blocks: what a reader copies from, and what the fence says of it.
//!
//! ````text
//! ```text exit=1             the commands of the block are run, and the last one ends with 1
//! ```text needs=kvm          they are run only where there is KVM
//! ```text not-run=hardware   they are not run, for a reason that is listed
//! ```toml file=a/b.toml      a file that the reader writes, and commands behind it read
//! ````
//!
//! A renderer takes the first word for the language, and drops the rest.

/// What opens and closes a block.
const FENCE: &str = "```";

/// A fenced block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The number of its first line behind the fence.
    pub(super) line: usize,
    /// The language.
    pub(super) language: String,
    /// What the fence says of it.
    pub(super) marks: Marks,
    /// The lines between the fences.
    pub(super) lines: Vec<String>,
}

/// What a fence says behind the language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Why nothing of it is run: a word of the list of reasons.
    pub(super) not_run: Option<String>,
    /// What must be there for it to be run.
    pub(super) needs: Option<String>,
    /// With what the last command ends; 0 if nothing is said.
    pub(super) exit: Option<i32>,
    /// The file that the block is.
    pub(super) file: Option<String>,
}

/// The blocks of a document, in order.
///
/// # Errors
/// If a fence says what is not known, or a block has no end.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1_usize..).zip(text.lines()) {
        match (open.take(), line.strip_prefix(FENCE)) {
            (None, None) => {}
            (None, Some(info)) => open = Some(Block::of(number, info)?),
            (Some(block), Some("")) => blocks.push(block),
            (Some(mut block), _) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the block has no end", block.line)),
        None => Ok(blocks),
    }
}

/// The lines outside of blocks, with their numbers.
pub(super) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.starts_with(FENCE);
        inside ^= is_fence;
        !inside && !is_fence
    })
}

impl Block {
    /// A block whose opening fence is in this line and says this.
    fn of(number: usize, info: &str) -> Result<Self, String> {
        let mut words = info.split_whitespace();
        let language = words.next().unwrap_or_default().to_owned();
        let mut marks = Marks::default();
        for word in words {
            marks.add(word).ok_or_else(|| format!("line {number}: a fence does not say {word}"))?;
        }
        Ok(Self { line: number.saturating_add(1), language, marks, lines: Vec::new() })
    }
}

impl Marks {
    fn add(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        match key {
            "not-run" => self.not_run = Some(value.to_owned()),
            "needs" => self.needs = Some(value.to_owned()),
            "exit" => self.exit = Some(value.parse().ok()?),
            "file" => self.file = Some(value.to_owned()),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_block_has_its_line_its_marks_and_what_is_between_the_fences() {
        let text = "# x\n```text exit=1 needs=kvm\n$ a\nb\n```\nprose\n```toml file=a/b.toml\nx = 1\n```\n";
        let text = blocks(text).unwrap();
        let marks = Marks { exit: Some(1), needs: Some("kvm".to_owned()), ..Marks::default() };
        let lines = vec!["$ a".to_owned(), "b".to_owned()];
        assert_eq!(text[0], Block { line: 3, language: "text".to_owned(), marks, lines });
        assert_eq!(text[1].marks.file.as_deref(), Some("a/b.toml"));
        assert_eq!(text.len(), 2);
    }

    #[rstest]
    #[case("```text exits=1\n```\n", "line 1: a fence does not say exits=1")]
    #[case("```text exit=one\n```\n", "line 1: a fence does not say exit=one")]
    #[case("```text kvm\n```\n", "line 1: a fence does not say kvm")]
    #[case("a\n```text\n$ b\n", "line 3: the block has no end")]
    fn a_fence_may_not_say_what_is_not_known(#[case] text: &str, #[case] said: &str) {
        assert_eq!(blocks(text).unwrap_err(), said);
    }

    #[test]
    fn prose_is_what_no_block_has() {
        let text = "a\n```text\nb\n```\nc\n";
        assert_eq!(prose(text).collect::<Vec<_>>(), [(1, "a"), (5, "c")]);
    }
}
