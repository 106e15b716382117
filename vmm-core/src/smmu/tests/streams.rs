//! The stream table and context descriptors: what is found, and what is refused.

use rstest::rstest;

use super::guest::CONTEXTS;
use super::guest::Guest;
use super::guest::PAGE;
use super::guest::STREAM_TABLE;
use super::guest::one_page;
use super::guest::word0;
use crate::smmu::Features;
use crate::smmu::Reason;

const BYPASS: u64 = 0b1001;

#[rstest]
#[case::abort(0b0001, Err(Reason::StreamAbort))]
#[case::abort_with_other_bits(0b0111, Err(Reason::StreamAbort))]
#[case::bypass(0b1001, Ok((0x5678, 0xffff_ffff_a988)))]
#[case::stage_2(0b1101, Err(Reason::BadSte))]
#[case::both_stages(0b1111, Err(Reason::BadSte))]
#[case::not_valid(0b1000, Err(Reason::BadSte))]
fn a_stream_does_what_its_entry_says(#[case] word: u64, #[case] expected: Result<(u64, u64), Reason>) {
    let mut guest = Guest::running(Features::default());
    guest.stream(5, [word, 0]);
    assert_eq!(guest.read_at(5, 0x5678), expected);
}

#[rstest]
#[case::el2(2 << 30)]
#[case::el3(1 << 30)]
#[case::split_ats(2 << 28)]
fn a_stage_that_is_not_offered_makes_the_entry_bad(#[case] word1: u64) {
    let (mut guest, _) = one_page(Features::default(), PAGE);
    guest.stream(1, [(CONTEXTS + 64) | 0b1011, word1]);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Err(Reason::BadSte));
    guest.stream(1, [(CONTEXTS + 64) | 0b1011, 1 << 28]);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Ok((0x8765_4000, 0x1000)), "full ATS is offered");
}

#[test]
fn a_linear_table_ends_where_its_size_says() {
    let mut guest = Guest::running(Features::default());
    for stream in [0, 63, 64] {
        guest.stream(stream, [BYPASS, 0]);
    }
    assert_eq!(guest.read_at(63, 0x1000).map(|(address, _)| address), Ok(0x1000));
    assert_eq!(guest.read_at(64, 0x1000), Err(Reason::BadStreamId));
    assert_eq!(guest.read_at(u32::MAX, 0x1000), Err(Reason::BadStreamId));
}

#[test]
fn a_table_is_no_larger_than_the_stream_ids_and_aligned_to_itself() {
    let stream_bits = arbitrary_int::u6::new(4);
    let mut guest = Guest::new(Features { stream_bits, ..Features::default() });
    guest.write64(0x80, STREAM_TABLE | 0x3c0);
    guest.write(0x88, 63);
    guest.write(0x20, 1);
    for stream in [3, 15] {
        guest.stream(stream.into(), [BYPASS, 0]);
        assert_eq!(guest.read_at(stream, 0x1000).map(|(address, _)| address), Ok(0x1000));
    }
    assert_eq!(guest.read_at(16, 0x1000), Err(Reason::BadStreamId));
}

/// A guest with a 2-level table of 2^10 entries.
fn two_levels(split: u32) -> Guest {
    let mut guest = Guest::new(Features::default());
    guest.write64(0x80, STREAM_TABLE);
    guest.write(0x88, 10 | split << 6 | 1 << 16);
    guest.write(0x2c, 2);
    guest.write(0x20, 1);
    guest
}

#[rstest]
#[case(6, 6)]
#[case(8, 8)]
#[case(10, 10)]
#[case::reserved(7, 6)]
#[case::also_reserved(0, 6)]
fn in_a_2_level_table_the_second_level_translates_the_low_bits(#[case] split: u32, #[case] bits: u32) {
    let mut guest = two_levels(split);
    let stream: u32 = 0x2a5 & ((1 << 10) - 1);
    let (high, low) = (u64::from(stream >> bits), u64::from(stream & ((1 << bits) - 1)));
    guest.memory.store(STREAM_TABLE + high * 8, 0x20_0000 | u64::from(bits + 1));
    guest.memory.store(0x20_0000 + low * 64, BYPASS);
    assert_eq!(guest.read_at(stream, 0x1000).map(|(address, _)| address), Ok(0x1000));
    assert_eq!(guest.read_at(stream ^ 1, 0x1000), Err(Reason::BadSte));
    assert_eq!(guest.read_at(0x400, 0x1000), Err(Reason::BadStreamId));
}

#[test]
fn both_levels_of_a_table_are_aligned_to_themselves() {
    let mut guest = Guest::new(Features::default());
    // 32 descriptors of 8 bytes, and 8 entries of 64.
    guest.write64(0x80, STREAM_TABLE | 0xc0);
    guest.write(0x88, 11 | 6 << 6 | 1 << 16);
    guest.write(0x20, 1);
    guest.memory.store(STREAM_TABLE + 8, 0x20_01c0 | 4);
    guest.memory.store(0x20_0080, BYPASS);
    assert_eq!(guest.read_at(0x42, 0x1000).map(|(address, _)| address), Ok(0x1000));
}

#[rstest]
#[case::one_entry(1, 0, true)]
#[case::behind_one_entry(1, 1, false)]
#[case::last_of_eight(4, 7, true)]
#[case::behind_eight(4, 8, false)]
#[case::nowhere(0, 0, false)]
#[case::reserved(12, 0, false)]
#[case::also_reserved(31, 0, false)]
fn a_span_says_how_many_streams_there_are(#[case] span: u64, #[case] stream: u32, #[case] is_there: bool) {
    let mut guest = two_levels(8);
    guest.memory.store(STREAM_TABLE, 0x20_0000 | span);
    guest.memory.store(0x20_0000 + u64::from(stream) * 64, BYPASS);
    let expected = if is_there { Ok(0x1000) } else { Err(Reason::BadStreamId) };
    assert_eq!(guest.read_at(stream, 0x1000).map(|(address, _)| address), expected);
}

