//! What all tables of a machine must be together: the register reference's section 5, over bytes alone.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::fixed;
use super::fixed::Cedt;
use super::fixed::Hmat;
use super::fixed::Madt;
use super::fixed::Srat;
use super::iort;
use super::iort::Iort;
use crate::acpi::Table;
use crate::acpi::read::Bytes;
use crate::acpi::read::Read;
use crate::acpi::read::aml;
use crate::acpi::read::aml::BUS;
use crate::acpi::read::aml::Device;
use crate::acpi::read::aml::IO;
use crate::acpi::read::aml::MEMORY;
use crate::acpi::read::aml::Resource;
use crate::acpi::read::aml::Value;
use crate::acpi::read::sum;

/// A host bridge as the DSDT tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::acpi) struct Bridge {
    pub(in crate::acpi) uid: u64,
    pub(in crate::acpi) is_cxl: bool,
    pub(in crate::acpi) last_bus: u64,
    /// Ports: first, last, what is added.
    pub(in crate::acpi) io: Vec<(u64, u64, u64)>,
    /// Bits, first and last address.
    pub(in crate::acpi) memory: Vec<(u8, u64, u64)>,
    /// The interrupts of device 0's pins, in their order.
    pub(in crate::acpi) pins: Vec<u64>,
    /// It has a `_DSM`.
    pub(in crate::acpi) dsm: bool,
    /// Its proximity domain.
    pub(in crate::acpi) node: Option<u64>,
}

/// What the tables say.
#[derive(Clone, Debug, Default)]
pub(in crate::acpi) struct Seen {
    /// Where the root pointer is.
    pub(in crate::acpi) root: u64,
    /// Where the first of the others begins, and the last one ends.
    pub(in crate::acpi) others: (u64, u64),
    pub(in crate::acpi) bridges: Vec<Bridge>,
    pub(in crate::acpi) cedt: Option<Cedt>,
    pub(in crate::acpi) srat: Srat,
    pub(in crate::acpi) hmat: Hmat,
    pub(in crate::acpi) madt: Madt,
    /// Base, segment, last bus.
    pub(in crate::acpi) ecam: (u64, u16, u8),
    pub(in crate::acpi) iort: Option<Iort>,
    pub(in crate::acpi) gtdt: Option<[u32; 4]>,
    pub(in crate::acpi) spcr: Option<(u8, u8, u64, u32)>,
    pub(in crate::acpi) devices: Vec<Device>,
}

/// Takes the tables apart.
///
/// # Errors
/// If a rule is broken: in which table, and how.
pub(in crate::acpi) fn read(tables: &[Table]) -> Read<Seen> {
    let (named, others) = framed(tables)?;
    let table = |name: &'static str| {
        let bytes = named.get(name).map(|table| Bytes { name, bytes: &table.bytes });
        bytes.ok_or_else(|| format!("there is no {name}"))
    };
    let has = |name: &str| named.contains_key(name);
    let root = pointers(tables, &named)?;
    let devices = aml::devices(table("DSDT")?)?;
    let mut seen = Seen {
        root,
        others,
        bridges: Vec::new(),
        cedt: has("CEDT").then(|| fixed::cedt(table("CEDT")?)).transpose()?,
        srat: fixed::srat(table("SRAT")?)?,
        hmat: fixed::hmat(table("HMAT")?)?,
        madt: fixed::madt(table("APIC")?)?,
        ecam: fixed::mcfg(table("MCFG")?)?,
        iort: has("IORT").then(|| iort::iort(table("IORT")?)).transpose()?,
        gtdt: has("GTDT").then(|| fixed::gtdt(table("GTDT")?)).transpose()?,
        spcr: has("SPCR").then(|| fixed::spcr(table("SPCR")?)).transpose()?,
        devices,
    };
    seen.bridges = bridges(&seen)?;
    unique_ids(&seen)?;
    ranges(&seen)?;
    domains(&seen)?;
    ways(&seen)?;
    Ok(seen)
}

/// Tables by their names.
type Named<'a> = BTreeMap<&'a str, &'a Table>;

