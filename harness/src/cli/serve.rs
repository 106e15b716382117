//! `cxl-sim serve`.

use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server;
use sim_device::server::Ending;
use sim_device::server::Limits;
use sim_device::server::Listener;
use sim_device::server::Peers;
use sim_device::server::Record;
use sim_device::server::Report;
use sim_device::server::Served;
use sim_device::server::Stop;
use sim_device::server::Stranger;
use sim_device::server::Terms;
use sim_device::server::guard;
use sim_device::server::guard::Fenced;
use sim_device::server::guard::GuardError;
use sim_device::server::guard::Strictness;
use sim_device::silicon::Silicon;

use super::Failure;
use super::args::Sandbox;
use super::args::Serve;
use super::complain_of;
use crate::process::LISTENING;

pub(super) fn serve(args: &Serve) -> Result<ExitCode, Failure> {
    let profile = Profile::find(&args.profile).map_err(|error| Failure::File(error.to_string()))?;
    let profile = profile.check().map_err(|error| Failure::File(error.to_string()))?;
    let failed = |error: std::io::Error| Failure::Failed(error.to_string());
    let bound = Kernel::bind(Silicon::power_on(profile).map_err(failed)?, args.abi);
    let mut kernel = bound.map_err(|error| Failure::Failed(error.to_string()))?;
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let record = args.record.as_ref().map(|folder| record(folder, args)).transpose()?;
    let _folder = args.lifeline.clone().map(Folder);
    let peers = Peers::own().and(args.allow_uid.iter().copied());
    let bound = Listener::bind_for(&args.socket, peers);
    let listener = bound.map_err(|error| Failure::Failed(error.to_string()))?;
    // Files are kept away before there are threads, system calls once they are there.
    let fenced = args.sandbox.map(|sandbox| fence(&listener, sandbox)).transpose()?;
    stop_when(listener.stop(), move || {
        signals.forever().next();
    });
    if args.lifeline.is_some() {
        stop_when(listener.stop(), wait_for_end_of_input);
    }
    fenced.map(Fenced::keep_calls_away).transpose().map_err(no_sandbox)?;
    let mut out = std::io::stdout().lock();
    // Whoever waits for this line must get it; if nobody does, it is not missed.
    let _ = writeln!(out, "{LISTENING}{}", args.socket.display()).and_then(|()| out.flush());
    server::serve(&listener, &mut kernel, &terms(args, record), tell).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Begins to keep what clients say.
fn record(folder: &Path, args: &Serve) -> Result<Record, Failure> {
    Record::begin(folder, args.abi)
        .map_err(|error| Failure::File(format!("--record {}: {error}", folder.display())))
}

/// What the command line grants a client.
fn terms(args: &Serve, record: Option<Record>) -> Terms {
    let limits = Limits { dma_maps: args.max_dma_maps, dma_files: args.max_dma_files, data: args.max_data };
    Terms { patience: args.timeout.0, limits, record }
}

/// Keeps files away from this process.
fn fence(listener: &Listener, sandbox: Sandbox) -> Result<Fenced, Failure> {
    let strictness = match sandbox {
        Sandbox::Full => Strictness::Full,
        Sandbox::BestEffort => Strictness::BestEffort,
    };
    let fenced = guard::keep_files_away(listener.path(), strictness).map_err(no_sandbox)?;
    if !fenced.has_landlock() {
        complain_of("the sandbox is without Landlock, which this kernel does not have");
    }
    Ok(fenced)
}

fn no_sandbox(error: GuardError) -> Failure {
    let way_out = match error {
        GuardError::NoLandlock(_) => "; --sandbox=best-effort does without",
        _ => "",
    };
    Failure::Failed(format!("no sandbox: {error}{way_out}"))
}

/// A folder that goes when the server goes, after the socket in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever made it may have removed it already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Stops the server when `wait` returns. The thread has begun when this returns, so a sandbox may be entered; it is
/// left alone and ends with the process.
fn stop_when(stop: Stop, wait: impl FnOnce() + Send + 'static) {
    let (begun, has_begun) = mpsc::channel();
    std::thread::spawn(move || {
        drop(begun);
        wait();
        stop.stop();
    });
    // Nothing is ever sent: the thread has dropped its end, which is what it begins with.
    let _: Result<(), _> = has_begun.recv();
}

fn wait_for_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut scrap = [0; 256];
    while !matches!(input.read(&mut scrap), Ok(0) | Err(_)) {}
}

fn tell(report: Report) {
    match report {
        Report::Served(served) => complain(&served),
        Report::Refused(Stranger { uid: Some(uid) }) => {
            complain_of(&format!("client refused: user {uid} is not allowed to connect"));
        }
        Report::Refused(Stranger { uid: None }) => {
            complain_of("client refused: the kernel does not say whose process it is");
        }
    }
}

/// Says what a client did wrong, once and in one line, when it has gone.
fn complain(served: &Served) {
    if served.wrongs.is_none() {
        return;
    }
    let end = match &served.ending {
        Ending::ClientLeft => "it left".to_owned(),
        Ending::Stopped => "the server was stopped".to_owned(),
        Ending::Fault => "the profile has a fault here".to_owned(),
        Ending::CutOff => "it left in the middle of a message".to_owned(),
        Ending::OutOfPatience(wrong) => format!("dropped for {}", wrong.name()),
        Ending::Malformed(malformed) => format!("dropped because it sent what is no message: {malformed}"),
        Ending::Broken(error) => format!("the connection broke: {error}"),
    };
    let Served { messages, wrongs, .. } = served;
    complain_of(&format!("client gone after {messages} messages, {end}; wrong were: {wrongs}"));
}
