//! The code map: the section of the readme that says where things are.
//!
//! ```text
//! ## Code map
//!
//! spec/
//!   cxl/            what stands after the first word is free
//! sim-device/
//!   silicon/
//!     engine.rs
//! ```
//!
//! The map is a block between fences, a path in each line, two more spaces for each directory it is in. Below a
//! package the step into `src` may be left out. Every path must exist; every package and every module at the top
//! of a library must be in the map.

use std::collections::BTreeSet;

use super::breach::Breach;
use super::listing::Listing;
use super::listing::join;
use crate::workspace::Package;

/// The file that has the map.
pub(super) const README: &str = "README.md";

const HEADING: &str = "## Code map";

const FENCE: &str = "```";

/// What is dead in the map and what it lacks. `readme` is the text of the file, empty if there is none.
pub(super) fn check(readme: &str, listing: &Listing, packages: &[Package]) -> Vec<Breach> {
    let Some(lines) = map(readme) else {
        return vec![Breach::whole(README, "no code map")];
    };
    let mut walk = Walk { listing, packages, open: Vec::new(), named: BTreeSet::new(), breaches: Vec::new() };
    for (number, line) in lines {
        walk.line(number, line);
    }
    let required = required(listing, packages);
    let lacks = required.iter().filter(|path| !walk.names(path));
    let lacks = lacks.map(|path| Breach::whole(README, format!("the code map lacks {path}")));
    [walk.breaches.clone(), lacks.collect()].concat()
}

/// The lines of the map with their numbers.
fn map(readme: &str) -> Option<Vec<(usize, &str)>> {
    let mut lines = (1..).zip(readme.lines()).skip_while(|(_, line)| line.trim_end() != HEADING).skip(1);
    let mut section = lines.by_ref().take_while(|(_, line)| !line.starts_with("## "));
    section.find(|(_, line)| line.starts_with(FENCE))?;
    Some(section.take_while(|(_, line)| !line.starts_with(FENCE)).collect())
}

/// What the map must have: the packages, and the modules at the top of those that are libraries.
fn required(listing: &Listing, packages: &[Package]) -> BTreeSet<String> {
    let directories = packages.iter().map(|package| package.directory.clone());
    let libraries = packages.iter().filter(|package| package.is_library());
    let modules = libraries.flat_map(|package| modules(listing, &join(&package.directory, "src")));
    directories.chain(modules).filter(|path| !path.is_empty()).collect()
}

/// The modules at the top of a library, without `.rs`.
fn modules(listing: &Listing, src: &str) -> Vec<String> {
    let names = listing.below(src).filter_map(top_module);
    names.filter(|name| !["lib", "main", "tests"].contains(name)).map(|name| join(src, name)).collect()
}

/// The module at the top that a file is, if it is one.
fn top_module(path: &str) -> Option<&str> {
    match path.split_once('/') {
        None => path.strip_suffix(".rs"),
        Some((folder, "mod.rs")) => Some(folder),
        Some(_) => None,
    }
}

/// A walk down the lines of the map.
struct Walk<'a> {
    listing: &'a Listing,
    packages: &'a [Package],
    /// The directories that the line before was in, and itself if it is one.
    open: Vec<String>,
    named: BTreeSet<String>,
    breaches: Vec<Breach>,
}

