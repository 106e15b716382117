//! What the fuzzers begin with: every scenario and every profile is a seed, and so is what a machine says to its
//! devices in each scenario.

use std::path::Path;
use std::path::PathBuf;

use super::unreadable;
use crate::commands::cargo;
use crate::commands::run;
use crate::workspace::Workspace;

/// Puts the seeds of a target into its corpus, by their numbers.
pub(super) fn sow(workspace: &Workspace, target: &str, corpus: &Path) -> Result<(), String> {
    let folder = match target {
        "stream" => return record(workspace, corpus),
        "scenario_file" => "scenarios",
        "profile_file" => "sim-device/profiles",
        _ => return Ok(()),
    };
    let mut files = Vec::new();
    texts(&workspace.root.join(folder), &mut files)?;
    for (index, file) in files.iter().enumerate() {
        let to = corpus.join(format!("seed-{index}"));
        std::fs::copy(file, &to).map_err(|error| unreadable(file, &error))?;
    }
    Ok(())
}

/// Runs the scenarios, whose devices keep what is said to them. What was recorded before is as good, and stays.
fn record(workspace: &Workspace, corpus: &Path) -> Result<(), String> {
    let is_there = |folder: &Path| folder.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    if is_there(corpus) {
        return Ok(());
    }
    let mut scenarios = cargo(workspace, "run --release --quiet -- run --guest soft --jobs 4");
    scenarios.env("CXL_SIM_RECORD", corpus);
    run(scenarios).map(drop)
}

/// The TOML files below a folder.
fn texts(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.is_dir() {
            texts(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_folders_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for file in ["a/b.toml", "c.toml", "d.rs"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let mut files = Vec::new();
        texts(folder.path(), &mut files).unwrap();
        assert_eq!(files, [folder.path().join("a/b.toml"), folder.path().join("c.toml")]);
    }
}
