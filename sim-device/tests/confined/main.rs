//! A process that confined itself tries what it may not, and what it may. The test starts itself as that process.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::Pid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketType;
use sim_device::server::guard;
use sim_device::server::guard::Strictness;

/// The name of this test. It has no harness, since a process with threads cannot confine itself.
const NAME: &str = "a_process_that_confined_itself_may_what_it_must_and_no_more";

/// In the child's environment: the folder that it is confined in.
const IN_FOLDER: &str = "CXL_SIM_TEST_CONFINED_IN";

/// What a child tries when files are kept away, before system calls are: Landlock alone.
const FENCED: &[(&str, &str)] = &[
    ("open-etc-passwd", "EACCES"),
    ("list-root", "EACCES"),
    ("make-file-beside-socket", "EACCES"),
    ("remove-file-elsewhere", "EACCES"),
    ("ptrace-parent", "EPERM"),
    ("program", "EACCES"),
    ("remove-file-beside-socket", "done"),
];

/// What it tries when system calls are kept away as well.
const CONFINED: &[(&str, &str)] = &[
    ("open-etc-passwd", "EPERM"),
    ("open-nothing", "EPERM"),
    ("make-file-beside-socket", "EPERM"),
    ("internet-socket", "EPERM"),
    ("unix-socket", "EPERM"),
    ("run-in-place", "EPERM"),
    ("program", "EPERM"),
    ("thread", "EPERM"),
    ("kill-parent", "EPERM"),
    ("ptrace-parent", "EPERM"),
    ("pidfd-of-parent", "EPERM"),
    ("memory-file", "EPERM"),
    ("set-flags", "EPERM"),
    ("remove-file-elsewhere", "EACCES"),
    ("remove-socket", "done"),
    ("copy-descriptor", "done"),
    ("allocate-8-mebibytes", "done"),
    ("accept", "done"),
];

fn main() {
    if let Some(folder) = std::env::var_os(IN_FOLDER) {
        be_confined(Path::new(&folder));
    }
    if is_left_out(std::env::args()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    for file in ["own/device.sock", "own/file", "elsewhere"] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    let child =
        Command::new(std::env::current_exe().unwrap()).env(IN_FOLDER, folder.path()).output().unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    let told = |(what, how): &(&str, &str)| format!("{what}: {how}");
    let expected: Vec<_> = FENCED.iter().chain(CONFINED).map(told).collect();
    let seen: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("tried ")).collect();
    assert_eq!(seen, expected, "{said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(folder.path().join("elsewhere").exists());
    assert!(!own.join("device.sock").exists());
}

/// Whether the arguments leave this test out, as they would with a harness: `--skip`, and a part of the name.
#[allow(clippy::print_stdout, reason = "a harness tells it so")]
fn is_left_out(arguments: impl Iterator<Item = String>) -> bool {
    let arguments: Vec<_> = arguments.collect();
    let is_named = |pair: &[String]| matches!(pair, [skip, part] if skip == "--skip" && NAME.contains(part));
    let left_out = arguments.windows(2).any(is_named);
    if left_out {
        println!(
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s"
        );
    }
    left_out
}

/// The child: confines itself, tries, tells, and ends.
#[allow(clippy::print_stdout, reason = "it is how the child tells")]
fn be_confined(folder: &Path) -> ! {
    let own = folder.join("own");
    let open = Open::in_folder(folder);
    let fenced = guard::keep_files_away(&own.join("device.sock"), Strictness::Full).unwrap();
    let mut told = vec![String::new()];
    let mut tell_all = |list: &[(&str, &str)]| {
        for (what, _) in list {
            told.push(format!("tried {what}: {}", name_of(attempt(what, folder, &open))));
        }
    };
    tell_all(FENCED);
    fenced.keep_calls_away().unwrap();
    tell_all(CONFINED);
    println!("{}", told.join("\n"));
    std::process::exit(0)
}

/// What the child has from before it was confined.
struct Open {
    listener: UnixListener,
    _waiting: UnixStream,
    parent: rustix::process::Pid,
}

impl Open {
    fn in_folder(folder: &Path) -> Self {
        let listener = UnixListener::bind(folder.join("open.sock")).unwrap();
        let waiting = UnixStream::connect(folder.join("open.sock")).unwrap();
        Self { listener, _waiting: waiting, parent: rustix::process::getppid().unwrap() }
    }
}

fn name_of(result: rustix::io::Result<()>) -> String {
    match result {
        Ok(()) => "done".to_owned(),
        Err(Errno::ACCESS) => "EACCES".to_owned(),
        Err(Errno::PERM) => "EPERM".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

fn of_io<T>(result: std::io::Result<T>) -> rustix::io::Result<()> {
    result.map(drop).map_err(|error| Errno::from_io_error(&error).unwrap())
}

fn attempt(what: &str, folder: &Path, open: &Open) -> rustix::io::Result<()> {
    let own = folder.join("own");
    let parent = open.parent;
    let read = |path: &str| rustix::fs::open(path, OFlags::RDONLY, Mode::empty()).map(drop);
    match what {
        "open-etc-passwd" => read("/etc/passwd"),
        "open-nothing" => read("/there/is/no/such/file"),
        "list-root" => of_io(std::fs::read_dir("/")),
        "make-file-beside-socket" => of_io(std::fs::write(own.join("new"), "")),
        "remove-file-beside-socket" => of_io(std::fs::remove_file(own.join("file"))),
        "remove-file-elsewhere" => of_io(std::fs::remove_file(folder.join("elsewhere"))),
        "remove-socket" => of_io(std::fs::remove_file(own.join("device.sock"))),
        "internet-socket" => rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).map(drop),
        "unix-socket" => of_io(UnixStream::pair()),
        "run-in-place" => of_io::<()>(Err(Command::new("/bin/true").exec())),
        "program" => of_io(Command::new("/bin/true").spawn().and_then(|mut child| child.wait())),
        "thread" => of_io(std::thread::Builder::new().spawn(|| ())),
        "kill-parent" => rustix::process::test_kill_process(parent),
        "ptrace-parent" => {
            let parent = Pid::from_raw(parent.as_raw_pid());
            nix::sys::ptrace::attach(parent).map_err(|errno| Errno::from_raw_os_error(errno as i32))
        }
        "pidfd-of-parent" => {
            rustix::process::pidfd_open(parent, rustix::process::PidfdFlags::empty()).map(drop)
        }
        "memory-file" => rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).map(drop),
        "set-flags" => rustix::fs::fcntl_setfl(&open.listener, OFlags::NONBLOCK),
        "copy-descriptor" => of_io(open.listener.as_fd().try_clone_to_owned()),
        "allocate-8-mebibytes" => {
            assert_eq!(vec![1u8; 8 << 20].iter().map(|byte| u64::from(*byte)).sum::<u64>(), 8 << 20);
            Ok(())
        }
        "accept" => of_io(open.listener.accept()),
        other => panic!("{other} is no attempt"),
    }
}
