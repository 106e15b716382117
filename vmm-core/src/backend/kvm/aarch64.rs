//! A vCPU at EL1 with the MMU on, ready to run the guest program.
//!
//! ```text
//!  guest virtual                    guest physical
//!  0x0000_0000  2 MiB          ──▶  0: code, mailbox, these tables
//!  0x0020_0000  2 MiB          ──▶  around the doorbell
//!  0x4000_0000  two of 2 MiB   ──▶  wherever the order's address is: the aperture
//! ```
//!
//! The MMU is on so that the guest's accesses are cached like the host's: without it, what one writes the other
//! may not see. The layout is that of the x86-64 guest; see there for the aperture.
//!
//! The project's checks run it on an aarch64 that QEMU emulates, whose KVM has EL2: `cargo ci lab-aarch64`.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use kvm_bindings::KVM_CAP_ARM_VM_IPA_SIZE;
use kvm_bindings::KVM_REG_ARM_CORE;
use kvm_bindings::KVM_REG_ARM64;
use kvm_bindings::KVM_REG_ARM64_SYSREG;
use kvm_bindings::KVM_REG_SIZE_U64;
use kvm_bindings::kvm_vcpu_init;
use kvm_ioctls::Error;
use kvm_ioctls::Kvm;
use kvm_ioctls::VcpuFd;
use kvm_ioctls::VmFd;

use super::program::CODE;
use super::program::MAILBOX;
use crate::map::memory::HostMemory;
use crate::run::guest::Handler;

/// Pages of the tables, from the top level down.
const LEVEL_0: u64 = 0x1000;
const LEVEL_1: u64 = 0x2000;
const LEVEL_2_LOW: u64 = 0x3000;
const LEVEL_2_APERTURE: u64 = 0x4000;

/// Where the doorbell is seen.
const DOORBELL: u64 = 0x20_0000;

/// Where the aperture is seen.
const APERTURE: u64 = 0x4000_0000;

/// A block of the second level.
const BLOCK_SIZE: u64 = 2 << 20;

/// Entry bits: a table; a block of normal memory (attribute 0, inner shareable, accessed); one of device memory
/// (attribute 1, accessed, never executed).
const TABLE: u64 = 0x3;
const NORMAL: u64 = 1 | 3 << 8 | 1 << 10;
const DEVICE: u64 = 1 | 1 << 2 | 1 << 10 | 3 << 53;

/// Memory attributes: 0 is normal write-back, 1 is device nGnRE.
const MAIR: u64 = 0x04ff;

/// Translation control: 48-bit addresses from one table, 4 KiB granule, cached and shareable walks, 48-bit
/// physical addresses.
const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 5 << 32;

/// System control: MMU, data and instruction caches on, and the bits that are reserved as one.
const SCTLR: u64 = 0x30d0_0800 | 1 | 1 << 2 | 1 << 12;

/// Program status: EL1 with its own stack pointer, everything masked.
const PSTATE: u64 = 0x3c5;

/// Bits that a guest physical address has unless KVM says otherwise.
const DEFAULT_ADDRESS_BITS: u32 = 40;

/// Where the program counts interrupts: it takes none.
pub(super) const COUNTS: Option<u64> = None;

/// The I/O APIC, for routes: there is none.
pub(super) const IO_APIC: Option<u32> = None;

/// The first number of a message's route: there is nothing that takes messages.
pub(super) const FIRST_ROUTE: Option<u32> = None;

/// A 64-bit register of the vCPU's core, by the index of its first 32 bits in `struct kvm_regs`.
const fn core(index: u64) -> u64 {
    KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE as u64 | index
}

/// A system register, by its encoding.
const fn system(op0: u64, op1: u64, crn: u64, crm: u64, op2: u64) -> u64 {
    let encoding = op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2;
    KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG as u64 | encoding
}

pub(super) fn prepare_vm(_vm: &VmFd) -> Result<(), Error> {
    Ok(())
}

/// How many bits a guest physical address has.
pub(super) fn address_bits(kvm: &Kvm, _vm: &VmFd) -> u32 {
    // A machine that was made without asking for more has 40 bits, or fewer where the host has fewer.
    let most = kvm.check_extension_raw(KVM_CAP_ARM_VM_IPA_SIZE.into());
    u32::try_from(most)
        .ok()
        .filter(|bits| *bits > 0)
        .map_or(DEFAULT_ADDRESS_BITS, |bits| bits.min(DEFAULT_ADDRESS_BITS))
}

/// There is nothing that is done only once.
pub(super) fn prepare_vcpu(_kvm: &Kvm, _vcpu: &VcpuFd) -> Result<(), Error> {
    Ok(())
}

/// Puts the vCPU at the beginning of the guest program.
pub(super) fn start_vcpu(vm: &VmFd, vcpu: &VcpuFd, doorbell: Gpa) -> Result<(), Error> {
    let mut target = kvm_vcpu_init::default();
    vm.get_preferred_target(&mut target)?;
    vcpu.vcpu_init(&target)?;
    let registers = [
        // x0, x1, program counter and status, each two words long.
        (core(0), MAILBOX),
        (core(2), DOORBELL + doorbell.get() % BLOCK_SIZE),
        (core(64), CODE),
        (core(66), PSTATE),
        (system(3, 0, 10, 2, 0), MAIR),
        (system(3, 0, 2, 0, 2), TCR),
        (system(3, 0, 2, 0, 0), LEVEL_0),
        (system(3, 0, 1, 0, 0), SCTLR),
    ];
    registers
        .into_iter()
        .try_for_each(|(register, value)| vcpu.set_one_reg(register, &value.to_le_bytes()).map(drop))
}

/// Writes the page tables, all but the aperture.
pub(super) fn install_tables(ram: &HostMemory, doorbell: Gpa) -> Option<()> {
    let entries = [
        (LEVEL_0, LEVEL_1 | TABLE),
        (LEVEL_1, LEVEL_2_LOW | TABLE),
        (LEVEL_1 + 8 * (APERTURE >> 30), LEVEL_2_APERTURE | TABLE),
        (LEVEL_2_LOW, NORMAL),
        (LEVEL_2_LOW + 8 * (DOORBELL / BLOCK_SIZE), (doorbell.get() / BLOCK_SIZE * BLOCK_SIZE) | DEVICE),
    ];
    entries.into_iter().try_for_each(|(at, entry)| ram.store(at, Width::Qword, entry))
}

/// There are no handlers.
pub(super) fn handle(_ram: &HostMemory, _handler: Handler) -> Option<()> {
    None
}

/// Turns the aperture to `target` and returns the address at which the program sees it. What is up to a block
/// behind the target is seen, too.
pub(super) fn aim(ram: &HostMemory, target: Gpa) -> Option<u64> {
    let block = target.get() / BLOCK_SIZE * BLOCK_SIZE;
    ram.store(LEVEL_2_APERTURE, Width::Qword, block | NORMAL)?;
    ram.store(LEVEL_2_APERTURE + 8, Width::Qword, block.wrapping_add(BLOCK_SIZE) | NORMAL)?;
    Some(APERTURE + target.get() % BLOCK_SIZE)
}
