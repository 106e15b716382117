use cxl_spec::component::hdm::GRANULE;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::backend::fake::Fake;
use crate::discover::Inventory;
use crate::discover::discover;
use crate::plan::Plan;
use crate::plan::machine::Machine;
use crate::plan::plan;

fn bridge(name: &str, bus: impl Into<Option<u8>>) -> BridgeIntent {
    BridgeIntent { name: name.to_owned(), bus: bus.into(), ..BridgeIntent::default() }
}

fn window(size: u64, targets: &[&str]) -> WindowIntent {
    WindowIntent { size, targets: targets.iter().map(|&target| target.to_owned()).collect() }
}

fn below(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(device, bridge)| (device.to_owned(), bridge.to_owned())).collect()
}

/// The plan of a machine with one device, or two, of 256 MiB each.
fn planned(topology: Topology, count: usize) -> Result<Plan, PlanError> {
    let inventories: Vec<Inventory> =
        (0..count).map(|_| discover(&Fake::committed().shared()).unwrap()).collect();
    let names = ["gpu0", "gpu1"];
    let devices: Vec<_> = names.into_iter().zip(&inventories).collect();
    plan(&Machine { topology, ..Machine::default() }, &devices)
}

fn buses(plan: &Plan) -> Vec<(u8, u8)> {
    plan.bridges.iter().map(|bridge| (bridge.bus, bridge.last_bus)).collect()
}

/// Bridges a and b, the devices below them, and a window for each.
fn two() -> Topology {
    Topology {
        bridges: vec![bridge("a", 12), bridge("b", 20)],
        windows: vec![window(GRANULE, &["a"]), window(GRANULE, &["b"])],
        below: below(&[("gpu0", "a"), ("gpu1", "b")]),
        ..Topology::default()
    }
}

#[test]
fn a_bridge_has_the_buses_up_to_the_next_bridge() {
    assert_eq!(buses(&planned(two(), 2).unwrap()), [(12, 19), (20, 255)]);
    let turned = Topology { bridges: vec![bridge("a", 200), bridge("b", 100)], ..two() };
    assert_eq!(buses(&planned(turned, 2).unwrap()), [(200, 255), (100, 199)]);
}

#[test]
fn a_bridge_without_a_bus_gets_a_free_one() {
    let bridges = vec![bridge("a", None), bridge("b", 13), bridge("c", 28)];
    let topology = Topology { bridges, ..two() };
    assert_eq!(buses(&planned(topology, 2).unwrap()), [(20, 27), (13, 19), (28, 255)]);
}

#[test]
fn a_device_that_names_no_bridge_has_one_of_its_own() {
    let topology =
        Topology { bridges: vec![bridge("a", 12)], below: below(&[("gpu1", "a")]), ..Default::default() };
    let plan = planned(topology, 2).unwrap();
    let names: Vec<_> = plan.bridges.iter().map(|bridge| (bridge.name.as_str(), bridge.bus)).collect();
    assert_eq!(names, [("a", 12), ("gpu0 bridge", 20)]);
    let bridges: Vec<_> = plan.devices.iter().map(|device| device.bridge).collect();
    assert_eq!(bridges, [1, 0]);
}

#[test]
fn a_bridge_may_have_nothing_below_it() {
    let plan = planned(two(), 1).unwrap();
    assert_eq!((plan.bridges[1].port.device, plan.windows[1].device), (None, None));
    assert_eq!(plan.windows[1].name, "window 2");
}

#[test]
fn the_window_of_an_empty_slot_is_for_the_coherency_that_its_bridge_says() {
    let says = |a, b| {
        let mut topology = two();
        (topology.bridges[0].back_invalidate, topology.bridges[1].back_invalidate) = (a, b);
        topology.windows.push(window(2 * GRANULE, &["a", "b"]));
        let windows = planned(topology, 1).unwrap().windows;
        windows.iter().map(|window| window.back_invalidate).collect::<Vec<_>>()
    };
    // Of the device below a, which has no back-invalidation, the device says. A window that both share is for neither.
    assert_eq!(says(true, true), [false, true, false]);
    assert_eq!(says(true, false), [false, false, false]);
}

#[test]
fn a_window_may_be_larger_than_the_memory_which_is_at_its_start() {
    let topology = Topology { windows: vec![window(3 * GRANULE, &["a"]), window(GRANULE, &["b"])], ..two() };
    let plan = planned(topology, 2).unwrap();
    let [first, second] = plan.windows.as_slice() else { panic!("two windows") };
    assert_eq!((first.span.size(), plan.devices[0].window.span.size()), (3 * GRANULE, GRANULE));
    assert_eq!(plan.devices[0].window.span.start(), first.span.start());
    assert_eq!(plan.devices[1].window.span.start(), second.span.start());
    assert_eq!(second.span.start(), first.span.end());
}

