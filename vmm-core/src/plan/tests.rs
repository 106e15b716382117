use cxl_spec::component::hdm;
use proptest::prelude::*;
use rstest::rstest;
use vfio_abi::chain::Area;
use vfio_abi::chain::Chain;

use super::bar::Reach;
use super::machine::Arch;
use super::machine::RAM_GRANULE;
use super::topology::BridgeIntent;
use super::topology::LARGEST_WINDOW;
use super::topology::Topology;
use super::topology::WindowIntent;
use super::*;
use crate::backend::fake::Fake;
use crate::discover::Region;
use crate::discover::cxl::Decoder;
use crate::discover::discover;
use crate::drive::laws::check_plan;

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
            ("gpu0 bridge port bar0", 0xc000_0000, 0x1_0000),
            ("gpu0 bar0", 0xc010_0000, 0x4000),
            ("doorbell", 0xfe00_0000, 0x1000),
            ("gpu0 bridge registers", 0xfe10_0000, 0x1_0000),
            ("io apic", 0xfec0_0000, 0x1000),
            ("local apic", 0xfee0_0000, 0x1000),
            ("gpu0 bar2", 4 * GIB, 0x10_0000),
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
    assert_eq!((overlay.span.start().get(), overlay.span.size()), (4 * GIB + 0x2_1000, 0x140));
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
    assert_eq!(skipped, 2 * 2 * 2, "a BAR and a window of each, for each");
    let trapped = plan.dma.iter().filter(|dma| dma.decision == Decision::Trapped);
    let trapped: Vec<_> = trapped.map(|dma| dma.name.as_str()).collect();
    assert_eq!(trapped, ["gpu0 bar0", "gpu1 bar0", "gpu0 bar0", "gpu1 bar0"], "nothing of it can be mapped");
}

#[test]
fn every_device_is_alone_below_a_bridge_of_its_own() {
    let plan = planned(&Machine::default(), 16).unwrap();
    let functions: Vec<_> = plan.devices.iter().map(|device| device.bdf.to_string()).collect();
    assert_eq!((functions[0].as_str(), functions[15].as_str()), ("0d:00.0", "85:00.0"));
    assert_eq!(plan.devices[0].config.start().get(), 0xb0d0_0000);
    let ports: Vec<_> = plan.bridges.iter().map(|bridge| bridge.port.bdf.to_string()).collect();
    assert_eq!((ports[0].as_str(), ports[15].as_str()), ("0c:00.0", "84:00.0"));
    let error = planned(&Machine::default(), 17).unwrap_err().to_string();
    assert_eq!(error, "machine: bridges = 17: must be 1 to 16");
}

#[test]
fn everything_in_the_map_says_why_it_is_there() {
    let plan = planned(&Machine::default(), 2).unwrap();
    let why = |name: &str| plan.map.iter().find(|placed| placed.name == name).unwrap().why.to_string();
    assert_eq!(why("ram"), "fixed: RAM begins at 0");
    assert_eq!(why("gpu0 bar2"), "the first multiple of 0x100000 behind 4 GiB");
    assert_eq!(why("gpu0 window"), "the first multiple of 0x10000000 behind gpu1 bar2");
    assert_eq!(why("gpu1 window"), "the first multiple of 0x10000000 behind gpu0 window");
}

#[test]
fn a_bridge_forwards_what_is_behind_its_port_and_no_more() {
    let plan = one(|device| {
        device.config.bars[0].size = 0x20_0000;
        region_mut(device, 0).size = 0x20_0000;
    })
    .unwrap();
    let Bridge { window_32, window_64, port, .. } = &plan.bridges[0];
    let told = |span: Option<Span<Gpa>>| span.map(|span| (span.start().get(), span.size()));
    assert_eq!(
        told(Some(*window_32)),
        Some((0xc000_0000, 0x40_0000)),
        "a BAR of 2 MiB is at a multiple of it"
    );
    assert_eq!(told(Some(port.bar)), Some((0xc000_0000, 0x1_0000)));
    assert_eq!(told(port.memory), Some((0xc020_0000, 0x20_0000)));
    assert_eq!(told(port.prefetchable), Some((4 * GIB, 0x10_0000)));
    assert_eq!(*window_64, port.prefetchable);
    assert_eq!(told(plan.rest_32), Some((0xc040_0000, 0x3dc0_0000)));
}

