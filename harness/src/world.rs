//! The world of one scenario: its devices, reached and known, and the machine that they are attached to.
//!
//! ```text
//!  device process ──▶ backend ──▶ discover ──▶ decoders, recorded ──▶ plan ──▶ map ──▶ program ──▶ run
//! ```
//!
//! What is recorded is what the machine does, whether the decoders that it programs are the device's own or the
//! machine's: the recording stands before both.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sim_device::kernel::Abi;
use sim_device::kernel::DEFAULT_ABI;
use vfio_abi::cxl::Revision;
use vmm_core::backend::BackendError;
use vmm_core::backend::Shared;
use vmm_core::backend::decoders::HdmDecoders;
use vmm_core::backend::kvm;
use vmm_core::backend::recording::Access;
use vmm_core::backend::recording::Recorded;
use vmm_core::backend::recording::Recording;
use vmm_core::discover::DiscoverError;
use vmm_core::discover::discover_as;
use vmm_core::map::Attached;
use vmm_core::map::MapError;
use vmm_core::map::map;
use vmm_core::plan::Plan;
use vmm_core::plan::PlanError;
use vmm_core::plan::plan;
use vmm_core::program::ProgramError;
use vmm_core::run::Hypervisor;
use vmm_core::run::PlugError;
use vmm_core::run::Running;
use vmm_core::run::guest::GuestError;
use vmm_core::run::kvm_can_run;
use vmm_core::run::reconnect::Connect;
use vmm_core::run::reconnect::Reached;

use crate::host::Host;
use crate::opened;
use crate::opened::Connection;
use crate::opened::Opened;
use crate::process::DeviceProcess;
use crate::process::ProcessError;
use crate::reach::Place;
pub use crate::reach::Source;
use crate::scenario::Loaded;
use crate::scenario::life::SOFT;
use crate::scenario::step::Step;
use crate::trace::Journal;
use crate::trace::Tracer;
use crate::trace::names::Names;

/// What runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestKind {
    /// A KVM vCPU.
    Kvm,
    /// Calls.
    Soft,
}

impl GuestKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Soft => "soft",
        }
    }

    fn hypervisor(self) -> Result<Hypervisor, GuestError> {
        Ok(match self {
            Self::Kvm => Hypervisor::Kvm(kvm::Vm::new()?),
            Self::Soft => Hypervisor::Soft,
        })
    }
}

/// How worlds are made.
#[derive(Clone, Debug)]
pub struct Maker {
    /// The program that serves devices: this one.
    pub program: PathBuf,
    /// Where devices come from.
    pub source: Source,
    /// The kernel that is simulated, or assumed of somebody else's device. Nothing leaves it to the scenario.
    pub abi: Option<&'static Abi>,
    /// What runs the guest.
    pub guest: GuestKind,
    /// How long any one wait may take.
    pub timeout: Duration,
    /// What may be done with hardware, and what is known of it.
    pub hardware: Hardware,
    /// Who wants to know what is said to the devices, and where they are.
    pub journal: Option<Journal>,
}

/// What may be done with hardware, and what is known of it. Of devices in software it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Its memory may be touched, its registers written, and it may be reset.
    pub allow_touch: bool,
    /// Firmware has committed its decoder.
    pub firmware_committed: bool,
    /// It has the ids of a simulated device: there is one behind it, in an emulator.
    pub simulated: bool,
    /// It is the device that the scenario wants, and nobody else's.
    pub as_wanted: bool,
}

impl Hardware {
    /// What is lent to a scenario: the device that it wants, in software.
    pub const LENT: Self =
        Self { allow_touch: true, firmware_committed: true, simulated: true, as_wanted: true };
}

/// Devices that are reached and known, and not attached yet.
#[derive(Debug)]
pub struct Devices {
    // Fields are dropped in this order: connections before the processes behind them.
    attached: Vec<Attached>,
    names: Vec<String>,
    recordings: Vec<Recording>,
    ways: Vec<Way>,
    hosts: Vec<(String, Host)>,
}

/// The way to a device: how to connect to it, at first and anew.
#[derive(Clone, Debug)]
struct Way {
    place: Place,
    /// The process there, if it is ours.
    host: Option<Host>,
    recording: Recording,
    tracer: Tracer,
    /// The only revision of vfio-cxl that will do.
    assumed: Option<Revision>,
    /// Writes to BARs are posted.
    posts: bool,
    timeout: Duration,
}

impl Connect for Way {
    fn connect(&self, timeout: Duration) -> Result<Reached, DiscoverError> {
        self.host.iter().for_each(Host::sought);
        let connected = self.place.connect(timeout.min(self.timeout), self.posts)?;
        let (client, found) = self.tracer.discovering(connected, |client| discover_as(client, self.assumed));
        let inventory = found?;
        let decoders = HdmDecoders::new(client, &inventory);
        let recorded = Box::new(Recorded::new(decoders, self.recording.clone()));
        let backend = self.tracer.before(recorded, || Names::of(&inventory));
        Ok(Reached { backend, inventory })
    }
}