#[test]
fn a_window_that_several_bridges_share_may_be_there_beside_the_devices_own() {
    let shared = window(2 * GRANULE, &["a", "b"]);
    let topology = Topology { windows: [vec![shared], two().windows].concat(), ..two() };
    let plan = planned(topology, 2).unwrap();
    let devices: Vec<_> = plan.windows.iter().map(|window| window.device).collect();
    assert_eq!(devices, [None, Some(0), Some(1)]);
    assert_eq!(plan.windows[0].targets, [0, 1]);
}

#[test]
fn a_window_may_have_256_mib_and_1_tib() {
    for size in [GRANULE, LARGEST_WINDOW] {
        let topology = Topology { windows: vec![window(size, &["a"])], ..two() };
        assert!(planned(topology, 1).is_ok(), "{size:#x}");
    }
}

#[test]
fn without_windows_the_bridges_registers_are_still_there() {
    let nothing = Topology { without_windows: true, ..two() };
    let plan = planned(nothing.clone(), 0).unwrap();
    assert_eq!((plan.windows.len(), plan.bridges.len()), (0, 2));
    let error = planned(nothing, 1).unwrap_err().to_string();
    assert_eq!(error, "gpu0: refused at attach: fixed_windows = false: its memory has no window");
}

#[test]
fn sixteen_bridges_are_there_and_a_seventeenth_is_refused() {
    let bridges = |count: u8| Topology {
        bridges: (0..count).map(|index| bridge(&format!("b{index}"), None)).collect(),
        ..Topology::default()
    };
    let full = planned(bridges(16), 0).unwrap();
    assert_eq!(buses(&full)[..4], [(12, 19), (20, 27), (28, 35), (36, 43)]);
    let slots: Vec<_> = full.bridges.iter().map(|bridge| bridge.registers.start().get()).collect();
    assert_eq!((slots[0], slots[15]), (0xfe10_0000, 0xfe1f_0000));
    let error = planned(bridges(17), 0).unwrap_err().to_string();
    assert_eq!(error, "machine: bridges = 17: must be 1 to 16");
}

#[rstest]
#[case::two_endpoints(
    Topology { below: below(&[("gpu0", "a"), ("gpu1", "a")]), ..two() },
    "gpu1: refused at attach: bridge = \"a\": gpu0 is below it, and there is one endpoint below a host bridge")]
#[case::no_such_bridge(
    Topology { below: below(&[("gpu0", "x")]), ..two() },
    "gpu0: refused at attach: bridge = \"x\": the machine has no such bridge")]
#[case::no_window(
    Topology { windows: vec![window(GRANULE, &["b"])], ..two() },
    "gpu0: refused at attach: no window has the target \"a\", which is its bridge")]
#[case::two_windows(
    Topology { windows: vec![window(GRANULE, &["a"]), window(GRANULE, &["b"]), window(GRANULE, &["a"])], ..two() },
    "gpu0: refused at attach: window 1 and window 3 both have the target \"a\" alone: which is meant, nothing says")]
#[case::a_shared_window(
    Topology { windows: vec![window(2 * GRANULE, &["a", "b"])], ..two() },
    "gpu0: refused at attach: window 1 has 2 targets: its memory needs one that leads to its bridge alone")]
#[case::a_small_window(
    Topology { windows: vec![window(GRANULE, &["b"]), window(GRANULE, &["a"])], ..two() },
    "gpu0: refused at attach: window 2: size = 0x10000000: its memory has 0x20000000")]
#[case::an_odd_window(
    Topology { windows: vec![window(GRANULE + 0x1000, &["a"])], ..two() },
    "window 1: size = 0x10001000: must be a multiple of 256 MiB")]
#[case::an_odd_shared_window(
    Topology { windows: vec![window(3 * GRANULE, &["a", "b"])], ..two() },
    "window 1: size = 0x30000000: must be a multiple of 256 MiB for each of its 2 targets")]
#[case::a_short_window(
    Topology { windows: vec![window(GRANULE / 2, &["a"])], ..two() },
    "window 1: size = 0x8000000: must be 256 MiB to 1 TiB")]
#[case::an_empty_window(
    Topology { windows: vec![window(0, &["a"])], ..two() },
    "window 1: size = 0x0: must be 256 MiB to 1 TiB")]
#[case::a_long_window(
    Topology { windows: vec![window(LARGEST_WINDOW + GRANULE, &["a"])], ..two() },
    "window 1: size = 0x10010000000: must be 256 MiB to 1 TiB")]
#[case::a_window_to_nowhere(
    Topology { windows: vec![window(GRANULE, &["x"])], ..two() },
    "window 1: targets = [x]: there is no bridge x")]
#[case::a_window_without_targets(
    Topology { windows: vec![window(GRANULE, &[])], ..two() },
    "window 1: targets = []: must be 1, 2, 3, 4, 6, 8, 12 or 16 bridges")]
