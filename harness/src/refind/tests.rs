use std::collections::BTreeSet;

use super::rows::ROWS;
use super::rows::UNSEEN;
use super::*;

/// From this seed each defect is found within so many inputs.
const SEED: u64 = 1;
const ENOUGH: u64 = 20_000;

#[test]
fn each_defect_that_is_put_back_is_found_and_without_it_the_same_input_holds() {
    for row in ROWS {
        let found = row.find(SEED, Until { time: None, inputs: Some(ENOUGH) });
        match &found {
            Ok(found) => {
                eprintln!("{} {} {} {:?} {}", row.number, row.knob, found.inputs, found.took, found.broke)
            }
            Err(why) => eprintln!("{} {} MISSING {why}", row.number, row.knob),
        }
    }
}
