//! The configuration space of a CXL root port.
//!
//! ```text
//! 0x000  header of a bridge          0x128  DVSEC 4: global persistent flush
//! 0x040  PCI Express, port and slot  0x138  DVSEC 7: what the link trained
//! 0x07c  MSI, by which the slot      0x158  DVSEC 8: component registers in BAR 0
//!        interrupts
//! 0x100  DVSEC 3: port extensions
//! ```

use arbitrary_int::u4;
use arbitrary_int::u6;
use arbitrary_int::u7;
use arbitrary_int::u12;
use arbitrary_int::u13;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::dvsec;
use cxl_spec::dvsec::flex_bus;
use cxl_spec::dvsec::gpf;
use cxl_spec::dvsec::port_extensions;
use cxl_spec::dvsec::register_locator;
use cxl_spec::dvsec::register_locator::Location;
use cxl_spec::pci;
use cxl_spec::pci::bridge;
use cxl_spec::pci::express;
use cxl_spec::pci::header;
use cxl_spec::pci::msi;

use super::registers::Registers;
use super::slot::Slot;
use crate::irq::Message;
use crate::plan::Bridge;
use crate::plan::Port;

/// Vendor and device of QEMU's CXL root port, which systems that know one know.
const IDS: (u16, u16) = (0x8086, 0x7075);

/// Class code of a bridge between PCI buses.
const CLASS: u16 = 0x0604;

/// Where the capabilities are.
const EXPRESS: u64 = 0x40;
const MSI: u64 = EXPRESS + express::SIZE;
const PORT_EXTENSIONS: u64 = pci::EXTENDED_CAPABILITIES;
const GPF: u64 = PORT_EXTENSIONS + port_extensions::SIZE;
const FLEX_BUS: u64 = GPF + gpf::SIZE;
const LOCATOR: u64 = FLEX_BUS + flex_bus::SIZE;

/// 32 GT/s and 16 lanes, which is what a CXL link of today is.
const LINK_SPEED: u4 = u4::new(5);
const LINK_WIDTH: u6 = u6::new(16);

/// All speeds up to that one.
const LINK_SPEEDS: u7 = u7::new(0x1f);

/// A root port.
#[derive(Debug)]
pub(super) struct RootPort {
    registers: Registers,
    bar: [BarHalf; 2],
    slot: Slot,
}

/// A half of the base address register, which stays where it is.
#[derive(Debug)]
struct BarHalf {
    offset: u64,
    place: u32,
    /// What it reads after all ones were written.
    mask: u32,
    /// All ones were written last.
    sizing: bool,
}

impl RootPort {
    /// The port of this bridge, with a device in its slot or without one.
    pub(super) fn new(planned: &Bridge, is_present: bool) -> Self {
        let port = &planned.port;
        let registers = Registers::new(pci::CONFIG_SPACE_SIZE);
        let registers = with_msi(with_express(with_header(registers, planned.bus, port), port));
        let (start, size) = (port.bar.start().get(), port.bar.size());
        let kind = header::Bar::new(0).with_kind(header::KIND_64_BIT).raw();
        let mask = !size.saturating_sub(1);
        let half = |bar, place, mask| BarHalf { offset: header::bar_offset(bar), place, mask, sizing: false };
        let low = half(0, start as u32 | kind, mask as u32 | kind);
        let high = half(1, (start >> 32) as u32, (mask >> 32) as u32);
        Self {
            registers: with_presence(with_dvsecs(registers), is_present),
            bar: [low, high],
            slot: Slot::default(),
        }
    }

    /// A device came into the slot, or went. The slot's status says so, and keeps saying that something changed. Gives
    /// whether that is a message.
    pub(super) fn set_present(&mut self, is_present: bool) -> bool {
        let before = self.slot_status();
        let registers = std::mem::replace(&mut self.registers, Registers::new(0));
        let status =
            before.with_presence(is_present).with_presence_detect_changed(true).with_link_changed(true);
        let registers = with_presence(registers, is_present);
        self.registers = registers.with(EXPRESS + express::SLOT_STATUS, Width::Word, status.raw());
        self.see_slot()
    }

