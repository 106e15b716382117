//! `cxl-sim serve`.

use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server;
use sim_device::server::Ending;
use sim_device::server::Listener;
use sim_device::server::Served;
use sim_device::server::Stop;
use sim_device::silicon::Silicon;

use super::Failure;
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
    let _folder = args.lifeline.clone().map(Folder);
    let listener = Listener::bind(&args.socket).map_err(|error| Failure::Failed(error.to_string()))?;
    let stop = listener.stop();
    stop_when(listener.stop(), move || {
        signals.forever().next();
    });
    if args.lifeline.is_some() {
        stop_when(listener.stop(), wait_for_end_of_input);
    }
    let mut out = std::io::stdout().lock();
    // Whoever waits for this line must get it; if nobody does, it is not missed.
    let _ = writeln!(out, "{LISTENING}{}", args.socket.display()).and_then(|()| out.flush());
    server::serve(&listener, &mut kernel, &stop, args.timeout.0, complain).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// A folder that goes when the server goes, after the socket in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever made it may have removed it already.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Stops the server when `wait` returns. The thread is left alone: it ends with the process.
fn stop_when(stop: Stop, wait: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        wait();
        stop.stop();
    });
}

fn wait_for_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut scrap = [0; 256];
    while !matches!(input.read(&mut scrap), Ok(0) | Err(_)) {}
}

/// Says what a client did wrong, once, when it has gone.
fn complain(served: Served) {
    let wrong = match served.ending {
        Ending::ClientLeft | Ending::Stopped | Ending::Fault => return,
        Ending::OutOfPatience => {
            "it stopped in the middle of a message, or does not read its answers".to_owned()
        }
        Ending::Malformed(malformed) => format!("it sent what is no message: {malformed}"),
        Ending::Broken(error) => format!("the connection broke: {error}"),
    };
    complain_of(&format!("client dropped after {} messages: {wrong}", served.messages));
}