#[rstest]
#[case::not_valid(|word: u64| word & !(1 << 31))]
#[case::aarch32(|word: u64| word & !(1 << 41))]
#[case::big_endian(|word: u64| word | 1 << 15)]
#[case::stalling(|word: u64| word | 1 << 44)]
#[case::not_aborting(|word: u64| word & !(1 << 46))]
#[case::setting_the_access_flag(|word: u64| word | 1 << 43)]
#[case::setting_the_dirty_state(|word: u64| word | 1 << 42)]
#[case::reserved_granule(|word: u64| word | 3 << 6)]
#[case::too_many_bits(|word: u64| word & !0x3f | 15)]
#[case::too_few_bits(|word: u64| word & !0x3f | 40)]
#[case::reserved_upper_granule(|word: u64| word & !(1 << 30) | 25 << 16)]
#[case::too_many_upper_bits(|word: u64| word & !(1 << 30) | 2 << 22 | 15 << 16)]
fn a_context_descriptor_that_asks_for_what_is_not_there_is_bad(#[case] change: fn(u64) -> u64) {
    let (mut guest, _) = one_page(Features::default(), PAGE);
    let good = guest.memory.load(CONTEXTS + 64);
    guest.memory.store(CONTEXTS + 64, change(good));
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Err(Reason::BadCd));
    guest.memory.store(CONTEXTS + 64, good);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Ok((0x8765_4000, 0x1000)));
}

#[test]
fn a_first_table_above_the_output_addresses_makes_the_context_descriptor_bad() {
    let mut guest = Guest::running(Features::default());
    // Output addresses of 32 bits, though the SMMU has 48.
    guest.context(1, [word0(7) & !(7 << 32), 0x1_0000_0000, 0]);
    assert_eq!(guest.read_at(1, 0), Err(Reason::BadCd));
    guest.context(1, [word0(7) & !(7 << 32) | 1 << 14, 0x1_0000_0000, 0]);
    assert_eq!(guest.read_at(1, 0), Err(Reason::Translation), "what is not walked does not matter");
}

#[test]
fn a_first_table_is_aligned_to_itself() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    let table = lines[0] & !0xfff;
    guest.memory.store(CONTEXTS + 72, table | 0xff0);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Ok((0x8765_4000, 0x1000)));
    // One of 25 bits has 16 lines.
    guest.memory.store(table + 0xf00, (lines[2] & !0xfff) | 3);
    guest.context(1, [word0(7) & !0x3f | 39, table + 0xf70, 0]);
    guest.command([0x05 | 1 << 32, 0]);
    assert_eq!(guest.read_at(1, 0x16_7000), Ok((0x8765_4000, 0x1000)));
}

#[test]
fn a_half_that_is_not_walked_maps_nothing() {
    let (mut guest, _) = one_page(Features::default(), PAGE);
    assert_eq!(guest.read_at(1, 0xffff_ff92_3456_7000), Err(Reason::Translation));
    let good = guest.memory.load(CONTEXTS + 64);
    let table = guest.memory.load(CONTEXTS + 72);
    // Both halves by the same table, the upper one with its own encoding of 4 KiB.
    guest.context(1, [good & !(1 << 30) | 2 << 22 | 25 << 16, table, table]);
    guest.command([0x05 | 1 << 32, 0]);
    assert_eq!(guest.read_at(1, 0xffff_ff92_3456_7000), Ok((0x8765_4000, 0x1000)));
    guest.context(1, [good | 1 << 14, table, 0]);
    guest.command([0x05 | 1 << 32, 0]);
    guest.command([0x30, 0]);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Err(Reason::Translation));
}

#[test]
fn a_top_byte_is_part_of_the_address_unless_it_is_ignored() {
    let (mut guest, _) = one_page(Features::default(), PAGE);
    let tagged = 0xab00_0012_3456_7000;
    assert_eq!(guest.read_at(1, tagged), Err(Reason::Translation));
    let good = guest.memory.load(CONTEXTS + 64);
    guest.memory.store(CONTEXTS + 64, good | 1 << 38);
    guest.command([0x05 | 1 << 32, 0]);
    assert_eq!(guest.read_at(1, tagged), Ok((0x8765_4000, 0x1000)));
    assert_eq!(guest.read_at(1, tagged | 1 << 54), Err(Reason::Translation), "only the top byte");
}

#[test]
fn the_upper_half_ignores_its_own_top_byte() {
    let (mut guest, _) = one_page(Features::default(), PAGE);
    let table = guest.memory.load(CONTEXTS + 72);
    let upper = word0(7) & !(1 << 30) | 1 << 14 | 2 << 22 | 25 << 16;
    let tagged = 0x12ff_ff92_3456_7000;
    guest.context(1, [upper | 1 << 38, 0, table]);
    assert_eq!(guest.read_at(1, tagged), Err(Reason::Translation));
    guest.context(1, [upper | 1 << 39, 0, table]);
    guest.command([0x05 | 1 << 32, 0]);
    assert_eq!(guest.read_at(1, tagged), Ok((0x8765_4000, 0x1000)));
    assert_eq!(guest.read_at(1, tagged & !(1 << 40)), Err(Reason::Translation));
}
