use cxl_spec::component::hdm;
use proptest::prelude::*;
use rstest::rstest;
use vfio_abi::chain::Area;
use vfio_abi::chain::Chain;

use super::bar::Reach;
use super::*;
use crate::backend::fake::Fake;
use crate::discover::Region;
use crate::discover::cxl::Decoder;
use crate::discover::discover;

const GIB: u64 = 1 << 30;

fn inventory() -> Inventory {
    discover(&Fake::committed().shared()).unwrap()
}

fn planned(machine: &Machine, count: usize) -> Result<Plan, PlanError> {
    let inventory = inventory();
    let names: Vec<String> = (0..count).map(|index| format!("gpu{index}")).collect();
    let devices: Vec<_> = names.iter().map(|name| (name.as_str(), &inventory)).collect();
    plan(machine, &devices)
}

fn one(change: impl FnOnce(&mut Inventory)) -> Result<Plan, PlanError> {
    let mut inventory = inventory();
    change(&mut inventory);
    plan(&Machine::default(), &[("gpu0", &inventory)])
}

fn region_mut(inventory: &mut Inventory, index: u32) -> &mut Region {
    inventory.regions.iter_mut().find(|region| region.index == index).unwrap()
}

#[test]
fn the_map_of_one_device_is_the_drawn_one() {
    let plan = planned(&Machine::default(), 1).unwrap();
    let map: Vec<_> = plan
        .map
        .iter()
        .map(|placed| (placed.name.as_str(), placed.span.start().get(), placed.span.size()))
        .collect();
    assert_eq!(
        map,
        [
            ("ram", 0, 64 << 20),
            ("ecam", 0xb000_0000, 256 << 20),
            ("doorbell", 0xfe00_0000, 0x1000),
            ("gpu0 bar0", 4 * GIB, 0x4000),
            ("gpu0 bar2", 4 * GIB + 0x10_0000, 0x10_0000),
            ("gpu0 window", 4 * GIB + 0x1000_0000, 0x1000_0000),
        ]
    );
}

#[test]
fn the_window_lies_behind_everything_else_at_a_granule() {
    let plan = planned(&Machine { ram: 5 * GIB, ..Machine::default() }, 3).unwrap();
    let windows: Vec<_> = plan.devices.iter().map(|device| device.window.span).collect();
    let others = plan.map.iter().filter(|placed| placed.kind != Kind::Window);
    let highest = others.map(|placed| placed.span.end()).max().unwrap();
    for window in &windows {
        assert!(window.start() >= highest && window.start().get().is_multiple_of(hdm::GRANULE));
    }
    assert_eq!(windows[1].start(), windows[0].end(), "windows are packed");
    assert_eq!(windows[2].start(), windows[1].end());
}

#[test]
fn ram_beyond_2_gib_goes_on_at_4_gib() {
    let plan = planned(&Machine { ram: 5 * GIB, ..Machine::default() }, 1).unwrap();
    let ram = plan.map.iter().filter(|placed| placed.kind == Kind::Ram);
    let spans: Vec<_> = ram.map(|placed| (placed.span.start().get(), placed.span.size())).collect();
    assert_eq!(spans, [(0, 2 * GIB), (4 * GIB, 3 * GIB)]);
}

#[test]
fn the_component_registers_cover_the_bar_where_the_device_says() {
    let plan = planned(&Machine::default(), 1).unwrap();
    let overlay = plan.devices[0].overlay;
    assert_eq!((overlay.region, overlay.bar), (10, 2));
    assert_eq!((overlay.span.start().get(), overlay.span.size()), (4 * GIB + 0x12_1000, 0x140));
}

#[test]
fn the_programme_is_for_decoder_0_at_the_window() {
    let device = &planned(&Machine::default(), 1).unwrap().devices[0];
    assert_eq!(device.programme, Programme { region: 10, decoder: 0x120, window: device.window.span });
}

#[test]
fn devices_reach_ram_and_no_device_memory() {
    let plan = planned(&Machine { ram: 3 * GIB, ..Machine::default() }, 2).unwrap();
    let mapped: Vec<_> = plan
        .dma
        .iter()
        .filter(|dma| dma.decision == Decision::Map)
        .map(|dma| (dma.device.as_str(), dma.name.as_str()))
        .collect();
    assert_eq!(
        mapped,
        [("gpu0", "ram"), ("gpu0", "ram above 4 GiB"), ("gpu1", "ram"), ("gpu1", "ram above 4 GiB")]
    );
    let skipped = plan.dma.iter().filter(|dma| dma.decision == Decision::SkipDeviceMemory).count();
    assert_eq!(skipped, 2 * 2 * 3, "two BARs and a window of each, for each");
}

#[test]
fn every_device_has_a_function_of_its_own() {
    let plan = planned(&Machine::default(), 31).unwrap();
    let functions: Vec<_> = plan.devices.iter().map(|device| device.bdf.to_string()).collect();
    assert_eq!((functions[0].as_str(), functions[30].as_str()), ("00:01.0", "00:1f.0"));
    assert_eq!(plan.devices[0].config.start().get(), 0xb000_8000);
    let error = planned(&Machine::default(), 32).unwrap_err().to_string();
    assert_eq!(error, "gpu31: refused at attach: there are 31 places for devices, and all are taken");
}