#[test]
fn larger_bars_come_first_and_leave_no_gap() {
    let plan = one(|device| {
        device.config.bars[0].prefetchable = true;
        device.config.bars[0].size = 0x100;
        region_mut(device, 0).size = 0x100;
    })
    .unwrap();
    let starts: Vec<_> = plan.devices[0].bars.iter().map(|bar| bar.span.start().get()).collect();
    assert_eq!(starts, [4 * GIB + 0x10_0000, 4 * GIB]);
    assert_eq!(plan.bridges[0].port.memory, None);
}

#[test]
fn the_virt_layout_is_the_drawn_one() {
    let machine = Machine { arch: Arch::Aarch64, address_bits: 48, ..Machine::default() };
    let plan = planned(&machine, 2).unwrap();
    let map: Vec<_> = plan
        .map
        .iter()
        .map(|placed| (placed.name.as_str(), placed.span.start().get(), placed.span.size()))
        .collect();
    assert_eq!(
        map,
        [
            ("flash", 0, 0x0800_0000),
            ("gic distributor", 0x0800_0000, 0x1_0000),
            ("gic its", 0x0808_0000, 0x2_0000),
            ("gic redistributors", 0x080a_0000, 0x00f6_0000),
            ("uart", 0x0900_0000, 0x1000),
            ("smmu", 0x0905_0000, 0x2_0000),
            ("platform bus", 0x0c00_0000, 0x0200_0000),
            ("gpu0 bridge port bar0", 0x1000_0000, 0x1_0000),
            ("gpu0 bar0", 0x1010_0000, 0x4000),
            ("gpu1 bridge port bar0", 0x1020_0000, 0x1_0000),
            ("gpu1 bar0", 0x1030_0000, 0x4000),
            ("io ports", 0x3eff_0000, 0x1_0000),
            ("first ecam", 0x3f00_0000, 0x0100_0000),
            ("ram", 0x4000_0000, 0x0400_0000),
            ("second gic redistributors", 0x40_0000_0000, 0x0400_0000),
            ("gpu0 bridge registers", 0x40_0400_0000, 0x1_0000),
            ("gpu1 bridge registers", 0x40_0401_0000, 0x1_0000),
            ("ecam", 0x40_1000_0000, 0x1000_0000),
            ("gpu0 bar2", 0x80_0000_0000, 0x10_0000),
            ("gpu1 bar2", 0x80_0010_0000, 0x10_0000),
            ("gpu0 window", 0x100_0000_0000, 0x1000_0000),
            ("gpu1 window", 0x100_1000_0000, 0x1000_0000),
        ]
    );
}

#[rstest]
// The RAM ends at 256 GiB, and one granule behind it.
#[case(255 * GIB, 0x40_0000_0000)]
#[case(255 * GIB + RAM_GRANULE, 0x40_0400_0000)]
#[case(1024 * GIB, 0x100_4000_0000)]
fn the_high_regions_of_virt_begin_behind_ram_and_at_256_gib_at_least(#[case] ram: u64, #[case] first: u64) {
    let machine = Machine { arch: Arch::Aarch64, address_bits: 48, ram, ..Machine::default() };
    let plan = planned(&machine, 1).unwrap();
    let start = |name: &str| plan.map.iter().find(|placed| placed.name == name).unwrap().span.start().get();
    assert_eq!(start("second gic redistributors"), first);
    let names = ["second gic redistributors", "gpu0 bridge registers", "ecam", "gpu0 bar2", "gpu0 window"];
    let starts = names.map(start);
    assert!(starts.is_sorted(), "{starts:x?}");
    assert_eq!((starts[2] % (256 << 20), starts[3] % (512 * GIB), starts[4] % (512 * GIB)), (0, 0, 0));
}

#[rstest]
#[case(40, "gpu0 window: no place for 0x10000000 bytes below 0x10000000000")]
#[case(39, "second mmio: no place for 0x8000000000 bytes below 0x8000000000")]
#[case(38, "second gic redistributors: no place for 0x4000000 bytes below 0x4000000000")]
fn a_high_region_that_does_not_fit_is_refused_by_name(#[case] address_bits: u32, #[case] message: &str) {
    let machine = Machine { arch: Arch::Aarch64, address_bits, ..Machine::default() };
    assert_eq!(planned(&machine, 1).unwrap_err().to_string(), message);
    assert!(planned(&Machine { address_bits: 41, ..machine }, 1).is_ok());
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
    assert_eq!((of(&april).1, of(&april).2), (4 * GIB + 0x2_0000, 4 * GIB + 0x2_1110));
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
    let plan = one(|device| device.config.bars[1].is_64_bit = false).unwrap();
    let starts: Vec<_> = plan.devices[0].bars.iter().map(|bar| bar.span.start().get()).collect();
    assert_eq!(starts, [0xc020_0000, 0xc010_0000]);
}

