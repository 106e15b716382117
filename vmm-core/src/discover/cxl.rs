//! What makes a device a CXL one: the device capability, the two regions, the capability array, the decoders.

use cxl_spec::component::CACHEMEM_SIZE;
use cxl_spec::component::array;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use vfio_abi::chain::Chain;
use vfio_abi::chain::HEADER_SIZE;
use vfio_abi::cxl as abi;
use vfio_abi::cxl::v2;
use vfio_abi::info::region;

use super::DiscoverError;
use super::Here;
use super::Region;
use super::config::Config;
use crate::backend::Shared;

/// What is known of a CXL device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cxl {
    /// Host firmware committed decoder 0.
    pub firmware_committed: bool,
    /// The device speaks CXL.cache.
    pub cache_capable: bool,
    /// BAR that holds the component block.
    pub bar: u8,
    /// Offset in that BAR at which the component registers begin.
    pub bar_offset: u64,
    /// Index of the region that is the device's memory.
    pub memory: u32,
    /// Index of the region that is the component registers.
    pub registers: u32,
    /// Offset in configuration space of the CXL device DVSEC.
    pub device_dvsec: u64,
    /// The capability array.
    pub capabilities: Vec<Component>,
    /// Offset of the HDM decoder capability in the component registers.
    pub hdm: u64,
    /// The decoders as the component registers show them.
    pub decoders: Vec<Decoder>,
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

/// A decoder as the component registers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// First address.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
    /// How it decodes, and whether.
    pub control: hdm::Control,
}

/// Reads dwords of the component registers.
struct Registers<'a> {
    backend: &'a Shared,
    here: &'a Here<'a>,
    region: u32,
    size: u64,
}

/// Finds out what there is to know of a device with the CXL flag.
pub(super) fn discover(
    backend: &Shared,
    here: &Here<'_>,
    chain: &Chain,
    regions: &[Region],
    config: &Config,
) -> Result<Cxl, DiscoverError> {
    let capability = device_capability(here, chain)?;
    let memory = specific(here, regions, capability.dpa_region_index, abi::SUBTYPE_MEMORY)?;
    let registers =
        specific(here, regions, capability.comp_regs_region_index, abi::SUBTYPE_COMPONENT_REGISTERS)?;
    check_place(here, regions, &capability, registers.size)?;
    let device_dvsec = config
        .cxl_dvsec(dvsec::id::DEVICE)
        .ok_or_else(|| here.missing("the device has the CXL flag and no CXL device DVSEC"))?;
    let reader = Registers { backend, here, region: registers.index, size: registers.size };
    let capabilities = reader.capability_array()?;
    let (hdm, decoders) = reader.hdm(&capabilities)?;
    Ok(Cxl {
        firmware_committed: capability.flags.contains(v2::Flags::FIRMWARE_COMMITTED),
        cache_capable: capability.flags.contains(v2::Flags::CACHE_CAPABLE),
        bar: capability.hdm_regs_bar_index,
        bar_offset: capability.hdm_regs_offset,
        memory: memory.index,
        registers: registers.index,
        device_dvsec,
        capabilities,
        hdm,
        decoders,
    })
}

/// The device capability. Revisions share its id and version and differ in its length.
fn device_capability(here: &Here<'_>, chain: &Chain) -> Result<v2::DeviceCapability, DiscoverError> {
    let missing = "the device has the CXL flag and no device capability 6 (VFIO_DEVICE_INFO_CAP_CXL)";
    let entry = chain.find(abi::DEVICE_CAPABILITY).ok_or_else(|| here.missing(missing))?;
    if entry.version != v2::VERSION {
        return Err(here.impossible(
            "version of device capability 6",
            entry.version.into(),
            "only 1 is known",
        ));
    }
    if entry.data.len() != v2::DeviceCapability::SIZE {
        let length = entry.data.len().saturating_add(HEADER_SIZE);
        let why = "the revision of April 2026 (v2) has 0x20 bytes; another revision is not understood yet";
        return Err(here.impossible("length of device capability 6", length as u64, why));
    }
    v2::DeviceCapability::parse(&entry.data)
        .map_err(|malformed| here.malformed("device capability 6", malformed))
}