/// Every table by its name, and where all but the root pointer are: signature, length, checksum, places that are
/// apart. The tables are in order; the root pointer may be before or behind them.
fn framed(tables: &[Table]) -> Read<(Named<'_>, (u64, u64))> {
    let mut named = BTreeMap::new();
    let mut spans = Vec::new();
    for table in tables {
        let bytes = Bytes { name: table.name, bytes: &table.bytes };
        bytes.holds(named.insert(table.name, table).is_none(), "is there twice")?;
        let at = table.address.get();
        let last = at.checked_add((table.bytes.len() as u64).saturating_sub(1));
        let is_aligned = at.is_multiple_of(if table.name == "RSDP" { 16 } else { 64 });
        let last = last.filter(|_| is_aligned).ok_or_else(|| format!("{}: is at {at:#x}", table.name))?;
        spans.push((at, last));
        bytes.is("checksum", sum(&table.bytes), 0)?;
        if table.name != "RSDP" {
            bytes.holds(bytes.run(0, 4)? == table.name.as_bytes(), "signature")?;
            bytes.is("length", bytes.u32(4)? as usize, table.bytes.len())?;
        }
    }
    let others = spans.get(1..).unwrap_or_default();
    let ends = others.first().zip(others.last()).map(|(first, last)| (first.0, last.1.saturating_add(1)));
    let ends = ends.filter(|_| others.is_sorted()).ok_or("tables are not in order")?;
    spans.sort_unstable();
    match overlap(&spans) {
        Some((one, next)) => Err(format!("tables at {one:x?} and {next:x?} overlap")),
        None => Ok((named, ends)),
    }
}

/// The first two of sorted spans, from the first to the last address, that have one in common.
pub(super) fn overlap(spans: &[(u64, u64)]) -> Option<((u64, u64), (u64, u64))> {
    let mut pairs = spans.iter().copied().zip(spans.iter().skip(1).copied());
    pairs.find(|(one, next)| one.1 >= next.0)
}

/// Where the root pointer is, from which all tables can be found.
fn pointers(tables: &[Table], named: &Named<'_>) -> Read<u64> {
    let at = |name: &str| named.get(name).map_or(0, |table| table.address.get());
    let bytes =
        |name: &'static str| Bytes { name, bytes: named.get(name).map_or(&[][..], |table| &table.bytes) };
    let root = bytes("RSDP");
    let is_first = tables.first().is_some_and(|table| table.name == "RSDP");
    root.holds(is_first && root.run(0, 8)? == b"RSD PTR ", "signature")?;
    root.is("checksum of the first 20 bytes", sum(root.run(0, 20)?), 0)?;
    root.is("revision", root.u8(15)?, 2)?;
    root.is("length", root.u32(20)?, 36)?;
    root.zero(16, 4)?;
    root.is("address of the XSDT", root.u64(24)?, at("XSDT"))?;
    let xsdt = bytes("XSDT");
    let entries: Vec<u64> =
        xsdt.parts(36, |_| Ok(8))?.into_iter().map(|(_, entry)| entry.u64(0)).collect::<Read<_>>()?;
    let others = tables.iter().filter(|table| !["RSDP", "XSDT", "DSDT"].contains(&table.name));
    let others: Vec<u64> = others.map(|table| table.address.get()).collect();
    xsdt.holds(entries == others && entries.first() == Some(&at("FACP")), "entries")?;
    fixed_hardware(bytes("FACP"), at("DSDT"), named.contains_key("GTDT"))?;
    Ok(at("RSDP"))
}

fn fixed_hardware(fadt: Bytes<'_>, dsdt: u64, is_arm: bool) -> Read<()> {
    fadt.is("length", fadt.bytes.len(), 276)?;
    fadt.is("revision", fadt.u8(8)?, 6)?;
    fadt.is("reduced hardware", fadt.u32(112)? >> 20 & 1, 1)?;
    // Neither a FACS nor a DSDT by 32 bits, and no FACS by 64.
    fadt.zero(36, 8)?;
    fadt.zero(132, 8)?;
    fadt.is("address of the DSDT", fadt.u64(140)?, dsdt)?;
    fadt.is("x86 boot flags", fadt.u16(109)?, if is_arm { 0 } else { 0x24 })?;
    fadt.is("Arm boot flags", fadt.u16(129)?, if is_arm { 3 } else { 0 })
}

const PNP0A08: Value = Value::Integer(0x080a_d041);
const PNP0A03: Value = Value::Integer(0x030a_d041);

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn wrong<T>(what: String) -> Read<T> {
    Err(format!("DSDT: {what}"))
}

/// The host bridges, each by the rules of 5.2.
fn bridges(seen: &Seen) -> Read<Vec<Bridge>> {
    let mut found = Vec::new();
    for device in &seen.devices {
        let is_cxl = device.is_called(&text("ACPI0016"));
        if !is_cxl && !device.is_called(&PNP0A08) {
            continue;
        }
        let cid = if is_cxl { Value::Package(vec![PNP0A08, PNP0A03]) } else { PNP0A03 };
        let methods = device.methods.iter().filter(|method| *method != "_DSM");
        let uid = device.integer("_UID")?;
        let path = &device.path;
        if device.values.get("_CID") != Some(&cid) || !methods.eq(["_OSC"]) {
            return wrong(format!("{path}: _CID or methods"));
        }
        let same = device.integer("_BBN")? == uid && device.integer("_SEG")? == u64::from(seen.ecam.1);
        if !same || device.integer("_CCA")? != 1 {
            return wrong(format!("{path}: _BBN, _SEG or _CCA"));
        }
        found.push(bridge(device, uid, is_cxl)?);
    }
    Ok(found)
}

