//! What a profile says is broken.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::quantity::Quantity;

/// What is broken. Nothing is, unless a file says so.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The mapping of the memory region is not the device's memory.
    pub detached_memory: bool,
    /// The component BAR shows the host base at this offset, among the accelerator registers or in the block.
    pub host_base_at: Option<Quantity>,
    /// BAR 0 shows the host base at this offset.
    pub host_base_in_bar0_at: Option<Quantity>,
    /// The component register region drops writes to a decoder's base.
    pub base_write_dropped: bool,
    /// The component register region never sets COMMITTED.
    pub commit_ignored: bool,
    /// The component register region does not clear the lock bit.
    pub lock_clear_ignored: bool,
    /// The component register region takes a new range for a decoder that is locked.
    pub lock_freezes_nothing: bool,
    /// The component register region reads all ones after so many reads.
    pub registers_die_after: Option<u64>,
    /// The component register region has no entry for the HDM decoders.
    pub hdm_missing: bool,
    /// The server closes the connection instead of answering this message, counted from 1.
    pub disconnect_at_message: Option<u64>,
    /// The server goes silent instead of answering this message, counted from 1.
    pub silent_at_message: Option<u64>,
    /// The hardware never answers a commit: neither COMMITTED nor the error is ever set. This hits firmware, too.
    pub commit_never_completes: bool,
    /// The hardware refuses every commit. This hits firmware, too.
    pub commit_refused: bool,
    /// The device DVSEC never says that the memory's range is valid, nor that it is active.
    pub media_not_ready: bool,
    /// The device DVSEC says so only after its size register was read so many times.
    pub memory_info_valid_late: Option<u64>,
    /// The capability array is not what it should be.
    pub capability_array: Option<CapabilityArray>,
    /// The capability array says that the HDM decoders are where they do not fit.
    pub hdm_pointer_outside: bool,
    /// A CXL reset ends with an error, and resets nothing.
    pub cxl_reset_fails: bool,
    /// Offsets in the memory whose lines are poisoned at power-on.
    pub poison_at: Vec<Quantity>,
    /// Errors that the RAS capability has recorded at power-on, oldest first.
    pub ras_errors: Vec<LinkError>,
    /// An error that the RAS capability records, and signals, when the engine ends a copy.
    pub ras_error_at_copy: Option<LinkError>,
    /// What the device signals is not heard: no vector, no pin, no error.
    pub interrupts_lost: bool,
    /// The host wants the device back when this message, counted from 1, has come.
    pub wanted_back_at_message: Option<u64>,
    /// What a client mapped for DMA is still there when the next client comes.
    pub maps_outlive_client: bool,
    /// What a client unmaps can be reached as before, though the client is told that it is done.
    pub unmaps_forget_nothing: bool,
    /// A range that is mapped over others takes their place, and is not refused.
    pub maps_may_overlap: bool,
    /// A range that begins at this address or behind it is refused with `EFAULT`, as the kernel's IOMMU interface
    /// refuses memory of devices, which has no pages behind it.
    pub map_efault_from: Option<Quantity>,
    /// The device cannot be reset, and says so.
    pub cannot_be_reset: bool,
    /// The server takes so many milliseconds over every answer.
    pub answer_after_ms: u64,
    /// The answer to this message, counted from 1, ends in the middle, and the connection with it.
    pub truncated_at_message: Option<u64>,
    /// This message, counted from 1, is refused with a number of another kind.
    pub wrong_errno_at_message: Option<WrongErrno>,
    /// What the kernel tells of its regions.
    pub lies: Lies,
}

/// What a broken capability array is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CapabilityArray {
    /// Header and entries have bits that mean nothing.
    #[serde(rename = "garbage")]
    Garbage,
    /// The header counts 255 entries; behind the real ones is what happens to be there.
    #[serde(rename = "255-entries")]
    TooMany,
}

/// An error of the link, by the specification's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "cxl_spec::component::ras says what each is")]
pub enum LinkError {
    CacheDataParity,
    CacheAddressParity,
    CacheByteEnableParity,
    CacheDataEcc,
    MemDataParity,
    MemAddressParity,
    MemByteEnableParity,
    MemDataEcc,
    ReinitThreshold,
    ReservedEncoding,
    PoisonReceived,
    ReceiverOverflow,
    Internal,
    IdeTransmit,
    IdeReceive,
    CorrectableCacheDataEcc,
    CorrectableMemDataEcc,
    CorrectableCrcThreshold,
    CorrectableRetryThreshold,
    CorrectableCachePoison,
    CorrectableMemPoison,
    CorrectablePhysical,
}

/// A refusal that nobody expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongErrno {
    /// Which message, counted from 1.
    pub message: u64,
    /// The error number in the answer.
    pub errno: u32,
}

/// What the kernel tells of its regions that is not so.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lies {
    /// The areas of the component BAR that can be mapped, in place of the true ones: overlapping, empty, in any
    /// order or outside the BAR.
    pub areas: Option<Vec<Area>>,
    /// There is no memory region, the capability says: its index is all ones.
    pub no_memory_region: bool,
    /// There is no component register region, the capability says: its index is all ones.
    pub no_register_region: bool,
    /// The HDM decoder capability is said to be here, from the capability array: outside the region, perhaps.
    pub hdm_at: Option<Quantity>,
}

/// A part of a region that is said to be mappable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// Offset in the region.
    pub offset: Quantity,
    /// Length in bytes.
    pub size: Quantity,
}
