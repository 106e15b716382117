//! A device that is given what the guest's tables map.

use proptest::prelude::*;
use vfio_abi::request::DmaFlags;

use super::*;
use crate::map::mirror::MOST;

const RO: DmaFlags = DmaFlags::READ;
const RW: DmaFlags = DmaFlags::READ.union(DmaFlags::WRITE);
const RAM: u64 = 64 << 20;
/// The third of the tables that `translating` makes, with its pages 1 and 2.
const TABLE: u64 = 0x11_2000;
const COMMANDS: u64 = 0x40_0000;

/// What a device has: first address, length, where in the file, what it may do.
type Given = Vec<(u64, u64, u64, DmaFlags)>;

fn given(fake: &Fake) -> Given {
    let one =
        |(first, (size, offset, allowed)): (&u64, &(u64, u64, DmaFlags))| (*first, *size, *offset, *allowed);
    fake.look(|state| state.files.iter().map(one).collect())
}

/// What a device was told from this call on: mapped (`+`) and unmapped (`-`), by first address.
fn told(fake: &Fake, from: usize) -> Vec<(char, u64)> {
    let one = |call: &Call| match call {
        Call::DmaMap { range } => Some(('+', range.start().get())),
        Call::DmaUnmap { range } => Some(('-', range.start().get())),
        _ => None,
    };
    fake.look(|state| state.calls[from..].iter().filter_map(one).collect())
}

fn calls(fake: &Fake) -> usize {
    fake.look(|state| state.calls.len())
}

fn mirrored(fake: &Fake) -> Mappings {
    mapped_by(fake, Policy::Skip, Way::Mirror)
}

/// Queues commands from the beginning and has them consumed.
fn command(mappings: &Mappings, commands: &[[u64; 2]]) {
    let unit = &mappings.smmus[0];
    let register = |offset| Access::new(offset, Width::Dword).unwrap();
    let on = unit.read(register(0x20));
    unit.write(register(0x20), on & !8);
    write_register(mappings, 0x90, COMMANDS | 3);
    unit.write(register(0x9c), 0);
    unit.write(register(0x98), 0);
    unit.write(register(0x20), on | 8);
    for (at, [word0, word1]) in (COMMANDS..).step_by(16).zip(commands) {
        put(mappings, at, *word0);
        put(mappings, at + 8, *word1);
    }
    unit.write(register(0x98), commands.len() as u64);
    assert_eq!(unit.read(register(0x9c)), commands.len() as u64);
}

const SYNC: [u64; 2] = [0x46, 0];
/// `CMD_TLBI_NH_ASID` of the address space that `translating` makes.
const TLBI: [u64; 2] = [0x11 | 1 << 48, 0];

#[test]
fn before_software_turns_it_on_a_device_has_ram_at_the_guests_addresses_and_asks_for_nothing() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    assert_eq!(given(&fake), [(0, RAM, 0, RW)]);
    assert!(fake.look(|state| state.asks.is_none()));
    drop(mappings);
    assert_eq!(fake.look(|state| state.dma.len()), 0);
}

#[test]
fn a_device_has_what_the_tables_map_and_a_read_only_page_only_to_read() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    put(&mappings, TABLE + 24, 0x5000 | 0xcc3);
    // Not for devices, no access flag, and where nothing is.
    put(&mappings, TABLE + 32, 0x5000 | 0xc83);
    put(&mappings, TABLE + 40, 0x5000 | 0x843);
    put(&mappings, TABLE + 48, RAM | 0xc43);
    translating(&mappings);
    let expected = [(0x1000, PAGE, 0x9000, RW), (0x2000, PAGE, 0x7000, RW), (0x3000, PAGE, 0x5000, RO)];
    assert_eq!(given(&fake), expected);
    drop(mappings);
    assert_eq!(fake.look(|state| state.dma.len()), 0);
}

#[test]
fn what_is_unmapped_and_invalidated_is_taken_back_and_its_neighbours_are_left_alone() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    translating(&mappings);
    let before = calls(&fake);
    put(&mappings, TABLE + 8, 0);
    assert_eq!(told(&fake, before), [], "nobody was told yet");
    command(&mappings, &[TLBI, SYNC]);
    assert_eq!(told(&fake, before), [('-', 0x1000)]);
    assert_eq!(given(&fake), [(0x2000, PAGE, 0x7000, RW)]);
}

#[test]
fn what_moved_is_taken_back_before_it_is_given_anew_and_so_is_what_changed_its_permissions() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    translating(&mappings);
    let before = calls(&fake);
    put(&mappings, TABLE + 8, 0x6000 | 0xc43);
    put(&mappings, TABLE + 16, 0x7000 | 0xcc3);
    command(&mappings, &[TLBI]);
    assert_eq!(told(&fake, before), [('-', 0x1000), ('-', 0x2000), ('+', 0x1000), ('+', 0x2000)]);
    assert_eq!(given(&fake), [(0x1000, PAGE, 0x6000, RW), (0x2000, PAGE, 0x7000, RO)]);
}

