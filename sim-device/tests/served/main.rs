//! The server over a real socket: what foreign clients need, what hostile ones get.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod accidents;
mod foreign;
mod hostile;

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server::Limits;
use sim_device::server::Listener;
use sim_device::server::Peers;
use sim_device::server::Report;
use sim_device::server::Served;
use sim_device::server::Stop;
use sim_device::server::Terms;
use sim_device::server::serve;
use sim_device::silicon::Silicon;

/// A server on a thread, stopped and joined when dropped.
struct Server {
    path: PathBuf,
    reports: mpsc::Receiver<Report>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Serves the device of this profile to clients that may pause for `patience`.
    fn start(profile: &str, patience: Duration) -> Self {
        Self::start_for(profile, Terms { patience, limits: Limits::default(), record: None }, Peers::own())
    }

    /// Serves the device of this profile on these terms to these peers.
    fn start_for(profile: &str, terms: Terms, peers: Peers) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.sock");
        let listener = Listener::bind_for(&path, peers).unwrap();
        let profile = Profile::parse("test", profile).unwrap().check().unwrap();
        let (report, reports) = mpsc::channel();
        let stop = listener.stop();
        let thread = std::thread::spawn(move || {
            let mut kernel =
                Kernel::bind(Silicon::power_on(profile).unwrap(), sim_device::kernel::DEFAULT_ABI).unwrap();
            // A test that is not interested in the report has dropped its end.
            let tell = |one: Report| drop(report.send(one));
            serve(&listener, &mut kernel, &terms, tell).unwrap();
        });
        Self { path, reports, stop, thread: Some(thread), _folder: folder }
    }

    /// What the next client to leave did.
    fn next_served(&self) -> Served {
        match self.next_report() {
            Report::Served(served) => served,
            Report::Refused(stranger) => panic!("{stranger:?}"),
        }
    }

    /// What the server tells next.
    fn next_report(&self) -> Report {
        self.reports.recv().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.stop();
        self.thread.take().map(JoinHandle::join);
    }
}
