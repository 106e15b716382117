//! What the tables say is what the machine is: every number of it.

use std::collections::BTreeSet;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::fixed::Cedt;
use super::fixed::Matrix;
use super::fixed::Window;
use super::iort;
use super::laws;
use super::laws::Seen;
use crate::acpi::TABLES_SIZE;
use crate::acpi::read::aml::Resource;
use crate::acpi::read::aml::Value;
use crate::acpi::system::Access;
use crate::acpi::system::Bridge;
use crate::acpi::system::BridgeKind;
use crate::acpi::system::Coherency;
use crate::acpi::system::FixedWindow;
use crate::acpi::system::FmwsInCrs;
use crate::acpi::system::Gic;
use crate::acpi::system::Platform;
use crate::acpi::system::Smmu;
use crate::acpi::system::System;
use crate::acpi::system::Uart;

/// Checks that what was read is what was told.
pub(in crate::acpi) fn check(system: &System, seen: &Seen) {
    let (first, end) = seen.others;
    assert_eq!((seen.root, first), (system.root.get(), system.tables.get()));
    assert!(end - first <= TABLES_SIZE, "tables are {:#x} bytes", end - first);
    let bridges: Vec<_> = system.bridges.iter().map(|bridge| expected_bridge(system, bridge)).collect();
    assert_eq!(seen.bridges, bridges);
    assert_eq!(seen.cedt, expected_cedt(system));
    assert!(seen.srat.ports.iter().map(|port| port.1).eq(cxl(system).map(|(_, _, port)| port)), "ports");
    let ram = system.ram.iter().map(|ram| (ram.span.start().get(), ram.span.size(), ram.node));
    assert_eq!(seen.srat.memory, ram.collect::<Vec<_>>());
    let (base, segment, last_bus) = seen.ecam;
    let ecam = (system.ecam.base.get(), system.ecam.segment, system.ecam.buses);
    assert_eq!((base, segment, u16::from(last_bus) + 1), ecam);
    processors(system, seen);
    figures(system, seen);
    match &system.platform {
        Platform::X86_64 { local_apic, io_apic } => {
            let base = io_apic.base.get();
            assert_eq!(seen.madt.controller, [(base, io_apic.id.into(), io_apic.first_interrupt)]);
            assert_eq!(u64::from(seen.madt.local_apic), local_apic.get());
            assert_eq!((seen.iort.is_none(), seen.gtdt), (true, None));
        }
        Platform::Aarch64 { gic, timer, smmus } => {
            interrupts(gic, seen);
            let timers = [timer.secure_el1, timer.non_secure_el1, timer.virtual_el1, timer.non_secure_el2];
            assert_eq!(seen.gtdt, Some(timers));
            let smmus: Vec<_> = smmus.iter().filter_map(|smmu| expected_smmu(system, smmu)).collect();
            let iort = seen.iort.as_ref().map(|iort| (&iort.smmus, iort.ats));
            assert_eq!(iort, Some((&smmus, system.ats)));
        }
    }
    console(system, seen);
}

/// The unique IDs, the places and the domains of the CXL host bridges.
fn cxl(system: &System) -> impl Iterator<Item = (u32, u64, u32)> {
    system.bridges.iter().filter_map(|bridge| match bridge.kind {
        BridgeKind::Cxl { registers, port } => Some((bridge.bus.into(), registers.get(), port)),
        BridgeKind::Pcie => None,
    })
}

fn expected_bridge(system: &System, bridge: &Bridge) -> laws::Bridge {
    let io = bridge.io.iter();
    let io = io.map(|io| (io.first.into(), io.last.into(), u64::from(io.at) - u64::from(io.first)));
    laws::Bridge {
        uid: bridge.bus.into(),
        is_cxl: matches!(bridge.kind, BridgeKind::Cxl { .. }),
        last_bus: bridge.last_bus.into(),
        io: io.collect(),
        memory: expected_memory(system, bridge),
        pins: bridge.pins.iter().flatten().map(|pin| u64::from(*pin)).collect(),
        dsm: system.preserve_config,
        node: bridge.node.map(u64::from),
    }
}

fn expected_memory(system: &System, bridge: &Bridge) -> Vec<(u8, u64, u64)> {
    let ends = |span: Span<Gpa>| (span.start().get(), span.end().get() - 1);
    let with = |bits: u8, span: Span<Gpa>| (bits, ends(span).0, ends(span).1);
    let mut memory: Vec<_> = bridge.memory32.map(|span| with(32, span)).into_iter().collect();
    memory.extend(bridge.memory64.map(|span| with(64, span)));
    let is_first = cxl(system).map(|one| one.0).min() == Some(bridge.bus.into());
    if system.fmws_in_crs == FmwsInCrs::FirstBridge && is_first {
        let first = system.windows.iter().map(|one| ends(one.span).0).min();
        let last = system.windows.iter().map(|one| ends(one.span).1).max();
        memory.extend(first.zip(last).map(|(first, last)| (64, first, last)));
    }
    memory
}