#[test]
fn what_is_mapped_is_given_when_the_next_commands_come_and_not_before() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    translating(&mappings);
    let before = calls(&fake);
    put(&mappings, TABLE + 24, 0x5000 | 0xc43);
    mappings.smmus[0].write(Access::new(0x64, Width::Dword).unwrap(), 0);
    assert_eq!(told(&fake, before), []);
    command(&mappings, &[SYNC]);
    assert_eq!(told(&fake, before), [('+', 0x3000)]);
}

#[test]
fn switching_translation_changes_everything() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    let write = |offset, value| mappings.smmus[0].write(Access::new(offset, Width::Dword).unwrap(), value);
    write(0x44, 0x8010_0000);
    assert_eq!(given(&fake), [], "GBPA aborts");
    translating(&mappings);
    assert_eq!(given(&fake).len(), 2);
    put(&mappings, 0x20_0000 + 0xd00 * 64, 0b1001);
    command(&mappings, &[[0x03 | 0xd00 << 32, 1]]);
    assert_eq!(given(&fake), [(0, RAM, 0, RW)], "the entry bypasses");
    put(&mappings, 0x20_0000 + 0xd00 * 64, 0b0001);
    command(&mappings, &[[0x04, 31]]);
    assert_eq!(given(&fake), [], "the entry aborts");
    write(0x20, 0);
    assert_eq!(given(&fake), []);
    write(0x44, 0x8000_0000);
    assert_eq!(given(&fake), [(0, RAM, 0, RW)]);
}

#[test]
fn of_a_block_over_the_end_of_memory_a_device_has_what_is_memory() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    translating(&mappings);
    // The block of level 1 that begins at 0 and is 1 GiB long, as the second of the first table.
    put(&mappings, 0x11_0008, 0xc41);
    command(&mappings, &[SYNC]);
    assert_eq!(given(&fake)[2], (0x4000_0000, RAM, 0, RW));
}

#[test]
fn of_tables_without_end_a_device_has_the_first_and_the_rest_is_counted() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    translating(&mappings);
    for line in 0..512 {
        put(&mappings, 0x11_0000 + line * 8, 0x11_0000 | 0xc43);
    }
    command(&mappings, &[TLBI, SYNC]);
    let seen = given(&fake);
    let tally = mappings.smmus[0].tally();
    assert_eq!((seen.len(), seen[MOST - 1]), (MOST, ((MOST as u64 - 1) << 12, PAGE, 0x11_0000, RW)));
    assert_eq!((tally.cut > 0, tally.refused), (true, 0));
}

#[test]
fn what_a_device_refuses_is_counted_and_tried_again() {
    let fake = Fake::committed();
    let mappings = mirrored(&fake);
    let refuses = |from: Option<u64>| {
        let from = from.map(|from| (from, Errno::ENOSPC));
        fake.clone().with(|state| state.refuses_from = from);
    };
    refuses(Some(0x2000));
    translating(&mappings);
    assert_eq!(given(&fake), [(0x1000, PAGE, 0x9000, RW)]);
    assert_eq!(mappings.smmus[0].tally(), Tally { refused: 1, ..Tally::default() });
    refuses(None);
    let before = calls(&fake);
    command(&mappings, &[SYNC]);
    assert_eq!(told(&fake, before), [('+', 0x2000)]);
}

#[test]
fn a_device_that_does_not_take_ram_is_not_attached() {
    let fake = Fake::committed().with(|state| state.refuses_from = Some((0, Errno::EINVAL)));
    let device = fake.attached(Recording::default());
    let smmus = vec![SmmuIntent { bus: "gpu0 bridge".to_owned(), reach: Way::Mirror }];
    let plan = plan(&Machine { smmus, ..Machine::default() }, &[("gpu0", &device.inventory)]).unwrap();
    let error = map(plan, vec![device], Arc::new(CountedSlots::default())).unwrap_err();
    assert!(error.to_string().contains("EINVAL"), "{error}");
}

#[rstest]
#[case(Policy::Skip, 0)]
#[case(Policy::Map, 1)]
fn device_memory_is_given_only_where_the_policy_maps_it_and_while_it_is_there(
    #[case] policy: Policy,
    #[case] count: usize,
) {
    let fake = Fake::committed();
    let mappings = mapped_by(&fake, policy, Way::Mirror);
    put(&mappings, TABLE + 24, 0x1_1000_2000 | 0xc43);
    translating(&mappings);
    assert_eq!(given(&fake).len(), 2, "the window is not there yet");
    let programmed = mappings.machine_done().unwrap();
    let page = (0x3000, PAGE, 0x2000, RW);
    assert_eq!(given(&fake).iter().filter(|one| **one == page).count(), count);
    drop(programmed);
    assert_eq!(fake.look(|state| state.dma.len()), 0);
}

