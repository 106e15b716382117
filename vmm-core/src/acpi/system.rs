//! What the tables tell of: a machine in plain values, with nothing of how it came to be.
//!
//! Whoever has planned a machine fills this in; [`System::check`] then says whether it can be told.

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;

/// A machine, as its firmware sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// What only this architecture has.
    pub platform: Platform,
    /// The processors. Number n has the ACPI processor UID n.
    pub cpus: Vec<Cpu>,
    /// The memory of the machine, without that of devices.
    pub ram: Vec<Ram>,
    /// Where the RSDP is put, which is the root pointer: in RAM, and not among the other tables.
    pub root: Gpa,
    /// Where the other tables are put: [`super::TABLES_SIZE`] bytes of RAM from here on.
    pub tables: Gpa,
    /// Configuration space.
    pub ecam: Ecam,
    /// The host bridges, each with buses of its own.
    pub bridges: Vec<Bridge>,
    /// The CXL fixed memory windows.
    pub windows: Vec<FixedWindow>,
    /// How long memory is away.
    pub access: Access,
    /// Root ports answer the devices' address translation requests (ATS).
    pub ats: bool,
    /// The console.
    pub uart: Option<Uart>,
    /// The guest must keep BARs, bridge windows and bus numbers as they are.
    pub preserve_config: bool,
    /// Which bridge's resources name the fixed memory windows.
    pub fmws_in_crs: FmwsInCrs,
}

/// What only one architecture has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platform {
    /// x86-64: APICs.
    X86_64 {
        /// Where every processor finds its local APIC.
        local_apic: Gpa,
        /// The I/O APIC.
        io_apic: IoApic,
    },
    /// aarch64: a GIC, version 3, with an ITS, the processors' timers, SMMUs.
    Aarch64 {
        /// The interrupt controller.
        gic: Gic,
        /// The timers' interrupts.
        timer: Timer,
        /// The SMMUs.
        smmus: Vec<Smmu>,
    },
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its number.
    pub id: u8,
    /// Where it is.
    pub base: Gpa,
    /// The global system interrupt of its first input.
    pub first_interrupt: u32,
}

/// A GIC of version 3 with an ITS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gic {
    /// The distributor, of [`GICD_SIZE`] bytes.
    pub distributor: Gpa,
    /// Where the redistributors are, [`GICR_SIZE`] bytes for each processor.
    pub redistributors: Vec<Span<Gpa>>,
    /// The interrupt translation service, of [`ITS_SIZE`] bytes.
    pub its: Gpa,
}

/// Length of a distributor.
pub const GICD_SIZE: u64 = 0x1_0000;

/// Length of a processor's redistributor.
pub const GICR_SIZE: u64 = 0x2_0000;

/// Length of an interrupt translation service.
pub const ITS_SIZE: u64 = 0x2_0000;

/// The interrupts of a processor's timers: each a private one, 16 to 31. They are level-triggered, active high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Of the secure EL1 timer.
    pub secure_el1: u32,
    /// Of the non-secure EL1 timer.
    pub non_secure_el1: u32,
    /// Of the virtual timer.
    pub virtual_el1: u32,
    /// Of the EL2 timer.
    pub non_secure_el2: u32,
}

/// An SMMUv3. It serves all buses of one host bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Smmu {
    /// Where it is: [`SMMU_SIZE`] bytes.
    pub base: Gpa,
    /// The first of its four interrupts: events, page requests, synchronisation, global errors.
    pub first_interrupt: u32,
    /// First bus of the host bridge that it serves.
    pub bus: u8,
}

/// Length of an SMMUv3's two pages of registers, each of 64 KiB.
pub const SMMU_SIZE: u64 = 0x2_0000;

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its local APIC ID, or its MPIDR.
    pub id: u64,
    /// Its proximity domain.
    pub node: u32,
}

/// A run of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// Where it is.
    pub span: Span<Gpa>,
    /// Its proximity domain.
    pub node: u32,
}

/// Configuration space of the one segment, from bus 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// The PCI segment.
    pub segment: u16,
    /// Where bus 0 is.
    pub base: Gpa,
    /// How many buses there are, 1 MiB each: a power of two, at most 256.
    pub buses: u16,
}

/// Length of a bus in configuration space.
pub const ECAM_BUS_SIZE: u64 = 1 << 20;

