//! The JSON schema of a scenario, for editors and for whoever writes scenarios with a program.
//!
//! Most of it follows from the types. What they do not know is added here: how a place or a region is written, which
//! names a text can be, and that wherever something other than any text stands there can be a variable.

use std::borrow::Cow;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use schemars::schema_for;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use sim_device::kernel::ABIS;
use vfio_abi::cxl::Revision;
use vmm_core::irq::signals::Signal;
use vmm_core::plan::defect::Defect;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::iommu;
use vmm_core::plan::life::AfterReset;
use vmm_core::plan::life::Committer;
use vmm_core::plan::life::OnLoss;
use vmm_core::plan::machine::Arch;

use super::Scenario;
use super::dma::ENDS;
use super::life::GUESTS;
use super::life::KVM;
use super::needs::Need;
use super::place::Place;
use super::region;
use super::region::Bytes;
use super::region::ErrnoName;
use super::region::RegionName;

/// The JSON schema of a scenario.
pub fn schema() -> Schema {
    let mut schema = schema_for!(Scenario);
    schema.insert("$id".to_owned(), "urn:cxl-sim:scenario".into());
    let Some(root) = schema.as_object_mut() else { return schema };
    for (definition, key, names) in NAMED {
        let at = match *definition {
            "" => root.get_mut("properties"),
            _ => root.get_mut("$defs").and_then(|all| all.get_mut(definition)?.get_mut("properties")),
        };
        if let Some(Value::Object(at)) = at.and_then(|keys| keys.get_mut(key)) {
            only(at, &names());
        }
    }
    let mut whole = Value::Object(std::mem::take(root));
    loosen(&mut whole);
    if let Value::Object(mut whole) = whole {
        written(&mut whole);
        root.append(&mut whole);
    }
    schema
}

/// Texts that are one of some names: the definition that has the key, empty for the scenario itself; the key; and the
/// names.
type Named = (&'static str, &'static str, fn() -> Vec<&'static str>);

const NAMED: &[Named] = &[
    ("", "abi", abis),
    ("", "requires", needs),
    ("", "guest", || GUESTS.to_vec()),
    ("MachineKeys", "arch", || Arch::ALL.map(Arch::name).to_vec()),
    ("MachineKeys", "assume", || Revision::ALL.map(Revision::name).to_vec()),
    ("MachineKeys", "after_reset", || AfterReset::ALL.map(AfterReset::name).to_vec()),
    ("MachineKeys", "defects", || Defect::ALL.map(Defect::name).to_vec()),
    ("MachineKeys", "dma", || Policy::ALL.map(Policy::name).to_vec()),
    ("Smmu", "reach", || iommu::Way::ALL.map(iommu::Way::name).to_vec()),
    ("Device", "commit", || Committer::ALL.map(Committer::name).to_vec()),
    ("Device", "on_loss", || OnLoss::ALL.map(OnLoss::name).to_vec()),
    ("Signalled", "what", || Signal::ALL.map(Signal::name).to_vec()),
    ("Copy", "ends", ends),
    ("Copy2", "ends", ends),
];

fn abis() -> Vec<&'static str> {
    ABIS.iter().map(|abi| abi.name).collect()
}

fn needs() -> Vec<&'static str> {
    [KVM].into_iter().chain(Need::ALL.map(Need::name)).collect()
}

fn ends() -> Vec<&'static str> {
    ENDS.map(|(name, _)| name).to_vec()
}

/// A text is one of these, or each of a list of texts is.
fn only(schema: &mut Map<String, Value>, names: &[&str]) {
    match schema.get_mut("items").and_then(Value::as_object_mut) {
        Some(items) => only(items, names),
        None => {
            schema.insert("type".to_owned(), "string".into());
            schema.insert("enum".to_owned(), names.into());
        }
    }
}

/// The definition of a text with a variable in it.
const VARIABLE: &str = "Variable";

/// What says something about a schema, and nothing about values.
const ANNOTATIONS: [&str; 3] = ["title", "description", "default"];

