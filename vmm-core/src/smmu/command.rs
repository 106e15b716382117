//! Commands, parsed once (IHI 0070, chapter 4).
//!
//! A command that this SMMU does not have is illegal, as is one that is said to be for secure streams: those of
//! EL2 and EL3, of stage 2, page request responses, and what resumes a stalled access.

use arbitrary_int::u2;
use arbitrary_int::u4;
use arbitrary_int::u5;

use super::bits::Bits;

cxl_spec::register! {
    /// The first word of a command.
    struct Word0("command word 0"): u64 {
        /// Which command.
        opcode: u8 = 7:0, Ro;
        /// For a secure stream.
        ssec: bool = 10:10, Ro;
        /// How a `CMD_SYNC` says that it is done.
        cs: u2 = 13:12, Ro;
        /// For which stream.
        stream_id: u32 = 63:32, Ro;
    }

    /// The first word of a `CMD_SYNC`.
    struct SyncWord0("CMD_SYNC word 0"): u64 {
        /// Shareability of the message. Memory here has none.
        msh: u2 = 23:22, Ro;
        /// Memory type of the message. Memory here has none.
        msiattr: u4 = 27:24, Ro;
        /// What the message says.
        msidata: u32 = 63:32, Ro;
    }

    /// The second word of a `CMD_SYNC`.
    struct SyncWord1("CMD_SYNC word 1"): u64 {
        /// Bits 51:2 of where the message goes; 0 if there is none.
        msiaddress: Bits<50> = 51:2, Ro;
    }

    /// The first word of a command that invalidates translations.
    struct TlbWord0("TLB command word 0"): u64 {
        /// For which address space.
        asid: u16 = 63:48, Ro;
    }

    /// The second word of a command.
    struct Word1("command word 1"): u64 {
        /// `CMD_CFGI_STE_RANGE`: bits of the stream id that do not count, less one.
        range: u5 = 4:0, Ro;
        /// Bits 63:12 of the address.
        address: Bits<52> = 63:12, Ro;
    }
}

/// Length of a command in bytes.
pub(super) const SIZE: u64 = 16;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// `CMD_PREFETCH_CONFIG`, `CMD_PREFETCH_ADDR`: a hint.
    Prefetch,
    /// `CMD_CFGI_STE`, `CMD_CFGI_STE_RANGE`, `CMD_CFGI_ALL`: stream table entries have changed.
    CfgiSte { first: u32, last: u32 },
    /// `CMD_CFGI_CD`, `CMD_CFGI_CD_ALL`: context descriptors of a stream have changed.
    CfgiCd { stream: u32 },
    /// `CMD_TLBI_NH_ALL`, `CMD_TLBI_NSNH_ALL`: any translation has changed.
    TlbiAll,
    /// `CMD_TLBI_NH_ASID`: those of an address space, but for global ones.
    TlbiAsid { asid: u16 },
    /// `CMD_TLBI_NH_VA`: that of an address, in an address space or global.
    TlbiVa { asid: u16, address: u64 },
    /// `CMD_TLBI_NH_VAA`: that of an address, in every address space.
    TlbiVaa { address: u64 },
    /// `CMD_ATC_INV`: what a device keeps itself. No device here keeps anything.
    AtcInv,
    /// `CMD_SYNC`: everything before is done. If an interrupt shall say so, the address and data of its message.
    Sync { signal: Option<(u64, u32)> },
}

impl Command {
    /// The command that two words are; nothing if it is illegal.
    pub(super) fn parse(raw: [u64; 2], ats: bool) -> Option<Self> {
        let [word0, word1] = raw;
        let (word0, word1, tlb) = (Word0::new(word0), Word1::new(word1), TlbWord0::new(word0));
        let (stream, asid, address) = (word0.stream_id(), tlb.asid(), word1.address().get() << 12);
        // Those with a stream id have the bit that says which security state it is of.
        let of_stream = matches!(word0.opcode(), 0x01..=0x06 | 0x40);
        if of_stream && word0.ssec() {
            return None;
        }
        Some(match word0.opcode() {
            0x01 | 0x02 => Self::Prefetch,
            0x03 => Self::CfgiSte { first: stream, last: stream },
            0x04 => {
                // 31 means all of the 32 bits.
                let ignored = u32::MAX >> (31 - u32::from(word1.range().value()));
                Self::CfgiSte { first: stream & !ignored, last: stream | ignored }
            }
            0x05 | 0x06 => Self::CfgiCd { stream },
            0x10 | 0x30 => Self::TlbiAll,
            0x11 => Self::TlbiAsid { asid },
            0x12 => Self::TlbiVa { asid, address },
            0x13 => Self::TlbiVaa { address },
            0x40 if ats => Self::AtcInv,
            0x46 if word0.cs() != u2::new(3) => {
                Self::Sync { signal: (word0.cs() == u2::new(1)).then(|| sync_message(raw)) }
            }
            _ => return None,
        })
    }
}

/// Where the message of a `CMD_SYNC` goes, and what it says.
fn sync_message([word0, word1]: [u64; 2]) -> (u64, u32) {
    (SyncWord1::new(word1).msiaddress().get() << 2, SyncWord0::new(word0).msidata())
}
