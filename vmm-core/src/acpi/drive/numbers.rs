//! Every number of a machine, by the name that the check calls it.

use std::fmt::Arguments;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use crate::acpi::system::Bridge;
use crate::acpi::system::BridgeKind;
use crate::acpi::system::Distance;
use crate::acpi::system::Gic;
use crate::acpi::system::IoWindow;
use crate::acpi::system::Platform;
use crate::acpi::system::Smmu;
use crate::acpi::system::System;
use crate::acpi::system::Timer;

/// Who is shown a number with its name, and says what it is from now on.
type Visit<'a> = dyn FnMut(Arguments<'_>, u64) -> u64 + 'a;

/// All numbers of a machine, with their names.
pub(super) fn list(system: &System) -> Vec<(String, u64)> {
    let mut numbers = Vec::new();
    visit(&mut system.clone(), &mut |name, value| {
        numbers.push((name.to_string(), value));
        value
    });
    numbers
}

/// Shows all numbers of a machine, always in the same order. One that its field has no room for, or that makes a
/// span reach past the last address, leaves the field as it is.
pub(super) fn visit(system: &mut System, visit: &mut Visit<'_>) {
    platform(&mut system.platform, visit);
    for (index, cpu) in system.cpus.iter_mut().enumerate() {
        number(visit, format_args!("cpus[{index}].id"), &mut cpu.id);
        number(visit, format_args!("cpus[{index}].node"), &mut cpu.node);
    }
    for (index, ram) in system.ram.iter_mut().enumerate() {
        span(visit, format_args!("ram[{index}]"), &mut ram.span);
        number(visit, format_args!("ram[{index}].node"), &mut ram.node);
    }
    place(visit, format_args!("root"), &mut system.root);
    place(visit, format_args!("tables"), &mut system.tables);
    number(visit, format_args!("ecam.segment"), &mut system.ecam.segment);
    place(visit, format_args!("ecam.base"), &mut system.ecam.base);
    number(visit, format_args!("ecam.buses"), &mut system.ecam.buses);
    for (index, one) in system.bridges.iter_mut().enumerate() {
        bridge(visit, format_args!("bridges[{index}]"), one);
    }
    for (index, window) in system.windows.iter_mut().enumerate() {
        let base = format_args!("windows[{index}].base");
        let start = visit(base, window.span.start().get());
        let size = visit(format_args!("windows[{index}].size"), window.span.size());
        window.span = Span::new(Gpa::new(start), size).unwrap_or(window.span);
        number(visit, format_args!("windows[{index}].target"), &mut window.target);
    }
    distance(visit, format_args!("access.local"), &mut system.access.local);
    distance(visit, format_args!("access.remote"), &mut system.access.remote);
    if let Some(uart) = &mut system.uart {
        place(visit, format_args!("uart.at"), &mut uart.at);
        number(visit, format_args!("uart.interrupt"), &mut uart.interrupt);
    }
}

fn number<T>(visit: &mut Visit<'_>, name: Arguments<'_>, field: &mut T)
where
    T: Copy + TryFrom<u64>,
    u64: From<T>,
{
    *field = T::try_from(visit(name, (*field).into())).unwrap_or(*field);
}

fn place(visit: &mut Visit<'_>, name: Arguments<'_>, field: &mut Gpa) {
    *field = Gpa::new(visit(name, field.get()));
}

/// A span has the name of its first address.
fn span(visit: &mut Visit<'_>, name: Arguments<'_>, field: &mut Span<Gpa>) {
    let start = visit(name, field.start().get());
    let size = visit(format_args!("{name}.size"), field.size());
    *field = Span::new(Gpa::new(start), size).unwrap_or(*field);
}

fn distance(visit: &mut Visit<'_>, name: Arguments<'_>, field: &mut Distance) {
    number(visit, format_args!("{name}.latency"), &mut field.latency);
    number(visit, format_args!("{name}.bandwidth"), &mut field.bandwidth);
}

fn platform(platform: &mut Platform, visit: &mut Visit<'_>) {
    match platform {
        Platform::X86_64 { local_apic, io_apic } => {
            place(visit, format_args!("platform.local_apic"), local_apic);
            number(visit, format_args!("platform.io_apic.id"), &mut io_apic.id);
            place(visit, format_args!("platform.io_apic.base"), &mut io_apic.base);
            let first = format_args!("platform.io_apic.first_interrupt");
            number(visit, first, &mut io_apic.first_interrupt);
        }
        Platform::Aarch64 { gic, timer, smmus } => aarch64(visit, gic, timer, smmus),
    }
}

fn aarch64(visit: &mut Visit<'_>, gic: &mut Gic, timer: &mut Timer, smmus: &mut [Smmu]) {
    place(visit, format_args!("platform.gic.distributor"), &mut gic.distributor);
    for (index, one) in gic.redistributors.iter_mut().enumerate() {
        span(visit, format_args!("platform.gic.redistributors[{index}]"), one);
    }
    place(visit, format_args!("platform.gic.its"), &mut gic.its);
    number(visit, format_args!("platform.timer.secure_el1"), &mut timer.secure_el1);
    number(visit, format_args!("platform.timer.non_secure_el1"), &mut timer.non_secure_el1);
    number(visit, format_args!("platform.timer.virtual_el1"), &mut timer.virtual_el1);
    number(visit, format_args!("platform.timer.non_secure_el2"), &mut timer.non_secure_el2);
    for (index, smmu) in smmus.iter_mut().enumerate() {
        place(visit, format_args!("platform.smmus[{index}].base"), &mut smmu.base);
        let first = format_args!("platform.smmus[{index}].first_interrupt");
        number(visit, first, &mut smmu.first_interrupt);
        number(visit, format_args!("platform.smmus[{index}].bus"), &mut smmu.bus);
    }
}

fn bridge(visit: &mut Visit<'_>, name: Arguments<'_>, bridge: &mut Bridge) {
    number(visit, format_args!("{name}.bus"), &mut bridge.bus);
    number(visit, format_args!("{name}.last_bus"), &mut bridge.last_bus);
    if let BridgeKind::Cxl { registers, port } = &mut bridge.kind {
        place(visit, format_args!("{name}.registers"), registers);
        number(visit, format_args!("{name}.port"), port);
    }
    bridge.memory32.iter_mut().for_each(|field| span(visit, format_args!("{name}.memory32"), field));
    bridge.memory64.iter_mut().for_each(|field| span(visit, format_args!("{name}.memory64"), field));
    if let Some(IoWindow { first, last, at }) = &mut bridge.io {
        number(visit, format_args!("{name}.io.first"), first);
        number(visit, format_args!("{name}.io.last"), last);
        number(visit, format_args!("{name}.io.at"), at);
    }
    for (index, pin) in bridge.pins.iter_mut().flatten().enumerate() {
        number(visit, format_args!("{name}.pins[{index}]"), pin);
    }
    bridge.node.iter_mut().for_each(|node| number(visit, format_args!("{name}.node"), node));
}
