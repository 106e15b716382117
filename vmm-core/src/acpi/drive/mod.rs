//! Any bytes as a machine: property tests and fuzzers are two callers of [`any_machine`].
//!
//! ```text
//!  bytes ─▶ choices ─▶ a machine that can be told ─▶ check ─▶ tables ─▶ laws: taken apart ─▶ same as the machine
//!              └─ changes ─▶ any machine ──────────────┘ └─▶ refusal: what it says is so
//! ```
//!
//! What must hold, whatever the machine:
//!
//! - one that is put together by the rules is not refused, and what is refused is refused for something that it has;
//! - the tables of one that is not refused are taken apart without a complaint, by a decoder that was written from the
//!   reference and shares nothing with what makes them: see `laws`;
//! - and every number of the machine is in them: see `same`.
//!
//! It asserts, so a caller who wants to go on must be one who expects to be stopped.

mod changes;
pub(super) mod fixed;
pub(super) mod iort;
pub(super) mod laws;
mod machines;
mod numbers;
mod refusal;
pub(super) mod same;

use arbitrary::Arbitrary;
use arbitrary::Unstructured;

use super::system::Platform;
use super::system::System;
use super::tables;
use changes::Change;
use changes::MOST_CHANGES;
use machines::Choices;

/// What comes of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It cannot be told.
    Refused,
    /// It was changed, and can be told all the same.
    ChangedAndTold,
    /// It was put together by the rules, and is told.
    Told,
}

/// What bytes mean.
#[derive(Clone, Debug, Default, Arbitrary)]
struct Sketch {
    is_changed: bool,
    choices: Choices,
    #[arbitrary(with = up_to::<_, MOST_CHANGES>)]
    changes: Vec<Change>,
}

impl Sketch {
    /// Any bytes are a sketch: where they end, everything is 0.
    fn of(bytes: &[u8]) -> Self {
        Self::arbitrary_take_rest(Unstructured::new(bytes)).unwrap_or_default()
    }

    fn machine(&self) -> System {
        let mut system = self.choices.machine();
        if self.is_changed {
            changes::make(&mut system, &self.changes);
        }
        system
    }
}

/// A list: how many come first, of which any number up to this is as likely as another, and no more than there are
/// bytes for.
fn up_to<'a, T: Arbitrary<'a>, const MOST: usize>(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Vec<T>> {
    let count = bytes.int_in_range(0..=MOST)?;
    let mut list = Vec::new();
    while list.len() < count && !bytes.is_empty() {
        list.push(bytes.arbitrary()?);
    }
    Ok(list)
}

/// Checks what must hold of the machine that these bytes mean.
pub fn any_machine(bytes: &[u8]) -> Outcome {
    let sketch = Sketch::of(bytes);
    let system = sketch.machine();
    let checked = match system.clone().check() {
        Ok(checked) => checked,
        Err(error) => {
            assert!(sketch.is_changed, "{error}");
            refusal::check(&system, &error);
            return Outcome::Refused;
        }
    };
    assert_eq!(checked.system(), &system, "a check changes nothing");
    let seen = laws::read(&tables(&checked));
    assert!(seen.is_ok(), "{seen:?}");
    seen.iter().for_each(|seen| same::check(&system, seen));
    if sketch.is_changed { Outcome::ChangedAndTold } else { Outcome::Told }
}

/// The machine that these bytes mean, in words: a line for each of its parts, and what the check says.
pub fn told(bytes: &[u8]) -> Vec<String> {
    let system = Sketch::of(bytes).machine();
    let System { cpus, ram, bridges, windows, .. } = &system;
    let mut lines = match &system.platform {
        Platform::X86_64 { local_apic, io_apic } => {
            vec![format!("x86-64, local APIC {local_apic}"), format!("{io_apic:x?}")]
        }
        Platform::Aarch64 { gic, timer, smmus } => {
            let lines = ["aarch64".to_owned(), format!("{gic:x?}"), format!("{timer:x?}")];
            lines.into_iter().chain(smmus.iter().map(|smmu| format!("{smmu:x?}"))).collect()
        }
    };
    lines.extend(cpus.iter().map(|cpu| format!("{cpu:x?}")));
    lines.extend(ram.iter().map(|ram| format!("{ram:x?}")));
    lines.push(format!("root {}, tables {}, {:x?}", system.root, system.tables, system.ecam));
    lines.extend(bridges.iter().map(|bridge| format!("{bridge:x?}")));
    lines.extend(windows.iter().map(|window| format!("{window:x?}")));
    lines.extend(system.uart.map(|uart| format!("{uart:x?}")));
    lines.push(format!("{:?}", system.access));
    let System { ats, preserve_config, fmws_in_crs, .. } = &system;
    lines
        .push(format!("ATS {ats}, configuration is preserved {preserve_config}, windows in {fmws_in_crs:?}"));
    lines.push(system.check().map_or_else(|error| format!("refused: {error}"), |_| "can be told".to_owned()));
    lines
}

#[cfg(test)]
mod tests;
