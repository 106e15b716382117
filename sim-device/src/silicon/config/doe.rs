//! The mailbox through which software asks for the table of the device's memory (PCIe 6.2, 6.30).
//!
//! ```text
//!            write mailbox                 go
//!  ┌──────┐ ─────────────▶ ┌───────────┐ ────▶ understood ──▶ ┌───────┐  write to the read mailbox
//!  │ idle │                │ receiving │        │             │ ready │ ───▶ next dword, at last idle
//!  └──────┘ ◀───────────── └───────────┘        └▶ ┌───────┐  └───────┘
//!               abort, from anywhere               │ error │
//!                                                  └───────┘
//! ```
//!
//! Every answer is there at once, so busy is never seen. An object of a kind that the mailbox does not have is
//! dropped without an answer, as the specification asks; one with a wrong length, or one that asks for what is not
//! there, is an error that only an abort clears. A new go drops an answer that was not read. The mailboxes take
//! whole dwords only. There is no interrupt.

use std::collections::VecDeque;

use arbitrary_int::u18;
use cxl_spec::cdat;
use cxl_spec::dvsec;
use cxl_spec::pci::doe;

use super::cdat as table;
use crate::profile::Checked;
use crate::silicon::register::Block;
use crate::silicon::register::Change;

/// Dwords of the longest object that is understood. What is written beyond is counted and not kept.
const LONGEST: usize = 3;

/// The kinds of objects, in the order in which discovery names them.
const KINDS: [(u16, u8); 2] = [(doe::PCI_SIG, doe::DISCOVERY), (dvsec::VENDOR, cdat::TABLE_ACCESS)];

/// What the mailbox holds.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    entries: Vec<Vec<u32>>,
    request: Vec<u32>,
    /// How many dwords were written, kept or not.
    written: usize,
    answer: VecDeque<u32>,
    failed: bool,
}

/// What comes of an object.
enum Reply {
    Answer(Vec<u32>),
    /// Nothing, and no error.
    Dropped,
    Malformed,
}

impl Mailbox {
    /// An idle mailbox.
    pub(super) fn power_on(profile: &Checked) -> Self {
        Self {
            entries: table::entries(profile),
            request: Vec::new(),
            written: 0,
            answer: VecDeque::new(),
            failed: false,
        }
    }

    /// Software wrote a register of the mailbox, a `whole` one or only bytes of it.
    pub(super) fn written(&mut self, registers: &mut Block, change: Change, whole: bool) {
        match change.offset {
            doe::CONTROL => self.control(doe::Control::new(change.after as u32)),
            doe::WRITE_MAILBOX if whole && !self.failed => self.receive(change.after as u32),
            doe::READ_MAILBOX if whole => drop(self.answer.pop_front()),
            _ => {}
        }
        registers.set(doe::CONTROL, 0u32);
        registers.set(doe::WRITE_MAILBOX, 0u32);
        registers.set(doe::READ_MAILBOX, self.answer.front().copied().unwrap_or(0));
        let status = doe::Status::new(0).with_error(self.failed).with_object_ready(!self.answer.is_empty());
        registers.set(doe::STATUS, status.raw());
    }

    fn control(&mut self, control: doe::Control) {
        if control.abort() {
            self.forget();
            self.failed = false;
        } else if control.go() && !self.failed {
            let reply = self.reply();
            self.forget();
            match reply {
                Reply::Answer(dwords) => self.answer = dwords.into(),
                Reply::Dropped => {}
                Reply::Malformed => self.failed = true,
            }
        }
    }

    fn forget(&mut self) {
        self.request.clear();
        self.written = 0;
        self.answer.clear();
    }

    fn receive(&mut self, dword: u32) {
        self.written = self.written.saturating_add(1);
        if self.request.len() < LONGEST {
            self.request.push(dword);
        }
    }

    fn reply(&self) -> Reply {
        let [first, second, body @ ..] = self.request.as_slice() else { return Reply::Malformed };
        let header = doe::ObjectHeader1::new(*first);
        let length = match doe::ObjectHeader2::new(*second).length().value() {
            0 => 1 << 18,
            length => length as usize,
        };
        let kind = (header.vendor(), header.kind());
        match (KINDS.iter().position(|known| *known == kind), body) {
            _ if length != self.written => Reply::Malformed,
            (None, _) => Reply::Dropped,
            (Some(0), [request]) if self.written == LONGEST => {
                Reply::Answer(discovery(doe::DiscoveryRequest::new(*request)))
            }
            (Some(_), [request]) if self.written == LONGEST => self.entry(cdat::ReadEntry::new(*request)),
            (Some(_), _) => Reply::Malformed,
        }
    }

    fn entry(&self, request: cdat::ReadEntry) -> Reply {
        let handle = request.handle();
        let Some(entry) = self.entries.get(usize::from(handle)) else { return Reply::Malformed };
        if request.code() != 0 || request.table() != 0 {
            return Reply::Malformed;
        }
        let next = handle.saturating_add(1);
        let more = usize::from(next) < self.entries.len();
        let head = cdat::EntryRead::new(0).with_next(if more { next } else { cdat::LAST });
        let body: Vec<u32> = [head.raw()].into_iter().chain(entry.iter().copied()).collect();
        Reply::Answer(object((dvsec::VENDOR, cdat::TABLE_ACCESS), &body))
    }
}

fn discovery(request: doe::DiscoveryRequest) -> Vec<u32> {
    let index = usize::from(request.index());
    let answer = match KINDS.get(index) {
        Some((vendor, kind)) => {
            let next = if index + 1 < KINDS.len() { request.index().saturating_add(1) } else { 0 };
            doe::DiscoveryResponse::new(0).with_vendor(*vendor).with_kind(*kind).with_next(next)
        }
        None => doe::DiscoveryResponse::new(0).with_vendor(doe::NO_VENDOR),
    };
    object((doe::PCI_SIG, doe::DISCOVERY), &[answer.raw()])
}

/// The object of this kind with this body.
fn object((vendor, kind): (u16, u8), body: &[u32]) -> Vec<u32> {
    let length = u18::new((body.len() + doe::HEADERS) as u32 & 0x3_ffff);
    let first = doe::ObjectHeader1::new(0).with_vendor(vendor).with_kind(kind);
    let second = doe::ObjectHeader2::new(0).with_length(length);
    [first.raw(), second.raw()].into_iter().chain(body.iter().copied()).collect()
}

#[cfg(test)]
mod tests;
