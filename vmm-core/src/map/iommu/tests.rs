use std::sync::Arc;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use rstest::rstest;

use super::*;
use crate::backend::Call;
use crate::backend::fake::CountedSlots;
use crate::backend::fake::Fake;
use crate::backend::recording::Recording;
use crate::map::Mappings;
use crate::map::map;
use crate::map::memory::HostMemory;
use crate::plan::dma::Policy;
use crate::plan::dma::Wish;
use crate::plan::iommu::SmmuIntent;
use crate::plan::iommu::Way;
use crate::plan::machine::Machine;
use crate::plan::plan;

mod mirror;

const PAGE: u64 = 0x1000;

/// A device behind an SMMU that translates nothing yet, as requester `0d:00.0`.
fn mapped(fake: &Fake, policy: Policy) -> Mappings {
    mapped_by(fake, policy, Way::Ask)
}

fn mapped_by(fake: &Fake, policy: Policy, reach: Way) -> Mappings {
    let device = fake.attached(Recording::default());
    let smmus = vec![SmmuIntent { bus: "gpu0 bridge".to_owned(), reach }];
    let dma = Wish { policy, ats: false };
    let plan = plan(&Machine { smmus, dma, ..Machine::default() }, &[("gpu0", &device.inventory)]).unwrap();
    map(plan, vec![device], Arc::new(CountedSlots::default())).unwrap()
}

fn asks(fake: &Fake) -> Arc<dyn DmaMemory> {
    fake.look(|state| state.asks.clone().unwrap())
}

fn read(fake: &Fake, at: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; length];
    asks(fake).read(Iova::new(at), &mut bytes)?;
    Ok(bytes)
}

fn write_register(mappings: &Mappings, offset: u64, value: u64) {
    mappings.smmus[0].write(Access::new(offset, Width::Qword).unwrap(), value);
}

fn put(mappings: &Mappings, at: u64, value: u64) {
    mappings.low_ram.write(at, &value.to_le_bytes()).unwrap();
}

/// The device's pages 0x1000 and 0x2000 are the guest's 0x9000 and 0x7000. Entry 0xd00 of a linear stream table.
fn translating(mappings: &Mappings) {
    let (streams, context, tables) = (0x20_0000, 0x10_0000, [0x11_0000, 0x11_1000, 0x11_2000]);
    put(mappings, streams + 0xd00 * 64, context | 0b1011);
    put(mappings, context, 1 << 48 | 1 << 46 | 1 << 45 | 1 << 41 | 5 << 32 | 1 << 31 | 1 << 30 | 25);
    put(mappings, context + 8, tables[0]);
    put(mappings, tables[0], tables[1] | 3);
    put(mappings, tables[1], tables[2] | 3);
    put(mappings, tables[2] + 8, 0x9000 | 0xc43);
    put(mappings, tables[2] + 16, 0x7000 | 0xc43);
    write_register(mappings, 0x80, streams);
    write_register(mappings, 0x88, 12);
    write_register(mappings, 0xa0, 0x30_0000 | 2);
    mappings.smmus[0].write(Access::new(0x20, Width::Dword).unwrap(), 5);
}

#[test]
fn a_device_behind_an_smmu_asks_for_everything_and_is_told_of_nothing() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Map);
    let everything = Span::new(Iova::new(0), 0xffff_ffff_ffff_f000).unwrap();
    let calls = fake.look(|state| state.calls.clone());
    assert!(calls.contains(&Call::DmaAsk { range: everything }));
    assert!(!calls.iter().any(|call| matches!(call, Call::DmaMap { .. })));
    drop(mappings);
    assert_eq!(fake.look(|state| (state.dma.len(), state.calls.last().copied().is_some())), (0, true));
}

#[test]
fn before_software_turns_it_on_addresses_are_the_guests() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    put(&mappings, 0x9008, 0x1122_3344_5566_7788);
    assert_eq!(read(&fake, 0x9008, 8), Ok(0x1122_3344_5566_7788_u64.to_le_bytes().to_vec()));
    assert_eq!(read(&fake, 64 << 20, 1), Err(Errno::EFAULT), "behind RAM is nothing");
}

#[test]
fn an_access_over_two_pages_is_translated_page_by_page() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    translating(&mappings);
    put(&mappings, 0x9ff8, 0x1111_1111_1111_1111);
    put(&mappings, 0x7000, 0x2222_2222_2222_2222);
    assert_eq!(read(&fake, 0x1ff8, 16), Ok([[0x11; 8], [0x22; 8]].concat()));
    asks(&fake).write(Iova::new(0x1ffc), &[0xaa; 8]).unwrap();
    assert_eq!(mappings.low_ram.load(0x9ff8, Width::Qword), Some(0xaaaa_aaaa_1111_1111));
    assert_eq!(mappings.low_ram.load(0x7000, Width::Qword), Some(0x2222_2222_aaaa_aaaa));
}