#[rstest]
#[case::odd_ram(Machine { ram: (64 << 20) + 1, ..Machine::default() }, "machine: ram = 0x4000001")]
#[case::no_ram(Machine { ram: 0, ..Machine::default() }, "machine: ram = 0x0: must be 4 MiB to 1 TiB")]
#[case::too_much_ram(Machine { ram: 2 << 40, ..Machine::default() }, "machine: ram = 0x20000000000")]
#[case::few_address_bits(Machine { address_bits: 32, ..Machine::default() }, "machine: address_bits = 0x20")]
#[case::many_address_bits(Machine { address_bits: 64, ..Machine::default() }, "machine: address_bits = 0x40")]
#[case::an_odd_page(Machine { page_size: 0x1800, ..Machine::default() }, "machine: page_size = 0x1800")]
#[case::more_ram_than_addresses(
    Machine { ram: 64 * GIB, address_bits: 36, ..Machine::default() }, "ram: no place for 0x1000000000 bytes")]
fn a_machine_that_cannot_be_is_refused(#[case] machine: Machine, #[case] message: &str) {
    let error = planned(&machine, 1).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn a_window_that_does_not_fit_is_refused_by_name() {
    let machine = Machine { address_bits: 36, ram: 62 * GIB, ..Machine::default() };
    // RAM takes all but 2 GiB of the 64 GiB, and BARs and windows are behind it.
    let error = planned(&Machine { ram: 61 * GIB, ..machine.clone() }, 4).unwrap_err().to_string();
    assert_eq!(error, "gpu3 window: no place for 0x10000000 bytes below 0x1000000000");
    assert!(planned(&Machine { ram: 61 * GIB, ..machine }, 3).is_ok());
}

#[rstest]
#[case::not_cxl(|device: &mut Inventory| device.cxl = None,
    "gpu0: refused at attach: not a CXL device: VFIO_DEVICE_FLAGS_CXL is clear")]
#[case::memory_off(|device: &mut Inventory| device.cxl.as_mut().unwrap().mem_enable = false,
    "gpu0: refused at attach: CXL.mem is off: Mem_Enable is clear in the CXL device DVSEC")]
#[case::memory_off_for_good(|device: &mut Inventory| {
        let cxl = device.cxl.as_mut().unwrap();
        (cxl.mem_enable, cxl.config_lock) = (false, true);
    },
    "gpu0: refused at attach: CXL.mem is off: Mem_Enable is clear in the CXL device DVSEC, and CONFIG_LOCK keeps")]
#[case::not_committed(|device: &mut Inventory| device.cxl.as_mut().unwrap().firmware_committed = false,
    "gpu0: refused at attach: host firmware did not commit HDM decoder 0: FIRMWARE_COMMITTED is clear")]
#[case::another_decoder(|device: &mut Inventory| {
        let decoders = &mut device.cxl.as_mut().unwrap().decoders;
        decoders.push(decoders[0]);
    }, "gpu0: refused at attach: HDM decoder 1 is committed, too: decoder 0 alone can be given a window")]
#[case::registers_in_a_port_bar(|device: &mut Inventory| device.config.bars.truncate(1),
    "gpu0: refused at attach: the component registers are in BAR 2, which is no memory BAR")]
#[case::odd_memory(|device: &mut Inventory| region_mut(device, 9).size = 0x1000_1000,
    "gpu0: refused at attach: memory region of 0x10001000 bytes")]
#[case::a_decoder_over_less(|device: &mut Inventory| region_mut(device, 9).size = 0x2000_0000,
    "gpu0: refused at attach: HDM decoder 0 covers 0x10000000 bytes and the memory region has 0x20000000")]
#[case::no_decoder(|device: &mut Inventory| device.cxl.as_mut().unwrap().decoders.clear(),
    "gpu0: refused at attach: HDM decoder 0 covers 0x0 bytes")]
#[case::an_interleaved_one(
    |device: &mut Inventory| device.cxl.as_mut().unwrap().decoders[0].control = hdm::Control::new(0x610),
    "gpu0: refused at attach: HDM decoder 0 interleaves (ways code 0x1)")]
#[case::overlapping_areas(
    |device: &mut Inventory| region_mut(device, 2).areas.push(Area { offset: 0x1000, size: 0x1000 }),
    "gpu0: refused at attach: region 2: the sparse mmap areas at 0x0 and 0x1000 overlap")]
#[case::an_area_outside(
    |device: &mut Inventory| region_mut(device, 9).areas.push(Area { offset: u64::MAX, size: 1 }),
    "gpu0: refused at attach: region 9: the sparse mmap area of 0x1 bytes at 0xffffffffffffffff leaves the region")]
#[case::an_endless_bar(|device: &mut Inventory| device.config.bars[0].size = 1 << 63,
    "gpu0 bar0: no place for 0x8000000000000000 bytes")]
