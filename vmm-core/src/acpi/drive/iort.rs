//! The IORT, taken apart by the register reference's 5.10, with offsets typed by hand.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::acpi::read::Bytes;
use crate::acpi::read::Read;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::acpi) struct Smmu {
    pub(in crate::acpi) base: u64,
    /// Event, PRI, GERR, sync.
    pub(in crate::acpi) interrupts: [u32; 4],
    /// The requester IDs that go to it, first and last.
    pub(in crate::acpi) ids: (u32, u32),
}

#[derive(Clone, Debug, Default)]
pub(in crate::acpi) struct Iort {
    pub(in crate::acpi) segment: u32,
    pub(in crate::acpi) ats: bool,
    /// The IDs of the interrupt translation services.
    pub(in crate::acpi) its: Vec<u32>,
    pub(in crate::acpi) smmus: Vec<Smmu>,
}

/// From the first to the last ID, and to which node, of which kind.
struct Mapping {
    first: u32,
    last: u32,
    to: usize,
    kind: u8,
}

pub(in crate::acpi) fn iort(table: Bytes<'_>) -> Read<Iort> {
    table.is("revision", table.u8(8)?, 3)?;
    table.is("offset of the first node", table.u32(40)?, 48)?;
    table.zero(44, 4)?;
    let nodes = table.parts(48, |node| node.u16(1).map(usize::from))?;
    table.is("count of nodes", table.u32(36)? as usize, nodes.len())?;
    let mut ids = BTreeSet::new();
    for (_, node) in &nodes {
        table.holds(ids.insert(node.u32(4)?), "two nodes have one identifier")?;
    }
    let nodes: BTreeMap<usize, Bytes<'_>> = nodes.into_iter().collect();
    let roots: Vec<_> = nodes.values().filter(|node| node.u8(0) == Ok(2)).collect();
    let [root] = roots[..] else {
        return Err(format!("IORT: {} root complex nodes of one segment", roots.len()));
    };
    let mut seen = Iort { segment: root.u32(28)?, ats: root.u32(24)? == 1, ..Iort::default() };
    let ways = root_complex(*root, &nodes)?;
    for (at, node) in &nodes {
        match node.u8(0)? {
            0 => seen.its.extend(its_group(*node)?),
            2 => {}
            4 => seen.smmus.push(smmu(*at, *node, &nodes, &ways)?),
            kind => return Err(format!("IORT: node {kind}")),
        }
    }
    Ok(seen)
}

fn its_group(node: Bytes<'_>) -> Read<Vec<u32>> {
    node.is("node revision", node.u8(3)?, 1)?;
    node.is("mappings of an ITS group", node.u32(8)?, 0)?;
    let count = node.u32(16)? as usize;
    node.is("length of an ITS group", node.bytes.len(), 20 + 4 * count)?;
    (0..count).map(|index| node.u32(20 + 4 * index)).collect()
}

fn root_complex(node: Bytes<'_>, nodes: &BTreeMap<usize, Bytes<'_>>) -> Read<Vec<Mapping>> {
    node.is("node revision", node.u8(3)?, 3)?;
    node.is("CCA", node.u32(16)?, 1)?;
    node.zero(20, 3)?;
    node.is("memory flags", node.u8(23)?, 3)?;
    node.is("ATS attribute", node.u32(24)? & !1, 0)?;
    node.is("address size", node.u8(32)?, 64)?;
    node.zero(33, 3)?;
    let ways = mappings(node, 36, nodes)?;
    // Sorted, without a gap, without an ID in two.
    let mut next = 0;
    for way in &ways {
        node.is("first ID of a mapping", way.first, next)?;
        let kind = way.kind;
        node.holds(kind == 0 || kind == 4, &format!("a mapping leads to a node of kind {kind}"))?;
        next = way.last + 1;
    }
    node.is("end of the last mapping", next, 0x1_0000)?;
    Ok(ways)
}

fn smmu(at: usize, node: Bytes<'_>, nodes: &BTreeMap<usize, Bytes<'_>>, ways: &[Mapping]) -> Read<Smmu> {
    node.is("node revision", node.u8(3)?, 4)?;
    node.is("SMMU flags", node.u32(24)?, 1)?;
    node.zero(28, 16)?;
    node.zero(60, 8)?;
    let out = mappings(node, 68, nodes)?;
    let all = matches!(out[..], [Mapping { first: 0, last: 0xffff, kind: 0, .. }]);
    node.holds(all, "an SMMU does not map every ID to the ITS")?;
    let here: Vec<_> = ways.iter().filter(|way| way.to == at).collect();
    let [way] = here[..] else { return Err(format!("IORT: {} mappings lead to an SMMU", here.len())) };
    let ids = (way.first, way.last);
    let interrupts = [node.u32(44)?, node.u32(48)?, node.u32(52)?, node.u32(56)?];
    node.holds(interrupts.iter().all(|one| *one != 0), "an SMMU's interrupt is none")?;
    Ok(Smmu { base: node.u64(16)?, interrupts, ids })
}

fn mappings(node: Bytes<'_>, size: usize, nodes: &BTreeMap<usize, Bytes<'_>>) -> Read<Vec<Mapping>> {
    let (count, offset) = (node.u32(8)? as usize, node.u32(12)? as usize);
    node.is("offset of mappings", offset, size)?;
    let length = count.saturating_mul(20).saturating_add(size);
    node.is("length of a node", node.bytes.len(), length)?;
    let one = |index: usize| {
        let at = offset + 20 * index;
        let (first, count) = (node.u32(at)?, node.u32(at + 4)?);
        let to = node.u32(at + 12)? as usize;
        node.is("output base", node.u32(at + 8)?, first)?;
        node.is("flags of a mapping", node.u32(at + 16)?, 0)?;
        let there = nodes.get(&to);
        let there = there.ok_or_else(|| format!("IORT: a mapping leads to {to}, where no node begins"))?;
        let last = first.checked_add(count).filter(|last| *last <= 0xffff);
        let last = last.ok_or_else(|| format!("{}: a mapping ends past the last ID", node.name))?;
        Ok(Mapping { first, last, to, kind: there.u8(0)? })
    };
    (0..count).map(one).collect()
}
