//! The registers: two pages of 64 KiB, of which little is used.
//!
//! ```text
//! page 0                                                     page 1
//! 0x00  IDR0 to IDR5, IIDR, AIDR    0x60  GERROR, GERRORN    0x100a8  EVENTQ_PROD
//! 0x20  CR0, CR0ACK, CR1, CR2       0x80  STRTAB_BASE, _CFG  0x100ac  EVENTQ_CONS
//! 0x44  GBPA                        0x90  CMDQ_BASE, PROD, CONS
//! 0x50  IRQ_CTRL, IRQ_CTRLACK       0xa0  EVENTQ_BASE
//! 0x68  GERROR_IRQ_CFG0 to _CFG2    0xb0  EVENTQ_IRQ_CFG0 to _CFG2
//! ```
//!
//! Names and bits are those of Arm's SMMUv3 specification (IHI 0070, chapter 6). Registers of what this SMMU does
//! not have (page requests, secure state, performance counters) read 0.

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u5;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u20;
use cxl_spec::access::Width;
use cxl_spec::register::Register;
use cxl_spec::register::is_sound;

use super::bits::Bits;

cxl_spec::register! {
    /// What the SMMU can do.
    pub struct Idr0("SMMU_IDR0"): u32 {
        /// Stage 2 translation.
        s2p: bool = 0:0, Ro;
        /// Stage 1 translation.
        s1p: bool = 1:1, Ro;
        /// Formats of translation tables: 2 is `AArch64`.
        ttf: u2 = 3:2, Ro;
        /// What the SMMU reads is coherent.
        cohacc: bool = 4:4, Ro;
        /// Takes part in broadcast TLB maintenance.
        btm: bool = 5:5, Ro;
        /// Updates flags in translation tables.
        httu: u2 = 7:6, Ro;
        /// EL2 contexts.
        hyp: bool = 9:9, Ro;
        /// Address translation services of PCI Express.
        ats: bool = 10:10, Ro;
        /// 16-bit address space ids.
        asid16: bool = 12:12, Ro;
        /// Message signalled interrupts.
        msi: bool = 13:13, Ro;
        /// Wakes processors with an event.
        sev: bool = 14:14, Ro;
        /// Page requests.
        pri: bool = 16:16, Ro;
        /// 2-level tables of context descriptors.
        cd2l: bool = 19:19, Ro;
        /// Byte order of translation tables: 2 is little-endian only.
        ttendian: u2 = 22:21, Ro;
        /// Faults: 1 is that nothing stalls.
        stall_model: u2 = 25:24, Ro;
        /// What is terminated is always aborted.
        term_model: bool = 26:26, Ro;
        /// Stream tables: 1 is linear and 2-level.
        st_level: u2 = 28:27, Ro;
    }

    /// Sizes.
    pub struct Idr1("SMMU_IDR1"): u32 {
        /// Bits of a stream id.
        sidsize: u6 = 5:0, Ro;
        /// Bits of a substream id.
        ssidsize: u5 = 10:6, Ro;
        /// Most event queue entries, as a power of two.
        eventqs: u5 = 20:16, Ro;
        /// Most command queue entries, as a power of two.
        cmdqs: u5 = 25:21, Ro;
    }

    /// Address sizes and granules.
    pub struct Idr5("SMMU_IDR5"): u32 {
        /// Encoded size of output addresses.
        oas: u3 = 2:0, Ro;
        /// Granules of 4 KiB.
        gran4k: bool = 4:4, Ro;
        /// Granules of 16 KiB.
        gran16k: bool = 5:5, Ro;
        /// Granules of 64 KiB.
        gran64k: bool = 6:6, Ro;
        /// Size of input addresses: 0 is 48 bits.
        vax: u2 = 11:10, Ro;
    }

    /// The revision of the architecture: 0 is SMMUv3.0.
    pub struct Aidr("SMMU_AIDR"): u32 {
        /// Minor revision.
        minor: u4 = 3:0, Ro;
        /// Major revision.
        major: u4 = 7:4, Ro;
    }

    /// What is switched on; also what CR0ACK reads.
    pub struct Cr0("SMMU_CR0"): u32 {
        /// Translation.
        smmuen: bool = 0:0, Rw;
        /// Writing of the event queue.
        eventqen: bool = 2:2, Rw;
        /// Consuming of the command queue.
        cmdqen: bool = 3:3, Rw;
        /// Checking of accesses that say that they are translated.
        atschk: bool = 4:4, Rw;
    }

    /// Attributes of the SMMU's own accesses.
    pub struct Cr1("SMMU_CR1"): u32 {
        /// Inner cacheability of the queues.
        queue_ic: u2 = 1:0, Rw;
        /// Outer cacheability of the queues.
        queue_oc: u2 = 3:2, Rw;
        /// Shareability of the queues.
        queue_sh: u2 = 5:4, Rw;
        /// Inner cacheability of the tables.
        table_ic: u2 = 7:6, Rw;
        /// Outer cacheability of the tables.
        table_oc: u2 = 9:8, Rw;
        /// Shareability of the tables.
        table_sh: u2 = 11:10, Rw;
    }

    /// More switches.
    pub struct Cr2("SMMU_CR2"): u32 {
        /// Invalid stream ids are recorded.
        recinvsid: bool = 1:1, Rw;
        /// No part in broadcast TLB maintenance.
        ptm: bool = 2:2, Rw;
    }

    /// What becomes of accesses while translation is off.
    pub struct Gbpa("SMMU_GBPA"): u32 {
        /// Memory type.
        memattr: u4 = 3:0, Rw;
        /// The memory type replaces the access's own.
        mtcfg: bool = 4:4, Rw;
        /// Allocation hints.
        alloccfg: u4 = 11:8, Rw;
        /// Shareability.
        shcfg: u2 = 13:12, Rw;
        /// Privilege.
        privcfg: u2 = 17:16, Rw;
        /// Instruction or data.
        instcfg: u2 = 19:18, Rw;
        /// Accesses are aborted.
        abort: bool = 20:20, Rw;
        /// Take what is written; reads 0 when that is done.
        update: bool = 31:31, Rw;
    }

    /// Which interrupts there are; also what IRQ_CTRLACK reads.
    pub struct IrqCtrl("SMMU_IRQ_CTRL"): u32 {
        /// For global errors.
        gerror_irqen: bool = 0:0, Rw;
        /// For the event queue.
        eventq_irqen: bool = 2:2, Rw;
    }

    /// Global errors. One is active while its bits here and in GERRORN differ.
    pub struct Gerror("SMMU_GERROR"): u32 {
        /// The command queue stopped.
        cmdq_err: bool = 0:0, Ro;
        /// An event could not be written.
        eventq_abt_err: bool = 2:2, Ro;
    }

    /// Acknowledged global errors.
    pub struct Gerrorn("SMMU_GERRORN"): u32 {
        /// The command queue stopped.
        cmdq_err: bool = 0:0, Rw;
        /// An event could not be written.
        eventq_abt_err: bool = 2:2, Rw;
    }

    /// Where the message of an interrupt goes.
    pub struct IrqCfg0("SMMU_GERROR_IRQ_CFG0, SMMU_EVENTQ_IRQ_CFG0"): u64 {
        /// Address bits 51:2; 0 if there is no message, and the interrupt comes by wire.
        addr: Bits<50> = 51:2, Rw;
    }

    /// What the message of an interrupt says.
    pub struct IrqCfg1("SMMU_GERROR_IRQ_CFG1, SMMU_EVENTQ_IRQ_CFG1"): u32 {
        /// What is written.
        data: u32 = 31:0, Rw;
    }

    /// Attributes of the message of an interrupt. Memory here has none, so they are kept and no more.
    pub struct IrqCfg2("SMMU_GERROR_IRQ_CFG2, SMMU_EVENTQ_IRQ_CFG2"): u32 {
        /// Memory type.
        memattr: u4 = 3:0, Rw;
        /// Shareability.
        sh: u2 = 5:4, Rw;
    }

    /// Where the stream table is.
    pub struct StrtabBase("SMMU_STRTAB_BASE"): u64 {
        /// Address bits 51:6.
        addr: Bits<46> = 51:6, Rw;
        /// Read-allocate hint.
        ra: bool = 62:62, Rw;
    }

    /// What the stream table is like.
    pub struct StrtabBaseCfg("SMMU_STRTAB_BASE_CFG"): u32 {
        /// Entries of the table, as a power of two.
        log2size: u6 = 5:0, Rw;
        /// Stream id bits that the second level translates.
        split: u5 = 10:6, Rw;
        /// 0 is linear, 1 is 2-level.
        fmt: u2 = 17:16, Rw;
    }

    /// Where a queue is.
    pub struct QueueBase("SMMU_CMDQ_BASE, SMMU_EVENTQ_BASE"): u64 {
        /// Entries, as a power of two.
        log2size: u5 = 4:0, Rw;
        /// Address bits 51:5.
        addr: Bits<47> = 51:5, Rw;
        /// Allocation hint.
        allocate: bool = 62:62, Rw;
    }

    /// Where the next command will be written.
    pub struct CmdqProd("SMMU_CMDQ_PROD"): u32 {
        /// Index and, above it, the wrap bit.
        wr: u20 = 19:0, Rw;
    }

    /// Where the next command will be read.
    pub struct CmdqCons("SMMU_CMDQ_CONS"): u32 {
        /// Index and, above it, the wrap bit.
        rd: u20 = 19:0, Rw;
        /// Why the queue stopped last.
        err: u7 = 30:24, Rw;
    }

    /// Where the next event will be written.
    pub struct EventqProd("SMMU_EVENTQ_PROD"): u32 {
        /// Index and, above it, the wrap bit.
        wr: u20 = 19:0, Rw;
        /// Events were lost, while this and the flag of EVENTQ_CONS differ.
        ovflg: bool = 31:31, Rw;
    }

    /// Where software will read the next event.
    pub struct EventqCons("SMMU_EVENTQ_CONS"): u32 {
        /// Index and, above it, the wrap bit.
        rd: u20 = 19:0, Rw;
        /// What software knows of lost events.
        ovackflg: bool = 31:31, Rw;
    }
}

