use rstest::rstest;
use vfio_abi::chain::Chain;

use super::*;
use crate::backend::fake::Fake;
use crate::backend::fake::Kernel;
use crate::backend::fake::State;

fn found(fake: &Fake) -> Result<Inventory, DiscoverError> {
    discover(&fake.shared())
}

/// What discovery says of a device that was changed.
fn error(change: impl FnOnce(&mut State)) -> String {
    found(&Fake::committed().with(change)).unwrap_err().to_string()
}

/// Replaces the device capability behind its header.
fn capability(state: &mut State, offset: usize, bytes: &[u8]) {
    let mut data = state.info.chain.entries()[0].data.clone();
    data[offset..offset + bytes.len()].copy_from_slice(bytes);
    state.info.chain = Chain::new().with(abi::DEVICE_CAPABILITY, 1, &data);
}

#[test]
fn a_committed_device_is_known_in_full() {
    let inventory = found(&Fake::committed()).unwrap();
    assert_eq!(inventory.capabilities, [6]);
    let sizes: Vec<_> = inventory.regions.iter().map(|region| (region.index, region.size)).collect();
    assert_eq!(sizes, [(0, 0x4000), (2, 0x10_0000), (7, 0x1000), (9, 0x1000_0000), (10, 0x140)]);
    assert_eq!(
        inventory.irqs.iter().map(|irq| (irq.index, irq.count)).collect::<Vec<_>>(),
        [(2, 8), (3, 1), (4, 1)]
    );
    let cxl = inventory.cxl.unwrap();
    let told = cxl.description;
    assert!(cxl.firmware_committed && told.cache_capable == Some(true));
    assert_eq!((told.bar, told.offset, told.memory, told.registers), (2, 0x2_1000, 9, 10));
    assert_eq!(cxl.component, 0x2_0000);
    assert_eq!((cxl.device_dvsec, cxl.hdm, cxl.decoders.len()), (0x150, 0x110, 1));
    assert_eq!((cxl.decoders[0].base, cxl.decoders[0].size), (0, 0x1000_0000));
    assert_eq!(cxl.decoders[0].control.raw(), 0x600);
}

#[test]
fn configuration_is_taken_apart() {
    let config = found(&Fake::committed()).unwrap().config;
    assert_eq!((config.vendor, config.device, config.class, config.revision), (0x1e98, 0xc7f2, 0x12_0000, 1));
    let bars: Vec<_> =
        config.bars.iter().map(|bar| (bar.index, bar.size, bar.is_64_bit, bar.prefetchable)).collect();
    assert_eq!(bars, [(0, 0x4000, true, false), (2, 0x10_0000, true, true)]);
    assert_eq!(config.capabilities, [config::Capability { offset: 0x40, id: 0x10 }]);
    let dvsec = config::Dvsec { vendor: 0x1e98, id: 0, revision: 2, length: 0x3c };
    assert_eq!(config.extended[1].dvsec, Some(dvsec));
    assert_eq!(config.cxl_dvsec(0), Some(0x150));
    assert_eq!(config.cxl_dvsec(7), None);
}

#[test]
fn a_sealed_file_is_safe_to_map_and_any_other_is_not() {
    let safe = |inventory: &Inventory| inventory.region(9).unwrap().mapping_is_safe;
    assert!(safe(&found(&Fake::committed()).unwrap()));
    let short = Fake::committed().with(|state| state.regions.get_mut(&9).unwrap().info.offset = 0x1000);
    assert!(!safe(&found(&short).unwrap()), "the region ends behind the file");
    let none = Fake::committed().with(|state| state.regions.get_mut(&9).unwrap().memory = None);
    let none = none.with(|state| *state.bytes(9) = vec![0; 16]);
    assert!(!safe(&found(&none).unwrap()), "there is no file");
}

#[test]
fn an_unsealed_file_is_not_safe_to_map() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(0x2000).unwrap();
    assert!(!is_sealed(&file, 0x2000));
}

#[test]
fn a_device_without_the_flag_is_a_plain_one() {
    let inventory = found(&Fake::committed().with(|state| state.info.flags = DeviceFlags::PCI)).unwrap();
    assert_eq!(inventory.cxl, None);
}

#[test]
fn a_region_that_is_refused_is_not_there() {
    let inventory = found(&Fake::committed().with(|state| state.info.num_regions = 100)).unwrap();
    assert_eq!(inventory.regions.len(), 5);
}

