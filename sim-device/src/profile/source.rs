//! Where in a TOML file a mistake is: one line that names the file, the line, the field and the value.

use std::fs::File;
use std::io;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;
use toml::de::DeValue;

/// The longest file that is read: a profile or a scenario is a page or two.
pub const LONGEST: u64 = 1 << 20;

/// The text of a file of the user's. What is no plain file, or is too long, is refused before it is read: a
/// device or a pipe might never end.
///
/// # Errors
/// If the file is not there, is no plain file, is too long or is no text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if !std::fs::metadata(path)?.is_file() {
        return Err(invalid("not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(invalid(format!("longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| invalid("no UTF-8 text".to_owned()))
}

/// A mistake in a file of the user's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct Mistake {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with field and value.
    pub message: String,
}

/// How much of a line is quoted.
const QUOTED: usize = 200;

impl Mistake {
    /// A mistake in the text at `offset`.
    pub fn at(file: &str, text: &str, offset: usize, message: String) -> Self {
        Self { file: file.to_owned(), line: line_of(text, offset), message }
    }

    /// The mistake that the TOML reader found in `text`, with the line's own text behind it.
    pub fn of_reader(file: &str, text: &str, error: &toml::de::Error) -> Self {
        Self::read(file, text, error.span().map_or(0, |span| span.start), error.message())
    }

    /// What a reader says of the text at `offset`, with the line's own text behind it.
    pub fn read(file: &str, text: &str, offset: usize, said: &str) -> Self {
        let line = line_of(text, offset);
        let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        let written: String = written.chars().take(QUOTED).collect();
        let message = said.replace('\n', " ");
        let message = if written.is_empty() { message } else { format!("{message}, in `{written}`") };
        Self { file: file.to_owned(), line, message }
    }

    /// A mistake in the value at `path`, a list of keys and indices such as `["device", "0", "name"]`. Where the
    /// value is not in the text, because it is a default, the nearest table that should hold it is named.
    pub fn of_value(file: &str, text: &str, path: &[&str], message: String) -> Self {
        Self::at(file, text, span_of(text, path).map_or(0, |span| span.start), message)
    }
}

/// The line that holds the byte at `offset`, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count().saturating_add(1)
}

/// The bytes of the value at `path`, or of the innermost part of the path that is there.
fn span_of(text: &str, path: &[&str]) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    let mut span = table.span();
    let mut value = DeValue::Table(table.into_inner());
    for key in path {
        let inner = match value {
            DeValue::Table(table) => {
                table.into_iter().find(|(name, _)| name.get_ref() == key).map(|(_, to)| to)
            }
            DeValue::Array(array) => key.parse().ok().and_then(|index| array.into_iter().nth(index)),
            _ => None,
        };
        let Some(inner) = inner else { break };
        span = inner.span();
        value = inner.into_inner();
    }
    Some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "title = 1\n[memory]\nsize = 3\n\n[[device]]\nname = \"a\"\n[[device]]\nname = \"b\"\n";

    fn line(path: &[&str]) -> usize {
        Mistake::of_value("file", TEXT, path, String::new()).line
    }

    #[test]
    fn what_is_no_plain_text_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let told = |path: &Path| read_text(path).unwrap_err().to_string();
        assert_eq!(told(Path::new("/dev/zero")), "not a file");
        assert_eq!(told(folder.path()), "not a file");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(told(&path), "no UTF-8 text");
        std::fs::write(&path, vec![b'#'; LONGEST as usize + 1]).unwrap();
        assert_eq!(told(&path), "longer than 1048576 bytes");
        std::fs::write(&path, vec![b'#'; LONGEST as usize]).unwrap();
        assert!(read_text(&path).is_ok());
    }

    #[test]
    fn a_text_of_nothing_but_brackets_is_a_mistake() {
        for text in ["a = ".to_owned() + &"[".repeat(100_000), "{".repeat(100_000), "a.".repeat(100_000)] {
            let error = toml::from_str::<toml::Table>(&text).unwrap_err();
            let mistake = Mistake::of_reader("x.toml", &text, &error).to_string();
            assert!(mistake.len() < 1000, "{} characters", mistake.len());
        }
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        assert_eq!(line(&["title"]), 1);
        assert_eq!(line(&["memory", "size"]), 3);
        assert_eq!(line(&["device", "1", "name"]), 8);
    }

    #[test]
    fn a_value_that_is_not_written_is_found_at_its_table() {
        assert_eq!(line(&["memory", "color"]), 2);
        assert_eq!(line(&["nothing"]), 1);
    }

    #[test]
    fn a_mistake_of_the_reader_quotes_the_line() {
        let error = toml::from_str::<toml::Table>("a = 1\nb = = 2\n").unwrap_err();
        let text = Mistake::of_reader("x.toml", "a = 1\nb = = 2\n", &error).to_string();
        assert!(text.starts_with("x.toml:2: ") && text.ends_with("in `b = = 2`"), "{text}");
    }
}
