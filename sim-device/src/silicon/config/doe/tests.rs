use cxl_spec::access::Access;
use cxl_spec::access::Width;
use proptest::prelude::*;
use rstest::rstest;

use crate::profile::Profile;
use crate::silicon::config::ConfigSpace;

/// Offsets of the mailbox's registers in configuration space.
const CONTROL: u64 = 0x238;
const STATUS: u64 = 0x23c;
const WRITE: u64 = 0x240;
const READ: u64 = 0x244;

const GO: u32 = 0x8000_0000;
const ABORT: u32 = 1;
const READY: u32 = 0x8000_0000;
const ERROR: u32 = 4;

fn space() -> ConfigSpace {
    ConfigSpace::power_on(&Profile::default().check().unwrap())
}

fn read(space: &ConfigSpace, offset: u64) -> u32 {
    space.read(Access::new(offset, Width::Dword).unwrap()) as u32
}

fn write(space: &mut ConfigSpace, offset: u64, value: u32) {
    assert_eq!(space.write(Access::new(offset, Width::Dword).unwrap(), value.into()), []);
}

fn send(space: &mut ConfigSpace, object: &[u32]) {
    for dword in object {
        write(space, WRITE, *dword);
    }
    write(space, CONTROL, GO);
}

fn receive(space: &mut ConfigSpace) -> Vec<u32> {
    let mut object = Vec::new();
    while read(space, STATUS) & READY != 0 {
        object.push(read(space, READ));
        write(space, READ, 0);
    }
    object
}

fn ask(space: &mut ConfigSpace, object: &[u32]) -> Vec<u32> {
    send(space, object);
    receive(space)
}

#[test]
fn an_idle_mailbox_reads_zero() {
    let space = space();
    assert_eq!([0x234, CONTROL, STATUS, WRITE, READ].map(|offset| read(&space, offset)), [0; 5]);
}

#[rstest]
#[case::itself(0, 0x0100_0001)]
#[case::the_table(1, 0x0002_1e98)]
#[case::nothing_more(2, 0x0000_ffff)]
#[case::far_behind(255, 0x0000_ffff)]
fn discovery_names_the_kinds_one_by_one(#[case] index: u32, #[case] answer: u32) {
    assert_eq!(ask(&mut space(), &[0x0000_0001, 3, index]), [0x0000_0001, 3, answer]);
}

/// The whole table, typed by hand.
#[test]
fn the_table_is_read_entry_by_entry_until_the_last() {
    let mut space = space();
    let mut handle = 0;
    let mut entries = Vec::new();
    while handle != 0xffff {
        let answer = ask(&mut space, &[0x0002_1e98, 3, handle << 16]);
        let [0x0002_1e98, length, head, ref entry @ ..] = answer[..] else { panic!("{answer:x?}") };
        assert_eq!((length as usize, head & 0xffff), (answer.len(), 0));
        entries.push(entry.to_vec());
        handle = head >> 16;
    }
    // 16 + 5 * 24 bytes are 0x88. The sum of everything but the checksum is 0x88 + 2 (header), 24 + 0x10 (DSMAS),
    // 4 * (1 + 24) + 1 + 2 + 4 + 5 (DSLBIS heads), 4 * (0xe8 + 3) (units), 2 * 150 + 2 * 50: 0x65e.
    let expected: [&[u32]; 6] = [
        &[0x88, 0x0000_a202, 0, 0],
        &[0x0018_0000, 0, 0, 0, 0x1000_0000, 0],
        &[0x0018_0001, 0x0001_0000, 1000, 0, 150, 0],
        &[0x0018_0001, 0x0002_0000, 1000, 0, 150, 0],
        &[0x0018_0001, 0x0004_0000, 1000, 0, 50, 0],
        &[0x0018_0001, 0x0005_0000, 1000, 0, 50, 0],
    ];
    assert_eq!(entries, expected);
    let bytes = entries.iter().flatten().flat_map(|dword| dword.to_le_bytes());
    assert_eq!(bytes.fold(0u8, u8::wrapping_add), 0);
}

