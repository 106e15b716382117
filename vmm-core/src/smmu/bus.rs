//! Which bus an SMMUv3 may sit on.
//!
//! An SMMU translates for everything below one PCI root. So its primary bus must be a root: that of the machine's
//! own host bridge, or that of an expander bridge, for PCI Express or for CXL.

use std::fmt;

/// A root bus that an SMMU may sit on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrimaryBus {
    /// The root of the machine's own host bridge.
    Pcie0,
    /// The root of a PCI Express expander bridge.
    PxbPcie,
    /// The root of a CXL expander bridge.
    PxbCxl,
}

/// A bus that an SMMU may not sit on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an SMMUv3 cannot have {bus} as its primary bus; it can have {}", accepted())]
pub struct BusError {
    /// The kind of bus that was wanted.
    pub bus: String,
}

impl PrimaryBus {
    /// All that are accepted.
    pub const ALL: [Self; 3] = [Self::Pcie0, Self::PxbPcie, Self::PxbCxl];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcie0 => "pcie.0",
            Self::PxbPcie => "pxb-pcie",
            Self::PxbCxl => "pxb-cxl",
        }
    }
}

impl fmt::Display for PrimaryBus {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The primary bus of this kind: `pcie.0`, or what made the bus.
///
/// # Errors
/// If it is none that an SMMU may sit on.
pub fn primary_bus(kind: &str) -> Result<PrimaryBus, BusError> {
    let found = PrimaryBus::ALL.into_iter().find(|bus| bus.name() == kind);
    found.ok_or_else(|| BusError { bus: kind.to_owned() })
}

/// The names of those that are accepted, as a list.
fn accepted() -> String {
    let names: Vec<_> = PrimaryBus::ALL.iter().map(|bus| bus.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("pcie.0", PrimaryBus::Pcie0)]
    #[case("pxb-pcie", PrimaryBus::PxbPcie)]
    #[case("pxb-cxl", PrimaryBus::PxbCxl)]
    fn a_root_bus_is_accepted(#[case] kind: &str, #[case] bus: PrimaryBus) {
        assert_eq!(primary_bus(kind), Ok(bus));
        assert_eq!(bus.to_string(), kind);
    }

    #[rstest]
    #[case("pxb")]
    #[case("pcie-root-port")]
    #[case("cxl-rp")]
    #[case("pci.0")]
    #[case("PCIE.0")]
    #[case("")]
    fn any_other_bus_is_refused_with_what_is_accepted(#[case] kind: &str) {
        let error = primary_bus(kind).unwrap_err().to_string();
        let expected =
            format!("an SMMUv3 cannot have {kind} as its primary bus; it can have pcie.0, pxb-pcie, pxb-cxl");
        assert_eq!(error, expected);
    }
}
