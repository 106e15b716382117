//! What any PCI Express endpoint has: header, PCI Express capability, MSI-X, AER.

use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u11;
use arbitrary_int::u29;
use cxl_spec::access::Width;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::aer as spec_aer;
use cxl_spec::pci::capability;
use cxl_spec::pci::express as spec_express;
use cxl_spec::pci::extended_capability;
use cxl_spec::pci::header as spec_header;
use cxl_spec::pci::msix as spec_msix;
use cxl_spec::register::Register;

use crate::profile::Checked;
use crate::profile::PENDING_OFFSET;
use crate::silicon::register::Block;

/// Speed code of 32 GT/s, and the lanes of the link. CXL needs 32 GT/s for its 68-byte flits.
const SPEED_32_GT: u4 = u4::new(5);
const LANES: u6 = u6::new(16);

pub(super) fn header(profile: &Checked) -> Block {
    let ids = &profile.profile().ids;
    let class = ids.class.to_le_bytes();
    let [interface, sub, base, _] = class;
    let bars = [0, profile.profile().component.bar];
    let table = spec_header::REGISTERS.iter().map(|register| bar_register(*register, &bars));
    let mut header = Block::new(table)
        .with(spec_header::VENDOR_ID, ids.vendor)
        .with(spec_header::DEVICE_ID, ids.device)
        .with(spec_header::STATUS, spec_header::Status::new(0).with_capabilities(true).raw())
        .with(spec_header::REVISION_ID, ids.revision)
        .with(spec_header::PROGRAMMING_INTERFACE, interface)
        .with(spec_header::CLASS_CODE, spec_header::ClassCode::new(0).with_base(base).with_sub(sub).raw())
        .with(spec_header::SUBSYSTEM_VENDOR_ID, ids.subsystem_vendor)
        .with(spec_header::SUBSYSTEM_ID, ids.subsystem);
    for bar in bars {
        let below_size = profile.bar_size(bar).saturating_sub(1);
        let kind = spec_header::Bar::new(0).with_kind(spec_header::KIND_64_BIT).with_prefetchable(bar != 0);
        header = header
            .with(spec_header::bar_offset(bar), kind.raw())
            .with_hardwired(spec_header::bar_offset(bar), below_size & 0xffff_ffff)
            .with_hardwired(spec_header::bar_offset(bar + 1), below_size >> 32);
    }
    header
}

/// The table line of a base address register: each of `bars` takes its neighbour for its upper half, and the
/// others are not there.
fn bar_register(register: Register, bars: &[u8]) -> Register {
    let index = (0..spec_header::BARS).find(|bar| spec_header::bar_offset(*bar) == register.offset);
    match index {
        Some(index) if bars.iter().any(|bar| bar + 1 == index) => spec_header::BarHigh::at(register.offset),
        Some(index) if !bars.contains(&index) => Register::reserved(register.offset, Width::Dword),
        _ => register,
    }
}

pub(super) fn express() -> Block {
    let device = spec_express::DeviceCapabilities::new(0)
        .with_max_payload(u3::new(2))
        .with_extended_tag(true)
        .with_role_based_error_reporting(true)
        .with_function_level_reset(true);
    let link = spec_express::LinkCapabilities::new(0).with_max_speed(SPEED_32_GT).with_max_width(LANES);
    let status = spec_express::LinkStatus::new(0).with_speed(SPEED_32_GT).with_width(LANES);
    // Every speed up to 32 GT/s.
    let speeds = spec_express::LinkCapabilities2::new(0).with_speeds(u7::new(0b1_1111));
    Block::new(spec_express::REGISTERS.iter().copied())
        .with(0, capability::EXPRESS)
        .with(spec_express::CAPABILITIES, spec_express::Capabilities::new(0).with_version(u4::new(2)).raw())
        .with(spec_express::DEVICE_CAPABILITIES, device.raw())
        .with(spec_express::DEVICE_CONTROL, device_control().raw())
        .with(spec_express::LINK_CAPABILITIES, link.raw())
        .with(spec_express::LINK_STATUS, status.raw())
        .with(spec_express::DEVICE_CAPABILITIES_2, timeouts().raw())
        .with(spec_express::LINK_CAPABILITIES_2, speeds.raw())
        .with(
            spec_express::LINK_CONTROL_2,
            spec_express::LinkControl2::new(0).with_target_speed(SPEED_32_GT).raw(),
        )
}

/// The register's reset value (PCIe 6.2, 7.5.3.4): relaxed ordering and no snoop allowed, reads of 512 bytes.
fn device_control() -> spec_express::DeviceControl {
    spec_express::DeviceControl::new(0)
        .with_relaxed_ordering(true)
        .with_extended_tag(true)
        .with_no_snoop(true)
        .with_max_read_request(u3::new(2))
}

fn timeouts() -> spec_express::DeviceCapabilities2 {
    spec_express::DeviceCapabilities2::new(0).with_completion_timeout_disable(true)
}

pub(super) fn msix(profile: &Checked) -> Block {
    let last = profile.profile().interrupts.msix_vectors.saturating_sub(1);
    let control = spec_msix::MessageControl::new(0).with_table_size(u11::new(last & 0x7ff));
    let pending = spec_msix::Location::new(0).with_offset(u29::new((PENDING_OFFSET >> 3) as u32));
    Block::new(spec_msix::REGISTERS.iter().copied())
        .with(0, capability::MSIX)
        .with(spec_msix::MESSAGE_CONTROL, control.raw())
        .with(spec_msix::PENDING, pending.raw())
}

pub(super) fn aer() -> Block {
    let header = ExtendedCapability::new(0).with_id(extended_capability::AER).with_version(spec_aer::VERSION);
    Block::new(spec_aer::REGISTERS.iter().copied())
        .with(0, header.raw())
        .with(spec_aer::UNCORRECTABLE_MASK, spec_aer::UNCORRECTABLE_MASK_RESET)
        .with(spec_aer::UNCORRECTABLE_SEVERITY, spec_aer::UNCORRECTABLE_SEVERITY_RESET)
        .with(spec_aer::CORRECTABLE_MASK, spec_aer::CORRECTABLE_MASK_RESET)
}
