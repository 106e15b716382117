//! Configuration space: the header, the capabilities and the DVSECs, each a block at its place.
//!
//! ```text
//! 0x000 header             0x100 AER                         0x1e0 DVSEC 2, non-CXL function map
//! 0x040 PCI Express        0x150 DVSEC 0, CXL device         0x210 serial number
//! 0x080 MSI-X              0x190 DVSEC 5, GPF for devices    0x220 ATS
//! 0x090 power management   0x1a0 DVSEC 7, Flex Bus port      0x230 DOE
//!                          0x1c0 DVSEC 8, register locator
//! ```
//!
//! What is between reads 0. Accesses are at most dwords; a bus has no wider ones here.

mod cdat;
mod doe;
mod dvsec;
mod function;

use std::cell::Cell;

use arbitrary_int::u2;
use arbitrary_int::u12;
use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Hpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::EXTENDED_CAPABILITIES;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::express;
use cxl_spec::pci::header;
use cxl_spec::pci::msix;
use cxl_spec::pci::power;
use doe::Mailbox;

use super::Effect;
use super::component::Severity;
use super::register::Block;
use super::register::Change;
use super::reset::Domain;
use super::reset::Fate;
use super::reset::Reset;
use super::reset::fate;
use crate::profile::Checked;
use crate::profile::ConfigLock;
use crate::profile::Silicon;

/// Offset of the PCI Express capability.
pub const EXPRESS: u64 = 0x40;

/// Offset of the MSI-X capability.
pub const MSIX: u64 = 0x80;

/// Offset of the device DVSEC.
pub const DEVICE_DVSEC: u64 = 0x150;

/// What a part of configuration space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header,
    Express,
    Msix,
    Power,
    Aer,
    DeviceDvsec,
    GpfDvsec,
    FlexBusDvsec,
    RegisterLocatorDvsec,
    FunctionMapDvsec,
    SerialNumber,
    Ats,
    Doe,
}

#[derive(Clone, Debug)]
struct Part {
    offset: u64,
    kind: Kind,
    registers: Block,
}

/// The configuration space of the function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    parts: Vec<Part>,
    mailbox: Mailbox,
    /// How many more reads of the range's size see that it is not valid.
    invalid_reads: Cell<u64>,
}

