//! What makes a device a CXL one: its description, the two regions, the capability array, the decoders.
//!
//! Where these are depends on what the component register region is:
//!
//! ```text
//!                       capability array                          HDM decoders
//! array and decoders    region + 0                                region + pointer
//! block                 region + 0x1000                           region + 0x1000 + pointer
//! decoders              BAR, component block + 0x1000             region + 0
//! ```
//!
//! In the last case the block is found through the Register Locator, and its array must lead to the very place
//! that the region says it is.

use cxl_spec::component::BLOCK_SIZE;
use cxl_spec::component::CACHEMEM_OFFSET;
use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use cxl_spec::dvsec::device;
use cxl_spec::dvsec::register_locator;
use vfio_abi::cxl::Committed;
use vfio_abi::cxl::Description;
use vfio_abi::cxl::Extent;
use vfio_abi::info::region;

use super::DiscoverError;
use super::Here;
use super::Region;
use super::config::Config;
use super::registers::Registers;
use crate::backend::Shared;
use crate::backend::enabled::Enabled;

/// The least length of the CXL device DVSEC: so long that it has its range bases.
const LEAST_DEVICE_DVSEC: u64 = device::RANGE_2_BASE_LOW + 4;

/// What is known of a CXL device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cxl {
    /// What the device says of itself.
    pub description: Description,
    /// Host firmware committed decoder 0.
    pub firmware_committed: bool,
    /// Offset in the BAR of the component block.
    pub component: u64,
    /// Offset in configuration space of the CXL device DVSEC.
    pub device_dvsec: u64,
    /// CXL.mem is on, the DVSEC says: without it nobody reaches the memory.
    pub mem_enable: bool,
    /// The DVSEC is locked: CXL.mem stays as it is.
    pub config_lock: bool,
    /// The capability array.
    pub capabilities: Vec<Component>,
    /// Offset of the HDM decoder capability in the component register region.
    pub hdm: u64,
    /// The decoders as the component register region shows them.
    pub decoders: Vec<Decoder>,
    /// What else the machine's own decoders begin with; nothing where the device's can be programmed.
    pub rest: Option<Rest>,
}

/// What the HDM decoder capability shows beside what is known of each decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// What the decoders can do.
    pub capability: hdm::Capability,
    /// The switches for all decoders.
    pub global: hdm::GlobalControl,
    /// How much device memory is skipped before that of each decoder, in bytes.
    pub skips: Vec<u64>,
}

/// An entry of the capability array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Which capability.
    pub id: u16,
    /// Its version.
    pub version: u8,
    /// Where it is, from the start of the array.
    pub offset: u64,
}

/// A decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// First address.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
    /// How it decodes, and whether.
    pub control: hdm::Control,
}

impl Decoder {
    /// The decoder without the host's base. A committed one is open for a base of the machine's: its lock is gone.
    #[must_use]
    pub fn scrubbed(self) -> Self {
        let lock = self.control.lock_on_commit() && !self.control.committed();
        Self { base: 0, control: self.control.with_lock_on_commit(lock), ..self }
    }
}

impl Cxl {
    /// The decoders as the machine finds them before it programs one: the region's, if these can be programmed.
    pub fn found_decoders(&self) -> Vec<Decoder> {
        let found = self.decoders.iter().copied();
        if self.description.programmable { found.collect() } else { found.map(Decoder::scrubbed).collect() }
    }
}

/// Finds out what there is to know of a device that describes itself.
pub(super) fn discover(
    backend: &Shared,
    here: &Here<'_>,
    description: Description,
    regions: &[Region],
    config: &Config,
) -> Result<Cxl, DiscoverError> {
    let size = check_size(here, regions, &description)?;
    let component = component(here, regions, &description, config)?;
    let device_dvsec = device_dvsec(here, config)?;
    let region = Registers { backend, here, region: description.registers, start: 0, size };
    // Where the region is the hardware itself, it answers only while Memory Space is on.
    let _answering = match description.extent {
        Extent::Decoders => Some(Enabled::with_memory_space(backend)?),
        Extent::ArrayAndDecoders | Extent::Block => None,
    };
    let array = match description.extent {
        Extent::ArrayAndDecoders => region,
        Extent::Block => Registers { start: CACHEMEM_OFFSET, size: CACHEMEM_SIZE, ..region },
        Extent::Decoders => {
            let start = component.saturating_add(CACHEMEM_OFFSET);
            Registers { region: description.bar.into(), start, size: CACHEMEM_SIZE, ..region }
        }
    };
    let capabilities = array.capability_array()?;
    let pointer = array.hdm_pointer(&capabilities)?;
    let hdm = match description.extent {
        Extent::ArrayAndDecoders | Extent::Block => array.start.saturating_add(pointer),
        Extent::Decoders => agreed(here, &description, array.start, pointer)?,
    };
    let (capability, decoders) = region.hdm(hdm)?;
    let rest =
        if description.programmable { None } else { Some(region.rest(hdm, capability, decoders.len())?) };
    let firmware_committed = match description.committed {
        Committed::Flag { set, .. } => set,
        Committed::Decoder => decoders.first().is_some_and(|decoder| decoder.control.committed()),
    };
    let control = device::Control::new(word(backend, device_dvsec + device::CONTROL)?);
    let lock = device::Lock::new(word(backend, device_dvsec + device::LOCK)?);
    Ok(Cxl {
        description,
        firmware_committed,
        component,
        device_dvsec,
        mem_enable: control.mem_enable(),
        config_lock: lock.config_lock(),
        capabilities,
        hdm,
        decoders,
        rest,
    })
}

