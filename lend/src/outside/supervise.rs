//! The supervisor: it starts the program and answers it, until it ends. Then what is left of it is ended, too.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::PidfdGetfdFlags;
use rustix::process::Signal;
use rustix::process::WaitOptions;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::consts::SIGUSR2;
use signal_hook::iterator::Signals;
use sim_device::kernel::Kernel;
use sim_device::silicon::Silicon;
use sim_device::silicon::memory::Ground;
use sim_device::silicon::memory::Memory;

use super::LendError;
use super::Order;
use super::answer::Answer;
use super::answer::Clerk;
use super::files::Files;
use super::seccomp::Call;
use super::seccomp::Listener;
use super::thread::identity_at;
use super::tree::doors;
use crate::desk::Desk;

/// The most bytes of memory that a region has room for in its file.
const LARGEST_REGION: u64 = 1 << 40;

/// Where memory lies that cannot be mapped: behind all regions that a kernel shows.
const ASIDE: [u64; 2] = [30 << 40, 31 << 40];

/// The signals that are passed on.
const PASSED_ON: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// What an ended program left over is asked for again and again, because it can start more meanwhile.
const ROUNDS: usize = 1000;

/// Lends a device to the program that becomes of what `start` makes a command of, given the name of a socket: it must
/// call [`enter`](super::enter). Returns how the program ended.
///
/// # Errors
/// If the device cannot be lent, or the program not be started.
pub fn supervise(order: Order, start: impl FnOnce(&str) -> Command) -> Result<ExitStatus, LendError> {
    let at = LendError::at;
    if std::path::Path::new(&format!("/sys/bus/pci/devices/{}", order.bdf)).exists() {
        return Err(LendError::Taken(order.bdf));
    }
    let files = Files::new().map_err(at("memory"))?;
    let kernel = device(&order, &files)?;
    let name =
        format!("cxl-sim-lend-{}-{:016x}", std::process::id(), number_of_no_one().map_err(at("a name"))?);
    let address = SocketAddr::from_abstract_name(&name).map_err(at("a socket"))?;
    let socket = UnixListener::bind_addr(&address).map_err(at("a socket"))?;
    // Whoever loses its parent becomes ours, so that it can be ended.
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(io::Error::from).map_err(at("orphans"))?;
    let mut child = start(&name).spawn().map_err(at("starting this program again"))?;
    let done = serve(order, kernel, files, (&socket, &mut child));
    end_what_is_left();
    done
}

/// A number that nobody can guess.
fn number_of_no_one() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_ne_bytes(bytes))
}

/// The device, with its memory where the regions are in the file.
fn device(order: &Order, files: &Files) -> Result<Kernel, LendError> {
    let at = LendError::at;
    let profile = order.profile.profile();
    let largest = profile.memory.size.0.max(profile.component.bar_size.0);
    if largest > LARGEST_REGION {
        return Err(LendError::TooLarge(largest));
    }
    // Which region has which memory is the kernel's to say, so one is asked first.
    let asked = Silicon::power_on(order.profile.clone()).map_err(at("memory"))?;
    let asked = Kernel::bind(asked, order.abi)?;
    let [accelerator, memory] = ASIDE;
    let ground = Ground::Inside {
        file: files.regions(),
        accelerator: place_of(&asked, asked.silicon().accelerator()).unwrap_or(accelerator),
        memory: place_of(&asked, asked.silicon().memory()).unwrap_or(memory),
    };
    let silicon = Silicon::power_on_in(order.profile.clone(), ground).map_err(at("memory"))?;
    Ok(Kernel::bind(silicon, order.abi)?)
}

/// Where the region begins that maps this memory, if one does.
fn place_of(kernel: &Kernel, memory: &Memory) -> Option<u64> {
    let sought = super::files::identity_of(memory.file()).ok()?;
    let maps = |index: &u32| {
        let file = kernel.region(*index).ok().and_then(|region| region.file);
        file.and_then(|file| super::files::identity_of(file).ok()) == Some(sought)
    };
    (0..kernel.device_info().num_regions).find(maps).map(|index| u64::from(index) << 40)
}

/// Gets hold of the filter's listener, lets the program begin and answers it until it has ended.
fn serve(
    order: Order,
    kernel: Kernel,
    files: Files,
    (socket, child): (&UnixListener, &mut Child),
) -> Result<ExitStatus, LendError> {
    let at = LendError::at;
    let pid = Pid::from_child(child);
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty());
    let process = process.map_err(io::Error::from).map_err(at("the program's process"))?;
    let Some((channel, listener)) = listener(socket, &process, pid).map_err(at("the filter's listener"))?
    else {
        let _ = child.wait();
        return Err(LendError::NotStarted);
    };
    let mut known = HashMap::new();
    for (path, door) in doors(&order) {
        let seen = format!("/proc/{}/root{path}", pid.as_raw_nonzero());
        let identity = identity_at(&seen).map_err(LendError::at(seen))?;
        known.insert(identity, door);
    }
    let mut signals = Signals::new(PASSED_ON).map_err(at("signals"))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            // It may have ended.
            let _ = Signal::from_named_raw(signal).map(|signal| rustix::process::kill_process(pid, signal));
        }
    });
    let desk = Desk::new(order.bdf.to_string(), order.group, kernel);
    let mut clerk = Clerk::new(order, desk, files, known);
    let begun = rustix::net::send(&channel, &[0], SendFlags::NOSIGNAL);
    begun.map_err(io::Error::from).map_err(at("the program's process"))?;
    drop(channel);
    answer_until_end(&mut clerk, &listener, &process).map_err(at("answering the program"))?;
    child.wait().map_err(at("the end of the program"))
}

