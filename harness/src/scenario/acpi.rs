//! A step about the ACPI tables, as the guest finds them in its memory.
//!
//! ```toml
//! [[step]]
//! acpi.table = "CEDT"
//! acpi.chbs = [{ uid = "gpu0 bridge", cxl_version = 1, base = "gpu0.bridge_component", length = "64KiB" }]
//! acpi.cfmws = [{ base = "gpu0.window", size = "256MiB", restrictions = ["volatile"], targets = ["gpu0 bridge"] }]
//!
//! [[step]]
//! acpi = { table = "IORT", absent = true }
//! ```
//!
//! A key is a structure of the table, with all there are of it in order, or a field of the table itself. Of a
//! structure only the fields that are named are looked at. A number can be a place, or a host bridge by its name
//! for its unique ID; flags are the names of all bits that are set.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::Place;
use crate::acpi::devices;
use crate::acpi::layout::Field;
use crate::acpi::layout::MAPPING;
use crate::acpi::layout::REVISION;
use crate::acpi::layout::TABLES;
use crate::acpi::layout::Table;
use crate::acpi::layout::What;

/// What a table says, or that there is no such table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Acpi {
    /// Its signature.
    pub table: String,
    /// There is no such table.
    #[serde(default)]
    pub absent: bool,
    /// What it says.
    #[serde(flatten)]
    pub says: BTreeMap<String, Value>,
}

/// What a field must say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// These fields of a structure.
    Structure(BTreeMap<String, Value>),
    /// Exactly these, in this order where there is one.
    List(Vec<Value>),
    /// A number, or a place in the machine.
    Place(Place),
    /// A text, or the name of a host bridge.
    Text(String),
}

/// What a scenario can say of something.
#[derive(Clone, Debug)]
enum Can {
    /// It is a list of structures with these keys.
    Structures(Keys),
    /// It is a list of some of these names.
    Names(Vec<&'static str>),
    /// It is a list of numbers.
    Numbers,
    /// It is a number or a text.
    One,
}

/// Keys, and what can be said of each.
type Keys = Vec<(&'static str, Can)>;

impl Acpi {
    /// What is wrong with it.
    pub(super) fn wrong(&self) -> Option<String> {
        let Some(keys) = keys(&self.table) else {
            let known: Vec<_> = TABLES.iter().map(|table| table.signature).chain(["DSDT"]).collect();
            return Some(format!("table = {:?}: must be one of {}", self.table, known.join(", ")));
        };
        if self.absent != self.says.is_empty() {
            return Some("either `absent` or what the table says".to_owned());
        }
        of_fields(&self.says, &self.table, &keys)
    }

    /// The places in it.
    pub(super) fn places(&self) -> Vec<&Place> {
        let mut places = Vec::new();
        self.says.values().for_each(|value| value.places(&mut places));
        places
    }
}

impl Value {
    fn places<'a>(&'a self, found: &mut Vec<&'a Place>) {
        match self {
            Self::Structure(fields) => fields.values().for_each(|value| value.places(found)),
            Self::List(values) => values.iter().for_each(|value| value.places(found)),
            Self::Place(place) => found.push(place),
            Self::Text(_) => {}
        }
    }

    /// What no table could say.
    fn mistake(&self, path: &str, can: &Can) -> Option<String> {
        match (self, can) {
            (Self::List(values), Can::Structures(keys)) => {
                values.iter().enumerate().find_map(|(index, one)| match one {
                    Self::Structure(fields) => of_fields(fields, &format!("{path}[{index}]"), keys),
                    _ => Some(format!("{path}[{index}]: must be fields in braces")),
                })
            }
            (Self::List(values), Can::Names(known)) => values.iter().find_map(|one| {
                let is_known = matches!(one, Self::Text(name) if known.contains(&name.as_str()));
                (!is_known).then(|| format!("{path}: must be some of {}", known.join(", ")))
            }),
            (Self::List(values), Can::Numbers) => values.iter().find_map(|one| one.mistake(path, &Can::One)),
            (Self::Place(_) | Self::Text(_), Can::One) => None,
            (_, Can::One) => Some(format!("{path}: must be a number or a text")),
            (_, Can::Structures(_) | Can::Names(_) | Can::Numbers) => Some(format!("{path}: must be a list")),
        }
    }
}

/// A key that the specifications do not have, or what is wrong with a value.
fn of_fields(fields: &BTreeMap<String, Value>, path: &str, keys: &Keys) -> Option<String> {
    fields.iter().find_map(|(name, value)| {
        let path = format!("{path}.{name}");
        match keys.iter().find(|(known, _)| known == name) {
            Some((_, can)) => value.mistake(&path, can),
            None => {
                let names: Vec<_> = keys.iter().map(|(known, _)| *known).collect();
                Some(format!("{path}: must be one of {}", names.join(", ")))
            }
        }
    })
}

/// What can be said of the table with this signature.
fn keys(signature: &str) -> Option<Keys> {
    if signature == "DSDT" {
        let devices = devices::HIDS.iter().map(|hid| (*hid, Can::Structures(of_device())));
        return Some(devices.chain([(REVISION.name, Can::One)]).collect());
    }
    let table = Table::of(signature)?;
    let structures = table.structures.iter();
    let structures = structures.map(|layout| (layout.name, Can::Structures(of_layout(layout.fields))));
    Some(structures.chain(of_layout(table.fields)).chain([(REVISION.name, Can::One)]).collect())
}

fn of_layout(fields: &'static [Field]) -> Keys {
    let can = |field: &'static Field| match field.what {
        What::Number(_) | What::Text(_) => Can::One,
        What::Flags(_, bits) => Can::Names(bits.iter().map(|(name, _)| *name).collect()),
        What::Numbers(_) => Can::Numbers,
        What::Mappings => Can::Structures(of_layout(MAPPING)),
    };
    fields.iter().map(|field| (field.name, can(field))).collect()
}

fn of_device() -> Keys {
    let range = || Can::Structures(devices::RANGE.iter().map(|name| (*name, Can::One)).collect());
    let objects = devices::OBJECTS.iter().map(|name| (*name, Can::One));
    let methods = (devices::METHODS, Can::Names(vec!["_DSM", "_OSC"]));
    let ranges = devices::RANGES.iter().map(|(name, ..)| (*name, range()));
    objects.chain([methods]).chain(ranges).collect()
}
