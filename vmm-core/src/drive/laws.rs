//! What holds for every plan, and for the memory that a guest is given by it.

use std::collections::BTreeMap;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::component::hdm;
use parking_lot::Mutex;

use crate::discover::Inventory;
use crate::map::memory::HostMemory;
use crate::map::space::Slot;
use crate::map::space::SlotError;
use crate::map::space::Slots;
use crate::plan::Bar;
use crate::plan::Bridge;
use crate::plan::Device;
use crate::plan::Kind;
use crate::plan::Plan;
use crate::plan::bar::Reach;
use crate::plan::iommu::REGISTERS_SIZE;
use crate::plan::overlaps;

/// The lists of an inventory are as long as a device may make them and no longer.
pub(super) fn check_inventory(inventory: &Inventory) {
    assert!(inventory.regions.len() <= 100 && inventory.irqs.len() <= 5);
    assert!(inventory.config.extended.len() <= 0x400 && inventory.config.blocks.len() <= 0x200);
    if let Some(cxl) = &inventory.cxl {
        assert!(cxl.capabilities.len() <= 255 && (1..=32).contains(&cxl.decoders.len()));
        let registers = inventory.region(cxl.description.registers).map_or(0, |region| region.size);
        assert!(cxl.hdm + hdm::length(cxl.decoders.len() as u8) <= registers);
    }
}

/// Everything in a plan is apart, aligned and inside. The inventories are those of its devices, in order.
pub(crate) fn check_plan(plan: &Plan, inventories: &[&Inventory]) {
    let limit = 1 << plan.machine.address_bits;
    let mut end = Gpa::new(0);
    for placed in &plan.map {
        assert!(placed.span.start() >= end, "{} overlaps what is before it", placed.name);
        end = placed.span.end();
        assert!(end.get() <= limit, "{} has no address", placed.name);
        let natural = match placed.kind {
            Kind::Bar => placed.span.size(),
            Kind::Window => hdm::GRANULE,
            Kind::Registers => BLOCK_SIZE,
            Kind::Smmu => REGISTERS_SIZE,
            Kind::Ram | Kind::Ecam | Kind::Doorbell | Kind::Platform | Kind::Tables => 0x1000,
        };
        assert!(placed.span.start().get().is_multiple_of(natural), "{} is not aligned", placed.name);
    }
    check_windows(plan);
    for (index, bridge) in plan.bridges.iter().enumerate() {
        check_bridge(plan, index, bridge);
    }
    assert_eq!(plan.devices.len(), inventories.len());
    for (device, inventory) in plan.devices.iter().zip(inventories) {
        check_device(device, inventory, plan.machine.page_size);
    }
}

/// Windows are packed behind everything else, and each device is in one that leads to its bridge alone.
fn check_windows(plan: &Plan) {
    for pair in plan.windows.windows(2) {
        let [first, second] = pair else { continue };
        assert_eq!(first.span.end(), second.span.start(), "windows are packed");
    }
    let others = plan.map.iter().filter(|placed| placed.kind != Kind::Window);
    let highest = others.map(|placed| placed.span.end()).max();
    for window in &plan.windows {
        assert!(window.span.start().get() > 0 && Some(window.span.start()) >= highest);
        assert!(window.span.size().is_multiple_of(hdm::GRANULE));
    }
    assert!(overlaps(&plan.windows, &plan.bridges).is_empty());
    for (index, device) in plan.devices.iter().enumerate() {
        let mut own = plan.windows.iter().filter(|window| window.targets == [device.bridge]);
        let (found, second) = (own.next(), own.next());
        assert!(second.is_none(), "{} has two windows", device.name);
        let window = found.filter(|window| window.span.start() == device.window.span.start());
        assert_eq!(window.and_then(|window| window.device), Some(index), "{} is in its window", device.name);
        let Some(window) = window else { continue };
        assert!(device.window.span.size() <= window.span.size(), "the memory is in its window");
        assert_eq!(plan.bridges.get(device.bridge).and_then(|bridge| bridge.port.device), Some(index));
    }
}

