//! Configuration space: the header, the capabilities and the DVSECs, each a block at its place.
//!
//! ```text
//! 0x000 header        0x100 AER                       0x1a0 DVSEC 7, Flex Bus port
//! 0x040 PCI Express   0x150 DVSEC 0, CXL device       0x1c0 DVSEC 8, register locator
//! 0x080 MSI-X         0x190 DVSEC 5, GPF for devices
//! ```
//!
//! What is between reads 0. Accesses are at most dwords; a bus has no wider ones here.

mod dvsec;
mod function;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::EXTENDED_CAPABILITIES;
use cxl_spec::pci::ExtendedCapability;
use cxl_spec::pci::express;
use cxl_spec::pci::header;

use super::Effect;
use super::register::Block;
use super::register::Change;
use crate::profile::Checked;

/// Offset of the device DVSEC.
pub const DEVICE_DVSEC: u64 = 0x150;

/// What a part of configuration space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header,
    Express,
    Msix,
    Aer,
    DeviceDvsec,
    GpfDvsec,
    FlexBusDvsec,
    RegisterLocatorDvsec,
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
}

impl ConfigSpace {
    /// The configuration space after power-on.
    pub(super) fn power_on(profile: &Checked) -> Self {
        let part = |offset, kind, registers| Part { offset, kind, registers };
        let mut space = Self {
            parts: vec![
                part(0, Kind::Header, function::header(profile)),
                part(0x40, Kind::Express, function::express()),
                part(0x80, Kind::Msix, function::msix(profile)),
                part(EXTENDED_CAPABILITIES, Kind::Aer, function::aer()),
                part(DEVICE_DVSEC, Kind::DeviceDvsec, dvsec::device(profile)),
                part(0x190, Kind::GpfDvsec, dvsec::gpf()),
                part(0x1a0, Kind::FlexBusDvsec, dvsec::flex_bus()),
                part(0x1c0, Kind::RegisterLocatorDvsec, dvsec::register_locator(profile)),
            ],
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
                Kind::Express | Kind::Msix => {
                    // The second byte of a capability; the list ends where the extended one begins.
                    let next = if next < EXTENDED_CAPABILITIES { next } else { 0 };
                    part.registers.set(1, next);
                }
                _ => {
                    let header = ExtendedCapability::new(part.registers.get(0) as u32);
                    let next = arbitrary_int::u12::new(next as u16 & 0xfff);
                    part.registers.set(0, header.with_next(next).raw());
                }
            }
        }
    }

    /// What software reads.
    pub fn read(&self, access: Access) -> u64 {
        let inside = |part: &Part| Some(part.registers.read(access.relative_to(part.offset)?));
        self.part_before(access).and_then(inside).unwrap_or(0)
    }

    /// What software writes.
    pub fn write(&mut self, access: Access, value: u64) -> Vec<Effect> {
        let locked = self.config_locked();
        let index = self.parts.partition_point(|part| part.offset <= access.offset()).checked_sub(1);
        let Some(part) = index.and_then(|index| self.parts.get_mut(index)) else { return Vec::new() };
        let Some(inside) = access.relative_to(part.offset) else { return Vec::new() };
        let lock = |_| locked && part.kind == Kind::DeviceDvsec;
        let changes = part.registers.write(inside, value, &lock);
        changes.into_iter().filter_map(|change| part.react(change)).collect()
    }

    /// What a driver finds in a register of the header.
    pub fn command(&self) -> header::Command {
        let header = self.parts.iter().find(|part| part.kind == Kind::Header);
        header::Command::new(header.map_or(0, |part| part.registers.get(header::COMMAND)) as u16)
    }

    /// The device DVSEC's register at `offset`, 16 bits of it.
    pub fn device_dvsec(&self, offset: u64) -> u16 {
        Access::new(DEVICE_DVSEC + offset, Width::Word).map_or(0, |access| self.read(access) as u16)
    }

    /// Host firmware says where the memory is and turns it on.
    pub(super) fn firmware_enables_memory(&mut self, profile: &Checked) {
        let (low, high) = hdm::split(profile.host_range().start().get());
        let control = device::Control::new(self.device_dvsec(device::CONTROL));
        let control = control.with_mem_enable(true).with_cache_enable(true);
        let programme = [
            (device::RANGE_1_BASE_HIGH, high.into()),
            (device::RANGE_1_BASE_LOW, low.into()),
            (device::CONTROL, u64::from(control.raw())),
        ];
        for (offset, value) in programme {
            self.write(Access::dword_around(DEVICE_DVSEC + offset), value);
        }
    }

    /// The configuration space after a function level reset: `fresh`, but the CXL DVSECs stay as they are
    /// (CXL 3.2, 9.5), and so does what is sticky.
    pub(super) fn after_function_level_reset(self, fresh: Self) -> Self {
        let reborn = |(old, fresh): (Part, Part)| {
            let Part { offset, kind, registers } = old;
            let registers = match kind {
                Kind::DeviceDvsec | Kind::GpfDvsec | Kind::FlexBusDvsec | Kind::RegisterLocatorDvsec => {
                    registers
                }
                Kind::Header | Kind::Express | Kind::Msix | Kind::Aer => registers.reborn(fresh.registers),
            };
            Part { offset, kind, registers }
        };
        Self { parts: self.parts.into_iter().zip(fresh.parts).map(reborn).collect() }
    }

    fn part_before(&self, access: Access) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.offset <= access.offset()).checked_sub(1)?;
        self.parts.get(index)
    }

    fn config_locked(&self) -> bool {
        device::Lock::new(self.device_dvsec(device::LOCK)).config_lock()
    }
}

impl Part {
    /// What follows from a register that was written.
    fn react(&mut self, change: Change) -> Option<Effect> {
        match (self.kind, change.offset) {
            (Kind::Express, express::DEVICE_CONTROL) => {
                let written = express::DeviceControl::new(change.after as u16);
                self.registers.set(change.offset, written.with_initiate_function_level_reset(false).raw());
                written.initiate_function_level_reset().then_some(Effect::FunctionLevelReset)
            }
            (Kind::DeviceDvsec, device::CONTROL_2) => {
                dvsec::control_2_written(&mut self.registers, device::Control2::new(change.after as u16));
                None
            }
            _ => None,
        }
    }
}
