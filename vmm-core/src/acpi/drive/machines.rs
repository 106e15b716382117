//! Machines that can be told, out of a few choices: things are put one behind the other, with gaps.

use std::collections::BTreeSet;

use arbitrary::Arbitrary;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::up_to;
use crate::acpi::sample;
use crate::acpi::system::Bridge;
use crate::acpi::system::BridgeKind;
use crate::acpi::system::Coherency;
use crate::acpi::system::Cpu;
use crate::acpi::system::FixedWindow;
use crate::acpi::system::FmwsInCrs;
use crate::acpi::system::GICR_SIZE;
use crate::acpi::system::IoWindow;
use crate::acpi::system::Platform;
use crate::acpi::system::Ram;
use crate::acpi::system::Smmu;
use crate::acpi::system::System;
use crate::acpi::system::WINDOW_GRANULE;

/// The most processors, bridges, windows of a bridge, and runs of RAM beside those of the sample.
const MOST_CPUS: usize = 16;
const MOST_BRIDGES: usize = 12;
const MOST_WINDOWS: usize = 3;
const MOST_RAM: usize = 4;

/// The most buses of a bridge: with a gap behind every second one, all bridges find some.
const MOST_BUSES: u8 = 19;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What is chosen of a machine.
#[derive(Clone, Debug, Default, Arbitrary)]
pub(super) struct Choices {
    flags: Flags,
    segment: u16,
    /// IDs and proximity domains.
    #[arbitrary(with = up_to::<_, MOST_CPUS>)]
    cpus: Vec<(u8, u8)>,
    /// Sizes and proximity domains.
    #[arbitrary(with = up_to::<_, MOST_RAM>)]
    ram: Vec<(u8, u8)>,
    #[arbitrary(with = up_to::<_, MOST_BRIDGES>)]
    bridges: Vec<Choice>,
}

#[derive(Clone, Copy, Debug, Default, Arbitrary)]
struct Flags {
    is_arm: bool,
    announces: bool,
    preserves: bool,
    uart: bool,
    ats: bool,
    /// The root pointer is behind the other tables.
    root_is_last: bool,
    /// The bridges and the windows come with the highest first.
    is_reversed: bool,
    /// Configuration space is no longer than the buses need.
    is_short: bool,
    /// Each processor's redistributor is a run of its own.
    is_split: bool,
}

/// What is chosen of a bridge.
#[derive(Clone, Debug, Arbitrary)]
struct Choice {
    is_cxl: bool,
    buses: u8,
    memory32: bool,
    memory64: Option<u8>,
    io: bool,
    /// Which of the proximity domains.
    node: Option<u8>,
    /// The interrupt that its first pin is wired to.
    pin: Option<u8>,
    /// An SMMU serves it: those with small numbers come first.
    smmu: Option<u8>,
    #[arbitrary(with = up_to::<_, MOST_WINDOWS>)]
    windows: Vec<Window>,
}

/// What is chosen of a window.
#[derive(Clone, Copy, Debug, Arbitrary)]
struct Window {
    gap: u8,
    granules: u8,
    back_invalidates: bool,
    is_fixed: bool,
}

impl Choices {
    /// The machine. It can be told, whatever is chosen.
    pub(super) fn machine(&self) -> System {
        let flags = self.flags;
        let mut system = if flags.is_arm { sample::virt() } else { sample::q35() };
        system.ecam.segment = self.segment;
        system.fmws_in_crs = if flags.announces { FmwsInCrs::FirstBridge } else { FmwsInCrs::Nowhere };
        system.preserve_config = flags.preserves;
        system.ats = flags.ats;
        system.uart = system.uart.filter(|_| flags.uart);
        if flags.root_is_last {
            system.root = Gpa::new(system.tables.get() + MIB);
        }
        system.cpus = self.cpus(flags.is_arm);
        system.ram.extend(self.ram());
        self.put_bridges(&mut system);
        self.put_platform(&mut system);
        system
    }

    /// Processors whose IDs are all different, or a single one.
    fn cpus(&self, is_arm: bool) -> Vec<Cpu> {
        let mut taken = BTreeSet::from([0xff]);
        let chosen = self.cpus.iter().filter(|(id, _)| taken.insert(*id));
        let cpus = chosen.map(|(id, node)| {
            let (high, low) = (u64::from(id >> 4), u64::from(id & 0xf));
            let id = if is_arm { high << 8 | low } else { (*id).into() };
            Cpu { id, node: (node % 4).into() }
        });
        let cpus: Vec<Cpu> = cpus.collect();
        if cpus.is_empty() { vec![Cpu { id: 0, node: 0 }] } else { cpus }
    }

    fn ram(&self) -> impl Iterator<Item = Ram> {
        let places = (0..).map(|index| 32 * GIB + index * GIB);
        places.zip(&self.ram).filter_map(|(base, (size, node))| {
            let span = Span::new(Gpa::new(base), (1 + u64::from(*size)) * MIB)?;
            Some(Ram { span, node: (node % 6).into() })
        })
    }

