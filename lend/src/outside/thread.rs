//! A thread of the program as who makes a call: its memory by the system's calls for that, its files by `/proc`.

use std::fs::File;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;

use nix::sys::uio::RemoteIoVec;
use nix::sys::uio::process_vm_readv;
use nix::sys::uio::process_vm_writev;
use nix::unistd::Pid;
use rustix::process::PidfdFlags;
use rustix::process::PidfdGetfdFlags;
use vfio_abi::errno::Errno;

use super::errno;
use super::files::Files;
use super::files::Identity;
use super::files::open_of;
use crate::caller::Caller;
use crate::caller::Lies;
use crate::caller::Open;

/// A thread, or nobody where its number is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread<'a> {
    /// Its number.
    pub(super) number: i32,
    /// How files of ours are known.
    pub(super) files: &'a Files,
}

impl Thread<'_> {
    /// Device and inode of a descriptor's file.
    pub(super) fn identity(&self, file: i32) -> Result<Identity, Errno> {
        let status = rustix::fs::stat(format!("/proc/{}/fd/{file}", self.number)).map_err(errno)?;
        Ok((status.st_dev, status.st_ino))
    }

    /// The text at an address, if it ends within what a path may be.
    pub(super) fn text(&self, at: u64) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < libc::PATH_MAX as usize {
            let here = at.checked_add(text.len() as u64)?;
            // Not beyond a page: the next one may not be there.
            let mut piece = vec![0; (0x1000 - (here & 0xfff)).min(256) as usize];
            self.read_of(self.number, here, &mut piece).ok()?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(piece.get(..end)?);
                return Some(text);
            }
            text.extend_from_slice(&piece);
        }
        None
    }
}

impl Caller for Thread<'_> {
    fn process(&self) -> i32 {
        let told = std::fs::read_to_string(format!("/proc/{}/status", self.number)).unwrap_or_default();
        let process = told.lines().find_map(|line| line.strip_prefix("Tgid:"));
        process.and_then(|process| process.trim().parse().ok()).unwrap_or(self.number)
    }

    fn read_of(&self, process: i32, at: u64, into: &mut [u8]) -> Result<(), Errno> {
        let length = into.len();
        if length == 0 {
            return Ok(());
        }
        let remote = RemoteIoVec { base: at as usize, len: length };
        let done = process_vm_readv(Pid::from_raw(process), &mut [IoSliceMut::new(into)], &[remote]);
        if done == Ok(length) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    fn write_of(&self, process: i32, at: u64, data: &[u8]) -> Result<(), Errno> {
        if data.is_empty() {
            return Ok(());
        }
        let remote = RemoteIoVec { base: at as usize, len: data.len() };
        let done = process_vm_writev(Pid::from_raw(process), &[IoSlice::new(data)], &[remote]);
        if done == Ok(data.len()) { Ok(()) } else { Err(Errno::EFAULT) }
    }

    fn lies(&self, at: u64, length: u64) -> Result<Lies, Errno> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.number)).or(Err(Errno::EFAULT))?;
        lies(&maps, at, length, |identity| self.files.is_regions(identity)).ok_or(Errno::EFAULT)
    }

    fn open(&self, file: i32) -> Result<Option<Open>, Errno> {
        let identity = match self.identity(file) {
            Ok(identity) => identity,
            Err(Errno::ENOENT) => return Err(Errno::EBADF),
            Err(_) => return Ok(None),
        };
        if !self.files.are(identity) {
            return Ok(None);
        }
        let told = std::fs::read_to_string(format!("/proc/{}/fdinfo/{file}", self.number));
        Ok(told.ok().and_then(|told| open_of(&told)))
    }

    fn take(&self, file: i32) -> Result<OwnedFd, Errno> {
        let process = rustix::process::Pid::from_raw(self.process()).ok_or(Errno::EBADF)?;
        let process = rustix::process::pidfd_open(process, PidfdFlags::empty()).map_err(errno)?;
        rustix::process::pidfd_getfd(process, file, PidfdGetfdFlags::empty()).map_err(errno)
    }

    fn take_event(&self, file: i32) -> Result<OwnedFd, Errno> {
        let taken = self.take(file)?;
        let what = std::fs::read_link(format!("/proc/{}/fd/{file}", self.number)).or(Err(Errno::EBADF))?;
        if what.as_os_str() == "anon_inode:[eventfd]" { Ok(taken) } else { Err(Errno::EINVAL) }
    }
}

/// What all of a range is, by the table of a process's mappings; nothing if a part of it is none.
fn lies(maps: &str, at: u64, length: u64, is_device: impl Fn(Identity) -> bool) -> Option<Lies> {
    let end = at.checked_add(length)?;
    let (mut reached, mut found) = (at, Lies::Writable);
    for line in maps.lines() {
        let (from, to, what) = mapping(line, &is_device)?;
        if to <= reached || reached >= end {
            continue;
        }
        if from > reached {
            return None;
        }
        found = match (found, what?) {
            (Lies::Device, _) | (_, Lies::Device) => Lies::Device,
            (Lies::ReadOnly, _) | (_, Lies::ReadOnly) => Lies::ReadOnly,
            (Lies::Writable, Lies::Writable) => Lies::Writable,
        };
        reached = to;
    }
    (reached >= end).then_some(found)
}

/// A line of that table: from where to where, and what it is, if it can be read.
fn mapping(line: &str, is_device: impl Fn(Identity) -> bool) -> Option<(u64, u64, Option<Lies>)> {
    let mut words = line.split_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (permissions, _offset, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (major, minor) = device.split_once(':')?;
    let device = rustix::fs::makedev(hex(major)? as u32, hex(minor)? as u32);
    let what = if is_device((device, inode.parse().ok()?)) {
        Some(Lies::Device)
    } else if permissions.starts_with("rw") {
        Some(Lies::Writable)
    } else if permissions.starts_with('r') {
        Some(Lies::ReadOnly)
    } else {
        None
    };
    Some((hex(from)?, hex(to)?, what))
}

/// Device and inode of a file by a path that does not end in a link.
pub(super) fn identity_at(path: &str) -> std::io::Result<Identity> {
    let path_only = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, path_only, rustix::fs::Mode::empty())?;
    super::files::identity_of(&File::from(file))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MAPS: &str = "\
1000-3000 rw-p 00000000 00:00 0 \n\
3000-4000 r--p 00001000 fe:00 77                         /usr/lib/a b\n\
4000-5000 ---p 00000000 00:00 0 \n\
7000-9000 rw-s 90000000000 00:01 1038                    /memfd:cxl-sim-device (deleted)\n";

    #[rstest]
    #[case::all_of_one(0x1000, 0x2000, Some(Lies::Writable))]
    #[case::inside(0x1800, 0x10, Some(Lies::Writable))]
    #[case::into_what_is_read_only(0x2000, 0x2000, Some(Lies::ReadOnly))]
    #[case::into_what_cannot_be_read(0x3000, 0x2000, None)]
    #[case::into_a_hole(0x4fff, 2, None)]
    #[case::the_device(0x7000, 0x1000, Some(Lies::Device))]
    #[case::past_the_end(0x8000, 0x2000, None)]
    #[case::nothing_there(0x5000, 0x1000, None)]
    #[case::past_the_last_address(0x8000, u64::MAX, None)]
    fn what_lies_at_an_address_is_what_all_of_it_is(
        #[case] at: u64,
        #[case] length: u64,
        #[case] found: Option<Lies>,
    ) {
        assert_eq!(lies(MAPS, at, length, |identity| identity == (1, 1038)), found);
    }
}
