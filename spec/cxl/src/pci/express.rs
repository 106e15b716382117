//! The PCI Express capability of an endpoint, and of a root port with a slot (PCIe 6.2, 7.5.3).
//!
//! An endpoint has no slot and no root registers; their places are reserved.

use arbitrary_int::u2;
use arbitrary_int::u3;
use arbitrary_int::u4;
use arbitrary_int::u5;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u13;

use crate::access::Width;
use crate::pci::CapabilityId;
use crate::pci::NextPointer;
use crate::register::Register;
use crate::register::is_sound;

crate::register! {
    /// What kind of function it is.
    pub struct Capabilities("PCI Express Capabilities"): u16 {
        /// Version of this capability: 2.
        version: u4 = 3:0, HwInit;
        /// Kind of function; 0 is an endpoint, [`ROOT_PORT`] a root port.
        port_type: u4 = 7:4, HwInit;
        /// A port's: there is a slot below it.
        slot_implemented: bool = 8:8, HwInit;
        /// Vector of this capability's interrupts.
        message_number: u5 = 13:9, Ro;
    }

    /// What the function can do.
    pub struct DeviceCapabilities("Device Capabilities"): u32 {
        /// Largest payload: 128 bytes << n.
        max_payload: u3 = 2:0, HwInit;
        /// Uses tags of 8 bits.
        extended_tag: bool = 5:5, HwInit;
        /// Reports errors by role; always 1.
        role_based_error_reporting: bool = 15:15, HwInit;
        /// Can do a function level reset.
        function_level_reset: bool = 28:28, HwInit;
    }

    /// What the function may do.
    pub struct DeviceControl("Device Control"): u16 {
        /// Reports errors: correctable, non-fatal, fatal, unsupported request.
        error_reporting: u4 = 3:0, Rw;
        /// May set the relaxed ordering attribute.
        relaxed_ordering: bool = 4:4, Rw;
        /// Payload limit: 128 bytes << n.
        max_payload: u3 = 7:5, Rw;
        /// Uses tags of 8 bits.
        extended_tag: bool = 8:8, Rw;
        /// May set the no snoop attribute.
        no_snoop: bool = 11:11, Rw;
        /// Read request limit: 128 bytes << n.
        max_read_request: u3 = 14:12, Rw;
        /// Do a function level reset; reads 0.
        initiate_function_level_reset: bool = 15:15, Rw;
    }

    /// What happened to the function.
    pub struct DeviceStatus("Device Status"): u16 {
        /// A correctable error was detected.
        correctable_error: bool = 0:0, Rw1c;
        /// A non-fatal error was detected.
        non_fatal_error: bool = 1:1, Rw1c;
        /// A fatal error was detected.
        fatal_error: bool = 2:2, Rw1c;
        /// An unsupported request was detected.
        unsupported_request: bool = 3:3, Rw1c;
        /// Requests of its own are on their way.
        transactions_pending: bool = 5:5, Ro;
    }

    /// What the link can do.
    pub struct LinkCapabilities("Link Capabilities"): u32 {
        /// Fastest speed; 5 is 32 GT/s.
        max_speed: u4 = 3:0, HwInit;
        /// Lanes.
        max_width: u6 = 9:4, HwInit;
        /// A port's: the link status says whether the link is active.
        link_active_reporting: bool = 20:20, HwInit;
        /// Knows that power saving is optional; always 1.
        aspm_optionality_compliance: bool = 22:22, HwInit;
        /// Port number.
        port_number: u8 = 31:24, HwInit;
    }

    /// What the link may do.
    pub struct LinkControl("Link Control"): u16 {
        /// Power saving that is allowed.
        aspm: u2 = 1:0, Rw;
        /// Both ends have the same clock.
        common_clock: bool = 6:6, Rw;
    }

    /// What the link does.
    pub struct LinkStatus("Link Status"): u16 {
        /// Speed; 5 is 32 GT/s.
        speed: u4 = 3:0, Ro;
        /// Lanes.
        width: u6 = 9:4, Ro;
        /// A port's: the data link layer is active.
        link_active: bool = 13:13, Ro;
    }

    /// What a slot can do.
    pub struct SlotCapabilities("Slot Capabilities"): u32 {
        /// What is in it may go without a word.
        hot_plug_surprise: bool = 5:5, HwInit;
        /// What is in it may come and go.
        hot_plug_capable: bool = 6:6, HwInit;
        /// A write to the control register is done at once, and no event says so.
        no_command_completed: bool = 18:18, HwInit;
        /// The slot's number in the chassis.
        number: u13 = 31:19, HwInit;
    }

    /// Which events of a slot interrupt.
    pub struct SlotControl("Slot Control"): u16 {
        /// Something came or went.
        presence_detect_changed: bool = 3:3, Rw;
        /// A write to this register was done.
        command_completed: bool = 4:4, Rw;
        /// Any of the events that are on.
        hot_plug_interrupt: bool = 5:5, Rw;
        /// The data link layer became active, or inactive.
        link_changed: bool = 12:12, Rw;
    }

    /// What a slot saw.
    pub struct SlotStatus("Slot Status"): u16 {
        /// Something came or went.
        presence_detect_changed: bool = 3:3, Rw1c;
        /// A write to the control register was done.
        command_completed: bool = 4:4, Rw1c;
        /// Something is there.
        presence: bool = 6:6, Ro;
        /// The data link layer became active, or inactive.
        link_changed: bool = 8:8, Rw1c;
    }

    /// What a root port does about errors and events from below.
    pub struct RootControl("Root Control"): u16 {
        /// Errors that are reported to the system: correctable, non-fatal, fatal.
        system_errors: u3 = 2:0, Rw;
        /// Power management events interrupt.
        pme_interrupt: bool = 3:3, Rw;
    }

    /// What a root port saw.
    pub struct RootStatus("Root Status"): u32 {
        /// Who asked for power.
        pme_requester: u16 = 15:0, Ro;
        /// Somebody asked for power.
        pme_status: bool = 16:16, Rw1c;
        /// Somebody else did, too.
        pme_pending: bool = 17:17, Ro;
    }

    /// What else the function can do.
    pub struct DeviceCapabilities2("Device Capabilities 2"): u32 {
        /// Ranges of completion timeouts.
        completion_timeout_ranges: u4 = 3:0, HwInit;
        /// The completion timeout can be turned off; an endpoint must offer it.
        completion_timeout_disable: bool = 4:4, HwInit;
    }

    /// What else the function may do.
    pub struct DeviceControl2("Device Control 2"): u16 {
        /// The completion timeout is off.
        completion_timeout_disable: bool = 4:4, Rw;
    }

    /// What else the link can do.
    pub struct LinkCapabilities2("Link Capabilities 2"): u32 {
        /// Speeds, one bit each from 2.5 GT/s.
        speeds: u7 = 7:1, HwInit;
    }

    /// What else the link may do.
    pub struct LinkControl2("Link Control 2"): u16 {
        /// Speed to train.
        target_speed: u4 = 3:0, Rws;
    }
}