#[rstest]
#[case::below(0, 0x10)]
#[case::behind(0x3000, 8)]
#[case::half_of_it(0x2ffc, 8)]
#[case::at_the_end_of_addresses(u64::MAX - 3, 8)]
fn what_is_not_translated_is_efault(#[case] at: u64, #[case] length: usize) {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    translating(&mappings);
    assert_eq!(read(&fake, at, length), Err(Errno::EFAULT));
    let seen = mappings.low_ram.load(0x30_0000, Width::Dword).unwrap();
    assert_eq!(seen & 0xff, 0x10, "F_TRANSLATION is recorded");
    assert_eq!(mappings.low_ram.load(0x30_0004, Width::Dword), Some(0xd00), "for this requester");
}

#[rstest]
#[case(Policy::Skip, Err(Errno::EFAULT))]
#[case(Policy::Map, Ok(vec![0x5a]))]
fn behind_the_smmu_device_memory_is_reached_only_where_the_policy_maps_it(
    #[case] policy: Policy,
    #[case] seen: Result<Vec<u8>, Errno>,
) {
    let fake = Fake::committed();
    let programmed = mapped(&fake, policy).machine_done().unwrap();
    fake.look(|state| state.regions[&9].memory.as_ref().unwrap().write(PAGE, &[0x5a]).unwrap());
    assert_eq!(read(&fake, 0x1_1000_0000 + PAGE, 1), seen);
    let asks = asks(&fake);
    drop(programmed);
    let mut byte = [0];
    assert_eq!(asks.read(Iova::new(0x1_1000_0000 + PAGE), &mut byte), Err(Errno::EFAULT), "taken back");
}

#[test]
fn pieces_are_found_whole_or_not_at_all() {
    let pieces = Pieces::default();
    pieces.add(Span::new(Gpa::new(0x1000), PAGE).unwrap(), HostMemory::ram(PAGE).unwrap());
    pieces.add(Span::new(Gpa::new(0x2000), PAGE).unwrap(), HostMemory::ram(PAGE).unwrap());
    assert!(Memory::read(&pieces, Gpa::new(0x1ff8), &mut [0; 8]).is_ok());
    assert!(Memory::read(&pieces, Gpa::new(0x1ffc), &mut [0; 8]).is_err(), "it is in two pieces");
    assert!(Memory::write(&pieces, Gpa::new(0xfff), &[0]).is_err());
}

#[test]
fn messages_into_ram_are_written_and_all_other_interrupts_are_counted() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    let unit = &mappings.smmus[0];
    write_register(&mappings, 0x90, 0x40_0003);
    let syncs = [(0x1122_3344_0000_1046, 0x50_0004), (0x1046, 0), (0x1046, 0x808_0040), (0x1046, 0x3ff_fffc)];
    for (at, (word0, word1)) in (0x40_0000..).step_by(16).zip(syncs) {
        put(&mappings, at, word0);
        put(&mappings, at + 8, word1);
    }
    put(&mappings, 0x50_0000, u64::MAX);
    put(&mappings, 0x3ff_fff8, u64::MAX);
    unit.write(Access::new(0x98, Width::Dword).unwrap(), 4);
    unit.write(Access::new(0x20, Width::Dword).unwrap(), 8);
    assert_eq!(mappings.low_ram.load(0x50_0000, Width::Qword), Some(0x1122_3344_ffff_ffff));
    assert_eq!(mappings.low_ram.load(0x3ff_fff8, Width::Qword), Some(0xffff_ffff), "the last of RAM");
    assert_eq!(unit.tally(), Tally { command_sync: 1, messages: 1, ..Tally::default() });
}

#[test]
fn more_messages_than_fit_into_one_go_are_all_written() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    write_register(&mappings, 0x90, 0x40_0007);
    for number in 0..100 {
        put(&mappings, 0x40_0000 + number * 16, (number + 1) << 32 | 0x1046);
        put(&mappings, 0x40_0008 + number * 16, 0x50_0000 + number * 4);
    }
    mappings.smmus[0].write(Access::new(0x98, Width::Dword).unwrap(), 100);
    mappings.smmus[0].write(Access::new(0x20, Width::Dword).unwrap(), 8);
    let words = |at| mappings.low_ram.load(at, Width::Dword).unwrap();
    assert!((0..100).all(|number| words(0x50_0000 + number * 4) == number + 1));
    assert_eq!(mappings.smmus[0].read(Access::new(0x9c, Width::Dword).unwrap()), 100);
}

#[test]
fn an_event_of_a_devices_access_sends_its_message() {
    let fake = Fake::committed();
    let mappings = mapped(&fake, Policy::Skip);
    write_register(&mappings, 0xb0, 0x50_0000);
    mappings.smmus[0].write(Access::new(0xb8, Width::Dword).unwrap(), 0x77);
    mappings.smmus[0].write(Access::new(0x50, Width::Dword).unwrap(), 4);
    translating(&mappings);
    assert!(read(&fake, 0x5000, 8).is_err());
    assert_eq!(mappings.low_ram.load(0x50_0000, Width::Dword), Some(0x77));
    assert_eq!(mappings.smmus[0].tally(), Tally::default());
}
