use proptest::prelude::*;
use rstest::rstest;

use super::*;

const OPEN: Control = Control::new(0);
const COMMITTED: Control = Control::new(0x600);
const LOCKED: Control = Control::new(0x700);
const REFUSED: Control = Control::new(0xb00);

const COMMITTING: Control = Control::new(0x300);

const MEMORY: Programming = Programming {
    base: Hpa::new(0x40_0000_0000),
    size: 256 << 20,
    skip: 0,
    ways: u4::new(0),
    granularity: u4::new(0),
};

/// A device that can do everything.
const ABLE: Abilities = Abilities {
    interleave_bits: 0x7f00,
    three_way: true,
    sixteen_way: true,
    capacity: 1 << 40,
    answer: Answer::AsSpecified,
};

fn around(programming: Programming, previous: Option<Previous>) -> Situation {
    Situation { programming, previous, dpa_base: 0, abilities: ABLE }
}

fn commit_bit(lock: bool) -> Control {
    Control::new(0).with_commit(true).with_lock_on_commit(lock)
}

fn previous(state: State) -> Option<Previous> {
    let programming = Programming { base: Hpa::new(0x30_0000_0000), size: 0x10_0000_0000, ..MEMORY };
    Some(Previous { state, programming })
}

#[test]
fn the_register_shows_the_state() {
    let states = [OPEN, COMMITTED, LOCKED, REFUSED, COMMITTING].map(State::of);
    let shown = [State::Open, State::Committed, State::Locked, State::Refused, State::Committing];
    assert_eq!(states, shown);
}

#[test]
fn an_open_decoder_commits() {
    let (control, event) = control_written(OPEN, commit_bit(false), around(MEMORY, None));
    assert_eq!((control, event), (COMMITTED, Some(Event::Committed(MEMORY))));
}

#[test]
fn an_open_decoder_commits_and_locks() {
    let (control, event) = control_written(OPEN, commit_bit(true), around(MEMORY, None));
    assert_eq!((control, event), (LOCKED, Some(Event::Committed(MEMORY))));
}

#[test]
fn a_committed_decoder_is_released_by_clearing_commit() {
    let (control, event) = control_written(COMMITTED, COMMITTED.with_commit(false), around(MEMORY, None));
    assert_eq!((State::of(control), event), (State::Open, Some(Event::Released)));
}

#[test]
fn a_committed_decoder_cannot_be_locked_afterwards() {
    assert_eq!(control_written(COMMITTED, LOCKED, around(MEMORY, None)), (COMMITTED, None));
}

#[test]
fn a_locked_decoder_stays_whatever_is_written() {
    for written in [0, 0x100, 0x200, 0x300, 0xf] {
        assert_eq!(control_written(LOCKED, Control::new(written), around(MEMORY, None)), (LOCKED, None));
    }
}

#[test]
fn a_refused_decoder_can_be_committed_again() {
    let (control, event) = control_written(REFUSED, commit_bit(true), around(MEMORY, None));
    assert_eq!((control, event), (LOCKED, Some(Event::Committed(MEMORY))));
}

#[test]
fn clearing_commit_clears_the_error() {
    let (control, event) = control_written(REFUSED, REFUSED.with_commit(false), around(MEMORY, None));
    assert_eq!((State::of(control), event), (State::Open, None));
}

#[rstest]
#[case::out_of_order(MEMORY, previous(State::Open), 0, Refusal::PreviousNotCommitted)]
#[case::after_a_refused_one(MEMORY, previous(State::Refused), 0, Refusal::PreviousNotCommitted)]
#[case::inside_the_one_before(
    Programming { base: Hpa::new(0x3f_f000_0000), ..MEMORY }, previous(State::Locked), 0, Refusal::BelowPrevious)]
#[case::past_the_last_address(
    Programming { base: Hpa::new(0xffff_ffff_f000_0000), size: 512 << 20, ..MEMORY }, None, 0, Refusal::Wraps)]
