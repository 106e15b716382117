//! What an access of the guest reaches when it is not memory in a slot, or when there are no slots.
//!
//! An access is taken apart at its natural boundaries. A piece that reaches nothing reads ones and writes
//! nothing; so does one that the device refuses, and everything of a device that is lost. The guest goes on in
//! every case: what was wrong is counted, and losses are kept for whoever runs the machine.
//!
//! Locks are taken in this order, and none is held when an access ends and losses are acted upon: a device's
//! configuration, its memory, what devices reach of BARs, the devices themselves, the losses, the list of those that
//! are there, the address space. No call on a device is made under the last three.
//!
//! Devices come, go and are lost while accesses are under way. What an access reaches is looked up at one moment. A
//! device that goes first leaves the list; then it is *out*, which is said and seen under the lock of its
//! configuration: whoever changes where its BARs and its memory are either has ended before, or finds it out.

mod interrupts;
mod loss;
mod reach;
mod resets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use cxl_spec::access::Access;
use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use interrupts::Interrupts;
pub use loss::Loss;
pub use loss::MOST_LOSSES;
pub use loss::NotBack;
pub use loss::Then;
use vfio_abi::info::region;

use super::config::ConfigView;
use crate::backend::BackendError;
use crate::backend::Shared;
use crate::irq::IrqError;
use crate::irq::Receiver;
use crate::map::device::Mapped;
use crate::map::dma::BarReach;
use crate::map::iommu::Unit;
use crate::map::space::AddressSpace;
use crate::plan::life::OnLoss;
use crate::plan::machine::ECAM_FUNCTION_SIZE;
use crate::ports::Component;
use crate::ports::HostBridge;
use crate::program::DeviceMemory;
use crate::program::Programmed;
use crate::sync::AtomicBool;
use crate::sync::Mutex;
use crate::sync::RwLock;

/// The way from a guest's access to what it reaches.
#[derive(Debug)]
pub struct Bus {
    space: AddressSpace,
    /// Those that are there, by their numbers in the plan.
    devices: RwLock<BTreeMap<usize, Arc<Device>>>,
    bridges: Vec<HostBridge>,
    smmus: Vec<Arc<Unit>>,
    receiver: Arc<dyn Receiver>,
    accesses: AtomicU64,
    refused: AtomicU64,
    /// A device may have been lost.
    suspects: AtomicBool,
    losses: Mutex<Vec<Loss>>,
}

#[derive(Debug)]
struct Device {
    /// Its requester ID.
    function: u64,
    /// The bridge that it is below.
    bridge: usize,
    backend: Shared,
    config: Mutex<ConfigView>,
    memory: Arc<DeviceMemory>,
    bar_reach: Arc<BarReach>,
    interrupts: Arc<Interrupts>,
    /// Where the plan puts the BARs.
    bars: Vec<(u8, Gpa)>,
    on_loss: OnLoss,
    /// Nothing of it is seen: it was lost, or has gone. It changes under the lock of `config`.
    out: AtomicBool,
    /// It was lost, and that is known.
    lost: AtomicBool,
    /// How often it was sought.
    losses: AtomicU32,
}

impl Device {
    /// The device with this number, if it is there.
    fn of(programmed: &Programmed, number: usize, interrupts: Arc<Interrupts>) -> Option<Self> {
        let planned = programmed.plan().devices.get(number)?;
        let mapped = programmed.mappings.device(number)?;
        let windows: Vec<_> = mapped.bars.iter().map(|(index, window)| (*index, window.id())).collect();
        Some(Self {
            function: planned.bdf.requester_id().into(),
            bridge: planned.bridge,
            backend: mapped.attached.backend.clone(),
            config: Mutex::new(ConfigView::new(planned, &windows)),
            memory: programmed.memory(number)?.clone(),
            bar_reach: mapped.bar_reach.clone(),
            interrupts,
            bars: planned.bars.iter().map(|bar| (bar.index, bar.span.start())).collect(),
            on_loss: planned.on_loss,
            out: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            losses: AtomicU32::new(0),
        })
    }
}

/// The interrupts of the device with this number, if it is there.
fn interrupts_of(
    programmed: &Programmed,
    number: usize,
    receiver: &Arc<dyn Receiver>,
) -> Result<Option<Arc<Interrupts>>, IrqError> {
    let found = programmed.plan().devices.get(number).zip(programmed.mappings.device(number));
    let attach = |(planned, mapped): (_, &Mapped)| Interrupts::attach(planned, &mapped.attached, receiver);
    found.map(attach).transpose().map(|found| found.map(Arc::new))
}

/// A function in configuration space.
#[derive(Clone, Debug)]
enum Function<'a> {
    /// A root port.
    Port(&'a HostBridge),
    /// A device.
    Endpoint(Arc<Device>),
}

