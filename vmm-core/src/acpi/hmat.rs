//! HMAT: how long memory is away from processors. The ports of CXL host bridges count as memory, so that a
//! guest can add the way from there to a device's memory.
//!
//! The crate's matrix takes the count of initiators for that of targets, so the parts are ours.

use std::collections::BTreeSet;

use acpi_tables::AmlSink;

use super::sealed::sealed;
use super::system::BridgeKind;
use super::system::Distance;
use super::system::System;

const REVISION: u8 = 2;

/// Attributes of a memory's domain.
const MEMORY_ATTRIBUTES: u16 = 0;

/// A matrix of latencies or bandwidths.
const LOCALITY: u16 = 1;

/// The processors of the same domain are those that are nearest to the memory.
const HAS_INITIATOR: u16 = 1;

/// A matrix of the time of an access, for reads and writes.
const ACCESS_LATENCY: u8 = 0;

/// A matrix of bytes a second, for reads and writes.
const ACCESS_BANDWIDTH: u8 = 3;

/// Picoseconds in a nanosecond.
const NANOSECOND: u64 = 1000;

/// Megabytes in a gigabyte.
const GIGABYTE: u64 = 1000;

/// The table.
pub(super) fn table(system: &System) -> Vec<u8> {
    let initiators: BTreeSet<u32> = system.cpus.iter().map(|cpu| cpu.node).collect();
    let memory: BTreeSet<u32> = system.ram.iter().map(|ram| ram.node).collect();
    let ports = system.bridges.iter().filter_map(|bridge| match bridge.kind {
        BridgeKind::Pcie => None,
        BridgeKind::Cxl { port, .. } => Some(port),
    });
    let targets: BTreeSet<u32> = memory.iter().copied().chain(ports).collect();
    let mut body = Vec::new();
    body.dword(0);
    for node in &memory {
        attributes(&mut body, *node, initiators.contains(node));
    }
    let matrix = Matrix { initiators, targets };
    let latency = |distance: Distance| distance.latency;
    let bandwidth = |distance: Distance| distance.bandwidth;
    matrix.encode(&mut body, ACCESS_LATENCY, NANOSECOND, |local| latency(system.access.of(local)));
    matrix.encode(&mut body, ACCESS_BANDWIDTH, GIGABYTE, |local| bandwidth(system.access.of(local)));
    sealed(*b"HMAT", REVISION, &body)
}

fn attributes(body: &mut Vec<u8>, node: u32, has_processors: bool) {
    body.word(MEMORY_ATTRIBUTES);
    body.word(0);
    body.dword(40);
    body.word(if has_processors { HAS_INITIATOR } else { 0 });
    body.word(0);
    body.dword(if has_processors { node } else { 0 });
    body.dword(node);
    body.vec(&[0; 20]);
}

/// From which domains to which.
struct Matrix {
    initiators: BTreeSet<u32>,
    targets: BTreeSet<u32>,
}

impl Matrix {
    /// The figures in multiples of `unit`, a row for each initiator. Whether both are one domain decides.
    fn encode(&self, body: &mut Vec<u8>, kind: u8, unit: u64, figure: impl Fn(bool) -> u16) {
        let (rows, columns) = (self.initiators.len() as u32, self.targets.len() as u32);
        // The check bounds both: there are few domains.
        let length = 32 + 4 * rows + 4 * columns + 2 * rows * columns;
        body.word(LOCALITY);
        body.word(0);
        body.dword(length);
        body.vec(&[0, kind, 0, 0]);
        body.dword(rows);
        body.dword(columns);
        body.dword(0);
        body.qword(unit);
        self.initiators.iter().chain(&self.targets).for_each(|node| body.dword(*node));
        for initiator in &self.initiators {
            self.targets.iter().for_each(|target| body.word(figure(initiator == target)));
        }
    }
}
