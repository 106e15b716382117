//! Kani: the proofs for its model checker compile. Nothing is proved here.
//!
//! ```text
//!  ci/kani/macros.rs ─▶ ci/kani/kani.rs ─▶ the packages, with `--cfg kani`
//! ```
//!
//! Kani brings a compiler of its own, which `cargo kani` runs; where it is installed, `cargo kani -p cxl-spec` proves
//! what is only compiled here. What stands in for its crate has the few functions that the proofs call, with the same
//! types. The tests of all values beside the same code are what is run.

use std::path::Path;

use crate::commands::cargo;
use crate::commands::program;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The packages that have proofs, and the file of each.
const PROOFS: [(&str, &str); 2] =
    [("cxl-spec", "spec/cxl/src/proofs.rs"), ("sim-device", "sim-device/src/silicon/decoder/proofs.rs")];

/// What begins a proof.
const PROOF: &str = "#[kani::proof]";

/// Compiles the proofs with what stands in for Kani.
pub(crate) fn compile(workspace: &Workspace) -> Outcome {
    match stand_in(workspace).and_then(|stand_in| compiled(workspace, &stand_in)) {
        Ok(0) => Outcome::Failed("there are no proofs".to_owned()),
        Ok(count) => {
            Outcome::Passed(format!("{count} proofs compile with a stand-in for Kani; none was carried out"))
        }
        Err(said) => Outcome::Failed(said),
    }
}

/// Builds what stands in for Kani's crate. The result is the folder that has it.
fn stand_in(workspace: &Workspace) -> Result<String, String> {
    let folder = workspace.target.join("kani");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let folder = folder.display().to_string();
    for source in [
        "--crate-type proc-macro --crate-name kani_macros ci/kani/macros.rs",
        "--crate-type lib --crate-name kani ci/kani/kani.rs --extern kani_macros",
    ] {
        let mut command = program(workspace, "rustc", "--edition 2024 -D warnings");
        command.args(source.split(' ')).args(["-L", &folder, "--out-dir", &folder]);
        run(command)?;
    }
    Ok(folder)
}

/// Compiles the packages' libraries with their proofs, and counts these.
fn compiled(workspace: &Workspace, stand_in: &str) -> Result<usize, String> {
    let mut count = 0usize;
    for (package, file) in PROOFS {
        let mut command = cargo(workspace, &format!("rustc --profile check --lib -p {package} --"));
        // Only this package is compiled so: what it depends on may have proofs that want more of Kani.
        command.args(["-D", "warnings", "--cfg", "kani", "--extern", "kani", "-L", stand_in]);
        run(command)?;
        let path = workspace.root.join(file);
        count = count.saturating_add(proofs(&path)?);
    }
    Ok(count)
}

/// How many proofs a file has.
fn proofs(path: &Path) -> Result<usize, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().filter(|line| line.trim() == PROOF).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_proofs_has_some() {
        let workspace = Workspace::load().unwrap();
        for (_, file) in PROOFS {
            assert!(proofs(&workspace.root.join(file)).unwrap() > 0, "{file}");
        }
        assert!(proofs(&workspace.root.join("none.rs")).is_err());
    }
}
