//! Every kind of fault, and its record byte by byte.

use cxl_spec::address::Gpa;

use super::guest::CONTEXTS;
use super::guest::Guest;
use super::guest::PAGE;
use super::guest::STREAM_TABLE;
use super::guest::one_page;
use crate::smmu::Features;
use crate::smmu::Operation;
use crate::smmu::Reason;
use crate::smmu::features;

/// The address of the page in [`one_page`], and a bit more.
const IOVA: u64 = 0x12_3456_7890;

/// Has stream 1 refused at [`IOVA`] for a reason, and gives the record.
fn record(guest: &mut Guest, operation: Operation, reason: Reason) -> [u8; 32] {
    let before = guest.events();
    assert_eq!(guest.translate(1, IOVA, operation), Err(reason));
    assert_eq!(guest.events(), before + 1, "one record");
    guest.event(before.into())
}

/// A record of these words, each typed as its bytes.
fn bytes(words: [[u8; 8]; 4]) -> [u8; 32] {
    words.as_flattened().try_into().unwrap()
}

const NONE: [u8; 8] = [0; 8];
/// The input address.
const INPUT: [u8; 8] = [0x90, 0x78, 0x56, 0x34, 0x12, 0, 0, 0];
/// Class 2, an input address, of a read.
const READ: [u8; 8] = [0, 0, 0, 0, 0x08, 0x02, 0, 0];
/// The same of a write.
const WRITE: [u8; 8] = [0, 0, 0, 0, 0x00, 0x02, 0, 0];

fn page(attributes: u64) -> Guest {
    one_page(Features::default(), attributes).0
}

#[test]
fn a_stream_that_is_not_in_the_table_is_bad() {
    let mut guest = page(PAGE);
    assert_eq!(guest.read_at(0xabcd, IOVA), Err(Reason::BadStreamId));
    assert_eq!(guest.event(0), bytes([[0x02, 0, 0, 0, 0xcd, 0xab, 0, 0], NONE, NONE, NONE]));
}

#[test]
fn a_stream_that_is_not_in_the_table_is_not_recorded_unless_software_wants_it() {
    let mut guest = page(PAGE);
    guest.write(0x20, 0xc);
    guest.write(0x2c, 0);
    guest.write(0x20, 0xd);
    assert_eq!(guest.read_at(0xabcd, IOVA), Err(Reason::BadStreamId));
    assert_eq!(guest.events(), 0);
    assert_eq!(guest.read_at(2, IOVA), Err(Reason::BadSte));
    assert_eq!(guest.events(), 1, "all else is");
}

#[test]
fn a_stream_table_entry_that_cannot_be_read() {
    let mut guest = page(PAGE);
    guest.memory.punch(STREAM_TABLE + 0x7f..STREAM_TABLE + 0x80);
    let at = Gpa::new(0x1_0040);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::SteFetch(at)),
        bytes([[0x03, 0, 0, 0, 1, 0, 0, 0], NONE, NONE, [0x40, 0, 1, 0, 0, 0, 0, 0]])
    );
}

#[test]
fn a_first_level_descriptor_that_cannot_be_read() {
    let mut guest = Guest::new(Features::default());
    guest.write64(0x80, STREAM_TABLE);
    guest.write(0x88, 10 | 8 << 6 | 1 << 16);
    guest.write(0x20, 1);
    guest.memory.punch(STREAM_TABLE + 8..STREAM_TABLE + 9);
    assert_eq!(guest.read_at(0x1ff, 0), Err(Reason::SteFetch(Gpa::new(0x1_0008))));
    assert_eq!(guest.read_at(0x0ff, 0), Err(Reason::BadStreamId));
}

#[test]
fn a_stream_table_entry_that_is_not_valid() {
    let mut guest = page(PAGE);
    guest.stream(1, [0, 0]);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::BadSte),
        bytes([[0x04, 0, 0, 0, 1, 0, 0, 0], NONE, NONE, NONE])
    );
}

