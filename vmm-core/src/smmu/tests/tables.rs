//! Translation tables of every granule, against a model that knows what was mapped and never reads a table.

use std::collections::BTreeMap;

use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;
use proptest::prelude::*;
use rstest::rstest;

use super::guest::Guest;
use super::guest::PAGE;
use super::guest::one_page;
use super::guest::word0;
use crate::smmu::Features;
use crate::smmu::Mapping;
use crate::smmu::Operation;
use crate::smmu::Reason;
use crate::smmu::TooMany;
use crate::smmu::features;

/// A granule as the manual draws it: the lowest address bit that each level translates, first levels first; and the
/// levels at which memory can be mapped.
#[derive(Clone, Copy, Debug)]
struct Layout {
    shifts: &'static [u32],
    leaves: &'static [u32],
    /// TG0 and TG1.
    encodings: (u64, u64),
}

const KIB4: Layout = Layout { shifts: &[39, 30, 21, 12], leaves: &[30, 21, 12], encodings: (0, 2) };
const KIB16: Layout = Layout { shifts: &[47, 36, 25, 14], leaves: &[25, 14], encodings: (2, 1) };
const KIB64: Layout = Layout { shifts: &[42, 29, 16], leaves: &[29, 16], encodings: (1, 3) };

/// What was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapped {
    iova: u64,
    shift: u32,
    address: u64,
    user: bool,
    read_only: bool,
    accessed: bool,
}

/// An address space in the making, and what is known of it without reading it.
#[derive(Debug)]
struct Space {
    layout: Layout,
    bits: u32,
    is_upper: bool,
    root: u64,
    /// Tables by their level's shift and the address bits above what they translate: where, and what they deny.
    tables: BTreeMap<(u32, u64), (u64, u64)>,
    mapped: Vec<Mapped>,
}

impl Space {
    fn new(guest: &mut Guest, layout: Layout, bits: u32, is_upper: bool) -> Self {
        let (tables, mapped) = (BTreeMap::new(), Vec::new());
        let mut space = Self { layout, bits, is_upper, root: 0, tables, mapped };
        space.root = guest.table(8 << (bits - space.shifts()[0]));
        space
    }

    /// The levels that an address space of this size has.
    fn shifts(&self) -> Vec<u32> {
        self.layout.shifts.iter().copied().filter(|shift| *shift < self.bits).collect()
    }

    /// The address without the bits above the space.
    fn low(&self, iova: u64) -> u64 {
        iova & ((1 << self.bits) - 1)
    }

    /// Maps memory, unless something is there. New tables deny `denied` in turn.
    fn map(&mut self, guest: &mut Guest, wanted: Mapped, denied: u64) {
        let end = |of: &Mapped| of.iova + (1 << of.shift);
        if self.mapped.iter().any(|there| there.iova < end(&wanted) && wanted.iova < end(there)) {
            return;
        }
        let page = *self.layout.shifts.last().unwrap();
        let mut table = self.root;
        let mut above = self.bits;
        for shift in self.shifts() {
            let line = table + ((wanted.iova % (1 << above)) >> shift) * 8;
            above = shift;
            if shift == wanted.shift {
                let kind = if shift == page { 3 } else { 1 };
                let bits = [(wanted.accessed, 10), (wanted.user, 6), (wanted.read_only, 7)];
                let attributes =
                    bits.iter().fold(1 << 11 | kind, |all, (set, bit)| all | u64::from(*set) << bit);
                guest.memory.store(line, wanted.address | attributes);
                self.mapped.push(wanted);
                return;
            }
            let next = self.tables.entry((shift, wanted.iova >> shift)).or_insert_with(|| {
                let at = guest.table(1 << page);
                guest.memory.store(line, at | 3 | denied << 61);
                (at, denied)
            });
            table = next.0;
        }
    }

