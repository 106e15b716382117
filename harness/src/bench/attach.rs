//! Attaching: how the time grows with the number of devices, and with the size of their memory.
//!
//! It is the whole way: device processes, discovery, plan, mappings, decoders, a guest that waits for orders.

use std::path::Path;
use std::time::Instant;

use super::BenchError;
use super::Effort;
use super::Row;
use super::Samples;
use super::Unit;
use super::memory::maker;
use crate::scenario::Loaded;
use crate::world::GuestKind;

/// How many turns each has.
const TURNS: usize = 5;

/// The most devices of one machine, which has so many host bridges. More are in several machines at a time.
const MOST_IN_MACHINE: usize = 16;

/// How many devices are attached.
const COUNTS: [usize; 6] = [2, 4, 8, 16, 32, 64];

/// How many of them where little effort is made.
const QUICK_COUNTS: [usize; 1] = [2];

/// The memory that all others are compared with.
const SMALLEST: &str = "256MiB";

/// How much memory a device has.
const SIZES: [&str; 6] = ["1GiB", "4GiB", "16GiB", "64GiB", "256GiB", "1TiB"];

/// How much where little effort is made.
const QUICK_SIZES: [&str; 1] = ["1GiB"];

/// Machines with more and more devices, each against that many times a machine with one.
pub(super) fn by_count(program: &Path, guest: GuestKind, effort: Effort) -> Result<Vec<Row>, BenchError> {
    let counts = match effort {
        Effort::Whole => &COUNTS[..],
        Effort::Quick => &QUICK_COUNTS[..],
    };
    counts.iter().map(|count| of_count(program, guest, (*count, effort.turns(TURNS)))).collect()
}

fn of_count(program: &Path, guest: GuestKind, (count, turns): (usize, usize)) -> Result<Row, BenchError> {
    let (mut ours, mut times_one) = (Samples::default(), Samples::default());
    for _ in 0..turns {
        let one = attach(program, guest, &[machine(1, SMALLEST)?])?;
        ours.push(attach(program, guest, &machines(count)?)?);
        times_one.push(one * count as f64);
    }
    let against = format!("{count} times one device");
    Ok(Row::new((&format!("attach, {count} devices"), &against), Unit::Milliseconds, &ours, &times_one))
}

/// One device with more and more memory, each against one with the least. The guest is soft: what KVM keeps for each
/// page of a slot is memory of the host's, and no business of ours.
pub(super) fn by_size(program: &Path, effort: Effort) -> Result<Vec<Row>, BenchError> {
    let sizes = match effort {
        Effort::Whole => &SIZES[..],
        Effort::Quick => &QUICK_SIZES[..],
    };
    sizes.iter().map(|size| of_size(program, size, effort.turns(TURNS))).collect()
}

fn of_size(program: &Path, size: &str, turns: usize) -> Result<Row, BenchError> {
    let (mut ours, mut smallest) = (Samples::default(), Samples::default());
    for _ in 0..turns {
        smallest.push(attach(program, GuestKind::Soft, &[machine(1, SMALLEST)?])?);
        ours.push(attach(program, GuestKind::Soft, &[machine(1, size)?])?);
    }
    let (name, against) = (format!("attach, {size}"), format!("the same with {SMALLEST}"));
    Ok(Row::new((&name, &against), Unit::Milliseconds, &ours, &smallest))
}

/// The milliseconds until all machines are there at a time.
fn attach(program: &Path, guest: GuestKind, machines: &[Loaded]) -> Result<f64, BenchError> {
    let maker = maker(program, guest);
    let begun = Instant::now();
    let worlds: Result<Vec<_>, _> = machines.iter().map(|machine| maker.world(machine)).collect();
    let took = begun.elapsed();
    drop(worlds?);
    Ok(Unit::Milliseconds.of(took, 1.0))
}

/// As few machines as hold so many devices.
fn machines(devices: usize) -> Result<Vec<Loaded>, BenchError> {
    let starts = (0..devices).step_by(MOST_IN_MACHINE);
    starts.map(|start| machine((devices - start).min(MOST_IN_MACHINE), SMALLEST)).collect()
}

/// A machine with so many devices of so much memory each.
fn machine(devices: usize, size: &str) -> Result<Loaded, BenchError> {
    let mut text = "proves = \"how long it takes\"\n[machine]\naddress_bits = 46\n".to_owned();
    for number in 0..devices {
        text.push_str(&format!("[[device]]\nname = \"gpu{number}\"\nwith.memory.size = \"{size}\"\n"));
    }
    text.push_str("[[step]]\nload = { at = \"gpu0.window\", width = 8, is = 0 }\n");
    let parsed = Loaded::parse("bench", "bench.toml", &text, None);
    parsed.map_err(|mistake| BenchError::peer("a machine")(mistake.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_machines_as_possible_hold_all_devices() {
        for (devices, expected) in [(1, vec![1]), (16, vec![16]), (17, vec![16, 1]), (64, vec![16; 4])] {
            let machines = machines(devices).unwrap();
            let counts: Vec<_> = machines.iter().map(|machine| machine.scenario.devices.len()).collect();
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn every_size_can_be_told_of_a_device() {
        for size in SIZES.iter().chain(&QUICK_SIZES) {
            let machine = machine(1, size).unwrap();
            let profile = machine.profiles[0].as_ref().unwrap();
            assert!(profile.memory.size.0 > 256 << 20, "{size}");
        }
    }
}
