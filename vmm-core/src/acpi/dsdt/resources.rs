//! `_CRS`: what a device takes, or hands on to what is below it.

use acpi_tables::Aml;
use acpi_tables::AmlSink;
use acpi_tables::aml::AddressSpace;
use acpi_tables::aml::AddressSpaceCacheable;
use acpi_tables::aml::IO;
use acpi_tables::aml::Interrupt;
use acpi_tables::aml::Memory32Fixed;
use acpi_tables::aml::ResourceTemplate;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::code::Code;
use crate::acpi::system::Bridge;
use crate::acpi::system::ECAM_BUS_SIZE;
use crate::acpi::system::Ecam;
use crate::acpi::system::FmwsInCrs;
use crate::acpi::system::IoWindow;
use crate::acpi::system::NS16550_PORTS;
use crate::acpi::system::PL011_SIZE;
use crate::acpi::system::Platform;
use crate::acpi::system::System;
use crate::acpi::system::Uart;

/// What a host bridge hands on: its buses, and its windows.
pub(super) fn of_bridge(system: &System, bridge: &Bridge) -> Code {
    let mut resources = Code::default();
    let (first, last) = (u16::from(bridge.bus), u16::from(bridge.last_bus));
    resources.add(&AddressSpace::new_bus_number(first, last));
    bridge.io.iter().for_each(|io| resources.add(&ports(io)));
    bridge.memory32.iter().for_each(|span| resources.add(&memory32(*span)));
    bridge.memory64.iter().for_each(|span| resources.add(&memory64(*span)));
    let is_first = system.first_cxl().is_some_and(|first| first.bus == bridge.bus);
    if system.fmws_in_crs == FmwsInCrs::FirstBridge && is_first {
        system.windows_range().iter().for_each(|span| resources.add(&memory64(*span)));
    }
    template(&resources)
}

/// What nobody else may take: configuration space.
pub(super) fn of_configuration_space(ecam: &Ecam) -> Code {
    let mut resources = Code::default();
    let span = Span::new(ecam.base, u64::from(ecam.buses) * ECAM_BUS_SIZE);
    span.iter().for_each(|span| resources.add(&Consumed(memory64(*span))));
    template(&resources)
}

/// What the console takes.
pub(super) fn of_console(platform: &Platform, uart: &Uart) -> Code {
    let mut resources = Code::default();
    // The check has seen that the place is one of 16 or 32 bits.
    match platform {
        Platform::X86_64 { .. } => {
            let port = uart.at.get() as u16;
            resources.add(&IO::new(port, port, 1, NS16550_PORTS));
            resources.add(&Interrupt::new(true, true, false, false, uart.interrupt));
        }
        Platform::Aarch64 { .. } => {
            resources.add(&Memory32Fixed::new(true, uart.at.get() as u32, PL011_SIZE as u32));
            resources.add(&Interrupt::new(true, false, false, false, uart.interrupt));
        }
    }
    template(&resources)
}

fn template(resources: &Code) -> Code {
    Code::of(&ResourceTemplate::new(vec![resources]))
}

fn ports(io: &IoWindow) -> AddressSpace<u32> {
    let (first, last) = (u32::from(io.first), u32::from(io.last));
    // What is added to a port to get the address at which a processor reaches it.
    let translation = io.at.saturating_sub(first);
    AddressSpace::new_io(first, last, Some(translation))
}

/// A window that the check has seen to lie below 4 GiB.
fn memory32(span: Span<Gpa>) -> AddressSpace<u32> {
    let (first, last) = (span.start().get(), span.end().get().saturating_sub(1));
    AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first as u32, last as u32, None)
}

fn memory64(span: Span<Gpa>) -> AddressSpace<u64> {
    let (first, last) = (span.start().get(), span.end().get().saturating_sub(1));
    AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, first, last, None)
}

/// Something that the device takes for itself. The crate's descriptors all hand on.
struct Consumed(AddressSpace<u64>);

/// Where a descriptor's general flags are.
const GENERAL_FLAGS: usize = 4;

/// General flag: the device takes it for itself.
const CONSUMER: u8 = 1;

impl Aml for Consumed {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let mut bytes = Vec::new();
        self.0.to_aml_bytes(&mut bytes);
        bytes.iter_mut().skip(GENERAL_FLAGS).take(1).for_each(|flags| *flags |= CONSUMER);
        sink.vec(&bytes);
    }
}