    /// What becomes of an access: what the model says.
    fn expected(&self, iova: u64, operation: Operation) -> Result<(u64, u64), Reason> {
        let low = self.low(iova);
        let sign = if self.is_upper { u64::MAX << self.bits } else { 0 };
        let of = self.mapped.iter().find(|of| of.iova <= low && low < of.iova + (1 << of.shift));
        let of = of.filter(|_| iova == low | sign).ok_or(Reason::Translation)?;
        if !of.accessed {
            return Err(Reason::Access);
        }
        let (reach, write) = self.permissions(of);
        if !reach || (operation == Operation::Write && !write) {
            return Err(Reason::Permission);
        }
        let offset = low - of.iova;
        Ok((of.address + offset, (1 << of.shift) - offset))
    }

    fn permissions(&self, of: &Mapped) -> (bool, bool) {
        let above = self.shifts().into_iter().filter(|shift| *shift > of.shift);
        let denied = above.fold(0, |all, shift| all | self.tables[&(shift, of.iova >> shift)].1);
        (of.user && denied & 1 == 0, !of.read_only && denied & 2 == 0)
    }

    /// The words of a context descriptor for this space alone.
    fn context(&self) -> [u64; 3] {
        let without = word0(7) & !(1 << 30 | 0x3f);
        let size = 64 - u64::from(self.bits);
        let (lower, upper) = self.layout.encodings;
        if self.is_upper {
            [without | 1 << 14 | size << 16 | upper << 22, 0, self.root]
        } else {
            [without | 1 << 30 | size | lower << 6, self.root, 0]
        }
    }

    /// All that a device reaches, joined as far as it goes on.
    fn reached(&self) -> Vec<Mapping> {
        let mut reached: Vec<Mapping> = Vec::new();
        let mut mapped = self.mapped.clone();
        mapped.sort_by_key(|of| of.iova);
        let sign = if self.is_upper { u64::MAX << self.bits } else { 0 };
        for of in mapped {
            let (reach, writable) = self.permissions(&of);
            if !reach || !of.accessed {
                continue;
            }
            let (first, last) = (of.iova | sign, (of.iova + ((1 << of.shift) - 1)) | sign);
            match reached.last_mut() {
                Some(before)
                    if before.last.get() + 1 == first
                        && before.address.get() + (first - before.first.get()) == of.address
                        && before.writable == writable =>
                {
                    before.last = Iova::new(last);
                }
                _ => reached.push(Mapping {
                    first: Iova::new(first),
                    last: Iova::new(last),
                    address: Gpa::new(of.address),
                    writable,
                }),
            }
        }
        reached
    }
}

fn all(guest: &Guest, stream: u32) -> Vec<Mapping> {
    guest.smmu.mappings(&guest.memory, stream, Iova::new(0), Iova::new(u64::MAX)).unwrap()
}

#[rstest]
#[case::page_of_4_kib(KIB4, 48, 12)]
#[case::block_of_2_mib(KIB4, 48, 21)]
#[case::block_of_1_gib(KIB4, 48, 30)]
#[case::block_in_the_first_table(KIB4, 39, 30)]
#[case::page_with_two_levels(KIB4, 25, 12)]
#[case::page_of_16_kib(KIB16, 48, 14)]
#[case::block_of_32_mib(KIB16, 48, 25)]
#[case::page_in_the_first_table(KIB16, 25, 14)]
#[case::page_of_64_kib(KIB64, 48, 16)]
#[case::block_of_512_mib(KIB64, 48, 29)]
#[case::block_of_512_mib_in_the_first_table(KIB64, 42, 29)]
#[case::page_of_64_kib_in_the_first_table(KIB64, 25, 16)]
fn a_page_or_block_is_mapped_from_its_first_to_its_last_byte(
    #[case] layout: Layout,
    #[case] bits: u32,
    #[case] shift: u32,
    #[values(false, true)] is_upper: bool,
) {
    let mut guest = Guest::running(Features::default());
    let mut space = Space::new(&mut guest, layout, bits, is_upper);
    let size = 1u64 << shift;
    // The last but one of what fits, so that what is before and behind is in the space.
    let iova = (1 << bits) - 2 * size;
    let address = 0x5a5a_0000_0000 / size * size;
    let wanted = Mapped { iova, shift, address, user: true, read_only: false, accessed: true };
    space.map(&mut guest, wanted, 0);
    guest.context(1, space.context());
    let sign = if is_upper { u64::MAX << bits } else { 0 };
    assert_eq!(guest.write_at(1, iova | sign), Ok((address, size)));
    assert_eq!(guest.write_at(1, (iova + size - 1) | sign), Ok((address + size - 1, 1)));
    assert_eq!(guest.read_at(1, (iova - 1) | sign), Err(Reason::Translation));
    assert_eq!(guest.read_at(1, (iova + size) | sign), Err(Reason::Translation));
    assert_eq!(all(&guest, 1), space.reached());
}

