//! The RAS capability: errors of the link are recorded, oldest first, until software clears them (CXL 3.2, 8.2.4.17).
//!
//! ```text
//!  record ──▶ status bit set, header queued ──▶ not masked? signal
//!                                        │
//!  first-error pointer, header log ◀── oldest ◀── software writes 1 to its status bit: the next becomes the oldest
//! ```
//!
//! A write of 1 to the bit of the oldest error takes that one error off; the bit stays set while another of the same
//! kind is queued. A write of 1 to another bit forgets all errors of that kind. While no error is queued the pointer
//! reads 63 and the header log 0. Everything here is sticky: only loss of power clears it.

use std::collections::VecDeque;

use arbitrary_int::traits::Integer;
use arbitrary_int::u6;
use cxl_spec::access::Access;
use cxl_spec::component::ras;
use cxl_spec::component::ras::correctable;
use cxl_spec::component::ras::uncorrectable;

use crate::profile::LinkError;
use crate::silicon::register::Block;
use crate::silicon::register::Change;
use crate::silicon::register::UNLOCKED;
use crate::silicon::reset::Fate;

/// How many headers are kept. Of an error more than that only the status bit is.
const HEADERS: usize = 16;

/// What was on the link when an error happened.
pub type Header = [u32; ras::HEADER_LOG_DWORDS];

/// An error to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RasError {
    /// Which.
    pub error: LinkError,
    /// What was on the link; of an uncorrectable error it is logged.
    pub header: Header,
}

/// How bad an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It was corrected.
    Correctable,
    /// It was not corrected, and the link still works.
    NonFatal,
    /// The link cannot be trusted any more.
    Fatal,
}

/// Where an error has its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Uncorrectable(u8),
    Correctable(u8),
}

#[derive(Clone, Copy, Debug)]
struct Logged {
    bit: u8,
    header: Header,
}

/// The registers, and the errors that are queued.
#[derive(Clone, Debug)]
pub(super) struct Ras {
    registers: Block,
    queue: VecDeque<Logged>,
}

impl RasError {
    /// The error with a header that tells it from others: the error's bit and the number of the dword.
    pub fn with_sample_header(error: LinkError) -> Self {
        let (Place::Uncorrectable(bit) | Place::Correctable(bit)) = place(error);
        let dword = |index: usize| 0xe000_0000 | u32::from(bit) << 8 | index as u32;
        Self { error, header: std::array::from_fn(dword) }
    }
}

impl Ras {
    /// The capability after power-on: everything is masked and nothing happened.
    pub(super) fn power_on() -> Self {
        let control = ras::CapabilitiesAndControl::new(0).with_multiple_headers(true);
        let registers = Block::new(ras::REGISTERS.iter().copied())
            .with(ras::UNCORRECTABLE_MASK, ras::ALL_UNCORRECTABLE)
            .with(ras::UNCORRECTABLE_SEVERITY, ras::ALL_UNCORRECTABLE)
            .with(ras::CORRECTABLE_MASK, ras::ALL_CORRECTABLE)
            .with(ras::CAPABILITIES_AND_CONTROL, control.raw());
        let mut ras = Self { registers, queue: VecDeque::new() };
        ras.show_oldest();
        ras
    }

    /// The capability after a reset.
    pub(super) fn reborn(self, fresh: Self, fate: Fate) -> Self {
        let Self { registers, queue } = self;
        let queue = if fate == Fate::Fresh { fresh.queue } else { queue };
        Self { registers: registers.reborn(fresh.registers, fate), queue }
    }

    pub(super) fn read(&self, access: Access) -> u64 {
        self.registers.read(access)
    }

    pub(super) fn write(&mut self, access: Access, value: u64) {
        for change in self.registers.write(access, value, UNLOCKED) {
            if change.offset == ras::UNCORRECTABLE_STATUS {
                self.uncorrectable_cleared(change);
            }
        }
    }

    /// Records an error. Returns how bad it is, if it is to be signalled.
    pub(super) fn record(&mut self, error: RasError) -> Option<Severity> {
        match place(error.error) {
            Place::Uncorrectable(bit) => {
                self.raise(ras::UNCORRECTABLE_STATUS, bit);
                if self.queue.len() < HEADERS {
                    self.queue.push_back(Logged { bit, header: error.header });
                }
                self.show_oldest();
                let fatal = self.is_set(ras::UNCORRECTABLE_SEVERITY, bit);
                let severity = if fatal { Severity::Fatal } else { Severity::NonFatal };
                (!self.is_set(ras::UNCORRECTABLE_MASK, bit)).then_some(severity)
            }
            Place::Correctable(bit) => {
                self.raise(ras::CORRECTABLE_STATUS, bit);
                (!self.is_set(ras::CORRECTABLE_MASK, bit)).then_some(Severity::Correctable)
            }
        }
    }

