//! SRAT: which processor, which memory and which CXL host bridge is in which proximity domain.
//!
//! A CXL host bridge is a generic port here. Device memory is not in this table: a guest gives each CXL window
//! a domain of its own, numbered behind those named here. So every machine has this table.

use acpi_tables::Aml;
use acpi_tables::AmlSink;
use acpi_tables::srat::MemoryAffinity;

use super::sealed::sealed;
use super::system::BridgeKind;
use super::system::Cpu;
use super::system::Platform;
use super::system::System;

/// The revision that has domains of 32 bits.
const REVISION: u8 = 3;

/// Entry of a processor by its local APIC ID.
const LOCAL_APIC: u8 = 0;

/// Entry of a processor by its ACPI UID.
const GICC: u8 = 3;

/// Entry of a generic port.
const GENERIC_PORT: u8 = 6;

/// The entry counts.
const ENABLED: u32 = 1;

/// The table.
pub(super) fn table(system: &System) -> Vec<u8> {
    let mut body = Vec::new();
    // It was the table's revision once, and must be 1.
    body.dword(1);
    body.qword(0);
    for (uid, cpu) in (0..).zip(&system.cpus) {
        match system.platform {
            Platform::X86_64 { .. } => local_apic(&mut body, cpu),
            Platform::Aarch64 { .. } => gicc(&mut body, uid, cpu),
        }
    }
    for ram in &system.ram {
        let affinity = MemoryAffinity::new(ram.node, ram.span.start().get(), ram.span.size());
        affinity.enabled().to_aml_bytes(&mut body);
    }
    for bridge in &system.bridges {
        if let BridgeKind::Cxl { port, .. } = bridge.kind {
            generic_port(&mut body, bridge.uid(), port);
        }
    }
    sealed(*b"SRAT", REVISION, &body)
}

fn local_apic(body: &mut Vec<u8>, cpu: &Cpu) {
    let [low, high @ ..] = cpu.node.to_le_bytes();
    // The check has seen that the ID is a byte.
    body.vec(&[LOCAL_APIC, 16, low, cpu.id as u8]);
    body.dword(ENABLED);
    body.byte(0);
    body.vec(&high);
    body.dword(0);
}

fn gicc(body: &mut Vec<u8>, uid: u32, cpu: &Cpu) {
    body.vec(&[GICC, 18]);
    body.dword(cpu.node);
    body.dword(uid);
    body.dword(ENABLED);
    body.dword(0);
}

/// The handle is what the DSDT calls the bridge: its hardware ID and its unique ID.
fn generic_port(body: &mut Vec<u8>, uid: u32, node: u32) {
    let is_acpi_handle = 0;
    body.vec(&[GENERIC_PORT, 32, 0, is_acpi_handle]);
    body.dword(node);
    body.vec(b"ACPI0016");
    body.dword(uid);
    body.dword(0);
    body.dword(ENABLED);
    body.dword(0);
}
