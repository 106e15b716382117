//! What differs between the labs: one has a processor like ours, the other one another.
//!
//! Behind an SMMUv3 of QEMU's no device can be that is told what it may reach, as ours is: QEMU says that it "requires
//! iommu MAP notifier which is not currently supported". So the IOMMU of the aarch64 lab is virtio's.

/// A lab's processor, and the machine around it.
#[derive(Debug)]
pub(super) struct Architecture {
    /// How the ways to its device begin in the table.
    pub(super) way: &'static str,
    /// Debian's name for it.
    pub(super) debian: &'static str,
    /// What our program is built for.
    pub(super) target: &'static str,
    /// The QEMU that emulates it.
    pub(super) qemu: &'static str,
    /// What QEMU is told, beside what has a path: RAM that can be mapped elsewhere, an IOMMU, a port for our device.
    pub(super) machine: &'static str,
    /// What Linux is told. Its check of the timer fails where the emulator is slow; a panic ends the machine. `told`
    /// is for the first program: the line that it tells all on.
    pub(super) parameters: &'static str,
    /// The script that says where the lab's own kernel is, if there is one for this processor.
    pub(super) own_kernel: Option<&'static str>,
    /// Whether the README's section is taken line by line.
    pub(super) takes_readme: bool,
}

/// The lab with our own processor, in which KVM is nested in SVM: QEMU emulates no VMX.
pub(super) const X86_64: Architecture = Architecture {
    way: "lab",
    debian: "amd64",
    target: "x86_64-unknown-linux-musl",
    qemu: "qemu-system-x86_64",
    machine: "-M q35,kernel-irqchip=split,memory-backend=mem -cpu EPYC,svm=on \
         -device intel-iommu,intremap=on,caching-mode=on -device pcie-root-port,id=below,chassis=1,slot=1",
    parameters: "console=ttyS0 quiet panic=-1 no_timer_check intel_iommu=on told=ttyS1",
    own_kernel: Some("ci/lab-kernel.sh --cached"),
    takes_readme: true,
};

/// The lab with the other processor, in which KVM has a level of its own, EL2.
pub(super) const AARCH64: Architecture = Architecture {
    way: "lab aarch64",
    debian: "arm64",
    target: "aarch64-unknown-linux-musl",
    qemu: "qemu-system-aarch64",
    machine: "-M virt,gic-version=3,virtualization=on,memory-backend=mem -cpu cortex-a72 \
         -device pcie-root-port,id=below,chassis=1,slot=1 -device virtio-iommu-pci",
    parameters: "console=ttyAMA0 quiet panic=-1 told=ttyAMA1",
    own_kernel: None,
    // Linux 7.3 gives no vectors there, and the section's last run fails. The table says why.
    takes_readme: false,
};
