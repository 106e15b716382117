//! Tables in Markdown.

use std::fmt::Write;

/// A line that says where the page comes from, for who would change it by hand.
const WRITTEN: &str = "<!-- Written by `cargo ci book --bless`. -->\n";

/// How many characters a line has at most.
const LONGEST: usize = 116;

/// A page: a heading, a paragraph, and what follows.
pub(super) fn page(heading: &str, about: &str) -> String {
    format!("{WRITTEN}\n# {heading}\n\n{}\n", folded(about))
}

/// A paragraph in lines that are not longer than those of other files.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut column: usize = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 {
            let fits = column.saturating_add(length) < LONGEST;
            out.push(if fits { ' ' } else { '\n' });
            column = if fits { column.saturating_add(1) } else { 0 };
        }
        out.push_str(word);
        column = column.saturating_add(length);
    }
    out
}

/// A table with these headings; each row has a cell for each.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = String::from("\n");
    let lines = [headings.join(" | "), vec!["---"; headings.len()].join(" | ")];
    let cells = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>().join(" | "));
    for line in lines.into_iter().chain(cells) {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "| {line} |");
    }
    out
}

/// A text as code; none for an empty one.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// The text of a comment in a source as a sentence for a page: links of rustdoc keep their words only.
pub(super) fn sentence(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once(']') {
            Some((words, behind)) => {
                out.push_str(words);
                let target = behind.strip_prefix('(').and_then(|target| target.split_once(')'));
                rest = target.map_or(behind, |(_, behind)| behind);
            }
            None => {
                out.push('[');
                rest = after;
            }
        }
    }
    out + rest
}

/// What begins another line in a cell.
pub(super) const LINE: &str = "<br>";

/// A cell may have no bar and no end of a line, and no tag that a browser would take for its own but for [`LINE`].
fn escaped(cell: &str) -> String {
    let lines = cell.split(LINE).map(|line| line.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;"));
    lines.collect::<Vec<_>>().join(LINE)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_table_has_its_headings_and_a_line_for_each_row() {
        let rows = [vec!["a|b<br><i>".to_owned(), "c\nd".to_owned()]];
        assert_eq!(table(&["X", "Y"], &rows), "\n| X | Y |\n| --- | --- |\n| a\\|b<br>&lt;i> | c d |\n");
    }

    #[test]
    fn a_paragraph_is_folded_between_words() {
        let text = format!("{} {} c", "a".repeat(60), "b".repeat(60));
        assert_eq!(folded(&text), format!("{}\n{} c", "a".repeat(60), "b".repeat(60)));
        assert_eq!(folded("a b"), "a b");
    }

    #[rstest]
    #[case("see [`id`]", "see `id`")]
    #[case("[`ras`](super::ras) and [more](x).", "`ras` and more.")]
    #[case("a [ b", "a [ b")]
    #[case("plain", "plain")]
    fn links_keep_their_words(#[case] text: &str, #[case] told: &str) {
        assert_eq!(sentence(text), told);
    }
}