/// The listener, and the socket over which it was told. Nothing if the process ends instead.
fn listener(
    socket: &UnixListener,
    process: &OwnedFd,
    pid: Pid,
) -> io::Result<Option<(UnixStream, Listener)>> {
    let ended = |beside: &dyn AsFd| -> io::Result<bool> {
        let mut ready =
            [PollFd::from_borrowed_fd(beside.as_fd(), PollFlags::IN), PollFd::new(process, PollFlags::IN)];
        while let Err(error) = rustix::event::poll(&mut ready, None) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let [beside, _] = ready;
        Ok(beside.revents().is_empty())
    };
    loop {
        if ended(socket)? {
            return Ok(None);
        }
        let (channel, _) = socket.accept()?;
        // The name is no secret.
        if rustix::net::sockopt::socket_peercred(&channel)?.pid != pid {
            continue;
        }
        if ended(&channel)? {
            return Ok(None);
        }
        let mut number = [0; 4];
        let (_, count) = rustix::net::recv(&channel, &mut number, RecvFlags::empty())?;
        if count < number.len() {
            return Ok(None);
        }
        let number = i32::from_ne_bytes(number);
        let file = rustix::process::pidfd_getfd(process, number, PidfdGetfdFlags::empty())?;
        return Ok(Some((channel, Listener::new(file))));
    }
}

fn answer_until_end(clerk: &mut Clerk, listener: &Listener, process: &OwnedFd) -> io::Result<()> {
    loop {
        let (called, ended, rung) = {
            let events = clerk.desk.events().map(|event| PollFd::from_borrowed_fd(event, PollFlags::IN));
            let first = [
                PollFd::from_borrowed_fd(listener.file(), PollFlags::IN),
                PollFd::new(process, PollFlags::IN),
            ];
            let mut ready: Vec<_> = first.into_iter().chain(events).collect();
            match rustix::event::poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            let is_ready =
                |place: usize| ready.get(place).is_some_and(|ready| ready.revents().contains(PollFlags::IN));
            (is_ready(0), is_ready(1), (2..ready.len()).any(is_ready))
        };
        if rung {
            clerk.ring();
        }
        if ended {
            return Ok(());
        }
        if called && let Some(call) = listener.take()? {
            answer(clerk, listener, &call);
        }
    }
}

fn answer(clerk: &mut Clerk, listener: &Listener, call: &Call) {
    match clerk.answer(call) {
        Ok(Answer::Through) => listener.let_through(call),
        Ok(Answer::Value(value)) => listener.answer(call, Ok(value)),
        Err(errno) => listener.answer(call, Err(errno.0)),
        Ok(Answer::File(open, closes)) => {
            let flags = if closes { libc::O_CLOEXEC.unsigned_abs() } else { 0 };
            let made = clerk.files.make(open, clerk.desk.is_device(open));
            let given = made.and_then(|file| listener.answer_with_file(call, file.as_fd(), flags));
            if let Err(error) = given {
                // It is closed again, and whoever asked, if it is there, has no room for it.
                let errno = error.raw_os_error().unwrap_or(libc::EMFILE);
                listener.answer(call, Err(errno.unsigned_abs()));
                clerk.sweep();
            }
        }
    }
}

/// Ends the processes that the program has left behind: they could do nothing more with the device.
fn end_what_is_left() {
    let own = rustix::process::getpid().as_raw_nonzero();
    for _ in 0..ROUNDS {
        let tasks = std::fs::read_dir(format!("/proc/{own}/task")).into_iter().flatten().flatten();
        let children = tasks.flat_map(|task| std::fs::read_to_string(task.path().join("children")));
        let children: Vec<String> = children.collect();
        let children = children.iter().flat_map(|children| children.split_whitespace());
        let children: Vec<_> =
            children.filter_map(|child| child.parse().ok().and_then(Pid::from_raw)).collect();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = rustix::process::kill_process(child, Signal::KILL);
            let _ = rustix::process::waitpid(Some(child), WaitOptions::empty());
        }
    }
}

/// The number that a shell would say for this end.
pub fn exit_code(status: ExitStatus) -> u8 {
    let by_signal = status.signal().map(|signal| signal.saturating_add(128));
    status.code().or(by_signal).map_or(1, |code| code as u8)
}
