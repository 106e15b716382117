use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use rstest::rstest;

use super::*;
use crate::acpi::check::SystemError;
use crate::acpi::sample;

/// Bytes that look as if thrown: of so many lengths, always the same.
fn thrown(count: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1u64;
    (0..count).map(move |number| {
        let bytes = (0..number % 300).map(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 56) as u8
        });
        bytes.collect()
    })
}

#[test]
fn every_outcome_comes_and_machines_of_both_architectures() {
    let mut outcomes = BTreeMap::new();
    let mut tables = BTreeSet::new();
    for bytes in thrown(3000) {
        *outcomes.entry(any_machine(&bytes)).or_insert(0) += 1;
        let system = Sketch::of(&bytes).machine();
        tables.insert((matches!(system.platform, Platform::Aarch64 { .. }), system.bridges.len().min(4)));
    }
    println!("{outcomes:?}");
    assert!(outcomes.len() == 3 && outcomes.values().all(|count| *count > 100), "{outcomes:?}");
    assert_eq!(tables.len(), 10, "{tables:?}");
}
