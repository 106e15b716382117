//! File descriptors that replace writes to a region: the answer to `DEVICE_GET_REGION_IO_FDS`.
//!
//! | offset | answer | one of its parts                                          |
//! |--------|--------|-----------------------------------------------------------|
//! | 0      | argsz  | offset in the region, 8 bytes                             |
//! | 4      | flags  |                                                           |
//! | 8      | index  | length, 8 bytes                                           |
//! | 12     | count  |                                                           |
//! | 16     | parts  | which of the files, 4 bytes                               |
//! | 20     |        | kind: 0 is an event, 1 a stream of accesses               |
//! | 24     |        | flags of KVM: 1 means that only one value is meant        |
//! | 28     |        | nothing                                                   |
//! | 32     |        | that value, 8 bytes                                       |

use alloc::vec::Vec;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::malformed::Malformed;
use crate::malformed::prefix;

/// The kind of a part whose file is signalled in place of a write.
pub const KIND_EVENT: u32 = 0;

/// Flag: only a write of the part's value is meant.
pub const FLAG_MATCH: u32 = 1;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    argsz: U32,
    flags: U32,
    index: U32,
    count: U32,
}

/// A part of a region, and the file that replaces writes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IoFd {
    /// Where it begins in the region.
    pub offset: U64,
    /// Its length in bytes.
    pub size: U64,
    /// Which of the files that come with the answer.
    pub file: U32,
    /// What the file is: [`KIND_EVENT`], or a kind that nobody here speaks.
    pub kind: U32,
    /// Flags as KVM has them; [`FLAG_MATCH`] is one.
    pub flags: U32,
    /// Nothing.
    pub padding: U32,
    /// The value that is meant, with [`FLAG_MATCH`].
    pub value: U64,
}

/// How much room an answer with so many parts needs.
fn needed(parts: usize) -> usize {
    size_of::<IoFd>().saturating_mul(parts).saturating_add(size_of::<Head>())
}

/// The answer for region `index` to a request with room for `room` bytes. Without the room there are no parts, and
/// no files may go with it; `argsz` and `count` are then what is needed.
pub fn encode(index: u32, parts: &[IoFd], room: u32) -> Vec<u8> {
    let argsz = needed(parts.len());
    let head = Head {
        argsz: (argsz as u32).into(),
        flags: 0.into(),
        index: index.into(),
        count: (parts.len() as u32).into(),
    };
    let mut bytes = head.as_bytes().to_vec();
    if fits(parts.len(), room) {
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    }
    bytes
}

/// Whether an answer with so many parts has them, and their files, if there is room for `room` bytes.
pub fn fits(parts: usize, room: u32) -> bool {
    room as usize >= needed(parts)
}

/// The parts in an answer, and how much room all of it needs. Where that is more than there are bytes, the parts
/// are not here yet.
///
/// # Errors
/// If there are fewer bytes than the fixed part has, or than `argsz` and the number of parts promise.
pub fn parse(bytes: &[u8]) -> Result<(Vec<IoFd>, u32), Malformed> {
    let (head, mut rest) = prefix::<Head>("region io fds", bytes)?;
    let argsz = head.argsz.get();
    if argsz as usize > bytes.len() {
        return Ok((Vec::new(), argsz));
    }
    let mut parts = Vec::new();
    for _ in 0..head.count.get() {
        let (part, behind) = prefix::<IoFd>("region io fds", rest)?;
        parts.push(part);
        rest = behind;
    }
    Ok((parts, argsz))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> IoFd {
        IoFd {
            offset: 0xc01c.into(),
            size: 4.into(),
            file: 0.into(),
            kind: KIND_EVENT.into(),
            flags: 0.into(),
            padding: 0.into(),
            value: 0x1122.into(),
        }
    }

    #[test]
    fn an_answer_has_the_printed_layout() {
        #[rustfmt::skip]
        let typed = [
            56, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0,
            0x1c, 0xc0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x22, 0x11, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(encode(3, &[part()], 56), typed);
        assert_eq!(parse(&typed), Ok((Vec::from([part()]), 56)));
    }

    #[test]
    fn an_answer_without_room_says_how_much_is_needed_and_has_no_parts() {
        let short = encode(3, &[part()], 55);
        assert_eq!((short.len(), parse(&short)), (16, Ok((Vec::new(), 56))));
        assert!(!fits(1, 55) && fits(1, 56) && fits(0, 16));
    }

    #[test]
    fn an_answer_that_promises_more_parts_than_it_has_is_malformed() {
        let mut bytes = encode(3, &[part()], 56);
        bytes[12] = 2;
        assert!(parse(&bytes).is_err());
        assert!(parse(&bytes[..15]).is_err());
    }
}
