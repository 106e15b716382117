//! Which package may depend on which: everything points down, and the two sides never see each other.
//!
//! ```text
//!          harness
//!        ┌────┴────┐
//!      lend        │
//!        │         │
//!   sim-device  vmm-core    ci
//!        └────┬────┴─────────┘
//!    cxl-spec   vfio-abi
//! ```
//!
//! The checks know the layouts, so that they can be a client of their own; they know neither side.
//!
//! What tests and build scripts depend on obeys the same table. Nothing comes from a git repository or from a
//! directory outside this one: what builds here builds everywhere.

use crate::step::Outcome;
use crate::workspace::Dependency;
use crate::workspace::Origin;
use crate::workspace::Workspace;

/// The packages, and the packages of the workspace that each may depend on.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("harness", &["lend", "sim-device", "vmm-core", "cxl-spec", "vfio-abi"]),
    ("lend", &["sim-device", "cxl-spec", "vfio-abi"]),
    ("sim-device", &["cxl-spec", "vfio-abi"]),
    ("vmm-core", &["cxl-spec", "vfio-abi"]),
    ("cxl-spec", &[]),
    ("vfio-abi", &[]),
    ("ci", &["cxl-spec", "vfio-abi"]),
];

/// Checks every dependency of the workspace.
pub(crate) fn run(workspace: &Workspace) -> Outcome {
    let breaches = match std::fs::read_to_string(workspace.root.join("Cargo.lock")) {
        Ok(locked) => [in_manifests(workspace), in_lock_file(&locked)].concat(),
        Err(error) => vec![format!("Cargo.lock: {error}")],
    };
    if breaches.is_empty() { Outcome::Passed(String::new()) } else { Outcome::Failed(breaches.join("\n")) }
}

fn in_manifests(workspace: &Workspace) -> Vec<String> {
    let packages: Vec<_> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    let mut breaches = unknown(&packages);
    for package in &workspace.packages {
        for dependency in &package.dependencies {
            breaches.extend(wrong_edge(&packages, &package.name, &dependency.name));
            breaches.extend(strange_origin(workspace, &package.name, dependency));
        }
    }
    breaches
}

/// The packages that the table does not know.
fn unknown(packages: &[&str]) -> Vec<String> {
    let strangers = packages.iter().filter(|package| allowed(package).is_none());
    strangers.map(|package| format!("{package}: the table of edges does not know this package")).collect()
}

/// What is wrong with the dependency of one package on another. One that is not of `packages` is free.
fn wrong_edge(packages: &[&str], from: &str, to: &str) -> Option<String> {
    // A package's tests may have features of it that nothing else turns on.
    let may = from == to || allowed(from).unwrap_or_default().contains(&to) || !packages.contains(&to);
    (!may).then(|| format!("{from} -> {to}: the table of edges does not allow this"))
}

fn allowed(package: &str) -> Option<&'static [&'static str]> {
    MAY_DEPEND.iter().find(|(from, _)| *from == package).map(|(_, to)| *to)
}

fn strange_origin(workspace: &Workspace, from: &str, dependency: &Dependency) -> Option<String> {
    let name = &dependency.name;
    match &dependency.origin {
        Origin::Git(address) => Some(format!("{from} -> {name}: comes from {address}")),
        Origin::Directory(path) if dependency.is_outside(&workspace.root) => {
            Some(format!("{from} -> {name}: comes from {}, outside the repository", path.display()))
        }
        Origin::Directory(_) | Origin::Registry => None,
    }
}

/// The git repositories of the lock file: a patch brings them in without any manifest of a package saying so.
fn in_lock_file(locked: &str) -> Vec<String> {
    let sources = locked.lines().filter_map(|line| line.strip_prefix("source = \"git+"));
    sources.map(|address| format!("Cargo.lock: comes from git+{}", address.trim_end_matches('"'))).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::workspace::Package;

    fn workspace(dependency: Dependency) -> Workspace {
        let package = Package {
            name: "sim-device".to_owned(),
            directory: "sim-device".to_owned(),
            targets: Vec::new(),
            dependencies: vec![dependency],
        };
        Workspace { root: "/here".into(), target: "/there".into(), packages: vec![package] }
    }

    fn dependency(name: &str, origin: Origin) -> Dependency {
        Dependency { name: name.to_owned(), origin }
    }

    #[rstest]
    #[case("harness", "vmm-core")]
    #[case("harness", "cxl-spec")]
    #[case("sim-device", "vfio-abi")]
    #[case("vmm-core", "cxl-spec")]
    #[case("ci", "vfio-abi")]
    #[case("sim-device", "sim-device")]
    fn an_edge_may_point_down(#[case] from: &str, #[case] to: &str) {
        assert_eq!(wrong_edge(&[from, to], from, to), None);
    }

    #[rstest]
    #[case("sim-device", "vmm-core")]
    #[case("sim-device", "lend")]
    #[case("lend", "vmm-core")]
    #[case("vmm-core", "sim-device")]
    #[case("cxl-spec", "vfio-abi")]
    #[case("cxl-spec", "harness")]
    #[case("ci", "sim-device")]
    #[case("ci", "harness")]
    #[case("harness", "ci")]
    fn an_edge_may_not_point_across_or_up(#[case] from: &str, #[case] to: &str) {
        let breach = format!("{from} -> {to}: the table of edges does not allow this");
        assert_eq!(wrong_edge(&[from, to], from, to), Some(breach));
    }

    #[test]
    fn an_edge_that_leaves_the_workspace_is_free() {
        assert_eq!(wrong_edge(&["cxl-spec", "ci"], "cxl-spec", "pastey"), None);
    }

    #[test]
    fn a_package_must_be_in_the_table() {
        assert_eq!(
            unknown(&["ci", "fuzz", "harness"]),
            ["fuzz: the table of edges does not know this package"]
        );
    }

    #[rstest]
    #[case(Origin::Registry)]
    #[case(Origin::Directory("/here/spec/cxl".into()))]
    fn a_dependency_may_come_from_a_registry_or_from_inside(#[case] origin: Origin) {
        assert_eq!(in_manifests(&workspace(dependency("x", origin))), [""; 0]);
    }

    #[rstest]
    #[case(Origin::Git("git+https://x".to_owned()), "sim-device -> x: comes from git+https://x")]
    #[case(Origin::Directory("/x".into()), "sim-device -> x: comes from /x, outside the repository")]
    fn a_dependency_may_not_come_from_git_or_from_outside(#[case] origin: Origin, #[case] breach: &str) {
        assert_eq!(in_manifests(&workspace(dependency("x", origin))), [breach]);
    }

    #[test]
    fn the_lock_file_may_not_name_a_git_repository() {
        let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert_eq!(in_lock_file(registry), [""; 0]);
        let git = format!("{registry}source = \"git+https://x?rev=1#2\"\n");
        assert_eq!(in_lock_file(&git), ["Cargo.lock: comes from git+https://x?rev=1#2"]);
    }
}
