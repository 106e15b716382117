//! The copy engine: it moves data between the device's memory and the host's, and from place to place in each.
//!
//! Its registers lie in BAR 0 at [`OFFSET`]. They are this device's own and of no specification.
//!
//! | offset | register    | what it holds                                                                 |
//! |--------|-------------|-------------------------------------------------------------------------------|
//! | 0x00   | source      | where the data is: an I/O virtual address, or one of the device's memory      |
//! | 0x08   | destination | where it goes                                                                 |
//! | 0x10   | length      | how many bytes, 1 to [`MAX_LENGTH`]                                           |
//! | 0x14   | control     | the doorbell, whose memory each side is, and the interrupt at the end         |
//! | 0x18   | status      | busy; done; and a bit for each error, cleared by writing 1 or by the doorbell |
//! | 0x1c   | doorbell    | a write of whatever value begins what the others say, as the bit in control   |
//!
//! ```text
//!  Idle ── doorbell, checked ──▶ Busy ── ended ──▶ Idle: done, or an error
//!    └──── doorbell, refused ──▶ Idle: an error
//! ```
//!
//! While it is busy the other registers are locked, the doorbell too. The engine moves nothing itself: it says what
//! to move as an [`Effect`], and whoever reaches the host's memory carries that out and says how it ended.

use arbitrary_int::u11;
use cxl_spec::access::Access;
use cxl_spec::address::Dpa;
use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use cxl_spec::register::Register;
use cxl_spec::register::is_sound;

use super::Effect;
use super::register::Block;
use super::reset::Fate;

cxl_spec::register! {
    /// Where the data is.
    pub struct Source("Copy Source"): u64 {
        /// The address.
        address: u64 = 63:0, Rwl;
    }

    /// Where the data goes.
    pub struct Destination("Copy Destination"): u64 {
        /// The address.
        address: u64 = 63:0, Rwl;
    }

    /// How much is copied.
    pub struct Length("Copy Length"): u32 {
        /// Bytes.
        bytes: u32 = 31:0, Rwl;
    }

    /// What is to be done.
    pub struct Control("Copy Control"): u32 {
        /// Begin. It reads 0 again at once.
        doorbell: bool = 0:0, Rwl;
        /// The source is in the device's memory, not in the host's.
        source_is_device: bool = 1:1, Rwl;
        /// The destination is in the device's memory, not in the host's.
        destination_is_device: bool = 2:2, Rwl;
        /// Signal the vector when the copy has ended, well or not.
        interrupt: bool = 3:3, Rwl;
        /// Which vector.
        vector: u11 = 26:16, Rwl;
    }

    /// Begins, without a value: what an event can stand for.
    pub struct Doorbell("Copy Doorbell"): u32 {
        /// Anything. It reads 0.
        value: u32 = 31:0, Rwl;
    }

    /// How it is going.
    pub struct Status("Copy Status"): u32 {
        /// A copy is under way.
        busy: bool = 0:0, Ro;
        /// The copy is done, all of it.
        done: bool = 1:1, Rw1c;
        /// The host's memory is needed, and bus mastering is off.
        bus_master_off: bool = 8:8, Rw1c;
        /// The length is 0, or more than the engine takes.
        bad_length: bool = 9:9, Rw1c;
        /// A side passes the end of the address space, or of the device's memory.
        bad_range: bool = 10:10, Rw1c;
        /// Source and destination share bytes.
        overlap: bool = 11:11, Rw1c;
        /// The host has not mapped all of its side.
        unmapped: bool = 12:12, Rw1c;
        /// The host lets the device read what it should write, or the other way round.
        not_permitted: bool = 13:13, Rw1c;
        /// The host failed to give or to take the data.
        host_failed: bool = 14:14, Rw1c;
        /// The host did not answer.
        unanswered: bool = 15:15, Rw1c;
        /// The source has a poisoned line.
        poisoned: bool = 16:16, Rw1c;
    }
}

/// Offset of the registers in BAR 0: behind the pending bits of MSI-X.
pub const OFFSET: u64 = 0xc000;

/// Length of the registers in bytes.
pub const SIZE: u64 = 0x20;

/// The most bytes that one copy moves.
pub const MAX_LENGTH: u32 = 1 << 20;

/// Offset of the source.
pub const SOURCE: u64 = 0x00;
/// Offset of the destination.
pub const DESTINATION: u64 = 0x08;
/// Offset of the length.
pub const LENGTH: u64 = 0x10;
/// Offset of the control register.
pub const CONTROL: u64 = 0x14;
/// Offset of the status register.
pub const STATUS: u64 = 0x18;
/// Offset of the doorbell without a value.
pub const DOORBELL: u64 = 0x1c;

/// The registers.
pub const REGISTERS: &[Register] = &[
    Source::at(SOURCE),
    Destination::at(DESTINATION),
    Length::at(LENGTH),
    Control::at(CONTROL),
    Status::at(STATUS),
    Doorbell::at(DOORBELL),
];

const _: () = assert!(is_sound(REGISTERS, SIZE));

/// Why a copy was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The host's memory is needed, and bus mastering is off.
    BusMasterOff,
    /// The length is 0, or more than the engine takes.
    BadLength,
    /// A side passes the end of the address space, or of the device's memory.
    BadRange,
    /// Source and destination share bytes.
    Overlap,
    /// The host has not mapped all of its side.
    Unmapped,
    /// The host lets the device read what it should write, or the other way round.
    NotPermitted,
    /// The host failed to give or to take the data.
    HostFailed,
    /// The host did not answer.
    Unanswered,
    /// The source has a poisoned line.
    Poisoned,
}

