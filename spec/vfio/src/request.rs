//! Requests: the payloads of commands.

use alloc::vec::Vec;

use bitflags::bitflags;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;
use zerocopy::Unaligned;
use zerocopy::little_endian::U16;
use zerocopy::little_endian::U32;
use zerocopy::little_endian::U64;

use crate::frame::Command;
use crate::malformed::Malformed;
use crate::malformed::prefix;

bitflags! {
    /// Flags of [`DmaMap`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DmaFlags: u32 {
        /// The device may read.
        const READ = 1;
        /// The device may write.
        const WRITE = 1 << 1;
    }

    /// Flags of [`DmaUnmap`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UnmapFlags: u32 {
        /// Report dirty pages; part of migration.
        const DIRTY_BITMAP = 1;
        /// Unmap everything; address and size must be 0.
        const ALL = 1 << 1;
    }

    /// Flags of [`SetIrqs`]: one kind of data and one action.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct IrqAction: u32 {
        /// No data: the action applies to all in the range.
        const DATA_NONE = 1;
        /// A byte for each: whether the action applies.
        const DATA_BOOL = 1 << 1;
        /// An event file descriptor for each; none at all detaches.
        const DATA_EVENTFD = 1 << 2;
        /// Mask.
        const MASK = 1 << 3;
        /// Unmask.
        const UNMASK = 1 << 4;
        /// Trigger, or set what is triggered.
        const TRIGGER = 1 << 5;
    }
}

/// Payload of `VERSION` before its text, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VersionNumbers {
    /// Must agree.
    pub major: U16,
    /// The smaller of the two is spoken.
    pub minor: U16,
}

/// Payload of `DMA_MAP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaMap {
    /// Length of this structure, at least.
    pub argsz: U32,
    /// [`DmaFlags`].
    pub flags: U32,
    /// Offset in the file that comes with the message.
    pub offset: U64,
    /// First I/O virtual address.
    pub address: U64,
    /// Length in bytes.
    pub size: U64,
}

/// Payload of `DMA_UNMAP`, and of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaUnmap {
    /// Length of this structure, at least.
    pub argsz: U32,
    /// [`UnmapFlags`].
    pub flags: U32,
    /// First I/O virtual address, exactly as mapped.
    pub address: U64,
    /// Length in bytes, exactly as mapped.
    pub size: U64,
}

/// Payload of `REGION_READ`, and of `REGION_WRITE` and the replies before their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RegionAccess {
    /// Offset in the region.
    pub offset: U64,
    /// Index of the region.
    pub region: U32,
    /// How many bytes.
    pub count: U32,
}

/// Payload of `DEVICE_SET_IRQS` before its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetIrqs {
    /// Length of this structure and its data, at least.
    pub argsz: U32,
    /// [`IrqAction`].
    pub flags: U32,
    /// Which kind of interrupt.
    pub index: U32,
    /// First of the range.
    pub start: U32,
    /// Length of the range.
    pub count: U32,
}

/// Payload of `DMA_READ`, and of `DMA_WRITE` and the replies before their data.
///
/// The count has 64 bits, as in libvfio-user and in QEMU since 11; older texts print 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DmaAccess {
    /// First I/O virtual address.
    pub address: U64,
    /// How many bytes.
    pub count: U64,
}

