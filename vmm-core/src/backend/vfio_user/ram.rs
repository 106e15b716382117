//! The memory that the device was let reach, for a device that asks for it message by message.
//!
//! All of it was mapped with its file, so a device can do without these messages. One that sends them all the same
//! is answered from the file. It gets what it was let reach and nothing else: anything else is `EFAULT`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;

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

    /// Reads what the device asks for. A range that is not in one piece of what is mapped is refused.
    pub(super) fn read(&self, at: Iova, buffer: &mut [u8]) -> Result<(), Errno> {
        let (file, offset) = self.find(at, buffer.len())?;
        file.read_exact_at(buffer, offset).map_err(|_| Errno::EFAULT)
    }

    /// Writes what the device brings.
    pub(super) fn write(&self, at: Iova, data: &[u8]) -> Result<(), Errno> {
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
