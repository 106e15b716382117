//! A device that is served by a thread of ours or by a process, and whose calls can be made to fail.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
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
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;
use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::Call;
use vmm_core::backend::DmaMemory;
use vmm_core::backend::Failure;
use vmm_core::backend::Given;
use vmm_core::backend::Shared;
use vmm_core::backend::decoders::HdmDecoders;
use vmm_core::backend::irqs::IoEvent;
use vmm_core::backend::irqs::IrqChange;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::discover::discover;
use vmm_core::map::Attached;

use super::Setting;
use crate::process::DeviceProcess;

/// A device that is served. Dropping it ends its server.
#[derive(Debug)]
pub(super) struct Served {
    server: Server,
    pub(super) fuse: Arc<Fuse>,
}

#[derive(Debug)]
enum Server {
    Process(DeviceProcess),
    Thread(Thread),
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
        let server = if as_process {
            let started = DeviceProcess::start(&setting.program, Some(profile), abi, setting.timeout);
            Server::Process(started.map_err(|error| text(&error))?)
        } else {
            Server::Thread(Thread::start(setting, profile, abi).map_err(|error| text(&error))?)
        };
        let fuse = Arc::new(Fuse::default());
        let connected = VfioUser::connect(server.socket(), setting.timeout).map_err(|error| text(&error))?;
        let client = Shared::new(Fused { inner: connected, fuse: fuse.clone(), lost: None });
        let inventory = discover(&client).map_err(|error| text(&error))?;
        let backend = Shared::new(HdmDecoders::new(client, &inventory));
        Ok((Self { server, fuse }, Attached { backend, inventory }))
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

impl Server {
    fn socket(&self) -> &Path {
        match self {
            Self::Process(process) => process.socket(),
            Self::Thread(thread) => &thread.socket,
        }
    }
}

impl Thread {
    fn start(setting: &Setting, profile: &Profile, abi: &Abi) -> io::Result<Self> {
        let checked = profile.check().map_err(io::Error::other)?;
        let mut kernel = Kernel::bind(Silicon::power_on(checked)?, abi).map_err(io::Error::other)?;
        let folder = tempfile::Builder::new().prefix("cxl-sim-").tempdir()?;
        let socket = folder.path().join("device.sock");
        let listener = Listener::bind(&socket).map_err(io::Error::other)?;
        let stop = listener.stop();
        let terms = Terms { patience: setting.timeout, limits: Limits::default() };
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

/// What makes a call fail, after so many that do not.
#[derive(Debug, Default)]
pub(super) struct Fuse(Mutex<Option<(u64, Failure)>>);

impl Fuse {
    /// After `calls` more, one fails: refused, or the device is lost by it.
    pub(super) fn light(&self, calls: u64, is_lost: bool) {
        let lost = || Failure::Lost("the fuse has burnt down".to_owned());
        let failure = if is_lost { lost() } else { Failure::Refused(Errno::EIO) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((calls, failure));
    }

    /// No call fails from now on.
    pub(super) fn put_out(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn burns(&self) -> Option<Failure> {
        let mut fuse = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, failure) = fuse.as_mut()?;
        if let Some(left) = calls.checked_sub(1) {
            *calls = left;
            return None;
        }
        let failure = failure.clone();
        // What was refused is not refused again; what is lost stays so.
        fuse.take_if(|(_, failure)| matches!(failure, Failure::Refused(_)));
        Some(failure)
    }
}

/// A device with a fuse.
struct Fused {
    inner: VfioUser,
    fuse: Arc<Fuse>,
    /// The call at which it was lost by its fuse.
    lost: Option<BackendError>,
}

impl Fused {
    fn call(&mut self, call: Call) -> Result<&mut VfioUser, BackendError> {
        match self.fuse.burns() {
            Some(failure) => {
                let error = BackendError { device: self.inner.name().to_owned(), call, failure };
                if error.is_lost() {
                    self.lost.get_or_insert_with(|| error.clone());
                }
                Err(error)
            }
            None => Ok(&mut self.inner),
        }
    }
}

impl Backend for Fused {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn device_info(&mut self) -> Result<Vec<u8>, BackendError> {
        self.call(Call::DeviceInfo)?.device_info()
    }

    fn region_info(&mut self, index: u32) -> Result<(Vec<u8>, Option<File>), BackendError> {
        self.call(Call::RegionInfo { index })?.region_info(index)
    }

    fn irq_info(&mut self, index: u32) -> Result<IrqInfo, BackendError> {
        self.call(Call::IrqInfo { index })?.irq_info(index)
    }

    fn read(&mut self, region: u32, offset: u64, buffer: &mut [u8]) -> Result<(), BackendError> {
        self.call(Call::Read { region, offset, count: buffer.len() })?.read(region, offset, buffer)
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), BackendError> {
        self.call(Call::Write { region, offset, count: data.len() })?.write(region, offset, data)
    }

    fn dma_map(
        &mut self,
        range: Span<Iova>,
        file: &Arc<File>,
        offset: u64,
        allowed: DmaFlags,
    ) -> Result<(), BackendError> {
        self.call(Call::DmaMap { range })?.dma_map(range, file, offset, allowed)
    }

    fn dma_ask(&mut self, range: Span<Iova>, memory: Arc<dyn DmaMemory>) -> Result<(), BackendError> {
        self.call(Call::DmaAsk { range })?.dma_ask(range, memory)
    }

    fn attend(&mut self) -> Result<(), BackendError> {
        self.inner.attend()
    }

    fn lost(&self) -> Option<BackendError> {
        self.lost.clone().or_else(|| self.inner.lost())
    }

    fn given(&self) -> Vec<Given> {
        self.inner.given()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        self.call(Call::DmaUnmap { range })?.dma_unmap(range)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.call(Call::Reset)?.reset()
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let (index, start, count) = (change.index, change.start, change.vectors.count());
        self.call(Call::SetIrqs { index, start, count })?.set_irqs(change)
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        self.call(Call::IoEvents { index: region })?.io_events(region)
    }
}
