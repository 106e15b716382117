//! The presets: each as its file, and every key of a profile with its default.

use std::fs;

use serde_json::Map;
use serde_json::Value;

use super::markdown::code;
use super::markdown::page;
use super::markdown::table;
use super::served::json;
use super::served::program;
use crate::commands::run;
use crate::workspace::Workspace;

/// Where the presets are.
const FILES: &str = "sim-device/profiles";

/// How a key names its type in a schema.
const REFERENCE: &str = "$ref";

/// The page.
///
/// # Errors
/// If the program does not say what it has.
pub(super) fn written(workspace: &Workspace) -> Result<String, String> {
    let mut page = page(
        "Presets and keys of a profile",
        "A preset is a profile that comes with the program. A profile says what is different from `t2-committed`, \
         whose values are the defaults. `with` in a scenario takes the same keys.",
    );
    let listed = run(program(workspace, "list profiles"))?;
    let presets: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let rows: Vec<_> =
        presets.iter().map(|(name, about)| vec![code(name), about.trim().to_owned()]).collect();
    page.push_str(&table(&["Preset", "What it is"], &rows));
    for (name, _) in presets {
        let path = format!("{FILES}/{name}.toml");
        let text =
            fs::read_to_string(workspace.root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        page.push_str(&format!("\n### {name}\n\n```toml\n{}\n```\n", text.trim_end()));
    }
    page.push_str("\n## Every key\n");
    page.push_str(&keys(&json(workspace, "schema profile")?)?);
    Ok(page)
}

/// Every key of a schema by its section.
fn keys(schema: &Value) -> Result<String, String> {
    let none = || "the schema of a profile has no keys".to_owned();
    let sections = properties(schema).ok_or_else(none)?;
    let mut out = String::new();
    for (section, property) in sections {
        let definition = definition(schema, property).ok_or_else(none)?;
        out.push_str(&format!("\n### [{section}]\n\n{}\n", text(property, "description")));
        let rows = rows(schema, section, definition, property.get("default"));
        out.push_str(&table(&["Key", "Default", "What it is"], &rows));
    }
    Ok(out)
}

/// The rows of a section, and of the tables in it.
fn rows(schema: &Value, section: &str, definition: &Value, default: Option<&Value>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (key, property) in properties(definition).into_iter().flatten() {
        let name = format!("{section}.{key}");
        let value = default.and_then(|default| default.get(key)).or(property.get("default"));
        let inner = self::definition(schema, property);
        let has_keys = inner.and_then(properties).is_some();
        match inner.filter(|_| has_keys && value.is_some_and(Value::is_object)) {
            Some(inner) => rows.extend(self::rows(schema, &name, inner, value)),
            None => {
                let about = [text(property, "description"), &choices(inner)].join(" ");
                rows.push(vec![code(&name), code(&shown(value)), about.trim().to_owned()]);
            }
        }
    }
    rows
}

/// The values that a word can have, where a schema lists them.
fn choices(definition: Option<&Value>) -> String {
    let words = definition.and_then(|definition| definition.get("oneOf")).and_then(Value::as_array);
    let word = |choice: &Value| {
        let word = choice.get("const")?.as_str()?;
        Some(format!("`{word}`: {}", text(choice, "description")))
    };
    words.into_iter().flatten().filter_map(word).collect::<Vec<_>>().join(" ")
}

fn properties(value: &Value) -> Option<&Map<String, Value>> {
    value.get("properties")?.as_object()
}

/// What a key's type is, where it has a name.
fn definition<'a>(schema: &'a Value, property: &'a Value) -> Option<&'a Value> {
    let name = property.get(REFERENCE)?.as_str()?.rsplit('/').next()?;
    schema.get("$defs")?.get(name)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A default as it is written in a profile.
fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_tables_in_tables_have_all_their_names() {
        let schema = r##"{"properties": {"a": {"description": "A.", "$ref": "#/$defs/A",
            "default": {"b": 1, "c": {"d": "x"}}}},
            "$defs": {"A": {"properties": {"b": {"description": "B."}, "c": {"$ref": "#/$defs/C"}}},
            "C": {"properties": {"d": {"description": "D.", "$ref": "#/$defs/D"}}},
            "D": {"oneOf": [{"const": "x", "description": "Ex."}]}}}"##;
        let told = keys(&serde_json::from_str(schema).unwrap()).unwrap();
        assert!(told.contains("\n### [a]\n\nA.\n"), "{told}");
        assert!(told.contains("\n| `a.b` | `1` | B. |\n"), "{told}");
        assert!(told.contains("\n| `a.c.d` | `\"x\"` | D. `x`: Ex. |\n"), "{told}");
    }
}
