//! A plan as what there is to see of it: the map with what maps and what traps, and the topology.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use vmm_core::plan;
use vmm_core::plan::Kind;
use vmm_core::plan::Plan;
use vmm_core::plan::bar;

use super::story::Bridge;
use super::story::Device;
use super::story::Part;
use super::story::Placed;
use super::story::Reach;
use super::story::Topology;
use super::story::Window;

/// The guest address map of a plan, by rising address.
pub fn map(plan: &Plan) -> Vec<Placed> {
    let tables = [&plan.tables.root, &plan.tables.others];
    let mut map: Vec<_> = plan.map.iter().chain(tables).collect();
    map.sort_by_key(|placed| placed.span);
    map.into_iter().map(|placed| seen(placed, plan)).collect()
}

/// Which device is below which bridge.
pub fn topology(plan: &Plan) -> Topology {
    Topology {
        bridges: plan.bridges.iter().map(|bridge| of_bridge(bridge, plan)).collect(),
        windows: plan.windows.iter().map(|window| of_window(window, plan)).collect(),
        devices: plan.devices.iter().map(|device| of_device(device, plan)).collect(),
    }
}

fn seen(placed: &plan::Placed, plan: &Plan) -> Placed {
    let (parts, reach) = match placed.kind {
        Kind::Ram | Kind::Tables => (Vec::new(), Reach::Maps),
        Kind::Bar => of_bar(placed.span, plan),
        Kind::Window => of_memory(placed.span, plan),
        Kind::Ecam | Kind::Doorbell | Kind::Platform | Kind::Registers | Kind::Smmu => {
            (Vec::new(), Reach::Traps)
        }
    };
    Placed {
        name: placed.name.clone(),
        kind: placed.kind.name().to_owned(),
        start: placed.span.start().get(),
        size: placed.span.size(),
        reach,
        why: placed.why.to_string(),
        parts,
    }
}

/// The parts of the BAR at a place. One that is the same everywhere has none.
fn of_bar(span: Span<Gpa>, plan: &Plan) -> (Vec<Part>, Reach) {
    let mut bars = plan.devices.iter().flat_map(|device| device.bars.iter().map(move |bar| (device, bar)));
    // What a slot keeps for a device that comes is nobody's yet.
    let Some((device, bar)) = bars.find(|(_, bar)| bar.span == span) else {
        return (Vec::new(), Reach::Nothing);
    };
    let part = |piece: &bar::Piece| {
        let (name, reach) = match piece.reach {
            bar::Reach::Mapped => (format!("bar{}", bar.index), Reach::Maps),
            bar::Reach::Trapped => (format!("bar{}", bar.index), Reach::Traps),
            bar::Reach::Overlay => (format!("COMP_REGS, region {}", device.overlay.region), Reach::Overlay),
        };
        let size = piece.range.end.saturating_sub(piece.range.start);
        Part { name, offset: piece.range.start, size, reach }
    };
    whole(bar.pieces.iter().map(part).collect())
}

/// What is in a window: the memory of a device, from its start on, and perhaps nothing behind it.
fn of_memory(span: Span<Gpa>, plan: &Plan) -> (Vec<Part>, Reach) {
    let inside = |device: &&plan::Device| device.fixed_window.start() == span.start();
    let Some(device) = plan.devices.iter().find(inside) else { return (Vec::new(), Reach::Nothing) };
    let memory = device.window.span;
    let reach = if device.window.mapped { Reach::Maps } else { Reach::Traps };
    let name = format!("{} DPA 0x0, region {}", device.name, device.window.region);
    let offset = memory.start().get().saturating_sub(span.start().get());
    let used = Part { name, offset, size: memory.size(), reach };
    let behind = offset.saturating_add(memory.size());
    let rest = span.size().checked_sub(behind).filter(|size| *size > 0);
    let rest = rest.map(|size| Part {
        name: "behind the memory".to_owned(),
        offset: behind,
        size,
        reach: Reach::Nothing,
    });
    match rest {
        None => (Vec::new(), reach),
        Some(rest) => (vec![used, rest], reach),
    }
}

/// Parts, and what the whole reaches. One part is the whole.
fn whole(parts: Vec<Part>) -> (Vec<Part>, Reach) {
    match parts.as_slice() {
        [] => (parts, Reach::Nothing),
        [only] => {
            let reach = only.reach;
            (Vec::new(), reach)
        }
        _ => (parts, Reach::Mixed),
    }
}