/// A bridge has buses, windows and registers that no other has, and what is below it is in them.
fn check_bridge(plan: &Plan, index: usize, bridge: &Bridge) {
    let port = &bridge.port;
    assert!(bridge.bus > 0 && port.secondary == bridge.bus + 1 && port.secondary <= bridge.last_bus);
    for (other_index, other) in plan.bridges.iter().enumerate().filter(|(other, _)| *other != index) {
        assert!(
            other.last_bus < bridge.bus || bridge.last_bus < other.bus,
            "buses {other_index} and {index}"
        );
        assert!(!bridge.window_32.overlaps(other.window_32) && port.number != other.port.number);
        let high = bridge.window_64.zip(other.window_64);
        assert!(high.is_none_or(|(own, other)| !own.overlaps(other)));
    }
    let inside = |outer: Option<Span<Gpa>>, inner: Span<Gpa>| {
        outer.is_some_and(|outer| outer.covers(inner.start(), inner.size()))
    };
    let windows = [Some(bridge.window_32), bridge.window_64];
    assert!(inside(Some(bridge.window_32), port.bar) && bridge.window_32.end().get() <= 4 << 30);
    assert!(!windows.iter().flatten().any(|window| window.overlaps(bridge.registers)));
    assert!(inside(Some(plan.ecam), port.config));
    for window in windows.into_iter().flatten().chain(port.memory).chain(port.prefetchable) {
        assert!(window.start().get().is_multiple_of(1 << 20) && window.size().is_multiple_of(1 << 20));
    }
    if let Some(device) = port.device.and_then(|device| plan.devices.get(device)) {
        assert!(inside(Some(plan.ecam), device.config));
        for bar in &device.bars {
            let high = bar.is_64_bit && bar.prefetchable;
            let forwarded = if high { port.prefetchable } else { port.memory };
            assert!(inside(forwarded, bar.span), "{} bar{} is forwarded", device.name, bar.index);
            assert!(inside(if high { bridge.window_64 } else { Some(bridge.window_32) }, bar.span));
        }
    }
}

fn check_device(device: &Device, inventory: &Inventory, page: u64) {
    let size_of = |index| inventory.region(index).map(|region| region.size);
    assert_eq!(size_of(device.window.region), Some(device.window.span.size()));
    assert_eq!(size_of(device.overlay.region), Some(device.overlay.span.size()));
    let decoder_end = device.programme.decoder + hdm::DECODER_SIZE;
    assert!(decoder_end <= device.overlay.span.size(), "decoder 0 is in its region");
    let holder = device.bars.iter().find(|bar| bar.index == device.overlay.bar).map(|bar| bar.span);
    let covers = |at, size| holder.is_some_and(|bar| bar.covers(at, size));
    assert!(covers(device.overlay.span.start(), device.overlay.span.size()), "the overlay is in its BAR");
    assert!(covers(device.component, 1), "the component block is in its BAR");
    for bar in &device.bars {
        check_bar(bar, device, inventory, page);
    }
}

/// The pieces of a BAR are all of it, and what is mapped is what the device lists and not the decoders' pages.
fn check_bar(bar: &Bar, device: &Device, inventory: &Inventory, page: u64) {
    let areas = inventory.region(bar.index.into()).map(|region| region.areas.as_slice()).unwrap_or_default();
    let mut at = 0;
    for piece in &bar.pieces {
        assert!(piece.range.start == at && piece.range.end > at, "no gap and no overlap");
        at = piece.range.end;
        if piece.reach != Reach::Mapped {
            continue;
        }
        assert!(piece.range.start.is_multiple_of(page) && piece.range.end.is_multiple_of(page));
        // Areas are apart, so those that reach into the piece must be all of it together.
        let listed: u64 = areas
            .iter()
            .map(|area| {
                let end = area.offset.saturating_add(area.size).min(piece.range.end);
                end.saturating_sub(area.offset.max(piece.range.start))
            })
            .sum();
        assert_eq!(listed, piece.range.end - piece.range.start, "the device lists what is mapped");
        let start = bar.span.start().checked_add(piece.range.start);
        let span = start.and_then(|start| Span::new(start, piece.range.end - piece.range.start));
        assert!(span.is_some_and(|span| !span.overlaps(device.overlay.span)), "a mapped page does not trap");
    }
    assert_eq!(at, bar.span.size());
}

/// Memory slots that must be apart, as long as their memory, and given back.
#[derive(Debug, Default)]
pub(super) struct LawfulSlots {
    state: Mutex<(u32, BTreeMap<u32, Span<Gpa>>)>,
}

impl LawfulSlots {
    /// Whether all were given back.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().1.is_empty()
    }
}

impl Slots for LawfulSlots {
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError> {
        assert_eq!(at.size(), memory.size());
        let (next, here) = &mut *self.state.lock();
        assert!(here.values().all(|other| !other.overlaps(at)), "two slots overlap");
        *next += 1;
        here.insert(*next, at);
        Ok(Slot(*next))
    }

    fn remove(&self, Slot(slot): Slot) {
        assert!(self.state.lock().1.remove(&slot).is_some(), "a slot is removed once");
    }
}
