//! A vCPU in long mode, ready to run the guest program.
//!
//! ```text
//!  guest virtual                    guest physical
//!  0x0000_0000  2 MiB          ──▶  0: code, mailbox, these tables
//!  0x0020_0000  2 MiB          ──▶  around the doorbell
//!  0x0040_0000  2 MiB          ──▶  local APIC
//!  0x2400_0000  2 MiB each     ──▶  where the handler of interrupt 32 stores, and so on
//!  0x4000_0000  two of 2 MiB   ──▶  wherever the order's address is: the aperture
//! ```
//!
//! The aperture makes every guest physical address reachable through two page table entries, which are set before
//! each order. So the tables take four pages, however large the address space is.
//!
//! Interrupts are on all the time. One that comes while no order is carried out is taken at the start of the next.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use kvm_bindings::KVM_IRQCHIP_IOAPIC;
use kvm_bindings::KVM_MAX_CPUID_ENTRIES;
use kvm_bindings::kvm_ioapic_state;
use kvm_bindings::kvm_ioapic_state__bindgen_ty_1;
use kvm_bindings::kvm_irqchip;
use kvm_bindings::kvm_regs;
use kvm_bindings::kvm_segment;
use kvm_ioctls::Error;
use kvm_ioctls::Kvm;
use kvm_ioctls::VcpuFd;
use kvm_ioctls::VmFd;

use super::program;
use super::program::CODE;
use super::program::MAILBOX;
use super::program::STACK;
use crate::irq::io_apic::INPUTS;
use crate::map::memory::HostMemory;
use crate::plan::x86_64;
use crate::run::guest::Handler;

/// Pages of the tables, from the top level down.
const LEVEL_4: u64 = 0x1000;
const LEVEL_3: u64 = 0x2000;
const LEVEL_2_LOW: u64 = 0x3000;
const LEVEL_2_APERTURE: u64 = 0x4000;

/// The segments' and the interrupts' descriptors.
const SEGMENTS: u64 = 0x5000;
const GATES: u64 = 0x6000;

/// Where the program counts interrupts, a qword for each number.
pub(super) const COUNTS: Option<u64> = Some(INTERRUPT_COUNTS);
const INTERRUPT_COUNTS: u64 = 0x1_2000;

/// Where the program finds what handlers do, 32 bytes for each number.
const HANDLERS: u64 = 0x1_4000;
const HANDLER_ENTRY: u64 = 32;

/// Where the handler of number 0 would see where it stores; the next is a large page behind.
const HANDLER_PAGES: u64 = 0x2000_0000;

/// The I/O APIC, for routes.
pub(super) const IO_APIC: Option<u32> = Some(KVM_IRQCHIP_IOAPIC);

/// The first number of a message's route. Those below are the pins of an I/O APIC.
pub(super) const FIRST_ROUTE: Option<u32> = Some(24);

/// The numbers of interrupts, without the processor's own exceptions.
const NUMBERS: std::ops::Range<u64> = 32..256;

/// How far apart the handlers are.
const HANDLER_SIZE: u64 = 16;

/// Where the local APIC is seen, where it is, and two of its registers.
const APIC: u64 = 0x40_0000;
const APIC_AT: u64 = 0xfee0_0000;
const APIC_END_OF_INTERRUPT: u64 = 0xb0;
const APIC_SPURIOUS: usize = 0xf0;

/// The APIC's registers that say what is in service and what waits, and how many bytes they have.
const APIC_INTERRUPTS: usize = 0x100;
const APIC_INTERRUPTS_SIZE: usize = 0x180;

/// An entry of the I/O APIC that is masked.
const IO_APIC_MASK: u64 = 1 << 16;

/// Bits of the spurious interrupt register: the APIC is on, and the number of such an interrupt.
const APIC_ON: [u8; 2] = [0xff, 0x01];

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

/// Flags: interrupts are on. Bit 1 is always set.
const FLAGS: u64 = 0x202;

/// Descriptors of the two segments in long mode, code and data, accessed and present at the highest privilege.
const CODE_SEGMENT: u64 = 0x00af_9b00_0000_ffff;
const DATA_SEGMENT: u64 = 0x00cf_9300_0000_ffff;

/// A gate that is present and turns interrupts off while its handler runs; the code segment is number 1.
const GATE: u64 = 0x8e00_0008_0000;

/// Three pages below 4 GiB that KVM needs on some processors. No entry of the address map is there.
const TSS: usize = 0xfffb_d000;

/// Leaf of CPUID that tells how many bits a physical address has, and what to take where it does not.
const CPUID_ADDRESS_BITS: u32 = 0x8000_0008;
const LEAST_ADDRESS_BITS: u32 = 36;