    fn word(&self, offset: u64) -> u16 {
        Access::new(offset, Width::Word).map_or(0, |access| self.registers.read(access) as u16)
    }

    fn slot_status(&self) -> express::SlotStatus {
        express::SlotStatus::new(self.word(EXPRESS + express::SLOT_STATUS))
    }

    /// Looks at what the slot's registers say now. True if that is a message.
    fn see_slot(&mut self) -> bool {
        let control = express::SlotControl::new(self.word(EXPRESS + express::SLOT_CONTROL));
        let status = self.slot_status();
        self.slot.sees(control, status)
    }

    /// What the port's messages are, while MSI is on.
    pub(super) fn message(&self) -> Option<Message> {
        let dword = |offset| self.registers.read(Access::dword_around(MSI + offset));
        let control = msi::MessageControl::new(self.word(MSI + msi::MESSAGE_CONTROL));
        let address = dword(msi::ADDRESS_HIGH) << 32 | dword(msi::ADDRESS);
        let data = self.word(MSI + msi::DATA).into();
        control.enable().then_some(Message { address, data })
    }

    /// What is read, at most a dword.
    pub(super) fn read(&self, access: Access) -> u64 {
        let around = Access::dword_around(access.offset());
        let half = self.bar.iter().find(|half| half.offset == around.offset());
        half.map_or_else(
            || self.registers.read(access),
            |half| {
                let value = u64::from(if half.sizing { half.mask } else { half.place });
                value >> (8 * (access.offset() - around.offset())) & access.width().mask()
            },
        )
    }

    /// What is written, at most a dword. Gives whether that is a message of the slot's.
    pub(super) fn write(&mut self, access: Access, value: u64) -> bool {
        let around = Access::dword_around(access.offset());
        match self.bar.iter_mut().find(|half| half.offset == around.offset()) {
            Some(half) => half.sizing = access.width() == Width::Dword && value == Width::Dword.mask(),
            None => self.registers.write(access, value),
        }
        let control = EXPRESS + express::SLOT_CONTROL;
        if access.offset() < control + 2 && control < access.end() {
            // It is a command, whatever it says, and done at once.
            let status = self.slot_status().with_command_completed(true).raw();
            self.registers.set(EXPRESS + express::SLOT_STATUS, Width::Word, status);
        }
        self.see_slot()
    }
}

fn with_header(registers: Registers, bus: u8, port: &Port) -> Registers {
    let (vendor, device) = IDS;
    let status = header::Status::new(0).with_capabilities(true).raw();
    let layout = header::HeaderType::new(0).with_layout(bridge::LAYOUT).raw();
    let secondary = port.secondary;
    let (base, limit) = ends(port.memory);
    let base = bridge::MemoryBase::new(0).with_base(mebibytes(base)).raw();
    let limit = bridge::MemoryLimit::new(0).with_limit(mebibytes(limit)).raw();
    let registers = registers
        .with_table(0, bridge::REGISTERS)
        .with(header::VENDOR_ID, Width::Word, vendor)
        .with(header::DEVICE_ID, Width::Word, device)
        .with(header::STATUS, Width::Word, status)
        .with(header::CLASS_CODE, Width::Word, CLASS)
        .with(header::HEADER_TYPE, Width::Byte, layout)
        .with(bridge::PRIMARY_BUS, Width::Byte, bus)
        .with(bridge::SECONDARY_BUS, Width::Byte, secondary)
        .with(bridge::SUBORDINATE_BUS, Width::Byte, secondary)
        .with(bridge::MEMORY_BASE, Width::Word, base)
        .with(bridge::MEMORY_LIMIT, Width::Word, limit)
        .with(header::CAPABILITIES_POINTER, Width::Byte, EXPRESS);
    with_prefetchable(registers, port)
        // The machine has given out the buses and windows, and keeps them.
        .with_fixed(bridge::PRIMARY_BUS, 3)
        .with_fixed(bridge::MEMORY_BASE, 16)
}

