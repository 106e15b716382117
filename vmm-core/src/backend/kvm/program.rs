//! The guest program: its code, its mailbox, and where they are in guest memory.
//!
//! # Rules
//!
//! The code lies between two labels in read-only data, the third is between them; nothing is read outside them.
//!
//! ```text
//! loop:  forget old translations
//!        read address, operation, value, count from the mailbox
//!        load, store or fill; or store, load and count until it is enough
//!        put what was loaded into the mailbox
//!        write to the doorbell                     ── exit: the order is done
//!        jump loop
//!
//! handlers, on x86-64: see whether it is meant, count, store what is told, tell the APIC, return
//! ```

#![allow(unsafe_code, reason = "the code's bytes are found by two labels")]

use core::arch::global_asm;

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;

use crate::map::memory::HostMemory;
use crate::run::guest::Order;
use crate::run::guest::Rounds;

#[cfg(target_arch = "x86_64")]
global_asm!(include_str!("program_x86_64.s"));
#[cfg(target_arch = "aarch64")]
global_asm!(include_str!("program_aarch64.s"));

unsafe extern "C" {
    static cxl_sim_guest_program: u8;
    static cxl_sim_guest_program_end: u8;
    #[cfg(target_arch = "x86_64")]
    static cxl_sim_guest_handlers: u8;
}

/// Where the code is in guest memory.
pub(super) const CODE: u64 = 0x1_0000;

/// Where the mailbox is in guest memory.
pub(super) const MAILBOX: u64 = 0x1_1000;

/// Where the stack ends, in the same large page as code and mailbox.
#[cfg(target_arch = "x86_64")]
pub(super) const STACK: u64 = 0x1_3000;
/// The code ends before the mailbox.
const MOST_CODE: u64 = MAILBOX - CODE;

/// Offsets in the mailbox.
const ADDRESS: u64 = 0;
const OPERATION: u64 = 8;
const VALUE: u64 = 16;
const COUNT: u64 = 24;
const ENOUGH: u64 = 32;
const KEPT: u64 = 48;
const ONES: u64 = 56;
const OTHERS: u64 = 64;

/// Operations: loads from 0, stores from 4, by the width's power of two.
const STORE: u64 = 4;
const FILL: u64 = 8;
const RUN: u64 = 9;
const AGAIN: u64 = 10;

/// The code.
fn code() -> &'static [u8] {
    let start = &raw const cxl_sim_guest_program;
    let end = &raw const cxl_sim_guest_program_end;
    let length = (end as usize).saturating_sub(start as usize);
    // SAFETY: both labels are in one section of this object, the second behind the first, and what is between is
    // initialised, never written and never freed.
    unsafe { core::slice::from_raw_parts(start, length) }
}

/// Where the handlers of interrupts are in the code.
#[cfg(target_arch = "x86_64")]
pub(super) fn handlers() -> u64 {
    let start = &raw const cxl_sim_guest_program;
    let handlers = &raw const cxl_sim_guest_handlers;
    (handlers as u64).saturating_sub(start as u64)
}

/// Puts the code into guest memory. Nothing if there is no room.
pub(super) fn install(ram: &HostMemory) -> Option<()> {
    Some(code()).filter(|code| code.len() as u64 <= MOST_CODE).and_then(|code| ram.write(CODE, code))
}

/// Puts an order into the mailbox, which the program shall carry out at its address `address`.
pub(super) fn post(ram: &HostMemory, order: Order, address: u64) -> Option<()> {
    let (operation, value, count) = match order {
        Order::Load { width, .. } => (power(width), 0, 0),
        Order::Store { width, value, .. } => (STORE + power(width), value, 0),
        Order::Fill { count, value, .. } => (FILL, value, count),
        Order::Run { .. } => (RUN, 0, 0),
        Order::Again { value, .. } => (AGAIN, value, 0),
    };
    for (offset, word) in [(ADDRESS, address), (OPERATION, operation), (VALUE, value), (COUNT, count)] {
        ram.store(MAILBOX + offset, Width::Qword, word)?;
    }
    Some(())
}

/// What the program left in the mailbox: what it loaded, if that was the order.
pub(super) fn collect(ram: &HostMemory, order: Order) -> Option<u64> {
    match order {
        Order::Load { width, .. } => Some(ram.load(MAILBOX + VALUE, Width::Qword)? & width.mask()),
        Order::Run { .. } => ram.load(MAILBOX + VALUE, Width::Qword),
        Order::Store { .. } | Order::Fill { .. } | Order::Again { .. } => Some(0),
    }
}

/// Nothing has come yet of what shall be done again and again, and it is not enough.
pub(super) fn count_anew(ram: &HostMemory) -> Option<()> {
    [ENOUGH, KEPT, ONES, OTHERS].into_iter().try_for_each(|at| ram.store(MAILBOX + at, Width::Qword, 0))
}

/// It is enough.
pub(super) fn enough(ram: &HostMemory) -> Option<()> {
    ram.store(MAILBOX + ENOUGH, Width::Qword, 1)
}

/// What has come of it.
pub(super) fn rounds(ram: &HostMemory) -> Rounds {
    let [kept, ones, others] =
        [KEPT, ONES, OTHERS].map(|at| ram.load(MAILBOX + at, Width::Qword).unwrap_or_default());
    Rounds { kept, ones, others }
}

/// The address that an order is about.
pub(super) fn address_of(order: Order) -> Gpa {
    match order {
        Order::Load { at, .. } | Order::Store { at, .. } | Order::Fill { at, .. } => at,
        Order::Run { at } | Order::Again { at, .. } => at,
    }
}

fn power(width: Width) -> u64 {
    width.bytes().trailing_zeros().into()
}
