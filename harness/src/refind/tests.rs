use std::collections::BTreeSet;

use rstest::rstest;

use super::rows::ROWS;
use super::rows::UNSEEN;
use super::*;

/// From this seed each defect is found within so many inputs.
const SEED: u64 = 1;
const ENOUGH: u64 = 1_000;

#[test]
fn each_defect_that_is_put_back_is_found_and_without_it_the_same_input_holds() {
    for row in ROWS {
        // What is found holds without the defect, or it would be an error.
        let found = row.find(SEED, Until { time: None, inputs: Some(ENOUGH) });
        let found = found.unwrap_or_else(|why| panic!("row {}, {}: {why}", row.number, row.knob));
        assert!(found.broke.contains(row.law), "row {}: {}", row.number, found.broke);
    }
}

#[test]
fn a_defect_that_is_not_put_back_is_not_found() {
    for row in ROWS {
        let row = Row { knob: "", ..*row };
        let missing = row.find(SEED, Until { time: None, inputs: Some(20) });
        assert!(matches!(missing, Err(Missing::NotFound(20))), "row {}: {missing:?}", row.number);
    }
}

#[test]
fn what_breaks_without_the_defect_is_not_the_defect() {
    let row = Row {
        number: 19,
        always: &["faults.maps_may_overlap = true"],
        knob: "",
        driver: Driver::Maps,
        law: "mapped over what is there",
    };
    let missing = row.find(SEED, Until { time: None, inputs: Some(ENOUGH) });
    assert!(matches!(missing, Err(Missing::BreaksAnyway(_))), "{missing:?}");
}

#[test]
fn every_row_is_looked_for_or_said_to_be_not() {
    let looked_for = ROWS.iter().map(|row| row.number);
    let rows: BTreeSet<u8> = looked_for.chain(UNSEEN.iter().map(|(number, _, _)| *number)).collect();
    assert_eq!(rows, (1..=24).collect());
}

#[rstest]
#[case(&["plain"], "plain")]
#[case(&["assertion `left == right` failed: why\n  left: 1\n right: 2"], "why, left: 1, right: 2")]
fn what_broke_is_told_in_a_line(#[case] said: &[&str], #[case] told: &str) {
    assert_eq!(words(&said.concat()), told);
    assert_eq!(words(&7), "no words");
}
