//! What is written to decoder 0 at machine-done, before anything is written.
//!
//! The order is that of the QEMU series, and others depend on it: the lock must be cleared before the base is
//! taken, and the memory is mapped only when the decoder is committed.

use std::fmt;

use cxl_spec::address::Gpa;
use cxl_spec::address::Span;
use cxl_spec::component::hdm;

/// The programme of one decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Programme {
    /// Region that is the component registers.
    pub region: u32,
    /// Offset of the decoder's registers in that region.
    pub decoder: u64,
    /// The guest addresses that the decoder shall decode.
    pub window: Span<Gpa>,
}

/// A register of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// Low half of the base.
    BaseLow,
    /// High half of the base.
    BaseHigh,
    /// Low half of the size, which is only read.
    SizeLow,
    /// High half of the size.
    SizeHigh,
    /// Control.
    Control,
}

/// One access of the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the control register.
    ReadControl,
    /// If it has LOCK, write it without.
    ClearLock,
    /// Write half of the base.
    WriteBase(Register, u32),
    /// Write control with COMMIT and LOCK.
    Commit,
    /// Read control again: it must be committed, without an error.
    Verify,
}

impl Register {
    /// Offset in the decoder.
    pub const fn offset(self) -> u64 {
        match self {
            Self::BaseLow => hdm::BASE_LOW,
            Self::BaseHigh => hdm::BASE_HIGH,
            Self::SizeLow => hdm::SIZE_LOW,
            Self::SizeHigh => hdm::SIZE_HIGH,
            Self::Control => hdm::CONTROL,
        }
    }
}

impl fmt::Display for Register {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::BaseLow => hdm::BaseLow::NAME,
            Self::BaseHigh => hdm::BaseHigh::NAME,
            Self::SizeLow => hdm::SizeLow::NAME,
            Self::SizeHigh => hdm::SizeHigh::NAME,
            Self::Control => hdm::Control::NAME,
        })
    }
}

impl Programme {
    /// The accesses, in order.
    pub fn steps(&self) -> [Step; 6] {
        let (low, high) = hdm::split(self.window.start().get());
        [
            Step::ReadControl,
            Step::ClearLock,
            Step::WriteBase(Register::BaseLow, low),
            Step::WriteBase(Register::BaseHigh, high),
            Step::Commit,
            Step::Verify,
        ]
    }

    /// Offset of a register in the component register region.
    pub fn offset(&self, register: Register) -> u64 {
        self.decoder.saturating_add(register.offset())
    }
}

impl Step {
    /// The register that the step reads or writes.
    pub fn register(self) -> Register {
        match self {
            Self::WriteBase(register, _) => register,
            Self::ReadControl | Self::ClearLock | Self::Commit | Self::Verify => Register::Control,
        }
    }

    /// Whether the step writes.
    pub fn is_write(self) -> bool {
        !matches!(self, Self::ReadControl | Self::Verify)
    }

    /// What is written, in words where it depends on what was read.
    pub fn value(self) -> Option<String> {
        let bits = |control: hdm::Control| format!("{:#x}", control.raw());
        let lock = hdm::Control::new(0).with_lock_on_commit(true);
        match self {
            Self::ReadControl | Self::Verify => None,
            Self::ClearLock => Some(format!("if it has {lock}: as read, without it", lock = bits(lock))),
            Self::WriteBase(_, value) => Some(format!("{value:#x}")),
            Self::Commit => Some(format!("as read, with {}", bits(lock.with_commit(true)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_those_of_machine_done_in_its_order() {
        let window = Span::new(Gpa::new(0x12_3000_0000), hdm::GRANULE).unwrap();
        let programme = Programme { region: 10, decoder: 0x120, window };
        let told: Vec<_> = programme
            .steps()
            .iter()
            .map(|step| {
                (programme.offset(step.register()), step.is_write(), step.value().unwrap_or_default())
            })
            .collect();
        let expected = [
            (0x130, false, ""),
            (0x130, true, "if it has 0x100: as read, without it"),
            (0x120, true, "0x30000000"),
            (0x124, true, "0x12"),
            (0x130, true, "as read, with 0x300"),
            (0x130, false, ""),
        ];
        assert_eq!(told, expected.map(|(offset, write, value)| (offset, write, value.to_owned())));
    }
}
