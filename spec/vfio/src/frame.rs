//! Frames: the 16-byte header before every message, and how one message is taken from a stream of bytes.

use alloc::vec::Vec;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;

use crate::errno::Errno;
use crate::malformed::Malformed;
use crate::malformed::prefix;
use crate::reply::Reply;
use crate::request::Request;

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What a message asks for, or answers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command {
            $( $(#[$meta])* $name, )*
        }

        impl Command {
            /// All commands that have a number.
            pub const ALL: &'static [Self] = &[ $( Self::$name ),* ];

            /// The command with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $( $number => Some(Self::$name), )*
                    _ => None,
                }
            }

            /// The command's number on the wire.
            pub const fn number(self) -> u16 {
                match self {
                    $( Self::$name => $number, )*
                }
            }

            /// The protocol's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => $text, )*
                }
            }
        }
    };
}

commands! {
    /// Negotiate version and capabilities; always the first message.
    Version = 1, "VERSION";
    /// Let the device reach memory of the client.
    DmaMap = 2, "DMA_MAP";
    /// Take that back.
    DmaUnmap = 3, "DMA_UNMAP";
    /// What the device is.
    DeviceGetInfo = 4, "DEVICE_GET_INFO";
    /// What a region is.
    DeviceGetRegionInfo = 5, "DEVICE_GET_REGION_INFO";
    /// File descriptors that replace writes to a region.
    DeviceGetRegionIoFds = 6, "DEVICE_GET_REGION_IO_FDS";
    /// What an interrupt is.
    DeviceGetIrqInfo = 7, "DEVICE_GET_IRQ_INFO";
    /// Attach, mask or trigger interrupts.
    DeviceSetIrqs = 8, "DEVICE_SET_IRQS";
    /// Read from a region.
    RegionRead = 9, "REGION_READ";
    /// Write to a region.
    RegionWrite = 10, "REGION_WRITE";
    /// The device reads memory of the client.
    DmaRead = 11, "DMA_READ";
    /// The device writes memory of the client.
    DmaWrite = 12, "DMA_WRITE";
    /// Reset the device.
    DeviceReset = 13, "DEVICE_RESET";
    /// Several small writes at once.
    RegionWriteMulti = 15, "REGION_WRITE_MULTI";
    /// Get, set or probe a feature.
    DeviceFeature = 16, "DEVICE_FEATURE";
    /// Read migration data.
    MigDataRead = 17, "MIG_DATA_READ";
    /// Write migration data.
    MigDataWrite = 18, "MIG_DATA_WRITE";
}

/// Length of the header in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();

/// Bits of [`Header::flags`].
pub mod flags {
    /// The bits that say whether it is a command (0) or a reply (1).
    pub const TYPE: u32 = 0xf;
    /// The message is a reply.
    pub const REPLY: u32 = 1;
    /// The sender of this command wants no reply.
    pub const NO_REPLY: u32 = 1 << 4;
    /// The reply is an error: there is an error number and no payload.
    pub const ERROR: u32 = 1 << 5;
}

/// The header of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// Chosen by the side that asks; the reply has the same.
    pub id: U16,
    /// Number of the [`Command`].
    pub command: U16,
    /// Length of the message in bytes, this header included.
    pub size: U32,
    /// See [`flags`].
    pub flags: U32,
    /// Error number of an error reply.
    pub error: U32,
}

impl Header {
    /// Whether the message is a reply.
    pub fn is_reply(&self) -> bool {
        self.flags.get() & flags::TYPE == flags::REPLY
    }

    /// Whether the sender of this command wants no reply.
    pub fn is_no_reply(&self) -> bool {
        self.flags.get() & flags::NO_REPLY != 0
    }

    /// The error number, if this is an error reply. An error reply without a number counts as `EIO`.
    pub fn errno(&self) -> Option<Errno> {
        let number = if self.error.get() == 0 { Errno::EIO.0 } else { self.error.get() };
        (self.flags.get() & flags::ERROR != 0).then_some(Errno(number))
    }

    /// Length of the payload behind the header.
    pub fn payload_size(&self) -> usize {
        (self.size.get() as usize).saturating_sub(HEADER_SIZE)
    }

