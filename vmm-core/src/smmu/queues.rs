//! Commands are consumed, and events are recorded.
//!
//! ```text
//!  commands   consumed up to PROD ─▶ an illegal one, or one that cannot be read: CMDQ_CONS stays at it,
//!                                    its ERR says why, GERROR.CMDQ_ERR is active until acknowledged
//!  events     recorded ─▶ no room: lost, EVENTQ_PROD.OVFLG turns over, once until acknowledged
//!                      ─▶ no memory: lost, GERROR.EVENTQ_ABT_ERR is active, no more are recorded
//! ```
//!
//! No write takes longer than a queue twice as long as the longest. Messages are effects, and when there could be too
//! many, the rest of the commands waits until those are carried out.

use arbitrary_int::traits::Integer;
use arbitrary_int::u7;
use arbitrary_int::u20;
use cxl_spec::address::Iova;

use super::Smmu;
use super::command;
use super::command::Command;
use super::context::canonical;
use super::effect::Effects;
use super::effect::Interrupt;
use super::effect::Range;
use super::effect::Streams;
use super::event;
use super::memory::Physical;
use super::queue::Queue;
use super::registers::MessageRegisters;

/// `CERROR_ILL`: the command is illegal.
const ERROR_ILLEGAL: u7 = u7::new(1);
/// `CERROR_ABT`: the command could not be read.
const ERROR_ABORT: u7 = u7::new(2);

/// The low bits of an address in the largest block that a translation table can have, which is of 1 GiB.
const LARGEST_BLOCK: u64 = (1 << 30) - 1;

impl Smmu {
    /// Consumes commands until there is none, one is wrong, or there is no room for what follows.
    pub(super) fn consume(&mut self, memory: &Physical<'_>, effects: &mut Effects) {
        let queue = Queue::new(self.registers.cmdq_base, command::SIZE, self.features.command_queue.value());
        while self.registers.cr0.cmdqen() && !self.registers.has_command_error() && !effects.is_full() {
            let (prod, cons) = (self.registers.cmdq_prod.wr(), self.registers.cmdq_cons.rd());
            if queue.is_empty(prod.value(), cons.value()) {
                return;
            }
            let read = memory.words(queue.at(cons.value())).map_err(|_| ERROR_ABORT);
            let parsed = read.and_then(|words| Command::parse(words, self.features.ats).ok_or(ERROR_ILLEGAL));
            match parsed {
                Ok(command) => {
                    self.execute(command, effects);
                    let next = u20::masked_new(queue.next(cons.value()));
                    self.registers.cmdq_cons = self.registers.cmdq_cons.with_rd(next);
                }
                Err(error) => self.stop(error, effects),
            }
        }
    }

    /// The command queue stops until software has acknowledged the error.
    fn stop(&mut self, error: u7, effects: &mut Effects) {
        self.registers.cmdq_cons = self.registers.cmdq_cons.with_err(error);
        let acknowledged = self.registers.gerrorn.cmdq_err();
        self.registers.gerror = self.registers.gerror.with_cmdq_err(!acknowledged);
        self.global_error(effects);
    }

    fn global_error(&self, effects: &mut Effects) {
        if self.registers.irq_ctrl.gerror_irqen() {
            self.signal(Interrupt::GlobalError, &self.registers.gerror_message, effects);
        }
    }

    fn signal(&self, interrupt: Interrupt, message: &MessageRegisters, effects: &mut Effects) {
        let address = self.message_address(message.address.addr().get() << 2);
        effects.signal(interrupt, (address, message.data.data()));
    }

    /// Where a message for this address goes: bits above the output addresses do not count. 0 is nowhere.
    fn message_address(&self, address: u64) -> u64 {
        if self.features.msi { address & ((1 << self.features.oas.bits()) - 1) } else { 0 }
    }

    fn execute(&mut self, command: Command, effects: &mut Effects) {
        match command {
            Command::Prefetch | Command::AtcInv => {}
            Command::CfgiSte { first, last } => {
                self.cache.forget_streams(first, last);
                effects.invalidated(streams(first, last), Range::All);
            }
            Command::CfgiCd { stream } => {
                self.cache.forget_context(stream);
                effects.invalidated(streams(stream, stream), Range::All);
            }
            Command::TlbiAll => {
                self.cache.forget_translations();
                effects.invalidated(Streams::All, Range::All);
            }
            Command::TlbiAsid { asid } => {
                self.cache.forget_asid(asid);
                effects.invalidated(Streams::Asid(asid), Range::All);
            }
            Command::TlbiVa { asid, address } => {
                self.cache.forget_address(Some(asid), address);
                // A global translation is of all address spaces, and nobody knows here whether it was one.
                effects.invalidated(Streams::All, around(address));
            }
            Command::TlbiVaa { address } => {
                self.cache.forget_address(None, address);
                effects.invalidated(Streams::All, around(address));
            }
            Command::Sync { signal: Some((address, data)) } => {
                effects.signal(Interrupt::CommandSync, (self.message_address(address), data));
            }
            Command::Sync { signal: None } => {}
        }
    }

    /// Writes a record into the event queue, if it can be written.
    pub(super) fn record(&mut self, memory: &Physical<'_>, record: [u64; 4], effects: &mut Effects) {
        if !self.registers.cr0.eventqen() || self.registers.has_event_error() {
            return;
        }
        let queue = Queue::new(self.registers.eventq_base, event::SIZE, self.features.event_queue.value());
        let (prod, cons) = (self.registers.eventq_prod, self.registers.eventq_cons);
        let (write, read) = (prod.wr().value(), cons.rd().value());
        if queue.is_full(write, read) {
            self.registers.eventq_prod = prod.with_ovflg(!cons.ovackflg());
            return;
        }
        if memory.put_words(queue.at(write), record).is_err() {
            let acknowledged = self.registers.gerrorn.eventq_abt_err();
            self.registers.gerror = self.registers.gerror.with_eventq_abt_err(!acknowledged);
            self.global_error(effects);
            return;
        }
        self.registers.eventq_prod = prod.with_wr(u20::masked_new(queue.next(write)));
        if queue.is_empty(write, read) && self.registers.irq_ctrl.eventq_irqen() {
            self.signal(Interrupt::EventQueue, &self.registers.eventq_message, effects);
        }
    }
}

fn streams(first: u32, last: u32) -> Streams {
    if (first, last) == (0, u32::MAX) { Streams::All } else { Streams::Between(first, last) }
}

/// All addresses that can have the same mapping as this one.
fn around(address: u64) -> Range {
    let address = canonical(address);
    Range::Between(Iova::new(address & !LARGEST_BLOCK), Iova::new(address | LARGEST_BLOCK))
}
