//! What a profile says of the kernel that shows the device.

use serde::Deserialize;
use serde::Serialize;

/// How the kernel shows the device, where it has a choice.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Show a device whose decoder firmware did not commit as a CXL device without the committed flag. The
    /// kernel's own answer is a plain PCI device.
    pub show_uncommitted: bool,
    /// Show the lock of a decoder that firmware locked. The kernel clears it, together with the base.
    pub show_lock: bool,
}
