//! What a profile says of the kernel that shows the device.
//!
//! The kernels were posted with mistakes, and users meet them: so they are shown as they were, and each key that
//! begins with `fixed_` turns one mistake into what its authors made of it later. The other keys are choices
//! that one kernel or the other made, and mistakes of states in between.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// How the kernel shows the device, where it has a choice.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Show a device whose decoder firmware did not commit as a CXL device without the committed flag. The
    /// kernel's own answer is a plain PCI device. All revisions.
    pub show_uncommitted: bool,
    /// A decoder that firmware committed over nothing counts as committed. All revisions.
    pub zero_size_counts: bool,
    /// Show the lock of a decoder that firmware locked. The kernel clears it, together with the base. v2.
    pub show_lock: bool,
    /// The memory region cannot be mapped, as in a vendor's kernel of June 2026. All revisions.
    pub memory_without_mmap: bool,
    /// A guest that asks for a CXL reset gets one, as since a vendor's patches of May 2026; before, the request
    /// was dropped. v2.
    pub guest_cxl_reset: bool,
    /// Where reads of the DVSEC's status 2 come from. v2.
    pub status_2: Status2Source,
    /// The guest's decoder base outlives a reset. v2.
    pub fixed_base_lost_in_reset: bool,
    /// Accesses to the device DVSEC reach every register that they touch, by whatever width. v2 and v3.
    pub fixed_dvsec_widths: bool,
    /// CXL.mem and CXL.cache are left off after a CXL reset. v2 and next.
    pub enable_lost_in_reset: bool,
    /// The configuration lock that firmware set is obeyed from the start. v3.
    pub fixed_config_lock: bool,
    /// A partial write to a status register leaves the other byte alone. v3.
    pub fixed_partial_status_write: bool,
    /// The component registers are read again at open and after a reset. v3.
    pub fixed_stale_shadow: bool,
    /// A decoder that is committed and locked stays so until a reset. v3.
    pub fixed_locked_commit: bool,
}

/// Where reads of the DVSEC's status 2 come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status2Source {
    /// The hardware, as posted.
    #[default]
    Hardware,
    /// A shadow that is taken at open: who polls for the end of write-back and invalidate polls for ever.
    Shadow,
    /// The hardware, with the outcome of the last reset from a shadow.
    Merged,
}
