//! MADT: the processors and their interrupt controllers.
//!
//! The parts come from `acpi_tables`. Its table says revision 1, which knows no part of a GIC, so the header
//! is ours.

use acpi_tables::Aml;
use acpi_tables::AmlSink;
use acpi_tables::madt::EnabledStatus;
use acpi_tables::madt::GicIts;
use acpi_tables::madt::GicVersion;
use acpi_tables::madt::Gicc;
use acpi_tables::madt::Gicd;
use acpi_tables::madt::Gicr;
use acpi_tables::madt::IoApic as IoApicPart;
use acpi_tables::madt::ProcessorLocalApic;

use super::sealed::sealed;
use super::system::Cpu;
use super::system::Gic;
use super::system::Platform;
use super::system::System;

/// The revision of ACPI 6.5.
const REVISION: u8 = 6;

/// Number of the interrupt translation service: there is one.
pub(super) const ITS_ID: u32 = 0;

/// The table.
pub(super) fn table(system: &System) -> Vec<u8> {
    let mut body = Vec::new();
    let (local_apic, flags) = match &system.platform {
        // The check has seen that it lies below 4 GiB.
        Platform::X86_64 { local_apic, .. } => (local_apic.get() as u32, 0),
        Platform::Aarch64 { .. } => (0, 0),
    };
    body.dword(local_apic);
    body.dword(flags);
    match &system.platform {
        Platform::X86_64 { io_apic, .. } => {
            for (uid, cpu) in (0..=u8::MAX).zip(&system.cpus) {
                let apic = ProcessorLocalApic::new(uid, cpu.id as u8, EnabledStatus::Enabled);
                apic.to_aml_bytes(&mut body);
            }
            let base = io_apic.base.get() as u32;
            IoApicPart::new(io_apic.id, base, io_apic.first_interrupt).to_aml_bytes(&mut body);
        }
        Platform::Aarch64 { gic, .. } => with_gic(&mut body, gic, &system.cpus),
    }
    sealed(*b"APIC", REVISION, &body)
}

fn with_gic(body: &mut Vec<u8>, gic: &Gic, cpus: &[Cpu]) {
    Gicd::new(0, gic.distributor.get(), GicVersion::GICv3).to_aml_bytes(body);
    for (uid, cpu) in (0..).zip(cpus) {
        let gicc = Gicc::new(EnabledStatus::Enabled);
        gicc.cpu_interface_number(uid).acpi_processor_uid(uid).mpidr(cpu.id).to_aml_bytes(body);
    }
    for span in &gic.redistributors {
        // The check has seen that it is below 4 GiB.
        Gicr::new(span.start().get(), span.size() as u32).to_aml_bytes(body);
    }
    GicIts::new(ITS_ID, gic.its.get()).to_aml_bytes(body);
}
