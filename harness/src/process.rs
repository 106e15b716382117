//! A device as a process of its own: started, waited for until it listens, and gone when dropped.
//!
//! The process watches its standard input and ends when that closes, so that it does not outlive us, however we
//! end. Its socket is in a folder of its own, which it removes when it ends; so do we.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use tempfile::TempDir;

/// How often an ending process is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// The most of a process's complaints that is kept.
const MOST_COMPLAINTS: u64 = 4096;

/// What a process says when it is ready.
pub(crate) const LISTENING: &str = "listening on ";

/// A device that is served by a process of ours.
#[derive(Debug)]
pub struct DeviceProcess {
    child: Child,
    socket: PathBuf,
    timeout: Duration,
    folder: TempDir,
}

/// Why there is no device process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The system refuses.
    #[error("device process: {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it says.
        error: io::Error,
    },
    /// It did not begin to listen.
    #[error("device process: {why}{complaints}")]
    NotListening {
        /// What happened instead.
        why: String,
        /// What it wrote to standard error.
        complaints: String,
    },
}

impl DeviceProcess {
    /// Starts `program serve` with this profile, or the default one, and this kernel, and waits until it listens.
    ///
    /// # Errors
    /// If the system refuses, or the process does not begin to listen within `timeout`.
    pub fn start(
        program: &Path,
        profile: Option<&Profile>,
        abi: &Abi,
        timeout: Duration,
    ) -> Result<Self, ProcessError> {
        Self::start_with(program, timeout, serving(profile, abi))
    }

    /// Makes the process die, and starts another one in its place, as [`start`](Self::start) does.
    ///
    /// # Errors
    /// As there.
    pub fn restart(
        &mut self,
        program: &Path,
        profile: Option<&Profile>,
        abi: &Abi,
    ) -> Result<(), ProcessError> {
        self.kill();
        self.child = spawn(program, (self.folder.path(), &self.socket), serving(profile, abi))?;
        self.wait_until_listening()
    }

    /// Makes the process die, and waits until it has.
    pub fn kill(&mut self) {
        // It is gone already, or goes now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts `program` with the arguments that `arguments` gives it, and `--socket` with a path in its folder.
    pub(crate) fn start_with(
        program: &Path,
        timeout: Duration,
        arguments: impl FnOnce(&mut Command, &Path) -> io::Result<()>,
    ) -> Result<Self, ProcessError> {
        let folder = tempfile::Builder::new().prefix("cxl-sim-").tempdir();
        let folder = folder.map_err(|error| ProcessError::System { what: "making a folder", error })?;
        let socket = folder.path().join("device.sock");
        let child = spawn(program, (folder.path(), &socket), arguments)?;
        let mut process = Self { child, socket, timeout, folder };
        process.wait_until_listening()?;
        Ok(process)
    }

    /// The socket to connect to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_listening(&mut self) -> Result<(), ProcessError> {
        let (line_out, line) = mpsc::channel();
        let stdout = self.child.stdout.take();
        // The thread ends with the line, or with the process.
        std::thread::spawn(move || {
            let mut first = String::new();
            let read =
                stdout.map(|stdout| BufReader::new(stdout.take(MOST_COMPLAINTS)).read_line(&mut first));
            drop(line_out.send((first, read)));
        });
        let why = match line.recv_timeout(self.timeout) {
            Ok((line, _)) if line.starts_with(LISTENING) => return Ok(()),
            Ok((line, _)) if line.is_empty() => "it ended without listening".to_owned(),
            Ok((line, _)) => format!("it said {line:?} instead of {LISTENING:?}"),
            Err(_) => format!("it does not listen within {} s", self.timeout.as_secs_f64()),
        };
        self.end();
        Err(ProcessError::NotListening { why, complaints: self.complaints() })
    }

    /// What the process wrote to standard error. It has ended.
    fn complaints(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What cannot be read is not there to be told.
            let _ = stderr.take(MOST_COMPLAINTS).read_to_string(&mut text);
        }
        let text = text.trim().replace('\n', "; ");
        if text.is_empty() { text } else { format!(": {text}") }
    }

    /// Asks the process to end, and makes it if it does not within the time-out.
    fn end(&mut self) {
        self.signal(Signal::TERM);
        // One that stands still hears nothing.
        self.signal(Signal::CONT);
        let begun = Instant::now();
        while begun.elapsed() < self.timeout {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(GLANCE),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        self.kill();
    }

    /// Sends a signal to the process, if it is still there.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Not waited for yet, so the number is still its own, even if it has ended.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

/// The arguments of a process that serves a device.
fn serving(profile: Option<&Profile>, abi: &Abi) -> impl FnOnce(&mut Command, &Path) -> io::Result<()> {
    move |command, folder| {
        command.arg("serve").arg("--lifeline").arg(folder).arg("--abi").arg(abi.name);
        if let Some(profile) = profile {
            let path = folder.join("profile.toml");
            std::fs::write(&path, profile.to_toml())?;
            command.arg("--profile").arg(path);
        }
        Ok(())
    }
}

/// Starts `program` with these arguments and this socket.
fn spawn(
    program: &Path,
    (folder, socket): (&Path, &Path),
    arguments: impl FnOnce(&mut Command, &Path) -> io::Result<()>,
) -> Result<Child, ProcessError> {
    let system = |what| move |error| ProcessError::System { what, error };
    let mut command = Command::new(program);
    arguments(&mut command, folder).map_err(system("preparing its folder"))?;
    command.arg("--socket").arg(socket);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().map_err(system("starting it"))
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        self.end();
    }
}