impl ConfigSpace {
    /// The configuration space after power-on.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let part = |offset, kind, registers| Part { offset, kind, registers };
        let late = profile.profile().faults.memory_info_valid_late;
        let mut space = Self {
            parts: vec![
                part(0, Kind::Header, function::header(profile)),
                part(EXPRESS, Kind::Express, function::express()),
                part(MSIX, Kind::Msix, function::msix(profile)),
                part(0x90, Kind::Power, function::power()),
                part(EXTENDED_CAPABILITIES, Kind::Aer, function::aer()),
                part(DEVICE_DVSEC, Kind::DeviceDvsec, dvsec::device(profile)),
                part(0x190, Kind::GpfDvsec, dvsec::gpf()),
                part(0x1a0, Kind::FlexBusDvsec, dvsec::flex_bus()),
                part(0x1c0, Kind::RegisterLocatorDvsec, dvsec::register_locator(profile)),
                part(0x1e0, Kind::FunctionMapDvsec, dvsec::function_map()),
                part(0x210, Kind::SerialNumber, function::serial_number(profile)),
                part(0x220, Kind::Ats, function::ats()),
                part(0x230, Kind::Doe, function::doe()),
            ],
            mailbox: Mailbox::power_on(profile),
            invalid_reads: Cell::new(late.unwrap_or(0)),
        };
        space.link();
        space
    }

    /// Closes both lists of capabilities, in the order of the parts.
    fn link(&mut self) {
        let offsets: Vec<u64> = self.parts.iter().map(|part| part.offset).collect();
        for (part, next) in self.parts.iter_mut().zip(offsets.iter().copied().skip(1).chain([0])) {
            match part.kind {
                Kind::Header => part.registers.set(header::CAPABILITIES_POINTER, next),
                Kind::Express | Kind::Msix | Kind::Power => {
                    // The second byte of a capability; the list ends where the extended one begins.
                    let next = if next < EXTENDED_CAPABILITIES { next } else { 0 };
                    part.registers.set(1, next);
                }
                _ => {
                    let header = ExtendedCapability::new(part.registers.get(0) as u32);
                    part.registers.set(0, header.with_next(u12::new(next as u16 & 0xfff)).raw());
                }
            }
        }
    }

    /// What software reads.
    pub fn read(&self, access: Access) -> u64 {
        let inside = |part: &Part| Some(part.registers.read(access.relative_to(part.offset)?));
        let value = self.part_before(access).and_then(inside).unwrap_or(0);
        value & !self.not_valid_yet(access)
    }

    /// The bits of a read that a late device does not show yet: that the range is valid, and that it is active.
    fn not_valid_yet(&self, access: Access) -> u64 {
        const SIZE_LOW: u64 = DEVICE_DVSEC + device::RANGE_1_SIZE_LOW;
        let left = self.invalid_reads.get();
        if left == 0 || !(access.offset()..access.end()).contains(&SIZE_LOW) {
            return 0;
        }
        self.invalid_reads.set(left - 1);
        let late = device::RangeSizeLow::new(0).with_info_valid(true).with_active(true);
        u64::from(late.raw()) << (8 * (SIZE_LOW - access.offset()))
    }

    /// What software writes.
    pub fn write(&mut self, access: Access, value: u64) -> Vec<Effect> {
        let locked = self.config_locked();
        let Self { parts, mailbox, invalid_reads: _ } = self;
        let index = parts.partition_point(|part| part.offset <= access.offset()).checked_sub(1);
        let Some(part) = index.and_then(|index| parts.get_mut(index)) else { return Vec::new() };
        let Some(inside) = access.relative_to(part.offset) else { return Vec::new() };
        let lock = |_| locked && part.kind == Kind::DeviceDvsec;
        let changes = part.registers.write(inside, value, &lock);
        let whole = access.width() == Width::Dword;
        let react = |change| {
            if part.kind == Kind::Doe {
                mailbox.written(&mut part.registers, change, whole);
            }
            part.react(change)
        };
        changes.into_iter().filter_map(react).collect()
    }

    /// What a driver finds in a register of the header.
    pub fn command(&self) -> header::Command {
        header::Command::new(self.register(Kind::Header, header::COMMAND) as u16)
    }

    /// How MSI-X is used.
    pub fn msix(&self) -> msix::MessageControl {
        msix::MessageControl::new(self.register(Kind::Msix, msix::MESSAGE_CONTROL) as u16)
    }

    /// The power state that software put the function into: 0 for D0, 3 for D3hot.
    pub fn power_state(&self) -> u2 {
        power::ControlStatus::new(self.register(Kind::Power, power::CONTROL_STATUS) as u16).state()
    }

    /// The device DVSEC's register at `offset`, 16 bits of it, as the hardware has it.
    pub fn device_dvsec(&self, offset: u64) -> u16 {
        let part = self.parts.iter().find(|part| part.kind == Kind::DeviceDvsec);
        let access = Access::new(offset, Width::Word);
        part.zip(access).map_or(0, |(part, access)| part.registers.read(access) as u16)
    }

    /// Whether the device may speak CXL.mem.
    pub(super) fn mem_enabled(&self) -> bool {
        device::Control::new(self.device_dvsec(device::CONTROL)).mem_enable()
    }

    /// Whether a CXL reset is to clear the memory: asked for, and possible.
    pub(super) fn mem_clear_asked(&self) -> bool {
        let capability = device::Capability::new(self.device_dvsec(device::CAPABILITY));
        let control = device::Control2::new(self.device_dvsec(device::CONTROL_2));
        capability.cxl_reset_mem_clear_capable() && control.cxl_reset_mem_clear_enable()
    }

    /// The host addresses of range 1, which decodes while the HDM decoders do not.
    pub(super) fn range_1(&self) -> Option<Span<Hpa>> {
        let register = |offset| self.register(Kind::DeviceDvsec, offset) as u32;
        let base = hdm::join(register(device::RANGE_1_BASE_LOW), register(device::RANGE_1_BASE_HIGH));
        let size = hdm::join(register(device::RANGE_1_SIZE_LOW), register(device::RANGE_1_SIZE_HIGH));
        Span::new(Hpa::new(base), size)
    }

    /// Host firmware says where the memory is and turns it on, and then locks that if it is one that does.
    pub(super) fn firmware_enables_memory(&mut self, profile: &Checked) {
        let (low, high) = hdm::split(profile.host_range().start().get());
        let control = device::Control::new(self.device_dvsec(device::CONTROL));
        let control = control.with_mem_enable(true).with_cache_enable(true);
        let lock = device::Lock::new(0).with_config_lock(true);
        let ranges = [(device::RANGE_1_BASE_HIGH, high.into()), (device::RANGE_1_BASE_LOW, low.into())];
        let enable = (device::CONTROL, u64::from(control.raw()));
        let lock = (device::LOCK, u64::from(lock.raw()));
        let rest = match profile.profile().firmware.config_lock {
            ConfigLock::Never => vec![enable],
            ConfigLock::AfterMemEnable => vec![enable, lock],
            ConfigLock::BeforeMemEnable => vec![lock, enable],
        };
        for (offset, value) in ranges.into_iter().chain(rest) {
            self.write(Access::dword_around(DEVICE_DVSEC + offset), value);
        }
    }

    /// An error inside the device is reported as an internal error of the function.
    pub(super) fn internal_error(&mut self, severity: Severity) {
        if let Some(aer) = self.registers_mut(Kind::Aer) {
            function::internal_error(aer, severity);
        }
        if let Some(express) = self.registers_mut(Kind::Express) {
            function::error_detected(express, severity);
        }
    }

    /// The CXL reset that software asked for is over.
    pub(super) fn cxl_reset_ended(&mut self, failed: bool) {
        if let Some(device) = self.registers_mut(Kind::DeviceDvsec) {
            dvsec::cxl_reset_ended(device, failed);
        }
    }

    /// The configuration space after a reset; `fresh` is the space as it is after power-on.
    pub(super) fn reborn(self, fresh: Self, reset: Reset, built: &Silicon) -> Self {
        let Self { parts, mailbox: _, invalid_reads } = self;
        let fate = |domain| fate(domain, reset, built);
        let parts = parts.into_iter().zip(fresh.parts);
        Self {
            parts: parts.map(|(old, fresh)| old.reborn(fresh, reset, fate)).collect(),
            // The mailbox has nothing that is sticky, and every reset reaches the function.
            mailbox: fresh.mailbox,
            invalid_reads: match fate(Domain::CxlDvsecs) {
                Fate::Kept => invalid_reads,
                Fate::Sticky | Fate::Fresh => fresh.invalid_reads,
            },
        }
    }

    fn part_before(&self, access: Access) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.offset <= access.offset()).checked_sub(1)?;
        self.parts.get(index)
    }

    fn register(&self, kind: Kind, offset: u64) -> u64 {
        self.parts.iter().find(|part| part.kind == kind).map_or(0, |part| part.registers.get(offset))
    }

    fn registers_mut(&mut self, kind: Kind) -> Option<&mut Block> {
        let part = self.parts.iter_mut().find(|part| part.kind == kind);
        part.map(|part| &mut part.registers)
    }

    fn config_locked(&self) -> bool {
        device::Lock::new(self.device_dvsec(device::LOCK)).config_lock()
    }
}