/// Lets a variable be wherever a value has a form: a text with one in it stands for the value.
fn loosen(schema: &mut Value) {
    let Value::Object(keys) = schema else { return };
    if has_form(keys) {
        let (about, form): (Map<_, _>, Map<_, _>) =
            std::mem::take(keys).into_iter().partition(|(key, _)| ANNOTATIONS.contains(&key.as_str()));
        *keys = about;
        keys.insert("anyOf".to_owned(), json!([form, { "$ref": format!("#/$defs/{VARIABLE}") }]));
        return;
    }
    for (key, value) in keys {
        match (key.as_str(), value) {
            ("properties" | "$defs", Value::Object(inner)) => inner.values_mut().for_each(loosen),
            ("anyOf" | "oneOf" | "allOf", Value::Array(inner)) => inner.iter_mut().for_each(loosen),
            ("items" | "additionalProperties", inner) => loosen(inner),
            _ => {}
        }
    }
}

/// Whether it is of values that are neither tables nor lists nor any text.
fn has_form(schema: &Map<String, Value>) -> bool {
    let either = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    if let Some(either) = either {
        return either.iter().all(|one| one.as_object().is_some_and(is_of_scalars))
            && either.iter().any(|one| one.as_object().is_some_and(has_form));
    }
    let is_restricted = ["enum", "const", "pattern"].iter().any(|key| schema.contains_key(*key));
    is_of_scalars(schema) && (is_restricted || !types(schema).contains(&"string"))
}

fn is_of_scalars(schema: &Map<String, Value>) -> bool {
    let types = types(schema);
    !types.is_empty() && types.iter().all(|name| !["object", "array"].contains(name))
}

fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Adds the keys that are no longer there when a scenario is read: `include`, `vars` and `matrix`.
fn written(schema: &mut Map<String, Value>) {
    let scalar = json!({ "type": ["string", "integer", "boolean"] });
    let values = json!({ "type": "array", "minItems": 1, "items": scalar });
    let profile = "Each of these presets or files in turn is what a device is that says nothing of it.";
    let abi = "Each of these kernels in turn is what the scenario is about.";
    let guest = "Each of these in turn runs the guest.";
    let of_names =
        |about, names: Value| json!({ "description": about, "type": "array", "minItems": 1, "items": names });
    let keys = json!({
        "include": {
            "description": "Files, from this one's folder, that the scenario begins with: their tables are merged with \
                            its own, lists of tables come before its own, and of anything else its own is taken.",
            "type": "array",
            "items": { "type": "string", "pattern": "^[^/].*\\.toml$" },
        },
        "vars": {
            "description": "Values by name: \"${name}\" in a text stands for one.",
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "additionalProperties": scalar,
        },
        "matrix": {
            "description": "Lists of values: the file is a scenario for each combination. Each key is a variable, too.",
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" },
            "properties": {
                "profile": of_names(profile, json!({ "type": "string" })),
                "abi": of_names(abi, json!({ "enum": abis() })),
                "guest": of_names(guest, json!({ "enum": GUESTS })),
            },
            "additionalProperties": values,
        },
    });
    if let (Some(Value::Object(to)), Value::Object(mut keys)) = (schema.get_mut("properties"), keys) {
        to.append(&mut keys);
    }
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        let variable = json!({
            "description": "A text with a variable in it, such as \"${size}\".",
            "type": "string",
            "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}",
        });
        definitions.insert(VARIABLE.to_owned(), variable);
    }
    // What is required may be in a file that is included.
    if let Some(required) = schema.remove("required") {
        let either = json!([{ "required": required }, { "required": ["include"] }]);
        schema.insert("anyOf".to_owned(), either);
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = "(0x[0-9a-fA-F_]+|[0-9_]+ *([KMGT]iB|B)?)";
        let part = "(config|bar[0-5]|component|registers|hdm|window|port|port_component|bridge_component)";
        let pattern = format!("^ *({number}|[A-Za-z0-9_-]+\\.{part}) *(\\+ *{number} *)?$");
        let _ = generator;
        json_schema!({
            "description": "A number, or a place in the machine: \"gpu0.window+0x1000\".",
            "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": pattern }],
        })
    }
}

impl JsonSchema for RegionName {
    fn schema_name() -> Cow<'static, str> {
        "RegionName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A region by its number, or by what it is.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX },
                { "type": "string", "pattern": "^(memory|registers|config|bar[0-5])$" },
            ],
        })
    }
}

impl JsonSchema for ErrnoName {
    fn schema_name() -> Cow<'static, str> {
        "ErrnoName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An error number by its name.",
            "type": "string",
            "enum": region::names(),
        })
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A row of bytes: two hex digits each, and spaces for the eye.",
            "type": "string",
            "pattern": "^ *([0-9a-fA-F] *[0-9a-fA-F] *)+$",
        })
    }
}
