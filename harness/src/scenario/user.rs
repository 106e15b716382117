//! Steps of a scenario without a machine: what a user of VFIO asks of a device, and what it answers.
//!
//! ```toml
//! proves = "eight bytes at the last dword of the component registers are four"
//! abi = ["v2"]
//! attach = false
//!
//! [[device]]
//! name = "gpu0"
//!
//! [[step]]
//! region_read = { device = "gpu0", region = "registers", offset = 0x13c, count = 8, count_is = 4 }
//! ```
//!
//! A region is a number, or `config`, `bar0` to `bar5`, or one of the two that vfio-cxl adds: `memory` and
//! `registers`, which are found by the type that they state, as the revisions number them differently.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;

use super::region::Bytes;
use super::region::ErrnoName;
use super::region::RegionName;

/// The user asks what the device is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceInfo {
    /// Which device.
    pub device: String,
    /// Flags that must be set.
    #[serde(default)]
    pub flags: Vec<DeviceFlag>,
    /// Flags that must be clear.
    #[serde(default)]
    pub without: Vec<DeviceFlag>,
    /// How many regions there are.
    pub regions: Option<u32>,
    /// How much room the whole answer needs.
    pub argsz: Option<u32>,
    /// The id of a capability that is in the chain.
    pub capability: Option<u16>,
    /// That capability's version.
    pub version: Option<u16>,
    /// All that follows that capability's header.
    pub bytes: Option<Bytes>,
    /// The id of a capability that is not in the chain.
    pub no_capability: Option<u16>,
}

/// A flag of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceFlag {
    /// It can be reset.
    Reset,
    /// It is a PCI device.
    Pci,
    /// There is a chain of capabilities.
    Caps,
    /// vfio-cxl serves it.
    Cxl,
}

/// The user asks what a region is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionInfo {
    /// Which device.
    pub device: String,
    /// Which region.
    pub region: RegionName,
    /// The number that it has.
    pub index: Option<u32>,
    /// How long it is.
    pub size: Option<Quantity>,
    /// Flags that must be set.
    #[serde(default)]
    pub flags: Vec<RegionFlag>,
    /// Flags that must be clear.
    #[serde(default)]
    pub without: Vec<RegionFlag>,
    /// The type that it states.
    #[serde(rename = "type")]
    pub kind: Option<Quantity>,
    /// The subtype that it states.
    pub subtype: Option<u32>,
    /// The areas that it says can be mapped, in this order.
    pub areas: Option<Vec<Area>>,
    /// It lists no areas.
    #[serde(default)]
    pub no_areas: bool,
    /// What its areas leave out: together they are the region, and none of them overlap.
    pub hole: Option<Area>,
    /// The id of another capability that is in its chain.
    pub capability: Option<u16>,
    /// All that follows that capability's header.
    pub bytes: Option<Bytes>,
    /// How much room the whole answer needs.
    pub argsz: Option<u32>,
    /// The question is refused with this number.
    pub errno: Option<ErrnoName>,
}

/// A flag of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegionFlag {
    /// It can be read.
    Read,
    /// It can be written.
    Write,
    /// It can be mapped.
    Mmap,
    /// There is a chain of capabilities.
    Caps,
}

/// A part of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Where it begins.
    pub offset: Quantity,
    /// How long it is.
    pub size: Quantity,
}

/// The user reads a region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionRead {
    /// Which device.
    pub device: String,
    /// Which region.
    pub region: RegionName,
    /// Where in it.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8, which are a number.
    pub width: Option<u64>,
    /// How many bytes, whatever they are.
    pub count: Option<u64>,
    /// The number that it must be.
    pub is: Option<Quantity>,
    /// The number that it must not be.
    pub is_not: Option<Quantity>,
    /// The bits that are looked at.
    pub mask: Option<Quantity>,
    /// The bytes that it must be.
    pub bytes: Option<Bytes>,
    /// It is refused with this number.
    pub errno: Option<ErrnoName>,
    /// Only so many bytes are done.
    pub count_is: Option<u64>,
    /// The device is lost over it, and the reason has this text in it.
    pub lost: Option<String>,
}

/// The user writes a region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionWrite {
    /// Which device.
    pub device: String,
    /// Which region.
    pub region: RegionName,
    /// Where in it.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8, which are a number.
    pub width: Option<u64>,
    /// That number.
    pub value: Option<Quantity>,
    /// The bytes.
    pub bytes: Option<Bytes>,
    /// It is refused with this number.
    pub errno: Option<ErrnoName>,
    /// Only so many bytes are done.
    pub count_is: Option<u64>,
    /// The device is lost over it, and the reason has this text in it.
    pub lost: Option<String>,
}

/// The user writes the same to every dword of a region, one after the other, and then reads all of them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Which device.
    pub device: String,
    /// Which region.
    pub region: RegionName,
    /// What is written.
    pub value: Quantity,
    /// The dwords that do not read 0 then.
    pub reads: Vec<Dword>,
}

/// What a dword reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dword {
    /// Where it is.
    pub offset: Quantity,
    /// What it reads.
    pub is: Quantity,
}

/// The user maps a part of a region, if what the region says of itself allows it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// Which device.
    pub device: String,
    /// Which region.
    pub region: RegionName,
    /// Where the part begins.
    pub offset: Quantity,
    /// How long it is.
    pub size: Quantity,
    /// It cannot be mapped.
    #[serde(default)]
    pub refused: bool,
    /// How many bytes of its beginning are looked at or stored: 1, 2, 4 or 8.
    pub width: Option<u64>,
    /// What must be there.
    pub is: Option<Quantity>,
    /// What is stored there.
    pub store: Option<Quantity>,
}

/// The user lets the device reach memory at these addresses, or takes that back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dma {
    /// Which device.
    pub device: String,
    /// The first address.
    pub address: Quantity,
    /// How much memory.
    pub size: Quantity,
    /// It is refused with this number.
    pub errno: Option<ErrnoName>,
}

/// The user resets the device.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Which device.
    pub device: String,
    /// It is refused with this number.
    pub errno: Option<ErrnoName>,
}

/// The user closes the device and opens it again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reopen {
    /// Which device.
    pub device: String,
}