#[case::a_bridge_twice(
    Topology { windows: vec![window(2 * GRANULE, &["a", "a"])], ..two() },
    "window 1: targets = [a, a]: has a bridge twice")]
#[case::two_bridges_of_a_name(
    Topology { bridges: vec![bridge("a", 12), bridge("a", 20)], ..two() },
    "bridge a: name = a: another bridge has it")]
#[case::bus_0(
    Topology { bridges: vec![bridge("a", 0), bridge("b", 20)], ..two() },
    "bridge a: bus = 0: must be 1 to 254: bus 0 is the machine's own, and a port needs the next")]
#[case::bus_255(
    Topology { bridges: vec![bridge("a", 255), bridge("b", 20)], ..two() },
    "bridge a: bus = 255: must be 1 to 254: bus 0 is the machine's own, and a port needs the next")]
#[case::one_bus_twice(
    Topology { bridges: vec![bridge("a", 12), bridge("b", 12)], ..two() },
    "bridge a: bus = 12: another bridge begins there")]
#[case::no_bus_for_the_port(
    Topology { bridges: vec![bridge("a", 12), bridge("b", 13)], ..two() },
    "bridge a: bus = 12: its port needs bus 13, where another bridge begins")]
fn a_topology_that_cannot_be_is_refused_by_its_field(#[case] topology: Topology, #[case] message: &str) {
    let small = message.contains("its memory has");
    let mut inventories = [(); 2].map(|()| discover(&Fake::committed().shared()).unwrap());
    if small {
        let memory = inventories[0].regions.iter_mut().find(|region| region.index == 9).unwrap();
        memory.size = 2 * GRANULE;
        inventories[0].cxl.as_mut().unwrap().decoders[0].size = 2 * GRANULE;
    }
    let devices: Vec<_> = ["gpu0", "gpu1"].into_iter().zip(&inventories).collect();
    let error = plan(&Machine { topology, ..Machine::default() }, &devices).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn the_topology_that_the_refused_ones_differ_from_is_taken() {
    assert!(planned(two(), 2).is_ok());
    let next = Topology { bridges: vec![bridge("a", 12), bridge("b", 14)], ..two() };
    assert_eq!(buses(&planned(next, 2).unwrap()), [(12, 13), (14, 255)]);
    let ends = Topology { bridges: vec![bridge("a", 1), bridge("b", 254)], ..two() };
    assert_eq!(buses(&planned(ends, 2).unwrap()), [(1, 253), (254, 255)]);
}

proptest! {
    /// The rule in other words: every bridge needs its bus and the next, of buses 1 to 255, for itself.
    #[test]
    fn buses_are_refused_or_apart(wanted in prop::collection::vec(0u8..=255, 1..=16)) {
        let bridges = wanted.iter().enumerate().map(|(index, bus)| bridge(&format!("b{index}"), *bus));
        let topology = Topology { bridges: bridges.collect(), ..Topology::default() };
        let mut needed: Vec<u16> = wanted.iter().flat_map(|bus| [u16::from(*bus), u16::from(*bus) + 1]).collect();
        needed.sort_unstable();
        let possible = needed[0] > 0 && needed.last() < Some(&256) && needed.is_sorted_by(|a, b| a < b);
        match planned(topology, 0) {
            Err(error) => prop_assert!(!possible, "{}", error),
            Ok(plan) => {
                prop_assert!(possible);
                let mut found = buses(&plan);
                prop_assert!(found.iter().zip(&wanted).all(|((bus, _), wanted)| bus == wanted));
                found.sort_unstable();
                let ends: Vec<_> = found.iter().skip(1).map(|(bus, _)| bus - 1).chain([255]).collect();
                prop_assert!(found.iter().zip(ends).all(|((_, last), end)| *last == end));
            }
        }
    }

    /// Whatever some bridges ask for, the others find buses, as long as what is asked for can be.
    #[test]
    fn bridges_without_a_wish_always_find_buses(wanted in prop::collection::vec(prop::option::of(0u8..127), 1..=16)) {
        // Odd buses are two apart, so that only two alike can be wrong.
        let mut wanted: Vec<Option<u8>> = wanted.into_iter().map(|bus| bus.map(|bus| 2 * bus + 1)).collect();
        let mut seen = std::collections::BTreeSet::new();
        wanted.iter_mut().for_each(|bus| *bus = bus.filter(|bus| seen.insert(*bus)));
        let bridges = wanted.iter().enumerate().map(|(index, bus)| bridge(&format!("b{index}"), *bus));
        let plan = planned(Topology { bridges: bridges.collect(), ..Topology::default() }, 0).unwrap();
        let mut found = buses(&plan);
        found.sort_unstable();
        prop_assert!(found.windows(2).all(|pair| pair[0].0 < pair[0].1 && pair[0].1 < pair[1].0));
    }
}
