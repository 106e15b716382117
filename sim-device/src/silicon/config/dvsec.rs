//! What a CXL endpoint has besides: the DVSECs of the consortium.

use arbitrary_int::traits::Integer;
use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u12;
use cxl_spec::component::hdm;
use cxl_spec::dvsec;
use cxl_spec::dvsec::device as spec_device;
use cxl_spec::dvsec::flex_bus as spec_flex_bus;
use cxl_spec::dvsec::function_map as spec_function_map;
use cxl_spec::dvsec::gpf as spec_gpf;
use cxl_spec::dvsec::register_locator as spec_locator;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::extended_capability;
use cxl_spec::register::Register;

use crate::profile::Checked;
use crate::silicon::register::Block;
use crate::silicon::reset::Fate;

/// [`spec_device::RangeSizeLow`]: media type and class are in the CDAT.
const SEE_CDAT: u3 = u3::new(2);

/// A DVSEC of the consortium with its three headers filled in.
fn framed(id: u16, revision: u4, registers: &[Register]) -> Block {
    let length = registers.last().map_or(0, Register::end);
    let header = ExtendedCapability::new(0).with_id(extended_capability::DVSEC).with_version(u4::new(1));
    let header_1 = dvsec::Header1::new(0)
        .with_vendor(dvsec::VENDOR)
        .with_revision(revision)
        .with_length(u12::new(length as u16 & 0xfff));
    Block::new(registers.iter().copied())
        .with(0, header.raw())
        .with(dvsec::HEADER_1, header_1.raw())
        .with(dvsec::HEADER_2, id)
}

pub(super) fn device(profile: &Checked) -> Block {
    // What every device, every non-RCD device and every caching device must state, and what the profile chooses.
    let chosen = &profile.profile().dvsec;
    let timeout = if chosen.cxl_reset_capable { chosen.cxl_reset_timeout } else { 0 };
    let capability = spec_device::Capability::new(0)
        .with_cache_capable(true)
        .with_io_capable(true)
        .with_mem_capable(true)
        .with_mem_hwinit_mode(true)
        .with_hdm_count(u2::new(1))
        .with_cache_writeback_invalidate_capable(true)
        .with_cxl_reset_capable(chosen.cxl_reset_capable)
        .with_cxl_reset_timeout(u3::masked_new(u64::from(timeout)))
        .with_cxl_reset_mem_clear_capable(chosen.mem_clear_capable)
        .with_viral_capable(true)
        .with_pm_init_completion_reporting_capable(true);
    // Two units of 64 KiB.
    let capability_2 = spec_device::Capability2::new(0).with_cache_size_unit(u4::new(1)).with_cache_size(2);
    let (size_low, size_high) = hdm::split(profile.host_range().size());
    let size_low = spec_device::RangeSizeLow::new(size_low)
        .with_info_valid(!profile.profile().faults.media_not_ready)
        .with_active(!profile.profile().faults.media_not_ready)
        .with_media_type(SEE_CDAT)
        .with_memory_class(SEE_CDAT);
    let mem_enable = profile.profile().dvsec.mem_enable_at_reset;
    let control = spec_device::Control::new(0).with_io_enable(true).with_mem_enable(mem_enable);
    framed(dvsec::id::DEVICE, spec_device::REVISION, spec_device::REGISTERS)
        .with(spec_device::CAPABILITY, capability.raw())
        .with(spec_device::CONTROL, control.raw())
        .with(spec_device::STATUS_2, spec_device::Status2::new(0).with_pm_init_completion(true).raw())
        .with(spec_device::CAPABILITY_2, capability_2.raw())
        .with(spec_device::RANGE_1_SIZE_HIGH, size_high)
        .with(spec_device::RANGE_1_SIZE_LOW, size_low.raw())
}