#[test]
fn a_device_that_is_lost_ends_discovery_at_any_call() {
    let all = Fake::committed();
    found(&all).unwrap();
    let calls = all.look(|state| state.calls.len());
    assert!(calls > 20);
    for at in 1..=calls {
        let fake =
            Fake::committed().with(|state| state.fail_at = Some((at, Failure::Lost("gone".to_owned()))));
        let error = found(&fake).unwrap_err();
        assert!(matches!(error, DiscoverError::Backend(_)), "at call {at}");
        assert_eq!(fake.look(|state| state.calls.len()), at, "nothing is asked of a device that is lost");
    }
}

#[rstest]
#[case::not_pci(|state: &mut State| state.info.flags = abi::DEVICE_FLAG, "not a PCI device")]
#[case::too_few_regions(|state: &mut State| state.info.num_regions = 7, "num_regions = 0x7")]
#[case::too_many_regions(|state: &mut State| state.info.num_regions = u32::MAX, "num_regions = 0xffffffff")]
#[case::another_regions_info(
    |state: &mut State| state.regions.get_mut(&2).unwrap().info.index = 3,
    "region info of region 2 = 0x3: the answer is for another region")]
#[case::no_configuration(|state: &mut State| drop(state.regions.remove(&7)), "size of the configuration region = 0x0")]
#[case::all_ones(|state: &mut State| state.bytes(7).fill(0xff), "configuration space reads all ones")]
#[case::a_bar_of_an_odd_size(
    |state: &mut State| state.regions.get_mut(&0).unwrap().info.size = 0x3000,
    "size of BAR 0 = 0x3000: a BAR's size is a power of two")]
#[case::capabilities_in_a_circle(|state: &mut State| state.bytes(7)[0x41] = 0x40, "capability pointer = 0x40")]
#[case::capabilities_in_the_header(|state: &mut State| state.bytes(7)[0x34] = 0x10, "capability pointer = 0x10")]
#[case::extended_in_a_circle(
    |state: &mut State| state.set(7, 0x150, 0x1001_0023),
    "extended capability pointer = 0x100")]
#[case::extended_in_the_first_part(
    |state: &mut State| state.set(7, 0x150, 0x0801_0023),
    "extended capability pointer = 0x80")]
#[case::no_device_dvsec(|state: &mut State| state.set(7, 0x158, 0x0000_0007), "no CXL device DVSEC")]
#[case::no_capability(|state: &mut State| state.info.chain = Chain::new(), "no device capability 6")]
#[case::another_version(
    |state: &mut State| state.info.chain = Chain::new().with(6, 2, &[0; 24]),
    "version of device capability 6 = 0x2")]
#[case::another_revision(
    |state: &mut State| state.info.chain = Chain::new().with(6, 1, &[0; 40]),
    "hdm_region_idx = 0x0: the region is one of those that every PCI device has")]
#[case::a_length_that_nobody_has(
    |state: &mut State| state.info.chain = Chain::new().with(6, 1, &[0; 48]),
    "length of device capability 6 = 0x38: no revision of vfio-cxl has a capability of so many bytes")]
#[case::no_memory_region(
    |state: &mut State| capability(state, 16, &[0xff; 4]),
    "dpa_region_index = 0xffffffff: the device says that there is no such region")]
#[case::memory_in_a_bar(|state: &mut State| capability(state, 16, &[2, 0, 0, 0]), "dpa_region_index = 0x2")]
#[case::memory_nowhere(|state: &mut State| capability(state, 16, &[99, 0, 0, 0]), "dpa_region_index = 0x63")]
#[case::regions_exchanged(
    |state: &mut State| capability(state, 16, &[10, 0, 0, 0, 9, 0, 0, 0]),
    "dpa_region_index = 0xa: the region's type capability does not say CXL and this subtype")]
#[case::no_register_region(|state: &mut State| capability(state, 20, &[0xff; 4]), "comp_regs_region_index")]
#[case::block_in_no_bar(|state: &mut State| capability(state, 0, &[1]), "hdm_regs_bar_index = 0x1")]
#[case::block_in_the_memory(|state: &mut State| capability(state, 0, &[9]), "hdm_regs_bar_index = 0x9")]
#[case::block_behind_its_bar(
    |state: &mut State| capability(state, 8, &[0, 0, 0x10, 0, 0, 0, 0, 0]),
    "hdm_regs_offset = 0x100000")]
#[case::block_far_behind_its_bar(
    |state: &mut State| capability(state, 8, &[0, 0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    "hdm_regs_offset = 0xfffffffffffff000")]
