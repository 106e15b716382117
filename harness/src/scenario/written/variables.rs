//! Variables, and texts that they stand in.
//!
//! `${name}` in a text is the variable's value, and a text that is nothing else has the value's type. `$${` is `${`.
//! A variable's value has no variables in it, so what is filled in is done once.

use std::collections::BTreeSet;

use sim_device::profile::source::Mistake;
use toml::de::DeTable;
use toml::de::DeValue;

use super::Texts;
use super::Tree;
use super::Value;

/// Values by name; of two with one name, the first counts.
pub(super) type Variables<'a> = Vec<(String, Value<'a>)>;

/// What begins a variable in a text.
const BEGIN: &str = "${";

/// The variables that a scenario's `vars` declares.
pub(super) fn declared<'a>(texts: &Texts, vars: Option<Value<'a>>) -> Result<Variables<'a>, Mistake> {
    let Some(vars) = vars else { return Ok(Vec::new()) };
    let place = vars.span().start;
    let DeValue::Table(vars) = vars.into_inner() else {
        return Err(texts.mistake(place, "vars: must be a table".to_owned()));
    };
    let mut declared = Vec::new();
    for (key, value) in vars {
        let name = key.get_ref().to_string();
        named(texts, &name, key.span().start)?;
        simple(texts, &format!("vars.{name}"), &value)?;
        declared.push((name, value));
    }
    Ok(declared)
}

/// A variable can have this name.
pub(super) fn named(texts: &Texts, name: &str, place: usize) -> Result<(), Mistake> {
    if is_name(name) {
        return Ok(());
    }
    Err(texts
        .mistake(place, format!("{name:?}: a variable's name has letters, digits and _, and no digit first")))
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// A variable can have this value.
pub(super) fn simple(texts: &Texts, what: &str, value: &Value<'_>) -> Result<(), Mistake> {
    let why = match value.get_ref() {
        DeValue::String(text) if text.contains(BEGIN) => "a variable's value has no variable in it",
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Boolean(_) => return Ok(()),
        _ => "must be a text, a whole number, or true or false",
    };
    Err(texts.mistake(value.span().start, format!("{what}: {why}")))
}

/// The value as a text has it.
pub(super) fn text_of(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(is) => is.to_string(),
        // Nothing else is a variable's value.
        _ => String::new(),
    }
}

/// Fills all variables in, and says which were. `left` is how many bytes more may be.
pub(super) fn fill<'a>(
    texts: &Texts,
    tree: &mut Tree<'a>,
    variables: &Variables<'a>,
    left: &mut usize,
) -> Result<BTreeSet<String>, Mistake> {
    let mut filling = Filling { texts, variables, left, used: BTreeSet::new() };
    filling.table(tree.get_mut())?;
    Ok(filling.used)
}

struct Filling<'a, 'b> {
    texts: &'b Texts,
    variables: &'b Variables<'a>,
    left: &'b mut usize,
    used: BTreeSet<String>,
}

impl<'a> Filling<'a, '_> {
    fn table(&mut self, table: &mut DeTable<'a>) -> Result<(), Mistake> {
        table.iter_mut().try_for_each(|(_, value)| self.value(value))
    }

    fn value(&mut self, value: &mut Value<'a>) -> Result<(), Mistake> {
        let place = value.span().start;
        let value = value.get_mut();
        match value {
            DeValue::Table(table) => self.table(table),
            DeValue::Array(array) => array.iter_mut().try_for_each(|one| self.value(one)),
            DeValue::String(text) if text.contains(BEGIN) => {
                let filled = self.filled(text).map_err(|why| self.texts.mistake(place, why))?;
                if let DeValue::String(text) = &filled {
                    self.texts.spend(self.left, text.len())?;
                }
                *value = filled;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a text is with its variables filled in.
    fn filled(&mut self, text: &str) -> Result<DeValue<'a>, String> {
        let mut rest = text;
        let mut filled = String::new();
        while let Some((before, behind)) = rest.split_once(BEGIN) {
            if let Some(before) = before.strip_suffix('$') {
                filled.extend([before, BEGIN]);
                rest = behind;
                continue;
            }
            let Some((name, behind)) = behind.split_once('}') else {
                return Err(format!("{text:?}: has ${{ and no }} behind it; $${{ stands for ${{ itself"));
            };
            let value = self.named(name)?;
            if before.is_empty() && filled.is_empty() && behind.is_empty() {
                return Ok(value);
            }
            filled.extend([before, &text_of(&value)]);
            // What is too long is told by whoever asks for this; here it only must not grow without end.
            if filled.len() > *self.left {
                break;
            }
            rest = behind;
        }
        filled.push_str(rest);
        Ok(DeValue::String(filled.into()))
    }

    fn named(&mut self, name: &str) -> Result<DeValue<'a>, String> {
        match self.variables.iter().find(|(known, _)| known == name) {
            Some((name, value)) => {
                self.used.insert(name.clone());
                Ok(value.get_ref().clone())
            }
            None => {
                let known: BTreeSet<_> = self.variables.iter().map(|(name, _)| name.as_str()).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".to_owned() } else { known };
                Err(format!("${{{name}}}: no variable has this name; there is {known}"))
            }
        }
    }
}
