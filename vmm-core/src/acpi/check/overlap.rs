//! Nothing lies where something else does: in memory, and among the I/O ports of x86-64.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::SystemError;
use crate::acpi::system::Bridge;
use crate::acpi::system::BridgeKind;
use crate::acpi::system::CHBCR_SIZE;
use crate::acpi::system::ECAM_BUS_SIZE;
use crate::acpi::system::FmwsInCrs;
use crate::acpi::system::GICD_SIZE;
use crate::acpi::system::Gic;
use crate::acpi::system::ITS_SIZE;
use crate::acpi::system::IoWindow;
use crate::acpi::system::NS16550_PORTS;
use crate::acpi::system::PL011_SIZE;
use crate::acpi::system::Platform;
use crate::acpi::system::SMMU_SIZE;
use crate::acpi::system::Smmu;
use crate::acpi::system::System;

/// The ports through which a PC reaches configuration space.
const CONFIG_PORTS: (u64, u64) = (0xcf8, 8);

/// Length of the registers of an APIC.
const APIC_SIZE: u64 = 0x1000;

/// Things by the field that names them, and where they are.
type Placed = Vec<(String, Option<Span<Gpa>>)>;

/// Checks everything that has a place.
///
/// # Errors
/// If two things overlap: which.
pub(super) fn check(system: &System) -> Result<(), SystemError> {
    let mut memory = fixed(system);
    let mut ports = Vec::new();
    let is_x86 = matches!(system.platform, Platform::X86_64 { .. });
    for (index, bridge) in system.bridges.iter().enumerate() {
        let field = |name: &str| format!("bridges[{index}].{name}");
        memory.extend(bridge_memory(&field, bridge));
        let space = if is_x86 { &mut ports } else { &mut memory };
        space.extend(bridge.io.map(|io| (field("io"), io_span(&io))));
    }
    if let Some(uart) = system.uart {
        let (space, size) =
            if is_x86 { (&mut ports, NS16550_PORTS.into()) } else { (&mut memory, PL011_SIZE) };
        space.push(("uart".to_owned(), Span::new(uart.at, size)));
    }
    let (first, length) = CONFIG_PORTS;
    ports.push(("the ports of configuration space".to_owned(), Span::new(Gpa::new(first), length)));
    memory.extend(windows(system));
    apart(windows_alone(system))?;
    apart(memory)?;
    if is_x86 { apart(ports) } else { Ok(()) }
}

/// What has its place whatever bridges there are.
fn fixed(system: &System) -> Placed {
    let ram = system.ram.iter().enumerate();
    let mut placed: Placed = ram.map(|(index, ram)| (format!("ram[{index}]"), Some(ram.span))).collect();
    let size = u64::from(system.ecam.buses) * ECAM_BUS_SIZE;
    placed.push(("ecam".to_owned(), Span::new(system.ecam.base, size)));
    match &system.platform {
        Platform::X86_64 { local_apic, io_apic } => {
            placed.push(("platform.local_apic".to_owned(), Span::new(*local_apic, APIC_SIZE)));
            placed.push(("platform.io_apic".to_owned(), Span::new(io_apic.base, APIC_SIZE)));
        }
        Platform::Aarch64 { gic, smmus, .. } => placed.extend(aarch64(gic, smmus)),
    }
    placed
}

fn aarch64(gic: &Gic, smmus: &[Smmu]) -> Placed {
    let mut placed = vec![
        ("platform.gic.distributor".to_owned(), Span::new(gic.distributor, GICD_SIZE)),
        ("platform.gic.its".to_owned(), Span::new(gic.its, ITS_SIZE)),
    ];
    for (index, span) in gic.redistributors.iter().enumerate() {
        placed.push((format!("platform.gic.redistributors[{index}]"), Some(*span)));
    }
    for (index, smmu) in smmus.iter().enumerate() {
        placed.push((format!("platform.smmus[{index}]"), Span::new(smmu.base, SMMU_SIZE)));
    }
    placed
}

fn bridge_memory(field: &impl Fn(&str) -> String, bridge: &Bridge) -> Placed {
    let mut placed = Vec::new();
    placed.extend(bridge.memory32.map(|span| (field("memory32"), Some(span))));
    placed.extend(bridge.memory64.map(|span| (field("memory64"), Some(span))));
    if let BridgeKind::Cxl { registers, .. } = bridge.kind {
        placed.push((field("registers"), Span::new(registers, CHBCR_SIZE)));
    }
    placed
}

fn io_span(io: &IoWindow) -> Option<Span<Gpa>> {
    let last = u64::from(io.last).checked_sub(io.first.into())?;
    Span::new(Gpa::new(io.at.into()), last.saturating_add(1))
}

/// The windows, or the range that a bridge's resources name for them: then nothing may lie in a gap either.
fn windows(system: &System) -> Placed {
    match system.fmws_in_crs {
        FmwsInCrs::Nowhere => windows_alone(system),
        FmwsInCrs::FirstBridge => {
            let range = system.windows_range();
            range.map(|range| ("the range of the windows".to_owned(), Some(range))).into_iter().collect()
        }
    }
}

fn windows_alone(system: &System) -> Placed {
    let windows = system.windows.iter().enumerate();
    windows.map(|(index, window)| (format!("windows[{index}]"), Some(window.span))).collect()
}

/// No two of these overlap, and none reaches past the last address.
fn apart(placed: Placed) -> Result<(), SystemError> {
    let mut spans = Vec::new();
    for (field, span) in placed {
        let why = "reaches past the last address";
        let span = span.ok_or_else(|| SystemError::Field { field: field.clone(), value: u64::MAX, why })?;
        spans.push((span, field));
    }
    spans.sort();
    let next = spans.iter().skip(1);
    let mut pairs = spans.iter().zip(next);
    match pairs.find(|((span, _), (next, _))| span.overlaps(*next)) {
        None => Ok(()),
        Some(((other_span, other), (span, field))) => Err(SystemError::Overlap {
            field: field.clone(),
            span: *span,
            other: other.clone(),
            other_span: *other_span,
        }),
    }
}