fn with_prefetchable(registers: Registers, port: &Port) -> Registers {
    let (base, limit) = ends(port.prefetchable);
    let low = bridge::PrefetchableBase::new(0).with_kind(bridge::KIND_64_BIT).with_base(mebibytes(base));
    let end = bridge::PrefetchableLimit::new(0).with_kind(bridge::KIND_64_BIT).with_limit(mebibytes(limit));
    registers
        .with(bridge::PREFETCHABLE_BASE, Width::Word, low.raw())
        .with(bridge::PREFETCHABLE_LIMIT, Width::Word, end.raw())
        .with(bridge::PREFETCHABLE_BASE_HIGH, Width::Dword, base >> 32)
        .with(bridge::PREFETCHABLE_LIMIT_HIGH, Width::Dword, limit >> 32)
}

/// The first and the last address of a window. Where there is none, the last comes before the first.
fn ends(window: Option<Span<Gpa>>) -> (u64, u64) {
    window.map_or((0xfff0_0000, 0), |span| (span.start().get(), span.end().get().saturating_sub(1)))
}

/// Bits 31:20 of an address.
fn mebibytes(address: u64) -> u12 {
    u12::new((address >> 20 & 0xfff) as u16)
}

fn with_express(registers: Registers, port: &Port) -> Registers {
    let capabilities = express::Capabilities::new(0)
        .with_version(u4::new(2))
        .with_port_type(express::ROOT_PORT)
        .with_slot_implemented(true);
    let device = express::DeviceCapabilities::new(0).with_role_based_error_reporting(true);
    let link = express::LinkCapabilities::new(0)
        .with_max_speed(LINK_SPEED)
        .with_max_width(LINK_WIDTH)
        .with_link_active_reporting(true)
        .with_aspm_optionality_compliance(true)
        .with_port_number(port.number);
    // Whatever is in the slot goes when it goes, and the slot is the port's number, from 1.
    let slot = express::SlotCapabilities::new(0)
        .with_hot_plug_surprise(true)
        .with_hot_plug_capable(true)
        .with_number(u13::new(u16::from(port.number) + 1));
    let speeds = express::LinkCapabilities2::new(0).with_speeds(LINK_SPEEDS);
    let target = express::LinkControl2::new(0).with_target_speed(LINK_SPEED);
    registers
        .with_table(EXPRESS, express::ROOT_PORT_REGISTERS)
        .with(EXPRESS, Width::Byte, pci::capability::EXPRESS)
        .with(EXPRESS + express::CAPABILITIES, Width::Word, capabilities.raw())
        .with(EXPRESS + express::DEVICE_CAPABILITIES, Width::Dword, device.raw())
        .with(EXPRESS + express::LINK_CAPABILITIES, Width::Dword, link.raw())
        .with(EXPRESS + express::SLOT_CAPABILITIES, Width::Dword, slot.raw())
        .with(EXPRESS + express::LINK_CAPABILITIES_2, Width::Dword, speeds.raw())
        .with(EXPRESS + express::LINK_CONTROL_2, Width::Word, target.raw())
}

/// MSI with one vector, which is the slot's: the number of its message in PCI Express is 0.
fn with_msi(registers: Registers) -> Registers {
    let control = msi::MessageControl::new(0).with_address_64(true);
    registers
        .with(EXPRESS + 1, Width::Byte, MSI)
        .with_table(MSI, msi::REGISTERS)
        .with(MSI, Width::Byte, pci::capability::MSI)
        .with(MSI + msi::MESSAGE_CONTROL, Width::Word, control.raw())
}

