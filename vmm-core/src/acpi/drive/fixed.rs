//! The tables with fixed layouts, taken apart by the register reference's section 5, with offsets typed by hand.
//! What one table must be by itself is checked here.

use std::collections::BTreeSet;

use crate::acpi::read::Bytes;
use crate::acpi::read::Read;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::acpi) struct Cedt {
    /// Unique ID and base.
    pub(in crate::acpi) bridges: Vec<(u32, u64)>,
    pub(in crate::acpi) windows: Vec<Window>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::acpi) struct Window {
    pub(in crate::acpi) base: u64,
    pub(in crate::acpi) size: u64,
    pub(in crate::acpi) restrictions: u16,
    pub(in crate::acpi) target: u32,
}

impl Window {
    /// Its last address; the very last one if it reaches past that.
    pub(in crate::acpi) fn last(&self) -> u64 {
        self.base.saturating_add(self.size.saturating_sub(1))
    }
}

pub(in crate::acpi) fn cedt(table: Bytes<'_>) -> Read<Cedt> {
    let mut cedt = Cedt::default();
    table.is("revision", table.u8(8)?, 1)?;
    for (_, part) in table.parts(36, |part| part.u16(2).map(usize::from))? {
        part.zero(1, 1)?;
        match part.u8(0)? {
            0 => cedt.bridges.push(chbs(part)?),
            1 => cedt.windows.push(cfmws(part)?),
            kind => return Err(format!("CEDT: structure {kind}")),
        }
    }
    let uids: BTreeSet<u32> = cedt.bridges.iter().map(|bridge| bridge.0).collect();
    table.holds(uids.len() == cedt.bridges.len(), "two host bridges have one unique ID")?;
    let resolved = cedt.windows.iter().all(|window| uids.contains(&window.target));
    table.holds(resolved, "a window's target is no host bridge")?;
    let mut spans: Vec<_> = cedt.windows.iter().map(|one| (one.base, one.last())).collect();
    spans.sort_unstable();
    table.holds(super::laws::overlap(&spans).is_none(), "an address is in two windows")?;
    Ok(cedt)
}

fn chbs(part: Bytes<'_>) -> Read<(u32, u64)> {
    part.is("CHBS length", part.bytes.len(), 32)?;
    part.is("CHBS version", part.u32(8)?, 1)?;
    part.zero(12, 4)?;
    let base = part.u64(16)?;
    part.holds(base != 0 && base.is_multiple_of(0x1_0000), "CHBS base")?;
    part.is("CHBS register length", part.u64(24)?, 0x1_0000)?;
    Ok((part.u32(4)?, base))
}

fn cfmws(part: Bytes<'_>) -> Read<Window> {
    part.is("CFMWS length", part.bytes.len(), 40)?;
    part.zero(4, 4)?;
    let (base, size) = (part.u64(8)?, part.u64(16)?);
    part.holds(base != 0 && base.is_multiple_of(0x1000_0000), "CFMWS base")?;
    part.holds(size != 0 && size.is_multiple_of(0x1000_0000), "CFMWS size")?;
    part.is("ways", part.u8(24)?, 0)?;
    part.is("arithmetic", part.u8(25)?, 0)?;
    part.zero(26, 2)?;
    part.is("granularity", part.u32(28)?, 0)?;
    let restrictions = part.u16(32)?;
    part.holds([0x05, 0x15, 0x25, 0x35].contains(&restrictions), "CFMWS restrictions")?;
    part.is("QTG", part.u16(34)?, 0)?;
    Ok(Window { base, size, restrictions, target: part.u32(36)? })
}

#[derive(Clone, Debug, Default)]
pub(in crate::acpi) struct Srat {
    /// ID (APIC ID or ACPI UID) and domain.
    pub(in crate::acpi) cpus: Vec<(u32, u32)>,
    /// Base, length, domain.
    pub(in crate::acpi) memory: Vec<(u64, u64, u32)>,
    /// Unique ID and domain.
    pub(in crate::acpi) ports: Vec<(u32, u32)>,
}