/// The bits, register by register, that are neither sticky nor fixed and that a function level reset leaves as
/// they are: they belong to the link more than to the function (PCIe 6.2, 6.6.2).
pub fn kept_over_function_level_reset() -> [(u64, u16); 2] {
    [
        (DEVICE_CONTROL, DeviceControl::new(0).with_max_payload(u3::new(7)).raw()),
        (LINK_CONTROL, LinkControl::new(0).with_aspm(u2::new(3)).with_common_clock(true).raw()),
    ]
}

/// [`Capabilities::port_type`] of a root port.
pub const ROOT_PORT: u4 = u4::new(4);

/// Length of the capability in bytes.
pub const SIZE: u64 = 0x3c;

/// Offset of the capabilities register.
pub const CAPABILITIES: u64 = 0x02;
/// Offset of the device capabilities register.
pub const DEVICE_CAPABILITIES: u64 = 0x04;
/// Offset of the device control register.
pub const DEVICE_CONTROL: u64 = 0x08;
/// Offset of the device status register.
pub const DEVICE_STATUS: u64 = 0x0a;
/// Offset of the link capabilities register.
pub const LINK_CAPABILITIES: u64 = 0x0c;
/// Offset of the link control register.
pub const LINK_CONTROL: u64 = 0x10;
/// Offset of the link status register.
pub const LINK_STATUS: u64 = 0x12;
/// Offset of the slot capabilities register.
pub const SLOT_CAPABILITIES: u64 = 0x14;
/// Offset of the slot control register.
pub const SLOT_CONTROL: u64 = 0x18;
/// Offset of the slot status register.
pub const SLOT_STATUS: u64 = 0x1a;
/// Offset of the device capabilities 2 register.
pub const DEVICE_CAPABILITIES_2: u64 = 0x24;
/// Offset of the link capabilities 2 register.
pub const LINK_CAPABILITIES_2: u64 = 0x2c;
/// Offset of the link control 2 register.
pub const LINK_CONTROL_2: u64 = 0x30;

