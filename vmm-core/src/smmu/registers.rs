//! The registers as they are now, and which of them can be written when.
//!
//! ```text
//!  STRTAB_BASE, STRTAB_BASE_CFG, CR2            while SMMUEN is 0
//!  CMDQ_BASE, CMDQ_CONS                         while CMDQEN is 0
//!  EVENTQ_BASE, EVENTQ_PROD                     while EVENTQEN is 0
//!  GBPA                                         with UPDATE, and then at once
//!  GERROR_IRQ_CFG, EVENTQ_IRQ_CFG               while the interrupt is off in IRQ_CTRL
//! ```
//!
//! A write at another time is ignored. What is switched is in effect at once, so each acknowledging register reads
//! what its control register reads.

use cxl_spec::register::Attribute;
use cxl_spec::register::Field;

use super::features::Features;
use super::register;
use super::register::CmdqCons;
use super::register::CmdqProd;
use super::register::Cr0;
use super::register::Cr1;
use super::register::Cr2;
use super::register::EventqCons;
use super::register::EventqProd;
use super::register::Gbpa;
use super::register::Gerror;
use super::register::Gerrorn;
use super::register::IrqCfg0;
use super::register::IrqCfg1;
use super::register::IrqCfg2;
use super::register::IrqCtrl;
use super::register::QueueBase;
use super::register::StrtabBase;
use super::register::StrtabBaseCfg;

/// GBPA after reset: the access's own shareability, and no abort.
const GBPA_AFTER_RESET: u32 = 0x1000;

/// Where the registers about messages begin.
const GERROR_MESSAGE: u64 = register::GERROR_IRQ_CFG0;
const EVENTQ_MESSAGE: u64 = register::EVENTQ_IRQ_CFG0;

/// The registers that are not constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) cr0: Cr0,
    cr1: Cr1,
    pub(super) cr2: Cr2,
    pub(super) gbpa: Gbpa,
    pub(super) irq_ctrl: IrqCtrl,
    pub(super) gerror: Gerror,
    pub(super) gerrorn: Gerrorn,
    pub(super) gerror_message: MessageRegisters,
    pub(super) eventq_message: MessageRegisters,
    pub(super) strtab_base: StrtabBase,
    pub(super) strtab_base_cfg: StrtabBaseCfg,
    pub(super) cmdq_base: QueueBase,
    pub(super) cmdq_prod: CmdqProd,
    pub(super) cmdq_cons: CmdqCons,
    pub(super) eventq_base: QueueBase,
    pub(super) eventq_prod: EventqProd,
    pub(super) eventq_cons: EventqCons,
}

/// The message of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageRegisters {
    pub(super) address: IrqCfg0,
    pub(super) data: IrqCfg1,
    attributes: IrqCfg2,
}

impl MessageRegisters {
    fn new() -> Self {
        Self { address: IrqCfg0::new(0), data: IrqCfg1::new(0), attributes: IrqCfg2::new(0) }
    }

    /// Reads a dword; the first register begins at 0.
    fn read(&self, offset: u64) -> u32 {
        match offset {
            0 => self.address.raw() as u32,
            4 => (self.address.raw() >> 32) as u32,
            8 => self.data.raw(),
            _ => self.attributes.raw(),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        match offset {
            0 | 4 => {
                let half = (offset == 4, value);
                self.address = IrqCfg0::new(merged_half(self.address.raw(), half, IrqCfg0::FIELDS));
            }
            8 => self.data = IrqCfg1::new(value),
            _ => self.attributes = IrqCfg2::new(merged(0, value, IrqCfg2::FIELDS)),
        }
    }
}

/// What a write changed that something must follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing of that kind.
    Nothing,
    /// What becomes of every access.
    Everything,
    /// Whether there are commands to consume.
    Commands,
}

