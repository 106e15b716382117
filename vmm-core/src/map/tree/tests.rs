//! Regions against a model that knows every byte, and twins of the rules.

use proptest::prelude::*;

use super::*;

/// The model's address space.
const BYTES: u64 = 48;

fn span(start: u64, size: u64) -> Span<Gpa> {
    Span::new(Gpa::new(start), size).unwrap()
}

fn piece(start: u64, size: u64, shows: char, offset: u64) -> Piece<char> {
    Piece { span: span(start, size), shows, offset }
}

fn region(start: u64, size: u64, priority: i32, shows: char) -> Region<char> {
    Region::new(span(start, size), priority, shows)
}

#[test]
fn the_higher_priority_is_seen_whatever_came_first() {
    let expected = [piece(0, 4, 'a', 0), piece(4, 4, 'b', 0), piece(8, 8, 'a', 8)];
    assert_eq!(flat(&[region(0, 16, 0, 'a'), region(4, 4, 1, 'b')]), expected);
    assert_eq!(flat(&[region(4, 4, 1, 'b'), region(0, 16, 0, 'a')]), expected);
}

#[test]
fn of_the_same_priority_the_later_one_is_seen() {
    assert_eq!(flat(&[region(0, 8, 0, 'a'), region(0, 8, 0, 'b')]), [piece(0, 8, 'b', 0)]);
    assert_eq!(flat(&[region(0, 8, 0, 'b'), region(0, 8, 0, 'a')]), [piece(0, 8, 'a', 0)]);
}

#[test]
fn what_is_inside_is_not_seen_outside() {
    let bridge = Region::around(span(8, 8), 0, vec![region(4, 8, 0, 'a')]);
    assert_eq!(flat(&[bridge]), [piece(8, 4, 'a', 4)]);
}

#[test]
fn what_is_inside_covers_its_region_whatever_its_priority() {
    let bar = Region { inside: vec![region(4, 4, -1, 'o')], ..region(0, 16, 0, 'b') };
    assert_eq!(flat(&[bar]), [piece(0, 4, 'b', 0), piece(4, 4, 'o', 0), piece(8, 8, 'b', 8)]);
}

#[test]
fn a_priority_inside_does_not_count_outside() {
    let low = Region::around(span(0, 8), 0, vec![region(0, 8, 100, 'a')]);
    assert_eq!(flat(&[low.clone(), region(0, 8, 1, 'b')]), [piece(0, 8, 'b', 0)]);
    assert_eq!(flat(&[low, region(0, 8, -1, 'b')]), [piece(0, 8, 'a', 0)]);
}

#[test]
fn through_a_region_that_shows_nothing_what_is_below_is_seen() {
    let window = Region::around(span(0, 16), 5, vec![region(4, 4, 0, 'a')]);
    let expected = [piece(0, 4, 'r', 0), piece(4, 4, 'a', 0), piece(8, 8, 'r', 8)];
    assert_eq!(flat(&[region(0, 16, 0, 'r'), window]), expected);
}

#[test]
fn touching_parts_of_one_region_are_one_piece_and_touching_regions_are_two() {
    let covered = Region::around(span(4, 4), 1, vec![]);
    assert_eq!(flat(&[region(0, 16, 0, 'a'), covered]), [piece(0, 16, 'a', 0)]);
    let two = [region(0, 8, 0, 'a'), region(8, 8, 0, 'a')];
    assert_eq!(flat(&two), [piece(0, 8, 'a', 0), piece(8, 8, 'a', 0)]);
}

#[test]
fn a_piece_that_stays_is_not_touched() {
    let old = flat(&[region(0, 8, 0, 'a'), region(16, 8, 0, 'b')]);
    let new = flat(&[region(0, 8, 0, 'a'), region(24, 8, 0, 'b')]);
    let moved = [
        Step { add: vec![], remove: vec![piece(16, 8, 'b', 0)] },
        Step { add: vec![piece(24, 8, 'b', 0)], remove: vec![] },
    ];
    assert_eq!(steps(&old, &new), moved);
    assert!(!moved.iter().any(Step::replaces));
    assert_eq!(steps(&new, &new), []);
}

#[test]
fn a_piece_that_moves_over_itself_is_replaced() {
    let old = flat(&[region(0, 16, 0, 'a')]);
    let new = flat(&[region(8, 16, 0, 'a')]);
    assert_eq!(
        steps(&old, &new),
        [Step { add: vec![piece(8, 16, 'a', 0)], remove: vec![piece(0, 16, 'a', 0)] }]
    );
}

#[test]
fn a_piece_that_is_split_is_replaced_by_its_parts_before_it_goes() {
    let whole = flat(&[region(0, 16, 0, 'a')]);
    let split = flat(&[region(0, 16, 0, 'a'), region(4, 4, 1, 'b')]);
    let parts = vec![piece(0, 4, 'a', 0), piece(4, 4, 'b', 0), piece(8, 8, 'a', 8)];
    let all = vec![piece(0, 16, 'a', 0)];
    assert_eq!(steps(&whole, &split), [Step { add: parts.clone(), remove: all.clone() }]);
    assert_eq!(steps(&split, &whole), [Step { add: all, remove: parts }]);
    assert!(steps(&split, &whole).iter().all(Step::replaces));
}

fn regions() -> impl Strategy<Value = Vec<Region<char>>> {
    let one = (0..BYTES - 1, 1..BYTES, -2i32..3, prop::option::weighted(0.8, 0u32..6));
    let leaf = one.prop_map(|(start, size, priority, shows)| Region {
        span: span(start, size.min(BYTES - start)),
        priority,
        shows: shows.and_then(|number| char::from_u32(u32::from('a') + number)),
        inside: Vec::new(),
    });
    let nested = leaf.prop_recursive(3, 12, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..4))
            .prop_map(|(region, inside)| Region { inside, ..region })
    });
    prop::collection::vec(nested, 0..6)
}

proptest! {
    #[test]
    fn two_maps_are_seen_as_the_model_sees_them_and_become_each_other(before in regions(), after in regions()) {
        drive::check(&before, &after);
    }

    #[test]
    fn any_bytes_are_two_maps(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drive::any_regions(&bytes);
    }
}
