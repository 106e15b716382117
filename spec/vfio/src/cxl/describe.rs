//! From what a device said of itself to one description of it, whatever revision it speaks.
//!
//! ```text
//!  device capability 6?  yes ─▶ its length ─▶ 0x20: v2, if its region indices are what v2 calls them
//!          │                              ├─▶ 0x30: v3
//!          │                              └─▶ another: refused, by the name of whose it is
//!          └ no ─▶ a component register region that says where it is ─▶ next
//! ```
//!
//! Id and version of the capability are the same in five layouts, and two of these are as long as v2's or as each
//! other, so its bytes decide. All of it is pure and total: any bytes give a description or an error that names
//! the field.

use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use super::DEVICE_CAPABILITY;
use super::DEVICE_FLAG;
use super::Evidence;
use super::REGION_TYPE;
use super::Revision;
use super::SUBTYPE_COMPONENT_REGISTERS;
use super::SUBTYPE_MEMORY;
use super::Undescribed;
use super::next;
use super::v2;
use super::v3;
use crate::chain::Entry;
use crate::chain::HEADER_SIZE;
use crate::info::DeviceInfo;
use crate::info::RegionInfo;
use crate::info::region;

/// What a device says of itself, the same for every revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// The revision that it speaks.
    pub revision: Revision,
    /// How it says that host firmware committed decoder 0.
    pub committed: Committed,
    /// The device speaks CXL.cache; nothing if the revision does not tell.
    pub cache_capable: Option<bool>,
    /// BAR that holds the component block, 0 to 5: it exists.
    pub bar: u8,
    /// Offset in that BAR at which the component register region begins.
    pub offset: u64,
    /// What the revision calls that offset.
    pub offset_field: &'static str,
    /// What the component register region is.
    pub extent: Extent,
    /// Index of the region that is the device's memory: it exists.
    pub memory: u32,
    /// Index of the region that is the component registers: it exists.
    pub registers: u32,
    /// The decoders behind the region take what they are programmed with. Where not, the region shows the host's
    /// addresses, and what a guest sees of the decoders is the VMM's own.
    pub programmable: bool,
}

/// How a device says that host firmware committed decoder 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// By a flag.
    Flag {
        /// What the revision calls it.
        name: &'static str,
        /// Whether it is set.
        set: bool,
    },
    /// By the decoder itself.
    Decoder,
}

/// What a component register region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// From the capability array to the end of the HDM decoder capability.
    ArrayAndDecoders,
    /// All of the component block.
    Block,
    /// The HDM decoder capability and nothing else.
    Decoders,
}

/// Field names of errors.
const LENGTH: &str = "length of device capability 6";
const BYTES_24: &str = "bytes 24 to 31 of device capability 6";

/// Length of the component block, as v3 states it.
const BLOCK_SIZE: u64 = 0x1_0000;

/// What a device says of itself; nothing if it does not say that it is a CXL device. `regions` are those that
/// exist. Where a revision is assumed, only that one will do.
///
/// # Errors
/// If the device speaks another revision than the one that is assumed, or one that is not known here, or says
/// something that cannot be.
pub fn describe(
    info: &DeviceInfo,
    regions: &[RegionInfo],
    assumed: Option<Revision>,
) -> Result<Option<Description>, Undescribed> {
    if !info.flags.contains(DEVICE_FLAG) {
        return Ok(None);
    }
    let regions = Regions { all: regions };
    let entry = info.chain.find(DEVICE_CAPABILITY);
    let speaks = match entry {
        Some(entry) => of_capability(entry, &regions)?,
        None => of_regions(&regions)?,
    };
    if let Some(assumed) = assumed.filter(|assumed| *assumed != speaks) {
        let evidence = Evidence { length: entry.map(length), assumed: length_of(assumed) };
        return Err(Undescribed::Another { speaks, assumed, evidence });
    }
    let data = entry.map(|entry| entry.data.as_slice()).unwrap_or_default();
    let described = match speaks {
        Revision::V2 => described_by_v2(data, &regions),
        Revision::V3 => described_by_v3(data, &regions),
        Revision::Next => described_by_next(&regions),
    };
    described.map(Some)
}

/// Length of a capability with its header.
fn length(entry: &Entry) -> u64 {
    entry.data.len().saturating_add(HEADER_SIZE) as u64
}

/// Length of a revision's device capability with its header.
fn length_of(revision: Revision) -> Option<u64> {
    let behind_header = match revision {
        Revision::V2 => v2::DeviceCapability::SIZE,
        Revision::V3 => v3::DeviceCapability::SIZE,
        Revision::Next => return None,
    };
    Some(behind_header.saturating_add(HEADER_SIZE) as u64)
}

