//! The memory that the device was let reach, for a device that asks for it message by message.
//!
//! What was mapped with its file a device can reach without these messages. One that sends them all the same is
//! answered from the file. What was mapped without one, whoever stands behind it answers: an SMMU, for one. A device
//! gets what it was let reach and nothing else: anything else is `EFAULT`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::reply::Reply;
use vfio_abi::request::DmaFlags;
use vfio_abi::request::Request;

use super::super::DmaMemory;
use super::super::Given;
use super::MAX_DATA;

/// What is mapped.
#[derive(Debug, Default)]
pub(super) struct Ram {
    /// By first address. No two overlap: the device would have refused the second.
    pieces: BTreeMap<u64, Piece>,
}

#[derive(Debug)]
struct Piece {
    range: Span<Iova>,
    what: What,
    allowed: DmaFlags,
}

#[derive(Debug)]
enum What {
    /// A file, and where in it the range begins.
    File(Arc<File>, u64),
    /// Somebody who answers, by the same addresses.
    Asked(Arc<dyn DmaMemory>),
}

impl Ram {
    /// The device may do what is `allowed` in `range`, which is the file from an offset.
    pub(super) fn add(&mut self, range: Span<Iova>, (file, offset): (Arc<File>, u64), allowed: DmaFlags) {
        self.pieces.insert(range.start().get(), Piece { range, what: What::File(file, offset), allowed });
    }

    /// The device may ask for `range`, and `memory` answers.
    pub(super) fn ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) {
        let allowed = DmaFlags::READ | DmaFlags::WRITE;
        self.pieces.insert(range.start().get(), Piece { range, what: What::Asked(memory), allowed });
    }

    /// It may not any more.
    pub(super) fn remove(&mut self, range: Span<Iova>) {
        self.pieces.remove(&range.start().get());
    }

    /// All of it, by rising address.
    pub(super) fn given(&self) -> Vec<Given> {
        let given = |piece: &Piece| match &piece.what {
            What::Asked(memory) => Given::Asked { range: piece.range, memory: memory.clone() },
            What::File(file, offset) => Given::File {
                range: piece.range,
                file: file.clone(),
                offset: *offset,
                allowed: piece.allowed,
            },
        };
        self.pieces.values().map(given).collect()
    }

    /// Answers a message of the device's into `out`, which stays empty if no answer is wanted. False for what is no
    /// request for memory.
    pub(super) fn answer(&self, header: &Header, payload: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let Some(command @ (Command::DmaRead | Command::DmaWrite)) =
            Command::from_number(header.command.get())
        else {
            return false;
        };
        let mut data = Vec::new();
        let reply = self.carry_out(command, payload, &mut data);
        match reply {
            _ if header.is_no_reply() => {}
            Ok(reply) => frame::encode_reply(out, header.id.get(), &reply),
            Err(errno) => frame::encode_error(out, header.id.get(), command.number(), errno),
        }
        true
    }

    fn carry_out<'a>(
        &self,
        command: Command,
        payload: &[u8],
        data: &'a mut Vec<u8>,
    ) -> Result<Reply<'a>, Errno> {
        match Request::parse(command, payload) {
            Ok(Request::DmaRead(access)) if access.count.get() > MAX_DATA.into() => Err(Errno::E2BIG),
            Ok(Request::DmaRead(access)) => {
                data.resize(access.count.get() as usize, 0);
                self.read(Iova::new(access.address.get()), data)?;
                Ok(Reply::DmaRead(access, data))
            }
            Ok(Request::DmaWrite(access, bytes)) => {
                self.write(Iova::new(access.address.get()), bytes)?;
                Ok(Reply::DmaWrite(access))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    /// Reads what the device asks for. A range that is not in one piece of what is mapped is refused.
    fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        let piece = self.find(at, buffer.len(), DmaFlags::READ)?;
        match &piece.what {
            What::Asked(memory) => memory.read(at, buffer),
            What::File(file, offset) => {
                file.read_exact_at(buffer, piece.inside(*offset, at)?).map_err(|_| Errno::EFAULT)
            }
        }
    }

    /// Writes what the device brings.
    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        let piece = self.find(at, data.len(), DmaFlags::WRITE)?;
        match &piece.what {
            What::Asked(memory) => memory.write(at, data),
            What::File(file, offset) => {
                file.write_all_at(data, piece.inside(*offset, at)?).map_err(|_| Errno::EFAULT)
            }
        }
    }

    fn find(&self, at: Iova, length: usize, need: DmaFlags) -> Result<&Piece, Errno> {
        let before = self.pieces.range(..=at.get()).next_back().map(|(_, piece)| piece);
        let found = before.filter(|piece| piece.range.covers(at, length as u64));
        found.filter(|piece| piece.allowed.contains(need)).ok_or(Errno::EFAULT)
    }
}

impl Piece {
    /// Where an address is in the file in which the range begins at `offset`.
    fn inside(&self, offset: u64, at: Iova) -> Result<u64, Errno> {
        let inside = self.range.offset_of(at).ok_or(Errno::EFAULT)?;
        offset.checked_add(inside).ok_or(Errno::EFAULT)
    }
}
