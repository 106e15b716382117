//! What clients say, kept: a fuzzer begins with it, and it can be told in words.
//!
//! A record is the place of the simulated kernel in [`ABIS`], and then the messages as they came, one behind the other.
//! Files that came with them are not kept, and nothing that we answered.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use vfio_abi::inbox::Taken;
use zerocopy::IntoBytes;

use crate::kernel::ABIS;
use crate::kernel::Abi;

/// The most bytes that are kept.
const MOST: u64 = 1 << 20;

/// A file that takes what clients say.
#[derive(Debug)]
pub struct Record {
    file: File,
    left: AtomicU64,
}

impl Record {
    /// Begins a record in a folder, in a file that has the number of this process for its name.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn begin(folder: &Path, abi: &Abi) -> io::Result<Self> {
        let mut file = File::create_new(folder.join(std::process::id().to_string()))?;
        let place = ABIS.iter().position(|one| one.name == abi.name).unwrap_or_default();
        file.write_all(&[place as u8])?;
        Ok(Self { file, left: AtomicU64::new(MOST) })
    }

    /// Keeps a message. Nothing more is kept once there is no room for one.
    pub(super) fn keep<F>(&self, taken: &Taken<'_, F>) {
        let Taken::Message { header, payload, .. } = taken else { return };
        let bytes = [header.as_bytes(), payload].concat();
        let left = self.left.load(Ordering::Relaxed).checked_sub(bytes.len() as u64);
        let kept = left.filter(|_| (&self.file).write_all(&bytes).is_ok());
        self.left.store(kept.unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use vfio_abi::frame::HEADER_SIZE;
    use vfio_abi::frame::encode_request;
    use vfio_abi::inbox::Inbox;
    use vfio_abi::request::Request;

    use super::*;

    fn frame(id: u16, data: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        encode_request(&mut frame, id, &Request::Other(vfio_abi::frame::Command::DeviceFeature, data));
        frame
    }

    fn kept(frames: &[Vec<u8>]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::begin(folder.path(), Abi::named("v3").unwrap()).unwrap();
        for frame in frames {
            let mut inbox = Inbox::<()>::new(MOST as usize);
            inbox.space()[..frame.len()].copy_from_slice(frame);
            inbox.received(frame.len(), Vec::new());
            record.keep(&inbox.take().unwrap().unwrap());
        }
        std::fs::read(folder.path().join(std::process::id().to_string())).unwrap()
    }

    #[test]
    fn messages_are_kept_as_they_came_behind_the_number_of_the_kernel() {
        let frames = [frame(1, b"one"), frame(2, b"")];
        assert_eq!(kept(&frames), [&[1], &*frames[0], &*frames[1]].concat());
    }

    #[test]
    fn what_there_is_no_room_for_ends_the_record() {
        let long = frame(1, &vec![7; MOST as usize - 2 * HEADER_SIZE]);
        let frames = [long.clone(), frame(2, &[0; 17]), frame(3, b"")];
        assert_eq!(kept(&frames).len(), 1 + long.len());
    }

    #[test]
    fn no_record_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let abi = Abi::named("v2").unwrap();
        let _first = Record::begin(folder.path(), abi).unwrap();
        assert_eq!(Record::begin(folder.path(), abi).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
