//! KVM: memory in slots, and one vCPU that runs the guest program.
//!
//! # Rules for the unsafe code in this folder
//!
//! - A memory slot is installed over a mapping that its [`HostMemory`] holds, and whoever holds the slot's window
//!   holds that memory: the slot is removed before the mapping goes.
//! - A file descriptor is made into the type that the KVM crates take only by whoever owns it, and is given up by that.
//! - A call that the KVM crates do not have is given a structure that outlives it.
//! - The guest program's code is read only between its two labels, which the linker placed.

#![allow(unsafe_code, reason = "memory slots are given to the kernel by address, and events by another type")]

mod irq;
mod program;
mod vcpu;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use kvm_bindings::KVMIO;
use kvm_bindings::kvm_ioeventfd;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::Kvm;
use kvm_ioctls::VmFd;
use parking_lot::Mutex;
pub use vcpu::Vcpu;
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl::_IOC_WRITE;
use vmm_sys_util::ioctl::ioctl_expr;
use vmm_sys_util::ioctl::ioctl_with_ref;

use crate::map::memory::HostMemory;
use crate::map::space::Slot;
use crate::map::space::SlotError;
use crate::map::space::Slots;
use crate::run::bus::Bus;
use crate::run::guest::GuestError;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

/// Whether the guest program takes interrupts on the processor that we run on.
pub fn takes_interrupts() -> bool {
    arch::COUNTS.is_some()
}

/// A virtual machine.
#[derive(Debug)]
pub struct Vm {
    kvm: Kvm,
    vm: VmFd,
    /// The numbers of the slots that are in use.
    slots: Mutex<BTreeSet<u32>>,
    /// The messages that are routed to the guest.
    routes: Mutex<irq::Routes>,
}

impl Vm {
    /// A virtual machine without memory.
    ///
    /// # Errors
    /// If there is no KVM here, or it refuses.
    pub fn new() -> Result<Arc<Self>, GuestError> {
        let setup = |what| move |error: kvm_ioctls::Error| GuestError::Setup { what, why: error.to_string() };
        let kvm = Kvm::new().map_err(setup("opening /dev/kvm"))?;
        let vm = kvm.create_vm().map_err(setup("creating a virtual machine"))?;
        arch::prepare_vm(&vm).map_err(setup("preparing a virtual machine"))?;
        Ok(Arc::new(Self { kvm, vm, slots: Mutex::default(), routes: Mutex::default() }))
    }

    /// Starts the vCPU on the guest program, which is put into the first mebibyte of `ram`.
    pub(crate) fn start(
        self: &Arc<Self>,
        ram: HostMemory,
        bus: Arc<Bus>,
        timeout: Duration,
    ) -> Result<Vcpu, GuestError> {
        Vcpu::start(self.clone(), ram, bus, timeout)
    }

    fn set_slot(&self, slot: u32, at: Gpa, host_address: u64, size: u64) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: at.get(),
            memory_size: size,
            userspace_addr: host_address,
        };
        // SAFETY: the address and size are those of a live mapping, which lives until the slot is removed: see
        // the rules above. A size of 0 removes a slot and touches no memory.
        unsafe { self.vm.set_user_memory_region(region) }
    }
}

/// The number of the call that makes writes into events.
const KVM_IOEVENTFD: libc::c_ulong = ioctl_expr(_IOC_WRITE, KVMIO, 0x79, size_of::<kvm_ioeventfd>() as u32);

impl Vm {
    fn ioeventfd(&self, event: &kvm_ioeventfd) -> Result<(), kvm_ioctls::Error> {
        // SAFETY: the call reads this structure, which is of the type that its number stands for, and keeps nothing of
        // it but the event, of which it has a reference of its own.
        let outcome = unsafe { ioctl_with_ref(&self.vm, KVM_IOEVENTFD, event) };
        if outcome == 0 { Ok(()) } else { Err(kvm_ioctls::Error::last()) }
    }
}

/// The same event as the type that the KVM crates take.
fn event_fd(event: BorrowedFd<'_>) -> io::Result<EventFd> {
    let copy = event.try_clone_to_owned()?;
    // SAFETY: the descriptor is our own copy, which is given up here, so that nobody else closes it.
    Ok(unsafe { EventFd::from_raw_fd(copy.into_raw_fd()) })
}

impl Slots for Vm {
    fn insert(&self, at: Span<Gpa>, memory: &HostMemory) -> Result<Slot, SlotError> {
        let refused = |why: String| SlotError { at, why };
        let bits = arch::address_bits(&self.kvm, &self.vm);
        if at.end().get() > 1u64.checked_shl(bits).unwrap_or(u64::MAX) {
            return Err(refused(format!("guest physical addresses have {bits} bits on this host")));
        }
        let mut slots = self.slots.lock();
        let most = self.kvm.get_nr_memslots() as u32;
        let free = (0..most).find(|slot| !slots.contains(slot));
        let slot = free.ok_or_else(|| refused(format!("all {most} memory slots are in use")))?;
        self.set_slot(slot, at.start(), memory.host_address(), at.size())
            .map_err(|error| refused(format!("KVM refuses: {error}")))?;
        slots.insert(slot);
        Ok(Slot(slot))
    }

    fn remove(&self, Slot(slot): Slot) {
        let mut slots = self.slots.lock();
        // Removing a slot that is there cannot fail; should it, its number is not given out again.
        if self.set_slot(slot, Gpa::new(0), 0, 0).is_ok() {
            slots.remove(&slot);
        }
    }
}
