//! The program's own view of `/dev` and `/sys`: what the machine has, and our entries beside it.
//!
//! A folder that gets an entry is covered by an empty file system of our own, into which all that was there is bound
//! again. This is done in namespaces of the process alone: nobody else sees it, and it goes with the last process
//! that does.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use nix::sched::CloneFlags;
use rustix::mount::MountFlags;
use rustix::mount::MountPropagationFlags;

use super::LendError;
use super::tree::Entry;
use super::tree::What;

/// Gives the process namespaces of its own: of mounts, and where it may not have that, of users, in which it is who
/// it was.
pub(super) fn leave() -> Result<(), LendError> {
    if nix::sched::unshare(CloneFlags::CLONE_NEWNS).is_err() {
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        let both = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
        let unshared = nix::sched::unshare(both).map_err(io::Error::from);
        unshared.map_err(LendError::at("a namespace of users"))?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{0} {0} 1", user.as_raw())),
            ("gid_map", format!("{0} {0} 1", group.as_raw())),
        ] {
            let path = format!("/proc/self/{file}");
            fs::write(&path, text).map_err(LendError::at(path))?;
        }
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private)
        .map_err(io::Error::from)
        .map_err(LendError::at("private mounts"))
}

/// Puts the entries into place.
pub(super) fn set(entries: &[Entry]) -> Result<(), LendError> {
    let mut stage = Stage { entries, ours: BTreeSet::new() };
    entries.iter().try_for_each(|entry| stage.place(entry).map_err(LendError::at(&*entry.path)))
}

struct Stage<'a> {
    entries: &'a [Entry],
    /// Folders of our own file systems.
    ours: BTreeSet<PathBuf>,
}

impl Stage<'_> {
    fn place(&mut self, entry: &Entry) -> io::Result<()> {
        let path = Path::new(&entry.path);
        self.open_folder(path.parent().unwrap_or(path))?;
        match &entry.what {
            What::Folder if path.is_dir() => Ok(()),
            What::Folder => fs::create_dir(path),
            What::File(text) => fs::write(path, text),
            What::Link(to) => symlink(to, path),
            What::Door(_) => fs::write(path, ""),
        }
    }

    /// Makes a folder one of ours, with what is in it.
    fn open_folder(&mut self, folder: &Path) -> io::Result<()> {
        if self.ours.contains(folder) {
            return Ok(());
        }
        if !folder.exists() {
            self.open_folder(folder.parent().unwrap_or(folder))?;
            fs::create_dir(folder)?;
        } else {
            self.cover(folder)?;
        }
        self.ours.insert(folder.to_owned());
        Ok(())
    }

    fn cover(&self, folder: &Path) -> io::Result<()> {
        let path_only = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let before = rustix::fs::open(folder, path_only, rustix::fs::Mode::empty())?;
        let before = PathBuf::from(format!("/proc/self/fd/{}", before.as_raw_fd())).join(".");
        rustix::mount::mount("cxl-sim", folder, "tmpfs", MountFlags::empty(), c"mode=755")?;
        for entry in fs::read_dir(&before)? {
            let name = entry?.file_name();
            let place = folder.join(&name);
            if self.entries.iter().all(|entry| Path::new(&entry.path) != place) {
                bind(&before.join(&name), &place)?;
            }
        }
        Ok(())
    }
}

/// Shows at `place` what is at `original`.
fn bind(original: &Path, place: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(original)?.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(original)?, place);
    }
    if kind.is_dir() {
        fs::create_dir(place)?;
    } else {
        fs::write(place, "")?;
    }
    let bound = rustix::mount::mount_bind_recursive(original, place);
    // A socket or a pipe whose other end is in a folder that cannot be entered is no loss.
    if kind.is_socket() || kind.is_fifo() { Ok(()) } else { Ok(bound?) }
}