/// A machine that runs, with all that belongs to it.
#[derive(Debug)]
pub struct World {
    // Fields are dropped in this order: the machine before the processes behind its devices.
    /// The machine.
    pub running: Running,
    /// The device registers that were written at machine-done, for each device.
    pub machine_done: Vec<Vec<Access>>,
    /// What is written to each device's component registers since, until somebody looks.
    pub since: Vec<Recording>,
    /// The processes behind its devices, where they are ours, by the devices' names.
    hosts: Vec<(String, Host)>,
    maker: Maker,
    scenario: Loaded,
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A device process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A device cannot be reached.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A device cannot be understood.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// The machine refuses.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The machine cannot be built.
    #[error(transparent)]
    Map(#[from] MapError),
    /// A device cannot be programmed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The guest does not start.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// A device does not come, or go.
    #[error(transparent)]
    Plug(Box<PlugError>),
}

impl From<PlugError> for WorldError {
    fn from(error: PlugError) -> Self {
        Self::Plug(Box::new(error))
    }
}

/// Whether the guest of a scenario takes interrupts.
fn is_interrupted(scenario: &Loaded) -> bool {
    scenario.scenario.steps.iter().any(|step| matches!(step, Step::Interrupts(_)))
}

impl Maker {
    /// The kernel in the world of a scenario. Of somebody else's device a scenario's own wish says nothing.
    pub fn abi_for(&self, scenario: &Loaded) -> &'static Abi {
        let wished = scenario.abis.first().copied().filter(|_| self.source.is_made());
        self.abi.or(wished).unwrap_or(DEFAULT_ABI)
    }

    /// What runs the guest of a scenario. A machine in whose layout KVM's guest program cannot run has a soft guest,
    /// and so has one that says so, or whose guest is interrupted, where that program takes none; the report says so.
    pub fn guest_for(&self, scenario: &Loaded) -> GuestKind {
        let can =
            kvm_can_run(scenario.machine.arch) && (kvm::takes_interrupts() || !is_interrupted(scenario));
        let wished = scenario.scenario.guest.as_deref() != Some(SOFT);
        if can && wished { self.guest } else { GuestKind::Soft }
    }

    /// The only revision of vfio-cxl that will do: what the scenario says, or for somebody else's device what the
    /// user says. Where nothing is assumed, all that are known will.
    fn assumed(&self, scenario: &Loaded) -> Option<Revision> {
        let is_made = self.source.is_made() || self.hardware.as_wanted;
        let users = self.abi.filter(|_| !is_made).and_then(|abi| abi.name.parse().ok());
        scenario.assume.or(users)
    }

    /// Reaches the devices of a scenario and finds out what they are. Nothing is changed by it.
    ///
    /// # Errors
    /// If a device cannot be started, reached or understood.
    pub fn devices(&self, scenario: &Loaded) -> Result<Devices, WorldError> {
        let mut devices = Devices {
            attached: Vec::new(),
            names: Vec::new(),
            recordings: Vec::new(),
            ways: Vec::new(),
            hosts: Vec::new(),
        };
        for (number, device) in
            scenario.scenario.devices.iter().enumerate().filter(|(_, device)| device.plugged)
        {
            let (attached, way) = self.reach(scenario, number)?;
            devices.attached.push(attached);
            devices.names.push(device.name.clone());
            devices.recordings.push(way.recording.clone());
            devices.hosts.extend(way.host.clone().map(|host| (device.name.clone(), host)));
            devices.ways.push(way);
        }
        Ok(devices)
    }

    /// Reaches the device of a scenario with this number, and finds out what it is.
    fn reach(&self, scenario: &Loaded, number: usize) -> Result<(Attached, Way), WorldError> {
        let profile = scenario.profiles.get(number).and_then(Option::as_ref);
        let (place, host) = match self.source.place() {
            Some(place) => (place, None),
            None => {
                let abi = self.abi_for(scenario);
                let process = DeviceProcess::start(&self.program, profile, abi, self.timeout)?;
                let host = Host::new(process, self.program.clone(), profile.cloned(), abi);
                (Place::Socket(host.socket()), Some(host))
            }
        };
        let device = scenario.scenario.devices.get(number);
        let timeout = device.map_or(self.timeout, |device| device.answers_within(self.timeout));
        let posts = scenario.scenario.machine.posted_writes;
        let assumed = self.assumed(scenario);
        let tracer = Tracer::new(self.journal.as_ref(), device.map_or("", |device| device.name.as_str()));
        let way = Way { place, host, recording: Recording::default(), tracer, assumed, posts, timeout };
        let Reached { backend, inventory } = way.connect(timeout)?;
        Ok((Attached { backend: Shared::of(backend), inventory }, way))
    }