/// The registers of the capability.
pub const REGISTERS: &[Register] = &[
    CapabilityId::at(0),
    NextPointer::at(1),
    Capabilities::at(CAPABILITIES),
    DeviceCapabilities::at(DEVICE_CAPABILITIES),
    DeviceControl::at(DEVICE_CONTROL),
    DeviceStatus::at(DEVICE_STATUS),
    LinkCapabilities::at(LINK_CAPABILITIES),
    LinkControl::at(LINK_CONTROL),
    LinkStatus::at(LINK_STATUS),
    Register::reserved(0x14, Width::Dword),
    Register::reserved(0x18, Width::Qword),
    Register::reserved(0x20, Width::Dword),
    DeviceCapabilities2::at(DEVICE_CAPABILITIES_2),
    DeviceControl2::at(0x28),
    Register::reserved(0x2a, Width::Word),
    LinkCapabilities2::at(LINK_CAPABILITIES_2),
    LinkControl2::at(LINK_CONTROL_2),
    Register::reserved(0x32, Width::Word),
    Register::reserved(0x34, Width::Dword),
    Register::reserved(0x38, Width::Dword),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

/// The registers of the capability of a root port.
pub const ROOT_PORT_REGISTERS: &[Register] = &[
    CapabilityId::at(0),
    NextPointer::at(1),
    Capabilities::at(CAPABILITIES),
    DeviceCapabilities::at(DEVICE_CAPABILITIES),
    DeviceControl::at(DEVICE_CONTROL),
    DeviceStatus::at(DEVICE_STATUS),
    LinkCapabilities::at(LINK_CAPABILITIES),
    LinkControl::at(LINK_CONTROL),
    LinkStatus::at(LINK_STATUS),
    SlotCapabilities::at(SLOT_CAPABILITIES),
    SlotControl::at(SLOT_CONTROL),
    SlotStatus::at(SLOT_STATUS),
    RootControl::at(0x1c),
    Register::reserved(0x1e, Width::Word),
    RootStatus::at(0x20),
    DeviceCapabilities2::at(DEVICE_CAPABILITIES_2),
    DeviceControl2::at(0x28),
    Register::reserved(0x2a, Width::Word),
    LinkCapabilities2::at(LINK_CAPABILITIES_2),
    LinkControl2::at(LINK_CONTROL_2),
    Register::reserved(0x32, Width::Word),
    Register::reserved(0x34, Width::Dword),
    Register::reserved(0x38, Width::Dword),
];

const _: () = assert!(is_sound(ROOT_PORT_REGISTERS, SIZE));
