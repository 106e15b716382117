//! What a profile says of the device itself: how it was built, and what host firmware did to it.

use super::quantity::Quantity;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// Who made the device and what it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Device serial number.
    pub serial: Quantity,
}

/// What the device DVSEC states that the device can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dvsec {
    /// It can do a CXL reset.
    pub cxl_reset_capable: bool,
    /// How long that may take, as a code: 10 ms times 10^n, n up to 4. A device that cannot states 0.
    pub cxl_reset_timeout: u8,
    /// It can clear its memory in a CXL reset; only with the above.
    pub mem_clear_capable: bool,
    /// The memory is on after reset already, as in a device that was built for firmware that locks too early. The
    /// specification has it off.
    pub mem_enable_at_reset: bool,
}

/// Where the specification leaves a choice, or shipped devices differ from it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Silicon {
    /// A CXL reset keeps the decoders and drops only their global enable, as shipped devices do. The
    /// specification has the decoders start again.
    pub cxl_reset_keeps_decoders: bool,
    /// A function level reset makes the decoders start again: an erratum. The specification has them kept.
    pub flr_disturbs_decoders: bool,
}

/// How host and device keep the device's memory coherent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Coherency {
    /// Device coherent, over CXL.cache.
    #[default]
    #[serde(rename = "hdm-d")]
    HdmD,
    /// Device coherent, with back-invalidate.
    #[serde(rename = "hdm-db")]
    HdmDb,
}

/// Interrupts of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Interrupts {
    /// Number of MSI-X vectors.
    pub msix_vectors: u16,
    /// It has an interrupt pin, INTA, which tells what MSI-X would while that is off.
    pub pin: bool,
}

/// Where the component register block is, and what is where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Offset of the back-invalidate capability from the capability array, in a device whose memory is `hdm-db`.
    pub bi: Quantity,
}

/// HDM decoders of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Decoder {
    /// How many there are: 1, 2, 4, 6, 8 or 10.
    pub count: u8,
    /// They can interleave on address bits 11:8.
    pub interleave_11_8: bool,
    /// They can interleave on address bits 14:12.
    pub interleave_14_12: bool,
    /// They can interleave over 3, 6 and 12 ways.
    pub three_way: bool,
    /// They can interleave over 16 ways.
    pub sixteen_way: bool,
    /// They can answer a read that none of them takes with poison.
    pub poison_on_decode_error: bool,
}

/// The memory that the device carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Its length, a multiple of 256 MiB. The pages exist only once they are written.
    pub size: Quantity,
    /// How it is kept coherent: `hdm-d` or `hdm-db`.
    pub coherency: Coherency,
}

/// What host firmware did before anybody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Firmware {
    /// It committed decoder 0 over all of the memory.
    pub committed: bool,
    /// It locked the decoder.
    pub locked: bool,
    /// It committed the decoder over nothing, with a size of 0, which is legal.
    pub zero_size: bool,
    /// The host physical address that it put the memory at, a multiple of 256 MiB.
    pub host_base: Quantity,
    /// When it locked the configuration of the device DVSEC.
    pub config_lock: ConfigLock,
}

/// When host firmware locks the configuration of the device DVSEC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigLock {
    /// It does not.
    #[default]
    Never,
    /// After it has turned the memory on.
    AfterMemEnable,
    /// Before that, so that nobody can turn the memory on any more.
    BeforeMemEnable,
}

impl ConfigLock {
    /// The word in a profile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AfterMemEnable => "after-mem-enable",
            Self::BeforeMemEnable => "before-mem-enable",
        }
    }
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
            serial: Quantity(0x1e98_c7f2_0000_0001),
        }
    }
}

impl Default for Dvsec {
    fn default() -> Self {
        // One second, as shipped devices state.
        Self {
            cxl_reset_capable: true,
            cxl_reset_timeout: 2,
            mem_clear_capable: false,
            mem_enable_at_reset: false,
        }
    }
}

impl Default for Interrupts {
    fn default() -> Self {
        Self { msix_vectors: 8, pin: false }
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
            bi: Quantity(0xe0),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            count: 1,
            interleave_11_8: false,
            interleave_14_12: false,
            three_way: false,
            sixteen_way: false,
            poison_on_decode_error: false,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { size: Quantity(256 << 20), coherency: Coherency::HdmD }
    }
}

impl Default for Firmware {
    fn default() -> Self {
        // Both halves of the base differ from 0 and from each other, so that a leak of either is seen.
        Self {
            committed: true,
            locked: true,
            zero_size: false,
            host_base: Quantity(0x48_3000_0000),
            config_lock: ConfigLock::Never,
        }
    }
}
