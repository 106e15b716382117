//! Why a scenario may be skipped where a device is reached by this way or that: every reason that there is, and what is
//! behind it.

/// A reason to skip scenarios.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The ways by which it may be one.
    ways: &'static [&'static str],
    /// Whether what the program says is this.
    is: fn(&str) -> bool,
    /// What is behind it.
    why: &'static str,
}

/// The way that the others are compared with.
pub(in crate::foreign) const OVER_VFIO_USER: &str = "vfio-user";

/// The other ways, by what they have in common. In the lab nothing is skipped but what is about vfio-cxl.
const LAB: [&str; 2] = ["lab type1", "lab iommufd"];
const LEND: [&str; 2] = ["lend type1", "lend iommufd"];
const LEND_IOMMUFD: [&str; 1] = ["lend iommufd"];
const WITH_OUR_KVM: [&str; 3] = [OVER_VFIO_USER, "lend type1", "lend iommufd"];

/// Every reason, in the order in which they are told. A scenario that is skipped for anything else is one too many.
const EXPLANATIONS: [Explanation; 8] = [
    Explanation {
        ways: &LAB,
        is: |said| {
            said.starts_with("is about the kernel interface ") && said.ends_with(", and --abi is plain")
        },
        why: "an unchanged kernel has no vfio-cxl, and shows a plain PCI device",
    },
    Explanation { ways: &LEND, is: is_about_devices, why: "several devices are needed, and one is lent" },
    Explanation {
        ways: &LEND,
        is: |said| said.starts_with("needs a device process of its own to "),
        why: "a process dies, stands still or is replaced, and a lent device has none",
    },
    Explanation {
        ways: &LEND,
        is: |said| said.starts_with("needs a device that asks for memory by messages, "),
        why: "a device asks for memory by messages, which the kernel's VFIO has not",
    },
    Explanation {
        ways: &LEND,
        is: |said| said.starts_with("has a server that answers wrongly, "),
        why: "a server of vfio-user is broken on purpose, and none is between here",
    },
    Explanation {
        ways: &LEND,
        is: |said| said.starts_with("needs a new device at the place of another, "),
        why: "a new device comes where another one was, and one is lent",
    },
    Explanation {
        ways: &LEND_IOMMUFD,
        is: |said| said.starts_with("needs an IOMMU of type 1, "),
        why: "type1 permits what an iommufd refuses",
    },
    Explanation {
        ways: &WITH_OUR_KVM,
        is: |said| said.starts_with("needs the guest kvm, "),
        why: "the guest runs code, and there is no KVM",
    },
];

/// What is behind the reason for which a scenario is skipped by this way, and its place in the order; nothing if that
/// is not known.
pub(super) fn explained(way: &str, said: &str) -> Option<(usize, &'static str)> {
    let mut numbered = EXPLANATIONS.iter().enumerate();
    let found = numbered.find(|(_, one)| one.ways.contains(&way) && (one.is)(said));
    found.map(|(order, one)| (order, one.why))
}

/// Whether the reason is that so many devices are needed.
fn is_about_devices(said: &str) -> bool {
    let count =
        said.strip_prefix("needs ").and_then(|rest| rest.strip_suffix(" devices, and --device gives one"));
    count.is_some_and(|count| count.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ALL: [&str; 5] = [OVER_VFIO_USER, "lend type1", "lend iommufd", "lab type1", "lab iommufd"];

    #[rstest]
    #[case("needs 16 devices, and --device gives one", &LEND)]
    #[case("needs a device process of its own to kill, which only --device sim starts", &LEND)]
    #[case("needs a device that asks for memory by messages, which hardware does not: an SMMU", &LEND)]
    #[case("has a server that answers wrongly, and who is lent a device meets none", &LEND)]
    #[case("needs a new device at the place of another, and one is lent", &LEND)]
    #[case("needs an IOMMU of type 1, and an iommufd refuses this", &LEND_IOMMUFD)]
    #[case("is about the kernel interface vfio-cxl, and --abi is plain", &LAB)]
    #[case("needs the guest kvm, and the guest is soft", &WITH_OUR_KVM)]
    fn a_reason_explains_what_is_skipped_by_its_ways_and_by_no_other(
        #[case] said: &str,
        #[case] ways: &[&str],
    ) {
        for way in ALL {
            assert_eq!(explained(way, said).is_some(), ways.contains(&way), "{way}");
        }
    }

    #[rstest]
    #[case("")]
    #[case("needs a device of its own profile, which only --device sim makes")]
    #[case("needs patience devices, and --device gives one")]
    #[case("is about the kernel interface plain, and --abi is v2")]
    #[case("resets the device, which has hung real machines: --allow-touch permits it")]
    fn anything_else_explains_nothing(#[case] said: &str) {
        assert!(ALL.iter().all(|way| explained(way, said).is_none()));
    }
}