fn a_device_that_cannot_be_attached_is_refused_by_name(
    #[case] change: fn(&mut Inventory),
    #[case] message: &str,
) {
    let error = one(change).unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn a_decoder_beside_the_first_may_be_there_if_nobody_committed_it() {
    let plan = one(|device| {
        let decoders = &mut device.cxl.as_mut().unwrap().decoders;
        decoders.push(Decoder { control: hdm::Control::new(0), ..decoders[0] });
    });
    assert!(plan.is_ok());
}

#[rstest]
#[case::june(Fake::june().with(|state| {
    let mut data = state.info.chain.entries()[0].data.clone();
    data[0] = 0;
    state.info.chain = Chain::new().with(6, 1, &data);
}), "HOST_FIRMWARE_COMMITTED")]
#[case::newest(Fake::newest().with(|state| state.set(10, 0x20, 0)), "COMMITTED")]
fn a_device_that_is_not_committed_is_refused_by_what_its_kernel_calls_it(
    #[case] fake: Fake,
    #[case] name: &str,
) {
    let inventory = discover(&fake.shared()).unwrap();
    let error = plan(&Machine::default(), &[("gpu0", &inventory)]).unwrap_err().to_string();
    let expected =
        format!("gpu0: refused at attach: host firmware did not commit HDM decoder 0: {name} is clear");
    assert_eq!(error, expected);
}

#[test]
fn the_same_device_is_planned_the_same_whatever_kernel_shows_it() {
    let of = |fake: &Fake| {
        let inventory = discover(&fake.shared()).unwrap();
        let plan = plan(&Machine::default(), &[("gpu0", &inventory)]).unwrap();
        let device = &plan.devices[0];
        let hdm = device.overlay.span.start().get() + device.programme.decoder - 0x10;
        (plan.map.clone(), device.component.get(), hdm, plan.notes.clone())
    };
    let [april, june, newest] = Fake::of_every_kernel();
    assert_eq!((of(&april).1, of(&april).2), (4 * GIB + 0x12_0000, 4 * GIB + 0x12_1110));
    assert_eq!(of(&april), of(&june));
    assert_eq!(of(&april), of(&newest));
}

#[test]
fn a_region_whose_mapping_cannot_be_trusted_traps_and_says_so() {
    let plan = one(|device| {
        region_mut(device, 9).mapping_is_safe = false;
        let bar = region_mut(device, 2);
        (bar.mapping_is_safe, bar.file) = (false, None);
    })
    .unwrap();
    assert!(!plan.devices[0].window.mapped);
    assert!(plan.devices[0].bars[1].pieces.iter().all(|piece| piece.reach != Reach::Mapped));
    assert_eq!(
        plan.notes,
        [
            "gpu0: region 2 can be mapped but came without a file: every access is a call",
            "gpu0: the file of region 9 can become shorter: every access is a call",
        ]
    );
}

#[test]
fn memory_that_can_be_mapped_in_part_traps_as_a_whole_and_says_so() {
    let plan = one(|device| region_mut(device, 9).areas = vec![Area { offset: 0, size: 0x1000 }]).unwrap();
    assert!(!plan.devices[0].window.mapped);
    assert_eq!(plan.notes, ["gpu0: not all of region 9 can be mapped: every access is a call"]);
}

#[test]
fn a_bar_of_32_bits_lies_below_4_gib() {
    let plan = one(|device| device.config.bars[0].is_64_bit = false).unwrap();
    assert_eq!(plan.devices[0].bars[0].span.start().get(), 0xc000_0000);
}

proptest! {
    #[test]
    fn nothing_in_a_map_overlaps_and_everything_is_aligned(
        ram in 2u64..4096, bits in 36u32..=52, memories in prop::collection::vec(1u64..64, 0..17), bar in 14u32..40
    ) {
        let machine = Machine { ram: ram << 21, address_bits: bits, page_size: 0x1000 };
        let inventories: Vec<_> = memories.iter().map(|granules| {
            let mut inventory = inventory();
            let size = granules * hdm::GRANULE;
            let memory = region_mut(&mut inventory, 9);
            (memory.size, memory.areas) = (size, vec![Area { offset: 0, size }]);
            inventory.cxl.as_mut().unwrap().decoders[0].size = size;
            inventory.config.bars[0].size = 1 << bar;
            inventory
        }).collect();
        let devices: Vec<_> = inventories.iter().map(|inventory| ("gpu", inventory)).collect();
        if let Ok(plan) = plan(&machine, &devices) {
            for pair in plan.map.windows(2) {
                prop_assert!(pair[0].span.end() <= pair[1].span.start(), "{} and {}", pair[0].name, pair[1].name);
            }
            for placed in &plan.map {
                prop_assert!(placed.span.end().get() <= 1 << bits);
                let natural = match placed.kind {
                    Kind::Bar => placed.span.size(),
                    Kind::Window => hdm::GRANULE,
                    _ => 0x1000,
                };
                prop_assert!(placed.span.start().get().is_multiple_of(natural));
            }
            prop_assert_eq!(plan.devices.len(), devices.len());
            prop_assert!(plan.devices.iter().all(|device| device.window.mapped));
        }
    }
}
