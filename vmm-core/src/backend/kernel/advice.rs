//! What to do when the kernel says no: an error number at a place, in words.

use std::path::Path;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;

/// A step on the way to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Opening the file that makes containers.
    Container,
    /// Opening a group.
    Group,
    /// Putting the group into the container.
    SetContainer,
    /// Giving the container its IOMMU.
    SetIommu,
    /// Getting the device's file from its group.
    Device,
    /// Opening the file that makes iommufds.
    Iommufd,
    /// Opening the device's own file.
    OwnFile,
    /// Making the device the iommufd's.
    Bind,
    /// Giving the device its address space.
    Attach,
}

impl Step {
    fn doing(self) -> &'static str {
        match self {
            Self::Container | Self::Group | Self::Iommufd | Self::OwnFile => "opening",
            Self::SetContainer => "VFIO_GROUP_SET_CONTAINER",
            Self::SetIommu => "VFIO_SET_IOMMU",
            Self::Device => "VFIO_GROUP_GET_DEVICE_FD",
            Self::Bind => "VFIO_DEVICE_BIND_IOMMUFD",
            Self::Attach => "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
        }
    }

    /// What to do after this number at this step.
    fn advice(self, errno: Errno) -> &'static str {
        match (self, errno) {
            (Self::Container, Errno::ENOENT | Errno::ENODEV) => "load the module: modprobe vfio-pci",
            (Self::Iommufd, Errno::ENOENT | Errno::ENODEV) => {
                "load the module: modprobe iommufd; a kernel without CONFIG_IOMMUFD has `,type1`"
            }
            (Self::Group, Errno::ENOENT) => {
                "the kernel makes this file when vfio-pci has a device of the group and CONFIG_VFIO_GROUP is on; \
                 without it there is `,iommufd`"
            }
            (Self::OwnFile, Errno::ENOENT) => "the kernel makes this file with CONFIG_VFIO_DEVICE_CDEV",
            (_, Errno::EACCES) => "the user may not: chown or chmod the file, or be root",
            (Self::Group, Errno::EBUSY) => {
                "the group is open already, here or in another process (fuser -v FILE): one opener has all of its \
                 devices, so two devices of one group cannot be two devices here; `,iommufd` can"
            }
            (Self::OwnFile | Self::Bind | Self::Device, Errno::EBUSY) => {
                "the device is in use, here or in another process, which may be gone but for a mapping of a BAR \
                 (fuser -v FILE)"
            }
            (Self::Group | Self::SetIommu | Self::Attach, Errno::EPERM) => {
                "the host cannot keep the device from forging interrupts, or the group has no IOMMU. If that is \
                 bearable: allow_unsafe_interrupts=1 of the module vfio_iommu_type1, or of iommufd"
            }
            (Self::SetContainer, Errno::EBUSY) => "the group is in another container",
            (Self::SetIommu, Errno::ENODEV) => "load the module: modprobe vfio_iommu_type1",
            (_, Errno::ENODEV) => "the device is not vfio-pci's any more",
            (_, Errno::EIO) => "the device does not wake up: see its power_state, and dmesg",
            (_, Errno::ENOMEM) => {
                "the kernel has no memory, or the limit of locked memory (ulimit -l) is too low"
            }
            _ => "see dmesg",
        }
    }
}

/// What went wrong at a step, and what to do.
pub(super) fn at_step(step: Step, file: &Path, errno: Errno) -> String {
    let (doing, file) = (step.doing(), file.display().to_string());
    let advice = step.advice(errno).replace("FILE", &file);
    format!("{doing} {file}: {errno}: {advice}")
}