/// `_PRT`: each entry is a package of the device and any function of it, the pin, no source, and the interrupt.
fn pins(device: &Device) -> Read<Vec<u64>> {
    let Some(told) = device.values.get("_PRT") else { return Ok(Vec::new()) };
    let Value::Package(entries) = told else { return wrong(format!("{}: _PRT", device.path)) };
    let entry = |(pin, entry): (u64, &Value)| match entry {
        Value::Package(fields) => match fields.as_slice() {
            [Value::Integer(0xffff), Value::Integer(told), Value::Integer(0), Value::Integer(interrupt)]
                if *told == pin =>
            {
                Ok(*interrupt)
            }
            _ => wrong(format!("{}: _PRT: entry {pin}", device.path)),
        },
        _ => wrong(format!("{}: _PRT: entry {pin}", device.path)),
    };
    (0..).zip(entries).map(entry).collect()
}

fn bridge(device: &Device, uid: u64, is_cxl: bool) -> Read<Bridge> {
    let (io, memory) = (Vec::new(), Vec::new());
    let pins = pins(device)?;
    let mut bridge = Bridge { uid, is_cxl, last_bus: 0, io, memory, pins, dsm: false, node: None };
    bridge.dsm = device.methods.contains("_DSM");
    bridge.node = device.values.contains_key("_PXM").then(|| device.integer("_PXM")).transpose()?;
    for (index, resource) in device.resources()?.into_iter().enumerate() {
        match resource {
            Resource::Range { bits: 16, kind: BUS, consumer: false, first, last, translation: 0 }
                if index == 0 && first == uid =>
            {
                bridge.last_bus = last;
            }
            Resource::Range { bits: 32, kind: IO, consumer: false, first, last, translation } => {
                bridge.io.push((first, last, translation));
            }
            Resource::Range { bits, kind: MEMORY, consumer: false, first, last, translation: 0 } => {
                bridge.memory.push((bits, first, last));
            }
            other => return wrong(format!("{}._CRS has {other:x?}", device.path)),
        }
    }
    Ok(bridge)
}

/// `_UID`, CHBS, the targets of windows and the handles of ports agree; ACPI0017 is there once if there is CXL.
fn unique_ids(seen: &Seen) -> Read<()> {
    let cxl = seen.bridges.iter().filter(|bridge| bridge.is_cxl);
    let cxl: Vec<u32> = cxl.map(|bridge| bridge.uid as u32).collect();
    let cedt = seen.cedt.clone().unwrap_or_default();
    let chbs: Vec<u32> = cedt.bridges.iter().map(|bridge| bridge.0).collect();
    let ports: Vec<u32> = seen.srat.ports.iter().map(|port| port.0).collect();
    if chbs != cxl || ports != cxl {
        return wrong(format!("CXL bridges {cxl:?}, CEDT {chbs:?}, SRAT {ports:?}"));
    }
    let all: BTreeSet<u64> = seen.bridges.iter().map(|bridge| bridge.uid).collect();
    if all.len() != seen.bridges.len() {
        return wrong("two bridges have one unique ID".to_owned());
    }
    let roots = seen.devices.iter().filter(|device| device.is_called(&text("ACPI0017")));
    let roots: Vec<_> = roots.map(|root| root.integer("_STA")).collect::<Read<_>>()?;
    let must = if cxl.is_empty() { vec![] } else { vec![0x0b] };
    if roots != must || seen.cedt.is_some() == cxl.is_empty() {
        return wrong(format!("ACPI0017: {roots:x?}"));
    }
    Ok(())
}