/// What a guest does to its tables: three of level 3, and a stream table entry.
#[derive(Clone, Debug)]
enum Edit {
    /// Line `line` of table `table` of level 3 is this word.
    Page { table: u64, line: u64, word: u64 },
    /// The line of level 2 that leads to that table is this word, or leads there.
    Line { table: u64, word: Option<u64> },
    /// What becomes of the stream: a table, bypassed, aborted.
    Stream(u64),
    /// The guest has it all known.
    Tell(usize),
}

const LINES: [u64; 5] = [0, 1, 2, 7, 511];

fn edits() -> impl Strategy<Value = Edit> {
    // Valid and not; read-only; not for devices; without an access flag; in RAM, at its end, behind it, and far away.
    let bits = prop::sample::select(vec![0xc43u64, 0xc43, 0xc43, 0xcc3, 0xc83, 0x843, 0xc42, 0xc41]);
    let pages = prop::sample::select(vec![0x9u64, 0xa, 0xb, 0x3fff, 0x4000, 0x11_0000]);
    let page = (0u64..3, prop::sample::select(LINES.to_vec()), pages, bits)
        .prop_map(|(table, line, page, bits)| Edit::Page { table, line, word: page << 12 | bits });
    let words = vec![None, None, Some(0), Some(0x20_0c41), Some(0x3e0_0cc1), Some(0x400_0c41)];
    let line = (0u64..3, prop::sample::select(words)).prop_map(|(table, word)| Edit::Line { table, word });
    prop_oneof![
        8 => page,
        2 => line,
        1 => prop::sample::select(vec![0x10_000bu64, 0x10_000b, 0b1001, 0b0001, 0]).prop_map(Edit::Stream),
        4 => (0usize..5).prop_map(Edit::Tell),
    ]
}

/// Ways to tell an SMMU of changes.
const TELLS: [&[[u64; 2]]; 5] =
    [&[[0x04, 31], [0x10, 0]], &[TLBI, SYNC], &[[0x30, 0]], &[[0x13, 0x1000], SYNC], &[SYNC]];

fn apply(mappings: &Mappings, edit: &Edit) {
    let table_of = |table: u64| 0x12_0000 + table * 0x1000;
    match *edit {
        Edit::Page { table, line, word } => put(mappings, table_of(table) + line * 8, word),
        Edit::Line { table, word } => {
            put(mappings, 0x11_1000 + table * 8, word.unwrap_or(table_of(table) | 3));
        }
        Edit::Stream(word) => put(mappings, 0x20_0000 + 0xd00 * 64, word),
        Edit::Tell(way) => command(mappings, TELLS[way]),
    }
}

/// What an SMMU that has kept nothing lets the device do with a page, and where in RAM it is.
fn translated(mappings: &Mappings, iova: u64) -> Option<(u64, DmaFlags)> {
    let unit = &mappings.smmus[0];
    let translate = |operation| {
        let mut smmu = unit.smmu.lock().clone();
        smmu.translate(&*unit.ram, 0xd00, Iova::new(iova), operation).ok().map(|to| to.address.get())
    };
    let address = translate(Operation::Read).filter(|address| *address < RAM)?;
    Some((address, if translate(Operation::Write).is_some() { RW } else { RO }))
}

fn in_mirror(given: &Given, iova: u64) -> Option<(u64, DmaFlags)> {
    let found = given.iter().find(|(first, size, ..)| (*first..first + size).contains(&iova));
    found.map(|(first, _, offset, allowed)| (offset + (iova - first), *allowed))
}

/// The device has every page as the SMMU translates it, and nothing besides.
fn check(mappings: &Mappings, fake: &Fake) {
    let given = given(fake);
    let pages = (0..4u64).flat_map(|table| LINES.map(|line| table << 21 | line << 12));
    let edges = given.iter().flat_map(|(first, size, ..)| [*first, first + size - 0x1000, first + size]);
    for iova in pages.chain(edges).chain([RAM - 0x1000, RAM]) {
        assert_eq!(in_mirror(&given, iova), translated(mappings, iova), "{iova:#x}");
    }
}

proptest! {
    #[test]
    fn whatever_a_guest_maps_a_mirror_has_what_the_smmu_translates_once_it_is_told(
        edits in prop::collection::vec(edits(), 1..40),
    ) {
        let fake = Fake::committed();
        let mappings = mirrored(&fake);
        translating(&mappings);
        for table in 0..3 {
            apply(&mappings, &Edit::Line { table, word: None });
        }
        for edit in edits.iter().chain([&Edit::Tell(0)]) {
            let (before, from) = (given(&fake), calls(&fake));
            apply(&mappings, edit);
            let after = given(&fake);
            let only_in = |one: &Given, other: &Given| one.iter().filter(|page| !other.contains(page)).count();
            let told = told(&fake, from);
            let went = told.iter().filter(|(sign, _)| *sign == '-').count();
            prop_assert_eq!(went, only_in(&before, &after), "what stays is never away");
            prop_assert_eq!(told.len() - went, only_in(&after, &before));
            if matches!(edit, Edit::Tell(_)) {
                check(&mappings, &fake);
            }
        }
        drop(mappings);
        prop_assert_eq!(fake.look(|state| state.dma.len()), 0);
    }
}
