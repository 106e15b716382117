//! Attaching a served device, with every call on it failing in turn: this process has no file more than before, and
//! the device nothing that it was given.
//!
//! There is one test here, so that no other opens files meanwhile.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use harness::process::DeviceProcess;
use sim_device::kernel::Abi;
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
use vmm_core::backend::vfio_user::DEFAULT_TIMEOUT;
use vmm_core::backend::vfio_user::VfioUser;
use vmm_core::discover::discover;
use vmm_core::map::Attached;
use vmm_core::map::map;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::dma::Wish;
use vmm_core::plan::machine::Machine;
use vmm_core::plan::plan;
use vmm_core::run::Hypervisor;

/// A device, one call of which is refused before it gets there.
#[derive(Debug)]
struct Failing {
    inner: VfioUser,
    calls: Arc<AtomicUsize>,
    at: usize,
}

impl Failing {
    fn call(&mut self, call: Call) -> Result<&mut VfioUser, BackendError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let device = self.inner.name().to_owned();
            return Err(BackendError { device, call, failure: Failure::Refused(Errno::EIO) });
        }
        Ok(&mut self.inner)
    }
}

impl Backend for Failing {
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
        self.inner.lost()
    }

    fn given(&self) -> Vec<Given> {
        self.inner.given()
    }

    fn dma_unmap(&mut self, range: Span<Iova>) -> Result<(), BackendError> {
        self.call(Call::DmaUnmap { range })?.dma_unmap(range)
    }

    fn set_irqs(&mut self, change: &IrqChange<'_>) -> Result<(), BackendError> {
        let (index, start, count) = (change.index, change.start, change.vectors.count());
        self.call(Call::SetIrqs { index, start, count })?.set_irqs(change)
    }

    fn io_events(&mut self, region: u32) -> Result<Vec<IoEvent>, BackendError> {
        self.call(Call::IoEvents { index: region })?.io_events(region)
    }

    fn reset(&mut self) -> Result<(), BackendError> {
        self.call(Call::Reset)?.reset()
    }
}

/// Attaches the device to a machine that lets devices reach windows, starts its guest, and ends it. How many calls
/// were made when it ran.
fn attach(client: &Shared, calls: &AtomicUsize) -> Result<usize, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let inventory = discover(client).map_err(|error| text(&error))?;
    let backend = Shared::new(HdmDecoders::new(client.clone(), &inventory));
    let dma = Wish { policy: Policy::Map, ats: false };
    let planned = plan(&Machine { dma, ..Machine::default() }, &[("gpu0", &inventory)]);
    let devices = vec![Attached { backend, inventory }];
    let slots = Hypervisor::Soft.slots();
    let mappings =
        map(planned.map_err(|error| text(&error))?, devices, slots).map_err(|error| text(&error))?;
    let programmed = mappings.machine_done().map_err(|error| text(&error))?;
    let running = programmed.run(&Hypervisor::Soft, DEFAULT_TIMEOUT).map_err(|error| text(&error))?;
    let made = calls.load(Ordering::SeqCst);
    drop(running);
    Ok(made)
}

/// The files that this process has open, by number.
fn files() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap);
    let named = entries.map(|entry| {
        let target = std::fs::read_link(entry.path()).map(|path| path.display().to_string());
        (entry.file_name().into_string().unwrap(), target.unwrap_or_default())
    });
    // The folder that is being read is open itself.
    named.filter(|(_, target)| !target.ends_with("/fd") && !target.is_empty()).collect()
}

/// What the device shows: its command register and its component registers, from the array to the end.
fn shown(client: &mut VfioUser) -> (Vec<u8>, Vec<u8>) {
    let (mut command, mut registers) = (vec![0; 2], Vec::new());
    client.read(7, 4, &mut command).unwrap();
    for offset in (0..0x140).step_by(4) {
        let mut dword = [0; 4];
        client.read(10, offset, &mut dword).unwrap();
        registers.extend(dword);
    }
    (command, registers)
}

/// Fails the call with this number, and looks at what is left. Nothing if there was no such call; else what came of
/// it, which is nothing where the rest could be attached.
fn attempt(socket: &Path, at: usize) -> Option<String> {
    let mut inner = VfioUser::connect(socket, DEFAULT_TIMEOUT).unwrap();
    let (before, open) = (shown(&mut inner), files());
    let calls = Arc::new(AtomicUsize::new(0));
    let client = Shared::new(Failing { inner, calls: calls.clone(), at });
    let outcome = attach(&client, &calls);
    if outcome.as_ref().is_ok_and(|made| *made < at) {
        // What is undone afterwards is no part of it.
        return None;
    }
    assert_eq!(files(), open, "files after call {at}: {outcome:?}");
    drop(client);
    let mut again = VfioUser::connect(socket, DEFAULT_TIMEOUT).unwrap();
    assert_eq!(shown(&mut again), before, "the device after call {at}: {outcome:?}");
    Some(outcome.err().unwrap_or_default())
}

#[test]
fn whatever_call_fails_no_file_is_left_and_the_device_is_as_before() {
    let program = Path::new(env!("CARGO_BIN_EXE_cxl-sim"));
    let process = DeviceProcess::start(program, None, Abi::named("v2").unwrap(), DEFAULT_TIMEOUT).unwrap();
    let before = files();
    let mut failed = Vec::new();
    for at in 1.. {
        let Some(why) = attempt(process.socket(), at) else { break };
        failed.push(why);
        assert_eq!(files(), before, "files when call {at} had failed and all was let go");
    }
    for call in [
        "DEVICE_GET_INFO",
        "dpa_region_index = 0x9: the device has no region with this index",
        "REGION_READ of region 7",
        "REGION_WRITE of region 7 at 0x4",
        "DMA_MAP of [0x0, 0x4000000)",
        "DMA_MAP of [0x110000000, 0x120000000)",
        "writing HDM Decoder Base Low",
        "reading HDM Decoder Control",
    ] {
        assert!(failed.iter().any(|why| why.contains(call)), "no failure at {call}: {failed:#?}");
    }
    assert!(failed.len() > 35, "{} calls were failed", failed.len());
}