fn field(field: &'static str, value: impl Into<u64>, why: &'static str) -> Undescribed {
    Undescribed::Field { field, value: value.into(), why }
}

/// The revision whose device capability this is.
fn of_capability(entry: &Entry, regions: &Regions<'_>) -> Result<Revision, Undescribed> {
    if entry.version != v2::VERSION {
        return Err(field("version of device capability 6", entry.version, "only 1 is known"));
    }
    let foreign = |layout| Err(Undescribed::Foreign { field: LENGTH, value: length(entry), layout });
    let is = |revision| length_of(revision) == Some(length(entry));
    match length(entry) {
        _ if is(Revision::V2) => match december_2025(&entry.data, regions) {
            Some(foreign) => Err(foreign),
            None => Ok(Revision::V2),
        },
        _ if is(Revision::V3) => Ok(Revision::V3),
        // The flags of March 2026 are where September 2024 has nothing.
        0x28 if entry.data.get(4..8).is_some_and(|flags| flags.iter().any(|byte| *byte != 0)) => {
            foreign("March 2026 (before v2)")
        }
        0x28 => foreign("September 2024 (the first RFC) or of March 2026 (before v2)"),
        0x2c => foreign("June 2026 (v3) as 32-bit x86 lays it out"),
        other => Err(field(LENGTH, other, "no revision of vfio-cxl has a capability of so many bytes")),
    }
}

/// The second RFC has as many bytes as v2. What v2 calls region indices is an offset in a BAR there, and nothing
/// is called component registers.
fn december_2025(data: &[u8], regions: &Regions<'_>) -> Option<Undescribed> {
    let v2 = v2::DeviceCapability::parse(data).ok()?;
    let names = |index, subtype| regions.find(index).is_some_and(|found| is_of(found, subtype));
    let is_v2 = names(v2.dpa_region_index, SUBTYPE_MEMORY)
        || names(v2.comp_regs_region_index, SUBTYPE_COMPONENT_REGISTERS);
    let (count, rest) = data.split_first()?;
    let (bar, rest) = rest.split_first()?;
    let (padding, rest) = rest.split_at_checked(6)?;
    let ([size, offset], _) = <[U64; 2]>::read_from_prefix(rest).ok()?;
    let end = offset.get().checked_add(size.get())?;
    let in_bar = regions.bar((*bar).into()).is_some_and(|bar| size.get() > 0 && end <= bar.size);
    let counts = (1..=32).contains(count) && padding.iter().all(|byte| *byte == 0);
    let is = !is_v2 && in_bar && counts && offset.get().is_multiple_of(4);
    let layout = "December 2025 (the second RFC)";
    is.then_some(Undescribed::Foreign { field: BYTES_24, value: offset.get(), layout })
}

/// Without a device capability the regions must speak for themselves.
fn of_regions(regions: &Regions<'_>) -> Result<Revision, Undescribed> {
    let mut registers = regions.all.iter().filter(|region| is_of(region, SUBTYPE_COMPONENT_REGISTERS));
    if registers.any(|region| region.chain.find(next::REGION_CAPABILITY).is_some()) {
        return Ok(Revision::Next);
    }
    let what = "the device has the CXL flag and no device capability 6 (VFIO_DEVICE_INFO_CAP_CXL), and no \
                component register region that says where it is";
    Err(Undescribed::Missing { what })
}

fn described_by_v2(data: &[u8], regions: &Regions<'_>) -> Result<Description, Undescribed> {
    let capability = v2::DeviceCapability::parse(data)
        .map_err(|malformed| Undescribed::Malformed { region: None, malformed })?;
    let memory = regions.named("dpa_region_index", capability.dpa_region_index, SUBTYPE_MEMORY)?;
    let index = capability.comp_regs_region_index;
    let registers = regions.named("comp_regs_region_index", index, SUBTYPE_COMPONENT_REGISTERS)?;
    let committed = capability.flags.contains(v2::Flags::FIRMWARE_COMMITTED);
    Ok(Description {
        revision: Revision::V2,
        committed: Committed::Flag { name: "FIRMWARE_COMMITTED", set: committed },
        cache_capable: Some(capability.flags.contains(v2::Flags::CACHE_CAPABLE)),
        bar: regions.bar_named("hdm_regs_bar_index", capability.hdm_regs_bar_index.into())?,
        offset: capability.hdm_regs_offset,
        offset_field: "hdm_regs_offset",
        extent: Extent::ArrayAndDecoders,
        memory: memory.index,
        registers: registers.index,
        programmable: true,
    })
}