/// Length of the registers: two pages.
pub const SIZE: u64 = 0x2_0000;

/// Offset of [`Idr0`].
pub const IDR0: u64 = 0x00;
/// Offset of [`Idr1`].
pub const IDR1: u64 = 0x04;
/// Offset of [`Idr5`].
pub const IDR5: u64 = 0x14;
/// Offset of [`Aidr`].
pub const AIDR: u64 = 0x1c;
/// Offset of [`Cr0`].
pub const CR0: u64 = 0x20;
/// Offset of what of [`Cr0`] is in effect.
pub const CR0ACK: u64 = 0x24;
/// Offset of [`Cr1`].
pub const CR1: u64 = 0x28;
/// Offset of [`Cr2`].
pub const CR2: u64 = 0x2c;
/// Offset of [`Gbpa`].
pub const GBPA: u64 = 0x44;
/// Offset of [`IrqCtrl`].
pub const IRQ_CTRL: u64 = 0x50;
/// Offset of what of [`IrqCtrl`] is in effect.
pub const IRQ_CTRLACK: u64 = 0x54;
/// Offset of [`Gerror`].
pub const GERROR: u64 = 0x60;
/// Offset of [`Gerrorn`].
pub const GERRORN: u64 = 0x64;
/// Offset of [`IrqCfg0`] for global errors.
pub const GERROR_IRQ_CFG0: u64 = 0x68;
/// Offset of [`IrqCfg1`] for global errors.
pub const GERROR_IRQ_CFG1: u64 = 0x70;
/// Offset of [`IrqCfg2`] for global errors.
pub const GERROR_IRQ_CFG2: u64 = 0x74;
/// Offset of [`StrtabBase`].
pub const STRTAB_BASE: u64 = 0x80;
/// Offset of [`StrtabBaseCfg`].
pub const STRTAB_BASE_CFG: u64 = 0x88;
/// Offset of the command queue's [`QueueBase`].
pub const CMDQ_BASE: u64 = 0x90;
/// Offset of [`CmdqProd`].
pub const CMDQ_PROD: u64 = 0x98;
/// Offset of [`CmdqCons`].
pub const CMDQ_CONS: u64 = 0x9c;
/// Offset of the event queue's [`QueueBase`].
pub const EVENTQ_BASE: u64 = 0xa0;
/// Offset of [`IrqCfg0`] for the event queue.
pub const EVENTQ_IRQ_CFG0: u64 = 0xb0;
/// Offset of [`IrqCfg1`] for the event queue.
pub const EVENTQ_IRQ_CFG1: u64 = 0xb8;
/// Offset of [`IrqCfg2`] for the event queue.
pub const EVENTQ_IRQ_CFG2: u64 = 0xbc;
/// Offset of [`EventqProd`], in page 1.
pub const EVENTQ_PROD: u64 = 0x1_00a8;
/// Offset of [`EventqCons`], in page 1.
pub const EVENTQ_CONS: u64 = 0x1_00ac;

