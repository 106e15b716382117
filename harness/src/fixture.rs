//! Devices for the tests of a VMM that is not ours: served over vfio-user by a thread of the test, and gone with it.
//!
//! With the feature `rstest` the functions are its fixtures, and a test names one for an argument:
//!
//! ```toml
//! [dev-dependencies]
//! harness = { path = "../cxl-sim/harness", features = ["rstest"] }
//! rstest = "0.28"
//! ```
//!
//! ```
//! # #[cfg(feature = "rstest")]
//! # mod tests {
//! use harness::fixture::Device;
//! use harness::fixture::committed_device;
//!
//! #[rstest::rstest]
//! fn my_vmm_attaches(committed_device: Device) {
//!     assert!(vfio_user::Client::new(committed_device.socket()).is_ok());
//! }
//! # }
//! ```
//!
//! Any other device is had by [`Device::start`], of a preset or a profile of one's own.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread::JoinHandle;

use sim_device::kernel::Abi;
use sim_device::kernel::BindError;
use sim_device::kernel::DEFAULT_ABI;
use sim_device::kernel::Kernel;
use sim_device::profile::Impossible;
use sim_device::profile::Profile;
use sim_device::profile::ProfileError;
use sim_device::server;
use sim_device::server::Limits;
use sim_device::server::ListenError;
use sim_device::server::Listener;
use sim_device::server::Stop;
use sim_device::server::Terms;
use sim_device::silicon::Silicon;
use tempfile::TempDir;
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;

/// A device that is served until this is dropped, to one client after another.
#[derive(Debug)]
pub struct Device {
    socket: PathBuf,
    memory: std::fs::File,
    stop: Stop,
    serving: Option<JoinHandle<io::Result<()>>>,
    /// Goes last, when nobody listens in it any more.
    _folder: TempDir,
}

/// Why there is no device.
#[derive(Debug, thiserror::Error)]
pub enum NoDevice {
    /// There is no such profile, or it has a mistake.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Its geometry cannot be.
    #[error(transparent)]
    Impossible(#[from] Impossible),
    /// The kernel does not take it.
    #[error(transparent)]
    Unbound(#[from] BindError),
    /// Nobody can listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
}

impl Device {
    /// A device of this profile, a preset's name or a file, as this kernel shows it.
    ///
    /// # Errors
    /// If there is no such profile, or no such device can be.
    pub fn start(profile: &str, abi: &Abi) -> Result<Self, NoDevice> {
        Self::of(&Profile::find(profile)?, abi)
    }

    /// A device of this profile, as this kernel shows it.
    ///
    /// # Errors
    /// If no such device can be.
    pub fn of(profile: &Profile, abi: &Abi) -> Result<Self, NoDevice> {
        let silicon = Silicon::power_on(profile.check()?)?;
        let memory = silicon.memory().file().try_clone()?;
        let mut kernel = Kernel::bind(silicon, abi)?;
        let folder = tempfile::Builder::new().prefix("cxl-sim-").tempdir()?;
        let socket = folder.path().join("device.sock");
        // Who connects from now on is served, if not at once.
        let listener = Listener::bind(&socket)?;
        let stop = listener.stop();
        let terms = Terms { patience: DEFAULT_TIMEOUT, limits: Limits::default(), record: None };
        let serving = std::thread::Builder::new()
            .name("cxl-sim device".to_owned())
            .spawn(move || server::serve(&listener, &mut kernel, &terms, drop))?;
        Ok(Self { socket, memory, stop, serving: Some(serving), _folder: folder })
    }

    /// Where a client connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the device itself has in its memory from here on.
    ///
    /// # Errors
    /// If its memory is not so long.
    pub fn holds(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.memory.read_exact_at(bytes, offset)
    }

    /// The device itself puts this into its memory.
    ///
    /// # Errors
    /// If its memory is not so long.
    pub fn puts(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, offset)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(serving) = self.serving.take() {
            // A client that it was serving is gone by now; what it could not do, that one has seen.
            let _ = serving.join();
        }
    }
}

/// A device whose decoder firmware has committed and locked, as the kernel of April 2026 shows it.
#[cfg_attr(feature = "rstest", rstest::fixture)]
pub fn committed_device() -> Device {
    started(Device::start(sim_device::profile::DEFAULT_PRESET, DEFAULT_ABI))
}

/// A device that firmware did not commit: such a kernel shows a plain PCI device.
#[cfg_attr(feature = "rstest", rstest::fixture)]
pub fn uncommitted_device() -> Device {
    started(Device::start("t2-uncommitted", DEFAULT_ABI))
}

/// A device whose memory is coherent by back-invalidation.
#[cfg_attr(feature = "rstest", rstest::fixture)]
pub fn hdm_db_device() -> Device {
    started(Device::start("t2-hdm-db", DEFAULT_ABI))
}

#[expect(clippy::panic, reason = "a test without its device has failed")]
fn started(device: Result<Device, NoDevice>) -> Device {
    match device {
        Ok(device) => device,
        Err(error) => panic!("no device: {error}"),
    }
}
