//! A source file, parsed once: its text, its syntax tree and its tokens.

use std::ops::RangeInclusive;

use proc_macro2::Delimiter;
use proc_macro2::TokenStream;
use proc_macro2::TokenTree;
use syn::Attribute;
use syn::ItemMod;
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::breach::Breach;

/// A source file.
pub(super) struct Source {
    /// Where it is, from the root, with `/` between the parts.
    pub(super) path: String,
    /// What is in it.
    pub(super) text: String,
    /// Its syntax tree. What stands inside the macros is not in it.
    pub(super) tree: syn::File,
    /// Its tokens: a row for the file and one for each group of brackets, inside macros too.
    pub(super) rows: Vec<Vec<TokenTree>>,
}

impl Source {
    /// Parses a file.
    ///
    /// # Errors
    /// If it is no Rust: where.
    pub(super) fn parse(path: &str, text: String) -> Result<Self, Breach> {
        let wrong = |line, error| Breach::at(path, line, format!("does not parse: {error}"));
        let tokens: TokenStream = text
            .parse()
            .map_err(|error: proc_macro2::LexError| wrong(error.span().start().line, error.to_string()))?;
        let tree = syn::parse2(tokens.clone())
            .map_err(|error| wrong(error.span().start().line, error.to_string()))?;
        let mut rows = Vec::new();
        collect_rows(tokens, &mut rows);
        Ok(Self { path: path.to_owned(), text, tree, rows })
    }

    /// Whether the file as a whole is test code.
    pub(super) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// How many lines are not of tests.
    pub(super) fn production_lines(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        let tested: usize = self.test_lines().into_iter().map(Iterator::count).sum();
        self.text.lines().count().saturating_sub(tested)
    }

    /// The lines of its test modules, in runs.
    pub(super) fn test_lines(&self) -> Vec<RangeInclusive<usize>> {
        let mut found = TestModules { lines: Vec::new() };
        found.visit_file(&self.tree);
        found.lines
    }
}

/// Whether a file is test code by its name: `tests.rs`, or below a directory `tests`.
pub(super) fn is_test(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next() == Some("tests.rs") || parts.any(|part| part == "tests")
}

/// Whether a module is for tests only.
pub(super) fn is_test_module(module: &ItemMod) -> bool {
    let only_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    };
    module.attrs.iter().any(only_test)
}

/// The name that stands at a place among the tokens, if one does.
pub(super) fn word(row: &[TokenTree], at: usize) -> Option<String> {
    match row.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

/// The group that stands at a place among the tokens, if it has these brackets.
pub(super) fn group(row: &[TokenTree], at: usize, brackets: Delimiter) -> Option<&proc_macro2::Group> {
    match row.get(at)? {
        TokenTree::Group(group) if group.delimiter() == brackets => Some(group),
        _ => None,
    }
}

/// Whether a mark such as `!` stands at a place among the tokens.
pub(super) fn is_mark(row: &[TokenTree], at: usize, mark: char) -> bool {
    matches!(row.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether a word is among the tokens, however deep.
pub(super) fn has_word(tokens: TokenStream, sought: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == sought,
        TokenTree::Group(group) => has_word(group.stream(), sought),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn collect_rows(tokens: TokenStream, rows: &mut Vec<Vec<TokenTree>>) {
    let row: Vec<_> = tokens.into_iter().collect();
    for token in &row {
        if let TokenTree::Group(group) = token {
            collect_rows(group.stream(), rows);
        }
    }
    rows.push(row);
}

/// The lines of the outermost test modules whose code stands in the file.
struct TestModules {
    lines: Vec<RangeInclusive<usize>>,
}

impl<'ast> Visit<'ast> for TestModules {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        match &module.content {
            Some((brace, _)) if is_test_module(module) => {
                self.lines.push(module.span().start().line..=brace.span.close().end().line);
            }
            _ => syn::visit::visit_item_mod(self, module),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text.to_owned()).ok().unwrap()
    }

    #[rstest]
    #[case("a/src/tests.rs", true)]
    #[case("a/tests/served.rs", true)]
    #[case("a/tests/served/main.rs", true)]
    #[case("a/src/contests.rs", false)]
    #[case("a/src/tests_of_metal.rs", false)]
    fn test_code_is_known_by_its_name(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_test(path), expected);
    }

    #[test]
    fn a_test_module_is_not_production_from_its_attribute_to_its_brace() {
        let text = "fn f() {}\n\n/// Why.\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\nfn h() {}\n";
        assert_eq!(source("a.rs", text).production_lines(), 3);
    }

    #[test]
    fn a_module_that_is_not_only_for_tests_is_production() {
        let text = "#[cfg(unix)]\nmod unix {\n    fn g() {}\n}\n#[cfg(test)]\nmod tests;\n";
        assert_eq!(source("a.rs", text).production_lines(), 6);
    }

    #[test]
    fn a_file_of_tests_has_no_production_lines() {
        assert_eq!(source("a/tests.rs", "fn f() {}\n").production_lines(), 0);
    }

    #[test]
    fn a_file_that_is_no_rust_is_a_breach_at_its_line() {
        let breach = Source::parse("a.rs", "fn f() {}\nfn 3() {}\n".to_owned()).err().unwrap();
        assert!(breach.to_string().starts_with("a.rs:2: does not parse: "), "{breach}");
        let breach = Source::parse("a.rs", "fn f() {}\nfn g() {\n".to_owned()).err().unwrap();
        assert!(breach.to_string().contains(": does not parse: "), "{breach}");
    }
}