impl Registers {
    pub(super) fn new() -> Self {
        Self {
            cr0: Cr0::new(0),
            cr1: Cr1::new(0),
            cr2: Cr2::new(0),
            gbpa: Gbpa::new(GBPA_AFTER_RESET),
            irq_ctrl: IrqCtrl::new(0),
            gerror: Gerror::new(0),
            gerrorn: Gerrorn::new(0),
            gerror_message: MessageRegisters::new(),
            eventq_message: MessageRegisters::new(),
            strtab_base: StrtabBase::new(0),
            strtab_base_cfg: StrtabBaseCfg::new(0),
            cmdq_base: QueueBase::new(0),
            cmdq_prod: CmdqProd::new(0),
            cmdq_cons: CmdqCons::new(0),
            eventq_base: QueueBase::new(0),
            eventq_prod: EventqProd::new(0),
            eventq_cons: EventqCons::new(0),
        }
    }

    /// Reads the dword at an offset; 0 where nothing is.
    pub(super) fn read(&self, offset: u64, features: Features) -> u32 {
        match offset {
            register::IDR0 => features.idr0().raw(),
            register::IDR1 => features.idr1().raw(),
            register::IDR5 => features.idr5().raw(),
            register::AIDR => features.aidr().raw(),
            register::CR0 | register::CR0ACK => self.cr0.raw(),
            register::CR1 => self.cr1.raw(),
            register::CR2 => self.cr2.raw(),
            register::GBPA => self.gbpa.raw(),
            register::IRQ_CTRL | register::IRQ_CTRLACK => self.irq_ctrl.raw(),
            register::GERROR => self.gerror.raw(),
            register::GERRORN => self.gerrorn.raw(),
            register::STRTAB_BASE_CFG => self.strtab_base_cfg.raw(),
            register::CMDQ_PROD => self.cmdq_prod.raw(),
            register::CMDQ_CONS => self.cmdq_cons.raw(),
            register::EVENTQ_PROD => self.eventq_prod.raw(),
            register::EVENTQ_CONS => self.eventq_cons.raw(),
            GERROR_MESSAGE..=register::GERROR_IRQ_CFG2 if features.msi => {
                self.gerror_message.read(offset - GERROR_MESSAGE)
            }
            EVENTQ_MESSAGE..=register::EVENTQ_IRQ_CFG2 if features.msi => {
                self.eventq_message.read(offset - EVENTQ_MESSAGE)
            }
            _ => self.read_half(offset),
        }
    }

    /// Half of a register of 64 bits.
    fn read_half(&self, offset: u64) -> u32 {
        let whole = match offset & !7 {
            register::STRTAB_BASE => self.strtab_base.raw(),
            register::CMDQ_BASE => self.cmdq_base.raw(),
            register::EVENTQ_BASE => self.eventq_base.raw(),
            _ => return 0,
        };
        if offset & 4 == 0 { whole as u32 } else { (whole >> 32) as u32 }
    }

    /// Writes the dword at an offset.
    pub(super) fn write(&mut self, offset: u64, value: u32) -> Written {
        match offset {
            register::CR0 => return self.write_cr0(value),
            register::GBPA => return self.write_gbpa(value),
            register::CMDQ_PROD => {
                self.cmdq_prod = CmdqProd::new(merged(self.cmdq_prod.raw(), value, CmdqProd::FIELDS));
                return Written::Commands;
            }
            register::GERRORN => {
                self.gerrorn = Gerrorn::new(merged(self.gerrorn.raw(), value, Gerrorn::FIELDS));
                return Written::Commands;
            }
            register::CR1 => self.write_cr1(value),
            register::IRQ_CTRL => {
                self.irq_ctrl = IrqCtrl::new(merged(self.irq_ctrl.raw(), value, IrqCtrl::FIELDS));
            }
            register::EVENTQ_CONS => {
                self.eventq_cons = EventqCons::new(merged(self.eventq_cons.raw(), value, EventqCons::FIELDS));
            }
            _ => self.write_while_off(offset, value),
        }
        Written::Nothing
    }

