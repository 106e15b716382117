//! The files behind descriptors of ours, and how they are known again.
//!
//! All descriptors are of two files, which exist in memory only: one that is all regions of the device, each at its
//! index << 40, and one for everything else, which is empty. Which [`Open`] a descriptor is of tells a lock: each
//! open file locks one byte, at the number of the open. The lock belongs to what is open and not to a process. So it
//! goes with the last copy of the descriptor and the last mapping, however they go, and that is how we find out.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::fcntl::FcntlArg;
use nix::fcntl::fcntl;
use sim_device::silicon::memory::sealed_file;

use crate::caller::Open;

/// How long the file of the regions is: more regions than any kernel shows.
const REGIONS_SIZE: u64 = 32 << 40;

/// Device and inode: what makes two files the same.
pub(super) type Identity = (u64, u64);

/// The two files.
#[derive(Debug)]
pub(super) struct Files {
    regions: Known,
    others: Known,
}

#[derive(Debug)]
struct Known {
    file: File,
    identity: Identity,
}

impl Known {
    fn new(name: &str, size: u64) -> io::Result<Self> {
        let file = sealed_file(name, size)?;
        let identity = identity_of(&file)?;
        Ok(Self { file, identity })
    }
}

/// Device and inode of a file.
pub(super) fn identity_of(file: &File) -> io::Result<Identity> {
    let status = rustix::fs::fstat(file)?;
    Ok((status.st_dev, status.st_ino))
}

/// The lock of an open file.
fn lock(open: Open) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: open.0.cast_signed(),
        l_len: 1,
        l_pid: 0,
    }
}

impl Files {
    /// New files.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            regions: Known::new("cxl-sim-device", REGIONS_SIZE)?,
            others: Known::new("cxl-sim-node", 0)?,
        })
    }

    /// The file that is all regions.
    pub(super) fn regions(&self) -> &File {
        &self.regions.file
    }

    /// Whether a file is one of the two.
    pub(super) fn are(&self, identity: Identity) -> bool {
        identity == self.regions.identity || identity == self.others.identity
    }

    /// Whether a file is the regions'.
    pub(super) fn is_regions(&self, identity: Identity) -> bool {
        identity == self.regions.identity
    }

    fn of(&self, is_device: bool) -> &File {
        if is_device { &self.regions.file } else { &self.others.file }
    }

    /// Opens a file anew, known as `open` from now on.
    pub(super) fn make(&self, open: Open, is_device: bool) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}", self.of(is_device).as_raw_fd());
        let file = File::options().read(true).write(true).open(path)?;
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock(open)))?;
        Ok(file)
    }

    /// Whether anybody has it open yet, or mapped.
    pub(super) fn is_open(&self, open: Open, is_device: bool) -> bool {
        let mut sought = lock(open);
        let asked = fcntl(self.of(is_device), FcntlArg::F_OFD_GETLK(&mut sought));
        // A system that does not tell is no reason to take it away.
        asked.is_err() || i32::from(sought.l_type) != libc::F_UNLCK
    }
}

/// Which open file a descriptor is of, by what the system tells of the descriptor.
pub(super) fn open_of(told: &str) -> Option<Open> {
    let lock = told.lines().find(|line| line.starts_with("lock:") && line.contains("OFDLCK"))?;
    lock.split_whitespace().rev().nth(1)?.parse().ok().map(Open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_lock_as_long_as_a_copy_of_it_is_open() {
        let files = Files::new().unwrap();
        for is_device in [true, false] {
            let (one, other) =
                (files.make(Open(5), is_device).unwrap(), files.make(Open(6), is_device).unwrap());
            let copy = one.try_clone().unwrap();
            let told = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", copy.as_raw_fd())).unwrap();
            assert_eq!(open_of(&told), Some(Open(5)));
            drop(one);
            assert!(files.is_open(Open(5), is_device));
            drop(copy);
            assert!(!files.is_open(Open(5), is_device) && files.is_open(Open(6), is_device));
            drop(other);
            assert!(!files.is_open(Open(6), is_device));
        }
    }

    #[test]
    fn a_file_that_is_mapped_is_open() {
        let files = Files::new().unwrap();
        let file = files.make(Open(9), true).unwrap();
        let memory = sim_device::silicon::memory::Memory::within(file, 9 << 40, 0x1000).unwrap();
        assert!(files.is_open(Open(9), true));
        drop(memory);
        assert!(!files.is_open(Open(9), true));
    }

    #[test]
    fn what_is_told_of_a_file_without_our_lock_is_none_of_ours() {
        assert_eq!(open_of("pos:\t0\nflags:\t02\nlock:\t1: POSIX  ADVISORY  WRITE 7 00:01:5 0 EOF\n"), None);
        assert_eq!(open_of("lock:\t1: OFDLCK ADVISORY  WRITE -1 00:01:1038 12 12\n"), Some(Open(12)));
    }
}
