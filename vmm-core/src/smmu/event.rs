//! Why an access was refused, and the record of it in the event queue (IHI 0070, chapter 7).
//!
//! ```text
//!  word 0   63:32 stream id                                             7:0 event number
//!  word 1   41:40 class   35 read   31 stalled        of faults that have an input address
//!  word 2   63:0 input address
//!  word 3   51:3 address of the fetch that was aborted
//! ```

use arbitrary_int::u2;
use cxl_spec::address::Gpa;
use cxl_spec::address::Iova;

use super::bits::Bits;

cxl_spec::register! {
    /// The first word of a record.
    pub(super) struct Word0("event word 0"): u64 {
        /// What happened.
        number: u8 = 7:0, Ro;
        /// Whose access it was.
        stream_id: u32 = 63:32, Ro;
    }

    /// The second word of a record.
    pub(super) struct Word1("event word 1"): u64 {
        /// The access reads.
        rnw: bool = 35:35, Ro;
        /// What was being translated.
        class: u2 = 41:40, Ro;
    }

    /// The fourth word of a record.
    pub(super) struct Word3("event word 3"): u64 {
        /// Bits 51:3 of the address that did not answer.
        fetch_addr: Bits<49> = 51:3, Ro;
    }
}

/// Length of a record in bytes.
pub(super) const SIZE: u64 = 32;

/// What a device does at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It reads.
    Read,
    /// It writes.
    Write,
}

/// Why an access was refused. The names are those of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Translation is off, and accesses are to be aborted. There is no event.
    #[error("SMMU_GBPA aborts")]
    GlobalAbort,
    /// The stream table entry says so. There is no event.
    #[error("the stream table entry aborts")]
    StreamAbort,
    /// `C_BAD_STREAMID`: the stream table has no such entry.
    #[error("C_BAD_STREAMID")]
    BadStreamId,
    /// `F_STE_FETCH`: the stream table entry could not be read.
    #[error("F_STE_FETCH at {0}")]
    SteFetch(Gpa),
    /// `C_BAD_STE`: the stream table entry is not valid.
    #[error("C_BAD_STE")]
    BadSte,
    /// `F_CD_FETCH`: the context descriptor could not be read.
    #[error("F_CD_FETCH at {0}")]
    CdFetch(Gpa),
    /// `C_BAD_CD`: the context descriptor is not valid.
    #[error("C_BAD_CD")]
    BadCd,
    /// `F_WALK_EABT`: a translation table could not be read.
    #[error("F_WALK_EABT at {0}")]
    WalkAbort(Gpa),
    /// `F_TRANSLATION`: nothing is mapped there.
    #[error("F_TRANSLATION")]
    Translation,
    /// `F_ADDR_SIZE`: what is mapped there has too large an address.
    #[error("F_ADDR_SIZE")]
    AddressSize,
    /// `F_ACCESS`: the access flag is clear.
    #[error("F_ACCESS")]
    Access,
    /// `F_PERMISSION`: it may not be read, or not be written.
    #[error("F_PERMISSION")]
    Permission,
}

/// The class of a translation table walk.
const CLASS_TTD: u2 = u2::new(1);
/// The class of an input address.
const CLASS_IN: u2 = u2::new(2);

impl Reason {
    /// The number of its event, if it has one.
    fn number(self) -> Option<u8> {
        Some(match self {
            Self::GlobalAbort | Self::StreamAbort => return None,
            Self::BadStreamId => 0x02,
            Self::SteFetch(_) => 0x03,
            Self::BadSte => 0x04,
            Self::CdFetch(_) => 0x09,
            Self::BadCd => 0x0a,
            Self::WalkAbort(_) => 0x0b,
            Self::Translation => 0x10,
            Self::AddressSize => 0x11,
            Self::Access => 0x12,
            Self::Permission => 0x13,
        })
    }

    /// Whether it is of the kind that a context descriptor may keep out of the event queue.
    pub(super) fn is_translation_fault(self) -> bool {
        matches!(self, Self::Translation | Self::AddressSize | Self::Access | Self::Permission)
    }

    /// The record of it, if there is one.
    pub(super) fn record(self, stream: u32, iova: Iova, operation: Operation) -> Option<[u64; 4]> {
        let word0 = Word0::new(0).with_number(self.number()?).with_stream_id(stream);
        let class = match self {
            Self::WalkAbort(_) => Some(CLASS_TTD),
            _ => self.is_translation_fault().then_some(CLASS_IN),
        };
        let fetched = match self {
            Self::SteFetch(at) | Self::CdFetch(at) | Self::WalkAbort(at) => at.get(),
            _ => 0,
        };
        let word3 = Word3::new(0).with_fetch_addr(Bits::masked(fetched >> 3));
        let word1 = |class| Word1::new(0).with_class(class).with_rnw(operation == Operation::Read).raw();
        Some([word0.raw(), class.map_or(0, word1), class.map_or(0, |_| iova.get()), word3.raw()])
    }
}
