//! Arbitrary small machines that can be told: things are put one behind the other, with gaps.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::acpi::system::Bridge;
use crate::acpi::system::BridgeKind;
use crate::acpi::system::Coherency;
use crate::acpi::system::FixedWindow;
use crate::acpi::system::FmwsInCrs;
use crate::acpi::system::IoWindow;
use crate::acpi::system::Smmu;

/// What is chosen of a bridge: CXL, buses, 32-bit, 64-bit and I/O windows, windows of device memory.
#[derive(Clone, Debug)]
struct Choice {
    cxl: bool,
    buses: u8,
    memory32: bool,
    memory64: Option<u64>,
    io: bool,
    windows: Vec<(u64, u64, bool, bool)>,
}

fn choice() -> impl Strategy<Value = Choice> {
    let window = (0u64..3, 1u64..5, any::<bool>(), any::<bool>());
    let parts = (
        any::<bool>(),
        1u8..20,
        any::<bool>(),
        prop::option::of(1u64..100),
        any::<bool>(),
        prop::collection::vec(window, 0..3),
    );
    parts.prop_map(|(cxl, buses, memory32, memory64, io, windows)| {
        let windows = if cxl { windows } else { Vec::new() };
        Choice { cxl, buses, memory32, memory64, io, windows }
    })
}

/// Machines of both architectures.
pub(super) fn machine() -> impl Strategy<Value = System> {
    let cpus = prop::collection::vec(0u32..3, 1..6);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (prop::collection::vec(choice(), 0..6), cpus, flags).prop_flat_map(|(choices, cpus, flags)| {
        let numbers: Vec<usize> = (0..choices.len()).collect();
        let length = numbers.len();
        (Just(choices), Just(cpus), Just(flags), subsequence(numbers, 0..=length).prop_shuffle())
            .prop_map(|(choices, cpus, flags, served)| build(&choices, &cpus, flags, &served))
    })
}

type Flags = (bool, bool, bool, bool);

fn build(
    choices: &[Choice],
    cpus: &[u32],
    (arm, announce, preserve, uart): Flags,
    served: &[usize],
) -> System {
    let mut system = if arm { sample::virt() } else { sample::q35() };
    system.cpus = (0..).zip(cpus).map(|(id, node)| Cpu { id, node: *node }).collect();
    system.ecam.segment = cpus.len() as u16 - 1;
    system.fmws_in_crs = if announce { FmwsInCrs::FirstBridge } else { FmwsInCrs::Nowhere };
    system.preserve_config = preserve;
    system.ats = choices.len().is_multiple_of(2);
    system.uart = system.uart.filter(|_| uart);
    let (mut bridges, mut windows) = (Vec::new(), Vec::new());
    let (mut bus, mut low, mut high, mut port) = (0, 0x1000_0000, 0x80_0000_0000, 0x1000);
    let mut fixed = 0x100_0000_0000;
    if !arm {
        low = 0xc000_0000;
    }
    for (index, choice) in choices.iter().enumerate() {
        let index = index as u64;
        let registers = Gpa::new(0x40_0000_0000 + index * 0x2_0000);
        let kind = BridgeKind::Cxl { registers, port: 10 + index as u32 };
        let size = choice.memory64.unwrap_or(1) << 20;
        let at = if arm { 0x3eff_0000 + u32::from(port) } else { port.into() };
        bridges.push(Bridge {
            bus,
            last_bus: bus + choice.buses - 1,
            kind: if choice.cxl { kind } else { BridgeKind::Pcie },
            memory32: choice.memory32.then(|| span(low, 0x10_0000)),
            memory64: choice.memory64.map(|_| span(high, size)),
            io: choice.io.then_some(IoWindow { first: port, last: port + 0xfff, at }),
            node: choice.io.then_some(0),
            pins: (choice.cxl && !arm).then_some([16, 17, 18, 19].map(|input| (input + index as u32) % 24)),
        });
        for (gap, granules, back_invalidate, is_fixed) in &choice.windows {
            let coherency = if *back_invalidate { Coherency::HdmDb } else { Coherency::HdmD };
            let (base, size) = (fixed + gap * 0x1000_0000, granules * 0x1000_0000);
            windows.push(FixedWindow { span: span(base, size), target: bus, coherency, fixed: *is_fixed });
            fixed = base + size;
        }
        (low, high, port) = (low + 0x20_0000, high + size + 0x1000, port + 0x1000);
        bus += choice.buses + (index as u8 & 1);
    }
    if let Platform::Aarch64 { smmus, .. } = &mut system.platform {
        let smmu = |(number, served): (u32, &usize)| Smmu {
            base: Gpa::new(0x0c00_0000 + u64::from(number) * 0x2_0000),
            first_interrupt: 100 + 4 * number,
            bus: bridges[*served].bus,
        };
        *smmus = (0..).zip(served).map(smmu).collect();
    }
    System { bridges, windows, ..system }
}
