//! MSI-X as the guest sees it (PCIe 6.2, 6.1.4 and 7.7.2), as a value: no device, no file, no hypervisor.
//!
//! ```text
//!            enable, no mask of the function, none of the vector
//!   masked ───────────────────────────────────────────────────────▶ in use
//!     ▲ │  signalled: pending                      pending: sent      │
//!     │ └──▶ pending                                                  │
//!     └───────────────────── one of the masks ───────────────────────┘
//! ```
//!
//! The table and the message control register are the machine's: what the guest writes there, the device never
//! sees. Of a write only what follows from it leaves this value, as [`Effect`]s in order.

use std::ops::Range;

use cxl_spec::pci::msix;
use cxl_spec::pci::msix::MessageControl;
use cxl_spec::pci::msix::VectorControl;

use super::Message;

/// What follows from a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// MSI-X is on: from now on the device may signal.
    Begin,
    /// Whenever the vector is signalled, this message goes to the guest.
    Use {
        /// Which vector.
        vector: u16,
        /// What it sends.
        message: Message,
    },
    /// Nothing goes to the guest when the vector is signalled; it is pending then.
    Mask {
        /// Which vector.
        vector: u16,
    },
    /// The vector's message goes to the guest, once.
    Send {
        /// Which vector.
        vector: u16,
    },
    /// MSI-X is off.
    End,
}

/// The message control register, the table and the pending bits of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MsixTable {
    control: MessageControl,
    entries: Vec<Entry>,
}

/// A vector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    message: Message,
    control: VectorControl,
    pending: bool,
}

impl MsixTable {
    /// So many vectors, at least one, as after reset: MSI-X is off and every vector masked.
    pub fn new(vectors: u16) -> Self {
        let message = Message { address: 0, data: 0 };
        let entry = Entry { message, control: VectorControl::new(0).with_mask(true), pending: false };
        let size = arbitrary_int::u11::new(vectors.saturating_sub(1) & 0x7ff);
        let control = MessageControl::new(0).with_table_size(size);
        Self { control, entries: vec![entry; usize::from(vectors.max(1))] }
    }

    /// What the message control register reads.
    pub fn control(&self) -> MessageControl {
        self.control
    }

    /// The guest writes the message control register.
    pub fn write_control(&mut self, value: MessageControl) -> Vec<Effect> {
        let all = 0..self.entries.len();
        let control = self.control.with_enable(value.enable()).with_function_mask(value.function_mask());
        self.change(all, |table| table.control = control)
    }

    /// What a dword of the table reads. Behind the last vector it reads 0.
    pub fn read(&self, offset: u64) -> u32 {
        let Some((vector, register)) = Self::place(offset) else { return 0 };
        let Some(entry) = self.entries.get(vector) else { return 0 };
        match register {
            ADDRESS_LOW => entry.message.address as u32,
            ADDRESS_HIGH => (entry.message.address >> 32) as u32,
            DATA => entry.message.data,
            _ => entry.control.raw(),
        }
    }

    /// The guest writes a dword of the table. Behind the last vector there is nothing to write.
    pub fn write(&mut self, offset: u64, value: u32) -> Vec<Effect> {
        let Some((vector, register)) = Self::place(offset) else { return Vec::new() };
        self.change(vector..vector.saturating_add(1), |table| {
            let Some(entry) = table.entries.get_mut(vector) else { return };
            let Message { address, data } = &mut entry.message;
            match register {
                // An address is one of a dword.
                ADDRESS_LOW => *address = *address >> 32 << 32 | u64::from(value & !3),
                ADDRESS_HIGH => *address = *address & 0xffff_ffff | u64::from(value) << 32,
                DATA => *data = value,
                _ => entry.control = VectorControl::new(0).with_mask(VectorControl::new(value).mask()),
            }
        })
    }

    /// What a dword of the pending bits reads.
    pub fn pending(&self, offset: u64) -> u32 {
        let first = usize::try_from(offset / 4).unwrap_or(usize::MAX).saturating_mul(32);
        let bits = self.entries.iter().skip(first).take(32).enumerate();
        bits.fold(0, |dword, (bit, entry)| dword | u32::from(entry.pending) << bit)
    }

    /// The device has signalled a vector that was not connected to the guest: it is pending, unless its message
    /// can go at once.
    pub fn signalled(&mut self, vector: u16) -> Vec<Effect> {
        let (live, on) = (self.is_in_use(vector), self.control.enable());
        match self.entries.get_mut(usize::from(vector)) {
            Some(_) if live => vec![Effect::Send { vector }],
            Some(entry) => {
                entry.pending |= on;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// Whether the vector's messages go to the guest.
    pub fn is_in_use(&self, vector: u16) -> bool {
        self.message(vector.into()).is_some()
    }

    /// What the vector sends while it is in use.
    fn message(&self, vector: usize) -> Option<Message> {
        let on = self.control.enable() && !self.control.function_mask();
        let entry = self.entries.get(vector).filter(|entry| on && !entry.control.mask())?;
        Some(entry.message)
    }

    /// Changes something about these vectors, and tells what follows.
    fn change(&mut self, vectors: Range<usize>, change: impl FnOnce(&mut Self)) -> Vec<Effect> {
        let was_on = self.control.enable();
        let before: Vec<_> = vectors.clone().map(|vector| self.message(vector)).collect();
        change(self);
        match (was_on, self.control.enable()) {
            (false, false) => return Vec::new(),
            (true, false) => {
                self.entries.iter_mut().for_each(|entry| entry.pending = false);
                return vec![Effect::End];
            }
            _ => {}
        }
        let mut effects = Vec::new();
        if !was_on {
            effects.push(Effect::Begin);
        }
        for (index, before) in vectors.zip(before) {
            // There are at most 2048.
            let vector = index as u16;
            match (before, self.message(index)) {
                (Some(_), None) => effects.push(Effect::Mask { vector }),
                (before, Some(message)) if before != Some(message) => {
                    effects.push(Effect::Use { vector, message });
                    effects.extend(self.take_pending(index).then_some(Effect::Send { vector }));
                }
                _ => {}
            }
        }
        effects
    }

    fn take_pending(&mut self, vector: usize) -> bool {
        self.entries.get_mut(vector).is_some_and(|entry| std::mem::take(&mut entry.pending))
    }

    /// The vector and the register in it at an offset of the table.
    fn place(offset: u64) -> Option<(usize, u64)> {
        let vector = usize::try_from(offset / msix::ENTRY_SIZE).ok()?;
        Some((vector, (offset % msix::ENTRY_SIZE) & !3))
    }
}

/// Offsets in a table entry.
const ADDRESS_LOW: u64 = 0;
const ADDRESS_HIGH: u64 = 4;
const DATA: u64 = 8;

#[cfg(test)]
mod tests;