    /// Software cleared bits of the uncorrectable status.
    fn uncorrectable_cleared(&mut self, change: Change) {
        let cleared = change.before & !change.after;
        let is_cleared = |logged: &Logged| cleared >> logged.bit & 1 == 1;
        let oldest = self.queue.front().copied().filter(is_cleared);
        if oldest.is_some() {
            self.queue.pop_front();
        }
        let same = |logged: &Logged| oldest.is_some_and(|oldest| oldest.bit == logged.bit);
        self.queue.retain(|logged| same(logged) || !is_cleared(logged));
        if let Some(oldest) = oldest.filter(|_| self.queue.iter().any(same)) {
            self.raise(ras::UNCORRECTABLE_STATUS, oldest.bit);
        }
        self.show_oldest();
    }

    /// Puts the oldest error into the first-error pointer and the header log.
    fn show_oldest(&mut self) {
        let oldest = self.queue.front().copied();
        let pointer = oldest.map_or(ras::NO_ERROR, |logged| u6::masked_new(logged.bit));
        let control = self.registers.get(ras::CAPABILITIES_AND_CONTROL) as u32;
        let control = ras::CapabilitiesAndControl::new(control).with_first_error(pointer);
        self.registers.set(ras::CAPABILITIES_AND_CONTROL, control.raw());
        let header = oldest.map_or([0; ras::HEADER_LOG_DWORDS], |logged| logged.header);
        for (index, dword) in (0u64..).zip(header) {
            self.registers.set(ras::HEADER_LOG + 4 * index, dword);
        }
    }

    fn is_set(&self, offset: u64, bit: u8) -> bool {
        self.registers.get(offset) >> bit & 1 == 1
    }

    fn raise(&mut self, offset: u64, bit: u8) {
        self.registers.set(offset, self.registers.get(offset) | 1 << bit);
    }
}

fn place(error: LinkError) -> Place {
    use LinkError as E;
    use Place::Correctable;
    use Place::Uncorrectable;
    match error {
        E::CacheDataParity => Uncorrectable(uncorrectable::CACHE_DATA_PARITY),
        E::CacheAddressParity => Uncorrectable(uncorrectable::CACHE_ADDRESS_PARITY),
        E::CacheByteEnableParity => Uncorrectable(uncorrectable::CACHE_BYTE_ENABLE_PARITY),
        E::CacheDataEcc => Uncorrectable(uncorrectable::CACHE_DATA_ECC),
        E::MemDataParity => Uncorrectable(uncorrectable::MEM_DATA_PARITY),
        E::MemAddressParity => Uncorrectable(uncorrectable::MEM_ADDRESS_PARITY),
        E::MemByteEnableParity => Uncorrectable(uncorrectable::MEM_BYTE_ENABLE_PARITY),
        E::MemDataEcc => Uncorrectable(uncorrectable::MEM_DATA_ECC),
        E::ReinitThreshold => Uncorrectable(uncorrectable::REINIT_THRESHOLD),
        E::ReservedEncoding => Uncorrectable(uncorrectable::RESERVED_ENCODING),
        E::PoisonReceived => Uncorrectable(uncorrectable::POISON_RECEIVED),
        E::ReceiverOverflow => Uncorrectable(uncorrectable::RECEIVER_OVERFLOW),
        E::Internal => Uncorrectable(uncorrectable::INTERNAL),
        E::IdeTransmit => Uncorrectable(uncorrectable::IDE_TRANSMIT),
        E::IdeReceive => Uncorrectable(uncorrectable::IDE_RECEIVE),
        E::CorrectableCacheDataEcc => Correctable(correctable::CACHE_DATA_ECC),
        E::CorrectableMemDataEcc => Correctable(correctable::MEM_DATA_ECC),
        E::CorrectableCrcThreshold => Correctable(correctable::CRC_THRESHOLD),
        E::CorrectableRetryThreshold => Correctable(correctable::RETRY_THRESHOLD),
        E::CorrectableCachePoison => Correctable(correctable::CACHE_POISON),
        E::CorrectableMemPoison => Correctable(correctable::MEM_POISON),
        E::CorrectablePhysical => Correctable(correctable::PHYSICAL),
    }
}

#[cfg(test)]
mod tests {
    use cxl_spec::access::Width;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn dword(ras: &Ras, offset: u64) -> u32 {
        ras.read(Access::new(offset, Width::Dword).unwrap()) as u32
    }

