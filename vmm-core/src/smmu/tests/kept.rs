//! What is kept until it is invalidated, and what is not.

use rstest::rstest;

use super::guest::CONTEXTS;
use super::guest::Guest;
use super::guest::PAGE;
use super::guest::one_page;
use super::guest::word0;
use crate::smmu::Features;
use crate::smmu::Reason;

const IOVA: u64 = 0x12_3456_7000;
const OLD: Result<(u64, u64), Reason> = Ok((0x8765_4000, 0x1000));
const NEW: Result<(u64, u64), Reason> = Ok((0x5555_4000, 0x1000));

/// A guest whose page was used and then moved, without a word to the SMMU.
fn moved(features: Features, attributes: u64) -> Guest {
    let (mut guest, lines) = one_page(features, attributes);
    assert_eq!(guest.read_at(1, IOVA), OLD);
    guest.memory.store(lines[2], 0x5555_4000 | attributes);
    guest
}

/// The bits that say that a page is of all address spaces.
const GLOBAL: u64 = PAGE & !0x800;

#[test]
fn without_invalidation_the_old_translation_stays() {
    let mut guest = moved(Features::default(), PAGE);
    guest.command([0x46, 0]);
    assert_eq!(guest.read_at(1, IOVA), OLD);
}

#[test]
fn without_a_cache_the_new_translation_is_there_at_once() {
    let mut guest = moved(Features { cache: false, ..Features::default() }, PAGE);
    assert_eq!(guest.read_at(1, IOVA), NEW);
}

#[rstest]
#[case::all([0x10, 0], PAGE)]
#[case::nonsecure_all([0x30, 0], PAGE)]
#[case::all_global([0x10, 0], GLOBAL)]
#[case::asid([0x11 | 7 << 48, 0], PAGE)]
#[case::address([0x12 | 7 << 48, 0x12_3456_7001], PAGE)]
#[case::address_with_other_low_bits([0x12 | 7 << 48, 0x12_3456_7ffe], PAGE)]
#[case::global_address_by_any_asid([0x12 | 8 << 48, 0x12_3456_7000], GLOBAL)]
#[case::address_of_all([0x13 | 8 << 48, 0x12_3456_7000], PAGE)]
fn an_invalidation_that_means_the_page_drops_it(#[case] command: [u64; 2], #[case] attributes: u64) {
    let mut guest = moved(Features::default(), attributes);
    guest.command(command);
    assert_eq!(guest.read_at(1, IOVA), NEW);
}

#[rstest]
#[case::another_asid([0x11 | 8 << 48, 0], PAGE)]
#[case::a_global_one_by_asid([0x11 | 7 << 48, 0], GLOBAL)]
#[case::another_address([0x12 | 7 << 48, 0x12_3456_6000], PAGE)]
#[case::the_next_address([0x12 | 7 << 48, 0x12_3456_8000], PAGE)]
#[case::the_address_of_another_asid([0x12 | 8 << 48, 0x12_3456_7000], PAGE)]
#[case::another_address_of_all([0x13, 0x12_3456_8000], PAGE)]
#[case::the_configuration([0x04, 31], PAGE)]
#[case::a_prefetch([0x02 | 1 << 32, 0x12_3456_7000], PAGE)]
#[case::a_device([0x40 | 1 << 32, 52], PAGE)]
fn an_invalidation_that_means_something_else_does_not(#[case] command: [u64; 2], #[case] attributes: u64) {
    let mut guest = moved(Features::default(), attributes);
    guest.command(command);
    assert_eq!((guest.read_at(1, IOVA), guest.read(0x60)), (OLD, 0));
}

#[test]
fn an_invalidation_does_not_look_at_the_top_byte() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    let table = guest.memory.load(CONTEXTS + 72);
    guest.context(1, [word0(7) & !(1 << 30) | 1 << 14 | 2 << 22 | 25 << 16, 0, table]);
    assert_eq!(guest.read_at(1, 0xffff_ff92_3456_7000), OLD);
    guest.memory.store(lines[2], 0x5555_4000 | PAGE);
    guest.command([0x12 | 7 << 48, 0x007f_ff92_3456_7000]);
    assert_eq!(guest.read_at(1, 0xffff_ff92_3456_7000), OLD, "another address below it");
    guest.command([0x12 | 7 << 48, 0x12ff_ff92_3456_7000]);
    assert_eq!(guest.read_at(1, 0xffff_ff92_3456_7000), NEW);
}

#[test]
fn a_new_mapping_needs_no_invalidation() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    guest.memory.store(lines[2], 0);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::Translation));
    guest.memory.store(lines[2], 0x8765_4000 | PAGE);
    assert_eq!(guest.read_at(1, IOVA), OLD);
}