/// What the registers say of the slot and its link: where a device is, the link has trained.
fn with_presence(registers: Registers, is_present: bool) -> Registers {
    let link = express::LinkStatus::new(0);
    let active = link.with_speed(LINK_SPEED).with_width(LINK_WIDTH).with_link_active(true);
    let link = if is_present { active } else { link };
    let initialised = port_extensions::Status::new(0).with_power_management_initialised(is_present).raw();
    // What a port can do it may train, and with a Type-2 device below it has trained just that.
    let trained = if is_present { flex_bus_capability().raw() } else { 0 };
    registers
        .with(EXPRESS + express::LINK_STATUS, Width::Word, link.raw())
        .with(EXPRESS + express::SLOT_STATUS, Width::Word, slot_status(is_present).raw())
        .with(PORT_EXTENSIONS + port_extensions::STATUS, Width::Word, initialised)
        .with(FLEX_BUS + flex_bus::STATUS, Width::Word, trained)
}

fn slot_status(is_present: bool) -> express::SlotStatus {
    express::SlotStatus::new(0).with_presence(is_present)
}

fn flex_bus_capability() -> flex_bus::Capability {
    flex_bus::Capability::new(0)
        .with_cache(true)
        .with_io(true)
        .with_mem(true)
        .with_flit_68_virtual_hierarchy(true)
}

fn with_dvsecs(registers: Registers) -> Registers {
    let capability = flex_bus_capability();
    let place = Location { bar: 0, block: register_locator::block::COMPONENT, offset: 0 };
    let (low, high) = place.registers();
    let (extensions, ports) = (dvsec::id::PORT_EXTENSIONS, dvsec::id::GPF_PORT);
    let registers = registers
        .with_table(PORT_EXTENSIONS, port_extensions::REGISTERS)
        .with_table(GPF, gpf::PORT_REGISTERS)
        .with_table(FLEX_BUS, flex_bus::PORT_REGISTERS)
        .with(FLEX_BUS + flex_bus::CAPABILITY, Width::Word, capability.raw())
        .with(FLEX_BUS + flex_bus::CONTROL, Width::Word, capability.raw())
        .with_table(LOCATOR, register_locator::REGISTERS_OF_ONE)
        .with(LOCATOR + register_locator::ENTRIES, Width::Dword, low.raw())
        .with(LOCATOR + register_locator::ENTRIES + 4, Width::Dword, high.raw());
    [
        (PORT_EXTENSIONS, port_extensions::SIZE, extensions, u4::new(0), GPF),
        (GPF, gpf::SIZE, ports, u4::new(0), FLEX_BUS),
        (FLEX_BUS, flex_bus::SIZE, dvsec::id::FLEX_BUS, flex_bus::REVISION, LOCATOR),
        (LOCATOR, register_locator::SIZE_OF_ONE, dvsec::id::REGISTER_LOCATOR, u4::new(0), 0),
    ]
    .into_iter()
    .fold(registers, with_dvsec_headers)
}

/// The three headers of a DVSEC: where it is, how long, which it is, its revision and where the next is.
fn with_dvsec_headers(
    registers: Registers,
    (at, size, id, revision, next): (u64, u64, u16, u4, u64),
) -> Registers {
    let twelve_bits = |number: u64| u12::new((number & 0xfff) as u16);
    let capability = pci::ExtendedCapability::new(0)
        .with_id(pci::extended_capability::DVSEC)
        .with_version(u4::new(1))
        .with_next(twelve_bits(next));
    let first = dvsec::Header1::new(0)
        .with_vendor(dvsec::VENDOR)
        .with_revision(revision)
        .with_length(twelve_bits(size));
    registers
        .with(at, Width::Dword, capability.raw())
        .with(at + dvsec::HEADER_1, Width::Dword, first.raw())
        .with(at + dvsec::HEADER_2, Width::Word, id)
}
