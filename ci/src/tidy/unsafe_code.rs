//! Unsafe has an address: only the files named here may have it, and they say what they keep to.

use proc_macro2::Delimiter;
use proc_macro2::TokenTree;

use super::breach::Breach;
use super::source::Source;
use super::source::group;
use super::source::has_word;
use super::source::word;

/// The files that may have unsafe code.
const MAY_BE_UNSAFE: &[&str] = &[
    "lend/src/outside/seccomp.rs",
    "vmm-core/src/backend/kernel/ioctl.rs",
    "vmm-core/src/backend/kvm/mod.rs",
    "vmm-core/src/backend/kvm/program.rs",
];

/// How many lines above an unsafe block the comment may stand that says why the block is sound.
const NEAR: usize = 8;

/// What is wrong with the unsafe code of a file.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let unsafe_lines = unsafe_lines(source);
    let mut breaches = Vec::new();
    if !MAY_BE_UNSAFE.contains(&source.path.as_str()) {
        let outside =
            |line: &usize| Breach::at(&source.path, *line, "unsafe code outside the files that may have it");
        breaches.extend(unsafe_lines.iter().map(outside));
    } else if !unsafe_lines.is_empty() && !has_rules(&source.text) {
        breaches.push(Breach::at(&source.path, 1, "unsafe code, and no Rules in the comment of the module"));
    }
    let unexplained = blocks(source).into_iter().filter(|line| !is_explained(&source.text, *line));
    let why =
        |line| Breach::at(&source.path, line, format!("no SAFETY: within {NEAR} lines above the block"));
    breaches.extend(unexplained.map(why));
    breaches
}

/// The lines in which unsafe blocks begin.
pub(super) fn blocks(source: &Source) -> Vec<usize> {
    let is_block = |row: &[TokenTree], at: usize| {
        is_word(row, at, "unsafe") && group(row, at.saturating_add(1), Delimiter::Brace).is_some()
    };
    lines_where(source, is_block)
}

/// The lines that have the word, or that permit it.
fn unsafe_lines(source: &Source) -> Vec<usize> {
    lines_where(source, |row, at| is_word(row, at, "unsafe") || permits(row, at))
}

/// Whether a lint level other than a ban is set for unsafe code here.
fn permits(row: &[TokenTree], at: usize) -> bool {
    let is_level = ["allow", "expect", "warn"].into_iter().any(|level| is_word(row, at, level));
    let lints = group(row, at.saturating_add(1), Delimiter::Parenthesis);
    is_level && lints.is_some_and(|lints| has_word(lints.stream(), "unsafe_code"))
}

fn is_word(row: &[TokenTree], at: usize, sought: &str) -> bool {
    word(row, at).is_some_and(|word| word == sought)
}

fn lines_where(source: &Source, holds: impl Fn(&[TokenTree], usize) -> bool) -> Vec<usize> {
    let in_row = |row: &Vec<TokenTree>| {
        let places = row.iter().enumerate().filter(|(at, _)| holds(row, *at));
        places.map(|(_, token)| token.span().start().line).collect::<Vec<_>>()
    };
    let mut lines: Vec<_> = source.rows.iter().flat_map(in_row).collect();
    lines.sort_unstable();
    lines
}

/// Whether the comment of a module has a line that begins its rules.
fn has_rules(text: &str) -> bool {
    let comment = text.lines().filter_map(|line| line.strip_prefix("//!"));
    comment.map(|line| line.trim_start().trim_start_matches("# ")).any(|line| line.starts_with("Rules"))
}

fn is_explained(text: &str, line: usize) -> bool {
    let first = line.saturating_sub(NEAR).saturating_sub(1);
    let above = line.saturating_sub(1).saturating_sub(first);
    let is_reason = |line: &str| line.split_once("//").is_some_and(|(_, said)| said.contains("SAFETY:"));
    text.lines().skip(first).take(above).any(is_reason)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NAMED: &str = "vmm-core/src/backend/kvm/program.rs";

    const BLOCK: &str = "fn f() {\n    // SAFETY: nothing is done.\n    unsafe {}\n}\n";

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let source = Source::parse(path, text.to_owned()).ok().unwrap();
        check(&source).iter().map(Breach::to_string).collect()
    }

    #[rstest]
    #[case("//! The guest.\n//!\n//! # Rules\n")]
    #[case("//! Rules: memory outlives the guest.\n")]
    fn a_named_file_with_rules_may_be_unsafe(#[case] comment: &str) {
        assert_eq!(breaches(NAMED, &format!("{comment}{BLOCK}")), [""; 0]);
    }

    #[rstest]
    #[case("//! The guest.\n")]
    #[case("//! The guest obeys Rules.\n")]
    #[case("//! The guest.\n\n// # Rules\n")]
    fn a_named_file_without_rules_may_not_be_unsafe(#[case] comment: &str) {
        let breach = format!("{NAMED}:1: unsafe code, and no Rules in the comment of the module");
        assert_eq!(breaches(NAMED, &format!("{comment}{BLOCK}")), [breach]);
    }

    #[test]
    fn a_named_file_without_unsafe_needs_no_rules() {
        assert_eq!(breaches(NAMED, "//! The guest.\n"), [""; 0]);
    }

    #[rstest]
    #[case("fn f() {} // unsafe {}")]
    #[case("/// Not unsafe.\nfn f() -> &'static str { \"unsafe {}\" }")]
    #[case("#![forbid(unsafe_code)]")]
    #[case("#![deny(unsafe_code)]")]
    fn any_file_may_speak_of_unsafe(#[case] text: &str) {
        assert_eq!(breaches("a.rs", text), [""; 0]);
    }

    #[rstest]
    #[case(BLOCK, 3)]
    #[case("unsafe fn f() {}", 1)]
    #[case("\nunsafe impl Send for S {}", 2)]
    #[case("unsafe extern \"C\" {}", 1)]
    #[case("#[unsafe(no_mangle)]\nfn f() {}", 1)]
    #[case("#![allow(unsafe_code)]", 1)]
    #[case("#![expect(dead_code, unsafe_code, reason = \"x\")]", 1)]
    #[case("made! { // SAFETY: none.\n unsafe { f() } }", 2)]
    fn no_other_file_may_be_unsafe(#[case] text: &str, #[case] line: usize) {
        let breach = format!("a.rs:{line}: unsafe code outside the files that may have it");
        assert_eq!(breaches("a.rs", text), [breach]);
    }

    fn block_after(lines: usize) -> String {
        format!(
            "//! Rules\n// SAFETY: nothing is done.\n{}fn f() {{ unsafe {{}} }}\n",
            "\n".repeat(lines - 1)
        )
    }

    #[test]
    fn the_reason_may_stand_eight_lines_above_the_block() {
        assert_eq!(breaches(NAMED, &block_after(8)), [""; 0]);
    }

    #[test]
    fn the_reason_may_not_be_missing_or_stand_farther_away() {
        let breach = |line| [format!("{NAMED}:{line}: no SAFETY: within 8 lines above the block")];
        assert_eq!(breaches(NAMED, &block_after(9)), breach(11));
        assert_eq!(breaches(NAMED, "//! Rules\nfn f() { unsafe {} }\n// SAFETY: late.\n"), breach(2));
    }

    #[test]
    fn blocks_are_counted_and_functions_are_not() {
        let text = "unsafe fn f() { unsafe { made!(unsafe {}) } }";
        assert_eq!(blocks(&Source::parse("a.rs", text.to_owned()).ok().unwrap()), [1, 1]);
    }
}
