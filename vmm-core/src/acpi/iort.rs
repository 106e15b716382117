//! IORT: which way the requests and the interrupts of PCI functions take. Its layouts are the register
//! reference's, 5.10.
//!
//! ```text
//!  root complex ──▶ SMMUv3 of the bridge ──▶ ITS group      every requester ID has one way, and only one
//!       └──────────── no SMMU ──────────────────▲
//! ```
//!
//! There is one root complex node for the segment: Linux takes the first, so all its buses must be in there.
//! An ID is its requester ID on every way: what goes out of a mapping is what went in.

use acpi_tables::AmlSink;

use super::madt::ITS_ID;
use super::sealed::HEADER_SIZE;
use super::sealed::sealed;
use super::system::Smmu;
use super::system::System;

/// The revision of version E.b.
const REVISION: u8 = 3;

/// Length of what stands between the header and the first node.
const PREAMBLE_SIZE: u32 = 12;

/// Where the ITS group is: it is the first node.
const ITS_GROUP: u32 = HEADER_SIZE + PREAMBLE_SIZE;

/// Where the first SMMU is.
const FIRST_SMMU: u32 = ITS_GROUP + ITS_GROUP_SIZE;

const ITS_GROUP_SIZE: u32 = 24;
const SMMU_BODY_SIZE: u32 = 68;
const ROOT_COMPLEX_BODY_SIZE: u32 = 36;
const MAPPING_SIZE: u32 = 20;

/// An SMMU with its one mapping.
const SMMU_NODE_SIZE: u32 = SMMU_BODY_SIZE + MAPPING_SIZE;

/// Accesses of devices are coherent.
const COHERENT: u32 = 1;

/// Accesses go through the caches, and are cacheable and shareable.
const THROUGH_CACHES: u8 = 0b11;

/// The root complex answers address translation requests.
const ATS: u32 = 1;

/// How many bits an address that a function sends may have.
const ADDRESS_BITS: u8 = 64;

/// The SMMU walks its tables coherently, whatever its registers say.
const COHERENT_WALKS: u32 = 1;

/// The last requester ID.
const LAST_ID: u32 = 0xffff;

/// From the first to the last ID, and where they go: an offset in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mapping {
    first: u32,
    last: u32,
    to: u32,
}

/// The table.
pub(super) fn table(system: &System, smmus: &[Smmu]) -> Vec<u8> {
    let mut body = Vec::new();
    // The check bounds them: no more than host bridges.
    let count = smmus.len() as u32;
    body.dword(count + 2);
    body.dword(ITS_GROUP);
    body.dword(0);
    its_group(&mut body);
    for (index, smmu) in (1..).zip(smmus) {
        smmu_v3(&mut body, index, smmu);
    }
    root_complex(&mut body, count + 1, system, &mappings(system, smmus));
    sealed(*b"IORT", REVISION, &body)
}

/// The ways of all requester IDs, sorted: those of a bridge with an SMMU to that, all others to the ITS.
fn mappings(system: &System, smmus: &[Smmu]) -> Vec<Mapping> {
    let places = (0..).map(|index| FIRST_SMMU + index * SMMU_NODE_SIZE);
    let mut served: Vec<Mapping> = places
        .zip(smmus)
        .filter_map(|(to, smmu)| {
            let bridge = system.bridges.iter().find(|bridge| bridge.bus == smmu.bus)?;
            let (first, last) = (u32::from(bridge.bus) << 8, u32::from(bridge.last_bus) << 8 | 0xff);
            Some(Mapping { first, last, to })
        })
        .collect();
    served.sort_by_key(|mapping| mapping.first);
    let mut all = Vec::new();
    let mut next = 0;
    for mapping in served {
        all.extend(gap(next, mapping.first));
        next = mapping.last + 1;
        all.push(mapping);
    }
    all.extend(gap(next, LAST_ID + 1));
    all
}

/// The IDs from `first` on and before `end`, which no SMMU serves.
fn gap(first: u32, end: u32) -> Option<Mapping> {
    (first < end).then(|| Mapping { first, last: end - 1, to: ITS_GROUP })
}

/// The first 16 bytes of a node: its length is that of its body and its mappings.
fn node(body: &mut Vec<u8>, kind: (u8, u8), id: u32, size: u32, mappings: u32) {
    let (kind, revision) = kind;
    body.byte(kind);
    body.word((size + mappings * MAPPING_SIZE) as u16);
    body.byte(revision);
    body.dword(id);
    body.dword(mappings);
    body.dword(if mappings > 0 { size } else { 0 });
}

fn its_group(body: &mut Vec<u8>) {
    node(body, (0, 1), 0, ITS_GROUP_SIZE, 0);
    body.dword(1);
    body.dword(ITS_ID);
}

fn smmu_v3(body: &mut Vec<u8>, id: u32, smmu: &Smmu) {
    node(body, (4, 4), id, SMMU_BODY_SIZE, 1);
    body.qword(smmu.base.get());
    body.dword(COHERENT_WALKS);
    body.dword(0);
    // No page for address translation operations, and a generic model.
    body.qword(0);
    body.dword(0);
    let [event, pri, sync, error] = [0, 1, 2, 3].map(|number| smmu.first_interrupt + number);
    for interrupt in [event, pri, error, sync] {
        body.dword(interrupt);
    }
    // No proximity domain. With wired interrupts, the mapping of the SMMU's own ID does not count.
    body.dword(0);
    body.dword(0);
    mapping(body, &Mapping { first: 0, last: LAST_ID, to: ITS_GROUP });
}

fn root_complex(body: &mut Vec<u8>, id: u32, system: &System, mappings: &[Mapping]) {
    node(body, (2, 3), id, ROOT_COMPLEX_BODY_SIZE, mappings.len() as u32);
    body.dword(COHERENT);
    body.vec(&[0, 0, 0, THROUGH_CACHES]);
    body.dword(if system.ats { ATS } else { 0 });
    body.dword(system.ecam.segment.into());
    body.vec(&[ADDRESS_BITS, 0, 0, 0]);
    mappings.iter().for_each(|one| mapping(body, one));
}

/// The count is one less than there are IDs.
fn mapping(body: &mut Vec<u8>, mapping: &Mapping) {
    body.dword(mapping.first);
    body.dword(mapping.last - mapping.first);
    body.dword(mapping.first);
    body.dword(mapping.to);
    body.dword(0);
}
