use proptest::prelude::*;
use rstest::rstest;

use super::*;

const OPEN: Control = Control::new(0);
const COMMITTED: Control = Control::new(0x600);
const LOCKED: Control = Control::new(0x700);
const REFUSED: Control = Control::new(0xb00);

const MEMORY: Programming = Programming { base: Hpa::new(0x40_0000_0000), size: 256 << 20 };

fn commit_bit(lock: bool) -> Control {
    Control::new(0).with_commit(true).with_lock_on_commit(lock)
}

fn previous(state: State) -> Option<Previous> {
    let programming = Programming { base: Hpa::new(0x30_0000_0000), size: 0x10_0000_0000 };
    Some(Previous { state, programming })
}

#[test]
fn the_register_shows_the_state() {
    let states = [OPEN, COMMITTED, LOCKED, REFUSED].map(State::of);
    assert_eq!(states, [State::Open, State::Committed, State::Locked, State::Refused]);
}

#[test]
fn an_open_decoder_commits() {
    let (control, event) = control_written(OPEN, commit_bit(false), MEMORY, None);
    assert_eq!((control, event), (COMMITTED, Some(Event::Committed(MEMORY))));
}

#[test]
fn an_open_decoder_commits_and_locks() {
    let (control, event) = control_written(OPEN, commit_bit(true), MEMORY, None);
    assert_eq!((control, event), (LOCKED, Some(Event::Committed(MEMORY))));
}

#[test]
fn a_committed_decoder_is_released_by_clearing_commit() {
    let (control, event) = control_written(COMMITTED, COMMITTED.with_commit(false), MEMORY, None);
    assert_eq!((State::of(control), event), (State::Open, Some(Event::Released)));
}

#[test]
fn a_committed_decoder_cannot_be_locked_afterwards() {
    assert_eq!(control_written(COMMITTED, LOCKED, MEMORY, None), (COMMITTED, None));
}

#[test]
fn a_locked_decoder_stays_whatever_is_written() {
    for written in [0, 0x100, 0x200, 0x300, 0xf] {
        assert_eq!(control_written(LOCKED, Control::new(written), MEMORY, None), (LOCKED, None));
    }
}

#[test]
fn a_refused_decoder_can_be_committed_again() {
    let (control, event) = control_written(REFUSED, commit_bit(true), MEMORY, None);
    assert_eq!((control, event), (LOCKED, Some(Event::Committed(MEMORY))));
}

#[test]
fn clearing_commit_clears_the_error() {
    let (control, event) = control_written(REFUSED, REFUSED.with_commit(false), MEMORY, None);
    assert_eq!((State::of(control), event), (State::Open, None));
}

#[rstest]
#[case::out_of_order(MEMORY, previous(State::Open), 0, Refusal::PreviousNotCommitted)]
#[case::after_a_refused_one(MEMORY, previous(State::Refused), 0, Refusal::PreviousNotCommitted)]
#[case::inside_the_one_before(
    Programming { base: Hpa::new(0x3f_f000_0000), ..MEMORY }, previous(State::Locked), 0, Refusal::BelowPrevious)]
#[case::past_the_last_address(
    Programming { base: Hpa::new(0xffff_ffff_f000_0000), size: 512 << 20 }, None, 0, Refusal::Wraps)]
#[case::three_ways_over_one_granule(MEMORY, None, 8, Refusal::NotDivisibleByThree)]
#[case::reserved_ways(MEMORY, None, 5, Refusal::ReservedWays)]
fn a_locking_commit_that_fails_a_check_is_refused_and_an_unlocked_one_is_not(
    #[case] programming: Programming,
    #[case] previous: Option<Previous>,
    #[case] ways: u8,
    #[case] refusal: Refusal,
) {
    let locking = commit_bit(true).with_interleave_ways(u4::new(ways));
    let (control, event) = control_written(OPEN, locking, programming, previous);
    assert_eq!((State::of(control), event), (State::Refused, Some(Event::Refused(refusal))));

    let unlocked = commit_bit(false).with_interleave_ways(u4::new(ways));
    let (control, _) = control_written(OPEN, unlocked, programming, previous);
    assert_eq!(State::of(control), State::Committed);
}

#[test]
fn three_ways_over_three_granules_commit() {
    let programming = Programming { size: 3 * hdm::GRANULE, ..MEMORY };
    let locking = commit_bit(true).with_interleave_ways(u4::new(8));
    let (control, _) = control_written(OPEN, locking, programming, None);
    assert_eq!(State::of(control), State::Locked);
}

#[test]
fn a_decoder_that_touches_the_one_before_commits() {
    let (control, _) = control_written(OPEN, commit_bit(true), MEMORY, previous(State::Committed));
    assert_eq!(State::of(control), State::Locked);
}

#[test]
fn a_decoder_of_size_zero_is_legal() {
    let programming = Programming { size: 0, ..MEMORY };
    let (control, _) = control_written(OPEN, commit_bit(true), programming, None);
    assert_eq!(State::of(control), State::Locked);
    assert_eq!(programming.range(), None);
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
            control = control_written(control, written, MEMORY, None).0;
            if !locked {
                (active, locked) = if active { (commit, false) } else { (commit, commit && lock) };
            }
            prop_assert_eq!(control.committed(), active);
            prop_assert_eq!(State::of(control) == State::Locked, locked);
        }
    }
}