#[case::block_at_an_odd_place(
    |state: &mut State| capability(state, 8, &[0, 0x11, 0, 0, 0, 0, 0, 0]),
    "hdm_regs_offset = 0x1100")]
#[case::registers_before_any_block(
    |state: &mut State| capability(state, 8, &[0; 8]),
    "hdm_regs_offset = 0x0: the component block begins 0x1000 before the component registers")]
#[case::registers_too_long(
    |state: &mut State| state.regions.get_mut(&10).unwrap().info.size = 0x2000,
    "size of the component register region = 0x2000")]
#[case::a_dead_device(
    |state: &mut State| state.bytes(10).fill(0xff),
    "CXL capability header = 0xffffffff: unexpected capability array id")]
#[case::more_entries_than_room(
    |state: &mut State| state.set(10, 0, 0xff11_0001),
    "entries of the capability array = 0xff: the capability array does not fit")]
#[case::no_decoders(|state: &mut State| state.set(10, 8, 0), "no HDM decoder capability (id 5)")]
#[case::decoders_outside(
    |state: &mut State| state.set(10, 8, 0x1141_0005),
    "pointer to the HDM decoder capability = 0x114")]
#[case::decoders_at_an_odd_place(
    |state: &mut State| state.set(10, 8, 0x1021_0005),
    "pointer to the HDM decoder capability = 0x102")]
#[case::a_reserved_count(
    |state: &mut State| state.set(10, 0x110, 0xf),
    "HDM decoder count code = 0xf: the code is reserved")]
#[case::more_decoders_than_room(
    |state: &mut State| state.set(10, 0x110, 1),
    "HDM decoder count code = 0x1: so many decoders do not fit")]
fn what_cannot_be_is_refused_by_field_and_value(#[case] change: fn(&mut State), #[case] message: &str) {
    let error = error(change);
    assert!(error.contains(message), "{error}");
    assert!(error.starts_with("fake: "), "{error}");
}

#[test]
fn a_sparse_list_that_does_not_parse_is_refused_by_its_region() {
    let error = error(|state| {
        let info = &mut state.regions.get_mut(&2).unwrap().info;
        info.chain = Chain::new().with(1, 1, &[9, 0, 0, 0, 0, 0, 0, 0]);
    });
    let expected = "fake: region info of region 2: sparse mmap capability: nr_areas cannot be 0x9";
    assert_eq!(error, expected);
}

#[test]
fn a_region_that_can_be_mapped_and_lists_nothing_is_one_area() {
    let inventory = found(&Fake::committed()).unwrap();
    assert_eq!(inventory.region(9).unwrap().areas, [Area { offset: 0, size: 0x1000_0000 }]);
    assert_eq!(inventory.region(0).unwrap().areas, []);
}

/// What discovery says of a device of another kernel that was changed.
fn error_of(fake: Fake, change: impl FnOnce(&mut State)) -> String {
    found(&fake.with(change)).unwrap_err().to_string()
}

/// What is known of a device, for comparing kernels.
fn facts(fake: &Fake) -> (u64, u64, Vec<(u16, u64)>, u64, bool) {
    let cxl = found(fake).unwrap().cxl.unwrap();
    let capabilities = cxl.capabilities.iter().map(|entry| (entry.id, entry.offset)).collect();
    (cxl.component, cxl.device_dvsec, capabilities, cxl.decoders[0].size, cxl.firmware_committed)
}

#[test]
fn one_device_is_the_same_whatever_kernel_shows_it() {
    for fake in Fake::of_every_kernel() {
        let expected = (0x2_0000, 0x150, vec![(2, 0x80), (5, 0x110)], 0x1000_0000, true);
        assert_eq!(facts(&fake), expected);
    }
}

#[test]
fn the_decoders_are_where_each_kernel_puts_them() {
    let of = |fake: Fake| {
        let cxl = found(&fake).unwrap().cxl.unwrap();
        let decoder = cxl.decoders[0];
        (cxl.description.registers, cxl.hdm, decoder.base, decoder.control.raw())
    };
    assert_eq!(of(Fake::committed()), (10, 0x110, 0, 0x600));
    assert_eq!(of(Fake::june()), (9, 0x1110, 0x48_3000_0000, 0x700));
    assert_eq!(of(Fake::newest()), (10, 0, 0x48_3000_0000, 0x700));
}