    fn write(ras: &mut Ras, offset: u64, value: u32) {
        ras.write(Access::new(offset, Width::Dword).unwrap(), value.into());
    }

    fn record(ras: &mut Ras, error: LinkError) -> Option<Severity> {
        ras.record(RasError::with_sample_header(error))
    }

    /// Status, first-error pointer with the capable bit, first dword of the header log.
    fn seen(ras: &Ras) -> (u32, u32, u32) {
        (dword(ras, 0), dword(ras, 0x14), dword(ras, 0x18))
    }

    #[rstest]
    #[case(LinkError::CacheDataParity, 0, 0)]
    #[case(LinkError::CacheAddressParity, 0, 1)]
    #[case(LinkError::CacheByteEnableParity, 0, 2)]
    #[case(LinkError::CacheDataEcc, 0, 3)]
    #[case(LinkError::MemDataParity, 0, 4)]
    #[case(LinkError::MemAddressParity, 0, 5)]
    #[case(LinkError::MemByteEnableParity, 0, 6)]
    #[case(LinkError::MemDataEcc, 0, 7)]
    #[case(LinkError::ReinitThreshold, 0, 8)]
    #[case(LinkError::ReservedEncoding, 0, 9)]
    #[case(LinkError::PoisonReceived, 0, 10)]
    #[case(LinkError::ReceiverOverflow, 0, 11)]
    #[case(LinkError::Internal, 0, 14)]
    #[case(LinkError::IdeTransmit, 0, 15)]
    #[case(LinkError::IdeReceive, 0, 16)]
    #[case(LinkError::CorrectableCacheDataEcc, 0xc, 0)]
    #[case(LinkError::CorrectableMemDataEcc, 0xc, 1)]
    #[case(LinkError::CorrectableCrcThreshold, 0xc, 2)]
    #[case(LinkError::CorrectableRetryThreshold, 0xc, 3)]
    #[case(LinkError::CorrectableCachePoison, 0xc, 4)]
    #[case(LinkError::CorrectableMemPoison, 0xc, 5)]
    #[case(LinkError::CorrectablePhysical, 0xc, 6)]
    fn every_error_has_its_printed_bit(#[case] error: LinkError, #[case] register: u64, #[case] bit: u32) {
        let mut ras = Ras::power_on();
        record(&mut ras, error);
        assert_eq!((dword(&ras, register), dword(&ras, 0xc - register)), (1 << bit, 0));
        assert_eq!(dword(&ras, 0x14), if register == 0 { 0x200 | bit } else { 0x23f });
        write(&mut ras, register, 1 << bit);
        assert_eq!((dword(&ras, register), dword(&ras, 0x14)), (0, 0x23f));
    }

    #[test]
    fn without_an_error_the_pointer_names_none_and_the_log_is_empty() {
        assert_eq!(seen(&Ras::power_on()), (0, 0x23f, 0));
    }

    #[test]
    fn clearing_the_oldest_error_shows_the_next() {
        let mut ras = Ras::power_on();
        record(&mut ras, LinkError::MemDataEcc);
        record(&mut ras, LinkError::Internal);
        assert_eq!(seen(&ras), (0x4080, 0x207, 0xe000_0700));
        write(&mut ras, 0, 0x80);
        assert_eq!(seen(&ras), (0x4000, 0x20e, 0xe000_0e00));
        write(&mut ras, 0, 0x4000);
        assert_eq!(seen(&ras), (0, 0x23f, 0));
    }

    #[test]
    fn clearing_a_younger_error_leaves_the_oldest() {
        let mut ras = Ras::power_on();
        record(&mut ras, LinkError::MemDataEcc);
        record(&mut ras, LinkError::Internal);
        write(&mut ras, 0, 0x4000);
        assert_eq!(seen(&ras), (0x80, 0x207, 0xe000_0700));
    }

    #[test]
    fn an_error_that_happened_twice_must_be_cleared_twice() {
        let mut ras = Ras::power_on();
        record(&mut ras, LinkError::MemDataEcc);
        record(&mut ras, LinkError::MemDataEcc);
        write(&mut ras, 0, 0x80);
        assert_eq!(seen(&ras), (0x80, 0x207, 0xe000_0700));
        write(&mut ras, 0, 0x80);
        assert_eq!(seen(&ras), (0, 0x23f, 0));
    }

