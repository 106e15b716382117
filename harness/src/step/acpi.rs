//! A step about an ACPI table: the guest finds and reads it, and what it says is compared field by field.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use vmm_core::plan::Plan;

use super::Verdict;
use super::machine::Trouble;
use super::machine::judge;
use crate::acpi::Seen;
use crate::acpi::Structure;
use crate::acpi::decode::Decoded;
use crate::acpi::decode::decode;
use crate::acpi::devices;
use crate::acpi::layout::Table;
use crate::acpi::memory;
use crate::acpi::memory::Unread;
use crate::scenario::acpi::Acpi;
use crate::scenario::acpi::Value;
use crate::world::World;

pub(super) fn table(world: &mut World, step: &Acpi) -> Result<Verdict, Trouble> {
    let name = &step.table;
    let Some(bytes) = memory::table(&mut world.running, name)? else {
        return judge(step.absent, format!("{name}: there is none"), || "one".to_owned());
    };
    let seen = format!("{name}: {} bytes", bytes.len());
    if step.absent {
        return judge(false, seen, || "none".to_owned());
    }
    let decoded = match Table::of(name) {
        Some(layout) => decode(layout, &bytes),
        None => devices::decode(&bytes),
    };
    let decoded = decoded.map_err(Unread::Wrong)?;
    let mut compare = Compare { plan: world.running.plan(), wrong: Vec::new() };
    compare.table(name, &decoded, &step.says);
    match compare.wrong.is_empty() {
        true => Ok(Verdict::Passed(format!("{seen}, and they say so"))),
        false => Ok(Verdict::Failed(compare.wrong.join("; "))),
    }
}

/// What is seen beside what must be.
struct Compare<'a> {
    plan: &'a Plan,
    wrong: Vec<String>,
}

impl Compare<'_> {
    fn table(&mut self, name: &str, decoded: &Decoded, says: &BTreeMap<String, Value>) {
        for (key, expected) in says {
            let path = format!("{name}.{key}");
            match decoded.own.field(key) {
                Some(seen) => self.value(&path, seen, expected),
                None => {
                    let called = decoded.structures.iter().filter(|structure| structure.name == *key);
                    self.structures(&path, &called.collect::<Vec<_>>(), expected);
                }
            }
        }
    }

    fn structures(&mut self, path: &str, seen: &[&Structure], expected: &Value) {
        let Value::List(expected) = expected else { return };
        self.count(path, seen.len(), expected.len());
        for (index, (structure, expected)) in seen.iter().zip(expected).enumerate() {
            let Value::Structure(fields) = expected else { continue };
            for (key, expected) in fields {
                let path = format!("{path}[{index}].{key}");
                match structure.field(key) {
                    Some(seen) => self.value(&path, seen, expected),
                    None => self.wrong.push(format!("{path}: is not there")),
                }
            }
        }
    }

    fn count(&mut self, path: &str, seen: usize, expected: usize) {
        if seen != expected {
            self.wrong.push(format!("{path}: there are {seen}, expected {expected}"));
        }
    }

    fn value(&mut self, path: &str, seen: &Seen, expected: &Value) {
        match (seen, expected) {
            (Seen::Structures(seen), expected) => {
                self.structures(path, &seen.iter().collect::<Vec<_>>(), expected);
            }
            (Seen::Numbers(seen), Value::List(expected)) => {
                self.count(path, seen.len(), expected.len());
                for (index, (seen, expected)) in seen.iter().zip(expected).enumerate() {
                    self.number(&format!("{path}[{index}]"), *seen, expected);
                }
            }
            (Seen::Number(seen), expected) => self.number(path, *seen, expected),
            (Seen::Text(seen), Value::Text(expected)) if seen == expected => {}
            (Seen::Text(seen), Value::Text(expected)) => {
                self.wrong.push(format!("{path}: {seen:?}, expected {expected:?}"));
            }
            (Seen::Names(seen), Value::List(expected)) => self.names(path, seen, expected),
            (seen, expected) => self.wrong.push(format!("{path}: {seen:?}, expected {expected:?}")),
        }
    }

    fn names(&mut self, path: &str, seen: &[String], expected: &[Value]) {
        let named = expected.iter().filter_map(|one| match one {
            Value::Text(name) => Some(name.as_str()),
            _ => None,
        });
        let (seen, expected): (BTreeSet<&str>, BTreeSet<&str>) =
            (seen.iter().map(String::as_str).collect(), named.collect());
        if seen != expected {
            self.wrong.push(format!("{path}: {}, expected {}", listed(&seen), listed(&expected)));
        }
    }

    fn number(&mut self, path: &str, seen: u64, expected: &Value) {
        let wanted = match expected {
            Value::Place(place) => place.resolve(self.plan).map_err(|error| error.to_string()),
            Value::Text(name) => self.unique_id(name),
            other => Err(format!("{other:?} is no number")),
        };
        match wanted {
            Ok(wanted) if wanted == seen => {}
            Ok(wanted) => self.wrong.push(format!("{path}: {seen:#x}, expected {wanted:#x}")),
            Err(error) => self.wrong.push(format!("{path}: {error}")),
        }
    }

    /// The unique ID of a host bridge, which is its first bus.
    fn unique_id(&self, name: &str) -> Result<u64, String> {
        let bridge = self.plan.bridges.iter().find(|bridge| bridge.name == name);
        let uid = bridge.map(|bridge| bridge.bus.into());
        uid.ok_or_else(|| format!("{name:?} is no number, no place and no host bridge"))
    }
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().copied().collect::<Vec<_>>().join(", ")
}
