//! The CXL device DVSEC, id 0: what the device is and may (CXL 3.2, 8.1.3).
//!
//! Revision 2, 0x3c bytes. `Rwl` here means: locked by [`Lock::config_lock`].

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u5;

use crate::access::Width;
use crate::dvsec::HEADER_1;
use crate::dvsec::HEADER_2;
use crate::dvsec::Header1;
use crate::dvsec::Header2;
use crate::pci::ExtendedCapability;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What the device can do.
    pub struct Capability("DVSEC CXL Capability"): u16 {
        /// Speaks CXL.cache.
        cache_capable: bool = 0:0, HwInit;
        /// Speaks CXL.io; always 1.
        io_capable: bool = 1:1, HwInit;
        /// Speaks CXL.mem.
        mem_capable: bool = 2:2, HwInit;
        /// Initialises its memory itself.
        mem_hwinit_mode: bool = 3:3, HwInit;
        /// Number of memory ranges, 0 to 2.
        hdm_count: u2 = 5:4, HwInit;
        /// Can write back and invalidate its cache on request.
        cache_writeback_invalidate_capable: bool = 6:6, HwInit;
        /// Can do a CXL reset.
        cxl_reset_capable: bool = 7:7, HwInit;
        /// How long a CXL reset may take: 10 ms times 10^n.
        cxl_reset_timeout: u3 = 10:8, HwInit;
        /// Can clear its memory in a CXL reset.
        cxl_reset_mem_clear_capable: bool = 11:11, HwInit;
        /// Speaks the TEE security protocol.
        tsp_capable: bool = 12:12, HwInit;
        /// Is several logical devices.
        multiple_logical_device: bool = 13:13, HwInit;
        /// Handles viral; must be 1.
        viral_capable: bool = 14:14, HwInit;
        /// Reports the end of power management initialisation; must be 1.
        pm_init_completion_reporting_capable: bool = 15:15, HwInit;
    }

    /// What the device may do.
    pub struct Control("DVSEC CXL Control"): u16 {
        /// CXL.cache is on.
        cache_enable: bool = 0:0, Rwl;
        /// CXL.io is on; always 1.
        io_enable: bool = 1:1, Ro;
        /// CXL.mem is on.
        mem_enable: bool = 2:2, Rwl;
        /// Snoop filter coverage hint: 0 none, else 2^(n + 15) bytes.
        snoop_filter_coverage: u5 = 7:3, Rwl;
        /// Snoop filter granularity hint: 64 bytes << n.
        snoop_filter_granularity: u3 = 10:8, Rwl;
        /// Hint: clean evictions are not needed.
        clean_eviction: bool = 11:11, Rwl;
        /// Direct peer-to-peer memory; only with the capability, which this device does not have.
        direct_p2p_mem_enable: bool = 12:12, Ro;
        /// Viral is on.
        viral_enable: bool = 14:14, Rwl;
    }

    /// What happened to the device.
    pub struct Status("DVSEC CXL Status"): u16 {
        /// The device went viral.
        viral_status: bool = 14:14, Rw1cs;
    }

    /// Requests to the device.
    pub struct Control2("DVSEC CXL Control 2"): u16 {
        /// Do not cache new modified lines.
        disable_caching: bool = 0:0, Rw;
        /// Write back and invalidate the cache; reads 0.
        initiate_cache_writeback_invalidate: bool = 1:1, Rw;
        /// Do a CXL reset; reads 0.
        initiate_cxl_reset: bool = 2:2, Rw;
        /// Clear the memory in a CXL reset.
        cxl_reset_mem_clear_enable: bool = 3:3, Rw;
        /// Desired state of volatile memory after a hot reset; only with the capability.
        desired_volatile_state: bool = 4:4, RsvdP;
        /// Completion of modified data; only with the capability.
        modified_completion_enable: bool = 5:5, RsvdP;
    }

    /// Answers of the device.
    pub struct Status2("DVSEC CXL Status 2"): u16 {
        /// No valid line is held and caching is disabled.
        cache_invalid: bool = 0:0, Ro;
        /// The last CXL reset is complete.
        cxl_reset_complete: bool = 1:1, Ro;
        /// The last CXL reset failed.
        cxl_reset_error: bool = 2:2, Ro;
        /// Volatile memory was not preserved as desired.
        volatile_preservation_error: bool = 3:3, Rw1cs;
        /// Power management initialisation is complete.
        pm_init_completion: bool = 15:15, Ro;
    }

    /// The lock of this DVSEC.
    pub struct Lock("DVSEC CXL Lock"): u16 {
        /// Locks the `Rwl` fields of control and range bases until a conventional reset.
        config_lock: bool = 0:0, Rwo;
    }

    /// What else the device can do.
    pub struct Capability2("DVSEC CXL Capability 2"): u16 {
        /// Unit of the cache size: 0 not reported, 1 for 64 KiB, 2 for 1 MiB.
        cache_size_unit: u4 = 3:0, HwInit;
        /// Fallback: 0 none, 1 PCIe, 2 Type 1, 3 Type 3.
        fallback: u2 = 5:4, HwInit;
        /// Can complete modified data.
        modified_completion_capable: bool = 6:6, HwInit;
        /// Never writes back clean data.
        no_clean_writeback: bool = 7:7, HwInit;
        /// Cache size in units.
        cache_size: u8 = 15:8, HwInit;
    }

    /// Upper half of a range's size.
    pub struct RangeSizeHigh("DVSEC CXL Range Size High"): u32 {
        /// Size bits 63:32.
        size: u32 = 31:0, HwInit;
    }

    /// Lower half of a range's size, and what the range is.
    pub struct RangeSizeLow("DVSEC CXL Range Size Low"): u32 {
        /// This register and its upper half are valid.
        info_valid: bool = 0:0, Ro;
        /// The memory can be used.
        active: bool = 1:1, Ro;
        /// Media type; 2 means: see the CDAT.
        media_type: u3 = 4:2, HwInit;
        /// Memory class; 2 means: see the CDAT.
        memory_class: u3 = 7:5, HwInit;
        /// Desired interleave: 0 none.
        desired_interleave: u5 = 12:8, HwInit;
        /// How long until active: 1 s times 4^n.
        active_timeout: u3 = 15:13, HwInit;
        /// Active with less than the full size.
        active_degraded: bool = 16:16, Ro;
        /// Size bits 31:28.
        size: u4 = 31:28, HwInit;
    }

    /// Upper half of a range's base.
    pub struct RangeBaseHigh("DVSEC CXL Range Base High"): u32 {
        /// Address bits 63:32.
        base: u32 = 31:0, Rwl;
    }

    /// Lower half of a range's base.
    pub struct RangeBaseLow("DVSEC CXL Range Base Low"): u32 {
        /// Address bits 31:28.
        base: u4 = 31:28, Rwl;
    }

    /// What the device can do with volatile memory over resets, and peer to peer.
    pub struct Capability3("DVSEC CXL Capability 3"): u16 {
        /// Default state after a cold reset.
        default_after_cold_reset: bool = 0:0, HwInit;
        /// Default state after a warm reset.
        default_after_warm_reset: bool = 1:1, HwInit;
        /// Default state after a hot reset.
        default_after_hot_reset: bool = 2:2, HwInit;
        /// The state after a hot reset can be chosen.
        volatile_configurability: bool = 3:3, HwInit;
        /// Can do direct peer-to-peer memory.
        direct_p2p_mem_capable: bool = 4:4, HwInit;
    }
}