#[test]
fn register_blocks_are_found_by_their_locator() {
    let blocks = found(&Fake::committed()).unwrap().config.blocks;
    assert_eq!(blocks, [cxl_spec::dvsec::register_locator::Location { bar: 2, block: 1, offset: 0x2_0000 }]);
    let longer = Fake::committed().with(|state| {
        state.set(7, 0x204, 0x0241_1e98);
        state.set(7, 0x21c, 0x0005_0300);
    });
    let blocks = found(&longer).unwrap().config.blocks;
    assert_eq!(blocks.iter().map(|block| block.block).collect::<Vec<_>>(), [1, 3], "an empty entry is none");
}

#[test]
fn a_locator_that_says_it_is_longer_than_configuration_space_is_read_to_its_end() {
    let fake = Fake::committed().with(|state| {
        state.set(7, 0x150, 0xff01_0023);
        for (offset, value) in [(0xff0, 0x0001_0023), (0xff4, 0xfff1_1e98), (0xff8, 8), (0xffc, 0x0002_0102)]
        {
            state.set(7, offset, value);
        }
    });
    assert_eq!(found(&fake).unwrap().config.blocks.len(), 1);
}

#[test]
fn memory_space_is_on_only_while_the_newest_kernels_registers_are_read() {
    let fake = Fake::newest();
    found(&fake).unwrap();
    assert_eq!(fake.dword(7, 4), 0x0010_0000);
    for fake in [Fake::committed(), Fake::june()] {
        found(&fake).unwrap();
        let writes = |state: &State| {
            let is_write = |call: &&crate::backend::Call| matches!(call, crate::backend::Call::Write { .. });
            state.calls.iter().filter(is_write).count()
        };
        assert_eq!(fake.look(writes), 0, "of the others everything is only read");
    }
}

#[test]
fn a_device_of_any_kernel_that_is_lost_ends_discovery_at_any_call() {
    for kernel in [Fake::june, Fake::newest] {
        let all = kernel();
        found(&all).unwrap();
        for at in 1..=all.look(|state| state.calls.len()) {
            let lost = Some((at, Failure::Lost("gone".to_owned())));
            let outcome = found(&kernel().with(|state| state.fail_at = lost));
            // The last call of the newest puts the command register back, which nobody waits for.
            let last =
                at == all.look(|state| state.calls.len()) && all.look(|state| state.kernel == Kernel::Newest);
            assert_eq!(matches!(outcome, Err(DiscoverError::Backend(_))), !last, "at call {at}");
        }
    }
}

#[test]
fn a_device_is_taken_for_what_it_is_only_if_nothing_else_is_assumed() {
    let speak = |fake: &Fake, assumed| discover_as(&fake.shared(), Some(assumed));
    for (fake, revision) in Fake::of_every_kernel().iter().zip(Revision::ALL) {
        for assumed in Revision::ALL {
            assert_eq!(speak(fake, assumed).is_ok(), assumed == revision, "{revision} taken for {assumed}");
        }
    }
    let error = speak(&Fake::june(), Revision::V2).unwrap_err().to_string();
    let expected =
        "fake: the device speaks v3 (June 2026), not v2: length of device capability 6 = 0x30, v2 has 0x20";
    assert_eq!(error, expected);
}

#[test]
fn the_newest_tells_by_its_decoder_what_firmware_did() {
    let open = Fake::newest().with(|state| state.set(10, 0x20, 0x000));
    assert!(!facts(&open).4);
}

#[rstest]
#[case::a_short_region(
    |state: &mut State| state.regions.get_mut(&9).unwrap().info.size = 0xf000,
    "size of the component register region = 0xf000: the component block has 0x10000 bytes")]
#[case::a_block_that_leaves_its_bar(
    |state: &mut State| capability(state, 24, &[0, 0x10, 0xf]),
    "comp_reg_offset = 0xf1000: the component registers must begin at a multiple of 0x1000 and end inside the BAR")]
#[case::a_block_at_an_odd_place(|state: &mut State| capability(state, 24, &[0x10]), "comp_reg_offset = 0x20010")]
#[case::a_dead_device(
    |state: &mut State| state.bytes(9).fill(0xff),
    "CXL capability header = 0xffffffff: unexpected capability array id")]
#[case::decoders_outside(
    |state: &mut State| state.set(9, 0x1008, 0xfe01_0005),
    "pointer to the HDM decoder capability = 0xfe0")]
#[case::a_short_device_dvsec(
    |state: &mut State| state.set(7, 0x154, 0x0142_1e98),
    "length of the CXL device DVSEC = 0x14: the DVSEC is too short for its ranges")]