#[test]
fn a_context_descriptor_that_cannot_be_read() {
    let mut guest = page(PAGE);
    guest.memory.punch(CONTEXTS + 0x40..CONTEXTS + 0x41);
    let at = Gpa::new(0x4_0040);
    assert_eq!(
        record(&mut guest, Operation::Write, Reason::CdFetch(at)),
        bytes([[0x09, 0, 0, 0, 1, 0, 0, 0], NONE, NONE, [0x40, 0, 4, 0, 0, 0, 0, 0]])
    );
}

#[test]
fn a_context_descriptor_above_the_output_addresses_cannot_be_read() {
    let oas = features::AddressSize::Bits32;
    let (mut guest, _) = one_page(Features { oas, ..Features::default() }, PAGE);
    guest.stream(1, [0x1_0000_0000 | 0b1011, 0]);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::CdFetch(Gpa::new(0x1_0000_0000))));
}

#[test]
fn a_context_descriptor_that_is_not_valid() {
    let mut guest = page(PAGE);
    guest.memory.store(CONTEXTS + 64, 0);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::BadCd),
        bytes([[0x0a, 0, 0, 0, 1, 0, 0, 0], NONE, NONE, NONE])
    );
}

#[test]
fn a_translation_table_that_cannot_be_read() {
    for (level, fetched) in [(0, 0x10_0240), (1, 0x10_1d10), (2, 0x10_2b38)] {
        let (mut guest, lines) = one_page(Features::default(), PAGE);
        assert_eq!(lines[level], fetched);
        guest.memory.punch(fetched..fetched + 1);
        let [a, b, c, ..] = fetched.to_le_bytes();
        assert_eq!(
            record(&mut guest, Operation::Read, Reason::WalkAbort(Gpa::new(fetched))),
            // Class 1: a translation table.
            bytes([
                [0x0b, 0, 0, 0, 1, 0, 0, 0],
                [0, 0, 0, 0, 0x08, 0x01, 0, 0],
                INPUT,
                [a, b, c, 0, 0, 0, 0, 0]
            ])
        );
    }
}

#[test]
fn nothing_is_mapped_where_a_descriptor_is_not_valid_at_any_level() {
    for level in 0..3 {
        let (mut guest, lines) = one_page(Features::default(), PAGE);
        let good = guest.memory.load(lines[level]);
        guest.memory.store(lines[level], good & !1);
        assert_eq!(
            record(&mut guest, Operation::Read, Reason::Translation),
            bytes([[0x10, 0, 0, 0, 1, 0, 0, 0], READ, INPUT, NONE])
        );
        guest.memory.store(lines[level], good);
        assert_eq!(guest.read_at(1, IOVA), Ok((0x8765_4890, 0x770)));
    }
}

#[test]
fn the_last_level_has_no_blocks() {
    let (mut guest, lines) = one_page(Features::default(), PAGE & !2);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::Translation));
    let good = guest.memory.load(lines[2]) | 2;
    guest.memory.store(lines[2], good);
    assert_eq!(guest.read_at(1, IOVA), Ok((0x8765_4890, 0x770)));
}

#[test]
fn an_output_address_that_is_too_large() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    let first = guest.memory.load(CONTEXTS + 64);
    // Output addresses of 36 bits.
    guest.memory.store(CONTEXTS + 64, first & !(7 << 32) | 1 << 32);
    guest.memory.store(lines[2], 0x10_0000_0000 | PAGE);
    assert_eq!(
        record(&mut guest, Operation::Write, Reason::AddressSize),
        bytes([[0x11, 0, 0, 0, 1, 0, 0, 0], WRITE, INPUT, NONE])
    );
    guest.memory.store(lines[2], 0x0f_ffff_f000 | PAGE);
    assert_eq!(guest.read_at(1, IOVA), Ok((0x0f_ffff_f890, 0x770)));
}

