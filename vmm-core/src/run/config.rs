//! What the guest sees of configuration space in place of what the device says.
//!
//! Three things are the machine's and not the device's:
//!
//! - **Base address registers.** They are the guest's to write: the device is not told. What they hold is where
//!   the BAR is, so after all ones it is at the address that tells its size. No bridge forwards that, and the BAR
//!   is out until it has an address again.
//! - **Range bases of the CXL device DVSEC.** The device, and the kernel of April 2026 with it, shows the host's
//!   address there, which is none of the guest's business. The guest reads the base of its window. Range 2 is not
//!   in use and reads 0.
//!
//! - **Interrupt Line.** Firmware leaves there which input of the interrupt controller the pin is wired to, and the
//!   guest may write what it likes.
//!
//! And one bit is the device's and the machine's: **Memory Space Enable**. While it is off, no BAR is anywhere.
//!
//! Two bits the machine must hear of: those by which a guest resets the function, or CXL.

use cxl_spec::access::Access;
use cxl_spec::address::Gpa;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::express;
use cxl_spec::pci::header;

use crate::map::space::WindowId;
use crate::plan::Bar;
use crate::plan::Device;
use crate::plan::life::Committer;
use crate::program::Reset;

/// The dwords of configuration space that are the machine's, and what they say of the BARs.
#[derive(Debug)]
pub(super) struct ConfigView {
    dwords: Vec<Dword>,
    bars: Vec<Placeable>,
    /// The function answers memory accesses.
    memory_space: bool,
    /// What the guest has written to the command register, and which bits of it.
    command: (u16, u16),
    /// The bits by which the guest resets it: where, and what is reset.
    resets: Vec<(u64, u8, Reset)>,
}

/// A dword that is the machine's.
#[derive(Debug)]
struct Dword {
    offset: u64,
    value: u32,
    /// What of it a guest can write.
    writable: u32,
}

/// A BAR, and its window in the address space.
#[derive(Debug)]
struct Placeable {
    index: u8,
    is_64_bit: bool,
    window: WindowId,
    /// Where the plan puts it.
    planned: Gpa,
}

impl ConfigView {
    /// What the guest sees of a device that answers memory accesses. `windows` are those of its BARs.
    pub(super) fn new(planned: &Device, windows: &[(u8, WindowId)]) -> Self {
        let fixed = |offset, value| Dword { offset, value, writable: 0 };
        // Nobody has put the memory anywhere yet if that is the guest's to do.
        let base = match planned.committer {
            Committer::Machine => planned.window.span.start().get(),
            Committer::Guest => 0,
        };
        let (low, high) = hdm::split(base);
        let ranges = [
            (device::RANGE_1_BASE_HIGH, high),
            (device::RANGE_1_BASE_LOW, low),
            (device::RANGE_2_BASE_HIGH, 0),
            (device::RANGE_2_BASE_LOW, 0),
        ];
        let ranges = ranges.map(|(offset, value)| fixed(planned.device_dvsec.saturating_add(offset), value));
        let unused = (0..header::BARS).map(|bar| fixed(header::bar_offset(bar), 0));
        let line = planned.pin.and_then(|pin| Some(interrupt_line(pin.number, pin.input?)));
        let dwords = unused.chain(ranges).chain(line).collect();
        let resets = resets(planned);
        let mut view = Self { dwords, bars: Vec::new(), memory_space: true, command: (0, 0), resets };
        for bar in &planned.bars {
            view.show(bar);
            let window = windows.iter().find(|(index, _)| *index == bar.index);
            let planned = bar.span.start();
            let placeable = |(index, window): &_| Placeable {
                index: *index,
                is_64_bit: bar.is_64_bit,
                window: *window,
                planned,
            };
            view.bars.extend(window.map(placeable));
        }
        view
    }

    fn show(&mut self, bar: &Bar) {
        let (at, mask) = (bar.span.start().get(), !bar.span.size().saturating_sub(1));
        let kind = header::Bar::new(0).with_prefetchable(bar.prefetchable);
        let kind = if bar.is_64_bit { kind.with_kind(header::KIND_64_BIT) } else { kind };
        let halves = [(at as u32 | kind.raw(), mask as u32 & !0xf), ((at >> 32) as u32, (mask >> 32) as u32)];
        let count = if bar.is_64_bit { 2 } else { 1 };
        for (index, (value, writable)) in (bar.index..).zip(halves).take(count) {
            let offset = header::bar_offset(index);
            if let Some(dword) = self.dwords.iter_mut().find(|dword| dword.offset == offset) {
                (dword.value, dword.writable) = (value, writable);
            }
        }
    }

    /// What the guest reads, if that is the machine's.
    pub(super) fn read(&self, access: Access) -> Option<u64> {
        let around = Access::dword_around(access.offset());
        let dword = self.dwords.iter().find(|dword| dword.offset == around.offset())?;
        Some(u64::from(dword.value) >> (8 * (access.offset() - around.offset())) & access.width().mask())
    }

