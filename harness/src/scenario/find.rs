//! Where scenarios are: in files, in folders, and in the program itself.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use include_dir::Dir;
use include_dir::include_dir;
use sim_device::profile::source::Mistake;
use sim_device::profile::source::read_text;

use super::Beside;
use super::Loaded;
use super::written::names_of;
use super::written::plain;

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
    files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let reader = |path: &Path| {
        let below = path.strip_prefix(BUNDLED_FOLDER).ok();
        let text = below.and_then(|below| BUNDLED.get_file(below)?.contents_utf8());
        text.map(str::to_owned).ok_or_else(|| "no file that comes with the program".to_owned())
    };
    let beside = Beside { folder: None, reader: &reader };
    load(&without_parts(files), Path::new(BUNDLED_FOLDER), |_| beside)
}

fn collect_bundled(folder: &Dir<'_>, files: &mut Vec<(PathBuf, String)>) {
    let scenarios = folder.files().filter(|file| is_scenario(file.path()));
    files.extend(scenarios.filter_map(|file| {
        Some((Path::new(BUNDLED_FOLDER).join(file.path()), file.contents_utf8()?.to_owned()))
    }));
    for folder in folder.dirs() {
        collect_bundled(folder, files);
    }
}

/// The files without those that others of them include, and that are no scenarios of their own: they do not say what
/// they prove.
fn without_parts(files: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
    let known: Vec<_> = files.iter().map(|(path, text)| names_of(path, text)).collect();
    let included: HashSet<_> = known.iter().flat_map(|(names, _)| names).collect();
    let is_part = |path: &Path, is_scenario: bool| !is_scenario && included.contains(&plain(path));
    let kept = files.into_iter().zip(&known).filter(|((path, _), (_, says))| !is_part(path, *says));
    kept.map(|(file, _)| file).collect()
}

/// The scenarios in these files, named from this folder.
fn load<'a>(
    files: &'a [(PathBuf, String)],
    root: &Path,
    beside: impl Fn(&'a Path) -> Beside<'a>,
) -> Result<Vec<Loaded>, FindError> {
    let mut all = Vec::new();
    for (path, text) in files {
        let below = path.strip_prefix(root).unwrap_or(path);
        all.extend(Loaded::all((&name(below), &path.display().to_string()), text, beside(path))?);
    }
    Ok(all)
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
        all.extend(if path.is_dir() { folder(path)? } else { of_disk(&[file(path)?], Path::new(""))? });
    }
    Ok(all)
}

/// The files that scenarios at these paths can be in: files, and what folders have.
///
/// # Errors
/// If a path cannot be read.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, FindError> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn folder(root: &Path) -> Result<Vec<Loaded>, FindError> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(FindError::Empty { path: root.to_owned() });
    }
    let files = paths.iter().map(|path| file(path)).collect::<Result<_, _>>()?;
    of_disk(&without_parts(files), root)
}

fn of_disk(files: &[(PathBuf, String)], root: &Path) -> Result<Vec<Loaded>, FindError> {
    let reader = |path: &Path| read_text(path).map_err(|error| error.to_string());
    load(files, root, |path| Beside { folder: path.parent(), reader: &reader })
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

fn file(path: &Path) -> Result<(PathBuf, String), FindError> {
    let unreadable = |error| FindError::Unreadable { path: path.to_owned(), error };
    Ok((path.to_owned(), read_text(path).map_err(unreadable)?))
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
        let named = |one: &Loaded| one.name.split('[').next().map(|name| format!("scenarios/{name}.toml"));
        assert!(bundled.iter().all(|one| Some(&one.file) == named(one).as_ref()));
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
    fn what_is_only_included_is_no_scenario_and_what_proves_something_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        let own = "include = [\"../base.toml\", \"c.toml\"]\n";
        for (file, text) in [
            ("b/a.toml", own),
            ("b/c.toml", "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"c\"\n"),
            ("base.toml", "[machine]\nram = \"64MiB\"\n"),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b/a", "b/c"]);
        assert_eq!(found[0].machine.ram, 64 << 20);
        // Nobody includes it, so it is taken for a scenario, and is none.
        std::fs::remove_file(folder.path().join("b/a.toml")).unwrap();
        let error = find(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("base.toml:1: missing field `proves`"), "{error}");
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
