//! What becomes of a call: it is let through, answered with a value or an error, or with a new descriptor.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::mem::offset_of;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use vfio_abi::errno::Errno;

use super::Order;
use super::files::Files;
use super::files::Identity;
use super::seccomp::Call;
use super::thread::Thread;
use super::tree::numbers;
use crate::caller::Caller;
use crate::caller::Open;
use crate::caller::Piece;
use crate::desk::Desk;
use crate::desk::Done;
use crate::desk::Door;
use crate::fields::Fields;
use crate::number;

/// Groups and attributes of KVM's device that is told of files of VFIO.
const KVM_FILE: u32 = 1;
const KVM_FILE_ADD: u64 = 1;
const KVM_FILE_DEL: u64 = 2;

/// What the system calls that device.
const KVM_DEVICE: &str = "anon_inode:kvm-vfio";

/// The most pieces of memory in one call.
const MOST_PIECES: u64 = 1024;

/// A kind of file: a character device.
const CHARACTER: u32 = libc::S_IFCHR | 0o660;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is carried out as if nobody had looked.
    Through,
    /// It has this value.
    Value(i64),
    /// Its value is a descriptor of this file, which goes when another program is begun, or not.
    File(Open, bool),
}

/// All that answers are made of.
#[derive(Debug)]
pub(super) struct Clerk {
    order: Order,
    pub(super) desk: Desk,
    pub(super) files: Files,
    /// The nodes in the program's view.
    doors: HashMap<Identity, Door>,
    /// The names that a path to one of them ends in.
    names: Vec<Vec<u8>>,
    /// Where a read without an offset begins.
    positions: BTreeMap<Open, u64>,
}

impl Clerk {
    /// A clerk for this desk, at these nodes.
    pub(super) fn new(order: Order, desk: Desk, files: Files, doors: HashMap<Identity, Door>) -> Self {
        let ends = super::tree::doors(&order).into_iter().flat_map(|(path, door)| {
            let (major, minor) = numbers(&order, door);
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            [name, format!("{major}:{minor}")]
        });
        let names = ends.map(String::into_bytes).collect();
        Self { order, desk, files, doors, names, positions: BTreeMap::new() }
    }

    /// Tells the desk what was closed since.
    pub(super) fn sweep(&mut self) {
        let gone = |open: &Open| !self.files.is_open(*open, self.desk.is_device(*open));
        let gone: Vec<_> = self.desk.opens().filter(gone).collect();
        for open in gone {
            self.desk.closed(open);
            self.positions.remove(&open);
        }
    }

    /// Does what the events stand for that were signalled.
    pub(super) fn ring(&mut self) {
        let nobody = Thread { number: 0, files: &self.files };
        self.desk.ring(&nobody);
    }

    /// What becomes of a call.
    pub(super) fn answer(&mut self, call: &Call) -> Result<Answer, Errno> {
        let [first, second, third, fourth, fifth, sixth] = call.arguments;
        let by = Thread { number: call.thread, files: &self.files };
        match call.number {
            libc::SYS_openat => self.open(call, Some(first as i32), second, third as u32),
            libc::SYS_openat2 => match (&by as &dyn Caller).fields(third, 8) {
                Ok(how) => self.open(call, Some(first as i32), second, how.u32(0)),
                Err(_) => Ok(Answer::Through),
            },
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => self.open(call, None, first, second as u32),
            libc::SYS_fstat => self.stat(&by, first as i32, second),
            libc::SYS_newfstatat => {
                // A path that is not empty is looked up by the system.
                let is_empty = second == 0 || by.text(second).is_some_and(|path| path.is_empty());
                if is_empty { self.stat(&by, first as i32, third) } else { Ok(Answer::Through) }
            }
            libc::SYS_mmap => match by.open(fifth as i32) {
                Ok(Some(open)) => {
                    let shared = matches!(
                        fourth as i32 & libc::MAP_TYPE,
                        libc::MAP_SHARED | libc::MAP_SHARED_VALIDATE
                    );
                    self.desk.may_map(open, sixth, second, shared).map(|()| Answer::Through)
                }
                _ => Ok(Answer::Through),
            },
            libc::SYS_ioctl if second as u32 == number::KVM_SET_DEVICE_ATTR => {
                self.tell_kvm(&by, first as i32, third)
            }
            libc::SYS_ioctl => self.ioctl(call, first as i32, second as u32, third),
            _ => self.move_bytes(call, first as i32),
        }
    }

    /// A path is opened: if it leads to one of the nodes, so is that.
    fn open(&mut self, call: &Call, base: Option<i32>, path: u64, flags: u32) -> Result<Answer, Errno> {
        let by = Thread { number: call.thread, files: &self.files };
        let Some(door) = self.door(&by, base, path) else { return Ok(Answer::Through) };
        if flags.cast_signed() & (libc::O_PATH | libc::O_DIRECTORY) != 0 {
            return Ok(Answer::Through);
        }
        self.sweep();
        let open = self.desk.open(door)?;
        Ok(Answer::File(open, flags.cast_signed() & libc::O_CLOEXEC != 0))
    }

    /// The node that a path leads to, seen from where the thread is.
    fn door(&self, by: &Thread<'_>, base: Option<i32>, path: u64) -> Option<Door> {
        let path = by.text(path)?;
        let name = path.rsplit(|letter| *letter == b'/').next()?;
        self.names.iter().find(|known| known.as_slice() == name)?;
        let proc = format!("/proc/{}", by.number);
        let path_only = OFlags::PATH | OFlags::CLOEXEC;
        let found = if path.first() == Some(&b'/') {
            let root = rustix::fs::open(format!("{proc}/root"), path_only, Mode::empty()).ok()?;
            let inside = path.get(1..)?;
            rustix::fs::openat2(root, inside, path_only, Mode::empty(), ResolveFlags::IN_ROOT)
        } else {
            let base = match base {
                Some(file) if file != libc::AT_FDCWD => format!("{proc}/fd/{file}"),
                _ => format!("{proc}/cwd"),
            };
            let base = rustix::fs::open(base, path_only, Mode::empty()).ok()?;
            rustix::fs::openat(base, path.as_slice(), path_only, Mode::empty())
        };
        let identity = super::files::identity_of(&found.ok()?.into()).ok()?;
        self.doors.get(&identity).copied()
    }

