//! Modules: what they may be called, and what they may import with a star.

use syn::ItemMod;
use syn::ItemUse;
use syn::UseTree;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit::Visit;

use super::breach::Breach;
use super::source::Source;
use super::source::is_test_module;

/// Names that say nothing: what is in such a module belongs to what it is about.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "base", "helper", "helpers", "misc"];

/// Whether a name says nothing.
pub(super) fn is_empty_name(name: &str) -> bool {
    EMPTY_NAMES.contains(&name)
}

/// What is wrong with the modules and the imports of a file.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut found = Modules { path: &source.path, is_test: source.is_test(), breaches: Vec::new() };
    found.visit_file(&source.tree);
    found.breaches
}

struct Modules<'a> {
    path: &'a str,
    /// Whether the place where the visit is now is test code.
    is_test: bool,
    breaches: Vec<Breach>,
}

impl<'ast> Visit<'ast> for Modules<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.unraw().to_string();
        if is_empty_name(&name) {
            let line = module.ident.span().start().line;
            self.breaches.push(Breach::at(self.path, line, format!("a module called {name}")));
        }
        let outside = self.is_test;
        self.is_test |= is_test_module(module);
        syn::visit::visit_item_mod(self, module);
        self.is_test = outside;
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        for prefix in starred(&import.tree) {
            let may = self.is_test && matches!(prefix.as_str(), "super" | "proptest::prelude");
            if !may {
                let what = format!("imports everything: {prefix}::*");
                self.breaches.push(Breach::at(self.path, import.span().start().line, what));
            }
        }
    }
}

/// The paths of which a tree imports everything.
fn starred(tree: &UseTree) -> Vec<String> {
    match tree {
        UseTree::Path(path) => {
            let under = |rest: String| match rest.as_str() {
                "" => path.ident.to_string(),
                rest => format!("{}::{rest}", path.ident),
            };
            starred(&path.tree).into_iter().map(under).collect()
        }
        UseTree::Group(group) => group.items.iter().flat_map(starred).collect(),
        UseTree::Glob(_) => vec![String::new()],
        UseTree::Name(_) | UseTree::Rename(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let source = Source::parse(path, text.to_owned()).ok().unwrap();
        check(&source).iter().map(Breach::to_string).collect()
    }

    #[rstest]
    #[case("mod decoder;")]
    #[case("mod baseline { mod register; }")]
    fn a_module_may_be_called_what_it_is_about(#[case] text: &str) {
        assert_eq!(breaches("a.rs", text), [""; 0]);
    }

    #[rstest]
    #[case("mod util;", "a.rs:1: a module called util")]
    #[case("mod a { mod helpers {} }", "a.rs:1: a module called helpers")]
    #[case("\n#[cfg(test)]\nmod common;", "a.rs:3: a module called common")]
    fn a_module_may_not_be_called_what_says_nothing(#[case] text: &str, #[case] breach: &str) {
        assert_eq!(breaches("a.rs", text), [breach]);
    }

    #[rstest]
    #[case("a.rs", "#[cfg(test)] mod tests { use super::*; use proptest::prelude::*; }")]
    #[case("a.rs", "#[cfg(test)] mod tests { mod inner { use super::*; } }")]
    #[case("src/tests.rs", "use super::*;")]
    #[case("tests/served/hostile.rs", "use super::*; use proptest::prelude::*;")]
    #[case("a.rs", "use std::fmt; use std::io::{Read, Write};")]
    fn tests_may_import_all_of_their_subject_and_of_proptest(#[case] path: &str, #[case] text: &str) {
        assert_eq!(breaches(path, text), [""; 0]);
    }

    #[rstest]
    #[case("a.rs", "use super::*;", "super::*")]
    #[case("a.rs", "use proptest::prelude::*;", "proptest::prelude::*")]
    #[case("a.rs", "fn f() { use Kind::*; }", "Kind::*")]
    #[case("a.rs", "pub use spec::{A, hdm::*};", "spec::hdm::*")]
    #[case("a.rs", "#[cfg(test)] mod tests { use crate::register::*; }", "crate::register::*")]
    #[case("a.rs", "#[cfg(test)] mod tests {} use super::*;", "super::*")]
    #[case("src/tests.rs", "use super::super::*;", "super::super::*")]
    fn nothing_else_may_be_imported_with_a_star(
        #[case] path: &str,
        #[case] text: &str,
        #[case] import: &str,
    ) {
        assert_eq!(breaches(path, text), [format!("{path}:1: imports everything: {import}")]);
    }
}
