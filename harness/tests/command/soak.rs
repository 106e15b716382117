//! `cxl-sim soak`: what it says, and what it refuses.

use rstest::rstest;

use crate::serve::output;

fn said(arguments: &[&str]) -> String {
    let ran = output(arguments);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn lives_with_accidents_leave_nothing_and_the_same_seed_lives_the_same() {
    let arguments = ["soak", "--cycles", "40", "--seed", "7", "--guest", "soft"];
    let first = said(&arguments);
    let lines: Vec<_> = first.lines().collect();
    assert_eq!(lines.first(), Some(&"soak, guest soft, seed 7"));
    assert!(lines[1].starts_with("40 lives, "), "{first}");
    assert_eq!(lines.last(), Some(&"left over: nothing"));
    let told: u64 = lines[1].strip_prefix("40 lives, ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let counts = lines[2..lines.len() - 1].iter().map(|line| line.rsplit(' ').next().unwrap());
    let counts: u64 = counts.map(|count| count.parse::<u64>().unwrap()).sum();
    assert_eq!(counts, told, "each accident is of one kind");
    assert!((40..=120).contains(&told), "one to three for each life: {told}");
    assert_eq!(said(&arguments), first);
}

#[rstest]
#[case::no_end(&["soak"])]
#[case::no_time(&["soak", "--seconds", "0"])]
#[case::no_seed(&["soak", "--cycles", "1", "--seed", "many"])]
fn a_soak_without_an_end_or_a_number_is_refused(#[case] arguments: &[&str]) {
    assert_eq!(output(arguments).status.code(), Some(2));
}
