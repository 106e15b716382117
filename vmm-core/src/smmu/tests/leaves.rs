//! What a stream reaches, page by page.

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use super::guest::Guest;
use super::guest::PAGE;
use super::guest::one_page;
use super::guest::word0;
use crate::smmu::Features;
use crate::smmu::Leaves;
use crate::smmu::Mapping;

fn leaf(first: u64, last: u64, address: u64, writable: bool) -> Mapping {
    Mapping { first: Iova::new(first), last: Iova::new(last), address: Gpa::new(address), writable }
}

#[test]
fn neighbours_are_not_joined_and_a_block_is_one() {
    let (guest, lines) = one_page(Features::default(), PAGE);
    guest.memory.store(lines[2] + 8, 0x8765_5000 | PAGE | 0x80);
    guest.memory.store(lines[2] + 16, 0x8765_6000 | PAGE & !0x40);
    guest.memory.store(lines[1] + 8, 0x4000_0000 | PAGE & !2);
    let expected = vec![
        leaf(0x12_3456_7000, 0x12_3456_7fff, 0x8765_4000, true),
        leaf(0x12_3456_8000, 0x12_3456_8fff, 0x8765_5000, false),
        leaf(0x12_3460_0000, 0x12_347f_ffff, 0x4000_0000, true),
    ];
    assert_eq!(
        guest.smmu.leaves(&guest.memory, 1, 3),
        Leaves { mappings: expected.clone(), is_all: true },
        "and what may not be reached is none"
    );
    let first = Leaves { mappings: expected[..2].to_vec(), is_all: false };
    assert_eq!(guest.smmu.leaves(&guest.memory, 1, 2), first);
}

#[test]
fn of_tables_that_lead_to_themselves_there_are_so_many_and_no_more() {
    let mut guest = Guest::running(Features::default());
    let table = guest.table(0x1000);
    for index in 0..512 {
        guest.memory.store(table + index * 8, table | 3 | 0xc40);
    }
    guest.context(1, [word0(7) & !0x3f | 16, table, 0]);
    let leaves = guest.smmu.leaves(&guest.memory, 1, 1000);
    assert_eq!((leaves.mappings.len(), leaves.is_all), (1000, false));
    assert_eq!(leaves.mappings[999], leaf(999 << 12, (1000 << 12) - 1, table, true));
}

#[test]
fn what_is_not_translated_is_one_and_what_is_aborted_none() {
    let mut guest = Guest::running(Features::default());
    guest.stream(1, [0b1001, 0]);
    guest.stream(2, [0b0001, 0]);
    let leaves = |guest: &Guest, stream| guest.smmu.leaves(&guest.memory, stream, 1);
    let everything = Leaves { mappings: vec![leaf(0, 0xffff_ffff_ffff, 0, true)], is_all: true };
    let nothing = Leaves { mappings: vec![], is_all: true };
    assert_eq!((leaves(&guest, 1), leaves(&guest, 2)), (everything.clone(), nothing.clone()));
    assert_eq!(leaves(&guest, 3), nothing, "not valid");
    guest.write(0x20, 0xc);
    assert_eq!(leaves(&guest, 2), everything);
}
