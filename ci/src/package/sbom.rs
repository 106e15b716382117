//! A list of all that is in the program, in the form that other programs read: `CycloneDX`.
//!
//! cargo-cyclonedx writes it; what cargo itself says the program is made of must be in it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use super::PACKAGE;
use super::PROGRAM;
use super::add_command;
use super::musl::TARGETS;
use super::musl::Target;
use crate::commands::cargo;
use crate::commands::reason;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// What it is called that is written beside the manifest of each package with a program.
const WRITTEN: &str = "_bin.cdx.json";

/// A name and a version.
type Component = (String, String);

/// Writes a list for each static program.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    if let Err(said) = add_command(workspace, "cyclonedx") {
        return Outcome::Skipped(format!("no cargo-cyclonedx: {}", reason(&said)));
    }
    let told: Result<Vec<_>, _> = TARGETS.iter().map(|target| listed(workspace, target)).collect();
    match told {
        Ok(told) => Outcome::Passed(told.join("\n")),
        Err(said) => Outcome::Failed(said),
    }
}

fn listed(workspace: &Workspace, target: &Target) -> Result<String, String> {
    let name = target.name;
    run(cargo(
        workspace,
        &format!(
            "cyclonedx --manifest-path {PACKAGE}/Cargo.toml --format json --spec-version 1.5 --describe binaries \
             --no-build-deps --quiet --target {name}"
        ),
    ))?;
    let text = taken(workspace)?;
    let tree = format!("tree --locked --package {PACKAGE} --edges normal --target {name} --prefix none");
    let lacks = lacking(&run(cargo(workspace, &tree))?, &components(&text)?);
    if !lacks.is_empty() {
        return Err(format!("the list for {name} lacks {}", lacks.join(", ")));
    }
    let path = workspace.target.join(format!("{PROGRAM}-{name}.cdx.json"));
    std::fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(format!("{}: {} packages", path.display(), components(&text)?.len()))
}

/// The list, which is taken away from among the sources, and names no folder of this machine.
fn taken(workspace: &Workspace) -> Result<String, String> {
    let mut text = None;
    for package in &workspace.packages {
        for target in &package.targets {
            let path: PathBuf =
                workspace.root.join(&package.directory).join(format!("{}{WRITTEN}", target.name));
            let Ok(read) = std::fs::read_to_string(&path) else { continue };
            std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if target.name == PROGRAM {
                text = Some(read);
            }
        }
    }
    let text = text.ok_or_else(|| format!("cargo-cyclonedx wrote no {PROGRAM}{WRITTEN}"))?;
    Ok(text.replace(&format!("{}/", workspace.root.display()), ""))
}

/// What a list has.
fn components(text: &str) -> Result<BTreeSet<Component>, String> {
    let list: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let components = list.get("components").and_then(Value::as_array).ok_or("the list has no components")?;
    let word = |component: &Value, key: &str| component.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(components.iter().filter_map(|one| Some((word(one, "name")?, word(one, "version")?))).collect())
}

/// What cargo's tree names and a list does not; the first line is the program itself.
fn lacking(tree: &str, has: &BTreeSet<Component>) -> Vec<String> {
    let named: BTreeSet<Component> = tree.lines().skip(1).filter_map(of_tree).collect();
    named.difference(has).map(|(name, version)| format!("{name} {version}")).collect()
}

/// The package in a line of the tree: `clap v4.6.1 (*)`.
fn of_tree(line: &str) -> Option<Component> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    Some((name.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"{"components": [
        {"name": "clap", "version": "4.6.1"}, {"name": "syn", "version": "2.0.119"}, {"type": "file"}
    ]}"#;

    #[test]
    fn what_the_tree_names_must_be_in_the_list_by_its_version() {
        let has = components(LIST).unwrap();
        let tree = "harness v0.1.0 (/here)\nclap v4.6.1\nsyn v2.0.119 (proc-macro)\nclap v4.6.1 (*)\n\n";
        assert_eq!(lacking(tree, &has), [""; 0]);
        let tree = format!("{tree}syn v3.0.9\nserde v1.0.0\n");
        assert_eq!(lacking(&tree, &has), ["serde 1.0.0", "syn 3.0.9"]);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        assert!(components("{}").is_err());
        assert!(components("").is_err());
    }
}
