//! An I/O APIC as a value (Intel 82093AA): 24 inputs, and for each what is sent to a processor.
//!
//! ```text
//!                line rises, not masked                     level: sent, and not again
//!  line ──▶ entry ──────────────────────▶ message ──▶ APIC ──────────────────────────────▶ Remote IRR
//!             ▲                                         │ the guest ends the interrupt          │
//!             └──── level, and the line still high ─────┴───────────────────────────────────────┘
//! ```
//!
//! A line is asserted or it is not: which voltage that is, the polarity bit says, means nothing here. An edge that
//! comes while its entry is masked is lost; a level is not.

use cxl_spec::access::Access;
use cxl_spec::access::Width;

use super::Message;

/// How many inputs it has.
pub const INPUTS: u8 = 24;

/// Where the register that selects is, and where the selected one is read and written.
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;

/// The registers that can be selected: who it is, what it is, who it is on the bus, and the entries' halves.
const ID: u8 = 0x00;
const VERSION: u8 = 0x01;
const ARBITRATION: u8 = 0x02;
const ENTRIES: u8 = 0x10;

/// Version 0x11, and the number of the last entry.
const VERSION_VALUE: u32 = 0x11 | (INPUTS as u32 - 1) << 16;

/// Bits of the identification register that can be written.
const ID_BITS: u32 = 0x0f00_0000;

/// Bits of an entry: delivery mode, destination mode, those that cannot be written, level, mask, destination.
const DELIVERY: u64 = 0x700;
const LOGICAL: u64 = 1 << 11;
const STATUS: u64 = 1 << 12;
const REMOTE_IRR: u64 = 1 << 14;
const LEVEL: u64 = 1 << 15;
const MASK: u64 = 1 << 16;
const WRITABLE: u64 = 0xff00_0000_0001_afff;
const DESTINATION_SHIFT: u32 = 56;

/// Where messages to local APICs are written.
const MESSAGES: u64 = 0xfee0_0000;

/// The registers, and the lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoApic {
    select: u8,
    id: u32,
    entries: [Entry; INPUTS as usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    bits: u64,
    /// The line is asserted.
    line: bool,
}

impl Default for IoApic {
    /// As after reset: every entry is masked, and no line is asserted.
    fn default() -> Self {
        Self { select: 0, id: 0, entries: [Entry { bits: MASK, line: false }; INPUTS as usize] }
    }
}

impl IoApic {
    /// What is read. All but the two registers reads 0, and so does what is not a dword.
    pub fn read(&self, access: Access) -> u32 {
        match (access.offset(), access.width()) {
            (SELECT, Width::Dword) => self.select.into(),
            (WINDOW, Width::Dword) => self.selected(),
            _ => 0,
        }
    }

    fn selected(&self) -> u32 {
        match self.select {
            ID | ARBITRATION => self.id,
            VERSION => VERSION_VALUE,
            _ => self.half().map_or(0, |(entry, high)| {
                let bits = self.entries.get(entry).map_or(0, |entry| entry.bits);
                (if high { bits >> 32 } else { bits }) as u32
            }),
        }
    }

    /// The entry that is selected, and whether it is the upper half.
    fn half(&self) -> Option<(usize, bool)> {
        let half = usize::from(self.select.checked_sub(ENTRIES)?);
        (half < 2 * usize::from(INPUTS)).then_some((half / 2, half % 2 == 1))
    }

    /// What is written. Gives the message that is sent then, if one is.
    pub fn write(&mut self, access: Access, value: u32) -> Option<Message> {
        match (access.offset(), access.width()) {
            (SELECT, Width::Dword) => self.select = value as u8,
            (WINDOW, Width::Dword) if self.select == ID => self.id = value & ID_BITS,
            (WINDOW, Width::Dword) => return self.write_entry(value),
            _ => {}
        }
        None
    }

    fn write_entry(&mut self, value: u32) -> Option<Message> {
        let (number, high) = self.half()?;
        let entry = self.entries.get_mut(number)?;
        let shift = if high { 32 } else { 0 };
        let written = (u64::from(u32::MAX) << shift) & WRITABLE;
        entry.bits = entry.bits & !written | u64::from(value) << shift & written;
        if entry.bits & LEVEL == 0 {
            entry.bits &= !REMOTE_IRR;
            return None;
        }
        entry.send_level()
    }

    /// A line is asserted from now on, or is not. Gives the message that is sent then, if one is.
    pub fn set_line(&mut self, input: u8, asserted: bool) -> Option<Message> {
        let entry = self.entries.get_mut(usize::from(input))?;
        let rises = asserted && !entry.line;
        entry.line = asserted;
        if entry.bits & LEVEL != 0 {
            return entry.send_level();
        }
        (rises && entry.bits & MASK == 0).then(|| entry.message())
    }

    /// The inputs whose interrupts have this number: the guest has ended it, and their lines are looked at next.
    pub fn ended(&self, number: u8) -> Vec<u8> {
        let all = (0..INPUTS).zip(&self.entries);
        all.filter(|(_, entry)| entry.bits as u8 == number).map(|(input, _)| input).collect()
    }

    /// The interrupt of an input is over. If its line is asserted all the same, it is sent again.
    pub fn end(&mut self, input: u8) -> Option<Message> {
        let entry = self.entries.get_mut(usize::from(input))?;
        entry.bits &= !REMOTE_IRR;
        if entry.bits & LEVEL == 0 { None } else { entry.send_level() }
    }
}

impl Entry {
    /// Sends what a level asks for, once until the guest has ended it.
    fn send_level(&mut self) -> Option<Message> {
        let sends = self.line && self.bits & (MASK | REMOTE_IRR) == 0;
        if sends {
            self.bits |= REMOTE_IRR;
        }
        sends.then(|| self.message())
    }

    fn message(&self) -> Message {
        let destination = self.bits >> DESTINATION_SHIFT << 12;
        let logical = (self.bits & LOGICAL) >> LOGICAL.trailing_zeros() << 2;
        Message { address: MESSAGES | destination | logical, data: (self.bits & (DELIVERY | 0xff)) as u32 }
    }
}

const _: () = assert!(WRITABLE & (STATUS | REMOTE_IRR) == 0);

#[cfg(test)]
mod tests;