    /// The header at the start of `bytes`; nothing while there are fewer than 16.
    ///
    /// # Errors
    /// If the size field is smaller than the header, or the type is neither command nor reply: then the stream
    /// has lost its frames and nothing behind this point can be trusted.
    ///
    /// ```
    /// use vfio_abi::frame::Command;
    /// use vfio_abi::frame::Header;
    /// use vfio_abi::frame::encode_request;
    /// use vfio_abi::request::Request;
    ///
    /// let mut bytes = Vec::new();
    /// encode_request(&mut bytes, 7, &Request::DeviceReset);
    /// let header = Header::parse(&bytes)?.ok_or("there are 16 bytes")?;
    /// assert_eq!((header.id.get(), header.command.get()), (7, Command::DeviceReset.number()));
    /// // With a byte less it is not yet known what comes.
    /// assert_eq!(Header::parse(&bytes[..15])?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Ok((header, _)) = prefix::<Self>("header", bytes) else { return Ok(None) };
        if (header.size.get() as usize) < HEADER_SIZE {
            return Err(Malformed::Field { what: "header", field: "size", value: header.size.get().into() });
        }
        if header.flags.get() & flags::TYPE > flags::REPLY {
            return Err(Malformed::Field {
                what: "header",
                field: "flags",
                value: header.flags.get().into(),
            });
        }
        Ok(Some(header))
    }
}

/// Writes a request as one frame. `out` is emptied first and can be used again and again.
pub fn encode_request(out: &mut Vec<u8>, id: u16, request: &Request<'_>) {
    frame(out, id, request.command().number(), 0, |out| request.encode(out));
}

/// Writes a request that wants no reply as one frame.
pub fn encode_posted(out: &mut Vec<u8>, id: u16, request: &Request<'_>) {
    frame(out, id, request.command().number(), flags::NO_REPLY, |out| request.encode(out));
}

/// Writes a reply as one frame.
pub fn encode_reply(out: &mut Vec<u8>, id: u16, reply: &Reply<'_>) {
    frame(out, id, reply.command().number(), flags::REPLY, |out| reply.encode(out));
}

/// Writes an error reply as one frame. `command` is the number that was asked, known or not.
pub fn encode_error(out: &mut Vec<u8>, id: u16, command: u16, errno: Errno) {
    let header = Header {
        id: id.into(),
        command: command.into(),
        size: (HEADER_SIZE as u32).into(),
        flags: (flags::REPLY | flags::ERROR).into(),
        error: errno.0.into(),
    };
    out.clear();
    out.extend_from_slice(header.as_bytes());
}

fn frame(out: &mut Vec<u8>, id: u16, command: u16, flags: u32, payload: impl FnOnce(&mut Vec<u8>)) {
    let mut header = Header {
        id: id.into(),
        command: command.into(),
        size: 0.into(),
        flags: flags.into(),
        error: 0.into(),
    };
    out.clear();
    out.extend_from_slice(header.as_bytes());
    payload(out);
    header.size = (out.len() as u32).into();
    if let Some(place) = out.get_mut(..HEADER_SIZE) {
        place.copy_from_slice(header.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(size: u32, flags: u32) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&[0x34, 0x12, 9, 0]);
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    #[test]
    fn the_header_has_the_printed_layout() {
        let header = Header::parse(&header(32, 0x11)).unwrap().unwrap();
        assert_eq!((header.id.get(), header.command.get(), header.size.get()), (0x1234, 9, 32));
        assert!(header.is_reply() && header.is_no_reply());
        assert_eq!(header.payload_size(), 16);
    }

    #[test]
    fn fifteen_bytes_are_no_header_yet() {
        assert_eq!(Header::parse(&header(32, 0)[..15]), Ok(None));
    }

    #[test]
    fn a_message_shorter_than_its_header_is_malformed() {
        let error = Header::parse(&header(15, 0)).unwrap_err();
        assert_eq!(error, Malformed::Field { what: "header", field: "size", value: 15 });
    }

    #[test]
    fn a_message_that_is_neither_command_nor_reply_is_malformed() {
        let error = Header::parse(&header(16, 2)).unwrap_err();
        assert_eq!(error, Malformed::Field { what: "header", field: "flags", value: 2 });
    }

    #[test]
    fn an_error_without_a_number_is_still_an_error() {
        let header = Header::parse(&header(16, 0x21)).unwrap().unwrap();
        assert_eq!(header.errno(), Some(Errno::EIO));
    }

    #[test]
    fn every_command_has_the_number_that_the_protocol_gives_it() {
        let numbers: Vec<u16> = Command::ALL.iter().map(|command| command.number()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18]);
        for command in Command::ALL {
            assert_eq!(Command::from_number(command.number()), Some(*command));
        }
        assert_eq!(Command::from_number(14), None);
    }

    #[test]
    fn an_error_reply_is_a_header_alone() {
        let mut out = Vec::new();
        encode_error(&mut out, 7, 99, Errno::ENOSYS);
        assert_eq!(out, [7, 0, 99, 0, 16, 0, 0, 0, 0x21, 0, 0, 0, 38, 0, 0, 0]);
    }
}
