//! The system calls of seccomp that no crate offers safely: installing a filter that notifies, and its listener.
//!
//! # Rules for the unsafe code in this file
//!
//! - A structure is given to the kernel by a reference that lives over the call, and is of the type that libc states
//!   for that request, so the kernel writes no more than there is.
//! - A descriptor that a call returns is new and ours alone.

#![allow(unsafe_code, reason = "no crate has these calls behind a safe face")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;

use libc::seccomp_notif;
use libc::seccomp_notif_addfd;
use libc::seccomp_notif_resp;

/// The supervisor is woken on the processor of who asks: shorter where both wait for each other.
const SYNC_WAKE_UP: u64 = 1;

/// A call that a program makes and that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Names it until it is answered.
    pub(super) id: u64,
    /// The thread that makes it.
    pub(super) thread: i32,
    /// Its number.
    pub(super) number: i64,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// Where the calls come from that a filter does not decide itself.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

/// Installs a filter for this thread and all that it starts. Returns the filter's listener.
pub(super) fn install(filter: &mut [libc::sock_filter]) -> io::Result<OwnedFd> {
    let length = u16::try_from(filter.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: the program's pointer and length are those of a slice that lives over the call, which only reads it.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let file = i32::try_from(done).map_err(io::Error::other)?;
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(file) })
}

impl Listener {
    /// The listener of a filter.
    pub(super) fn new(file: OwnedFd) -> Self {
        let listener = Self(file);
        // A kernel that has not got this is slower, and no worse.
        // SAFETY: the request takes its flags by value; nothing is written.
        let _ =
            unsafe { libc::ioctl(listener.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
        listener
    }

    /// For waiting.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.0)
    }

    /// Takes a call. Nothing if who made it has been killed since.
    pub(super) fn take(&self) -> io::Result<Option<Call>> {
        let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
        let mut notice = seccomp_notif { id: 0, pid: 0, flags: 0, data };
        // SAFETY: the structure is of the request's type and lives over the call.
        let done =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) };
        match result(done) {
            Ok(_) => Ok(Some(Call {
                id: notice.id,
                thread: notice.pid.cast_signed(),
                number: notice.data.nr.into(),
                arguments: notice.data.args,
            })),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets a call be carried out as if there were no filter.
    pub(super) fn let_through(&self, call: &Call) {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.send(seccomp_notif_resp { id: call.id, val: 0, error: 0, flags });
    }

    /// Answers a call with a value, or an error number.
    pub(super) fn answer(&self, call: &Call, answer: Result<i64, u32>) {
        let (val, error) = match answer {
            Ok(value) => (value, 0),
            Err(errno) => (0, errno.cast_signed().saturating_neg()),
        };
        self.send(seccomp_notif_resp { id: call.id, val, error, flags: 0 });
    }

    fn send(&self, mut answer: seccomp_notif_resp) {
        // Who asked may have been killed since; then nobody waits for the answer.
        // SAFETY: the structure is of the request's type and lives over the call.
        let _ = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    }

    /// Answers a call with a new descriptor of a file.
    pub(super) fn answer_with_file(&self, call: &Call, file: BorrowedFd<'_>, flags: u32) -> io::Result<()> {
        let mut added = seccomp_notif_addfd {
            id: call.id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: file.as_raw_fd().unsigned_abs(),
            newfd: 0,
            newfd_flags: flags,
        };
        // SAFETY: the structure is of the request's type and lives over the call.
        let done =
            unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw mut added) };
        result(done).map(drop)
    }
}

fn result(done: i32) -> io::Result<i32> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}