fn expected_cedt(system: &System) -> Option<Cedt> {
    let bridges: Vec<_> = cxl(system).map(|(uid, base, _)| (uid, base)).collect();
    let windows = system.windows.iter().map(expected_window).collect();
    (!bridges.is_empty()).then_some(Cedt { bridges, windows })
}

fn expected_window(window: &FixedWindow) -> Window {
    let restrictions = match (window.coherency, window.fixed) {
        (Coherency::HdmD, false) => 0x05,
        (Coherency::HdmD, true) => 0x15,
        (Coherency::HdmDb, false) => 0x25,
        (Coherency::HdmDb, true) => 0x35,
    };
    let (base, size) = (window.span.start().get(), window.span.size());
    Window { base, size, restrictions, target: window.target.into() }
}

/// The SRAT names processors by their APIC IDs on x86-64, by their places in the MADT on aarch64.
fn processors(system: &System, seen: &Seen) {
    let is_x86 = matches!(system.platform, Platform::X86_64 { .. });
    let ids: Vec<_> = system.cpus.iter().map(|cpu| cpu.id).collect();
    assert_eq!(seen.madt.cpus, ids);
    let cpus = (0..).zip(&system.cpus).map(|(uid, cpu)| (if is_x86 { cpu.id } else { uid }, cpu.node));
    let told = seen.srat.cpus.iter().map(|(id, node)| (u64::from(*id), *node));
    assert_eq!(told.collect::<Vec<_>>(), cpus.collect::<Vec<_>>());
}

/// Which processors a memory is nearest to, and how long everything is away from them.
fn figures(system: &System, seen: &Seen) {
    let nodes: BTreeSet<u32> = system.cpus.iter().map(|cpu| cpu.node).collect();
    for (memory, initiator) in &seen.hmat.memory {
        assert_eq!(*initiator, nodes.contains(memory).then_some(*memory), "nearest to {memory}");
    }
    let Access { local, remote } = system.access;
    for matrix in &seen.hmat.matrices {
        let figures = match matrix.kind {
            0 => [local.latency, remote.latency],
            _ => [local.bandwidth, remote.bandwidth],
        };
        matrix_says(matrix, figures);
    }
}

fn matrix_says(matrix: &Matrix, [local, remote]: [u16; 2]) {
    // Picoseconds are told by nanoseconds, megabytes by gigabytes.
    assert_eq!(matrix.unit, 1000);
    let rows = matrix.initiators.iter();
    let pairs = rows.flat_map(|initiator| matrix.targets.iter().map(move |target| initiator == target));
    let expected: Vec<_> = pairs.map(|is_local| if is_local { local } else { remote }).collect();
    assert_eq!(matrix.entries, expected);
}

fn interrupts(gic: &Gic, seen: &Seen) {
    let madt = &seen.madt;
    assert_eq!((madt.local_apic, &madt.controller[..]), (0, &[(gic.distributor.get(), 0, 0)][..]));
    assert_eq!(madt.its, [(0, gic.its.get())]);
    let told = madt.redistributors.iter().map(|(base, size)| (*base, u64::from(*size)));
    let redistributors = gic.redistributors.iter().map(|span| (span.start().get(), span.size()));
    assert_eq!(told.collect::<Vec<_>>(), redistributors.collect::<Vec<_>>());
}

/// Nothing, if no bridge begins with its bus.
fn expected_smmu(system: &System, smmu: &Smmu) -> Option<iort::Smmu> {
    let bridge = system.bridges.iter().find(|bridge| bridge.bus == smmu.bus)?;
    let [event, pri, sync, error] = [0, 1, 2, 3].map(|number| smmu.first_interrupt + number);
    Some(iort::Smmu {
        base: smmu.base.get(),
        interrupts: [event, pri, error, sync],
        ids: (u32::from(bridge.bus) * 256, u32::from(bridge.last_bus) * 256 + 255),
    })
}

/// The SPCR and the DSDT tell of one console.
fn console(system: &System, seen: &Seen) {
    let devices = seen.devices.iter().filter(|device| device.path == ".COM0");
    let found = devices.map(|device| (device.values.get("_HID").cloned(), device.resources()));
    let Some(Uart { at, interrupt }) = system.uart else {
        assert_eq!((seen.spcr, found.count()), (None, 0));
        return;
    };
    let (interface, space, hid, registers, flags) = match system.platform {
        Platform::X86_64 { .. } => {
            let registers = Resource::Ports { first: at.get() as u16, size: 8 };
            (0, 1, Value::Integer(0x0105_d041), registers, 3)
        }
        Platform::Aarch64 { .. } => {
            let registers = Resource::Memory32 { base: at.get() as u32, size: 0x1000 };
            (3, 0, Value::Text("ARMH0011".to_owned()), registers, 1)
        }
    };
    assert_eq!(seen.spcr, Some((interface, space, at.get(), interrupt)));
    let takes = vec![registers, Resource::Interrupt { flags, number: interrupt }];
    assert_eq!(found.collect::<Vec<_>>(), [(Some(hid), Ok(takes))]);
}