impl Control {
    /// The register with the vector that is signalled at the end, if one is.
    #[must_use]
    pub fn signalling(self, vector: Option<u16>) -> Self {
        self.with_interrupt(vector.is_some()).with_vector(u11::new(vector.unwrap_or(0) & 0x7ff))
    }
}

impl Status {
    /// The register with the bit of `error` set.
    fn with_error(self, error: CopyError) -> Self {
        match error {
            CopyError::BusMasterOff => self.with_bus_master_off(true),
            CopyError::BadLength => self.with_bad_length(true),
            CopyError::BadRange => self.with_bad_range(true),
            CopyError::Overlap => self.with_overlap(true),
            CopyError::Unmapped => self.with_unmapped(true),
            CopyError::NotPermitted => self.with_not_permitted(true),
            CopyError::HostFailed => self.with_host_failed(true),
            CopyError::Unanswered => self.with_unanswered(true),
            CopyError::Poisoned => self.with_poisoned(true),
        }
    }
}

/// One side of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In the device's memory, all of it inside.
    Device(Span<Dpa>),
    /// In the host's memory, as the device sees it.
    Host(Span<Iova>),
}

impl Side {
    fn new(is_device: bool, address: u64, length: u64) -> Result<Self, CopyError> {
        let side = if is_device {
            Span::new(Dpa::new(address), length).map(Self::Device)
        } else {
            Span::new(Iova::new(address), length).map(Self::Host)
        };
        side.ok_or(CopyError::BadRange)
    }

    /// Length in bytes.
    pub fn size(self) -> u64 {
        match self {
            Self::Device(span) => span.size(),
            Self::Host(span) => span.size(),
        }
    }

    fn ends_inside(self, memory: u64) -> bool {
        match self {
            Self::Device(span) => span.end() <= Dpa::new(memory),
            Self::Host(_) => true,
        }
    }

    fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Device(one), Self::Device(other)) => one.overlaps(other),
            (Self::Host(one), Self::Host(other)) => one.overlaps(other),
            _ => false,
        }
    }
}

/// A copy that is to be carried out. Both sides are of one length, at most [`MAX_LENGTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Where the data is.
    pub source: Side,
    /// Where it goes.
    pub destination: Side,
}

/// What the engine knows of the device that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// Whether the function may reach the host's memory.
    pub(super) bus_master: bool,
    /// Length of the device's memory.
    pub(super) memory: u64,
}

/// The engine's registers, which are all its state.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    block: Block,
}

impl Engine {
    /// The engine after power-on: idle, and every register reads 0.
    pub(super) fn power_on() -> Self {
        Self { block: Block::new(REGISTERS.iter().copied()) }
    }

    /// The engine after a reset.
    pub(super) fn reborn(self, fresh: Self, fate: Fate) -> Self {
        let Self { block } = self;
        Self { block: block.reborn(fresh.block, fate) }
    }

    /// Reads the registers.
    pub(super) fn read(&self, access: Access) -> u64 {
        self.block.read(access)
    }

    /// Writes the registers. The doorbell begins a copy, or says at once why not.
    pub(super) fn write(&mut self, access: Access, value: u64, around: Surroundings) -> Option<Effect> {
        let busy = self.is_busy();
        let changes = self.block.write(access, value, &|_| busy);
        self.block.set(DOORBELL, 0u32);
        let rung = changes.iter().any(|change| change.offset == DOORBELL) && !busy;
        let control = self.control();
        if !control.doorbell() && !rung {
            return None;
        }
        self.block.set(CONTROL, control.with_doorbell(false).raw());
        self.block.set(STATUS, Status::new(0).with_busy(true).raw());
        match self.transfer(around) {
            Ok(transfer) => Some(Effect::Transfer(transfer)),
            Err(error) => self.ended(Err(error)),
        }
    }

    /// Whether a copy is under way.
    pub(super) fn is_busy(&self) -> bool {
        Status::new(self.block.get(STATUS) as u32).busy()
    }

    /// The copy has ended so. Without one, as after a reset, this is nothing.
    pub(super) fn ended(&mut self, outcome: Result<(), CopyError>) -> Option<Effect> {
        if !self.is_busy() {
            return None;
        }
        let idle = Status::new(0);
        let status = outcome.map_or_else(|error| idle.with_error(error), |()| idle.with_done(true));
        self.block.set(STATUS, status.raw());
        let control = self.control();
        control.interrupt().then(|| Effect::Interrupt { vector: control.vector().value() })
    }

    /// Whether the pin is to be asserted: an interrupt was asked for, and how the copy ended is not cleared yet.
    pub(super) fn asserts_pin(&self) -> bool {
        let status = Status::new(self.block.get(STATUS) as u32);
        self.control().interrupt() && !status.busy() && status.raw() != 0
    }

    fn control(&self) -> Control {
        Control::new(self.block.get(CONTROL) as u32)
    }

    /// What the registers ask for, if it can be.
    fn transfer(&self, around: Surroundings) -> Result<Transfer, CopyError> {
        let control = self.control();
        let length = self.block.get(LENGTH);
        if length == 0 || length > MAX_LENGTH.into() {
            return Err(CopyError::BadLength);
        }
        let source = Side::new(control.source_is_device(), self.block.get(SOURCE), length)?;
        let destination = Side::new(control.destination_is_device(), self.block.get(DESTINATION), length)?;
        let sides = [source, destination];
        if sides.iter().any(|side| !side.ends_inside(around.memory)) {
            return Err(CopyError::BadRange);
        }
        if source.overlaps(destination) {
            return Err(CopyError::Overlap);
        }
        if !around.bus_master && sides.iter().any(|side| matches!(side, Side::Host(_))) {
            return Err(CopyError::BusMasterOff);
        }
        Ok(Transfer { source, destination })
    }
}

#[cfg(test)]
mod tests;