#[rstest]
#[case::kib4_level_0(KIB4, 48, 39)]
#[case::kib16_level_0(KIB16, 48, 47)]
#[case::kib16_level_1(KIB16, 47, 36)]
#[case::kib64_level_1(KIB64, 48, 42)]
fn at_other_levels_there_are_no_blocks(#[case] layout: Layout, #[case] bits: u32, #[case] shift: u32) {
    let mut guest = Guest::running(Features::default());
    let mut space = Space::new(&mut guest, layout, bits, false);
    space.map(
        &mut guest,
        Mapped { iova: 0, shift, address: 0, user: true, read_only: false, accessed: true },
        0,
    );
    guest.context(1, space.context());
    assert_eq!(guest.read_at(1, 0), Err(Reason::Translation));
    assert_eq!(all(&guest, 1), []);
}

#[test]
fn a_list_can_be_of_a_part() {
    let (guest, lines) = one_page(Features::default(), PAGE);
    guest.memory.store(lines[2] + 8, 0x8765_5000 | PAGE);
    let list =
        |first, last| guest.smmu.mappings(&guest.memory, 1, Iova::new(first), Iova::new(last)).unwrap();
    let mapping = |first, last, address| Mapping {
        first: Iova::new(first),
        last: Iova::new(last),
        address: Gpa::new(address),
        writable: true,
    };
    let whole = [mapping(0x12_3456_7000, 0x12_3456_8fff, 0x8765_4000)];
    assert_eq!(list(0, u64::MAX), whole);
    assert_eq!(list(0x12_3456_7123, 0x12_3456_8000), [mapping(0x12_3456_7123, 0x12_3456_8000, 0x8765_4123)]);
    assert_eq!(list(0x12_3456_9000, u64::MAX), []);
    assert_eq!(list(0, 0x12_3456_6fff), []);
    assert_eq!(list(5, 4), []);
}

#[test]
fn what_is_not_translated_is_listed_as_itself_and_what_is_aborted_not_at_all() {
    let oas = features::AddressSize::Bits36;
    let mut guest = Guest::running(Features { oas, ..Features::default() });
    let identity =
        Mapping { first: Iova::new(0), last: Iova::new(0xf_ffff_ffff), address: Gpa::new(0), writable: true };
    guest.stream(1, [0b1001, 0]);
    guest.stream(2, [0b0001, 0]);
    assert_eq!(all(&guest, 1), [identity]);
    assert_eq!(all(&guest, 2), []);
    assert_eq!(all(&guest, 3), [], "not valid");
    guest.write(0x20, 0);
    assert_eq!(all(&guest, 2), [identity]);
    guest.write(0x44, 0x8010_0000);
    assert_eq!(all(&guest, 2), []);
}

#[test]
fn tables_that_lead_to_themselves_are_not_listed_for_ever() {
    let mut guest = Guest::running(Features::default());
    let table = guest.table(0x1000);
    for index in 0..512 {
        guest.memory.store(table + index * 8, table | 3 | 0xc40);
    }
    guest.context(1, [word0(7) & !0x3f | 16, table, 0]);
    let list = guest.smmu.mappings(&guest.memory, 1, Iova::new(0), Iova::new(u64::MAX));
    assert_eq!(list, Err(TooMany));
    let part = guest.smmu.mappings(&guest.memory, 1, Iova::new(0), Iova::new(0x1f_ffff)).unwrap();
    assert_eq!(part.len(), 512, "each page is the table itself");
    let (first, last) = (Iova::new(0x1234_5660_0000), Iova::new(0x1234_567f_ffff));
    let part = guest.smmu.mappings(&guest.memory, 1, first, last).unwrap();
    assert_eq!((part.len(), part[0].first), (512, first), "what lies before is not read");
    assert_eq!(guest.read_at(1, 0x1234_5678_9abc), Ok((table + 0xabc, 0x544)), "and a walk ends");
}