const DWORD: Width = Width::Dword;

/// The beginning of page 0, up to where nothing more is.
pub const PAGE_0: &[Register] = &[
    Idr0::at(IDR0),
    Idr1::at(IDR1),
    Register::reserved(0x08, DWORD),
    Register::reserved(0x0c, DWORD),
    Register::reserved(0x10, DWORD),
    Idr5::at(IDR5),
    Register::reserved(0x18, DWORD),
    Aidr::at(AIDR),
    Cr0::at(CR0),
    Cr0::at(CR0ACK),
    Cr1::at(CR1),
    Cr2::at(CR2),
    Register::reserved(0x30, Width::Qword),
    Register::reserved(0x38, Width::Qword),
    Register::reserved(0x40, DWORD),
    Gbpa::at(GBPA),
    Register::reserved(0x48, Width::Qword),
    IrqCtrl::at(IRQ_CTRL),
    IrqCtrl::at(IRQ_CTRLACK),
    Register::reserved(0x58, Width::Qword),
    Gerror::at(GERROR),
    Gerrorn::at(GERRORN),
    IrqCfg0::at(GERROR_IRQ_CFG0),
    IrqCfg1::at(GERROR_IRQ_CFG1),
    IrqCfg2::at(GERROR_IRQ_CFG2),
    Register::reserved(0x78, Width::Qword),
    StrtabBase::at(STRTAB_BASE),
    StrtabBaseCfg::at(STRTAB_BASE_CFG),
    Register::reserved(0x8c, DWORD),
    QueueBase::at(CMDQ_BASE),
    CmdqProd::at(CMDQ_PROD),
    CmdqCons::at(CMDQ_CONS),
    QueueBase::at(EVENTQ_BASE),
    Register::reserved(0xa8, Width::Qword),
    IrqCfg0::at(EVENTQ_IRQ_CFG0),
    IrqCfg1::at(EVENTQ_IRQ_CFG1),
    IrqCfg2::at(EVENTQ_IRQ_CFG2),
];

/// What page 1 has, at its offsets from [`EVENTQ_PROD`].
pub const PAGE_1: &[Register] = &[EventqProd::at(0), EventqCons::at(4)];

const _: () = assert!(is_sound(PAGE_0, EVENTQ_IRQ_CFG2 + 4));
const _: () = assert!(is_sound(PAGE_1, 8));