    fn put_bridges(&self, system: &mut System) {
        let nodes: Vec<u32> = system.cpus.iter().map(|cpu| cpu.node).collect();
        let mut free = Free::of(self.flags.is_arm);
        (system.bridges, system.windows) = (Vec::new(), Vec::new());
        for (index, choice) in (0..).zip(&self.bridges) {
            let mut bridge = free.bridge(index, choice);
            let node = choice.node.and_then(|node| nodes.iter().cycle().nth(node.into()));
            bridge.node = node.copied();
            let windows = choice.windows.iter().filter(|_| choice.is_cxl);
            system.windows.extend(windows.filter_map(|window| free.window(bridge.bus, *window)));
            system.bridges.push(bridge);
        }
        if self.flags.is_reversed {
            system.bridges.reverse();
            system.windows.reverse();
        }
        if self.flags.is_short {
            system.ecam.buses = u16::from(free.bus).max(1).next_power_of_two();
        }
    }

    fn put_platform(&self, system: &mut System) {
        let (bridges, cpus) = (&system.bridges, system.cpus.len());
        let Platform::Aarch64 { gic, smmus, .. } = &mut system.platform else { return };
        let mut served: Vec<(u8, u8)> = bridges.iter().filter_map(|bridge| self.served(bridge)).collect();
        served.sort_unstable();
        let smmu = |(number, (_, bus)): (u32, (u8, u8))| Smmu {
            base: Gpa::new(0x0c00_0000 + u64::from(number) * 0x2_0000),
            first_interrupt: 100 + 4 * number,
            bus,
        };
        *smmus = (0..).zip(served).map(smmu).collect();
        if self.flags.is_split {
            let places = (0..).map(|index: u64| Gpa::new(0x080a_0000 + index * 2 * GICR_SIZE));
            gic.redistributors = places.filter_map(|at| Span::new(at, GICR_SIZE)).take(cpus).collect();
        }
    }

    /// When a bridge's SMMU comes, and its bus.
    fn served(&self, bridge: &Bridge) -> Option<(u8, u8)> {
        let mut bus = 0;
        for (index, choice) in (0..).zip(&self.bridges) {
            if bus == bridge.bus {
                return choice.smmu.map(|rank| (rank, bus));
            }
            bus += choice.taken(index);
        }
        None
    }
}

impl Choice {
    fn buses(&self) -> u8 {
        1 + self.buses % MOST_BUSES
    }

    /// How many buses are gone with it: no other bridge has the one behind every second bridge.
    fn taken(&self, index: u8) -> u8 {
        self.buses() + (index & 1)
    }
}

/// What nothing has been put at yet.
struct Free {
    bus: u8,
    low: u64,
    high: u64,
    port: u16,
    /// Where a processor reaches port 0.
    ports: u32,
    window: u64,
}

impl Free {
    fn of(is_arm: bool) -> Self {
        let (low, ports) = if is_arm { (0x1000_0000, 0x3eff_0000) } else { (0xc000_0000, 0) };
        Self { bus: 0, low, high: 512 * GIB, port: 0x1000, ports, window: 1024 * GIB }
    }

    fn bridge(&mut self, index: u8, choice: &Choice) -> Bridge {
        let (bus, port) = (self.bus, self.port);
        let registers = Gpa::new(256 * GIB + u64::from(index) * 0x2_0000);
        let kind = BridgeKind::Cxl { registers, port: 10 + u32::from(index) };
        let size = (1 + u64::from(choice.memory64.unwrap_or(0))) * MIB;
        let bridge = Bridge {
            bus,
            last_bus: bus + (choice.buses() - 1),
            kind: if choice.is_cxl { kind } else { BridgeKind::Pcie },
            memory32: Span::new(Gpa::new(self.low), MIB).filter(|_| choice.memory32),
            memory64: choice.memory64.and_then(|_| Span::new(Gpa::new(self.high), size)),
            io: choice.io.then(|| IoWindow {
                first: port,
                last: port + 0xfff,
                at: self.ports + u32::from(port),
            }),
            node: None,
            pins: choice.pin.map(|pin| [0, 1, 2, 3].map(|next| u32::from(pin) + next)),
        };
        self.bus += choice.taken(index);
        self.low += 2 * MIB;
        self.high += size + 0x1000;
        self.port += 0x1000;
        bridge
    }

    /// A window that leads to this bridge.
    fn window(&mut self, target: u8, chosen: Window) -> Option<FixedWindow> {
        let coherency = if chosen.back_invalidates { Coherency::HdmDb } else { Coherency::HdmD };
        let base = self.window + u64::from(chosen.gap % 3) * WINDOW_GRANULE;
        let size = (1 + u64::from(chosen.granules % 4)) * WINDOW_GRANULE;
        self.window = base + size;
        Some(FixedWindow {
            span: Span::new(Gpa::new(base), size)?,
            target,
            coherency,
            fixed: chosen.is_fixed,
        })
    }
}
