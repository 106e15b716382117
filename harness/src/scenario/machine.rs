//! Steps of a scenario with a machine: what its guest does and sees, and what the machine did.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;

use super::place::Place;

/// The guest loads and sees.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Where.
    pub at: Place,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What it must be.
    pub is: Option<Place>,
    /// What it must not be.
    pub is_not: Option<Place>,
    /// The bits that are looked at.
    pub mask: Option<Quantity>,
}

/// The guest stores.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where.
    pub at: Place,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub value: Quantity,
}

/// The device itself holds in its memory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceHolds {
    /// Which device.
    pub device: String,
    /// Where in its memory.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub is: Quantity,
}

/// The device itself puts into its memory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePuts {
    /// Which device.
    pub device: String,
    /// Where in its memory.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub value: Quantity,
}

/// The guest reads a decoder through the BAR.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Which device.
    pub device: String,
    /// The base.
    pub base: Option<Place>,
    /// The size.
    pub size: Option<Quantity>,
    /// Whether it is committed.
    pub committed: Option<bool>,
    /// Whether it is locked.
    pub locked: Option<bool>,
}

/// The guest's window is here.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Which device.
    pub device: String,
    /// Where it begins.
    pub start: Quantity,
    /// How long it is.
    pub size: Quantity,
}

/// The registers were written at machine-done.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineDone {
    /// Which device.
    pub device: String,
    /// Lines such as `HDM Decoder Base Low = 0x10000000`.
    pub writes: Vec<String>,
}

/// The guest finds an address nowhere in a range.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The address that must not be found.
    pub address: Quantity,
    /// Where the range begins.
    pub from: Place,
    /// How long it is.
    pub size: Quantity,
}