/// A host bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// First of its buses: its unique ID as well.
    pub bus: u8,
    /// Last of its buses.
    pub last_bus: u8,
    /// What it is.
    pub kind: BridgeKind,
    /// Where its BARs of 32 bits are.
    pub memory32: Option<Span<Gpa>>,
    /// Where its BARs of 64 bits are.
    pub memory64: Option<Span<Gpa>>,
    /// Its I/O ports.
    pub io: Option<IoWindow>,
    /// The proximity domain that it is near to.
    pub node: Option<u32>,
    /// The global system interrupts that INTA to INTD of its device 0 are wired to, and with them those of the device
    /// below that, if they are wired at all.
    pub pins: Option<[u32; 4]>,
}

/// What a host bridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BridgeKind {
    /// A PCI Express host bridge.
    Pcie,
    /// A CXL host bridge.
    Cxl {
        /// Where its component registers (CHBCR) are: [`CHBCR_SIZE`] bytes.
        registers: Gpa,
        /// The proximity domain of its generic port, which nothing else may have.
        port: u32,
    },
}

/// Length of a CXL host bridge's component registers.
pub const CHBCR_SIZE: u64 = 0x1_0000;

/// A run of I/O ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoWindow {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
    /// Where a processor reaches the first one: an address on aarch64, the port itself on x86-64.
    pub at: u32,
}

/// A CXL fixed memory window with one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedWindow {
    /// Where it is: multiples of [`WINDOW_GRANULE`].
    pub span: Span<Gpa>,
    /// The unique ID of the CXL host bridge that it leads to: its first bus.
    pub target: u8,
    /// Who keeps the memory behind it coherent, and how.
    pub coherency: Coherency,
    /// What is decoded in it is there already and must stay.
    pub fixed: bool,
}

/// What windows are multiples of.
pub const WINDOW_GRANULE: u64 = 256 << 20;

/// How device memory is kept coherent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coherency {
    /// By the device, which asks over CXL.cache.
    HdmD,
    /// By the device, which asks by back-invalidation.
    HdmDb,
}

/// How long memory is away, whoever asks: the same of all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Within a proximity domain.
    pub local: Distance,
    /// To another one, the ports of CXL host bridges among them.
    pub remote: Distance,
}

/// How long memory is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// Nanoseconds until an access is answered.
    pub latency: u16,
    /// Gigabytes a second.
    pub bandwidth: u16,
}

/// The console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// A PL011's registers on aarch64, the first port of a 16550 on x86-64.
    pub at: Gpa,
    /// Its interrupt.
    pub interrupt: u32,
}

/// Length of a PL011's registers.
pub const PL011_SIZE: u64 = 0x1000;

/// How many ports a 16550 has.
pub const NS16550_PORTS: u8 = 8;

/// Which bridge's resources name the range of the CXL fixed memory windows.
///
/// What it means for a guest: a range in a bridge's resources is memory for the PCI devices below it, and Linux deals
/// it out. It puts the prefetchable window of a root port that can be plugged at the start of the first CXL window
/// (`cargo ci linux` sees it), and the other bridges' windows are the first bridge's, too. Out of all resources, the
/// windows are memory that nobody but the CXL driver touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FmwsInCrs {
    /// The CXL host bridge with the lowest bus: as the QEMU series does for aarch64.
    FirstBridge,
    /// None: the windows are known from the CEDT alone, which is what Linux expects.
    Nowhere,
}

impl FmwsInCrs {
    /// What it is on a platform unless somebody says otherwise.
    pub fn of(platform: &Platform) -> Self {
        match platform {
            Platform::X86_64 { .. } => Self::Nowhere,
            Platform::Aarch64 { .. } => Self::FirstBridge,
        }
    }
}

impl Bridge {
    /// Its unique ID: in its `_UID`, in the CEDT, in the targets of windows and in the SRAT.
    pub fn uid(&self) -> u32 {
        self.bus.into()
    }

    /// It is a CXL host bridge.
    pub fn is_cxl(&self) -> bool {
        matches!(self.kind, BridgeKind::Cxl { .. })
    }
}

impl Access {
    /// The way within a domain, or to another one.
    pub(super) fn of(&self, local: bool) -> Distance {
        if local { self.local } else { self.remote }
    }
}

impl System {
    /// The CXL host bridge with the lowest bus.
    pub(super) fn first_cxl(&self) -> Option<&Bridge> {
        self.bridges.iter().filter(|bridge| bridge.is_cxl()).min_by_key(|bridge| bridge.bus)
    }

    /// What the fixed memory windows reach from and to.
    pub(super) fn windows_range(&self) -> Option<Span<Gpa>> {
        let start = self.windows.iter().map(|window| window.span.start()).min()?;
        let end = self.windows.iter().map(|window| window.span.end()).max()?;
        Span::new(start, end.offset_from(start)?)
    }
}
