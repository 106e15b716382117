//! What can be chosen about the machine, and what is the same whatever is chosen.
//!
//! Where things are, a file for each architecture says: [`x86_64`] and [`aarch64`].

use std::ops::RangeInclusive;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

use super::PlanError;
use super::aarch64;
use super::defect::Defect;
use super::dma::Wish;
use super::firmware::Telling;
use super::iommu::SmmuIntent;
use super::layout::Cursor;
use super::life::Life;
use super::topology::Topology;
use super::x86_64;
use crate::plan::Placed;

/// What can be chosen about the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Whose layout it has. Every guest but KVM's can run either on any host.
    pub arch: Arch,
    /// RAM in bytes: a multiple of 2 MiB, at least 4 MiB.
    pub ram: u64,
    /// How many bits a guest physical address has.
    pub address_bits: u32,
    /// Page size of the host: what is mapped begins and ends at a multiple of it.
    pub page_size: u64,
    /// Its host bridges and windows, and which device is below which bridge.
    pub topology: Topology,
    /// What devices may reach.
    pub dma: Wish,
    /// Its SMMUs.
    pub smmus: Vec<SmmuIntent>,
    /// How the guest is told of it.
    pub telling: Telling,
    /// Who commits decoders, and what follows a reset.
    pub life: Life,
    /// What is wrong with it on purpose.
    pub defects: Vec<Defect>,
}

/// Whose layout a machine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    /// Like QEMU's `q35`.
    #[default]
    X86_64,
    /// Like QEMU's `virt`.
    Aarch64,
}

/// RAM unless somebody says otherwise: the guest is a page of code.
pub const DEFAULT_RAM: u64 = 64 << 20;

/// How many address bits there can be: processors have no fewer and no more.
pub const ADDRESS_BITS: RangeInclusive<u32> = 36..=52;

/// What RAM is a multiple of: the guest program's pages are this large.
pub const RAM_GRANULE: u64 = 2 << 20;

/// The least RAM: the guest program's own mebibyte, and some to play with.
pub const LEAST_RAM: u64 = 4 << 20;

/// The most RAM.
pub const MOST_RAM: u64 = 1 << 40;

/// The first bytes of RAM belong to the guest program: its tables, its code, its mailbox.
pub const PROGRAM_SIZE: u64 = 1 << 20;

/// Length of one bus in configuration space.
pub(super) const ECAM_BUS_SIZE: u64 = 1 << 20;

/// How many buses it has.
pub(super) const ECAM_BUSES: u64 = 256;

/// Length of one function in it.
pub const ECAM_FUNCTION_SIZE: u64 = 0x1000;

/// Where things may be, as an architecture has it.
pub(super) struct Layout {
    /// What has its place whatever devices there are.
    pub(super) fixed: Vec<Placed>,
    /// Configuration space.
    pub(super) ecam: Span<Gpa>,
    /// Registers of host bridges, a slot each.
    pub(super) slots: Cursor,
    /// Registers of SMMUs.
    pub(super) smmus: Cursor,
    /// What the bridges' windows of 32 bits are cut from.
    pub(super) low: Cursor,
    /// What the bridges' windows of 64 bits are cut from.
    pub(super) high: Cursor,
    /// Where CXL fixed memory windows go. Nothing: directly behind the bridges' windows of 64 bits.
    pub(super) windows: Option<Cursor>,
}

impl Arch {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The name in scenarios and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Address bits unless somebody says otherwise: a common server's. The `virt` layout has half of 40 bits taken
    /// before its windows begin.
    pub fn default_address_bits(self) -> u32 {
        match self {
            Self::X86_64 => 46,
            Self::Aarch64 => 48,
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        let arch = Arch::default();
        Self {
            arch,
            ram: DEFAULT_RAM,
            address_bits: arch.default_address_bits(),
            page_size: rustix::param::page_size() as u64,
            topology: Topology::default(),
            dma: Wish::default(),
            smmus: Vec::new(),
            telling: Telling::default(),
            life: Life::default(),
            defects: Vec::new(),
        }
    }
}

impl Machine {
    /// The first address that no guest physical address has.
    pub(super) fn limit(&self) -> u64 {
        1u64.checked_shl(self.address_bits).unwrap_or(u64::MAX)
    }

    /// Whether it has this defect.
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    /// Whether there can be such a machine.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let wrong = |field, value, why| Err(PlanError::Machine { field, value, why });
        if !self.ram.is_multiple_of(RAM_GRANULE) {
            return wrong("ram", self.ram, "must be a multiple of 2 MiB");
        }
        if !(LEAST_RAM..=MOST_RAM).contains(&self.ram) {
            return wrong("ram", self.ram, "must be 4 MiB to 1 TiB");
        }
        if !ADDRESS_BITS.contains(&self.address_bits) {
            return wrong("address_bits", self.address_bits.into(), "must be 36 to 52");
        }
        if !self.page_size.is_power_of_two() || self.page_size < 0x1000 {
            return wrong("page_size", self.page_size, "must be a power of two from 4 KiB");
        }
        Ok(())
    }

    /// Where things may be in this machine.
    pub(super) fn layout(&self) -> Result<Layout, PlanError> {
        match self.arch {
            Arch::X86_64 => x86_64::layout(self),
            Arch::Aarch64 => aarch64::layout(self),
        }
    }
}

/// The page to which the guest program writes when it is done. It runs in the layout of x86-64, whatever the host.
pub fn doorbell() -> Option<Span<Gpa>> {
    x86_64::doorbell()
}
