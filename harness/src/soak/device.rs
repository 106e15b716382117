//! A device that is served by a thread of ours or by a process, behind a fuse.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::process::Signal;
use sim_device::kernel::Abi;
use sim_device::kernel::Kernel;
use sim_device::profile::Profile;
use sim_device::server;
use sim_device::server::Limits;
use sim_device::server::Listener;
use sim_device::server::Stop;
use sim_device::server::Terms;
use sim_device::silicon::Silicon;
use tempfile::TempDir;
use vmm_core::backend::Shared;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::map::Attached;

use super::Servers;
use super::Setting;
use crate::fused::Fuse;
use crate::fused::Fused;
use crate::process::DeviceProcess;
use crate::within::Within;

/// A device that is served. Dropping it ends its server.
#[derive(Debug)]
pub(super) struct Served {
    server: Server,
    pub(super) fuse: Arc<Fuse>,
}

#[derive(Debug)]
enum Server {
    Process(DeviceProcess),
    Thread {
        _held: Thread,
    },
    /// The client serves itself.
    Within,
}

/// A server in this process.
#[derive(Debug)]
struct Thread {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    socket: PathBuf,
    _folder: TempDir,
}

impl Served {
    /// Starts a device, by a process if wanted, and finds out what it is.
    pub(super) fn start(
        setting: &Setting,
        profile: &Profile,
        abi: &Abi,
        as_process: bool,
    ) -> Result<(Self, Attached), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let fuse = Arc::new(Fuse::default());
        if setting.servers == Servers::Within {
            let attached = attach(Within::client(profile, abi)?, &fuse)?;
            return Ok((Self { server: Server::Within, fuse }, attached));
        }
        let (server, socket) = if as_process {
            let started = DeviceProcess::start(&setting.program, Some(profile), abi, setting.timeout);
            let process = started.map_err(|error| text(&error))?;
            let socket = process.socket().to_owned();
            (Server::Process(process), socket)
        } else {
            let thread = Thread::start(setting, profile, abi).map_err(|error| text(&error))?;
            let socket = thread.socket.clone();
            (Server::Thread { _held: thread }, socket)
        };
        let connected = VfioUser::connect(&socket, setting.timeout).map_err(|error| text(&error))?;
        let attached = attach(connected, &fuse)?;
        Ok((Self { server, fuse }, attached))
    }

    /// Kills the server, if it is a process.
    pub(super) fn kill(&self) {
        if let Server::Process(process) = &self.server {
            process.signal(Signal::KILL);
        }
    }

    /// Whether it can be killed.
    pub(super) fn is_process(&self) -> bool {
        matches!(self.server, Server::Process(_))
    }
}

/// Puts a fuse before a device, and finds out what it is.
fn attach(client: VfioUser, fuse: &Arc<Fuse>) -> Result<Attached, String> {
    let attached = Attached::discovered(Shared::new(Fused::new(client, fuse.clone())));
    attached.map_err(|error| error.to_string())
}

impl Thread {
    fn start(setting: &Setting, profile: &Profile, abi: &Abi) -> io::Result<Self> {
        let checked = profile.check().map_err(io::Error::other)?;
        let mut kernel = Kernel::bind(Silicon::power_on(checked)?, abi).map_err(io::Error::other)?;
        let folder = tempfile::Builder::new().prefix("cxl-sim-").tempdir()?;
        let socket = folder.path().join("device.sock");
        let listener = Listener::bind(&socket).map_err(io::Error::other)?;
        let stop = listener.stop();
        let terms = Terms { patience: setting.timeout, limits: Limits::default(), record: None };
        let thread = std::thread::spawn(move || {
            // A server that ends too early is a device that is lost, which is told.
            let _ = server::serve(&listener, &mut kernel, &terms, |_| {});
        });
        Ok(Self { stop, thread: Some(thread), socket, _folder: folder })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.stop();
        // A thread that has panicked has ended.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
