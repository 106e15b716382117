//! The bundled scenarios by what they prove, and every step and key that a scenario can have.

use std::collections::BTreeMap;
use std::fs;

use syn::File;

use super::comments::members;
use super::comments::source;
use super::markdown::code;
use super::markdown::page;
use super::markdown::table;
use super::served::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// Where the structures of scenarios are.
const SOURCES: &str = "harness/src/scenario";

/// The tables of a scenario's file: what they are called there, and the structure with its source.
const TABLES: [(&str, &str, &str); 6] = [
    ("The top of the file", "mod.rs", "Scenario"),
    ("[machine]", "mod.rs", "MachineKeys"),
    ("[[device]]", "mod.rs", "Device"),
    ("[[bridge]]", "topology.rs", "Bridge"),
    ("[[window]]", "topology.rs", "Window"),
    ("[[smmu]]", "dma.rs", "Smmu"),
];

/// The page of the bundled scenarios.
///
/// # Errors
/// If the program does not say what it has.
pub(super) fn bundled(workspace: &Workspace) -> Result<String, String> {
    let listed = run(program(workspace, "list scenarios"))?;
    let mut folders: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for line in listed.lines() {
        let parts = line.split_once(' ').and_then(|(path, proves)| {
            let (folder, name) = path.strip_prefix("scenarios/")?.split_once('/')?;
            // Behind the ending is what one of a matrix has for its variables.
            let (name, variables) = name.split_once(".toml")?;
            Some((folder, format!("{name} {}", variables.replace(',', ", ")), proves.trim()))
        });
        let (folder, name, proves) = parts.ok_or_else(|| format!("nobody knows what this is: {line}"))?;
        folders.entry(folder).or_default().push(vec![name.trim_end().to_owned(), proves.to_owned()]);
    }
    let count: usize = folders.values().map(Vec::len).sum();
    let about = format!(
        "{count} scenarios come with the program. The first column is the name of a file, without `.toml`; \
         `cxl-sim list scenarios` prints the same list."
    );
    let mut page = page("The bundled scenarios", &about);
    for (folder, rows) in folders {
        page.push_str(&format!("\n## scenarios/{folder}\n"));
        page.push_str(&table(&["Name", "What it proves"], &rows));
    }
    Ok(page)
}

/// The page of steps and keys.
///
/// # Errors
/// If a source cannot be read.
pub(super) fn steps(workspace: &Workspace) -> Result<String, String> {
    let read = |name: &str| source(&workspace.root, &format!("{SOURCES}/{name}"));
    let mut page = page(
        "Every step and key of a scenario",
        "This is what the parser itself says. A key that is not listed is a mistake, and is told with its line.",
    );
    for (heading, file, structure) in TABLES {
        page.push_str(&format!("\n## {heading}\n"));
        page.push_str(&table(&["Key", "Must be there", "What it is"], &keys(&read(file)?, structure)?));
    }
    page.push_str(
        "\n## Places\n\nA number, or the name of a device, a dot, one of these, and perhaps an offset.\n\n",
    );
    page.push_str(&table_of(workspace, "place.rs")?);
    page.push_str("\n## Needs\n\nWords of `requires`; what the steps show themselves need not be said.\n\n");
    page.push_str(&table_of(workspace, "needs.rs")?);
    page.push_str("\n## Steps\n\nEach `[[step]]` has one of these for its only key.\n");
    for (name, kind, about) in kinds(&read("step.rs")?)? {
        page.push_str(&format!("\n### {name}\n\n{about}\n"));
        let (module, structure) =
            kind.split_once("::").ok_or_else(|| format!("nobody knows where {kind} is"))?;
        let rows = keys(&read(&format!("{module}.rs"))?, structure)?;
        if !rows.is_empty() {
            page.push_str(&table(&["Key", "Must be there", "What it is"], &rows));
        }
    }
    Ok(page)
}

/// The table that a source begins with.
fn table_of(workspace: &Workspace, name: &str) -> Result<String, String> {
    let path = format!("{SOURCES}/{name}");
    let text = fs::read_to_string(workspace.root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! |"));
    let table: String = rows.map(|row| format!("|{row}\n")).collect();
    if table.is_empty() { Err(format!("{path} begins with no table")) } else { Ok(table) }
}

/// The rows for a structure's fields, as they are called in a file.
fn keys(file: &File, structure: &str) -> Result<Vec<Vec<String>>, String> {
    let named = |name: &str| match name {
        "bridges" | "windows" | "smmus" | "devices" | "steps" => {
            name.strip_suffix('s').unwrap_or(name).to_owned()
        }
        name => name.trim_start_matches("r#").to_owned(),
    };
    let members = members(file, structure)?;
    let row = |member: super::comments::Member| {
        let needed = if member.is_optional { "" } else { "yes" };
        vec![code(&named(&member.name)), needed.to_owned(), member.about]
    };
    Ok(members.into_iter().map(row).collect())
}

/// The kinds of steps: how a file names each, its structure with its module, and what it is.
fn kinds(file: &File) -> Result<Vec<(String, String, String)>, String> {
    let members = members(file, "Step")?;
    let one = |member: super::comments::Member| (snake(&member.name), member.kind, member.about);
    Ok(members.into_iter().map(one).collect())
}

/// A name of a variant as a file has it.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_step_has_its_name_in_a_file_and_its_structure() {
        let file =
            syn::parse_file("enum Step {\n    /// Does.\n    DeviceHolds(machine::DeviceHolds),\n}").unwrap();
        let expected = ("device_holds".to_owned(), "machine::DeviceHolds".to_owned(), "Does.".to_owned());
        assert_eq!(kinds(&file).unwrap(), [expected]);
    }

    #[test]
    fn every_kind_of_step_is_told_with_its_keys() {
        let page = steps(&Workspace::load().unwrap()).unwrap();
        for told in [
            "\n### store\n",
            "\n### device_holds\n",
            "| `width` |",
            "\n## [[bridge]]\n",
            "| `device` |",
            "| `window`           |",
        ] {
            assert!(page.contains(told), "{told}");
        }
    }
}
