//! The law of the house as a program: what the sources may be like, and the map of where they are.
//!
//! ```text
//!  files ──▶ Listing ──▶ Source: text, tree, tokens ──▶ rules ──▶ breaches
//!            README.md ──▶ map                     └──▶ numbers
//! ```
//!
//! | Rule | What it is about |
//! |------|------------------|
//! | [`function`] | length and parameters |
//! | [`mod@file`] | length, the comment at its beginning, lines |
//! | [`module`] | names that say nothing, imports with a star |
//! | [`word`] | unfinished work, tests that do not run |
//! | [`unsafe_code`] | where it may be, and what explains it |
//! | [`reach`] | files that no `mod` reaches |
//! | [`map`] | the code map of the readme |
//!
//! The rules about code are for the packages of the workspace; those about lines are for every manifest and text.

mod breach;
mod file;
mod function;
mod listing;
mod map;
mod module;
mod numbers;
mod reach;
mod source;
mod unsafe_code;
mod word;

use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::Context;

use crate::step::Outcome;
use crate::workspace::Package;
use crate::workspace::Workspace;
use breach::Breach;
use listing::Listing;
use numbers::Numbers;
use reach::Sources;
use source::Source;

/// What was found in the sources.
#[derive(Debug)]
struct Found {
    breaches: Vec<Breach>,
    numbers: Numbers,
}

/// Checks everything, and tells the numbers.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    match survey(workspace) {
        Ok(found) if found.breaches.is_empty() => Outcome::Passed(found.numbers.to_string()),
        Ok(found) => {
            let breaches: Vec<_> = found.breaches.iter().map(Breach::to_string).collect();
            let count = breaches.len();
            Outcome::Failed(format!("{}\nbreaches {count}\n{}", breaches.join("\n"), found.numbers))
        }
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// The lines of a source file that are of tests, in runs. A file of tests has no others.
///
/// # Errors
/// If the file is no Rust.
pub(crate) fn test_lines(path: &str, text: String) -> Result<Vec<RangeInclusive<usize>>, String> {
    let source = Source::parse(path, text).map_err(|breach| breach.to_string())?;
    Ok(if source.is_test() { vec![0..=usize::MAX] } else { source.test_lines() })
}

fn survey(workspace: &Workspace) -> anyhow::Result<Found> {
    let Workspace { root, packages, .. } = workspace;
    let listing = Listing::read(root).context("the files cannot be listed")?;
    let (sources, mut breaches) = parse(root, &listing, packages)?;
    for path in listing.files().filter(|path| path.ends_with(".md") || path.ends_with(".toml")) {
        breaches.extend(file::lines(path, &read(root, path)?));
    }
    let readme = if listing.has_file(map::README) { read(root, map::README)? } else { String::new() };
    let targets = || packages.iter().flat_map(|package| &package.targets);
    breaches.extend(sources.values().flat_map(in_source));
    breaches.extend(targets().filter_map(|target| in_name(&target.file, &target.name)));
    breaches.extend(reach::check(&sources, targets().map(|target| target.file.as_str())));
    breaches.extend(map::check(&readme, &listing, packages));
    breaches.sort();
    Ok(Found { breaches, numbers: Numbers::of(sources.values()) })
}

/// The sources of the packages, and those files that are none though they are called so.
fn parse(root: &Path, listing: &Listing, packages: &[Package]) -> anyhow::Result<(Sources, Vec<Breach>)> {
    let is_member = |path: &&str| {
        let owner = listing.package_of(path);
        packages.iter().any(|package| owner == Some(package.directory.as_str()))
    };
    let mut sources = Sources::new();
    let mut breaches = Vec::new();
    for path in listing.files().filter(|path| path.ends_with(".rs")).filter(is_member) {
        match Source::parse(path, read(root, path)?) {
            Ok(source) => drop(sources.insert(path.to_owned(), source)),
            Err(breach) => breaches.push(breach),
        }
    }
    Ok((sources, breaches))
}

fn in_source(source: &Source) -> Vec<Breach> {
    let functions = function::functions(source);
    [
        file::check(source),
        function::check(&source.path, &functions),
        module::check(source),
        word::check(source),
        unsafe_code::check(source),
    ]
    .concat()
}

/// What is wrong with the name of a target: it is that of a module which no `mod` names.
fn in_name(file: &str, name: &str) -> Option<Breach> {
    module::is_empty_name(name).then(|| Breach::whole(file, format!("a target called {name}")))
}