fn of_bridge(bridge: &plan::Bridge, plan: &Plan) -> Bridge {
    let device = bridge.port.device.and_then(|device| plan.devices.get(device));
    Bridge {
        name: bridge.name.clone(),
        bus: bridge.bus,
        last_bus: bridge.last_bus,
        port: bridge.port.bdf.to_string(),
        device: device.map(|device| device.name.clone()),
    }
}

fn of_window(window: &plan::FixedWindow, plan: &Plan) -> Window {
    let targets = window.targets.iter().filter_map(|target| plan.bridges.get(*target));
    let device = window.device.and_then(|device| plan.devices.get(device));
    Window {
        name: window.name.clone(),
        start: window.span.start().get(),
        size: window.span.size(),
        targets: targets.map(|bridge| bridge.name.clone()).collect(),
        device: device.map(|device| device.name.clone()),
    }
}

fn of_device(device: &plan::Device, plan: &Plan) -> Device {
    let placed = |bar: &plan::Bar| plan.map.iter().find(|placed| placed.span == bar.span);
    Device {
        name: device.name.clone(),
        bdf: device.bdf.to_string(),
        base: device.window.span.start().get(),
        size: device.window.span.size(),
        mapped: device.window.mapped,
        bars: device.bars.iter().filter_map(placed).map(|placed| placed.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sim_device::kernel::Abi;
    use sim_device::profile::Profile;
    use vmm_core::backend::Shared;
    use vmm_core::discover::discover;
    use vmm_core::plan::machine::Machine;

    use super::*;
    use crate::within::Within;

    fn planned(profile: &Profile) -> Plan {
        let client = Within::client(profile, Abi::named("v2").unwrap()).unwrap();
        let found = discover(&Shared::new(client)).unwrap();
        plan::plan(&Machine::default(), &[("gpu0", &found)]).unwrap()
    }

    fn named<'a>(map: &'a [Placed], name: &str) -> &'a Placed {
        map.iter().find(|placed| placed.name == name).unwrap()
    }

    #[test]
    fn a_bar_is_cut_into_what_maps_what_traps_and_what_the_component_registers_cover() {
        let map = map(&planned(&Profile::default()));
        let bar2 = named(&map, "gpu0 bar2");
        let parts: Vec<_> = bar2.parts.iter().map(|part| (part.offset, part.size, part.reach)).collect();
        assert_eq!(
            parts,
            [
                (0x0_0000, 0x2_0000, Reach::Maps),
                (0x2_0000, 0x0_1000, Reach::Traps),
                (0x2_1000, 0x0_0140, Reach::Overlay),
                (0x2_1140, 0x0_eec0, Reach::Traps),
                (0x3_0000, 0xd_0000, Reach::Maps),
            ]
        );
        let bar0 = named(&map, "gpu0 bar0");
        assert_eq!((bar0.parts.len(), bar0.reach, bar2.reach), (0, Reach::Traps, Reach::Mixed));
        assert_eq!((named(&map, "ram").reach, named(&map, "ecam").reach), (Reach::Maps, Reach::Traps));
        assert!(map.is_sorted_by_key(|placed| placed.start));
    }

    #[test]
    fn a_window_maps_where_the_memory_can_be_mapped_and_else_traps() {
        let mut profile = Profile::default();
        let window = |profile: &Profile| {
            let plan = planned(profile);
            (named(&map(&plan), "gpu0 window").reach, topology(&plan).devices[0].mapped)
        };
        assert_eq!(window(&profile), (Reach::Maps, true));
        profile.kernel.memory_without_mmap = true;
        assert_eq!(window(&profile), (Reach::Traps, false));
    }

    #[test]
    fn a_device_is_below_its_bridge_and_its_memory_in_its_window() {
        let topology = topology(&planned(&Profile::default()));
        let [bridge] = topology.bridges.as_slice() else { panic!("{topology:?}") };
        assert_eq!((bridge.name.as_str(), bridge.device.as_deref()), ("gpu0 bridge", Some("gpu0")));
        let [window] = topology.windows.as_slice() else { panic!("{topology:?}") };
        assert_eq!(
            (window.targets.as_slice(), window.start),
            (&["gpu0 bridge".to_owned()][..], 0x1_1000_0000)
        );
        let [device] = topology.devices.as_slice() else { panic!("{topology:?}") };
        assert_eq!((device.bdf.as_str(), device.base, device.size), ("0d:00.0", 0x1_1000_0000, 0x1000_0000));
        assert_eq!(device.bars, ["gpu0 bar0", "gpu0 bar2"]);
    }
}
