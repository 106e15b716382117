//! The server confines itself: what a client could make of a mistake in it is no more than what is listed here.
//!
//! Two walls, and each holds alone. Landlock keeps files away: of all that is in the file system the process may only
//! remove files in the folder of its socket, as it must at its end; give the socket a folder of its own. Where the
//! kernel is new enough, Landlock refuses TCP, signals and abstract sockets to the outside, too. Seccomp keeps system
//! calls away: of all that there are it may only make these.
//!
//! | to                                       | it may                                                           |
//! |------------------------------------------|------------------------------------------------------------------|
//! | have clients                             | `accept4`, `getsockopt` and `setsockopt` of sockets, `recvmsg`,   |
//! |                                          | `recvfrom`, `sendmsg`, `sendto`, `shutdown`, `poll`, `ppoll`      |
//! | use what is open: clients' files,        | `read`, `write`, `pread64`, `pwrite64`, `fstat`, `close`, `fcntl` |
//! | interrupts, standard streams             | to copy a descriptor and to ask for its flags                    |
//! | clear the device's memory                | `fallocate`                                                      |
//! | have memory of its own, none executable  | `brk`, `mmap`, `mprotect`, `mremap`, `munmap`, `madvise`          |
//! | wait, know the time, have hash tables    | `futex`, `clock_gettime`, `clock_nanosleep`, `sched_yield`,       |
//! |                                          | `restart_syscall`, `getrandom`                                   |
//! | be told by a signal to end               | `rt_sigreturn`, `rt_sigprocmask`, `sigaltstack`                  |
//! | end                                      | `unlink` or `unlinkat`, `exit`, `exit_group`                     |
//!
//! Not in the list, so refused: to open anything, to make a socket, a process or a thread, to run a program, to look
//! into another process or to signal one. What is refused fails with `EPERM` and does not kill: the device of a running
//! guest is worth more than the news that somebody tried, and a library that tries a newer call than it needs goes on
//! with the older.
//!
//! Landlock holds for the threads that are started after it, seccomp for all that are there. So files come first, then
//! the threads are started, then come the calls; the types leave no other order. A thread must have begun its work by
//! then: what the C library does to begin one is not in the list, and it ends the process where that fails.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetStatus;
use landlock::Scope;
use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;

/// What to do where a wall cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Fail.
    Full,
    /// Do without Landlock. Every kernel that a device could be served on has seccomp.
    BestEffort,
}

/// Why the process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A thread that was there already would not be confined.
    #[error("the process has {0} threads already, and Landlock would hold for one of them only")]
    Threads(usize),
    /// No Landlock.
    #[error("this kernel has no Landlock, or an older one than is needed: {0}")]
    NoLandlock(landlock::RulesetError),
    /// The socket's folder cannot be named.
    #[error("the folder of the socket cannot be opened: {0}")]
    Folder(landlock::PathFdError),
    /// The system does not say how many threads there are.
    #[error("counting the threads: {0}")]
    System(io::Error),
    /// The filter cannot be made.
    #[error("seccomp: {0}")]
    Filter(seccompiler::BackendError),
    /// The filter is refused.
    #[error("seccomp: {0}")]
    Seccomp(seccompiler::Error),
}

/// A process from which files are kept, and not yet system calls. Now is the time to start its threads.
#[derive(Debug)]
#[must_use = "system calls are not kept away yet"]
pub struct Fenced {
    landlock: bool,
}

/// Keeps files away from this process, but for the end of the socket at this path.
///
/// # Errors
/// If the process has threads, or there is no Landlock and it has to be.
pub fn keep_files_away(socket: &Path, strictness: Strictness) -> Result<Fenced, GuardError> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(GuardError::System)?.count();
    if threads != 1 {
        return Err(GuardError::Threads(threads));
    }
    let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = PathFd::new(folder).map_err(GuardError::Folder)?;
    restrict(folder, strictness).map(|landlock| Fenced { landlock }).map_err(GuardError::NoLandlock)
}

impl Fenced {
    /// Whether Landlock is what keeps the files away. If not, seccomp alone will.
    pub fn has_landlock(&self) -> bool {
        self.landlock
    }

    /// Keeps system calls away from all threads of this process, for ever. All must have begun their work.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn keep_calls_away(self) -> Result<(), GuardError> {
        let filter = filter().map_err(GuardError::Filter)?;
        seccompiler::apply_filter_all_threads(&filter).map_err(GuardError::Seccomp)
    }
}

/// Lets Landlock restrict this thread. Whether it does.
fn restrict(folder: PathFd, strictness: Strictness) -> Result<bool, landlock::RulesetError> {
    let needed = match strictness {
        Strictness::Full => CompatLevel::HardRequirement,
        Strictness::BestEffort => CompatLevel::BestEffort,
    };
    let restricted = Ruleset::default()
        .set_compatibility(needed)
        .handle_access(AccessFs::from_all(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V5))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(folder, AccessFs::RemoveFile))?
        .restrict_self()?;
    Ok(restricted.ruleset != RulesetStatus::NotEnforced)
}

/// System calls that are allowed whatever their arguments are.
const CALLS: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_recvmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_preadv2,
    libc::SYS_eventfd2,
    libc::SYS_pwrite64,
    libc::SYS_fstat,
    libc::SYS_close,
    libc::SYS_fallocate,
    libc::SYS_brk,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(not(target_arch = "x86_64"))]
    libc::SYS_unlinkat,
];

/// System calls that are allowed where an argument, masked, is one of these: call, argument, mask, values.
const CALLS_IF: &[(libc::c_long, u8, i32, &[i32])] = &[
    (libc::SYS_mmap, 2, libc::PROT_EXEC, &[0]),
    (libc::SYS_mprotect, 2, libc::PROT_EXEC, &[0]),
    (libc::SYS_fcntl, 1, !0, &[libc::F_DUPFD_CLOEXEC, libc::F_GETFD, libc::F_GETFL]),
    (libc::SYS_getsockopt, 1, !0, &[libc::SOL_SOCKET]),
    (libc::SYS_setsockopt, 1, !0, &[libc::SOL_SOCKET]),
];

/// The program that the kernel runs before each system call.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument, mask, values) in CALLS_IF {
        let rule = |value: &i32| {
            let operation = SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()));
            let value = u64::from(value.cast_unsigned());
            SeccompRule::new(vec![SeccompCondition::new(
                *argument,
                SeccompCmpArgLen::Dword,
                operation,
                value,
            )?])
        };
        rules.insert(*call, values.iter().map(rule).collect::<Result<_, _>>()?);
    }
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_list_opens_makes_runs_signals_or_looks() {
        let never = [
            libc::SYS_openat,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_kill,
            libc::SYS_tgkill,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_pidfd_getfd,
            libc::SYS_ioctl,
            libc::SYS_prctl,
            libc::SYS_seccomp,
            libc::SYS_io_uring_setup,
        ];
        for call in never {
            assert!(
                !CALLS.contains(&call) && CALLS_IF.iter().all(|(allowed, ..)| *allowed != call),
                "{call}"
            );
        }
        assert!(filter().is_ok());
    }
}