    #[test]
    fn the_header_log_is_the_header_of_the_oldest_error() {
        let mut ras = Ras::power_on();
        let header = std::array::from_fn(|index| 0x1111_1111 * index as u32);
        ras.record(RasError { error: LinkError::IdeReceive, header });
        let log: Vec<u32> = (0..16).map(|index| dword(&ras, 0x18 + 4 * index)).collect();
        assert_eq!(log, header);
        write(&mut ras, 0x18, 7);
        assert_eq!(dword(&ras, 0x18), 0);
    }

    #[test]
    fn a_masked_error_is_recorded_and_not_signalled() {
        let mut ras = Ras::power_on();
        assert_eq!(record(&mut ras, LinkError::MemDataEcc), None);
        assert_eq!(record(&mut ras, LinkError::CorrectableMemDataEcc), None);
        assert_eq!((dword(&ras, 0), dword(&ras, 0xc)), (0x80, 2));
    }

    #[test]
    fn an_unmasked_error_is_signalled_with_its_severity() {
        let mut ras = Ras::power_on();
        write(&mut ras, 0x04, 0);
        write(&mut ras, 0x08, 0x1_cf7f);
        write(&mut ras, 0x10, 0);
        assert_eq!(record(&mut ras, LinkError::MemDataEcc), Some(Severity::NonFatal));
        assert_eq!(record(&mut ras, LinkError::Internal), Some(Severity::Fatal));
        assert_eq!(record(&mut ras, LinkError::CorrectableMemDataEcc), Some(Severity::Correctable));
    }

    #[test]
    fn of_more_errors_than_headers_the_status_is_kept() {
        let mut ras = Ras::power_on();
        for _ in 0..HEADERS {
            record(&mut ras, LinkError::MemDataEcc);
        }
        record(&mut ras, LinkError::Internal);
        assert_eq!(dword(&ras, 0), 0x4080);
        for _ in 0..HEADERS {
            write(&mut ras, 0, 0x80);
        }
        assert_eq!(seen(&ras), (0x4000, 0x23f, 0));
        write(&mut ras, 0, 0x4000);
        assert_eq!(dword(&ras, 0), 0);
    }

    #[test]
    fn loss_of_power_clears_and_every_other_reset_keeps() {
        for fate in [Fate::Kept, Fate::Sticky, Fate::Fresh] {
            let mut ras = Ras::power_on();
            write(&mut ras, 0x04, 0x80);
            record(&mut ras, LinkError::MemDataEcc);
            record(&mut ras, LinkError::Internal);
            let before = seen(&ras);
            let mut ras = ras.reborn(Ras::power_on(), fate);
            let kept = fate != Fate::Fresh;
            assert_eq!(seen(&ras), if kept { before } else { (0, 0x23f, 0) });
            assert_eq!(dword(&ras, 0x04), if kept { 0x80 } else { 0x1_cfff });
            write(&mut ras, 0, 0x80);
            assert_eq!(seen(&ras).1, if kept { 0x20e } else { 0x23f });
        }
    }

    proptest! {
        /// A second telling: a list of bits, and nothing else.
        #[test]
        fn any_sequence_of_errors_and_clears_agrees_with_a_list(
            steps in prop::collection::vec((any::<bool>(), 0usize..4, 0u32..16), 1..30)
        ) {
            const KINDS: [(LinkError, u32); 4] = [
                (LinkError::CacheDataParity, 0), (LinkError::MemDataEcc, 7),
                (LinkError::Internal, 14), (LinkError::IdeReceive, 16),
            ];
            let mut ras = Ras::power_on();
            let mut list: Vec<u32> = Vec::new();
            for (happens, kind, clears) in steps {
                if happens && list.len() < HEADERS {
                    record(&mut ras, KINDS[kind].0);
                    list.push(KINDS[kind].1);
                } else {
                    let chosen = |bit: u32| KINDS.iter().position(|kind| kind.1 == bit)
                        .is_some_and(|index| clears >> index & 1 == 1);
                    let written = KINDS.iter().filter(|kind| chosen(kind.1)).fold(0, |all, kind| all | 1 << kind.1);
                    write(&mut ras, 0, written);
                    let oldest = list.first().copied();
                    if oldest.is_some_and(chosen) {
                        list.remove(0);
                        list.retain(|bit| Some(*bit) == oldest || !chosen(*bit));
                    } else {
                        list.retain(|bit| !chosen(*bit));
                    }
                }
                let status = list.iter().fold(0, |all, bit| all | 1 << bit);
                let pointer = list.first().map_or(0x23f, |bit| 0x200 | bit);
                prop_assert_eq!((dword(&ras, 0), dword(&ras, 0x14)), (status, pointer));
            }
        }
    }
}