#[rstest]
#[case::nothing(&[])]
#[case::half_a_header(&[0x0002_1e98])]
#[case::no_body(&[0x0002_1e98, 2])]
#[case::shorter_than_it_says(&[0x0002_1e98, 4, 0])]
#[case::longer_than_it_says(&[0x0002_1e98, 3, 0, 0])]
#[case::longer_than_the_kind(&[0x0002_1e98, 4, 0, 0])]
#[case::length_0_is_the_longest(&[0x0002_1e98, 0, 0])]
#[case::discovery_without_a_body(&[0x0000_0001, 2])]
#[case::behind_the_table(&[0x0002_1e98, 3, 0x0006_0000])]
#[case::the_last_handle(&[0x0002_1e98, 3, 0xffff_0000])]
#[case::another_table(&[0x0002_1e98, 3, 0x100])]
#[case::another_code(&[0x0002_1e98, 3, 1])]
fn an_object_that_is_not_as_it_should_be_is_an_error_until_an_abort(#[case] object: &[u32]) {
    let mut space = space();
    send(&mut space, object);
    assert_eq!(read(&space, STATUS), ERROR);
    assert!(ask(&mut space, &[0x0000_0001, 3, 0]).is_empty(), "an error is not passed over");
    assert_eq!(read(&space, STATUS), ERROR);
    write(&mut space, CONTROL, ABORT);
    assert_eq!(read(&space, STATUS), 0);
    assert_eq!(ask(&mut space, &[0x0000_0001, 3, 0]).len(), 3);
}

#[rstest]
#[case::compliance(&[0x0000_1e98, 3, 0])]
#[case::long(&[0x0003_1e98, 5, 0, 0, 0])]
#[case::no_body(&[0x1234_5678, 2])]
fn an_object_of_an_unknown_kind_is_dropped_in_silence(#[case] object: &[u32]) {
    let mut space = space();
    send(&mut space, object);
    assert_eq!(read(&space, STATUS), 0);
    assert_eq!(ask(&mut space, &[0x0000_0001, 3, 0]).len(), 3);
}

#[test]
fn an_abort_forgets_the_object_and_the_answer() {
    let mut space = space();
    write(&mut space, WRITE, 0x0002_1e98);
    write(&mut space, CONTROL, ABORT | GO);
    send(&mut space, &[0x0000_0001, 3, 0]);
    assert_eq!((read(&space, STATUS), read(&space, READ)), (READY, 0x0000_0001));
    write(&mut space, CONTROL, ABORT);
    assert_eq!((read(&space, STATUS), read(&space, READ)), (0, 0));
}

#[test]
fn the_mailboxes_take_no_less_than_a_dword() {
    let mut space = space();
    send(&mut space, &[0x0000_0001, 3, 0]);
    for (offset, width) in [(READ, Width::Byte), (READ + 2, Width::Word), (WRITE, Width::Word)] {
        space.write(Access::new(offset, width).unwrap(), 0x55);
    }
    assert_eq!(receive(&mut space).len(), 3);
}

#[test]
fn what_was_written_cannot_be_read_back_and_control_reads_zero() {
    let mut space = space();
    write(&mut space, WRITE, 0x0002_1e98);
    write(&mut space, CONTROL, 0x7fff_fffe);
    assert_eq!([CONTROL, WRITE].map(|offset| read(&space, offset)), [0, 0]);
}

proptest! {
    #[test]
    fn whatever_is_written_the_answer_ends_and_an_abort_helps(
        writes in prop::collection::vec((0u64..5, prop::sample::select(vec![
            0u32, 1, 2, 3, 4, 0x0002_1e98, 0x0005_0000, 0x0006_0000, 0x8000_0000, u32::MAX,
        ])), 0..60)
    ) {
        let mut space = space();
        for (register, value) in writes {
            write(&mut space, 0x234 + 4 * register, value);
            prop_assert_eq!(read(&space, STATUS) & !(READY | ERROR), 0);
        }
        prop_assert!(receive(&mut space).len() <= 9);
        write(&mut space, CONTROL, ABORT);
        prop_assert_eq!(ask(&mut space, &[0x0000_0001, 3, 1]), [0x0000_0001, 3, 0x0002_1e98]);
    }
}
