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

/// How many records of processes with one number a folder may have.
const NAMES: u32 = 1000;

/// A file that takes what clients say.
#[derive(Debug)]
pub struct Record {
    file: File,
    left: AtomicU64,
}

impl Record {
    /// The longest record, in bytes.
    pub const LONGEST: u64 = 1 << 20;

    /// Begins a record in a folder, in a file that has the number of this process for its name. A folder outlives
    /// processes, and their numbers come again: where there is such a file, a name with a further number is taken.
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn begin(folder: &Path, abi: &Abi) -> io::Result<Self> {
        let mut file = create(folder, &std::process::id().to_string())?;
        let place = ABIS.iter().position(|one| one.name == abi.name).unwrap_or_default();
        let first = [place as u8];
        file.write_all(&first)?;
        Ok(Self { file, left: AtomicU64::new(Self::LONGEST - first.len() as u64) })
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

/// A new file with this name, or with a number behind it.
fn create(folder: &Path, name: &str) -> io::Result<File> {
    let mut file = File::create_new(folder.join(name));
    for number in 1..NAMES {
        match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                file = File::create_new(folder.join(format!("{name}-{number}")));
            }
            other => return other,
        }
    }
    file
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
            let mut inbox = Inbox::<()>::new(Record::LONGEST as usize);
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
        let long = frame(1, &vec![7; Record::LONGEST as usize - 2 * HEADER_SIZE - 1]);
        let frames = [long.clone(), frame(2, &[0; 17]), frame(3, b"")];
        assert_eq!(kept(&frames).len(), 1 + long.len());
    }

    #[test]
    fn a_record_may_be_as_long_as_what_is_read_and_no_longer() {
        let longest = |more: usize| frame(1, &vec![7; Record::LONGEST as usize - HEADER_SIZE - 1 + more]);
        assert_eq!(kept(&[longest(0)]).len() as u64, Record::LONGEST);
        assert_eq!(kept(&[longest(1)]).len(), 1);
    }

    #[test]
    fn no_record_is_written_over_and_the_next_has_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        for abi in ["v2", "v3", "v2"] {
            Record::begin(folder.path(), Abi::named(abi).unwrap()).unwrap();
        }
        let name = std::process::id().to_string();
        let first = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert_eq!([first(&name), first(&format!("{name}-1")), first(&format!("{name}-2"))], [[0], [1], [0]]);
    }

    #[test]
    fn a_record_cannot_begin_where_there_is_no_folder() {
        let nowhere = Path::new("/nonexistent");
        let error = Record::begin(nowhere, Abi::named("v2").unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
