//! Words that may not stand in the sources: what was left for later, and tests that are none.

use proc_macro2::Delimiter;
use proc_macro2::TokenTree;

use super::breach::Breach;
use super::source::Source;
use super::source::group;
use super::source::has_word;
use super::source::is_mark;
use super::source::word;

/// Macros of unfinished work.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Attributes of tests that do not run, or that pass for any panic.
const ATTRIBUTES: [&str; 2] = ["ignore", "should_panic"];

/// The words of a file that may not stand there.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for row in &source.rows {
        for (at, token) in row.iter().enumerate() {
            let what = unfinished(row, at).or_else(|| no_test(row, at));
            let line = token.span().start().line;
            breaches.extend(what.map(|what| Breach::at(&source.path, line, what)));
        }
    }
    breaches
}

/// A call of a macro of unfinished work: its name, `!` and brackets.
fn unfinished(row: &[TokenTree], at: usize) -> Option<String> {
    let name = word(row, at).filter(|name| MACROS.contains(&name.as_str()))?;
    let is_call = is_mark(row, at.saturating_add(1), '!')
        && matches!(row.get(at.saturating_add(2)), Some(TokenTree::Group(_)));
    is_call.then(|| format!("{name}!"))
}

/// An attribute of a test that is none, by itself or under a condition.
fn no_test(row: &[TokenTree], at: usize) -> Option<String> {
    let attribute = is_mark(row, at, '#').then(|| group(row, at.saturating_add(1), Delimiter::Bracket))??;
    let within: Vec<_> = attribute.stream().into_iter().collect();
    let name = word(&within, 0)?;
    let is_conditional = name == "cfg_attr";
    let found = |sought: &&str| name == *sought || (is_conditional && has_word(attribute.stream(), sought));
    ATTRIBUTES.into_iter().find(found).map(|sought| format!("#[{sought}]"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn breaches(text: &str) -> Vec<String> {
        let source = Source::parse("a.rs", text.to_owned()).ok().unwrap();
        check(&source).iter().map(Breach::to_string).collect()
    }

    #[rstest]
    #[case("fn todo() { if todo != 3 {} }")]
    #[case("/// Never todo!() here.\nfn f() { print!(\"#[ignore]\"); }")]
    #[case("#[test]\nfn ignore() {}")]
    #[case("#[serde(ignore)]\nstruct S;")]
    fn the_same_words_may_mean_something_else(#[case] text: &str) {
        assert_eq!(breaches(text), [""; 0]);
    }

    #[rstest]
    #[case("fn f() {\n    todo!()\n}", "a.rs:2: todo!")]
    #[case("fn f() { unimplemented!(\"later\"); }", "a.rs:1: unimplemented!")]
    #[case("fn f() { assert!(dbg!(1) == 1); }", "a.rs:1: dbg!")]
    #[case("proptest! { fn f() { std::todo! {} } }", "a.rs:1: todo!")]
    fn unfinished_work_may_not_stay(#[case] text: &str, #[case] breach: &str) {
        assert_eq!(breaches(text), [breach]);
    }

    #[rstest]
    #[case("#[test]\n#[ignore]\nfn f() {}", "a.rs:2: #[ignore]")]
    #[case("#[ignore = \"slow\"]\nfn f() {}", "a.rs:1: #[ignore]")]
    #[case("#[should_panic(expected = \"x\")]\nfn f() {}", "a.rs:1: #[should_panic]")]
    #[case("proptest! {\n#[ignore]\nfn f() {} }", "a.rs:2: #[ignore]")]
    #[case("#[cfg_attr(windows, ignore)]\nfn f() {}", "a.rs:1: #[ignore]")]
    fn a_test_may_not_be_ignored_or_pass_by_panicking(#[case] text: &str, #[case] breach: &str) {
        assert_eq!(breaches(text), [breach]);
    }
}