#[case::three_ways_over_one_granule(MEMORY, None, 8, Refusal::NotDivisibleByThree)]
#[case::reserved_ways(MEMORY, None, 5, Refusal::ReservedWays)]
fn a_locking_commit_that_fails_a_check_is_refused_and_an_unlocked_one_is_not(
    #[case] programming: Programming,
    #[case] previous: Option<Previous>,
    #[case] ways: u8,
    #[case] refusal: Refusal,
) {
    let locking = commit_bit(true).with_interleave_ways(u4::new(ways));
    let (control, event) = control_written(OPEN, locking, around(programming, previous));
    assert_eq!((State::of(control), event), (State::Refused, Some(Event::Refused(refusal))));

    let unlocked = commit_bit(false).with_interleave_ways(u4::new(ways));
    let (control, _) = control_written(OPEN, unlocked, around(programming, previous));
    assert_eq!(State::of(control), State::Committed);
}

#[test]
fn three_ways_over_three_granules_commit() {
    let programming = Programming { size: 3 * hdm::GRANULE, ..MEMORY };
    let locking = commit_bit(true).with_interleave_ways(u4::new(8));
    let (control, _) = control_written(OPEN, locking, around(programming, None));
    assert_eq!(State::of(control), State::Locked);
}

#[test]
fn a_decoder_that_touches_the_one_before_commits() {
    let (control, _) = control_written(OPEN, commit_bit(true), around(MEMORY, previous(State::Committed)));
    assert_eq!(State::of(control), State::Locked);
}

#[test]
fn a_decoder_of_size_zero_is_legal() {
    let programming = Programming { size: 0, ..MEMORY };
    let (control, _) = control_written(OPEN, commit_bit(true), around(programming, None));
    assert_eq!(State::of(control), State::Locked);
    assert_eq!(programming.range(), None);
}

/// What the specification permits to refuse, and this device refuses when locking and not otherwise.
#[rstest]
#[case::granularity_7(Programming { granularity: u4::new(7), ..MEMORY }, ABLE, Refusal::ReservedGranularity)]
#[case::ways_11(Programming { ways: u4::new(11), ..MEMORY }, ABLE, Refusal::ReservedWays)]
#[case::bit_8_of_bits_14_12(
    Programming { ways: u4::new(1), ..MEMORY },
    Abilities { interleave_bits: 0x7000, ..ABLE },
    Refusal::UnsupportedInterleave)]
#[case::bit_15(
    Programming { ways: u4::new(2), granularity: u4::new(6), ..MEMORY }, ABLE, Refusal::UnsupportedInterleave)]
#[case::three_ways(
    Programming { ways: u4::new(8), size: 768 << 20, ..MEMORY },
    Abilities { three_way: false, ..ABLE },
    Refusal::UnsupportedInterleave)]
#[case::sixteen_ways(
    Programming { ways: u4::new(4), ..MEMORY },
    Abilities { sixteen_way: false, ..ABLE },
    Refusal::UnsupportedInterleave)]
#[case::more_than_there_is(
    MEMORY, Abilities { capacity: (256 << 20) - 1, ..ABLE }, Refusal::BeyondMemory)]
fn a_locking_commit_of_what_the_device_cannot_do_is_refused_and_an_unlocked_one_is_not(
    #[case] programming: Programming,
    #[case] abilities: Abilities,
    #[case] refusal: Refusal,
) {
    let around = Situation { abilities, ..around(programming, None) };
    let coded = |control: Control| {
        control.with_interleave_ways(programming.ways).with_interleave_granularity(programming.granularity)
    };
    let (control, event) = control_written(OPEN, coded(commit_bit(true)), around);
    assert_eq!((State::of(control), event), (State::Refused, Some(Event::Refused(refusal))));
    let (control, _) = control_written(OPEN, coded(commit_bit(false)), around);
    assert_eq!(State::of(control), State::Committed);
}