    /// What the guest writes. False if that is the device's.
    pub(super) fn write(&mut self, access: Access, value: u64) -> bool {
        let around = Access::dword_around(access.offset());
        let Some(dword) = self.dwords.iter_mut().find(|dword| dword.offset == around.offset()) else {
            return false;
        };
        let shift = 8 * (access.offset() - around.offset());
        let written = (access.width().mask() << shift) as u32 & dword.writable;
        dword.value = dword.value & !written | (value << shift) as u32 & written;
        true
    }

    /// What a write makes of Memory Space Enable; nothing if it does not write that bit.
    pub(super) fn memory_space_in(access: Access, value: u64) -> Option<bool> {
        let inside =
            header::COMMAND.checked_sub(access.offset()).filter(|byte| *byte < access.width().bytes());
        inside.map(|byte| header::Command::new((value >> (8 * byte)) as u16).memory_space())
    }

    /// Remembers what a write makes of the command register.
    pub(super) fn note_command(&mut self, access: Access, value: u64) {
        let Some(shift) = header::COMMAND.checked_sub(access.offset()).map(|bytes| 8 * bytes) else {
            // Of the two bytes it can only be the upper one that the access begins at.
            if access.offset() == header::COMMAND + 1 {
                self.merge_command((value << 8) as u16, 0xff00);
            }
            return;
        };
        let written = access.width().mask().checked_shr(shift as u32).unwrap_or(0);
        self.merge_command(value.checked_shr(shift as u32).unwrap_or(0) as u16, written as u16);
    }

    fn merge_command(&mut self, value: u16, mask: u16) {
        let (before, known) = self.command;
        self.command = (before & !mask | value & mask, known | mask);
    }

    /// What the command register reads after the guest's writes, on a device where it reads `fresh` without them.
    pub(super) fn command_over(&self, fresh: u16) -> u16 {
        let (value, known) = self.command;
        fresh & !known | value & known
    }

    /// The BARs nowhere, by their windows.
    pub(super) fn nowhere(&self) -> Vec<(WindowId, Option<Gpa>)> {
        self.bars.iter().map(|bar| (bar.window, None)).collect()
    }

    /// What a write resets, if anything.
    pub(super) fn reset_in(&self, access: Access, value: u64) -> Option<Reset> {
        let written = |at: u64| {
            let byte = at.checked_sub(access.offset()).filter(|byte| *byte < access.width().bytes())?;
            Some((value >> (8 * byte)) as u8)
        };
        let mut resets = self.resets.iter();
        resets.find(|(at, bit, _)| written(*at).is_some_and(|byte| byte & bit != 0)).map(|(.., reset)| *reset)
    }

    /// Whether the function answers memory accesses.
    pub(super) fn memory_space(&self) -> bool {
        self.memory_space
    }

    /// The function answers memory accesses from now on, or does not.
    pub(super) fn set_memory_space(&mut self, on: bool) {
        self.memory_space = on;
    }

    /// Where the BARs are now, by their windows.
    pub(super) fn places(&self) -> Vec<(WindowId, Option<Gpa>)> {
        self.bars.iter().map(|bar| (bar.window, self.place(bar).filter(|_| self.memory_space))).collect()
    }

    /// Whether the device decodes its BARs where the plan put them.
    pub(super) fn is_as_planned(&self) -> bool {
        self.memory_space && self.bars.iter().all(|bar| self.place(bar) == Some(bar.planned))
    }

    fn place(&self, bar: &Placeable) -> Option<Gpa> {
        let half = |index| {
            let offset = header::bar_offset(index);
            self.dwords.iter().find(|dword| dword.offset == offset).map(|dword| u64::from(dword.value))
        };
        let low = half(bar.index)? & !0xf;
        let high = if bar.is_64_bit { half(bar.index.checked_add(1)?)? } else { 0 };
        Some(Gpa::new(high << 32 | low))
    }
}

/// The dword with the pin and the line. The two bytes above mean nothing in PCI Express.
fn interrupt_line(pin: u8, line: u8) -> Dword {
    let value = u32::from(u16::from_le_bytes([line, pin]));
    Dword { offset: header::INTERRUPT_LINE, value, writable: 0xff }
}

/// Byte and bit of each register that starts a reset, the greater reset first.
fn resets(planned: &Device) -> Vec<(u64, u8, Reset)> {
    let cxl = device::Control2::new(0).with_initiate_cxl_reset(true).raw();
    let function = express::DeviceControl::new(0).with_initiate_function_level_reset(true).raw();
    let cxl = (planned.device_dvsec.saturating_add(device::CONTROL_2), cxl, Reset::Cxl);
    let function = planned.express.map(|capability| {
        (capability.saturating_add(express::DEVICE_CONTROL), function, Reset::FunctionLevel)
    });
    let bytes = |(at, bits, reset): (u64, u16, Reset)| {
        let [low, high] = bits.to_le_bytes();
        [(at, low, reset), (at.saturating_add(1), high, reset)]
    };
    let all = [cxl].into_iter().chain(function).flat_map(bytes);
    all.filter(|(_, bits, _)| *bits != 0).collect()
}