/// Software wrote the control 2 register: starts what it asked for, and clears the bits that ask. Returns whether
/// a CXL reset is to be done now. A write-back is over at once.
pub(super) fn control_2_written(device: &mut Block, written: spec_device::Control2) -> bool {
    let settled = written.with_initiate_cache_writeback_invalidate(false).with_initiate_cxl_reset(false);
    device.set(spec_device::CONTROL_2, settled.raw());
    settle_cache(device);
    let capability = spec_device::Capability::new(device.get(spec_device::CAPABILITY) as u16);
    let resets = written.initiate_cxl_reset() && capability.cxl_reset_capable();
    if resets {
        let status = spec_device::Status2::new(device.get(spec_device::STATUS_2) as u16);
        let begun = status.with_cxl_reset_complete(false).with_cxl_reset_error(false);
        device.set(spec_device::STATUS_2, begun.raw());
    }
    resets
}

/// A CXL reset is over: exactly one of its two bits is set.
pub(super) fn cxl_reset_ended(device: &mut Block, failed: bool) {
    let status = spec_device::Status2::new(device.get(spec_device::STATUS_2) as u16);
    let ended = status.with_cxl_reset_complete(!failed).with_cxl_reset_error(failed);
    device.set(spec_device::STATUS_2, ended.raw());
}

/// The device DVSEC after a reset: control 2 has a fate of its own.
pub(super) fn device_reborn(old: Block, fresh: Block, others: Fate, control_2: Fate) -> Block {
    let (was, is) = (old.get(spec_device::CONTROL_2), fresh.get(spec_device::CONTROL_2));
    let mut device = old.reborn(fresh, others);
    device.set(spec_device::CONTROL_2, if control_2 == Fate::Kept { was } else { is });
    settle_cache(&mut device);
    device
}

/// The cache of this model never holds a line, so it is invalid as soon as caching is disabled.
fn settle_cache(device: &mut Block) {
    let control = spec_device::Control2::new(device.get(spec_device::CONTROL_2) as u16);
    let status = spec_device::Status2::new(device.get(spec_device::STATUS_2) as u16);
    device.set(spec_device::STATUS_2, status.with_cache_invalid(control.disable_caching()).raw());
}

/// No function of the device is a plain PCIe one.
pub(super) fn function_map() -> Block {
    framed(dvsec::id::FUNCTION_MAP, u4::new(0), spec_function_map::REGISTERS)
}

pub(super) fn gpf() -> Block {
    // Two units of 10 us; no power to speak of.
    let duration = spec_gpf::Phase2Duration::new(0).with_base(u4::new(2)).with_scale(u4::new(1));
    framed(dvsec::id::GPF_DEVICE, u4::new(0), spec_gpf::REGISTERS)
        .with(spec_gpf::PHASE_2_DURATION, duration.raw())
}

pub(super) fn flex_bus() -> Block {
    let capability = spec_flex_bus::Capability::new(0)
        .with_cache(true)
        .with_io(true)
        .with_mem(true)
        .with_flit_68_virtual_hierarchy(true);
    let status = spec_flex_bus::Status::new(capability.raw());
    let control = spec_flex_bus::Control::new(0).with_io(true);
    framed(dvsec::id::FLEX_BUS, spec_flex_bus::REVISION, spec_flex_bus::REGISTERS)
        .with(spec_flex_bus::CAPABILITY, capability.raw())
        .with(spec_flex_bus::CONTROL, control.raw())
        .with(spec_flex_bus::STATUS, status.raw())
}

pub(super) fn register_locator(profile: &Checked) -> Block {
    let component = &profile.profile().component;
    let location = spec_locator::Location {
        bar: component.bar,
        block: spec_locator::block::COMPONENT,
        offset: component.offset.0,
    };
    let (low, high) = location.registers();
    framed(dvsec::id::REGISTER_LOCATOR, u4::new(0), spec_locator::REGISTERS_OF_ONE)
        .with(spec_locator::ENTRIES, low.raw())
        .with(spec_locator::ENTRIES + 4, high.raw())
}