#[test]
fn tables_that_lead_nowhere_are_not_listed_for_ever_either() {
    let mut guest = Guest::running(Features::default());
    let table = guest.table(0x1000);
    // Every line is the table itself, and as a page it may not be reached.
    for index in 0..512 {
        guest.memory.store(table + index * 8, table | 3 | 0xc00);
    }
    let list = |guest: &Guest| guest.smmu.mappings(&guest.memory, 1, Iova::new(0), Iova::new(u64::MAX));
    guest.context(1, [word0(7) & !0x3f | (64 - 36), table, 0]);
    assert_eq!(list(&guest), Err(TooMany), "2^24 pages");
    guest.context(1, [word0(7) & !0x3f | (64 - 30), table, 0]);
    assert_eq!(list(&guest), Ok(vec![]), "2^18 pages");
}

#[test]
fn a_block_begins_at_a_multiple_of_its_length_whatever_its_descriptor_says() {
    let (mut guest, lines) = one_page(Features::default(), PAGE);
    guest.memory.store(lines[1], (0x8765_4000 | PAGE) & !2);
    assert_eq!(guest.read_at(1, 0x12_3456_7000), Ok((0x8776_7000, 0x9_9000)));
}

fn layouts() -> impl Strategy<Value = (Layout, u32)> {
    prop_oneof![Just(KIB4), Just(KIB16), Just(KIB64)].prop_flat_map(|layout| (Just(layout), 25u32..=48))
}

/// Numbers that say what is mapped and what is looked at.
fn numbers() -> impl Strategy<Value = Vec<(u64, u64, u8)>> {
    prop::collection::vec((any::<u64>(), any::<u64>(), any::<u8>()), 1..16)
}

proptest! {
    #[test]
    fn every_address_is_translated_as_the_model_says(
        (layout, bits) in layouts(),
        is_upper in any::<bool>(),
        cache in any::<bool>(),
        wanted in numbers(),
        probes in numbers(),
    ) {
        let mut guest = Guest::running(Features { cache, ..Features::default() });
        let mut space = Space::new(&mut guest, layout, bits, is_upper);
        for (iova, address, flags) in wanted {
            let possible: Vec<_> = layout.leaves.iter().copied().filter(|shift| *shift < bits).collect();
            let shift = possible[usize::from(flags) % possible.len()];
            // Most are near each other, so that they share tables and touch.
            let near = if flags & 0x80 == 0 { iova % (1 << (shift + 3).min(bits)) } else { space.low(iova) };
            let mapped = Mapped {
                iova: near >> shift << shift,
                shift,
                address: (if flags & 0x40 == 0 { near } else { address % (1 << 48) }) >> shift << shift,
                user: flags & 0x30 != 0,
                read_only: flags & 0x04 != 0,
                accessed: flags & 0x0a != 0,
            };
            space.map(&mut guest, mapped, u64::from(flags & 0x18 == 0x18) * (address & 3));
        }
        guest.context(1, space.context());
        let sign = if is_upper { u64::MAX << bits } else { 0 };
        for (number, other, flags) in probes {
            let of = space.mapped[other as usize % space.mapped.len()];
            let size = 1u64 << of.shift;
            let iova = match flags % 8 {
                0 => number,
                1 => space.low(number) | sign,
                2 => of.iova | sign,
                3 => (of.iova + size - 1) | sign,
                4 => space.low(of.iova + size) | sign,
                5 => space.low(of.iova.wrapping_sub(1)) | sign,
                6 => (of.iova | sign) ^ 1 << (bits + (number % 16) as u32).min(63),
                _ => (of.iova + number % size) | sign,
            };
            let operation = if flags & 8 == 0 { Operation::Read } else { Operation::Write };
            prop_assert_eq!(guest.translate(1, iova, operation), space.expected(iova, operation), "{:#x}", iova);
        }
        prop_assert_eq!(all(&guest, 1), space.reached());
    }
}
