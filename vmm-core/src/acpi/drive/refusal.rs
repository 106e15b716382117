//! What holds for every refusal: it names something that the machine has, and says what that is.

use super::numbers;
use crate::acpi::check::SystemError;
use crate::acpi::system::GICR_SIZE;
use crate::acpi::system::Platform;
use crate::acpi::system::System;

/// What overlaps may name that is no field.
const RANGE: &str = "the range of the windows";
const CONFIG_PORTS: &str = "the ports of configuration space";

/// What reaches past the last address is told with this value, whatever its own.
const PAST: &str = "reaches past the last address";

/// Checks what is said of a machine that is refused.
pub(in crate::acpi) fn check(system: &System, error: &SystemError) {
    let numbers = numbers::list(system);
    match error {
        SystemError::Field { field, value: u64::MAX, why: PAST } => {
            assert!(*field == RANGE || numbers.iter().any(|(name, _)| is_of(field, name)), "{error}");
        }
        SystemError::Field { field, value, .. } => {
            let all = numbers.into_iter().chain(counts(system));
            let said = (field.clone(), *value);
            assert!(all.into_iter().any(|number| number == said), "the machine has no such number: {error}");
        }
        SystemError::Overlap { field, span, other, other_span } => {
            assert!(field != other && span.overlaps(*other_span), "{error}");
            assert!(other_span.start() <= span.start(), "{error}");
            for (field, span) in [(field, span), (other, other_span)] {
                let starts =
                    |(name, value): &(String, u64)| is_of(field, name) && *value == span.start().get();
                let is_named = numbers.iter().any(starts);
                assert!(is_named || field == RANGE || field == CONFIG_PORTS, "{error}");
            }
        }
    }
}

/// A number of this name belongs to the field, or is the field.
fn is_of(field: &str, name: &str) -> bool {
    name.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// How many there are, and for how many processors there are redistributors.
fn counts(system: &System) -> Vec<(String, u64)> {
    let mut counts = vec![
        ("cpus", system.cpus.len() as u64),
        ("ram", system.ram.len() as u64),
        ("bridges", system.bridges.len() as u64),
        ("windows", system.windows.len() as u64),
    ];
    if let Platform::Aarch64 { gic, .. } = &system.platform {
        let room = gic.redistributors.iter().map(|span| span.size() / GICR_SIZE).fold(0, u64::saturating_add);
        counts.push(("platform.gic.redistributors", gic.redistributors.len() as u64));
        counts.push(("platform.gic.redistributors", room));
    }
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