fn what_cannot_be_in_june_is_refused_by_field_and_value(
    #[case] change: fn(&mut State),
    #[case] message: &str,
) {
    let error = error_of(Fake::june(), change);
    assert!(error.starts_with(&format!("fake: {message}")), "{error}");
}

/// Replaces what the component register region says of its place.
fn place_in(state: &mut State, bar: u8, offset: u64) {
    let data = [[bar, 0, 0, 0, 0, 0, 0, 0], offset.to_le_bytes()].concat();
    let chain = Chain::new().with(6, 1, &data).with_region_type(0x8000_1e98, 2);
    state.regions.get_mut(&10).unwrap().info.chain = chain;
}

fn place(state: &mut State, offset: u64) {
    place_in(state, 2, offset);
}

fn array(state: &State, offset: u64, value: u32) {
    state.regions[&2].memory.as_ref().unwrap().write(offset, &value.to_le_bytes()).unwrap();
}

#[rstest]
#[case::no_locator(|state: &mut State| state.set(7, 0x208, 0x9), "the Register Locator DVSEC has no component block")]
#[case::no_component_block(
    |state: &mut State| state.set(7, 0x20c, 0x0002_0302),
    "the Register Locator DVSEC has no component block")]
#[case::another_bar(
    |state: &mut State| state.set(7, 0x20c, 0x0002_0100),
    "BAR of the component block in the Register Locator = 0x0: the component register region says")]
#[case::a_block_behind_the_decoders(
    |state: &mut State| state.set(7, 0x20c, 0x0003_0102),
    "offset of the component block in the Register Locator = 0x30000: the component register region says")]
#[case::a_block_far_before_the_decoders(
    |state: &mut State| state.set(7, 0x20c, 0x0001_0102),
    "offset of the component block in the Register Locator = 0x10000: the component register region says")]
#[case::a_block_beyond_all_bars(
    |state: &mut State| state.set(7, 0x210, 0xffff_ffff),
    "offset of the component block in the Register Locator = 0xffffffff00020000")]
#[case::a_block_that_leaves_its_bar(
    |state: &mut State| {
        place_in(state, 0, 0x1110);
        state.set(7, 0x20c, 0x0000_0100);
    },
    "offset of the component block in the Register Locator = 0x0: the component block must end inside the BAR")]
#[case::decoders_that_leave_their_bar(
    |state: &mut State| {
        state.regions.get_mut(&2).unwrap().info.size = 0x4_0000;
        place(state, 0x3_ffd4);
    },
    "offset of CXL_COMP_REGS = 0x3ffd4: the HDM decoders must begin at a dword and end inside the BAR")]
#[case::the_array_leads_elsewhere(
    |state: &mut State| array(state, 0x2_1008, 0x1201_0005),
    "offset of CXL_COMP_REGS = 0x21110: the capability array in the BAR has the HDM decoders elsewhere")]
#[case::the_region_is_elsewhere(
    |state: &mut State| place(state, 0x2_1120),
    "offset of CXL_COMP_REGS = 0x21120: the capability array in the BAR has the HDM decoders elsewhere")]
#[case::decoders_at_an_odd_place(
    |state: &mut State| place(state, 0x2_1112),
    "offset of CXL_COMP_REGS = 0x21112: the HDM decoders must begin at a dword and end inside the BAR")]
#[case::decoders_in_no_address_space(
    |state: &mut State| place(state, u64::MAX - 0xef),
    "offset of CXL_COMP_REGS = 0xffffffffffffff10")]
#[case::a_dead_array(
    |state: &mut State| array(state, 0x2_1000, u32::MAX),
    "CXL capability header = 0xffffffff: unexpected capability array id")]
#[case::a_region_without_room(
    |state: &mut State| state.regions.get_mut(&10).unwrap().info.size = 0x2c,
    "size of the component register region = 0x2c: the HDM decoder capability does not fit")]
#[case::a_region_too_long(
    |state: &mut State| state.regions.get_mut(&10).unwrap().info.size = 0x2000,
    "size of the component register region = 0x2000: the component registers are dwords")]
#[case::more_decoders_than_room(
    |state: &mut State| state.set(10, 0, 1),
    "HDM decoder count code = 0x1: so many decoders do not fit")]
fn what_cannot_be_in_the_newest_is_refused_by_field_and_value(
    #[case] change: fn(&mut State),
    #[case] message: &str,
) {
    let error = error_of(Fake::newest(), change);
    assert!(error.starts_with(&format!("fake: {message}")), "{error}");
}
