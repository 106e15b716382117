//! The process behind a device of a machine, to which a scenario can do what it likes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rustix::process::Signal;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;

use crate::process::DeviceProcess;
use crate::process::ProcessError;

/// A device process. Clones are the same; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Host {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    process: DeviceProcess,
    program: PathBuf,
    profile: Option<Profile>,
    abi: &'static Abi,
    /// It stands still, and goes on when the device is sought.
    until_sought: bool,
}

impl Host {
    /// The process, which `program` is with this profile and this kernel.
    pub fn new(
        process: DeviceProcess,
        program: PathBuf,
        profile: Option<Profile>,
        abi: &'static Abi,
    ) -> Self {
        let state = State { process, program, profile, abi, until_sought: false };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The socket to connect to.
    pub fn socket(&self) -> PathBuf {
        self.state().process.socket().to_owned()
    }

    /// It is dead when this returns.
    pub fn kill(&self) {
        self.state().process.kill();
    }

    /// It stands still from now on; perhaps only until the device is sought.
    pub fn freeze(&self, until_sought: bool) {
        let mut state = self.state();
        state.until_sought = until_sought;
        state.process.signal(Signal::STOP);
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.state().process.signal(Signal::CONT);
    }

    /// The device is sought.
    pub fn sought(&self) {
        if self.state().until_sought {
            self.thaw();
        }
    }

    /// It dies, and another one listens at the same path when this returns; with this profile, or with the former one.
    ///
    /// # Errors
    /// If the other one does not begin to listen.
    pub fn restart(&self, profile: Option<&Profile>) -> Result<(), ProcessError> {
        let State { process, program, profile: former, abi, until_sought } = &mut *self.state();
        *until_sought = false;
        process.restart(program, profile.or(former.as_ref()), abi)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