/// A BAR that is not prefetchable is not in a prefetchable window, whatever its bits.
#[test]
fn a_bar_with_side_effects_lies_below_4_gib() {
    let places = [true, false].map(|prefetchable| {
        let plan = one(|device| device.config.bars[1].prefetchable = prefetchable).unwrap();
        plan.devices[0].bars[1].span.start().get()
    });
    assert_eq!(places, [4 * GIB, 0xc010_0000]);
}

/// What an arbitrary machine is made of.
#[derive(Clone, Debug)]
struct Recipe {
    aarch64: bool,
    ram: u64,
    bits: u32,
    /// For each device: granules of memory, size of BAR 0 as a shift, whether that can be anywhere.
    devices: Vec<(u64, u32, bool)>,
    /// Granules that each window has more than its device's memory; nothing for windows that are made up.
    spare: Option<u64>,
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let sizes = prop_oneof![4 => 1u64..64, 1 => 1024u64..4200];
    let devices = prop::collection::vec((sizes, 12u32..40, any::<bool>()), 0..18);
    let ram = prop_oneof![3 => 2u64..4096, 1 => 1u64 << 16..1 << 19];
    let spare = prop::option::of(0u64..3);
    (any::<bool>(), ram, 36u32..=52, devices, spare).prop_map(|(aarch64, ram, bits, devices, spare)| Recipe {
        aarch64,
        ram: ram << 21,
        bits,
        devices,
        spare,
    })
}

fn of_recipe(recipe: &Recipe) -> (Machine, Vec<Inventory>) {
    let inventories = recipe.devices.iter().map(|(granules, bar, high)| {
        let mut inventory = inventory();
        let size = granules * hdm::GRANULE;
        let memory = region_mut(&mut inventory, 9);
        (memory.size, memory.areas) = (size, vec![Area { offset: 0, size }]);
        inventory.cxl.as_mut().unwrap().decoders[0].size = size;
        (inventory.config.bars[0].size, inventory.config.bars[0].prefetchable) = (1 << bar, *high);
        region_mut(&mut inventory, 0).size = 1 << bar;
        inventory
    });
    let mut topology = Topology::default();
    if let Some(spare) = recipe.spare {
        for (index, (granules, ..)) in recipe.devices.iter().enumerate() {
            let name = format!("b{index}");
            topology.bridges.push(BridgeIntent { name: name.clone(), bus: None, ..BridgeIntent::default() });
            topology.below.push((format!("gpu{index}"), name.clone()));
            let size = (granules + spare) * hdm::GRANULE;
            topology.windows.push(WindowIntent { size, targets: vec![name] });
        }
    }
    let arch = if recipe.aarch64 { Arch::Aarch64 } else { Arch::X86_64 };
    let machine = Machine {
        arch,
        ram: recipe.ram,
        address_bits: recipe.bits,
        page_size: 0x1000,
        topology,
        ..Machine::default()
    };
    (machine, inventories.collect())
}

proptest! {
    #[test]
    fn a_machine_is_refused_or_keeps_the_laws(recipe in recipe()) {
        let (machine, inventories) = of_recipe(&recipe);
        let names: Vec<_> = (0..inventories.len()).map(|index| format!("gpu{index}")).collect();
        let devices: Vec<_> = names.iter().map(String::as_str).zip(&inventories).collect();
        match plan(&machine, &devices) {
            Ok(plan) => {
                check_plan(&plan, &inventories.iter().collect::<Vec<_>>());
                prop_assert_eq!(plan.devices.len(), devices.len());
                prop_assert!(plan.devices.iter().all(|device| device.window.mapped));
            }
            Err(PlanError::NoRoom { .. }) => {}
            // There are too many devices, or one has more memory than a window can be long.
            Err(PlanError::Topology { .. }) => {
                let long = |granules: u64| granules + recipe.spare.unwrap_or(0) > LARGEST_WINDOW / hdm::GRANULE;
                let any_long = recipe.devices.iter().any(|(granules, ..)| long(*granules));
                prop_assert!(any_long || devices.len() > 16);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn a_machine_with_room_is_never_refused(count in 0usize..=16, aarch64: bool, granules in 1u64..=4096) {
        let devices = vec![(granules, 14, true); count];
        let recipe = Recipe { aarch64, ram: 64 << 20, bits: 48, devices, spare: None };
        let (machine, inventories) = of_recipe(&recipe);
        let devices: Vec<_> = inventories.iter().map(|inventory| ("gpu", inventory)).collect();
        prop_assert!(plan(&machine, &devices).is_ok());
    }
}
