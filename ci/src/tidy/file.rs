//! Files: their length, their first line, and what every line may look like.

use super::breach::Breach;
use super::source::Source;

/// The most lines of a file that are not of tests.
const MOST_LINES: usize = 500;

/// The most columns of a line.
const MOST_COLUMNS: usize = 120;

/// What is wrong with a source file as a file.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    [length(source), first_line(source), lines(&source.path, &source.text)].concat()
}

/// What is wrong with the lines of a text, whatever it is about.
pub(super) fn lines(path: &str, text: &str) -> Vec<Breach> {
    let numbered = (1..).zip(text.split('\n'));
    numbered.flat_map(|(number, line)| in_line(path, number, line)).collect()
}

fn length(source: &Source) -> Vec<Breach> {
    let lines = source.production_lines();
    let what = format!("the file has {lines} production lines, more than {MOST_LINES}");
    (lines > MOST_LINES).then(|| Breach::whole(&source.path, what)).into_iter().collect()
}

fn first_line(source: &Source) -> Vec<Breach> {
    let is_free = source.is_test() && !source.path.ends_with("/main.rs");
    let is_documented = is_free || source.text.starts_with("//!");
    let breach = || Breach::at(&source.path, 1, "the file does not begin with a //! comment");
    (!is_documented).then(breach).into_iter().collect()
}

fn in_line(path: &str, number: usize, line: &str) -> Vec<Breach> {
    let columns = line.chars().count();
    // A table cannot be broken into lines.
    let is_table = path.ends_with(".md") && line.trim_start().starts_with('|');
    let mut breaches = Vec::new();
    if line.ends_with(char::is_whitespace) {
        breaches.push(Breach::at(path, number, "white space at the end of the line"));
    }
    if line.contains('\t') {
        breaches.push(Breach::at(path, number, "a tab"));
    }
    if columns > MOST_COLUMNS && !is_table {
        breaches.push(Breach::at(path, number, format!("{columns} columns, more than {MOST_COLUMNS}")));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let source = Source::parse(path, text.to_owned()).ok().unwrap();
        check(&source).iter().map(Breach::to_string).collect()
    }

    fn file(lines: usize, tests: usize) -> String {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(tests));
        format!("//! What it is.\n{}{tests}", "//\n".repeat(lines - 1))
    }

    #[test]
    fn a_file_may_have_five_hundred_production_lines_and_any_number_of_tests() {
        assert_eq!(breaches("a.rs", &file(500, 900)), [""; 0]);
    }

    #[test]
    fn a_file_may_not_have_more_production_lines() {
        let breach = "a.rs: the file has 501 production lines, more than 500";
        assert_eq!(breaches("a.rs", &file(501, 0)), [breach]);
    }

    #[rstest]
    #[case("src/tests.rs")]
    #[case("tests/served/hostile.rs")]
    fn a_file_of_tests_may_be_long(#[case] path: &str) {
        assert_eq!(breaches(path, &file(900, 0)), [""; 0]);
    }

    #[rstest]
    #[case("src/a.rs", "//! What it is.\n")]
    #[case("src/tests.rs", "use super::X;\n")]
    #[case("tests/served/hostile.rs", "use super::X;\n")]
    fn a_file_says_what_it_is_unless_it_is_of_tests(#[case] path: &str, #[case] text: &str) {
        assert_eq!(breaches(path, text), [""; 0]);
    }

    #[rstest]
    #[case("src/a.rs", "use super::X;\n")]
    #[case("src/a.rs", "\n//! What it is.\n")]
    #[case("src/a.rs", "/// What it is.\nfn f() {}\n")]
    #[case("tests/served/main.rs", "mod hostile;\n")]
    fn a_file_may_not_begin_with_anything_else(#[case] path: &str, #[case] text: &str) {
        assert_eq!(breaches(path, text), [format!("{path}:1: the file does not begin with a //! comment")]);
    }

    #[rstest]
    #[case("a.toml", "[x] \n", "a.toml:1: white space at the end of the line")]
    #[case("a.md", "x\n\r\n", "a.md:2: white space at the end of the line")]
    #[case("a.rs", "\n\tx\n", "a.rs:2: a tab")]
    fn a_line_may_not_end_with_white_space_or_have_a_tab(
        #[case] path: &str,
        #[case] text: &str,
        #[case] breach: &str,
    ) {
        let found: Vec<_> = lines(path, text).iter().map(Breach::to_string).collect();
        assert_eq!(found, [breach]);
    }

    #[rstest]
    #[case("a.rs", "─".repeat(120))]
    #[case("a.md", format!("| {} |", "x".repeat(200)))]
    fn a_line_may_have_a_hundred_and_twenty_columns_and_a_table_more(
        #[case] path: &str,
        #[case] line: String,
    ) {
        assert_eq!(lines(path, &line), []);
    }

    #[rstest]
    #[case("a.rs", "─".repeat(121))]
    #[case("a.md", "x".repeat(121))]
    #[case("a.toml", format!("| {}", "x".repeat(119)))]
    fn a_line_may_not_have_more_columns(#[case] path: &str, #[case] line: String) {
        assert_eq!(lines(path, &line), [Breach::at(path, 1, "121 columns, more than 120")]);
    }
}