/// A request, without the file descriptors that may come with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Negotiate; the text is JSON with a final NUL, or empty. See [`version`](crate::version).
    Version(VersionNumbers, &'a [u8]),
    /// Map memory for the device.
    DmaMap(DmaMap),
    /// Unmap it. What follows the structure belongs to migration and is not looked at.
    DmaUnmap(DmaUnmap),
    /// Ask what the device is, with room for `argsz` bytes of answer.
    DeviceGetInfo {
        /// Room for the answer.
        argsz: u32,
    },
    /// Ask what a region is.
    DeviceGetRegionInfo {
        /// Room for the answer.
        argsz: u32,
        /// Which region.
        index: u32,
    },
    /// Ask for file descriptors that replace writes.
    DeviceGetRegionIoFds {
        /// Room for the answer.
        argsz: u32,
        /// Which region.
        index: u32,
    },
    /// Ask what an interrupt is.
    DeviceGetIrqInfo {
        /// Room for the answer.
        argsz: u32,
        /// Which interrupt.
        index: u32,
    },
    /// Attach, mask or trigger interrupts; the bytes are the data of [`IrqAction::DATA_BOOL`].
    DeviceSetIrqs(SetIrqs, &'a [u8]),
    /// Read from a region.
    RegionRead(RegionAccess),
    /// Write these bytes to a region.
    RegionWrite(RegionAccess, &'a [u8]),
    /// The device reads memory.
    DmaRead(DmaAccess),
    /// The device writes these bytes to memory.
    DmaWrite(DmaAccess, &'a [u8]),
    /// Reset the device.
    DeviceReset,
    /// A command that has a number and that nobody here speaks.
    Other(Command, &'a [u8]),
}

/// Length of the info structures as a request sends them; only the first fields are looked at.
const DEVICE_INFO: usize = 16;
const REGION_INFO: usize = 32;
const IRQ_INFO: usize = 16;

impl<'a> Request<'a> {
    /// The request that `payload` is.
    ///
    /// Clients send the whole structure that they want back; of the info structures only `argsz` and `index`
    /// are read, and missing bytes behind them are tolerated.
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
            Command::DmaMap => Self::DmaMap(prefix(name, payload)?.0),
            Command::DmaUnmap => Self::DmaUnmap(prefix(name, payload)?.0),
            Command::DeviceGetInfo => {
                let (argsz, _) = prefix::<U32>(name, payload)?;
                Self::DeviceGetInfo { argsz: argsz.get() }
            }
            Command::DeviceGetRegionInfo => {
                let (argsz, index) = argsz_and_index(name, payload)?;
                Self::DeviceGetRegionInfo { argsz, index }
            }
            Command::DeviceGetRegionIoFds => {
                let (argsz, index) = argsz_and_index(name, payload)?;
                Self::DeviceGetRegionIoFds { argsz, index }
            }
            Command::DeviceGetIrqInfo => {
                let (argsz, index) = argsz_and_index(name, payload)?;
                Self::DeviceGetIrqInfo { argsz, index }
            }
            Command::DeviceSetIrqs => {
                let (irqs, data) = prefix(name, payload)?;
                Self::DeviceSetIrqs(irqs, data)
            }
            Command::RegionRead => Self::RegionRead(prefix(name, payload)?.0),
            Command::RegionWrite => {
                let (access, data) = prefix::<RegionAccess>(name, payload)?;
                Self::RegionWrite(access, counted(name, access.count.get().into(), data)?)
            }
            Command::DmaRead => Self::DmaRead(prefix(name, payload)?.0),
            Command::DmaWrite => {
                let (access, data) = prefix::<DmaAccess>(name, payload)?;
                Self::DmaWrite(access, counted(name, access.count.get(), data)?)
            }
            Command::DeviceReset => Self::DeviceReset,
            Command::RegionWriteMulti
            | Command::DeviceFeature
            | Command::MigDataRead
            | Command::MigDataWrite => Self::Other(command, payload),
        })
    }

    /// The command of this request.
    pub fn command(&self) -> Command {
        match self {
            Self::Version(..) => Command::Version,
            Self::DmaMap(_) => Command::DmaMap,
            Self::DmaUnmap(_) => Command::DmaUnmap,
            Self::DeviceGetInfo { .. } => Command::DeviceGetInfo,
            Self::DeviceGetRegionInfo { .. } => Command::DeviceGetRegionInfo,
            Self::DeviceGetRegionIoFds { .. } => Command::DeviceGetRegionIoFds,
            Self::DeviceGetIrqInfo { .. } => Command::DeviceGetIrqInfo,
            Self::DeviceSetIrqs(..) => Command::DeviceSetIrqs,
            Self::RegionRead(_) => Command::RegionRead,
            Self::RegionWrite(..) => Command::RegionWrite,
            Self::DmaRead(_) => Command::DmaRead,
            Self::DmaWrite(..) => Command::DmaWrite,
            Self::DeviceReset => Command::DeviceReset,
            Self::Other(command, _) => *command,
        }
    }

    /// Appends the payload of this request to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Version(numbers, text) => append(out, numbers, text),
            Self::DmaMap(map) => append(out, map, &[]),
            Self::DmaUnmap(unmap) => append(out, unmap, &[]),
            Self::DeviceGetInfo { argsz } => padded(out, DEVICE_INFO, &[*argsz]),
            Self::DeviceGetRegionInfo { argsz, index } => padded(out, REGION_INFO, &[*argsz, 0, *index]),
            Self::DeviceGetRegionIoFds { argsz, index } | Self::DeviceGetIrqInfo { argsz, index } => {
                padded(out, IRQ_INFO, &[*argsz, 0, *index]);
            }
            Self::DeviceSetIrqs(irqs, data) => append(out, irqs, data),
            Self::RegionRead(access) => append(out, access, &[]),
            Self::RegionWrite(access, data) => append(out, access, data),
            Self::DmaRead(access) => append(out, access, &[]),
            Self::DmaWrite(access, data) => append(out, access, data),
            Self::DeviceReset => {}
            Self::Other(_, payload) => out.extend_from_slice(payload),
        }
    }
}