pub(in crate::acpi) fn srat(table: Bytes<'_>) -> Read<Srat> {
    let mut srat = Srat::default();
    table.is("revision", table.u8(8)?, 3)?;
    table.is("the first reserved field", table.u32(36)?, 1)?;
    table.zero(40, 8)?;
    for (_, part) in table.parts(48, |part| part.u8(1).map(usize::from))? {
        let (kind, length) = (part.u8(0)?, part.bytes.len());
        let (flags, must) = match kind {
            0 => {
                let high = part.u8(9)?;
                let domain = u32::from_le_bytes([part.u8(2)?, high, part.u8(10)?, part.u8(11)?]);
                srat.cpus.push((part.u8(3)?.into(), domain));
                (part.u32(4)?, 16)
            }
            1 => {
                srat.memory.push((part.u64(8)?, part.u64(16)?, part.u32(2)?));
                part.zero(6, 2)?;
                part.zero(24, 4)?;
                part.zero(32, 8)?;
                (part.u32(28)?, 40)
            }
            3 => {
                srat.cpus.push((part.u32(6)?, part.u32(2)?));
                (part.u32(10)?, 18)
            }
            6 => {
                part.is("handle type", part.u8(3)?, 0)?;
                part.holds(part.run(8, 8)? == b"ACPI0016", "a port's handle")?;
                part.zero(20, 4)?;
                part.zero(28, 4)?;
                srat.ports.push((part.u32(16)?, part.u32(4)?));
                (part.u32(24)?, 32)
            }
            kind => return Err(format!("SRAT: structure {kind}")),
        };
        part.is("length of a structure", length, must)?;
        part.is("flags of a structure", flags, 1)?;
    }
    let mut domains: BTreeSet<u32> = srat.cpus.iter().map(|cpu| cpu.1).collect();
    domains.extend(srat.memory.iter().map(|memory| memory.2));
    let alone = srat.ports.iter().all(|port| domains.insert(port.1));
    table.holds(alone, "a port shares its domain")?;
    Ok(srat)
}

#[derive(Clone, Debug, Default)]
pub(in crate::acpi) struct Hmat {
    /// Domains of memory, and those of their nearest processors.
    pub(in crate::acpi) memory: Vec<(u32, Option<u32>)>,
    /// Kind, unit, initiators, targets, entries by rows.
    pub(in crate::acpi) matrices: Vec<Matrix>,
}

#[derive(Clone, Debug)]
pub(in crate::acpi) struct Matrix {
    pub(in crate::acpi) kind: u8,
    pub(in crate::acpi) unit: u64,
    pub(in crate::acpi) initiators: Vec<u32>,
    pub(in crate::acpi) targets: Vec<u32>,
    pub(in crate::acpi) entries: Vec<u16>,
}

pub(in crate::acpi) fn hmat(table: Bytes<'_>) -> Read<Hmat> {
    let mut hmat = Hmat::default();
    table.is("revision", table.u8(8)?, 2)?;
    table.zero(36, 4)?;
    for (_, part) in table.parts(40, |part| part.u32(4).map(|length| length as usize))? {
        part.zero(2, 2)?;
        match part.u16(0)? {
            0 => {
                part.is("length of attributes", part.bytes.len(), 40)?;
                let (flags, initiator) = (part.u16(8)?, part.u32(12)?);
                part.holds(flags <= 1 && (flags == 1 || initiator == 0), "flags of attributes")?;
                part.zero(10, 2)?;
                part.zero(20, 20)?;
                hmat.memory.push((part.u32(16)?, (flags == 1).then_some(initiator)));
            }
            1 => hmat.matrices.push(matrix(part)?),
            kind => return Err(format!("HMAT: structure {kind}")),
        }
    }
    Ok(hmat)
}

fn matrix(part: Bytes<'_>) -> Read<Matrix> {
    let (rows, columns) = (part.u32(12)? as usize, part.u32(16)? as usize);
    part.is("length of a matrix", part.bytes.len(), 32 + 4 * (rows + columns) + 2 * rows * columns)?;
    part.is("hierarchy", part.u8(8)?, 0)?;
    part.zero(20, 4)?;
    let domain = |index: usize| part.u32(32 + 4 * index);
    let entries = 32 + 4 * (rows + columns);
    let entries: Vec<u16> =
        (0..rows * columns).map(|index| part.u16(entries + 2 * index)).collect::<Read<_>>()?;
    part.holds(entries.iter().all(|entry| (1..0xffff).contains(entry)), "an entry says nothing")?;
    Ok(Matrix {
        kind: part.u8(9)?,
        unit: part.u64(24)?,
        initiators: (0..rows).map(domain).collect::<Read<_>>()?,
        targets: (rows..rows + columns).map(domain).collect::<Read<_>>()?,
        entries,
    })
}

