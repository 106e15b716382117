//! Where scenarios are: in files, in folders, and in the program itself.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use include_dir::Dir;
use include_dir::include_dir;
use sim_device::profile::source::Mistake;
use sim_device::profile::source::read_text;

use super::Loaded;

/// The scenarios that come with the program, so that an installed one has them in any folder.
static BUNDLED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");

/// The folder that bundled scenarios are shown in.
const BUNDLED_FOLDER: &str = "scenarios";

/// Why scenarios could not be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// A scenario has a mistake.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// A path cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A folder has no scenario.
    #[error("{}: no scenario in this folder: no file ends in .toml", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// All scenarios that come with the program, in the order of their files.
///
/// # Errors
/// If one has a mistake.
pub fn bundled() -> Result<Vec<Loaded>, FindError> {
    let mut files = Vec::new();
    collect_bundled(&BUNDLED, &mut files);
    files.sort_unstable_by_key(|(path, _)| *path);
    let load = |(path, text): (&Path, &str)| {
        let file = Path::new(BUNDLED_FOLDER).join(path);
        Loaded::parse(&name(path), &file.display().to_string(), text, None)
    };
    files.into_iter().map(load).map(|loaded| Ok(loaded?)).collect()
}

fn collect_bundled<'a>(folder: &'a Dir<'a>, files: &mut Vec<(&'a Path, &'a str)>) {
    let scenarios = folder.files().filter(|file| is_scenario(file.path()));
    files.extend(scenarios.filter_map(|file| Some((file.path(), file.contents_utf8()?))));
    for folder in folder.dirs() {
        collect_bundled(folder, files);
    }
}

/// The scenarios at these paths, each a file or a folder, or the bundled ones where there are none.
///
/// # Errors
/// If a path cannot be read, or a scenario has a mistake.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Loaded>, FindError> {
    if paths.is_empty() {
        return bundled();
    }
    let mut all = Vec::new();
    for path in paths {
        all.extend(if path.is_dir() { folder(path)? } else { vec![file(path, Path::new(""))?] });
    }
    Ok(all)
}

fn folder(root: &Path) -> Result<Vec<Loaded>, FindError> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort_unstable();
    if files.is_empty() {
        return Err(FindError::Empty { path: root.to_owned() });
    }
    files.iter().map(|path| file(path, root)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FindError> {
    let unreadable = |error| FindError::Unreadable { path: folder.to_owned(), error };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // A link to a folder is not followed: it may lead in a circle.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            collect(&path, files)?;
        } else if is_scenario(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn file(path: &Path, root: &Path) -> Result<Loaded, FindError> {
    let unreadable = |error| FindError::Unreadable { path: path.to_owned(), error };
    let text = read_text(path).map_err(unreadable)?;
    let below = path.strip_prefix(root).unwrap_or(path);
    Ok(Loaded::parse(&name(below), &path.display().to_string(), &text, path.parent())?)
}

fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

/// A scenario's name: its path without the extension.
fn name(path: &Path) -> String {
    path.with_extension("").display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"gpu0\"\n";

    #[test]
    fn every_bundled_scenario_loads() {
        let bundled = bundled().unwrap();
        assert!(bundled.len() >= 6);
        assert!(bundled.iter().all(|one| one.file == format!("scenarios/{}.toml", one.name)));
    }

    #[test]
    fn a_folder_is_searched_to_its_ground_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for file in ["c.toml", "b/a.toml", "notes.txt"] {
            std::fs::write(folder.path().join(file), SMALL).unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b/a", "c"]);
    }

    #[test]
    fn an_empty_folder_and_a_missing_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("no scenario in this folder: no file ends in .toml"), "{error}");
        let error = find(&[PathBuf::from("/nonexistent.toml")]).unwrap_err().to_string();
        assert_eq!(error, "/nonexistent.toml: No such file or directory (os error 2)");
    }

    #[test]
    fn a_link_in_a_circle_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), SMALL).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("circle")).unwrap();
        assert_eq!(find(&[folder.path().to_owned()]).unwrap().len(), 1);
    }
}
