//! The numbers: how much there is of everything, and how long it is.

use std::fmt;

use proc_macro2::TokenTree;
use syn::Attribute;
use syn::ItemFn;
use syn::Macro;
use syn::visit::Visit;

use super::function::functions;
use super::source::Source;
use super::unsafe_code::blocks;

/// The numbers of all sources together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    files: usize,
    production_lines: usize,
    /// The lines of each function, short ones first.
    lengths: Vec<usize>,
    tests: usize,
    unsafe_blocks: usize,
}

impl Numbers {
    /// Counts the sources.
    pub(super) fn of<'a>(sources: impl Iterator<Item = &'a Source>) -> Self {
        let mut numbers = Self::default();
        for source in sources {
            numbers.add(source);
        }
        numbers.lengths.sort_unstable();
        numbers
    }

    fn add(&mut self, source: &Source) {
        let Self { files, production_lines, lengths, tests, unsafe_blocks } = self;
        *files = files.saturating_add(1);
        *production_lines = production_lines.saturating_add(source.production_lines());
        lengths.extend(functions(source).iter().filter_map(|function| function.lines));
        *tests = tests.saturating_add(tests_of(source));
        *unsafe_blocks = unsafe_blocks.saturating_add(blocks(source).len());
    }

    /// The shortest length that so many of a hundred functions do not exceed.
    fn percentile(&self, percent: usize) -> usize {
        let rank = self.lengths.len().saturating_mul(percent).div_ceil(100);
        self.lengths.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousands = self.production_lines as f64 / 1000.0;
        writeln!(formatter, "files                            {:>6}", self.files)?;
        writeln!(formatter, "production lines                 {:>6}", self.production_lines)?;
        writeln!(formatter, "functions                        {:>6}", self.lengths.len())?;
        writeln!(formatter, "median length of a function      {:>6}", self.percentile(50))?;
        writeln!(formatter, "90th percentile                  {:>6}", self.percentile(90))?;
        writeln!(
            formatter,
            "tests per 1000 production lines  {:>6.1}",
            self.tests as f64 / thousands.max(0.001)
        )?;
        write!(formatter, "unsafe blocks                    {:>6}", self.unsafe_blocks)
    }
}

/// How many tests a file has: each case counts, and each property.
fn tests_of(source: &Source) -> usize {
    let mut tests = Tests(0);
    tests.visit_file(&source.tree);
    tests.0
}

struct Tests(usize);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        let count = |name| function.attrs.iter().filter(|attribute| begins_with(attribute, name)).count();
        let cases = if count("rstest") > 0 { count("case").max(1) } else { count("test") };
        self.0 = self.0.saturating_add(cases);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        if called.path.segments.last().is_some_and(|name| name.ident == "proptest") {
            let is_function = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "fn");
            let functions = called.tokens.clone().into_iter().filter(is_function).count();
            self.0 = self.0.saturating_add(functions);
        }
    }
}

/// Whether an attribute is of this name, which a case may follow by one of its own.
fn begins_with(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.first().is_some_and(|first| first.ident == name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn numbers(files: &[(&str, &str)]) -> Numbers {
        let parsed = |(path, text): &(&str, &str)| Source::parse(path, (*text).to_owned()).ok().unwrap();
        let sources: Vec<_> = files.iter().map(parsed).collect();
        Numbers::of(sources.iter())
    }

    #[rstest]
    #[case("#[test]\nfn f() {}", 1)]
    #[case("#[rstest]\nfn f() {}", 1)]
    #[case("#[rstest]\n#[case(1)]\n#[case::two(2)]\nfn f(#[case] n: u8) {}", 2)]
    #[case("mod tests { #[test]\nfn f() {}\n#[test]\nfn g() {} }", 2)]
    #[case("proptest! { #[test]\nfn f(n in 0..3) { fn inner() {} }\n#[test]\nfn g(f: fn()) {} }", 2)]
    #[case("proptest::proptest! { fn f(n in 0..3) {} }", 1)]
    #[case("fn f() {}\n#[cfg(test)]\nfn g() {}", 0)]
    #[case("made! { fn f() {} }", 0)]
    fn a_test_a_case_and_a_property_count_one(#[case] text: &str, #[case] tests: usize) {
        assert_eq!(numbers(&[("a.rs", text)]).tests, tests);
    }

    #[test]
    fn files_are_counted_together() {
        let production = "fn f() {\n    unsafe {}\n}\n";
        let tests = "#[test]\nfn g() {\n}\n";
        let expected =
            Numbers { files: 2, production_lines: 3, lengths: vec![2, 3], tests: 1, unsafe_blocks: 1 };
        assert_eq!(numbers(&[("a.rs", production), ("tests.rs", tests)]), expected);
    }

    #[test]
    fn a_percentile_is_a_length_that_occurs() {
        let of = |lengths: &[usize]| {
            let numbers = Numbers { lengths: lengths.to_vec(), ..Numbers::default() };
            (numbers.percentile(50), numbers.percentile(90))
        };
        assert_eq!(of(&[]), (0, 0));
        assert_eq!(of(&[7]), (7, 7));
        assert_eq!(of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), (5, 9));
    }

    #[test]
    fn no_lines_give_numbers_too() {
        assert!(Numbers::default().to_string().contains("tests per 1000 production lines     0.0"));
    }
}