impl Walk<'_> {
    fn line(&mut self, number: usize, line: &str) {
        let Some(name) = line.split_whitespace().next() else { return };
        let spaces = line.chars().take_while(|character| *character == ' ').count();
        let depth = spaces / 2;
        if spaces % 2 != 0 || depth > self.open.len() {
            let what =
                format!("{name} is indented by {spaces} spaces, and stands in no directory of the map");
            self.breaches.push(Breach::at(README, number, what));
            return;
        }
        self.open.truncate(depth);
        let directory = self.open.last().map_or("", String::as_str);
        let (path, exists) = self.resolved(directory, name);
        if !exists {
            self.breaches.push(Breach::at(
                README,
                number,
                format!("the code map has {path}, which does not exist"),
            ));
        }
        if name.ends_with('/') {
            self.open.push(path.clone());
        }
        self.named.insert(path);
    }

    /// The path of a name in a directory, and whether there is such a file or directory.
    fn resolved(&self, directory: &str, name: &str) -> (String, bool) {
        let is_package = self.packages.iter().any(|package| package.directory == directory);
        let source = is_package.then(|| join(&join(directory, "src"), name.trim_end_matches('/')));
        let path = join(directory, name.trim_end_matches('/'));
        let exists = |path: &str| match name.ends_with('/') {
            true => self.listing.has_directory(path),
            false => self.listing.has_file(path),
        };
        match source.filter(|source| exists(source)) {
            Some(source) if !exists(&path) => (source, true),
            _ => (path.clone(), exists(&path)),
        }
    }

    /// Whether the map has a directory, or a module as a directory or a file.
    fn names(&self, path: &str) -> bool {
        self.named.contains(path) || self.named.contains(&format!("{path}.rs"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::workspace::Target;

    const FILES: [&str; 10] = [
        "ci/Cargo.toml",
        "ci/src/main.rs",
        "ci/src/step.rs",
        "scenarios/reset.toml",
        "sim/Cargo.toml",
        "sim/src/kernel/mod.rs",
        "sim/src/kernel/v2.rs",
        "sim/src/lib.rs",
        "sim/src/profile.rs",
        "sim/tests/served.rs",
    ];

    const MAP: &str =
        "scenarios/  one behaviour per file\nci/\nsim/\n  kernel/\n    v2.rs\n  profile.rs   which\n";

    fn package(name: &str, is_library: bool) -> Package {
        let target = Target { name: name.to_owned(), file: String::new(), is_library };
        Package {
            name: name.to_owned(),
            directory: name.to_owned(),
            targets: vec![target],
            dependencies: Vec::new(),
        }
    }

    fn readme(map: &str) -> String {
        format!("# Title\n\n## Code map\n\n```text\n{map}```\n\n## More\n\n```\nnowhere/\n```\n")
    }

    fn breaches(readme: &str) -> Vec<String> {
        let packages = [package("ci", false), package("sim", true)];
        let breaches = check(readme, &Listing::from_iter(FILES), &packages);
        breaches.iter().map(Breach::to_string).collect()
    }

    #[test]
    fn a_map_that_has_everything_is_good() {
        assert_eq!(breaches(&readme(MAP)), [""; 0]);
    }

    #[test]
    fn the_step_into_src_may_be_written_out() {
        let written = "ci/\n  src/\n    step.rs\nsim/\n  src/\n    kernel/\n    profile.rs\n  tests/\n";
        assert_eq!(breaches(&readme(written)), [""; 0]);
        assert_eq!(breaches(&readme("ci/src/\nci/\nsim/\n  src/kernel/\n  src/profile.rs\n")), [""; 0]);
    }

    #[rstest]
    #[case("")]
    #[case("# Title\n\n```\nci/\n```\n")]
    #[case("## Code map\n\nSee elsewhere.\n\n## More\n\n```\nci/\n```\n")]
    fn a_readme_may_not_be_without_a_map(#[case] readme: &str) {
        assert_eq!(breaches(readme), ["README.md: no code map"]);
    }

    #[rstest]
    #[case("  v3/\n", "sim/v3")]
    #[case("  kernel/\n    v3.rs\n", "sim/src/kernel/v3.rs")]
    #[case("  kernel\n", "sim/kernel")]
    #[case("  profile.rs/\n", "sim/profile.rs")]
    #[case("kernel/\n", "kernel")]
    fn a_path_of_the_map_may_not_be_dead(#[case] line: &str, #[case] path: &str) {
        let number = 11 + line.lines().count();
        let breach = format!("README.md:{number}: the code map has {path}, which does not exist");
        assert_eq!(breaches(&readme(&format!("{MAP}{line}"))), [breach]);
    }

    #[rstest]
    #[case("   v2.rs\n", 3)]
    #[case("    v2.rs\n", 4)]
    fn a_line_of_the_map_must_stand_in_a_directory(#[case] line: &str, #[case] spaces: usize) {
        let what = format!("v2.rs is indented by {spaces} spaces, and stands in no directory of the map");
        assert_eq!(breaches(&readme(&format!("{MAP}{line}"))), [format!("README.md:12: {what}")]);
    }

    #[rstest]
    #[case("ci/\nsim/\n  profile.rs\n", "sim/src/kernel")]
    #[case("ci/\nsim/\n  kernel/\n", "sim/src/profile")]
    #[case("sim/\n  kernel/\n  profile.rs\n", "ci")]
    fn a_package_or_a_module_of_a_library_may_not_be_missing(#[case] map: &str, #[case] path: &str) {
        assert_eq!(breaches(&readme(map)), [format!("README.md: the code map lacks {path}")]);
    }
}