/// Length of the component register region, which must be what the region is and lie in its BAR.
fn check_size(here: &Here<'_>, regions: &[Region], description: &Description) -> Result<u64, DiscoverError> {
    let size_of = |index| regions.iter().find(|region| region.index == index).map_or(0, |found| found.size);
    let size = size_of(description.registers);
    let impossible = |why| Err(here.impossible("size of the component register region", size, why));
    let offset = description.offset;
    let left = size_of(description.bar.into()).checked_sub(offset);
    let granule = match description.extent {
        Extent::ArrayAndDecoders | Extent::Block => CACHEMEM_SIZE,
        Extent::Decoders => 4,
    };
    if !offset.is_multiple_of(granule) || left.is_none_or(|left| left < size) {
        let why = match description.extent {
            Extent::Decoders => "the HDM decoders must begin at a dword and end inside the BAR",
            _ => "the component registers must begin at a multiple of 0x1000 and end inside the BAR",
        };
        return Err(here.impossible(description.offset_field, offset, why));
    }
    match description.extent {
        Extent::Block if size != BLOCK_SIZE => impossible("the component block has 0x10000 bytes"),
        Extent::ArrayAndDecoders | Extent::Decoders if size > CACHEMEM_SIZE || !size.is_multiple_of(4) => {
            impossible("the component registers are dwords and at most 0x1000 bytes of them")
        }
        _ => Ok(size),
    }
}

/// Offset in the BAR of the component block.
fn component(
    here: &Here<'_>,
    regions: &[Region],
    description: &Description,
    config: &Config,
) -> Result<u64, DiscoverError> {
    let offset = description.offset;
    match description.extent {
        Extent::Block => Ok(offset),
        Extent::ArrayAndDecoders => offset.checked_sub(CACHEMEM_OFFSET).ok_or_else(|| {
            let why = "the component block begins 0x1000 before the component registers";
            here.impossible(description.offset_field, offset, why)
        }),
        Extent::Decoders => located(here, regions, description, config),
    }
}

/// Offset in the BAR of the component block, by the Register Locator, which must agree with the description.
fn located(
    here: &Here<'_>,
    regions: &[Region],
    description: &Description,
    config: &Config,
) -> Result<u64, DiscoverError> {
    let missing = "the Register Locator DVSEC has no component block";
    let mut blocks = config.blocks.iter();
    let block = blocks.find(|found| found.block == register_locator::block::COMPONENT);
    let block = block.ok_or_else(|| here.missing(missing))?;
    let impossible = |field, value, why| Err(here.impossible(field, value, why));
    if block.bar != description.bar {
        let why = "the component register region says that it is in another BAR";
        return impossible("BAR of the component block in the Register Locator", block.bar.into(), why);
    }
    let at = "offset of the component block in the Register Locator";
    let inside = description.offset.checked_sub(block.offset);
    if inside.is_none_or(|inside| inside >= CACHEMEM_OFFSET + CACHEMEM_SIZE) {
        let why = "the component register region says that the HDM decoders are outside of it";
        return impossible(at, block.offset, why);
    }
    let bar = regions.iter().find(|region| region.index == u32::from(block.bar));
    let end = block.offset.checked_add(BLOCK_SIZE);
    if end.is_none_or(|end| bar.is_none_or(|bar| bar.size < end)) {
        return impossible(at, block.offset, "the component block must end inside the BAR");
    }
    Ok(block.offset)
}

/// Where the array leads to must be where the region says it is. The decoders are all of the region.
fn agreed(
    here: &Here<'_>,
    description: &Description,
    array: u64,
    pointer: u64,
) -> Result<u64, DiscoverError> {
    if array.checked_add(pointer) == Some(description.offset) {
        return Ok(0);
    }
    let why = "the capability array in the BAR has the HDM decoders elsewhere";
    Err(here.impossible(description.offset_field, description.offset, why))
}

/// A 16-bit register in configuration space. It is read by itself: of a wider read the kernel of April 2026 shows the
/// first register only.
fn word(backend: &Shared, offset: u64) -> Result<u16, DiscoverError> {
    let mut bytes = [0; 2];
    backend.lock().read(region::CONFIG, offset, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

fn device_dvsec(here: &Here<'_>, config: &Config) -> Result<u64, DiscoverError> {
    let missing = || here.missing("the device has the CXL flag and no CXL device DVSEC");
    let offset = config.cxl_dvsec(dvsec::id::DEVICE).ok_or_else(missing)?;
    let length = config.cxl_dvsec_length(dvsec::id::DEVICE).unwrap_or(0);
    if length < LEAST_DEVICE_DVSEC {
        let why = "the DVSEC is too short for its ranges, whose bases must be hidden";
        return Err(here.impossible("length of the CXL device DVSEC", length, why));
    }
    Ok(offset)
}
