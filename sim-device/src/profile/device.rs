//! What a profile says of the device itself: how it was built, and what host firmware did to it.

use super::quantity::Quantity;
use serde::Deserialize;
use serde::Serialize;

/// Who made the device and what it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ids {
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code, 24 bits.
    pub class: u32,
}

/// Interrupts of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interrupts {
    /// Number of MSI-X vectors.
    pub msix_vectors: u16,
}

/// Where the component register block is, and what is where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Component {
    /// BAR that holds the block: 2 or 4, each with its neighbour a 64-bit BAR. BAR 0 has the MSI-X table.
    pub bar: u8,
    /// Length of that BAR, a power of two.
    pub bar_size: Quantity,
    /// Offset of the 64 KiB block in it, a multiple of 64 KiB.
    pub offset: Quantity,
    /// Offset of the RAS capability from the capability array.
    pub ras: Quantity,
    /// Offset of the HDM decoder capability from the capability array.
    pub hdm: Quantity,
}

/// HDM decoders of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decoder {
    /// How many there are: 1, 2, 4, 6, 8 or 10.
    pub count: u8,
}

/// The memory that the device carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Its length, a multiple of 256 MiB. The pages exist only once they are written.
    pub size: Quantity,
}

/// What host firmware did before anybody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Firmware {
    /// It committed decoder 0 over all of the memory.
    pub committed: bool,
    /// It locked the decoder.
    pub locked: bool,
    /// The host physical address that it put the memory at, a multiple of 256 MiB.
    pub host_base: Quantity,
}

impl Default for Ids {
    fn default() -> Self {
        // The device id belongs to nobody: no driver should take the model for a product. The class is the one
        // that public Type-2 devices use, and not 0x050210, which makes Linux's memory driver bind.
        Self {
            vendor: 0x1e98,
            device: 0xc7f2,
            subsystem_vendor: 0x1e98,
            subsystem: 1,
            revision: 1,
            class: 0x12_0000,
        }
    }
}

impl Default for Interrupts {
    fn default() -> Self {
        Self { msix_vectors: 8 }
    }
}

impl Default for Component {
    fn default() -> Self {
        Self {
            bar: 2,
            bar_size: Quantity(1 << 20),
            offset: Quantity(0x2_0000),
            ras: Quantity(0x80),
            hdm: Quantity(0x110),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { count: 1 }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { size: Quantity(256 << 20) }
    }
}

impl Default for Firmware {
    fn default() -> Self {
        // Both halves of the base differ from 0 and from each other, so that a leak of either is seen.
        Self { committed: true, locked: true, host_base: Quantity(0x48_3000_0000) }
    }
}