#[test]
fn a_table_whose_address_is_too_large() {
    let oas = features::AddressSize::Bits32;
    let (mut guest, lines) = one_page(Features { oas, ..Features::default() }, PAGE);
    guest.memory.store(lines[1], 0x1_0000_0003);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::AddressSize));
}

#[test]
fn a_bypassed_address_that_is_too_large() {
    let oas = features::AddressSize::Bits36;
    let (mut guest, _) = one_page(Features { oas, ..Features::default() }, PAGE);
    guest.stream(1, [0b1001, 0]);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::AddressSize),
        bytes([[0x11, 0, 0, 0, 1, 0, 0, 0], READ, INPUT, NONE])
    );
}

#[test]
fn a_clear_access_flag_is_a_fault_unless_software_says_otherwise() {
    let mut guest = page(PAGE & !0x400);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::Access),
        bytes([[0x12, 0, 0, 0, 1, 0, 0, 0], READ, INPUT, NONE])
    );
    let word = guest.memory.load(CONTEXTS + 64);
    guest.memory.store(CONTEXTS + 64, word | 1 << 35);
    guest.command([0x05 | 1 << 32, 0]);
    assert_eq!(guest.read_at(1, IOVA), Ok((0x8765_4890, 0x770)));
}

#[test]
fn a_read_only_page_can_be_read_and_not_written() {
    let mut guest = page(PAGE | 0x80);
    assert_eq!(guest.read_at(1, IOVA), Ok((0x8765_4890, 0x770)));
    assert_eq!(
        record(&mut guest, Operation::Write, Reason::Permission),
        bytes([[0x13, 0, 0, 0, 1, 0, 0, 0], WRITE, INPUT, NONE])
    );
}

#[test]
fn a_privileged_page_cannot_be_reached() {
    let mut guest = page(PAGE & !0x40);
    assert_eq!(
        record(&mut guest, Operation::Read, Reason::Permission),
        bytes([[0x13, 0, 0, 0, 1, 0, 0, 0], READ, INPUT, NONE])
    );
}

#[test]
fn what_a_table_denies_nothing_below_allows() {
    for level in 0..2 {
        let (mut guest, lines) = one_page(Features { cache: false, ..Features::default() }, PAGE);
        let good = guest.memory.load(lines[level]);
        guest.memory.store(lines[level], good | 1 << 62);
        assert_eq!(guest.write_at(1, IOVA), Err(Reason::Permission));
        assert_eq!(guest.read_at(1, IOVA), Ok((0x8765_4890, 0x770)));
        guest.memory.store(lines[level], good | 1 << 61);
        assert_eq!(guest.read_at(1, IOVA), Err(Reason::Permission));
    }
}

#[test]
fn an_address_outside_the_space_is_mapped_nowhere() {
    let mut guest = page(PAGE);
    // The 39 bits have an end, and what has a bit above is not the same address.
    assert_eq!(guest.read_at(1, IOVA | 1 << 39), Err(Reason::Translation));
    assert_eq!(guest.read_at(1, IOVA | 1 << 63), Err(Reason::Translation));
}

#[test]
fn aborting_is_not_recorded() {
    let mut guest = page(PAGE);
    guest.stream(1, [1, 0]);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::StreamAbort));
    assert_eq!(guest.events(), 0);
}

#[test]
fn a_context_may_keep_its_translation_faults_out_of_the_queue_and_no_others() {
    let (mut guest, lines) = one_page(Features { cache: false, ..Features::default() }, PAGE | 0x80);
    let word = guest.memory.load(CONTEXTS + 64);
    guest.memory.store(CONTEXTS + 64, word & !(1 << 45));
    assert_eq!(guest.write_at(1, IOVA), Err(Reason::Permission));
    assert_eq!(guest.read_at(1, 0), Err(Reason::Translation));
    assert_eq!(guest.events(), 0);
    guest.memory.punch(lines[2]..lines[2] + 1);
    assert_eq!(guest.read_at(1, IOVA), Err(Reason::WalkAbort(Gpa::new(lines[2]))));
    assert_eq!(guest.events(), 1);
}
