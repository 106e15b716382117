//! What a machine's tables tell, out of its plan.
//!
//! The plan knows where things are; what it does not know is the same for every machine of an architecture and
//! stands here: one processor and all RAM in proximity domain 0, each CXL host bridge's port in one of its own.

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
use super::system::GICR_SIZE;
use super::system::Gic;
use super::system::IoApic;
use super::system::IoWindow;
use super::system::Platform;
use super::system::Ram;
use super::system::Smmu;
use super::system::System;
use super::system::Timer;
use super::system::Uart;
use crate::plan;
use crate::plan::Kind;
use crate::plan::Plan;
use crate::plan::aarch64;
use crate::plan::life::Committer;
use crate::plan::machine::Arch;
use crate::plan::x86_64;

/// How far memory is: one machine's measure is as good as another's, and without one a guest derives nothing.
const ACCESS: Access = Access {
    local: Distance { latency: 80, bandwidth: 200 },
    remote: Distance { latency: 150, bandwidth: 60 },
};

/// The proximity domain of processors and RAM.
const NODE: u32 = 0;

/// Private interrupts of the timers, and the console's, as the `virt` machine has them.
const TIMER: Timer = Timer { secure_el1: 29, non_secure_el1: 30, virtual_el1: 27, non_secure_el2: 26 };
const UART_INTERRUPT: u32 = 33;

/// The first interrupt of the first SMMU, as the `virt` machine has it.
const SMMU_INTERRUPTS: u32 = 106;

impl System {
    /// What is told of a planned machine. A window that does not lead to exactly one host bridge is not told of:
    /// nothing decodes there.
    pub fn of(plan: &Plan) -> Self {
        let platform = platform(plan);
        let telling = plan.machine.telling;
        Self {
            fmws_in_crs: telling.fmws_in_crs.unwrap_or(FmwsInCrs::of(&platform)),
            uart: uart(plan),
            platform,
            cpus: (0..plan.cpus).map(|id| Cpu { id: id.into(), node: NODE }).collect(),
            ram: spans(plan, Kind::Ram).map(|span| Ram { span, node: NODE }).collect(),
            root: plan.tables.root.span.start(),
            tables: plan.tables.others.span.start(),
            ecam: Ecam { segment: 0, base: plan.ecam.start(), buses: buses(plan.ecam) },
            bridges: bridges(plan),
            windows: plan.windows.iter().filter_map(|window| told_window(plan, window)).collect(),
            access: ACCESS,
            ats: plan.machine.dma.ats,
            preserve_config: telling.preserve_config,
        }
    }
}

fn spans(plan: &Plan, kind: Kind) -> impl Iterator<Item = Span<Gpa>> {
    plan.map.iter().filter(move |placed| placed.kind == kind).map(|placed| placed.span)
}

/// Where something with this name is.
fn named(plan: &Plan, name: &str) -> Option<Span<Gpa>> {
    plan.map.iter().find(|placed| placed.name == name).map(|placed| placed.span)
}

fn buses(ecam: Span<Gpa>) -> u16 {
    u16::try_from(ecam.size() / super::system::ECAM_BUS_SIZE).unwrap_or(u16::MAX)
}

fn platform(plan: &Plan) -> Platform {
    match plan.machine.arch {
        Arch::X86_64 => Platform::X86_64 {
            local_apic: Gpa::new(x86_64::LOCAL_APIC),
            io_apic: IoApic { id: 0, base: Gpa::new(x86_64::IO_APIC), first_interrupt: 0 },
        },
        Arch::Aarch64 => {
            let start = |name| named(plan, name).map_or(Gpa::new(0), |span: Span<Gpa>| span.start());
            Platform::Aarch64 {
                gic: Gic {
                    distributor: start("gic distributor"),
                    redistributors: redistributors(plan),
                    its: start("gic its"),
                },
                timer: TIMER,
                smmus: smmus(plan),
            }
        }
    }
}

/// Runs of redistributors, as many as the processors need. A guest looks into all that it is told of, and behind the
/// last that is needed nothing is.
fn redistributors(plan: &Plan) -> Vec<Span<Gpa>> {
    let mut without = u64::from(plan.cpus);
    let runs = ["gic redistributors", "second gic redistributors"].into_iter();
    let needed = runs.filter_map(|name| named(plan, name)).take_while(|span| {
        let needed = without > 0;
        without = without.saturating_sub(span.size() / GICR_SIZE);
        needed
    });
    needed.collect()
}

/// The SMMUs, each with four interrupts of its own behind those of the one before.
fn smmus(plan: &Plan) -> Vec<Smmu> {
    let interrupts = (SMMU_INTERRUPTS..).step_by(4);
    let told = plan.smmus.iter().zip(interrupts).map(|(smmu, first_interrupt)| {
        let bridge = smmu.bridge.and_then(|bridge| plan.bridges.get(bridge));
        Smmu { base: smmu.registers.start(), first_interrupt, bus: bridge.map_or(0, |bridge| bridge.bus) }
    });
    told.collect()
}

/// The console, where the machine has a place for it.
fn uart(plan: &Plan) -> Option<Uart> {
    let at = named(plan, "uart")?.start();
    Some(Uart { at, interrupt: UART_INTERRUPT })
}

/// The machine's own bridge on bus 0, and the CXL host bridges.
fn bridges(plan: &Plan) -> Vec<Bridge> {
    let first = plan.bridges.iter().map(|bridge| bridge.bus).min();
    let main = Bridge {
        bus: 0,
        last_bus: first.map_or(u8::MAX, |bus| bus.saturating_sub(1)),
        kind: BridgeKind::Pcie,
        memory32: plan.rest_32,
        memory64: None,
        io: io_ports(plan),
        node: Some(NODE),
        pins: None,
    };
    let cxl = (1..).zip(&plan.bridges).map(|(port, bridge)| Bridge {
        bus: bridge.bus,
        last_bus: bridge.last_bus,
        kind: BridgeKind::Cxl { registers: bridge.registers.start(), port },
        memory32: Some(bridge.window_32),
        memory64: bridge.window_64,
        io: None,
        node: Some(NODE),
        pins: pins(plan, bridge),
    });
    std::iter::once(main).chain(cxl).collect()
}

/// What the pins of a root port, and of the device below it, are wired to. The I/O APIC has the first interrupts.
fn pins(plan: &Plan, bridge: &plan::Bridge) -> Option<[u32; 4]> {
    let input = |pin| x86_64::input(bridge.port.number.into(), pin).into();
    (plan.machine.arch == Arch::X86_64).then(|| [1, 2, 3, 4].map(input))
}

/// The I/O ports of a machine that has them in memory.
fn io_ports(plan: &Plan) -> Option<IoWindow> {
    let (_, start, _) = aarch64::PLATFORM.into_iter().find(|(name, _, _)| *name == "io ports")?;
    let at = u32::try_from(start).ok()?;
    (plan.machine.arch == Arch::Aarch64).then_some(IoWindow { first: 0, last: u16::MAX, at })
}

fn told_window(plan: &Plan, window: &plan::FixedWindow) -> Option<FixedWindow> {
    let bridge = plan.bridges.get(window.only_target()?)?;
    let device = window.device.and_then(|device| plan.devices.get(device));
    Some(FixedWindow {
        span: window.span,
        target: bridge.bus,
        coherency: if window.back_invalidate { Coherency::HdmDb } else { Coherency::HdmD },
        // Firmware has committed what is decoded there, unless that is left to the guest.
        fixed: device.is_some_and(|device| device.committer == Committer::Machine),
    })
}

#[cfg(test)]
mod tests;