    /// Opens the devices of a scenario, without a machine.
    ///
    /// # Errors
    /// If a device cannot be started or reached.
    pub fn open(&self, scenario: &Loaded) -> Result<Opened, WorldError> {
        let mut devices = Vec::new();
        for (device, profile) in scenario.scenario.devices.iter().zip(&scenario.profiles) {
            let (place, process) = match self.source.place() {
                Some(place) => (place, None),
                None => {
                    let abi = self.abi_for(scenario);
                    let process = DeviceProcess::start(&self.program, profile.as_ref(), abi, self.timeout)?;
                    (Place::Socket(process.socket().to_owned()), Some(process))
                }
            };
            let tracer = Tracer::new(self.journal.as_ref(), &device.name);
            let connection = Connection::new(place, self.timeout, tracer, || {
                Names::of_simulated(profile.as_ref(), self.abi_for(scenario))
            });
            devices.push(opened::Device::open(&device.name, connection, process)?);
        }
        Ok(Opened { devices })
    }

    /// Attaches the devices of a scenario to a machine and starts its guest.
    ///
    /// # Errors
    /// If any stage on the way fails. Nothing is left then.
    pub fn world(&self, scenario: &Loaded) -> Result<World, WorldError> {
        let devices = self.devices(scenario)?;
        let planned = devices.plan(scenario)?;
        self.journal.iter().for_each(|journal| journal.planned(&planned));
        let hypervisor = self.guest_for(scenario).hypervisor()?;
        let mappings = map(planned, devices.attached, hypervisor.slots())?;
        for recording in &devices.recordings {
            recording.take();
        }
        let programmed = mappings.machine_done()?;
        let recorded = devices.recordings.iter().zip(&programmed.plan().devices);
        let machine_done = recorded
            .map(|(recording, device)| recording.go_on_with_writes_to(device.programme.region))
            .collect();
        let mut running = programmed.run(&hypervisor, self.timeout)?;
        for (number, way) in devices.ways.into_iter().enumerate() {
            running.reconnect_with(number, way.timeout, way);
        }
        let since = devices.recordings;
        let (maker, scenario) = (self.clone(), scenario.clone());
        Ok(World { running, machine_done, since, hosts: devices.hosts, maker, scenario })
    }
}

impl World {
    /// The process behind a device that is there, if it is ours.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|(device, _)| device == name).map(|(_, host)| host)
    }

    /// A device of the scenario comes, as a new process, into the slot of the bridge that it is below.
    ///
    /// # Errors
    /// If it cannot be reached, or the machine does not take it.
    pub fn plug(&mut self, name: &str) -> Result<(), WorldError> {
        let mut devices = self.scenario.scenario.devices.iter().enumerate();
        let Some((number, device)) = devices.find(|(_, device)| device.name == name) else { return Ok(()) };
        // Loading the scenario has seen to it that it names one, or the plan has made one for it.
        let bridge = device.bridge.clone().unwrap_or_else(|| format!("{name} bridge"));
        let (attached, way) = self.maker.reach(&self.scenario, number)?;
        let (recording, host) = (way.recording.clone(), way.host.clone());
        recording.take();
        let number = self.running.plug(&bridge, name, attached)?;
        self.maker.journal.iter().for_each(|journal| journal.planned(self.running.plan()));
        self.running.reconnect_with(number, way.timeout, way);
        let region = self.running.plan().devices.get(number).map_or(0, |device| device.programme.region);
        let mut written = recording.go_on_with_writes_to(region);
        written.retain(|access| access.is_write && access.region == region);
        self.machine_done.resize_with(self.machine_done.len().max(number.saturating_add(1)), Vec::new);
        self.since.resize_with(self.since.len().max(number.saturating_add(1)), Recording::default);
        self.machine_done.get_mut(number).into_iter().for_each(|there| there.clone_from(&written));
        self.since.get_mut(number).into_iter().for_each(|there| *there = recording.clone());
        self.hosts.extend(host.map(|host| (name.to_owned(), host)));
        Ok(())
    }

    /// The device with this number goes, and its process ends.
    ///
    /// # Errors
    /// If it is not there.
    pub fn unplug(&mut self, number: usize) -> Result<(), WorldError> {
        self.running.unplug(number)?;
        let name = self.running.plan().devices.get(number).map(|device| device.name.as_str());
        self.hosts.retain(|(host, _)| Some(host.as_str()) != name);
        Ok(())
    }
}

impl Devices {
    /// Plans the scenario's machine with these devices.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn plan(&self, scenario: &Loaded) -> Result<Plan, PlanError> {
        let named = self.names.iter().zip(&self.attached);
        let named: Vec<_> = named.map(|(name, device)| (name.as_str(), &device.inventory)).collect();
        plan(&scenario.machine, &named)
    }
}

/// What runs the guest when the user leaves it to us: KVM where it works. The text says why not, where not.
pub fn best_guest() -> (GuestKind, Option<String>) {
    match kvm::Vm::new() {
        Ok(vm) => {
            drop::<Arc<kvm::Vm>>(vm);
            (GuestKind::Kvm, None)
        }
        Err(error) => (GuestKind::Soft, Some(error.to_string())),
    }
}
