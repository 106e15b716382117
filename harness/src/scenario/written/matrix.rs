//! A matrix: lists of values, and a scenario for each combination of one of each.
//!
//! Each key is a variable. Three of them are more: `profile` is what a device is that does not say, `abi` the kernel
//! that the scenario is about, and `guest` what runs the guest.

use sim_device::profile::source::Mistake;
use toml::Spanned;
use toml::de::DeArray;
use toml::de::DeTable;
use toml::de::DeValue;

use super::Texts;
use super::Tree;
use super::Value;
use super::variables::Variables;
use super::variables::named;
use super::variables::simple;
use super::variables::text_of;

/// The most scenarios that one file is.
pub(in super::super) const MOST: usize = 256;

/// The longest value, which is a part of the scenario's name.
const LONGEST_VALUE: usize = 100;

/// All combinations of values, in the order in which they are written: the last list's values change first. Without a
/// matrix there is one combination, of nothing.
pub(super) fn combinations<'a>(
    texts: &Texts,
    matrix: Option<Value<'a>>,
) -> Result<Vec<Variables<'a>>, Mistake> {
    let Some(matrix) = matrix else { return Ok(vec![Vec::new()]) };
    let place = matrix.span().start;
    let DeValue::Table(matrix) = matrix.into_inner() else {
        return Err(texts.mistake(place, "matrix: must be a table".to_owned()));
    };
    let mut lists: Vec<_> = matrix.into_iter().collect();
    lists.sort_by_key(|(key, _)| key.span().start);
    let mut all = vec![Vec::new()];
    for (key, list) in lists {
        let name = key.get_ref().to_string();
        named(texts, &name, key.span().start)?;
        let place = list.span().start;
        let values = values(texts, &name, list)?;
        let count = all.len().saturating_mul(values.len());
        if count > MOST {
            let message = format!("matrix.{name}: makes {count} scenarios of one; {MOST} is the most");
            return Err(texts.mistake(place, message));
        }
        let with = |before: &Variables<'a>| {
            let each = values.iter().map(|value| (name.clone(), value.clone()));
            each.map(|one| before.iter().cloned().chain([one]).collect()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    Ok(all)
}

/// The values of a list: at least one, and none twice.
fn values<'a>(texts: &Texts, name: &str, list: Value<'a>) -> Result<Vec<Value<'a>>, Mistake> {
    let place = list.span().start;
    let DeValue::Array(list) = list.into_inner() else {
        return Err(texts.mistake(place, format!("matrix.{name}: must be a list of values")));
    };
    if list.is_empty() {
        return Err(texts.mistake(place, format!("matrix.{name}: an empty list makes no scenario")));
    }
    let mut values: Vec<Value<'a>> = Vec::new();
    for value in list {
        let wrong = |why: &str| Err(texts.mistake(value.span().start, format!("matrix.{name}: {why}")));
        simple(texts, &format!("matrix.{name}"), &value)?;
        let text = text_of(value.get_ref());
        let is_text = matches!(value.get_ref(), DeValue::String(_));
        if IS_MORE.contains(&name) && !is_text {
            return wrong("must be a text");
        }
        if text.len() > LONGEST_VALUE || text.chars().any(char::is_control) {
            return wrong("is a part of a name: 100 bytes at most, and no control characters");
        }
        if values.iter().any(|other| text_of(other.get_ref()) == text) {
            return wrong(&format!("{text:?} is there twice"));
        }
        values.push(value);
    }
    Ok(values)
}

/// What is behind the name of the scenario of a combination.
pub(super) fn suffix(combination: &Variables<'_>) -> String {
    if combination.is_empty() {
        return String::new();
    }
    let values = combination.iter().map(|(key, value)| format!("{key}={}", text_of(value.get_ref())));
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

/// The keys that are more than variables.
const IS_MORE: [&str; 3] = ["profile", "abi", "guest"];

/// Puts values where their keys say more than that they are variables, and says which were.
pub(super) fn place<'a>(
    texts: &Texts,
    tree: &mut Tree<'a>,
    combination: &Variables<'a>,
) -> Result<Vec<String>, Mistake> {
    let mut placed = Vec::new();
    for (key, value) in combination {
        let is_placed = match key.as_str() {
            "profile" => profile(tree, value),
            "abi" | "guest" => own(texts, tree, (key, value))?,
            _ => false,
        };
        if is_placed {
            placed.push(key.clone());
        }
    }
    Ok(placed)
}

/// Makes a value the scenario's own, which must not have one.
fn own<'a>(texts: &Texts, tree: &mut Tree<'a>, (key, value): (&str, &Value<'a>)) -> Result<bool, Mistake> {
    if let Some(other) = tree.get_ref().get(key) {
        let message = format!("{key}: either the scenario says it or its matrix");
        return Err(texts.mistake(other.span().start, message));
    }
    let span = value.span();
    let value = if key == "abi" { list(value.clone()) } else { value.clone() };
    tree.get_mut().insert(Spanned::new(span, key.to_owned().into()), value);
    Ok(true)
}

fn list(value: Value<'_>) -> Value<'_> {
    let span = value.span();
    let mut list = DeArray::new();
    list.push(value);
    Spanned::new(span, DeValue::Array(list))
}

/// Gives the profile to each device that says nothing of its own.
fn profile<'a>(tree: &mut Tree<'a>, value: &Value<'a>) -> bool {
    let Some(DeValue::Array(devices)) = tree.get_mut().get_mut("device").map(Spanned::get_mut) else {
        return false;
    };
    let mut is_placed = false;
    for device in devices.iter_mut() {
        let DeValue::Table(device) = device.get_mut() else { continue };
        if !says(device) {
            device.insert(Spanned::new(value.span(), "profile".into()), value.clone());
            is_placed = true;
        }
    }
    is_placed
}

/// Whether a device says what it is.
fn says(device: &DeTable<'_>) -> bool {
    device.contains_key("profile") || device.contains_key("with")
}
