use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use rstest::rstest;

use super::*;
use crate::acpi::check::SystemError;
use crate::acpi::sample;

/// Bytes that look as if thrown, always the same: each run is a byte longer, up to 300.
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
    let mut shapes = BTreeSet::new();
    for bytes in thrown(3000) {
        *outcomes.entry(any_machine(&bytes)).or_insert(0) += 1;
        let system = Sketch::of(&bytes).machine();
        shapes.insert((matches!(system.platform, Platform::Aarch64 { .. }), system.bridges.len().min(4)));
    }
    assert!(outcomes.len() == 3 && outcomes.values().all(|count| *count > 100), "{outcomes:?}");
    assert_eq!(shapes.len(), 10, "{shapes:?}");
}

#[test]
fn machines_are_refused_for_most_of_the_reasons_there_are() {
    let refusals = thrown(6000).filter_map(|bytes| Sketch::of(&bytes).machine().check().err());
    let reasons = refusals.map(|error| match error {
        SystemError::Field { why, .. } => why,
        SystemError::Overlap { .. } => "overlap",
    });
    let reasons: BTreeSet<_> = reasons.collect();
    // There are 39.
    assert!(reasons.len() >= 30, "{} {reasons:#?}", reasons.len());
}

#[test]
fn no_bytes_are_a_machine_that_is_told() {
    assert_eq!(any_machine(&[]), Outcome::Told);
    let told = told(&[]);
    assert!(told[0].starts_with("x86-64") && told.last().unwrap() == "can be told", "{told:?}");
}

/// The machine with another number: the `index`th of them all.
fn with(system: &System, index: usize, value: u64) -> System {
    let (mut system, mut next) = (system.clone(), 0);
    numbers::visit(&mut system, &mut |_, old| {
        next += 1;
        if next - 1 == index { value } else { old }
    });
    system
}

/// Another value of a number with which the machine can be told.
fn changed(system: &System, index: usize, value: u64) -> Option<System> {
    let steps = [1, 8, 12, 0x10, 0x1000, 0x1_0000, 0x10_0000, 0x1000_0000, value, value / 2];
    let values = steps.iter().flat_map(|step| [value.wrapping_add(*step), value.wrapping_sub(*step)]);
    let mut others = values.map(|value| with(system, index, value)).filter(|other| other != system);
    others.find(|other| other.clone().check().is_ok())
}

/// Whatever number of a machine is another one, its tables are not those of the machine as it was.
#[test]
fn every_number_of_a_machine_is_told() {
    let others = thrown(300).skip(100).step_by(10).map(|bytes| Sketch::of(&bytes).choices.machine());
    let (mut found, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (nth, system) in [sample::virt(), sample::q35()].into_iter().chain(others).enumerate() {
        for (index, (name, value)) in numbers::list(&system).into_iter().enumerate() {
            let kind = name.replace(|letter: char| letter.is_ascii_digit(), "");
            // A machine that is one proximity domain need not tell how far away others are. The samples have several.
            let need_not = nth >= 2 && name.starts_with("access");
            if let Some(other) = changed(&system, index, value).filter(|_| !need_not) {
                let other = laws::read(&tables(&other.check().unwrap())).unwrap();
                let same = catch_unwind(AssertUnwindSafe(|| same::check(&system, &other)));
                assert!(same.is_err(), "{name} is not told");
                found.insert(kind.clone());
            }
            all.insert(kind);
        }
    }
    assert_eq!(found, all, "numbers that were never changed");
}

#[rstest]
#[case::no_such_field("bridges[9].bus", 0)]
#[case::another_value("ecam.buses", 255)]
#[case::part_of_a_name("eca", u64::MAX)]
fn a_refusal_for_what_a_machine_has_not_is_seen(#[case] field: &str, #[case] value: u64) {
    let refused = |field: &str, value| {
        let error = SystemError::Field { field: field.to_owned(), value, why: "is wrong" };
        catch_unwind(|| refusal::check(&sample::virt(), &error))
    };
    assert!(refused(field, value).is_err());
    assert!(refused("ecam.buses", 256).is_ok());
}

/// Of two spans, the field and where it is.
type Placed = (&'static str, u64);

#[rstest]
#[case::as_it_is(("bridges[1].memory32", 0x3000_0000), ("uart", 0x0900_0000), true)]
#[case::no_such_field(("bridges[1].memory33", 0x3000_0000), ("uart", 0x0900_0000), false)]
#[case::at_another_place(("bridges[1].memory32", 0x3000_0001), ("uart", 0x0900_0000), false)]
#[case::with_itself(("uart", 0x0900_0000), ("uart", 0x0900_0000), false)]
#[case::in_the_wrong_order(("uart", 0x0900_0000), ("bridges[1].memory32", 0x3000_0000), false)]
fn an_overlap_is_of_two_fields_where_they_are(
    #[case] field: Placed,
    #[case] other: Placed,
    #[case] holds: bool,
) {
    let span = |at| Span::new(Gpa::new(at), 1 << 30).unwrap();
    let error = SystemError::Overlap {
        field: field.0.to_owned(),
        span: span(field.1),
        other: other.0.to_owned(),
        other_span: span(other.1),
    };
    assert_eq!(catch_unwind(|| refusal::check(&sample::virt(), &error)).is_ok(), holds);
}