/// Revision of the layout described here.
pub const REVISION: u4 = u4::new(2);

/// Length in bytes.
pub const SIZE: u64 = 0x3c;

/// Offset of the capability register.
pub const CAPABILITY: u64 = 0x0a;
/// Offset of the control register.
pub const CONTROL: u64 = 0x0c;
/// Offset of the status register.
pub const STATUS: u64 = 0x0e;
/// Offset of the control 2 register.
pub const CONTROL_2: u64 = 0x10;
/// Offset of the status 2 register.
pub const STATUS_2: u64 = 0x12;
/// Offset of the lock register.
pub const LOCK: u64 = 0x14;
/// Offset of the capability 2 register.
pub const CAPABILITY_2: u64 = 0x16;
/// Offset of range 1's size, upper half; the lower half follows.
pub const RANGE_1_SIZE_HIGH: u64 = 0x18;
/// Offset of range 1's size, lower half.
pub const RANGE_1_SIZE_LOW: u64 = 0x1c;
/// Offset of range 1's base, upper half.
pub const RANGE_1_BASE_HIGH: u64 = 0x20;
/// Offset of range 1's base, lower half.
pub const RANGE_1_BASE_LOW: u64 = 0x24;
/// Offset of range 2's base, upper half.
pub const RANGE_2_BASE_HIGH: u64 = 0x30;
/// Offset of range 2's base, lower half.
pub const RANGE_2_BASE_LOW: u64 = 0x34;
/// Offset of the capability 3 register.
pub const CAPABILITY_3: u64 = 0x38;

/// The registers of the DVSEC.
pub const REGISTERS: &[Register] = &[
    ExtendedCapability::at(0),
    Header1::at(HEADER_1),
    Header2::at(HEADER_2),
    Capability::at(CAPABILITY),
    Control::at(CONTROL),
    Status::at(STATUS),
    Control2::at(CONTROL_2),
    Status2::at(STATUS_2),
    Lock::at(LOCK),
    Capability2::at(CAPABILITY_2),
    RangeSizeHigh::at(RANGE_1_SIZE_HIGH),
    RangeSizeLow::at(RANGE_1_SIZE_LOW),
    RangeBaseHigh::at(RANGE_1_BASE_HIGH),
    RangeBaseLow::at(RANGE_1_BASE_LOW),
    RangeSizeHigh::at(0x28),
    RangeSizeLow::at(0x2c),
    RangeBaseHigh::at(RANGE_2_BASE_HIGH),
    RangeBaseLow::at(RANGE_2_BASE_LOW),
    Capability3::at(CAPABILITY_3),
    Register::reserved(0x3a, Width::Word),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capability_of_shipped_silicon_reads_as_it_should() {
        let capability = Capability::new(0xc2df);
        assert!(capability.cache_capable() && capability.io_capable() && capability.mem_capable());
        assert_eq!(capability.hdm_count(), u2::new(1));
        assert!(capability.cache_writeback_invalidate_capable() && capability.cxl_reset_capable());
        assert_eq!(capability.cxl_reset_timeout(), u3::new(2));
        assert!(capability.viral_capable() && capability.pm_init_completion_reporting_capable());
    }

    #[test]
    fn a_valid_active_range_typed_by_the_cdat_reads_0x4b() {
        let low = RangeSizeLow::new(0)
            .with_info_valid(true)
            .with_active(true)
            .with_media_type(u3::new(2))
            .with_memory_class(u3::new(2));
        assert_eq!(low.raw(), 0x4b);
    }

    #[test]
    fn the_writable_control_bits_are_those_of_shipped_silicon() {
        let writable = |field: &&crate::register::Field| field.attribute == crate::register::Attribute::Rwl;
        let mask: u64 = Control::FIELDS.iter().filter(writable).map(crate::register::Field::mask).sum();
        assert_eq!(mask, 0x4ffd & !(1 << 12));
    }
}