impl Bus {
    /// The bus of a machine, whose devices' messages go to `receiver`.
    pub(crate) fn new(programmed: &Programmed, receiver: Arc<dyn Receiver>) -> Result<Self, IrqError> {
        let mut interrupts = BTreeMap::new();
        for number in programmed.mappings.devices.keys() {
            interrupts.extend(interrupts_of(programmed, *number, &receiver)?.map(|found| (*number, found)));
        }
        Ok(Self::with(programmed, receiver, interrupts))
    }

    /// The bus of a machine that was reset, in place of this one. The devices keep who hears their signals.
    pub(crate) fn again(programmed: &Programmed, before: &Self) -> Self {
        let devices = before.devices.read();
        let interrupts: BTreeMap<_, _> =
            devices.iter().map(|(number, device)| (*number, device.interrupts.clone())).collect();
        drop(devices);
        let outcomes: Vec<_> = interrupts.values().map(|interrupts| interrupts.reset()).collect();
        let bus = Self::with(programmed, before.receiver.clone(), interrupts);
        for outcome in outcomes {
            bus.served(outcome);
        }
        bus
    }

    fn with(
        programmed: &Programmed,
        receiver: Arc<dyn Receiver>,
        interrupts: BTreeMap<usize, Arc<Interrupts>>,
    ) -> Self {
        let mappings = &programmed.mappings;
        let devices = interrupts.into_iter().filter_map(|(number, interrupts)| {
            Some((number, Arc::new(Device::of(programmed, number, interrupts)?)))
        });
        let devices: BTreeMap<_, _> = devices.collect();
        let is_present = |bridge| devices.values().any(|device: &Arc<Device>| device.bridge == bridge);
        let bridges = mappings.plan.bridges.iter().enumerate();
        let bridges = bridges
            .map(|(index, bridge)| HostBridge::new(bridge, is_present(index), receiver.clone()))
            .collect();
        let bus = Self {
            receiver,
            bridges,
            devices: RwLock::new(devices),
            smmus: mappings.smmus.clone(),
            space: mappings.space.clone(),
            accesses: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            suspects: AtomicBool::new(false),
            losses: Mutex::default(),
        };
        bus.devices.read().values().for_each(|device| bus.stand_for_writes(device, true));
        bus
    }

    /// A device has come.
    ///
    /// # Errors
    /// If its interrupts cannot be attached. For the guest it is not there then.
    pub(crate) fn plug(&self, programmed: &Programmed, number: usize) -> Result<(), IrqError> {
        let interrupts = interrupts_of(programmed, number, &self.receiver)?;
        let device = interrupts.and_then(|interrupts| Device::of(programmed, number, interrupts));
        let Some(device) = device else { return Ok(()) };
        let device = Arc::new(device);
        self.stand_for_writes(&device, true);
        self.devices.write().insert(number, device.clone());
        self.tell_slot(&device, true);
        Ok(())
    }

    /// A device goes: nothing leads to it from now on. Gives whether it was there.
    pub(crate) fn unplug(&self, number: usize) -> bool {
        let Some(device) = self.devices.write().remove(&number) else { return false };
        self.put_out(&device, &device.config.lock());
        // That it was lost needs nobody's care any more.
        self.losses.lock().retain(|loss| loss.device != number);
        true
    }

    /// The devices that are there, and their numbers.
    fn all(&self) -> Vec<(usize, Arc<Device>)> {
        self.devices.read().iter().map(|(number, device)| (*number, device.clone())).collect()
    }

    /// The device with this number, if it is there.
    fn device(&self, number: usize) -> Option<Arc<Device>> {
        self.devices.read().get(&number).cloned()
    }

    /// How many accesses there were.
    pub fn accesses(&self) -> u64 {
        self.accesses.load(Ordering::Relaxed)
    }

    /// How many accesses reached nothing or were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Configuration space takes at most dwords; a wider access is two.
    fn config_load(&self, offset: u64, width: Width) -> u64 {
        let pieces = Access::split(offset, width.bytes(), Width::Dword);
        pieces
            .fold(0, |value, piece| value | self.config_load_dword(piece) << (8 * (piece.offset() - offset)))
    }

    fn config_load_dword(&self, access: Access) -> u64 {
        let ones = access.width().mask();
        match self.function(access) {
            Some((Function::Port(bridge), inside)) => bridge.config_read(inside),
            Some((Function::Endpoint(device), inside)) if !device.is_out() => {
                if let Some(value) = device.config.lock().read(inside) {
                    return value;
                }
                self.device_config_load(&device, inside).unwrap_or(ones)
            }
            // A function that is not there reads ones: that is how software finds out.
            Some((Function::Endpoint(_), _)) | None => ones,
        }
    }

