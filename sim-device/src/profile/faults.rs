//! What a profile says is broken.

use super::quantity::Quantity;
use serde::Deserialize;
use serde::Serialize;

/// What is broken. Nothing is, unless a file says so.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
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
}
