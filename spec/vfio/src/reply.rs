//! Replies: the payloads of answers.

use alloc::vec::Vec;

use crate::frame::Command;
use crate::info::IrqInfo;
use crate::malformed::Malformed;
use crate::malformed::prefix;
use crate::request::DmaAccess;
use crate::request::DmaUnmap;
use crate::request::RegionAccess;
use crate::request::VersionNumbers;
use crate::request::append;
use crate::request::counted;

/// A reply that is not an error, without the file descriptors that may come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// What is spoken; the text is JSON with a final NUL, or empty.
    Version(VersionNumbers, &'a [u8]),
    /// The memory is mapped.
    DmaMap,
    /// The memory is unmapped: the request's structure comes back, all 24 bytes of it.
    DmaUnmap(DmaUnmap),
    /// A device info structure, with or without its chain; see [`DeviceInfo`](crate::info::DeviceInfo).
    DeviceGetInfo(&'a [u8]),
    /// A region info structure, with or without its chain; see [`RegionInfo`](crate::info::RegionInfo).
    DeviceGetRegionInfo(&'a [u8]),
    /// Parts of a region whose writes files replace; see [`io_fds`](crate::io_fds).
    DeviceGetRegionIoFds(&'a [u8]),
    /// An interrupt info structure.
    DeviceGetIrqInfo(IrqInfo),
    /// The interrupts are set.
    DeviceSetIrqs,
    /// What was read; may be less than was asked.
    RegionRead(RegionAccess, &'a [u8]),
    /// How much was written. The 16 bytes must come back: one client waits for them.
    RegionWrite(RegionAccess),
    /// What was read.
    DmaRead(DmaAccess, &'a [u8]),
    /// What was written.
    DmaWrite(DmaAccess),
    /// The device is reset.
    DeviceReset,
    /// An answer to a command that nobody here speaks.
    Other(Command, &'a [u8]),
}

impl<'a> Reply<'a> {
    /// The reply to `command` that `payload` is.
    ///
    /// # Errors
    /// If there are fewer bytes than the command's structure has, or a count does not fit the data.
    pub fn parse(command: Command, payload: &'a [u8]) -> Result<Self, Malformed> {
        let name = command.name();
        Ok(match command {
            Command::Version => {
                let (numbers, text) = prefix(name, payload)?;
                Self::Version(numbers, text)
            }
            Command::DmaMap => Self::DmaMap,
            Command::DmaUnmap => Self::DmaUnmap(prefix(name, payload)?.0),
            Command::DeviceGetInfo => Self::DeviceGetInfo(payload),
            Command::DeviceGetRegionInfo => Self::DeviceGetRegionInfo(payload),
            Command::DeviceGetRegionIoFds => Self::DeviceGetRegionIoFds(payload),
            Command::DeviceGetIrqInfo => Self::DeviceGetIrqInfo(prefix(name, payload)?.0),
            Command::DeviceSetIrqs => Self::DeviceSetIrqs,
            Command::RegionRead => {
                let (access, data) = prefix::<RegionAccess>(name, payload)?;
                Self::RegionRead(access, counted(name, access.count.get().into(), data)?)
            }
            Command::RegionWrite => Self::RegionWrite(prefix(name, payload)?.0),
            Command::DmaRead => {
                let (access, data) = prefix::<DmaAccess>(name, payload)?;
                Self::DmaRead(access, counted(name, access.count.get(), data)?)
            }
            Command::DmaWrite => Self::DmaWrite(prefix(name, payload)?.0),
            Command::DeviceReset => Self::DeviceReset,
            Command::RegionWriteMulti
            | Command::DeviceFeature
            | Command::MigDataRead
            | Command::MigDataWrite => Self::Other(command, payload),
        })
    }

    /// The command that this answers.
    pub fn command(&self) -> Command {
        match self {
            Self::Version(..) => Command::Version,
            Self::DmaMap => Command::DmaMap,
            Self::DmaUnmap(_) => Command::DmaUnmap,
            Self::DeviceGetInfo(_) => Command::DeviceGetInfo,
            Self::DeviceGetRegionInfo(_) => Command::DeviceGetRegionInfo,
            Self::DeviceGetRegionIoFds(_) => Command::DeviceGetRegionIoFds,
            Self::DeviceGetIrqInfo(_) => Command::DeviceGetIrqInfo,
            Self::DeviceSetIrqs => Command::DeviceSetIrqs,
            Self::RegionRead(..) => Command::RegionRead,
            Self::RegionWrite(_) => Command::RegionWrite,
            Self::DmaRead(..) => Command::DmaRead,
            Self::DmaWrite(_) => Command::DmaWrite,
            Self::DeviceReset => Command::DeviceReset,
            Self::Other(command, _) => *command,
        }
    }

    /// Appends the payload of this reply to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Version(numbers, text) => append(out, numbers, text),
            Self::DmaUnmap(unmap) => append(out, unmap, &[]),
            Self::DeviceGetInfo(info)
            | Self::DeviceGetRegionInfo(info)
            | Self::DeviceGetRegionIoFds(info) => {
                out.extend_from_slice(info);
            }
            Self::DeviceGetIrqInfo(info) => append(out, info, &[]),
            Self::RegionRead(access, data) => append(out, access, data),
            Self::RegionWrite(access) => append(out, access, &[]),
            Self::DmaRead(access, data) => append(out, access, data),
            Self::DmaWrite(access) => append(out, access, &[]),
            Self::DmaMap | Self::DeviceSetIrqs | Self::DeviceReset => {}
            Self::Other(_, payload) => out.extend_from_slice(payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;

    #[test]
    fn the_echo_of_an_unmap_has_24_bytes_and_the_answer_to_a_write_16() {
        let mut out = Vec::new();
        let unmap =
            DmaUnmap { argsz: 24.into(), flags: 0.into(), address: 0x1000.into(), size: 0x2000.into() };
        Reply::DmaUnmap(unmap).encode(&mut out);
        assert_eq!(out.len(), 24);
        out.clear();
        let access = RegionAccess { offset: 0.into(), region: 0.into(), count: 4.into() };
        Reply::RegionWrite(access).encode(&mut out);
        assert_eq!(out.len(), 16);
    }

    #[test]
    fn a_read_that_claims_more_than_it_brings_is_malformed() {
        let mut payload = Vec::new();
        let access = RegionAccess { offset: 0.into(), region: 0.into(), count: 0xffff_ffff.into() };
        append(&mut payload, &access, &[0; 8]);
        assert!(Reply::parse(Command::RegionRead, &payload).is_err());
    }

    #[test]
    fn every_command_is_answered_with_its_own_number() {
        for command in Command::ALL {
            let payload = [0; 64];
            assert_eq!(Reply::parse(*command, &payload).unwrap().command(), *command);
            assert_eq!(Request::parse(*command, &payload).unwrap().command(), *command);
        }
    }
}
