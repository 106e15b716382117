//! Machines to look at: what other people's programs are shown of the tables, and what the tests begin with.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::system::Access;
use super::system::Bridge;
use super::system::BridgeKind;
use super::system::Coherency;
use super::system::Cpu;
use super::system::Distance;
use super::system::Ecam;
use super::system::FixedWindow;
use super::system::FmwsInCrs;
use super::system::Gic;
use super::system::IoApic;
use super::system::IoWindow;
use super::system::Platform;
use super::system::Ram;
use super::system::Smmu;
use super::system::System;
use super::system::Timer;
use super::system::Uart;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The machines by their names.
pub fn all() -> [(&'static str, System); 3] {
    [("virt", virt()), ("q35", q35()), ("bare", bare())]
}

/// An aarch64 machine: a PCI Express bridge, two CXL bridges, SMMUs for the first and the last of the three. The
/// guest must keep what is placed.
pub fn virt() -> System {
    let platform = Platform::Aarch64 {
        gic: Gic {
            distributor: Gpa::new(0x0800_0000),
            redistributors: span(0x080a_0000, 0xf6_0000).into_iter().collect(),
            its: Gpa::new(0x0808_0000),
        },
        timer: Timer { secure_el1: 29, non_secure_el1: 30, virtual_el1: 27, non_secure_el2: 26 },
        smmus: vec![
            Smmu { base: Gpa::new(0x0c02_0000), first_interrupt: 110, bus: 20 },
            Smmu { base: Gpa::new(0x0c00_0000), first_interrupt: 106, bus: 0 },
        ],
    };
    System {
        fmws_in_crs: FmwsInCrs::of(&platform),
        platform,
        cpus: vec![Cpu { id: 0, node: 0 }, Cpu { id: 1, node: 0 }, Cpu { id: 0x100, node: 1 }],
        ram: ram(&[(GIB, GIB, 0), (2 * GIB, GIB, 1)]),
        root: Gpa::new(2 * GIB - 3 * MIB),
        tables: Gpa::new(2 * GIB - 2 * MIB),
        ecam: Ecam { segment: 0, base: Gpa::new(0x40_1000_0000), buses: 256 },
        bridges: vec![
            Bridge {
                bus: 0,
                last_bus: 11,
                kind: BridgeKind::Pcie,
                memory32: span(0x1000_0000, 0x1eff_0000),
                memory64: span(0x80_0000_0000, 0x40_0000_0000),
                io: Some(IoWindow { first: 0, last: 0xffff, at: 0x3eff_0000 }),
                node: Some(0),
                pins: None,
            },
            cxl_bridge((12, 19), 0x40_0010_0000, 2, (0x3000_0000, 0xc0_0000_0000)),
            cxl_bridge((20, 255), 0x40_0011_0000, 3, (0x3400_0000, 0xd0_0000_0000)),
        ],
        windows: [(0x100_0000_0000, 12, Coherency::HdmD), (0x100_4000_0000, 20, Coherency::HdmDb)]
            .into_iter()
            .filter_map(|(base, target, coherency)| window(base, target, coherency, true))
            .collect(),
        access: ACCESS,
        ats: true,
        uart: Some(Uart { at: Gpa::new(0x0900_0000), interrupt: 33 }),
        preserve_config: true,
    }
}

/// An x86-64 machine: a PCI Express bridge and a CXL bridge. The guest may move what is placed.
pub fn q35() -> System {
    let platform = Platform::X86_64 {
        local_apic: Gpa::new(0xfee0_0000),
        io_apic: IoApic { id: 0, base: Gpa::new(0xfec0_0000), first_interrupt: 0 },
    };
    System {
        fmws_in_crs: FmwsInCrs::of(&platform),
        platform,
        cpus: vec![Cpu { id: 0, node: 0 }, Cpu { id: 2, node: 0 }],
        ram: ram(&[(0, 2 * GIB, 0), (4 * GIB, GIB, 0)]),
        root: Gpa::new(0xe_0000),
        tables: Gpa::new(2 * GIB - 2 * MIB),
        ecam: Ecam { segment: 0, base: Gpa::new(0xb000_0000), buses: 256 },
        bridges: vec![
            Bridge {
                bus: 0,
                last_bus: 51,
                kind: BridgeKind::Pcie,
                memory32: span(0xc000_0000, 0x2000_0000),
                memory64: span(0x20_0000_0000, 0x10_0000_0000),
                io: Some(IoWindow { first: 0x1000, last: 0xffff, at: 0x1000 }),
                node: None,
                pins: None,
            },
            Bridge {
                pins: Some([16, 17, 18, 19]),
                ..cxl_bridge((52, 255), 0x1_8000_0000, 1, (0xe000_0000, 0x30_0000_0000))
            },
        ],
        windows: window(0x40_0000_0000, 52, Coherency::HdmD, false).into_iter().collect(),
        access: ACCESS,
        ats: false,
        uart: Some(Uart { at: Gpa::new(0x3f8), interrupt: 4 }),
        preserve_config: false,
    }
}

/// An x86-64 machine without CXL and without a console. The guest must keep what is placed.
pub fn bare() -> System {
    let mut system = q35();
    system.bridges.truncate(1);
    system.bridges.iter_mut().for_each(|bridge| bridge.last_bus = 255);
    System { windows: Vec::new(), uart: None, preserve_config: true, ..system }
}

const ACCESS: Access = Access {
    local: Distance { latency: 80, bandwidth: 200 },
    remote: Distance { latency: 150, bandwidth: 60 },
};

fn span(base: u64, size: u64) -> Option<Span<Gpa>> {
    Span::new(Gpa::new(base), size)
}

fn ram(runs: &[(u64, u64, u32)]) -> Vec<Ram> {
    let runs =
        runs.iter().filter_map(|(base, size, node)| Some(Ram { span: span(*base, *size)?, node: *node }));
    runs.collect()
}

/// A CXL bridge with these buses, and 64 MiB of 32-bit windows and 64 GiB of 64-bit windows.
fn cxl_bridge((bus, last_bus): (u8, u8), registers: u64, port: u32, windows: (u64, u64)) -> Bridge {
    Bridge {
        bus,
        last_bus,
        kind: BridgeKind::Cxl { registers: Gpa::new(registers), port },
        memory32: span(windows.0, 64 * MIB),
        memory64: span(windows.1, 64 * GIB),
        io: None,
        node: Some(0),
        pins: None,
    }
}

/// A window of 1 GiB.
fn window(base: u64, target: u8, coherency: Coherency, fixed: bool) -> Option<FixedWindow> {
    Some(FixedWindow { span: span(base, GIB)?, target, coherency, fixed })
}