/// The neighbours of the cases above that are just possible.
#[rstest]
#[case::granularity_6(Programming { granularity: u4::new(6), ..MEMORY }, ABLE)]
#[case::bit_12_of_bits_14_12(
    Programming { ways: u4::new(1), granularity: u4::new(4), ..MEMORY },
    Abilities { interleave_bits: 0x7000, ..ABLE })]
#[case::bit_14(Programming { ways: u4::new(1), granularity: u4::new(6), ..MEMORY }, ABLE)]
#[case::three_ways_choose_without_bits(
    Programming { ways: u4::new(8), size: 768 << 20, ..MEMORY },
    Abilities { interleave_bits: 0, ..ABLE })]
#[case::one_way_needs_nothing(
    MEMORY, Abilities { interleave_bits: 0, three_way: false, sixteen_way: false, ..ABLE })]
#[case::eight_ways_without_sixteen(
    Programming { ways: u4::new(3), ..MEMORY }, Abilities { sixteen_way: false, ..ABLE })]
#[case::all_that_there_is(MEMORY, Abilities { capacity: 256 << 20, ..ABLE })]
#[case::a_share_of_the_range_is_enough(
    Programming { ways: u4::new(1), ..MEMORY }, Abilities { capacity: 128 << 20, ..ABLE })]
fn a_locking_commit_of_what_the_device_can_just_do_locks(
    #[case] programming: Programming,
    #[case] abilities: Abilities,
) {
    let written = commit_bit(true)
        .with_interleave_ways(programming.ways)
        .with_interleave_granularity(programming.granularity);
    let around = Situation { abilities, ..around(programming, None) };
    assert_eq!(State::of(control_written(OPEN, written, around).0), State::Locked);
}

#[test]
fn a_decoder_behind_another_needs_the_memory_behind_it() {
    let abilities = Abilities { capacity: 512 << 20, ..ABLE };
    for (dpa_base, state) in [(256 << 20, State::Locked), (512 << 20, State::Refused)] {
        let around = Situation { dpa_base, abilities, ..around(MEMORY, previous(State::Locked)) };
        assert_eq!(State::of(control_written(OPEN, commit_bit(true), around).0), state);
    }
}

#[test]
fn a_device_that_never_answers_leaves_a_commit_open_until_it_is_cleared() {
    let abilities = Abilities { answer: Answer::Never, ..ABLE };
    let around = Situation { abilities, ..around(MEMORY, None) };
    let (control, event) = control_written(OPEN, commit_bit(true), around);
    assert_eq!((control, event), (COMMITTING, None));
    assert_eq!(control_written(COMMITTING, Control::new(0x3ff), around), (COMMITTING, None));
    let (control, event) = control_written(COMMITTING, Control::new(0), around);
    assert_eq!((State::of(control), event), (State::Open, None));
}

#[test]
fn a_device_that_refuses_refuses_with_and_without_lock() {
    let abilities = Abilities { answer: Answer::Refused, ..ABLE };
    for lock in [false, true] {
        let around = Situation { abilities, ..around(MEMORY, None) };
        let (control, event) = control_written(OPEN, commit_bit(lock), around);
        assert_eq!((State::of(control), event), (State::Refused, Some(Event::Refused(Refusal::Broken))));
    }
}

proptest! {
    /// A second, smaller telling of the same life: two booleans and the rule who may change them.
    #[test]
    fn any_sequence_of_writes_agrees_with_the_model(
        writes in prop::collection::vec((any::<bool>(), any::<bool>()), 1..12)
    ) {
        let mut control = OPEN;
        let (mut active, mut locked) = (false, false);
        for (commit, lock) in writes {
            let written = control.with_commit(commit).with_lock_on_commit(lock);
            control = control_written(control, written, around(MEMORY, None)).0;
            if !locked {
                (active, locked) = if active { (commit, false) } else { (commit, commit && lock) };
            }
            prop_assert_eq!(control.committed(), active);
            prop_assert_eq!(State::of(control) == State::Locked, locked);
        }
    }
}