impl Part {
    /// The part after a reset.
    fn reborn(self, fresh: Self, reset: Reset, fate: impl Fn(Domain) -> Fate) -> Self {
        let Self { offset, kind, registers } = self;
        let registers = match kind {
            Kind::DeviceDvsec => {
                let (others, control_2) = (fate(Domain::CxlDvsecs), fate(Domain::Control2));
                dvsec::device_reborn(registers, fresh.registers, others, control_2)
            }
            Kind::Express if matches!(reset, Reset::FunctionLevel | Reset::Cxl) => {
                let old = registers.clone();
                function::express_reborn(&old, registers.reborn(fresh.registers, fate(Domain::Function)))
            }
            _ => registers.reborn(fresh.registers, fate(kind.domain())),
        };
        Self { offset, kind, registers }
    }

    /// What follows from a register that was written.
    fn react(&mut self, change: Change) -> Option<Effect> {
        match (self.kind, change.offset) {
            (Kind::Express, express::DEVICE_CONTROL) => {
                let written = express::DeviceControl::new(change.after as u16);
                self.registers.set(change.offset, written.with_initiate_function_level_reset(false).raw());
                written.initiate_function_level_reset().then_some(Effect::FunctionLevelReset)
            }
            (Kind::Power, power::CONTROL_STATUS) => {
                let state = power::ControlStatus::new(change.after as u16).state();
                if state != power::D0 && state != power::D3_HOT {
                    // A state that the function does not have: the write completes and changes nothing.
                    self.registers.set(change.offset, change.before);
                }
                None
            }
            (Kind::DeviceDvsec, device::CONTROL_2) => {
                let written = device::Control2::new(change.after as u16);
                dvsec::control_2_written(&mut self.registers, written).then_some(Effect::CxlReset)
            }
            _ => None,
        }
    }
}

impl Kind {
    /// Whose fate the part shares in a reset.
    fn domain(self) -> Domain {
        match self {
            Self::Header | Self::Express | Self::Msix | Self::Power => Domain::Function,
            Self::Aer | Self::SerialNumber | Self::Ats | Self::Doe => Domain::Function,
            Self::DeviceDvsec
            | Self::GpfDvsec
            | Self::FlexBusDvsec
            | Self::RegisterLocatorDvsec
            | Self::FunctionMapDvsec => Domain::CxlDvsecs,
        }
    }
}

#[cfg(test)]
mod tests;
