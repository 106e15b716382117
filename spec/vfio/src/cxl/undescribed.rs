//! Why what a device says does not describe it.

use core::fmt;

use super::DEVICE_CAPABILITY;
use super::Revision;
use crate::malformed::Malformed;

/// Why there is no [`Description`](super::Description).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undescribed {
    /// A structure does not parse.
    Malformed {
        /// The region that it is about; nothing for the device.
        region: Option<u32>,
        /// What is wrong.
        malformed: Malformed,
    },
    /// A number cannot be.
    Field {
        /// Which number, by the revision's own name for it.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that must be there is not.
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// The capability has the layout of a revision that is not spoken here.
    Foreign {
        /// What gave it away.
        field: &'static str,
        /// Its value.
        value: u64,
        /// Whose layout it is.
        layout: &'static str,
    },
    /// The device speaks another revision than the one that was assumed.
    Another {
        /// What it speaks.
        speaks: Revision,
        /// What was assumed.
        assumed: Revision,
        /// What gave it away.
        evidence: Evidence,
    },
}

/// What tells the revisions apart: the device capability, as it is and as the assumed revision has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Length of the device capability with its header; nothing if there is none.
    pub length: Option<u64>,
    /// The length that the assumed revision has; nothing if it has no such capability.
    pub assumed: Option<u64>,
}

impl fmt::Display for Undescribed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { region: Some(region), malformed } => {
                write!(out, "region info of region {region}: {malformed}")
            }
            Self::Malformed { region: None, malformed } => write!(out, "device info: {malformed}"),
            Self::Field { field, value, why } => write!(out, "{field} = {value:#x}: {why}"),
            Self::Missing { what } => out.write_str(what),
            Self::Foreign { field, value, layout } => write!(
                out,
                "{field} = {value:#x}: the capability is that of {layout}, which this VMM does not speak"
            ),
            Self::Another { speaks, assumed, evidence } => {
                let assumed = assumed.name();
                write!(out, "the device speaks {speaks}, not {assumed}: ")?;
                match evidence.length {
                    Some(length) => {
                        write!(out, "length of device capability {DEVICE_CAPABILITY} = {length:#x}")?;
                    }
                    None => write!(out, "there is no device capability {DEVICE_CAPABILITY}")?,
                }
                match evidence.assumed {
                    Some(length) => write!(out, ", {assumed} has {length:#x}"),
                    None => write!(out, ", {assumed} has no such capability"),
                }
            }
        }
    }
}

impl core::error::Error for Undescribed {}
