//! The filter: which calls of the program are looked at from outside. All others are carried out at once.
//!
//! | call                                         | if                                                     |
//! |----------------------------------------------|--------------------------------------------------------|
//! | `ioctl`                                      | its type is VFIO's, or KVM is told of a file            |
//! | `open`, `openat`, `openat2`                  | always                                                 |
//! | `mmap`                                       | of a file                                              |
//! | `read`, `write` and their relatives, `lseek` | not of a standard stream                               |
//! | `fstat`, `newfstatat`                        | of a descriptor                                        |
//!
//! A program of another architecture is killed.

use std::collections::BTreeMap;

use seccompiler::BackendError;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use seccompiler::TargetArch;

use crate::number;

/// What the crate, which knows no notification, is told to do instead; it is found again by its number.
const MARK: u16 = 0x5e1d;

/// The instruction that ends a filter with a constant.
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Calls by descriptor that are looked at if it is not one of a standard stream.
const BY_DESCRIPTOR: [i64; 11] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_lseek,
];

/// The filter's instructions.
pub(super) fn filter() -> Result<Vec<libc::sock_filter>, BackendError> {
    let mut rules = BTreeMap::new();
    let is_vfio = condition(1, SeccompCmpOp::MaskedEq(0xff00), (number::TYPE << 8).into())?;
    let is_kvm = condition(1, SeccompCmpOp::Eq, number::KVM_SET_DEVICE_ATTR.into())?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(vec![is_vfio])?, SeccompRule::new(vec![is_kvm])?]);
    let of_file = condition(3, SeccompCmpOp::MaskedEq(libc::MAP_ANONYMOUS as u64), 0)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![of_file])?]);
    for call in BY_DESCRIPTOR {
        let no_stream = condition(0, SeccompCmpOp::Gt, libc::STDERR_FILENO as u64)?;
        rules.insert(call, vec![SeccompRule::new(vec![no_stream])?]);
    }
    let empty = libc::AT_EMPTY_PATH as u64;
    let by_descriptor = condition(3, SeccompCmpOp::MaskedEq(empty), empty)?;
    rules.insert(libc::SYS_newfstatat, vec![SeccompRule::new(vec![by_descriptor])?]);
    for call in [libc::SYS_fstat, libc::SYS_openat, libc::SYS_openat2] {
        rules.insert(call, Vec::new());
    }
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, Vec::new());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let marked = SeccompAction::Trace(MARK.into());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, marked, arch)?;
    let program = seccompiler::BpfProgram::try_from(filter)?;
    let instructions = program.into_iter().map(|each| libc::sock_filter {
        code: each.code,
        jt: each.jt,
        jf: each.jf,
        k: if (each.code, each.k) == (RETURN, libc::SECCOMP_RET_TRACE | u32::from(MARK)) {
            libc::SECCOMP_RET_USER_NOTIF
        } else {
            each.k
        },
    });
    Ok(instructions.collect())
}

fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_notifies_and_traces_nowhere() {
        let filter = filter().unwrap();
        let ends = |value: u32| filter.iter().filter(|each| each.code == RETURN && each.k == value).count();
        assert!(ends(libc::SECCOMP_RET_USER_NOTIF) > 0 && ends(libc::SECCOMP_RET_ALLOW) > 0);
        assert!(
            filter.iter().all(|each| each.code != RETURN || each.k & 0xffff_0000 != libc::SECCOMP_RET_TRACE)
        );
        assert!(filter.len() < 4096);
    }
}