fn argsz_and_index(what: &'static str, payload: &[u8]) -> Result<(u32, u32), Malformed> {
    let ([argsz, _flags, index], _) = prefix::<[U32; 3]>(what, payload)?;
    Ok((argsz.get(), index.get()))
}

/// The first `count` bytes of `data`, which must be there.
pub(crate) fn counted<'a>(what: &'static str, count: u64, data: &'a [u8]) -> Result<&'a [u8], Malformed> {
    let wanted = usize::try_from(count).ok().and_then(|count| data.get(..count));
    wanted.ok_or(Malformed::Short { what, need: count, have: data.len() as u64 })
}

pub(crate) fn append<T: IntoBytes + Immutable>(out: &mut Vec<u8>, structure: &T, data: &[u8]) {
    out.extend_from_slice(structure.as_bytes());
    out.extend_from_slice(data);
}

/// Appends `size` bytes: the words, then zeros.
fn padded(out: &mut Vec<u8>, size: usize, words: &[u32]) {
    let end = out.len().saturating_add(size);
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_write_whose_count_exceeds_its_data_is_malformed() {
        let mut payload = Vec::new();
        let access = RegionAccess { offset: 0.into(), region: 2.into(), count: 5.into() };
        append(&mut payload, &access, &[1, 2, 3, 4]);
        let error = Request::parse(Command::RegionWrite, &payload).unwrap_err();
        assert_eq!(error, Malformed::Short { what: "REGION_WRITE", need: 5, have: 4 });
    }

    #[test]
    fn a_dma_write_with_a_count_beyond_memory_is_malformed() {
        let mut payload = Vec::new();
        append(&mut payload, &DmaAccess { address: 0.into(), count: u64::MAX.into() }, &[0; 16]);
        assert!(Request::parse(Command::DmaWrite, &payload).is_err());
    }

    #[test]
    fn a_get_info_of_four_bytes_is_enough() {
        let request = Request::parse(Command::DeviceGetInfo, &[16, 0, 0, 0]);
        assert_eq!(request, Ok(Request::DeviceGetInfo { argsz: 16 }));
    }

    #[test]
    fn a_get_info_without_room_for_argsz_is_malformed() {
        let error = Request::parse(Command::DeviceGetInfo, &[16, 0, 0]).unwrap_err();
        assert_eq!(error, Malformed::Short { what: "DEVICE_GET_INFO", need: 4, have: 3 });
    }

    #[test]
    fn requests_have_the_lengths_of_the_protocol() {
        let mut out = Vec::new();
        Request::DeviceGetRegionInfo { argsz: 32, index: 7 }.encode(&mut out);
        assert_eq!((out.len(), out[8]), (32, 7));
        assert_eq!(size_of::<DmaMap>(), 32);
        assert_eq!(size_of::<DmaUnmap>(), 24);
        assert_eq!(size_of::<RegionAccess>(), 16);
        assert_eq!(size_of::<SetIrqs>(), 20);
        assert_eq!(size_of::<DmaAccess>(), 16);
    }
}
