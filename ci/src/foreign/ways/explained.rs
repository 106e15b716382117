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

/// The ways, by what they have in common. [`OVER_VFIO_USER`] is what the others are compared with.
pub(in crate::foreign) const OVER_VFIO_USER: &str = "vfio-user";
const ALL: [&str; 5] = [OVER_VFIO_USER, "lend type1", "lend iommufd", "lab type1", "lab iommufd"];
const VFIO: [&str; 4] = ["lend type1", "lend iommufd", "lab type1", "lab iommufd"];
const LEND: [&str; 2] = ["lend type1", "lend iommufd"];
const LAB: [&str; 2] = ["lab type1", "lab iommufd"];
const IOMMUFD: [&str; 2] = ["lend iommufd", "lab iommufd"];

/// Every reason, in the order in which they are told. A scenario that is skipped for anything else is one too many.
const EXPLANATIONS: [Explanation; 9] = [
    Explanation {
        ways: &LAB,
        is: |said| {
            said.starts_with("is about the kernel interface ") && said.ends_with(", and --abi is plain")
        },
        why: "an unchanged kernel has no vfio-cxl, and shows a plain PCI device",
    },
    Explanation {
        ways: &LAB,
        is: |said| said.starts_with("needs a device of its own profile, "),
        why: "the device of the lab is a preset, and the scenario has another one",
    },
    Explanation { ways: &VFIO, is: is_about_devices, why: "several devices are needed, and there is one" },
    Explanation {
        ways: &VFIO,
        is: |said| said.starts_with("needs a device process of its own to "),
        why: "a process dies, stands still or is replaced, and a device of the kernel's has none",
    },
    Explanation {
        ways: &VFIO,
        is: |said| said.starts_with("needs a device that asks for memory by messages, "),
        why: "a device asks for memory by messages, which vfio-user has and the kernel's VFIO has not",
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
        ways: &IOMMUFD,
        is: |said| said.starts_with("needs an IOMMU of type 1, "),
        why: "type1 permits what an iommufd refuses",
    },
    Explanation {
        ways: &ALL,
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

    #[rstest]
    #[case("needs 16 devices, and --device gives one", &VFIO)]
    #[case("needs a device process of its own to kill, which only --device sim starts", &VFIO)]
    #[case("needs a device that asks for memory by messages, which hardware does not: an SMMU", &VFIO)]
    #[case("has a server that answers wrongly, and who is lent a device meets none", &LEND)]
    #[case("needs a new device at the place of another, and one is lent", &LEND)]
    #[case("needs an IOMMU of type 1, and an iommufd refuses this", &IOMMUFD)]
    #[case("needs a device of its own profile, which only --device sim makes", &LAB)]
    #[case("is about the kernel interface vfio-cxl, and --abi is plain", &LAB)]
    #[case("needs the guest kvm, and the guest is soft", &ALL)]
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
    #[case("needs patience devices, and --device gives one")]
    #[case("is about the kernel interface plain, and --abi is v2")]
    #[case("resets the device, which has hung real machines: --allow-touch permits it")]
    fn anything_else_explains_nothing(#[case] said: &str) {
        assert!(ALL.iter().all(|way| explained(way, said).is_none()));
    }
}