    /// Registers that can be written only while what they describe is off.
    fn write_while_off(&mut self, offset: u64, value: u32) {
        let Self { cr0, .. } = *self;
        match offset {
            register::CR2 if !cr0.smmuen() => {
                self.cr2 = Cr2::new(merged(self.cr2.raw(), value, Cr2::FIELDS));
            }
            register::STRTAB_BASE_CFG if !cr0.smmuen() => {
                let merged = merged(self.strtab_base_cfg.raw(), value, StrtabBaseCfg::FIELDS);
                self.strtab_base_cfg = StrtabBaseCfg::new(merged);
            }
            register::CMDQ_CONS if !cr0.cmdqen() => {
                self.cmdq_cons = CmdqCons::new(merged(self.cmdq_cons.raw(), value, CmdqCons::FIELDS));
            }
            register::EVENTQ_PROD if !cr0.eventqen() => {
                self.eventq_prod = EventqProd::new(merged(self.eventq_prod.raw(), value, EventqProd::FIELDS));
            }
            GERROR_MESSAGE..=register::GERROR_IRQ_CFG2 if !self.irq_ctrl.gerror_irqen() => {
                self.gerror_message.write(offset - GERROR_MESSAGE, value);
            }
            EVENTQ_MESSAGE..=register::EVENTQ_IRQ_CFG2 if !self.irq_ctrl.eventq_irqen() => {
                self.eventq_message.write(offset - EVENTQ_MESSAGE, value);
            }
            _ => self.write_half(offset, value),
        }
    }

    /// Half of a register of 64 bits.
    fn write_half(&mut self, offset: u64, value: u32) {
        let half = |before, fields| merged_half(before, (offset & 4 != 0, value), fields);
        match offset & !7 {
            register::STRTAB_BASE if !self.cr0.smmuen() => {
                self.strtab_base = StrtabBase::new(half(self.strtab_base.raw(), StrtabBase::FIELDS));
            }
            register::CMDQ_BASE if !self.cr0.cmdqen() => {
                self.cmdq_base = QueueBase::new(half(self.cmdq_base.raw(), QueueBase::FIELDS));
            }
            register::EVENTQ_BASE if !self.cr0.eventqen() => {
                self.eventq_base = QueueBase::new(half(self.eventq_base.raw(), QueueBase::FIELDS));
            }
            _ => {}
        }
    }

    fn write_cr0(&mut self, value: u32) -> Written {
        let before = self.cr0;
        self.cr0 = Cr0::new(merged(before.raw(), value, Cr0::FIELDS));
        if self.cr0.smmuen() == before.smmuen() { Written::Commands } else { Written::Everything }
    }

    /// The attributes of tables and of queues can be written only while there are none.
    fn write_cr1(&mut self, value: u32) {
        let written = Cr1::new(merged(self.cr1.raw(), value, Cr1::FIELDS));
        if !self.cr0.smmuen() {
            self.cr1 = self
                .cr1
                .with_table_ic(written.table_ic())
                .with_table_oc(written.table_oc())
                .with_table_sh(written.table_sh());
        }
        if !self.cr0.cmdqen() && !self.cr0.eventqen() {
            self.cr1 = self
                .cr1
                .with_queue_ic(written.queue_ic())
                .with_queue_oc(written.queue_oc())
                .with_queue_sh(written.queue_sh());
        }
    }

    fn write_gbpa(&mut self, value: u32) -> Written {
        let written = Gbpa::new(merged(self.gbpa.raw(), value, Gbpa::FIELDS));
        if !written.update() {
            return Written::Nothing;
        }
        self.gbpa = written.with_update(false);
        Written::Everything
    }

    /// Whether the command queue stopped, and software has not acknowledged it.
    pub(super) fn has_command_error(&self) -> bool {
        self.gerror.cmdq_err() != self.gerrorn.cmdq_err()
    }

    /// Whether an event could not be written, and software has not acknowledged it.
    pub(super) fn has_event_error(&self) -> bool {
        self.gerror.eventq_abt_err() != self.gerrorn.eventq_abt_err()
    }
}

/// What a register reads after a write: only some of its bits can be written.
fn merged(before: u32, written: u32, fields: &[Field]) -> u32 {
    merged_half(before.into(), (false, written), fields) as u32
}

/// The same for a write of the low or the high half of a register of 64 bits.
fn merged_half(before: u64, (is_high, written): (bool, u32), fields: &[Field]) -> u64 {
    let shift = if is_high { 32 } else { 0 };
    let writable = fields.iter().filter(|field| field.attribute == Attribute::Rw);
    let mask = writable.fold(0, |mask, field| mask | field.mask()) & u64::from(u32::MAX) << shift;
    before & !mask | u64::from(written) << shift & mask
}