/// What went wrong with a map for DMA; nothing where the number says it all.
pub(super) fn at_map(errno: Errno, size: u64) -> Option<String> {
    Some(match errno {
        Errno::EFAULT => {
            "the memory is a device's, and this kernel does not let another device reach it: the policy \
                          `tolerate` goes without, and `skip` does not try"
                .to_owned()
        }
        Errno::ENOMEM => format!(
            "the limit of locked memory is too low: {} KiB more (ulimit -l, or LimitMEMLOCK of a service)",
            size.div_ceil(1024)
        ),
        Errno::ENOSPC => {
            "there are too many maps: dma_entry_limit of the module vfio_iommu_type1 says how many \
                          there may be"
                .to_owned()
        }
        _ => return None,
    })
}

/// Why a range cannot be mapped, if it is not all in one of these.
pub(super) fn outside(range: Span<Iova>, allowed: &[(u64, u64)]) -> Option<String> {
    let (first, last) = (range.start().get(), range.end().get().wrapping_sub(1));
    let inside = |(start, end): &(u64, u64)| *start <= first && last <= *end;
    if allowed.is_empty() || allowed.iter().any(inside) {
        return None;
    }
    let allowed: Vec<_> = allowed.iter().map(|(start, end)| format!("{start:#x} to {end:#x}")).collect();
    Some(format!(
        "the host's IOMMU keeps addresses of it for itself, or has fewer address bits: it maps {}. Other RAM, or \
         another place for it, avoids them",
        allowed.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Step::Container, Errno::ENOENT, "opening /f: ENOENT: load the module: modprobe vfio-pci")]
    #[case(Step::Group, Errno::EACCES, "opening /f: EACCES: the user may not: chown or chmod the file")]
    #[case(Step::Group, Errno::EBUSY, "(fuser -v /f)")]
    #[case(Step::SetIommu, Errno::EPERM, "allow_unsafe_interrupts=1")]
    #[case(Step::Attach, Errno::EPERM, "allow_unsafe_interrupts=1")]
    #[case(Step::SetIommu, Errno::ENODEV, "modprobe vfio_iommu_type1")]
    #[case(Step::Iommufd, Errno::ENOENT, "CONFIG_IOMMUFD")]
    #[case(Step::Bind, Errno::EBUSY, "VFIO_DEVICE_BIND_IOMMUFD /f: EBUSY: the device is in use")]
    #[case(Step::Device, Errno::EIO, "power_state")]
    #[case(Step::Device, Errno(4095), "errno 4095: see dmesg")]
    fn an_error_at_a_step_says_what_to_do(#[case] step: Step, #[case] errno: Errno, #[case] said: &str) {
        let all = at_step(step, Path::new("/f"), errno);
        assert!(all.contains(said), "{all}");
    }

    #[rstest]
    #[case(Errno::EFAULT, Some("tolerate"))]
    #[case(Errno::ENOMEM, Some("2048 KiB more"))]
    #[case(Errno::ENOSPC, Some("dma_entry_limit"))]
    #[case(Errno::EEXIST, None)]
    fn a_map_that_fails_says_what_to_do(#[case] errno: Errno, #[case] said: Option<&str>) {
        let all = at_map(errno, 2 << 20);
        assert_eq!(all.is_some(), said.is_some());
        assert!(all.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    #[rstest]
    #[case(0, 0x8000_0000, true)]
    #[case(0xfed0_0000, 0x10_0000, true)]
    #[case(0xfed0_0000, 0x10_0001, false)]
    #[case(0xfef0_0000, 0x1000, true)]
    #[case(0x7f_ffff_f000, 0x1000, true)]
    #[case(0x7f_ffff_f000, 0x2000, false)]
    fn what_the_iommu_keeps_cannot_be_mapped(#[case] start: u64, #[case] size: u64, #[case] can: bool) {
        let allowed = [(0, 0xfedf_ffff), (0xfef0_0000, 0x7f_ffff_ffff)];
        let range = Span::new(Iova::new(start), size).unwrap();
        assert_eq!(outside(range, &allowed).is_none(), can);
        assert_eq!(outside(range, &[]), None, "what is not known forbids nothing");
    }
}
