//! The memory that the device was let reach, for a device that asks for it message by message.
//!
//! All of it was mapped with its file, so a device can do without these messages. One that sends them all the same
//! is answered from the file. It gets what it was let reach and nothing else: anything else is `EFAULT`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;
use vfio_abi::frame;
use vfio_abi::frame::Command;
use vfio_abi::frame::Header;
use vfio_abi::reply::Reply;
use vfio_abi::request::Request;

use super::MAX_DATA;

/// What is mapped.
#[derive(Debug, Default)]
pub(super) struct Ram {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
struct Piece {
    range: Span<Iova>,
    file: File,
    /// Where in the file the range begins.
    offset: u64,
}

impl Ram {
    /// The device may reach `range`, which is the file from `offset`.
    pub(super) fn add(&mut self, range: Span<Iova>, file: File, offset: u64) {
        self.pieces.push(Piece { range, file, offset });
    }

    /// It may not any more.
    pub(super) fn remove(&mut self, range: Span<Iova>) {
        self.pieces.retain(|piece| piece.range != range);
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
        let (file, offset) = self.find(at, buffer.len())?;
        file.read_exact_at(buffer, offset).map_err(|_| Errno::EFAULT)
    }

    /// Writes what the device brings.
    fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
        let (file, offset) = self.find(at, data.len())?;
        file.write_all_at(data, offset).map_err(|_| Errno::EFAULT)
    }

    fn find(&self, at: Iova, length: usize) -> Result<(&File, u64), Errno> {
        let piece = self.pieces.iter().find(|piece| piece.range.covers(at, length as u64));
        let piece = piece.ok_or(Errno::EFAULT)?;
        let inside = piece.range.offset_of(at).unwrap_or(0);
        let offset = piece.offset.checked_add(inside).ok_or(Errno::EFAULT)?;
        Ok((&piece.file, offset))
    }
}
