//! A vCPU in long mode, ready to run the guest program.
//!
//! ```text
//!  guest virtual                    guest physical
//!  0x0000_0000  2 MiB          ──▶  0: code, mailbox, these tables
//!  0x0020_0000  2 MiB          ──▶  around the doorbell
//!  0x4000_0000  two of 2 MiB   ──▶  wherever the order's address is: the aperture
//! ```
//!
//! The aperture makes every guest physical address reachable through two page table entries, which are set before
//! each order. So the tables take four pages, however large the address space is.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
use kvm_bindings::kvm_regs;
use kvm_bindings::kvm_segment;
use kvm_ioctls::Error;
use kvm_ioctls::Kvm;
use kvm_ioctls::VcpuFd;
use kvm_ioctls::VmFd;

use super::program::CODE;
use super::program::MAILBOX;
use super::program::STACK;
use crate::map::memory::HostMemory;

/// Pages of the tables, from the top level down.
const LEVEL_4: u64 = 0x1000;
const LEVEL_3: u64 = 0x2000;
const LEVEL_2_LOW: u64 = 0x3000;
const LEVEL_2_APERTURE: u64 = 0x4000;

/// Where the doorbell is seen.
const DOORBELL: u64 = 0x20_0000;

/// Where the aperture is seen.
const APERTURE: u64 = 0x4000_0000;

/// A large page.
const LARGE_PAGE: u64 = 2 << 20;

/// Entry bits: present and writable; and for a large page.
const TABLE: u64 = 0x3;
const LARGE: u64 = 0x83;

/// Control bits of long mode: protection, extension type, numeric errors, paging; physical address extension;
/// long mode enabled and active.
const CR0: u64 = 0x8000_0031;
const CR4: u64 = 0x20;
const EFER: u64 = 0x500;

/// Three pages below 4 GiB that KVM needs on some processors. No entry of the address map is there.
const TSS: usize = 0xfffb_d000;

/// Leaf of CPUID that tells how many bits a physical address has, and what to take where it does not.
const CPUID_ADDRESS_BITS: u32 = 0x8000_0008;
const LEAST_ADDRESS_BITS: u32 = 36;

pub(super) fn prepare_vm(vm: &VmFd) -> Result<(), Error> {
    vm.set_tss_address(TSS)
}

/// How many bits a guest physical address has.
pub(super) fn address_bits(kvm: &Kvm, _vm: &VmFd) -> u32 {
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES);
    let leaf = supported.ok().and_then(|cpuid| {
        cpuid
            .as_slice()
            .iter()
            .find(|entry| entry.function == CPUID_ADDRESS_BITS)
            .map(|entry| entry.eax & 0xff)
    });
    leaf.unwrap_or(LEAST_ADDRESS_BITS)
}

/// What is done once.
pub(super) fn prepare_vcpu(kvm: &Kvm, vcpu: &VcpuFd) -> Result<(), Error> {
    vcpu.set_cpuid2(&kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?)
}

/// Puts the vCPU at the beginning of the guest program.
pub(super) fn start_vcpu(_vm: &VmFd, vcpu: &VcpuFd, doorbell: Gpa) -> Result<(), Error> {
    let mut special = vcpu.get_sregs()?;
    (special.cr0, special.cr3, special.cr4, special.efer) = (CR0, LEVEL_4, CR4, EFER);
    let code = kvm_segment {
        limit: 0xffff_ffff,
        selector: 8,
        type_: 0xb,
        present: 1,
        s: 1,
        l: 1,
        g: 1,
        ..kvm_segment::default()
    };
    let data = kvm_segment { selector: 16, type_: 3, l: 0, db: 1, ..code };
    special.cs = code;
    (special.ds, special.es, special.fs, special.gs, special.ss) = (data, data, data, data, data);
    vcpu.set_sregs(&special)?;
    let doorbell = DOORBELL + doorbell.get() % LARGE_PAGE;
    // Bit 1 of the flags is always set.
    vcpu.set_regs(&kvm_regs {
        rip: CODE,
        rsp: STACK,
        rflags: 2,
        rdi: MAILBOX,
        rsi: doorbell,
        ..kvm_regs::default()
    })
}

/// Writes the page tables, all but the aperture.
pub(super) fn install_tables(ram: &HostMemory, doorbell: Gpa) -> Option<()> {
    let entries = [
        (LEVEL_4, LEVEL_3 | TABLE),
        (LEVEL_3, LEVEL_2_LOW | TABLE),
        (LEVEL_3 + 8 * (APERTURE >> 30), LEVEL_2_APERTURE | TABLE),
        (LEVEL_2_LOW, LARGE),
        (LEVEL_2_LOW + 8 * (DOORBELL / LARGE_PAGE), (doorbell.get() / LARGE_PAGE * LARGE_PAGE) | LARGE),
    ];
    entries.into_iter().try_for_each(|(at, entry)| ram.store(at, Width::Qword, entry))
}

/// Turns the aperture to `target` and returns the address at which the program sees it. What is up to a large
/// page behind the target is seen, too.
pub(super) fn aim(ram: &HostMemory, target: Gpa) -> Option<u64> {
    let page = target.get() / LARGE_PAGE * LARGE_PAGE;
    ram.store(LEVEL_2_APERTURE, Width::Qword, page | LARGE)?;
    ram.store(LEVEL_2_APERTURE + 8, Width::Qword, page.wrapping_add(LARGE_PAGE) | LARGE)?;
    Some(APERTURE + target.get() % LARGE_PAGE)
}
