//! The files of the repository by their paths, so that the rules about files need no file system.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Directories whose name begins with a dot, and that belong to the project all the same.
const DOTTED: [&str; 2] = [".cargo", ".github"];

/// The files of a repository: paths from its root, with `/` between the parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing(BTreeSet<String>);

impl Listing {
    /// Lists what is below `root`, without what was built and what only tools look at.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut listing = Self::default();
        listing.add(root, "")?;
        Ok(listing)
    }

    /// Every file, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there is a file of this path.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Whether there is a directory of this path with a file in it.
    pub(super) fn has_directory(&self, path: &str) -> bool {
        self.below(path).next().is_some()
    }

    /// The files below a directory, by their paths from there.
    pub(super) fn below(&self, directory: &str) -> impl Iterator<Item = &str> {
        let prefix = join(directory, "");
        self.0.range(prefix.clone()..).map_while(move |path| path.strip_prefix(&prefix))
    }

    /// The directory of the package that a file belongs to: the nearest one with a manifest.
    pub(super) fn package_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut directory = path;
        while !directory.is_empty() {
            directory = parent(directory);
            if self.has_file(&join(directory, "Cargo.toml")) {
                return Some(directory);
            }
        }
        None
    }

    fn add(&mut self, root: &Path, directory: &str) -> io::Result<()> {
        for entry in std::fs::read_dir(root.join(directory))? {
            let entry = entry?;
            // A name that is no text is in no table and in no `mod`.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = join(directory, &name);
            let kind = entry.file_type()?;
            if kind.is_dir() && is_ours(&name) {
                self.add(root, &path)?;
            } else if kind.is_file() {
                self.0.insert(path);
            }
        }
        Ok(())
    }
}

impl<'a> FromIterator<&'a str> for Listing {
    fn from_iter<T: IntoIterator<Item = &'a str>>(paths: T) -> Self {
        Self(paths.into_iter().map(str::to_owned).collect())
    }
}

/// The path of something in a directory; the root is the empty path.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// The directory that something is in.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The name of a file without its directory and without `.rs`.
pub(super) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".rs").unwrap_or(name)
}

fn is_ours(directory: &str) -> bool {
    directory != "target" && (!directory.starts_with('.') || DOTTED.contains(&directory))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_listing_leaves_out_what_was_built_and_what_tools_keep() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["a/src", "a/target/debug", ".git", ".cargo"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in ["README.md", "a/src/lib.rs", "a/target/debug/x.rs", ".git/x.md", ".cargo/config.toml"] {
            fs::write(folder.path().join(path), "").unwrap();
        }
        let listing = Listing::read(folder.path()).unwrap();
        assert_eq!(listing.files().collect::<Vec<_>>(), [".cargo/config.toml", "README.md", "a/src/lib.rs"]);
    }

    #[test]
    fn a_directory_is_there_if_it_has_files() {
        let listing = Listing::from_iter(["a/src/lib.rs", "ab/c.rs"]);
        assert!(listing.has_directory("a/src") && listing.has_directory("a") && listing.has_directory(""));
        assert!(!listing.has_directory("b") && !listing.has_directory("a/src/lib.rs"));
        assert!(listing.has_file("ab/c.rs") && !listing.has_file("ab"));
        assert_eq!(listing.below("a").collect::<Vec<_>>(), ["src/lib.rs"]);
    }

    #[test]
    fn a_file_belongs_to_the_nearest_package() {
        let listing = Listing::from_iter(["a/Cargo.toml", "a/fuzz/Cargo.toml"]);
        assert_eq!(listing.package_of("a/src/lib.rs"), Some("a"));
        assert_eq!(listing.package_of("a/fuzz/x.rs"), Some("a/fuzz"));
        assert_eq!(listing.package_of("b/x.rs"), None);
        assert_eq!(Listing::from_iter(["Cargo.toml"]).package_of("b/x.rs"), Some(""));
    }
}