    fn config_store(&self, offset: u64, width: Width, value: u64) {
        for piece in Access::split(offset, width.bytes(), Width::Dword) {
            let value = value >> (8 * (piece.offset() - offset)) & piece.width().mask();
            match self.function(piece) {
                Some((Function::Port(bridge), inside)) => {
                    self.served(bridge.config_write(inside, value));
                }
                Some((Function::Endpoint(device), inside)) => {
                    self.endpoint_store(&device, inside, value);
                }
                None => {}
            }
        }
    }

    /// Whoever writes waits until the BARs are where that puts them.
    fn endpoint_store(&self, device: &Device, access: Access, value: u64) {
        let mut config = device.config.lock();
        if device.is_out() {
            return;
        }
        if config.write(access, value) {
            self.space.place(&config.places());
            return self.decode_changed(device, &config);
        }
        if let Some(reset) = config.reset_in(access, value) {
            let begin = || self.answered(write(&device.backend, region::CONFIG, access, value)).is_some();
            return self.over_reset(device, &mut config, reset, begin);
        }
        if self.device_config_store(device, access, value) {
            return;
        }
        let memory_space = ConfigView::memory_space_in(access, value);
        // The BARs are out before the device stops answering, and in only after it has begun to.
        if memory_space == Some(false) {
            config.set_memory_space(false);
            self.space.place(&config.places());
        }
        config.note_command(access, value);
        let written = self.answered(write(&device.backend, region::CONFIG, access, value));
        if memory_space == Some(true) && written.is_some() {
            config.set_memory_space(true);
            self.space.place(&config.places());
        }
        if memory_space.is_some() {
            self.decode_changed(device, &config);
        }
    }

    /// Why a device's memory is not where it should be, if it is not.
    pub(crate) fn unplaced(&self, index: usize) -> Option<String> {
        self.device(index)?.memory.unplaced()
    }

    /// Other devices reach the BARs of a device only while it decodes them, and where the plan put them.
    fn decode_changed(&self, device: &Device, config: &ConfigView) {
        let as_planned = config.is_as_planned();
        self.stand_for_writes(device, as_planned);
        self.answered(device.bar_reach.decode(as_planned));
    }

    /// Answers what devices have asked. One that has gone without a call of the guest's is noticed here.
    pub(crate) fn attend(&self) {
        for (_, device) in self.all() {
            // Why it could not be attended to, the device remembers.
            let _ = device.backend.lock().attend();
        }
        self.attend_interrupts();
        self.notice();
    }

    /// The function at an offset of configuration space, and the access as it sees it.
    fn function(&self, access: Access) -> Option<(Function<'_>, Access)> {
        let number = access.offset() / ECAM_FUNCTION_SIZE;
        let inside = access.relative_to(number * ECAM_FUNCTION_SIZE)?;
        let port = self.bridges.iter().find(|bridge| u64::from(bridge.port_function) == number);
        if let Some(port) = port {
            return Some((Function::Port(port), inside));
        }
        let devices = self.devices.read();
        let endpoint = devices.values().find(|device| device.function == number)?;
        Some((Function::Endpoint(endpoint.clone()), inside))
    }

    fn component_load(&self, of: Component, offset: u64, width: Width) -> u64 {
        let bridge = self.bridges.get(of.bridge()).zip(Access::new(offset, width));
        let value = bridge.and_then(|(bridge, access)| bridge.read(of, access));
        value.unwrap_or_else(|| self.nothing_there() & width.mask())
    }

    fn component_store(&self, of: Component, offset: u64, width: Width, value: u64) {
        let bridge = self.bridges.get(of.bridge()).zip(Access::new(offset, width));
        if bridge.and_then(|(bridge, access)| bridge.write(of, access, value)).is_none() {
            self.nothing_there();
        }
    }

    fn answered<T>(&self, outcome: Result<T, BackendError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.nothing_there();
                if error.is_lost() {
                    self.suspect();
                }
                None
            }
        }
    }

    /// Counts an access that reached nothing, and gives what it reads.
    fn nothing_there(&self) -> u64 {
        self.refused.fetch_add(1, Ordering::Relaxed);
        u64::MAX
    }
}

fn read(backend: &Shared, region: u32, access: Access) -> Result<u64, BackendError> {
    let mut bytes = [0; 8];
    let (wanted, _) = bytes.split_at_mut(access.width().bytes() as usize);
    backend.lock().read(region, access.offset(), wanted)?;
    Ok(u64::from_le_bytes(bytes))
}

fn write(backend: &Shared, region: u32, access: Access, value: u64) -> Result<(), BackendError> {
    let (bytes, length) = access.width().to_bytes(value);
    backend.lock().write(region, access.offset(), bytes.get(..length).unwrap_or_default())
}
