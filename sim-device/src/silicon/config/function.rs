//! What an endpoint has that is not CXL's: header, power management, PCI Express, MSI-X, AER, serial number, ATS, DOE.

use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u11;
use arbitrary_int::u29;
use cxl_spec::access::Width;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::aer as spec_aer;
use cxl_spec::pci::ats as spec_ats;
use cxl_spec::pci::capability;
use cxl_spec::pci::doe as spec_doe;
use cxl_spec::pci::express as spec_express;
use cxl_spec::pci::extended_capability;
use cxl_spec::pci::header as spec_header;
use cxl_spec::pci::msix as spec_msix;
use cxl_spec::pci::power as spec_power;
use cxl_spec::pci::serial as spec_serial;
use cxl_spec::register::Register;

use crate::profile::Checked;
use crate::profile::PENDING_OFFSET;
use crate::silicon::component::Severity;
use crate::silicon::register::Block;

/// Speed code of 32 GT/s, and the lanes of the link. CXL needs 32 GT/s for its 68-byte flits.
const SPEED_32_GT: u4 = u4::new(5);
const LANES: u6 = u6::new(16);

/// The version of most extended capabilities.
const FIRST_VERSION: u4 = u4::new(1);

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
        .with(spec_header::SUBSYSTEM_ID, ids.subsystem)
        .with(spec_header::INTERRUPT_PIN, u8::from(profile.profile().interrupts.pin));
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
    let link = spec_express::LinkCapabilities::new(0)
        .with_max_speed(SPEED_32_GT)
        .with_max_width(LANES)
        .with_aspm_optionality_compliance(true);
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

/// A function with the states D0 and D3hot that loses nothing on the way back, and that wakes nobody.
pub(super) fn power() -> Block {
    let capabilities = spec_power::Capabilities::new(0).with_version(u3::new(3));
    let control = spec_power::ControlStatus::new(0).with_no_soft_reset(true);
    Block::new(spec_power::REGISTERS.iter().copied())
        .with(0, capability::POWER)
        .with(spec_power::CAPABILITIES, capabilities.raw())
        .with(spec_power::CONTROL_STATUS, control.raw())
}

/// An extended capability with its header filled in.
fn extended(id: u16, version: u4, registers: &[Register]) -> Block {
    let header = ExtendedCapability::new(0).with_id(id).with_version(version);
    Block::new(registers.iter().copied()).with(0, header.raw())
}

pub(super) fn serial_number(profile: &Checked) -> Block {
    let number = profile.profile().ids.serial.0;
    extended(extended_capability::SERIAL_NUMBER, FIRST_VERSION, spec_serial::REGISTERS)
        .with(spec_serial::LOW, number & 0xffff_ffff)
        .with(spec_serial::HIGH, number >> 32)
}

/// It takes 32 invalidations at a time, which is coded as 0.
pub(super) fn ats() -> Block {
    let capability = spec_ats::Capability::new(0).with_page_aligned_request(true);
    extended(extended_capability::ATS, FIRST_VERSION, spec_ats::REGISTERS)
        .with(spec_ats::CAPABILITY, capability.raw())
}

pub(super) fn doe() -> Block {
    extended(extended_capability::DOE, FIRST_VERSION, spec_doe::REGISTERS)
}

/// Puts an internal error of this severity, which CXL RAS is reported as, into the status of the AER capability.
/// The first-error pointer names it if it is not masked and none is named yet.
pub(super) fn internal_error(aer: &mut Block, severity: Severity) {
    if severity == Severity::Correctable {
        let status = aer.get(spec_aer::CORRECTABLE_STATUS) as u32;
        let status = spec_aer::CorrectableStatus::new(status).with_internal(true);
        aer.set(spec_aer::CORRECTABLE_STATUS, status.raw());
        return;
    }
    let before = spec_aer::UncorrectableStatus::new(aer.get(spec_aer::UNCORRECTABLE_STATUS) as u32);
    aer.set(spec_aer::UNCORRECTABLE_STATUS, before.with_internal(true).raw());
    let mask = spec_aer::UncorrectableMask::new(aer.get(spec_aer::UNCORRECTABLE_MASK) as u32);
    if !mask.internal() && before.raw() & !mask.raw() == 0 {
        let control = spec_aer::CapabilitiesAndControl::new(0).with_first_error(spec_aer::INTERNAL);
        aer.set(spec_aer::CAPABILITIES_AND_CONTROL, control.raw());
    }
}

/// Puts an error of this severity into the device status of the PCI Express capability.
pub(super) fn error_detected(express: &mut Block, severity: Severity) {
    let status = spec_express::DeviceStatus::new(express.get(spec_express::DEVICE_STATUS) as u16);
    let status = match severity {
        Severity::Correctable => status.with_correctable_error(true),
        Severity::NonFatal => status.with_non_fatal_error(true),
        Severity::Fatal => status.with_fatal_error(true),
    };
    express.set(spec_express::DEVICE_STATUS, status.raw());
}

/// The PCI Express capability after a function level reset: some of its fields belong to the link.
pub(super) fn express_reborn(old: &Block, mut express: Block) -> Block {
    for (offset, mask) in spec_express::kept_over_function_level_reset() {
        let mask = u64::from(mask);
        express.set(offset, (express.get(offset) & !mask) | (old.get(offset) & mask));
    }
    express
}

pub(super) fn aer() -> Block {
    extended(extended_capability::AER, spec_aer::VERSION, spec_aer::REGISTERS)
        .with(spec_aer::UNCORRECTABLE_MASK, spec_aer::UNCORRECTABLE_MASK_RESET)
        .with(spec_aer::UNCORRECTABLE_SEVERITY, spec_aer::UNCORRECTABLE_SEVERITY_RESET)
        .with(spec_aer::CORRECTABLE_MASK, spec_aer::CORRECTABLE_MASK_RESET)
}