#[derive(Clone, Debug, Default)]
pub(in crate::acpi) struct Madt {
    /// APIC IDs or MPIDRs, by ACPI UID.
    pub(in crate::acpi) cpus: Vec<u64>,
    /// Base of every local APIC.
    pub(in crate::acpi) local_apic: u32,
    /// Base, ID and first interrupt of the I/O APIC, or of the distributor.
    pub(in crate::acpi) controller: Vec<(u64, u32, u32)>,
    /// Base and length.
    pub(in crate::acpi) redistributors: Vec<(u64, u32)>,
    /// ID and base.
    pub(in crate::acpi) its: Vec<(u32, u64)>,
}

pub(in crate::acpi) fn madt(table: Bytes<'_>) -> Read<Madt> {
    let mut madt = Madt { local_apic: table.u32(36)?, ..Madt::default() };
    table.is("revision", table.u8(8)?, 6)?;
    table.zero(40, 4)?;
    for (_, part) in table.parts(44, |part| part.u8(1).map(usize::from))? {
        let uid = madt.cpus.len() as u32;
        let must = match part.u8(0)? {
            0 => {
                part.is("ACPI UID", u32::from(part.u8(2)?), uid)?;
                part.is("flags", part.u32(4)?, 1)?;
                madt.cpus.push(part.u8(3)?.into());
                8
            }
            1 => {
                part.zero(3, 1)?;
                madt.controller.push((part.u32(4)?.into(), part.u8(2)?.into(), part.u32(8)?));
                12
            }
            0xb => {
                part.is("ACPI UID", part.u32(8)?, uid)?;
                part.is("flags", part.u32(12)?, 1)?;
                madt.cpus.push(part.u64(68)?);
                82
            }
            0xc => {
                part.is("GIC version", part.u8(20)?, 3)?;
                madt.controller.push((part.u64(8)?, part.u32(4)?, part.u32(16)?));
                24
            }
            0xe => {
                madt.redistributors.push((part.u64(4)?, part.u32(12)?));
                16
            }
            0xf => {
                madt.its.push((part.u32(4)?, part.u64(8)?));
                20
            }
            kind => return Err(format!("APIC: structure {kind:#x}")),
        };
        part.is("length of a structure", part.bytes.len(), must)?;
    }
    Ok(madt)
}

/// Base, segment, last bus.
pub(in crate::acpi) fn mcfg(table: Bytes<'_>) -> Read<(u64, u16, u8)> {
    table.is("length", table.bytes.len(), 60)?;
    table.zero(36, 8)?;
    table.is("first bus", table.u8(54)?, 0)?;
    table.zero(56, 4)?;
    Ok((table.u64(44)?, table.u16(52)?, table.u8(55)?))
}

/// The interrupts of the timers.
pub(in crate::acpi) fn gtdt(table: Bytes<'_>) -> Read<[u32; 4]> {
    table.is("length", table.bytes.len(), 104)?;
    table.is("revision", table.u8(8)?, 3)?;
    table.is("counter block", table.u64(36)?, u64::MAX)?;
    table.is("counter read block", table.u64(80)?, u64::MAX)?;
    for (at, flags) in [(52, 0), (60, 4), (68, 0), (76, 0)] {
        table.is("flags of a timer", table.u32(at)?, flags)?;
    }
    table.zero(88, 16)?;
    Ok([table.u32(48)?, table.u32(56)?, table.u32(64)?, table.u32(72)?])
}

/// Interface, address space, address, interrupt.
pub(in crate::acpi) fn spcr(table: Bytes<'_>) -> Read<(u8, u8, u64, u32)> {
    table.is("revision", table.u8(8)?, 4)?;
    table.is("length", table.bytes.len(), 99)?;
    table.is("offset of the name", table.u16(86)?, 88)?;
    table.holds(table.run(88, 11)? == b"\\_SB_.COM0\0", "the name")?;
    table.is("length of the name", table.u16(84)?, 11)?;
    Ok((table.u8(36)?, table.u8(40)?, table.u64(44)?, table.u32(54)?))
}
