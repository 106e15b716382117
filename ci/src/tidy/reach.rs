//! Dead files: sources that no `mod` reaches are compiled by nobody, whatever they say.
//!
//! The walk begins at the file of each target and follows every `mod` without a body, whatever conditions it has.
//! Code that a macro makes is not seen.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use syn::Expr;
use syn::ItemMod;
use syn::Lit;
use syn::Meta;
use syn::ext::IdentExt;
use syn::visit::Visit;

use super::breach::Breach;
use super::listing::join;
use super::listing::parent;
use super::listing::stem;
use super::source::Source;

/// The sources by their paths.
pub(super) type Sources = BTreeMap<String, Source>;

/// The sources that no target reaches. `roots` are the files of the targets.
pub(super) fn check<'a>(sources: &Sources, roots: impl Iterator<Item = &'a str>) -> Vec<Breach> {
    let reached = reached(sources, roots);
    let dead = sources.keys().filter(|path| !reached.contains(*path));
    dead.map(|path| Breach::whole(path, "no mod reaches this file")).collect()
}

fn reached<'a>(sources: &Sources, roots: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<_> = roots.map(|root| (root.to_owned(), parent(root).to_owned())).collect();
    while let Some((path, folder)) = waiting.pop() {
        let Some(source) = sources.get(&path) else { continue };
        if reached.insert(path) {
            let declared = declared(source, folder).into_iter();
            waiting.extend(declared.map(|path| (path.clone(), folder_of_children(&path))));
        }
    }
    reached
}

/// Where the modules of a file are that is no target's first.
fn folder_of_children(path: &str) -> String {
    match stem(path) {
        "mod" => parent(path).to_owned(),
        name => join(parent(path), name),
    }
}

/// Every path at which a module of this file may be; `folder` is where they are looked for.
fn declared(source: &Source, folder: String) -> Vec<String> {
    let mut found = Declared { beside: parent(&source.path).to_owned(), folder, paths: Vec::new() };
    found.visit_file(&source.tree);
    found.paths
}

struct Declared {
    /// Where a path that is given counts from.
    beside: String,
    /// Where modules are looked for that are only named.
    folder: String,
    paths: Vec<String>,
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.unraw().to_string();
        if module.content.is_some() {
            let inside = join(&self.folder, &name);
            let outside = (self.beside.clone(), self.folder.clone());
            (self.beside, self.folder) = (inside.clone(), inside);
            syn::visit::visit_item_mod(self, module);
            (self.beside, self.folder) = outside;
        } else if let Some(given) = given_path(module) {
            self.paths.push(resolved(&self.beside, &given));
        } else {
            self.paths.push(join(&self.folder, &format!("{name}.rs")));
            self.paths.push(join(&self.folder, &format!("{name}/mod.rs")));
        }
    }
}

/// What `#[path = "..."]` says of a module.
fn given_path(module: &ItemMod) -> Option<String> {
    module.attrs.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else { return None };
        let Expr::Lit(value) = &pair.value else { return None };
        let Lit::Str(text) = &value.lit else { return None };
        Some(text.value())
    })
}

/// A path that may have `.` and `..` in it, seen from a directory.
fn resolved(directory: &str, given: &str) -> String {
    given.split('/').fold(directory.to_owned(), |path, part| match part {
        "." => path,
        ".." => parent(&path).to_owned(),
        part => join(&path, part),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The dead among these files, if `a/src/lib.rs` and `a/tests/served/main.rs` are targets.
    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let parsed = |(path, text): &(&str, &str)| {
            ((*path).to_owned(), Source::parse(path, (*text).to_owned()).ok().unwrap())
        };
        let sources = files.iter().map(parsed).collect();
        let breaches = check(&sources, ["a/src/lib.rs", "a/tests/served/main.rs"].into_iter());
        breaches.iter().map(Breach::to_string).collect()
    }

    #[rstest]
    #[case::beside(&[("a/src/lib.rs", "mod x;"), ("a/src/x.rs", "")])]
    #[case::in_a_folder(&[("a/src/lib.rs", "mod x;"), ("a/src/x/mod.rs", "mod y;"), ("a/src/x/y.rs", "")])]
    #[case::below_a_file(&[("a/src/lib.rs", "mod x;"), ("a/src/x.rs", "mod tests;"), ("a/src/x/tests.rs", "")])]
    #[case::in_a_body(&[("a/src/lib.rs", "mod x { mod y; }"), ("a/src/x/y.rs", "")])]
    #[case::in_a_body_below_a_file(&[
        ("a/src/lib.rs", "mod x;"),
        ("a/src/x.rs", "mod y { mod z; }"),
        ("a/src/x/y/z.rs", ""),
    ])]
    #[case::under_a_condition(&[("a/src/lib.rs", "#[cfg(windows)] mod x;"), ("a/src/x.rs", "")])]
    #[case::by_its_path(&[
        ("a/src/lib.rs", "mod x;"),
        ("a/src/x.rs", "#[path = \"../gen/./z.rs\"] mod y;"),
        ("a/gen/z.rs", ""),
    ])]
    #[case::of_a_test(&[("a/tests/served/main.rs", "mod x;"), ("a/tests/served/x.rs", "")])]
    #[case::raw(&[("a/src/lib.rs", "mod r#match;"), ("a/src/match.rs", "")])]
    fn a_file_may_be_reached(#[case] files: &[(&str, &str)]) {
        assert_eq!(dead(files), [""; 0]);
    }

    #[rstest]
    #[case::unnamed(&[("a/src/lib.rs", "mod y;"), ("a/src/x.rs", "")], "a/src/x.rs")]
    #[case::beside_its_parent(
        &[("a/src/lib.rs", "mod y;"), ("a/src/y.rs", "mod x;"), ("a/src/x.rs", ""), ("a/src/y/x.rs", "")],
        "a/src/x.rs"
    )]
    #[case::by_the_dead(&[("a/src/lib.rs", ""), ("a/src/x.rs", "mod x;")], "a/src/x.rs")]
    #[case::in_a_body(&[("a/src/lib.rs", "mod x {}"), ("a/src/x.rs", "")], "a/src/x.rs")]
    #[case::no_target(&[("a/tests/x/y.rs", "")], "a/tests/x/y.rs")]
    fn a_file_may_not_be_dead(#[case] files: &[(&str, &str)], #[case] path: &str) {
        assert_eq!(dead(files), [format!("{path}: no mod reaches this file")]);
    }

    #[test]
    fn files_that_reach_each_other_and_nobody_else_are_dead() {
        let files = [("a/src/lib.rs", ""), ("a/src/x.rs", "mod y;"), ("a/src/x/y.rs", "")];
        assert_eq!(dead(&files).len(), 2);
    }
}