/// Buses and windows are apart. A fixed window is at most in the range of one descriptor of the first CXL
/// bridge, and component registers are in none.
fn ranges(seen: &Seen) -> Read<()> {
    let (base, _, last_bus) = seen.ecam;
    let mut buses: Vec<_> = seen.bridges.iter().map(|bridge| (bridge.uid, bridge.last_bus)).collect();
    buses.sort_unstable();
    let outside = buses.iter().any(|(first, last)| first > last || *last > last_bus.into());
    if outside || overlap(&buses).is_some() {
        return wrong(format!("buses {buses:?}"));
    }
    let ecam = (base, last_of(base, (u64::from(last_bus) + 1) << 20));
    let taken = seen.devices.iter().filter(|device| device.is_called(&Value::Integer(0x020c_d041)));
    let taken = taken.map(Device::resources).collect::<Read<Vec<_>>>()?.concat();
    let (first, last) = ecam;
    let must = Resource::Range { bits: 64, kind: MEMORY, consumer: true, first, last, translation: 0 };
    if taken != [must] {
        return wrong(format!("configuration space is {taken:x?}"));
    }
    let mut spans = vec![ecam];
    let cedt = seen.cedt.clone().unwrap_or_default();
    spans.extend(cedt.bridges.iter().map(|(_, base)| (*base, last_of(*base, 0x1_0000))));
    spans.extend(seen.srat.memory.iter().map(|(base, size, _)| (*base, last_of(*base, *size))));
    spans.extend(
        seen.bridges.iter().flat_map(|bridge| &bridge.memory).map(|(_, first, last)| (*first, *last)),
    );
    if !announced(seen)? {
        spans.extend(cedt.windows.iter().map(|one| (one.base, one.last())));
    }
    spans.sort_unstable();
    match overlap(&spans) {
        Some((one, next)) => wrong(format!("{one:x?} overlaps {next:x?}")),
        None => Ok(()),
    }
}

/// The last of so many addresses; the very last one if they reach past that.
fn last_of(base: u64, size: u64) -> u64 {
    base.saturating_add(size.saturating_sub(1))
}

/// Whether a bridge's resources name the range of the fixed windows: from the first one's base to the last one's
/// end, in one descriptor of 64 bits, of the CXL bridge with the lowest bus.
pub(in crate::acpi) fn announced(seen: &Seen) -> Read<bool> {
    let windows = seen.cedt.as_ref().map_or(&[][..], |cedt| &cedt.windows);
    let first = windows.iter().map(|one| one.base).min();
    let last = windows.iter().map(fixed::Window::last).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
    let with = seen.bridges.iter().filter(|bridge| bridge.memory.contains(&(64, first, last)));
    let with: Vec<u64> = with.map(|bridge| bridge.uid).collect();
    let lowest = seen.bridges.iter().filter(|bridge| bridge.is_cxl).map(|bridge| bridge.uid).min();
    match with[..] {
        [] => Ok(false),
        [uid] if Some(uid) == lowest => Ok(true),
        _ => wrong(format!("the range of windows is in the resources of {with:?}")),
    }
}

/// Processors, memory and ports are in the domains that the HMAT has figures for.
fn domains(seen: &Seen) -> Read<()> {
    let (srat, hmat) = (&seen.srat, &seen.hmat);
    let cpus: BTreeSet<u32> = srat.cpus.iter().map(|cpu| cpu.1).collect();
    let memory: BTreeSet<u32> = srat.memory.iter().map(|memory| memory.2).collect();
    let mut targets = memory.clone();
    targets.extend(srat.ports.iter().map(|port| port.1));
    let kinds: Vec<u8> = hmat.matrices.iter().map(|matrix| matrix.kind).collect();
    let complete = hmat.matrices.iter().all(|matrix| {
        let seen = |list: &[u32]| list.iter().copied().collect::<BTreeSet<_>>();
        matrix.unit > 0 && seen(&matrix.initiators) == cpus && seen(&matrix.targets) == targets
    });
    if kinds != [0, 3] || !complete || !hmat.memory.iter().map(|one| &one.0).eq(&memory) {
        return Err(format!("HMAT: {hmat:?} for processors in {cpus:?} and targets {targets:?}"));
    }
    if srat.cpus.len() != seen.madt.cpus.len() {
        return Err("SRAT: not every processor of the MADT".to_owned());
    }
    let processors = seen.devices.iter().filter(|device| device.is_called(&text("ACPI0007")));
    let uids: Vec<u64> = processors.map(|device| device.integer("_UID")).collect::<Read<_>>()?;
    if !uids.into_iter().eq(0..seen.madt.cpus.len() as u64) {
        return wrong("processors".to_owned());
    }
    Ok(())
}

/// The ways of interrupts end at an ITS of the MADT; an SMMU serves the buses of one bridge.
fn ways(seen: &Seen) -> Read<()> {
    let Some(iort) = &seen.iort else { return Ok(()) };
    let its: Vec<u32> = seen.madt.its.iter().map(|its| its.0).collect();
    if iort.its != its || iort.segment != u32::from(seen.ecam.1) {
        return Err(format!("IORT: ITS {:?}, segment {}", iort.its, iort.segment));
    }
    for smmu in &iort.smmus {
        let serves = |bridge: &Bridge| {
            let (first, last) = (bridge.uid as u32, bridge.last_bus as u32);
            smmu.ids == (first << 8, last << 8 | 0xff)
        };
        if !seen.bridges.iter().any(serves) {
            return Err(format!("IORT: {:x?} are the IDs of no bridge", smmu.ids));
        }
    }
    Ok(())
}
