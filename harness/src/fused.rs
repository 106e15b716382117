//! A device behind a fuse: a call on it can be made to fail, for whoever wants to see what is left then.

use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::errno::Errno;
use vfio_abi::info::IrqInfo;
use vfio_abi::request::DmaFlags;
use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::Call;
use vmm_core::backend::DmaMemory;
use vmm_core::backend::Failure;
use vmm_core::backend::Given;
use vmm_core::backend::irqs::IoEvent;
use vmm_core::backend::irqs::IrqChange;
use vmm_core::backend::vfio_user::VfioUser;

/// What makes a call fail, after so many that do not.
#[derive(Debug, Default)]
pub struct Fuse(Mutex<Option<(u64, Failure)>>, AtomicBool);

impl Fuse {
    /// After `calls` more, one fails: refused, or the device is lost by it.
    pub fn light(&self, calls: u64, is_lost: bool) {
        let lost = || Failure::Lost("the fuse has burnt down".to_owned());
        let failure = if is_lost { lost() } else { Failure::Refused(Errno::EIO) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((calls, failure));
    }

    /// No call fails from now on.
    pub fn put_out(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether a call will fail that has not yet.
    pub fn is_lit(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether the device was asked to take back something that it was never given, and refused with `ENOENT`.
    pub fn was_asked_for_nothing(&self) -> bool {
        self.1.load(Ordering::SeqCst)
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

/// A device with a fuse. A call that fails does not get to it.
#[derive(Debug)]
pub struct Fused {
    inner: VfioUser,
    fuse: Arc<Fuse>,
    /// The call at which it was lost by its fuse.
    lost: Option<BackendError>,
}

impl Fused {
    /// This device, with this fuse.
    pub fn new(inner: VfioUser, fuse: Arc<Fuse>) -> Self {
        Self { inner, fuse, lost: None }
    }

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

    fn keeps_files(&self) -> bool {
        self.inner.keeps_files()
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
        let unmapped = self.call(Call::DmaUnmap { range })?.dma_unmap(range);
        if unmapped.as_ref().is_err_and(|error| matches!(error.failure, Failure::Refused(Errno::ENOENT))) {
            self.fuse.1.store(true, Ordering::SeqCst);
        }
        unmapped
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
