//! Changes to a machine, after which most machines cannot be told.

use arbitrary::Arbitrary;

use super::numbers;
use crate::acpi::system::Platform;
use crate::acpi::system::System;

/// The most changes of a machine: more tell nothing new.
pub(super) const MOST_CHANGES: usize = 6;

/// How often something is there at most: more than there may be of anything.
const MOST_TIMES: usize = 600;

/// From this number on, which few are, something is there so often; otherwise only a few times.
const MANY: u8 = 240;

/// A change.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) enum Change {
    /// A number is another one. What is not there counts on from the first.
    Number { which: u16, to: To },
    /// Something of a list is gone, or is there so often.
    Repeat { list: List, index: u8, times: u8 },
}

/// What a number becomes.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) enum To {
    Byte(u8),
    Word(u16),
    Dword(u32),
    Qword(u64),
    /// A number with zeros behind it, as places and sizes are.
    Round(u16, u8),
    /// What it is, and a little more or less.
    Near(i8),
    /// What another number is.
    Same(u16),
}

/// A list of the machine.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) enum List {
    Cpus,
    Ram,
    Bridges,
    Windows,
    Redistributors,
    Smmus,
}

/// Makes changes to a machine.
pub(super) fn make(system: &mut System, changes: &[Change]) {
    for change in changes {
        match *change {
            Change::Number { which, to } => set(system, which.into(), to),
            Change::Repeat { list, index, times } => {
                let times = if times < MANY { usize::from(times % 4) } else { MOST_TIMES };
                edit(system, list, index, times);
            }
        }
    }
}

fn set(system: &mut System, which: usize, to: To) {
    let mut values = Vec::new();
    numbers::visit(system, &mut |_, value| {
        values.push(value);
        value
    });
    let value = |index: usize| values.iter().copied().cycle().nth(index % values.len().max(1)).unwrap_or(0);
    let value = match to {
        To::Byte(value) => value.into(),
        To::Word(value) => value.into(),
        To::Dword(value) => value.into(),
        To::Qword(value) => value,
        To::Round(value, zeros) => u64::from(value) << (zeros % 64),
        To::Near(more) => value(which).wrapping_add_signed(more.into()),
        To::Same(other) => value(other.into()),
    };
    let (mut index, which) = (0, which % values.len().max(1));
    numbers::visit(system, &mut |_, old| {
        index += 1;
        if index - 1 == which { value } else { old }
    });
}

/// Something of a list is there so often.
fn edit(system: &mut System, list: List, index: u8, times: usize) {
    match (list, &mut system.platform) {
        (List::Cpus, _) => repeat(&mut system.cpus, index, times),
        (List::Ram, _) => repeat(&mut system.ram, index, times),
        (List::Bridges, _) => repeat(&mut system.bridges, index, times),
        (List::Windows, _) => repeat(&mut system.windows, index, times),
        (List::Redistributors, Platform::Aarch64 { gic, .. }) => {
            repeat(&mut gic.redistributors, index, times);
        }
        (List::Smmus, Platform::Aarch64 { smmus, .. }) => repeat(smmus, index, times),
        (List::Redistributors | List::Smmus, Platform::X86_64 { .. }) => {}
    }
}

fn repeat<T: Clone>(list: &mut Vec<T>, index: u8, times: usize) {
    if let Some(index) = usize::from(index).checked_rem(list.len()) {
        let one = list.remove(index);
        list.splice(index..index, std::iter::repeat_n(one, times));
    }
}