pub(super) fn prepare_vm(vm: &VmFd) -> Result<(), Error> {
    vm.set_tss_address(TSS)?;
    vm.create_irq_chip()
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
pub(super) fn start_vcpu(vm: &VmFd, vcpu: &VcpuFd, doorbell: Gpa) -> Result<(), Error> {
    vm.set_irqchip(&masked_io_apic())?;
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
    (special.gdt.base, special.gdt.limit) = (SEGMENTS, 3 * 8 - 1);
    (special.idt.base, special.idt.limit) = (GATES, 256 * 16 - 1);
    vcpu.set_sregs(&special)?;
    turn_apic_on(vcpu)?;
    let doorbell = DOORBELL + doorbell.get() % LARGE_PAGE;
    vcpu.set_regs(&kvm_regs {
        rip: CODE,
        rsp: STACK,
        rflags: FLAGS,
        rdi: MAILBOX,
        rsi: doorbell,
        r8: INTERRUPT_COUNTS,
        r9: APIC + APIC_END_OF_INTERRUPT,
        r10: HANDLERS,
        ..kvm_regs::default()
    })
}

/// The I/O APIC as after reset.
fn masked_io_apic() -> kvm_irqchip {
    let masked = kvm_ioapic_state__bindgen_ty_1 { bits: IO_APIC_MASK };
    let redirtbl = [masked; INPUTS as usize];
    let ioapic = kvm_ioapic_state { base_address: x86_64::IO_APIC, redirtbl, ..kvm_ioapic_state::default() };
    let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_IOAPIC, ..kvm_irqchip::default() };
    chip.chip.ioapic = ioapic;
    chip
}

fn turn_apic_on(vcpu: &VcpuFd) -> Result<(), Error> {
    let mut apic = vcpu.get_lapic()?;
    // Nothing waits from before the machine was reset.
    apic.regs.iter_mut().skip(APIC_INTERRUPTS).take(APIC_INTERRUPTS_SIZE).for_each(|register| *register = 0);
    for (register, byte) in apic.regs.iter_mut().skip(APIC_SPURIOUS).zip(APIC_ON) {
        // The registers are an array of bytes, and a byte of C is signed here.
        *register = byte.cast_signed();
    }
    vcpu.set_lapic(&apic)
}

/// Writes the page tables, all but the aperture, and the descriptors, and counts no interrupt yet.
pub(super) fn install_tables(ram: &HostMemory, doorbell: Gpa) -> Option<()> {
    let entries = [
        (LEVEL_4, LEVEL_3 | TABLE),
        (LEVEL_3, LEVEL_2_LOW | TABLE),
        (LEVEL_3 + 8 * (APERTURE >> 30), LEVEL_2_APERTURE | TABLE),
        (LEVEL_2_LOW, LARGE),
        (LEVEL_2_LOW + 8 * (APIC / LARGE_PAGE), APIC_AT | LARGE),
        (LEVEL_2_LOW + 8 * (DOORBELL / LARGE_PAGE), (doorbell.get() / LARGE_PAGE * LARGE_PAGE) | LARGE),
    ];
    let segments = [(SEGMENTS + 8, CODE_SEGMENT), (SEGMENTS + 16, DATA_SEGMENT)];
    let store = |(at, entry)| ram.store(at, Width::Qword, entry);
    entries.into_iter().chain(segments).try_for_each(store)?;
    let handlers = CODE.checked_add(program::handlers())?;
    for number in NUMBERS {
        let handler = handlers.checked_add((number - NUMBERS.start) * HANDLER_SIZE)?;
        store((GATES + 16 * number, GATE | handler & 0xffff | (handler & 0xffff_0000) << 32))?;
        store((GATES + 16 * number + 8, handler >> 32))?;
        store((INTERRUPT_COUNTS + 8 * number, 0))?;
        store((HANDLERS + HANDLER_ENTRY * number + 8, 0))?;
        store((LEVEL_2_LOW + 8 * (HANDLER_PAGES / LARGE_PAGE + number), 0))?;
    }
    Some(())
}

/// Has the handler of an interrupt do this, too.
pub(super) fn handle(ram: &HostMemory, handler: Handler) -> Option<()> {
    let number = u64::from(handler.number);
    let page = HANDLER_PAGES / LARGE_PAGE + number;
    ram.store(LEVEL_2_LOW + 8 * page, Width::Qword, (handler.at.get() / LARGE_PAGE * LARGE_PAGE) | LARGE)?;
    let entry = HANDLERS + HANDLER_ENTRY * number;
    let seen = page * LARGE_PAGE + handler.at.get() % LARGE_PAGE;
    // What says that there is something to do comes last.
    for (offset, value) in [(0, handler.every), (16, seen), (24, handler.value.into()), (8, handler.every)] {
        ram.store(entry + offset, Width::Qword, value)?;
    }
    Some(())
}

/// Turns the aperture to `target` and returns the address at which the program sees it. What is up to a large
/// page behind the target is seen, too.
pub(super) fn aim(ram: &HostMemory, target: Gpa) -> Option<u64> {
    let page = target.get() / LARGE_PAGE * LARGE_PAGE;
    ram.store(LEVEL_2_APERTURE, Width::Qword, page | LARGE)?;
    ram.store(LEVEL_2_APERTURE + 8, Width::Qword, page.wrapping_add(LARGE_PAGE) | LARGE)?;
    Some(APERTURE + target.get() % LARGE_PAGE)
}