    fn ioctl(&mut self, call: &Call, file: i32, number: u32, argument: u64) -> Result<Answer, Errno> {
        let Ok(Some(open)) = (Thread { number: call.thread, files: &self.files }).open(file) else {
            return Ok(Answer::Through);
        };
        self.sweep();
        let by = Thread { number: call.thread, files: &self.files };
        match self.desk.ioctl(open, number, argument, &by)? {
            Done::Value(value) => Ok(Answer::Value(value)),
            Done::Opened(open) => Ok(Answer::File(open, true)),
        }
    }

    /// KVM is told of one of our files, which it would not know: that is done.
    fn tell_kvm(&self, by: &Thread<'_>, device: i32, at: u64) -> Result<Answer, Errno> {
        let what = std::fs::read_link(format!("/proc/{}/fd/{device}", by.number));
        let by: &dyn Caller = by;
        let Ok(asked) = by.fields(at, 24) else { return Ok(Answer::Through) };
        let is_file = asked.u32(4) == KVM_FILE && matches!(asked.u64(8), KVM_FILE_ADD | KVM_FILE_DEL);
        if !is_file || what.is_ok_and(|what| what.as_os_str() != KVM_DEVICE) {
            return Ok(Answer::Through);
        }
        let file = by.fields(asked.u64(16), 4)?.i32(0);
        let is_ours = matches!(by.open(file), Ok(Some(_)));
        Ok(if is_ours { Answer::Value(0) } else { Answer::Through })
    }

    /// A descriptor of ours is that of a device.
    fn stat(&self, by: &Thread<'_>, file: i32, at: u64) -> Result<Answer, Errno> {
        let Ok(Some(open)) = by.open(file) else { return Ok(Answer::Through) };
        let Some(door) = self.desk.door(open) else { return Ok(Answer::Through) };
        let (major, minor) = numbers(&self.order, door);
        let mut status = Fields(vec![0; size_of::<libc::stat>()]);
        status.set_u64(offset_of!(libc::stat, st_ino), open.0);
        status.set(offset_of!(libc::stat, st_nlink), &1_u32.to_le_bytes());
        status.set_u32(offset_of!(libc::stat, st_mode), CHARACTER);
        status.set_u64(offset_of!(libc::stat, st_rdev), rustix::fs::makedev(major, minor));
        status.set_u32(offset_of!(libc::stat, st_blksize), 0x1000);
        (by as &dyn Caller).put(at, &status.0)?;
        Ok(Answer::Value(0))
    }

    /// Bytes are read or written, in one piece or in several, at an offset or where the last ones ended.
    fn move_bytes(&mut self, call: &Call, file: i32) -> Result<Answer, Errno> {
        let by = Thread { number: call.thread, files: &self.files };
        let Ok(Some(open)) = by.open(file) else { return Ok(Answer::Through) };
        if call.number == libc::SYS_lseek {
            return Err(Errno::ESPIPE);
        }
        let [_, second, third, fourth, ..] = call.arguments;
        let position = self.positions.get(&open).copied().unwrap_or(0);
        let offset = match call.number {
            libc::SYS_read | libc::SYS_write | libc::SYS_readv | libc::SYS_writev => None,
            libc::SYS_preadv2 | libc::SYS_pwritev2 if fourth == u64::MAX => None,
            _ => Some(fourth),
        };
        let pieces = match call.number {
            libc::SYS_read | libc::SYS_write | libc::SYS_pread64 | libc::SYS_pwrite64 => {
                vec![Piece { at: second, count: third }]
            }
            _ => pieces(&by, second, third)?,
        };
        let writes = matches!(
            call.number,
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2
        );
        let from = offset.unwrap_or(position);
        if from.cast_signed() < 0 {
            return Err(Errno::EINVAL);
        }
        let moved = move_pieces(&mut self.desk, (open, from, writes), &pieces, &by)?;
        if offset.is_none() {
            self.positions.insert(open, from.saturating_add(moved));
        }
        Ok(Answer::Value(moved.cast_signed()))
    }
}

/// The pieces of memory that a table of them lists.
fn pieces(by: &dyn Caller, at: u64, count: u64) -> Result<Vec<Piece>, Errno> {
    if count > MOST_PIECES {
        return Err(Errno::EINVAL);
    }
    let table = by.fields(at, 16 * count as usize)?;
    let piece = |place| Piece { at: table.u64(16 * place), count: table.u64(16 * place + 8) };
    Ok((0..count as usize).map(piece).collect())
}

/// Moves piece after piece, until one is moved in part or not at all. What was moved before that counts.
fn move_pieces(
    desk: &mut Desk,
    (open, from, writes): (Open, u64, bool),
    pieces: &[Piece],
    by: &dyn Caller,
) -> Result<u64, Errno> {
    let mut moved = 0_u64;
    for piece in pieces {
        let offset = from.saturating_add(moved);
        let done =
            if writes { desk.write(open, offset, *piece, by) } else { desk.read(open, offset, *piece, by) };
        match done {
            Ok(done) => {
                moved = moved.saturating_add(done.unsigned_abs());
                if done.unsigned_abs() < piece.count {
                    break;
                }
            }
            Err(_) if moved > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(moved)
}