fn read(root: &Path, path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(path)).with_context(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::Target;

    const README: &str = "# A\n\n## Code map\n\n```\na/\n  x.rs\n```\n";

    /// A workspace with a library `a`, whose module is `x`.
    fn workspace(files: &[(&str, &str)]) -> (tempfile::TempDir, Workspace) {
        let folder = tempfile::tempdir().unwrap();
        let always = [
            ("README.md", README),
            ("a/Cargo.toml", ""),
            ("a/src/lib.rs", "//! A.\nmod x;\n"),
            ("a/src/x.rs", "//! X.\n"),
        ];
        for (path, text) in always.iter().chain(files) {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let library = Target { name: "a".to_owned(), file: "a/src/lib.rs".to_owned(), is_library: true };
        let package = Package {
            name: "a".to_owned(),
            directory: "a".to_owned(),
            targets: vec![library],
            dependencies: Vec::new(),
        };
        let workspace =
            Workspace { root: folder.path().to_owned(), target: "/there".into(), packages: vec![package] };
        (folder, workspace)
    }

    fn breaches(files: &[(&str, &str)]) -> Vec<String> {
        let (_folder, workspace) = workspace(files);
        survey(&workspace).unwrap().breaches.iter().map(Breach::to_string).collect()
    }

    #[test]
    fn a_tidy_workspace_passes_and_tells_its_numbers() {
        let (_folder, workspace) = workspace(&[]);
        let Outcome::Passed(said) = run(&workspace) else { panic!("breaches") };
        assert!(said.starts_with("files                                 2\n"), "{said}");
    }

    #[test]
    fn breaches_of_every_rule_come_together_in_order() {
        let lines = " \nmod util;\nuse a::*;\nfn f() { todo!(); unsafe {} }\n";
        let long = format!("fn g(a: A, b: B, c: C, d: D, e: E, f: F) {{{}}}\n", "\n".repeat(70));
        let found = breaches(&[("a/src/x.rs", &format!("{lines}{long}")), ("a/src/y.rs", "//! Y.\n")]);
        let expected = [
            "README.md: the code map lacks a/src/y",
            "a/src/x.rs:1: the file does not begin with a //! comment",
            "a/src/x.rs:1: white space at the end of the line",
            "a/src/x.rs:2: a module called util",
            "a/src/x.rs:3: imports everything: a::*",
            "a/src/x.rs:4: no SAFETY: within 8 lines above the block",
            "a/src/x.rs:4: todo!",
            "a/src/x.rs:4: unsafe code outside the files that may have it",
            "a/src/x.rs:5: function g has 6 parameters, more than 5",
            "a/src/x.rs:5: function g has 71 lines, more than 70",
            "a/src/y.rs: no mod reaches this file",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_workspace_without_a_readme_has_no_map() {
        let (folder, workspace) = workspace(&[]);
        fs::remove_file(folder.path().join("README.md")).unwrap();
        let said = "README.md: no code map\nbreaches 1\n";
        assert!(matches!(run(&workspace), Outcome::Failed(text) if text.starts_with(said)));
    }

    #[test]
    fn a_file_that_is_no_rust_does_not_hide_the_others() {
        let found = breaches(&[("a/src/x.rs", "//! X.\nfn {\n"), ("a/src/y.rs", "//! Y.\n")]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn code_outside_the_packages_is_free_and_what_was_built_too() {
        assert_eq!(breaches(&[("fuzz/Cargo.toml", ""), ("fuzz/x.rs", "mod util;"), ("b.rs", "\t")]), [""; 0]);
        assert_eq!(
            breaches(&[("a/target/x.rs", "mod util;"), ("a/fuzz/Cargo.toml", ""), ("a/fuzz/x.rs", "\t")]),
            [""; 0]
        );
    }

    #[test]
    fn manifests_and_texts_keep_to_the_lines_wherever_they_are() {
        let found = breaches(&[("Cargo.toml", "[x] \n"), ("scenarios/a.toml", "\tx = 1\n")]);
        let expected = ["Cargo.toml:1: white space at the end of the line", "scenarios/a.toml:1: a tab"];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_lines_of_tests_are_those_of_test_modules_or_all() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n}\nfn g() {}\n".to_owned();
        assert_eq!(test_lines("a.rs", text.clone()), Ok(vec![2..=4]));
        assert!(test_lines("a/tests/b.rs", text).unwrap().iter().all(|lines| lines.contains(&5)));
        assert!(test_lines("a.rs", "fn {".to_owned()).is_err());
    }

    #[test]
    fn a_target_may_not_be_called_what_says_nothing() {
        assert_eq!(in_name("a/tests/served.rs", "served"), None);
        assert_eq!(
            in_name("a/tests/common.rs", "common"),
            Some(Breach::whole("a/tests/common.rs", "a target called common"))
        );
    }
}