fn described_by_v3(data: &[u8], regions: &Regions<'_>) -> Result<Description, Undescribed> {
    let capability = v3::DeviceCapability::parse(data)
        .map_err(|malformed| Undescribed::Malformed { region: None, malformed })?;
    let memory = regions.named("hdm_region_idx", capability.hdm_region_idx, SUBTYPE_MEMORY)?;
    let index = capability.comp_reg_region_idx;
    let registers = regions.named("comp_reg_region_idx", index, SUBTYPE_COMPONENT_REGISTERS)?;
    let size = capability.comp_reg_size;
    if size != BLOCK_SIZE {
        return Err(field("comp_reg_size", size, "a component block has 0x10000 bytes"));
    }
    let committed = capability.flags.contains(v3::Flags::HOST_FIRMWARE_COMMITTED);
    Ok(Description {
        revision: Revision::V3,
        committed: Committed::Flag { name: "HOST_FIRMWARE_COMMITTED", set: committed },
        cache_capable: None,
        bar: regions.bar_named("comp_reg_bar", capability.comp_reg_bar)?,
        offset: capability.comp_reg_offset,
        offset_field: "comp_reg_offset",
        extent: Extent::Block,
        memory: memory.index,
        registers: registers.index,
        programmable: false,
    })
}

fn described_by_next(regions: &Regions<'_>) -> Result<Description, Undescribed> {
    let missing = "the device has no region of the CXL type that is its memory (subtype 1)";
    let memory = regions.only(SUBTYPE_MEMORY, missing)?;
    let missing = "the device has no region of the CXL type that is its component registers (subtype 2)";
    let registers = regions.only(SUBTYPE_COMPONENT_REGISTERS, missing)?;
    let missing = "the component register region does not say where it is (capability CXL_COMP_REGS)";
    let entry = registers.chain.find(next::REGION_CAPABILITY);
    let entry = entry.ok_or(Undescribed::Missing { what: missing })?;
    if entry.version != next::VERSION {
        return Err(field("version of region capability CXL_COMP_REGS", entry.version, "only 1 is known"));
    }
    let place = next::ComponentRegisters::parse(&entry.data)
        .map_err(|malformed| Undescribed::Malformed { region: Some(registers.index), malformed })?;
    Ok(Description {
        revision: Revision::Next,
        committed: Committed::Decoder,
        cache_capable: None,
        bar: regions.bar_named("bar of CXL_COMP_REGS", place.bar)?,
        offset: place.offset,
        offset_field: "offset of CXL_COMP_REGS",
        extent: Extent::Decoders,
        memory: memory.index,
        registers: registers.index,
        programmable: false,
    })
}

/// Whether a region is a CXL one of this subtype. A type that does not parse is none.
fn is_of(info: &RegionInfo, subtype: u32) -> bool {
    let specific = info.index >= region::FIRST_SPECIFIC;
    specific && info.chain.region_type() == Ok(Some((REGION_TYPE, subtype)))
}

/// The regions of a device.
struct Regions<'a> {
    all: &'a [RegionInfo],
}

impl<'a> Regions<'a> {
    fn find(&self, index: u32) -> Option<&'a RegionInfo> {
        self.all.iter().find(|region| region.index == index)
    }

    fn bar(&self, index: u32) -> Option<&'a RegionInfo> {
        self.find(index).filter(|region| region.index <= region::BAR5)
    }

    /// The BAR that a field names, if it exists.
    fn bar_named(&self, name: &'static str, index: u32) -> Result<u8, Undescribed> {
        let bar = self.bar(index).and_then(|bar| u8::try_from(bar.index).ok());
        bar.ok_or_else(|| field(name, index, "there is no such BAR"))
    }

    /// The region that a field names, if it is what it should be.
    fn named(&self, name: &'static str, index: u32, subtype: u32) -> Result<&'a RegionInfo, Undescribed> {
        if index == v2::NO_REGION {
            return Err(field(name, index, "the device says that there is no such region"));
        }
        if index < region::FIRST_SPECIFIC {
            return Err(field(name, index, "the region is one of those that every PCI device has"));
        }
        let missing = || field(name, index, "the device has no region with this index");
        let found = self.find(index).ok_or_else(missing)?;
        found
            .chain
            .region_type()
            .map_err(|malformed| Undescribed::Malformed { region: Some(index), malformed })?;
        let why = "the region's type capability does not say CXL and this subtype";
        if is_of(found, subtype) { Ok(found) } else { Err(field(name, index, why)) }
    }

    /// The one region of a subtype.
    fn only(&self, subtype: u32, missing: &'static str) -> Result<&'a RegionInfo, Undescribed> {
        let mut found = self.all.iter().filter(|region| is_of(region, subtype));
        let first = found.next().ok_or(Undescribed::Missing { what: missing })?;
        match found.next() {
            Some(second) => {
                Err(field("index of a CXL region", second.index, "another one has the same subtype"))
            }
            None => Ok(first),
        }
    }
}

#[cfg(test)]
mod tests;