/// The region that the capability names, if it is what it should be.
fn specific<'a>(
    here: &Here<'_>,
    regions: &'a [Region],
    index: u32,
    subtype: u32,
) -> Result<&'a Region, DiscoverError> {
    let memory = subtype == abi::SUBTYPE_MEMORY;
    let field = if memory { "dpa_region_index" } else { "comp_regs_region_index" };
    let impossible = |why| here.impossible(field, index.into(), why);
    if index == v2::NO_REGION {
        return Err(impossible("the device says that there is no such region"));
    }
    if index < region::FIRST_SPECIFIC {
        return Err(impossible("the region is one of those that every PCI device has"));
    }
    let found = regions.iter().find(|region| region.index == index);
    let found = found.ok_or_else(|| impossible("the device has no region with this index"))?;
    match found.kind {
        Some((abi::REGION_TYPE, found_subtype)) if found_subtype == subtype => Ok(found),
        _ => Err(impossible("the region's type capability does not say CXL and this subtype")),
    }
}

/// The component registers must lie in a BAR, inside the range that the capability array covers.
fn check_place(
    here: &Here<'_>,
    regions: &[Region],
    capability: &v2::DeviceCapability,
    size: u64,
) -> Result<(), DiscoverError> {
    let bar = u32::from(capability.hdm_regs_bar_index);
    let found = regions.iter().find(|region| region.index == bar && bar <= region::BAR5);
    let found =
        found.ok_or_else(|| here.impossible("hdm_regs_bar_index", bar.into(), "there is no such BAR"))?;
    let offset = capability.hdm_regs_offset;
    if !offset.is_multiple_of(CACHEMEM_SIZE) || found.size.checked_sub(offset).is_none_or(|left| left < size)
    {
        let why = "the component registers must begin at a multiple of 0x1000 and end inside the BAR";
        return Err(here.impossible("hdm_regs_offset", offset, why));
    }
    if size > CACHEMEM_SIZE || !size.is_multiple_of(4) {
        let why = "the component registers are dwords and at most 0x1000 bytes of them";
        return Err(here.impossible("size of the component register region", size, why));
    }
    Ok(())
}

impl Registers<'_> {
    fn dword(&self, offset: u64) -> Result<u32, DiscoverError> {
        Ok(self.backend.read_dword(self.region, offset)?)
    }

    /// Whether `length` bytes from `offset` are in the region.
    fn holds(&self, offset: u64, length: u64) -> bool {
        self.size.checked_sub(offset).is_some_and(|left| length <= left)
    }

    fn capability_array(&self) -> Result<Vec<Component>, DiscoverError> {
        let header = array::Header::new(self.dword(0)?);
        if header.id() != array::id::ARRAY {
            let why = "unexpected capability array id: a dead device reads all ones";
            return Err(self.here.impossible("CXL capability header", header.raw().into(), why));
        }
        let mut list = Vec::new();
        for index in 1..=header.entries() {
            let at = array::entry_offset(index);
            if !self.holds(at, 4) {
                let why = "the capability array does not fit the component register region";
                return Err(self.here.impossible(
                    "entries of the capability array",
                    header.entries().into(),
                    why,
                ));
            }
            let entry = array::Entry::new(self.dword(at)?);
            list.push(Component {
                id: entry.id(),
                version: entry.version().value(),
                offset: entry.pointer().value().into(),
            });
        }
        Ok(list)
    }

    fn hdm(&self, capabilities: &[Component]) -> Result<(u64, Vec<Decoder>), DiscoverError> {
        let entry = capabilities.iter().find(|entry| entry.id == array::id::HDM_DECODER);
        let missing = "the capability array has no HDM decoder capability (id 5)";
        let hdm = entry.ok_or_else(|| self.here.missing(missing))?.offset;
        if !hdm.is_multiple_of(4) || !self.holds(hdm, hdm::length(1)) {
            let why = "the HDM decoder capability does not fit the component register region";
            return Err(self.here.impossible("pointer to the HDM decoder capability", hdm, why));
        }
        let code = hdm::Capability::new(self.dword(hdm + hdm::CAPABILITY)?).decoder_count();
        let impossible = |why| self.here.impossible("HDM decoder count code", code.value().into(), why);
        let count =
            hdm::DecoderCount::from_code(code).ok_or_else(|| impossible("the code is reserved"))?.number();
        if !self.holds(hdm, hdm::length(count)) {
            return Err(impossible("so many decoders do not fit the component register region"));
        }
        let decoders = (0..count).map(|index| self.decoder(hdm + hdm::decoder_offset(index)));
        Ok((hdm, decoders.collect::<Result<_, _>>()?))
    }

    fn decoder(&self, at: u64) -> Result<Decoder, DiscoverError> {
        let base = hdm::join(self.dword(at + hdm::BASE_LOW)?, self.dword(at + hdm::BASE_HIGH)?);
        let size = hdm::join(self.dword(at + hdm::SIZE_LOW)?, self.dword(at + hdm::SIZE_HIGH)?);
        Ok(Decoder { base, size, control: hdm::Control::new(self.dword(at + hdm::CONTROL)?) })
    }
}