#[test]
fn a_kept_page_keeps_its_permissions() {
    let (mut guest, lines) = one_page(Features::default(), PAGE | 0x80);
    assert_eq!(guest.read_at(1, IOVA), OLD);
    guest.memory.store(lines[2], 0x8765_4000 | PAGE);
    assert_eq!(guest.write_at(1, IOVA), Err(Reason::Permission));
    guest.command([0x12 | 7 << 48, IOVA]);
    assert_eq!(guest.write_at(1, IOVA), OLD);
}

#[test]
fn streams_of_one_address_space_share_its_translations_and_others_only_global_ones() {
    let mut guest = moved(Features::default(), PAGE);
    let table = guest.memory.load(CONTEXTS + 72);
    guest.context(2, [word0(7), table, 0]);
    guest.context(3, [word0(8), table, 0]);
    assert_eq!((guest.read_at(2, IOVA), guest.read_at(3, IOVA)), (OLD, NEW));
    let mut guest = moved(Features::default(), GLOBAL);
    let table = guest.memory.load(CONTEXTS + 72);
    guest.context(3, [word0(8), table, 0]);
    assert_eq!(guest.read_at(3, IOVA), OLD);
}

#[rstest]
#[case::the_stream([0x03 | 5 << 32, 0], true)]
#[case::its_neighbours([0x04 | 6 << 32, 0], false)]
#[case::a_range_with_it([0x04 | 6 << 32, 1], true)]
#[case::all([0x04, 31], true)]
#[case::its_contexts([0x06 | 5 << 32, 0], false)]
#[case::all_translations([0x30, 0], false)]
#[case::another_stream([0x03 | 4 << 32, 0], false)]
fn a_stream_table_entry_is_kept_until_it_is_invalidated(#[case] command: [u64; 2], #[case] drops: bool) {
    let mut guest = Guest::running(Features::default());
    guest.stream(5, [0b1001, 0]);
    let bypassed = guest.read_at(5, 0x1000);
    guest.stream(5, [0b0001, 0]);
    guest.command(command);
    let expected = if drops { Err(Reason::StreamAbort) } else { bypassed };
    assert_eq!(guest.read_at(5, 0x1000), expected);
}

#[rstest]
#[case::the_context([0x05 | 1 << 32, 1], true)]
#[case::all_contexts_of_the_stream([0x06 | 1 << 32, 0], true)]
#[case::the_stream([0x03 | 1 << 32, 1], true)]
#[case::all([0x04, 31], true)]
#[case::that_of_another_stream([0x05 | 2 << 32, 1], false)]
#[case::translations([0x10, 0], false)]
fn a_context_descriptor_is_kept_until_it_is_invalidated(#[case] command: [u64; 2], #[case] drops: bool) {
    let mut guest = moved(Features::default(), PAGE);
    guest.memory.store(CONTEXTS + 64, 0);
    guest.command(command);
    guest.command([0x30, 0]);
    assert_eq!(guest.read_at(1, IOVA), if drops { Err(Reason::BadCd) } else { NEW });
}

#[test]
fn a_refusal_is_not_kept() {
    let mut guest = Guest::running(Features::default());
    assert_eq!(guest.read_at(5, 0x1000), Err(Reason::BadSte));
    guest.stream(5, [0b1001, 0]);
    assert!(guest.read_at(5, 0x1000).is_ok());
}

#[test]
fn what_does_not_fit_is_not_kept_and_still_translated() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    let table = lines[2] & !0xfff;
    for index in 0..512 {
        guest.memory.store(table + index * 8, (0x1_0000_0000 + index * 0x1000) | PAGE);
    }
    let iova = |index: u64| 0x12_3440_0000 + index * 0x1000;
    for round in 0..2 {
        for index in 0..512 {
            let expected = Ok((0x1_0000_0000 + index * 0x1000, 0x1000));
            assert_eq!(guest.read_at(1, iova(index)), expected, "round {round}");
        }
    }
    guest.memory.store(table, 0);
    guest.memory.store(table + 511 * 8, 0);
    assert_eq!(guest.read_at(1, iova(0)), Ok((0x1_0000_0000, 0x1000)), "kept");
    assert_eq!(guest.read_at(1, iova(511)), Err(Reason::Translation), "not kept");
}

#[test]
fn several_instances_know_nothing_of_each_other() {
    let (mut one, mut other) = (moved(Features::default(), PAGE), moved(Features::default(), PAGE));
    one.command([0x30, 0]);
    assert_eq!((one.read_at(1, IOVA), other.read_at(1, IOVA)), (NEW, OLD));
}
