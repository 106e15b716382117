//! What the guest sees of configuration space in place of what the device says.
//!
//! Two things are the machine's and not the device's:
//!
//! - **Base address registers.** The machine has placed them and keeps them there. They read their place; after
//!   all ones were written, they read their size, until something else is written.
//! - **Range bases of the CXL device DVSEC.** The device, and the kernel of April 2026 with it, shows the host's
//!   address there, which is none of the guest's business. The guest reads the base of its window. Range 2 is not
//!   in use and reads 0.

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::component::hdm;
use cxl_spec::dvsec::device;
use cxl_spec::pci::header;

use crate::plan::Bar;
use crate::plan::Device;

/// The dwords of configuration space that are the machine's.
#[derive(Debug)]
pub(super) struct ConfigView {
    dwords: Vec<Dword>,
}

/// A dword that is the machine's.
#[derive(Debug)]
struct Dword {
    offset: u64,
    value: u32,
    /// What it reads after all ones were written; nothing if writes have no effect.
    sized: Option<u32>,
    /// All ones were written last.
    sizing: bool,
}

impl ConfigView {
    /// What the guest sees of a device.
    pub(super) fn new(planned: &Device) -> Self {
        let fixed = |offset, value| Dword { offset, value, sized: None, sizing: false };
        let (low, high) = hdm::split(planned.window.span.start().get());
        let ranges = [
            (device::RANGE_1_BASE_HIGH, high),
            (device::RANGE_1_BASE_LOW, low),
            (device::RANGE_2_BASE_HIGH, 0),
            (device::RANGE_2_BASE_LOW, 0),
        ];
        let ranges = ranges.map(|(offset, value)| fixed(planned.device_dvsec.saturating_add(offset), value));
        let unused = (0..header::BARS).map(|bar| fixed(header::bar_offset(bar), 0));
        let mut view = Self { dwords: unused.chain(ranges).collect() };
        for bar in &planned.bars {
            view.place(bar);
        }
        view
    }

    fn place(&mut self, bar: &Bar) {
        let (at, mask) = (bar.span.start().get(), !bar.span.size().saturating_sub(1));
        let kind = header::Bar::new(0).with_prefetchable(bar.prefetchable);
        let kind = if bar.is_64_bit { kind.with_kind(header::KIND_64_BIT) } else { kind };
        let halves =
            [(at as u32 | kind.raw(), mask as u32 | kind.raw()), ((at >> 32) as u32, (mask >> 32) as u32)];
        let count = if bar.is_64_bit { 2 } else { 1 };
        for (index, (value, sized)) in (bar.index..).zip(halves).take(count) {
            let offset = header::bar_offset(index);
            if let Some(dword) = self.dwords.iter_mut().find(|dword| dword.offset == offset) {
                (dword.value, dword.sized) = (value, Some(sized));
            }
        }
    }

    /// What the guest reads, if that is the machine's.
    pub(super) fn read(&self, access: Access) -> Option<u64> {
        let around = Access::dword_around(access.offset());
        let dword = self.dwords.iter().find(|dword| dword.offset == around.offset())?;
        let value = dword.sized.filter(|_| dword.sizing).unwrap_or(dword.value);
        Some(u64::from(value) >> (8 * (access.offset() - around.offset())) & access.width().mask())
    }

    /// What the guest writes. False if that is the device's.
    pub(super) fn write(&mut self, access: Access, value: u64) -> bool {
        let around = Access::dword_around(access.offset());
        let Some(dword) = self.dwords.iter_mut().find(|dword| dword.offset == around.offset()) else {
            return false;
        };
        dword.sizing = access.width() == Width::Dword && value == Width::Dword.mask();
        true
    }
}
