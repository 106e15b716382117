//! What the manifests say: the packages, their targets, and on what they depend.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use cargo_metadata::camino::Utf8Path;

/// The repository and its packages.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// The directory at the top, absolute.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds, absolute.
    pub(crate) target: PathBuf,
    /// The packages that are members.
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace. Paths count from the root and have `/` between their parts.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Where its manifest is.
    pub(crate) directory: String,
    /// What is built from it.
    pub(crate) targets: Vec<Target>,
    /// What it depends on, for any purpose: its code, its tests, its build.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A library, a program, a test, a benchmark, an example or a build script.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Its name.
    pub(crate) name: String,
    /// The file that begins it.
    pub(crate) file: String,
    /// Whether it is the package's library.
    pub(crate) is_library: bool,
}

/// A line of a manifest's dependencies.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    /// The name of the other package.
    pub(crate) name: String,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

/// Where a dependency comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A registry.
    Registry,
    /// A git repository: its address.
    Git(String),
    /// A directory, absolute.
    Directory(PathBuf),
}

impl Workspace {
    /// The workspace of the current directory.
    ///
    /// # Errors
    /// If cargo finds none or cannot read a manifest.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec().context("no workspace")?;
        let root = &metadata.workspace_root;
        let packages = metadata.packages.iter().map(|package| Package::new(root, package)).collect();
        Ok(Self { root: root.into(), target: metadata.target_directory.into(), packages })
    }
}

impl Package {
    fn new(root: &Utf8Path, package: &cargo_metadata::Package) -> Self {
        let directory = package.manifest_path.parent().unwrap_or(root);
        Self {
            name: package.name.to_string(),
            directory: relative(root, directory),
            targets: package.targets.iter().map(|target| Target::new(root, target)).collect(),
            dependencies: package.dependencies.iter().map(Dependency::new).collect(),
        }
    }

    /// Whether others can depend on it.
    pub(crate) fn is_library(&self) -> bool {
        self.targets.iter().any(|target| target.is_library)
    }
}

impl Target {
    fn new(root: &Utf8Path, target: &cargo_metadata::Target) -> Self {
        let file = relative(root, &target.src_path);
        Self { name: target.name.clone(), file, is_library: target.is_lib() }
    }
}

impl Dependency {
    fn new(dependency: &cargo_metadata::Dependency) -> Self {
        let source = dependency.source.as_ref().map(|source| source.repr.as_str());
        let origin = match (&dependency.path, source) {
            (Some(path), _) => Origin::Directory(path.into()),
            (None, Some(source)) if source.starts_with("git+") => Origin::Git(source.to_owned()),
            (None, _) => Origin::Registry,
        };
        Self { name: dependency.name.clone(), origin }
    }

    /// Whether it comes from a directory that is not below `root`.
    pub(crate) fn is_outside(&self, root: &Path) -> bool {
        matches!(&self.origin, Origin::Directory(path) if !path.starts_with(root))
    }
}

/// A path as it is written everywhere here. A file outside the root, which only a manifest can name, stays absolute.
fn relative(root: &Utf8Path, path: &Utf8Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_package_is_a_program_at_its_place() {
        let workspace = Workspace::load().unwrap();
        let this = workspace.packages.iter().find(|package| package.name == "ci").unwrap();
        assert_eq!((this.directory.as_str(), this.is_library()), ("ci", false));
        assert!(this.targets.iter().any(|target| target.file == "ci/src/main.rs"));
        assert!(workspace.root.join(&this.directory).join("Cargo.toml").exists());
    }

    #[test]
    fn a_directory_is_outside_unless_it_is_below_the_root() {
        let at = |path: &str| Dependency { name: "x".to_owned(), origin: Origin::Directory(path.into()) };
        assert!(at("/home/other").is_outside(Path::new("/home/here")));
        assert!(at("/home/here-too").is_outside(Path::new("/home/here")));
        assert!(!at("/home/here/spec/cxl").is_outside(Path::new("/home/here")));
    }
}
