//! `cxl-sim inspect`: everything that can be found out about a device.

mod drawing;
mod missing;

use std::process::ExitCode;
use std::time::Duration;

use cxl_spec::component::array;
use cxl_spec::dvsec;
use cxl_spec::pci::capability_name;
use cxl_spec::pci::extended_capability_name;
use serde::Serialize;
use sim_device::kernel::DEFAULT_ABI;
use vfio_abi::cxl;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::irq;
use vfio_abi::info::region;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::discover;

use super::Failure;
use super::args;
use super::run::say;
use super::this_program;
use crate::process::DeviceProcess;
use crate::reach::Place;
use crate::reach::Source;
use crate::report::json;
use crate::report::paint::Paint;
use crate::world::WorldError;

/// A device as JSON: numbers that people write in hex are hex texts.
#[derive(Serialize)]
struct Document {
    device: String,
    flags: Vec<&'static str>,
    capabilities: Vec<u16>,
    ids: Ids,
    bars: Vec<Bar>,
    pci_capabilities: Vec<PciCapability>,
    regions: Vec<Region>,
    irqs: Vec<Irq>,
    cxl: Option<Cxl>,
    /// What is missing for vfio-cxl, where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

#[derive(Serialize)]
struct Ids {
    vendor: String,
    device: String,
    subsystem_vendor: String,
    subsystem: String,
    class: String,
    revision: String,
}

#[derive(Serialize)]
struct Bar {
    index: u8,
    size: String,
    bits: u8,
    prefetchable: bool,
}

#[derive(Serialize)]
struct PciCapability {
    offset: String,
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dvsec: Option<DvsecHeader>,
}

#[derive(Serialize)]
struct DvsecHeader {
    vendor: String,
    id: u16,
    revision: u8,
    length: String,
}

#[derive(Serialize)]
struct Region {
    index: u32,
    name: String,
    size: String,
    flags: Vec<&'static str>,
    capabilities: Vec<u16>,
    areas: Vec<Area>,
    mapping_is_safe: bool,
}

#[derive(Serialize)]
struct Area {
    offset: String,
    size: String,
}

#[derive(Serialize)]
struct Irq {
    index: u32,
    name: &'static str,
    count: u32,
}

#[derive(Serialize)]
struct Cxl {
    revision: &'static str,
    #[serde(skip)]
    revision_text: String,
    firmware_committed: bool,
    cache_capable: Option<bool>,
    decoders_programmable: bool,
    component: String,
    bar: u8,
    bar_offset: String,
    memory_region: u32,
    register_region: u32,
    component_capabilities: Vec<ComponentCapability>,
    decoders: Vec<Decoder>,
}

#[derive(Serialize)]
struct ComponentCapability {
    offset: String,
    id: u16,
    version: u8,
    name: &'static str,
}

#[derive(Serialize)]
struct Decoder {
    base: String,
    size: String,
    control: String,
    committed: bool,
    locked: bool,
}

pub(super) fn inspect(args: &args::Inspect) -> Result<ExitCode, Failure> {
    let (_process, backend) = device(&args.device.source(), args.timeout.0)?;
    let inventory = discover(&backend).map_err(WorldError::from)?;
    let missing = missing::without_vfio_cxl(&backend, &inventory);
    let document = Document { missing, ..Document::of(&inventory) };
    let text = || document.text(&drawing::lines(&inventory, Paint::of_standard_output()));
    say(if args.json { json::pretty(&document) } else { text() }.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// A device that is open, and the process behind it if it is ours.
pub(super) fn device(source: &Source, timeout: Duration) -> Result<(Option<DeviceProcess>, Shared), Failure> {
    let (place, process) = match source.place() {
        Some(place) => (place, None),
        None => {
            let process = DeviceProcess::start(&this_program()?, None, DEFAULT_ABI, timeout)
                .map_err(WorldError::from)?;
            (Place::Socket(process.socket().to_owned()), Some(process))
        }
    };
    let backend = Shared::of(place.connect(timeout, false).map_err(WorldError::from)?);
    Ok((process, backend))
}

fn hex(number: impl Into<u64>) -> String {
    format!("{:#x}", number.into())
}

fn named<const N: usize>(bits: [(bool, &'static str); N]) -> Vec<&'static str> {
    bits.into_iter().filter_map(|(set, name)| set.then_some(name)).collect()
}

fn region_name(index: u32, kind: Option<(u32, u32)>) -> String {
    match (index, kind) {
        (region::BAR0..=region::BAR5, _) => format!("bar{index}"),
        (region::ROM, _) => "rom".to_owned(),
        (region::CONFIG, _) => "configuration".to_owned(),
        (region::VGA, _) => "vga".to_owned(),
        (_, Some((cxl::REGION_TYPE, cxl::SUBTYPE_MEMORY))) => "device memory".to_owned(),
        (_, Some((cxl::REGION_TYPE, cxl::SUBTYPE_COMPONENT_REGISTERS))) => "component registers".to_owned(),
        (_, Some((kind, subtype))) => format!("type {kind:#x}, subtype {subtype:#x}"),
        (_, None) => "unknown".to_owned(),
    }
}

fn irq_name(index: u32) -> &'static str {
    match index {
        irq::INTX => "intx",
        irq::MSI => "msi",
        irq::MSIX => "msi-x",
        irq::ERR => "error",
        irq::REQ => "request",
        _ => "unknown",
    }
}

impl Document {
    fn of(inventory: &Inventory) -> Self {
        let config = &inventory.config;
        let flags = inventory.flags;
        Self {
            device: inventory.device.clone(),
            flags: named([
                (flags.contains(DeviceFlags::RESET), "reset"),
                (flags.contains(DeviceFlags::PCI), "pci"),
                (flags.contains(DeviceFlags::CAPS), "caps"),
                (flags.contains(cxl::DEVICE_FLAG), "cxl"),
            ]),
            capabilities: inventory.capabilities.clone(),
            ids: Ids {
                vendor: hex(config.vendor),
                device: hex(config.device),
                subsystem_vendor: hex(config.subsystem_vendor),
                subsystem: hex(config.subsystem),
                class: format!("{:#08x}", config.class),
                revision: hex(config.revision),
            },
            bars: config.bars.iter().map(Bar::of).collect(),
            pci_capabilities: PciCapability::all_of(inventory),
            regions: inventory.regions.iter().map(Region::of).collect(),
            irqs: inventory
                .irqs
                .iter()
                .map(|irq| Irq { index: irq.index, name: irq_name(irq.index), count: irq.count })
                .collect(),
            cxl: inventory.cxl.as_ref().map(Cxl::of),
            missing: Vec::new(),
        }
    }

    fn text(&self, drawing: &[String]) -> String {
        let ids = &self.ids;
        let mut lines = vec![
            format!("{}: {}", self.device, self.flags.join(", ")),
            format!(
                "  vendor {} device {} class {} revision {}",
                ids.vendor, ids.device, ids.class, ids.revision
            ),
            format!("  subsystem vendor {} subsystem {}", ids.subsystem_vendor, ids.subsystem),
            format!("device capabilities: {:?}", self.capabilities),
            "BARs".to_owned(),
        ];
        lines.extend(self.bars.iter().map(|bar| {
            let kind = if bar.prefetchable { ", prefetchable" } else { "" };
            format!("  bar{}: {} bytes, {} bits{kind}", bar.index, bar.size, bar.bits)
        }));
        lines.push("capabilities".to_owned());
        lines.extend(self.pci_capabilities.iter().map(PciCapability::line));
        lines.push("regions".to_owned());
        lines.extend(self.regions.iter().map(Region::line));
        lines.extend_from_slice(drawing);
        lines.push("interrupts".to_owned());
        lines.extend(
            self.irqs.iter().map(|irq| format!("  {}: {} vectors of {}", irq.index, irq.count, irq.name)),
        );
        match &self.cxl {
            Some(cxl) => lines.extend(cxl.lines()),
            None => lines.push("not a CXL device: VFIO_DEVICE_FLAGS_CXL is clear".to_owned()),
        }
        lines.extend(self.missing.iter().map(|missing| format!("  {missing}")));
        lines.join("\n")
    }
}

impl Bar {
    fn of(bar: &vmm_core::discover::config::Bar) -> Self {
        let bits = if bar.is_64_bit { 64 } else { 32 };
        Self { index: bar.index, size: hex(bar.size), bits, prefetchable: bar.prefetchable }
    }
}

impl PciCapability {
    fn all_of(inventory: &Inventory) -> Vec<Self> {
        let plain = inventory.config.capabilities.iter().map(|entry| Self {
            offset: format!("{:#05x}", entry.offset),
            id: hex(entry.id),
            name: capability_name(entry.id).to_owned(),
            dvsec: None,
        });
        let extended = inventory.config.extended.iter().map(|entry| {
            let cxl = entry.dvsec.filter(|found| found.vendor == dvsec::VENDOR);
            Self {
                offset: format!("{:#05x}", entry.offset),
                id: hex(entry.id),
                name: match cxl {
                    Some(found) => format!("CXL DVSEC {}: {}", found.id, dvsec::name(found.id)),
                    None => extended_capability_name(entry.id).to_owned(),
                },
                dvsec: entry.dvsec.map(|found| DvsecHeader {
                    vendor: hex(found.vendor),
                    id: found.id,
                    revision: found.revision,
                    length: hex(found.length),
                }),
            }
        });
        plain.chain(extended).collect()
    }

    fn line(&self) -> String {
        let dvsec =
            self.dvsec.as_ref().map(|dvsec| format!(", revision {}, {} bytes", dvsec.revision, dvsec.length));
        format!("  {}: {}{}", self.offset, self.name, dvsec.unwrap_or_default())
    }
}

impl Region {
    fn of(found: &vmm_core::discover::Region) -> Self {
        let area = |area: &vfio_abi::chain::Area| Area { offset: hex(area.offset), size: hex(area.size) };
        Self {
            index: found.index,
            name: region_name(found.index, found.kind),
            size: hex(found.size),
            flags: named([
                (found.flags.contains(RegionFlags::READ), "read"),
                (found.flags.contains(RegionFlags::WRITE), "write"),
                (found.flags.contains(RegionFlags::MMAP), "mmap"),
                (found.flags.contains(RegionFlags::CAPS), "caps"),
            ]),
            capabilities: found.capabilities.clone(),
            areas: found.areas.iter().map(area).collect(),
            mapping_is_safe: found.mapping_is_safe,
        }
    }

    fn line(&self) -> String {
        let areas: Vec<_> = self.areas.iter().map(|area| format!("{}+{}", area.offset, area.size)).collect();
        let mapped = match (areas.is_empty(), self.mapping_is_safe) {
            (true, _) => String::new(),
            (false, true) => format!(", mappable: {}", areas.join(" ")),
            (false, false) => format!(", mappable: {}, but the mapping cannot be trusted", areas.join(" ")),
        };
        let Self { index, name, size, flags, .. } = self;
        format!("  {index}: {name}, {size} bytes, {}{mapped}", flags.join(" "))
    }
}

impl Cxl {
    fn of(found: &vmm_core::discover::cxl::Cxl) -> Self {
        let capability = |entry: &vmm_core::discover::cxl::Component| ComponentCapability {
            offset: hex(entry.offset),
            id: entry.id,
            version: entry.version,
            name: array::name(entry.id),
        };
        let decoder = |decoder: &vmm_core::discover::cxl::Decoder| Decoder {
            base: hex(decoder.base),
            size: hex(decoder.size),
            control: format!("{:?}", decoder.control),
            committed: decoder.control.committed(),
            locked: decoder.control.lock_on_commit(),
        };
        let told = &found.description;
        Self {
            revision: told.revision.name(),
            revision_text: told.revision.to_string(),
            firmware_committed: found.firmware_committed,
            cache_capable: told.cache_capable,
            decoders_programmable: told.programmable,
            component: hex(found.component),
            bar: told.bar,
            bar_offset: hex(told.offset),
            memory_region: told.memory,
            register_region: told.registers,
            component_capabilities: found.capabilities.iter().map(capability).collect(),
            decoders: found.decoders.iter().map(decoder).collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let yes = |holds| if holds { "yes" } else { "no" };
        let mut lines = vec![
            "CXL".to_owned(),
            format!("  vfio-cxl revision {}", self.revision_text),
            format!("  firmware committed: {}", yes(self.firmware_committed)),
            format!("  cache capable: {}", self.cache_capable.map_or("the revision does not tell", yes)),
            format!("  decoders can be programmed: {}", yes(self.decoders_programmable)),
            format!("  component block: bar{} + {}", self.bar, self.component),
            format!("  memory: region {}", self.memory_region),
            format!("  registers: region {}, bar{} + {}", self.register_region, self.bar, self.bar_offset),
        ];
        lines.extend(self.component_capabilities.iter().map(|entry| {
            format!("  capability {} version {} at {}: {}", entry.id, entry.version, entry.offset, entry.name)
        }));
        lines.extend(self.decoders.iter().enumerate().map(|(index, decoder)| {
            format!("  decoder {index}: base {}, size {}, {}", decoder.base, decoder.size, decoder.control)
        }));
        lines
    }
}
