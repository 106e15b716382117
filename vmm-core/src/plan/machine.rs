//! The machine that the guest sees: where things may be. A policy, as constants with their reasons.
//!
//! ```text
//! 0x0000_0000              RAM, at most 2 GiB of it            (the first MiB is the guest program's)
//! 0xb000_0000  256 MiB     ECAM: configuration space, 1 MiB a bus
//! 0xc000_0000              BARs that have only 32 bits
//! 0xfe00_0000  4 KiB       doorbell: the guest program says here that it is done
//! 4 GiB                    the rest of RAM
//! then, from 1 GiB on      64-bit BARs, each at a multiple of its size
//! then, from 256 MiB on    CXL fixed memory windows, packed
//! ```
//!
//! The layout is that of an x86-64 machine like QEMU's q35. It never depends on the host: what the host cannot
//! do is found out afterwards, so that the map is the same everywhere.

use std::ops::RangeInclusive;

use cxl_spec::address::Bdf;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

/// What can be chosen about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// RAM in bytes: a multiple of 2 MiB, at least 4 MiB.
    pub ram: u64,
    /// How many bits a guest physical address has.
    pub address_bits: u32,
    /// Page size of the host: what is mapped begins and ends at a multiple of it.
    pub page_size: u64,
}

/// RAM unless somebody says otherwise: the guest is a page of code.
pub const DEFAULT_RAM: u64 = 64 << 20;

/// Address bits unless somebody says otherwise: a common server's.
pub const DEFAULT_ADDRESS_BITS: u32 = 46;

/// How many address bits there can be: x86-64 processors have no fewer and no more.
pub const ADDRESS_BITS: RangeInclusive<u32> = 36..=52;

/// What RAM is a multiple of: the guest program's pages are this large.
pub const RAM_GRANULE: u64 = 2 << 20;

/// The least RAM: the guest program's own mebibyte, and some to play with.
pub const LEAST_RAM: u64 = 4 << 20;

/// The most RAM.
pub const MOST_RAM: u64 = 1 << 40;

/// The first bytes of RAM belong to the guest program: its tables, its code, its mailbox.
pub const PROGRAM_SIZE: u64 = 1 << 20;

/// Where RAM below 4 GiB ends, if there is so much.
pub(super) const LOW_RAM_END: u64 = 2 << 30;

/// Where RAM goes on.
pub(super) const HIGH_RAM: u64 = 4 << 30;

/// Where configuration space is.
const ECAM: u64 = 0xb000_0000;

/// Length of one bus in it.
const ECAM_BUS_SIZE: u64 = 1 << 20;

/// How many buses it has.
const ECAM_BUSES: u64 = 256;

/// Length of one function in it.
pub const ECAM_FUNCTION_SIZE: u64 = 0x1000;

/// Where BARs of 32 bits may be.
pub(super) const BARS_32: (u64, u64) = (0xc000_0000, 0xfe00_0000);

/// Where the guest program says that it is done.
const DOORBELL: u64 = 0xfe00_0000;

/// What the first 64-bit BAR's place is a multiple of.
pub(super) const BARS_64_ALIGNMENT: u64 = 1 << 30;

impl Default for Machine {
    fn default() -> Self {
        let page_size = rustix::param::page_size() as u64;
        Self { ram: DEFAULT_RAM, address_bits: DEFAULT_ADDRESS_BITS, page_size }
    }
}

impl Machine {
    /// The first address that no guest physical address has.
    pub(super) fn limit(&self) -> u64 {
        1u64.checked_shl(self.address_bits).unwrap_or(u64::MAX)
    }

    /// The configuration space of function 0 of device `slot` on bus 0, which is 1 to 31.
    pub(super) fn function(slot: u8) -> Option<(Bdf, Gpa)> {
        let bdf = Bdf::new(0, slot, 0)?;
        Some((bdf, Gpa::new(ECAM + u64::from(bdf.requester_id()) * ECAM_FUNCTION_SIZE)))
    }
}

/// Configuration space of all buses.
pub fn ecam() -> Option<Span<Gpa>> {
    Span::new(Gpa::new(ECAM), ECAM_BUS_SIZE * ECAM_BUSES)
}

/// The page to which the guest program writes when it is done.
pub fn doorbell() -> Option<Span<Gpa>> {
    Span::new(Gpa::new(DOORBELL), 0x1000)
}
