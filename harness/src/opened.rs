//! Devices that are open, as a user of VFIO opens them, without a machine around them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cxl_spec::address::Iova;
use cxl_spec::address::Span;
use vfio_abi::cxl;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::region;
use vfio_abi::malformed::Malformed;
use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::event::Event;
use vmm_core::map::memory::HostMemory;

use crate::process::DeviceProcess;
use crate::reach::Place;
use crate::scenario::region::RegionName;
use crate::trace::Tracer;
use crate::trace::names::Names;

/// The most regions that are looked at. A device that claims more is not believed.
const MOST_REGIONS: u32 = 64;

/// The devices of a scenario.
#[derive(Debug)]
pub struct Opened {
    /// Each of them, in order.
    pub devices: Vec<Device>,
}

/// A device, and a user of it.
#[derive(Debug)]
pub struct Device {
    // Fields are dropped in this order: the connection before the process behind it.
    client: Option<Client>,
    /// What it was let reach, by first address.
    reached: BTreeMap<u64, HostMemory>,
    /// What vectors of MSI-X signal, from the first on.
    pub(crate) events: Vec<Event>,
    name: String,
    connection: Connection,
    _process: Option<DeviceProcess>,
}

/// How to connect to a device, at first and anew.
#[derive(Debug)]
pub struct Connection {
    place: Place,
    timeout: Duration,
    tracer: Tracer,
    names: Names,
}

impl Connection {
    /// To this place. Who traces what is said there wants the names of the registers.
    pub fn new(place: Place, timeout: Duration, tracer: Tracer, names: impl FnOnce() -> Names) -> Self {
        let names = if tracer.is_wanted() { names() } else { Names::of_any() };
        Self { place, timeout, tracer, names }
    }

    fn open(&self) -> Result<Client, BackendError> {
        let backend = self.place.connect(self.timeout, false)?;
        Ok(Client(self.tracer.before(backend, || self.names.clone())))
    }
}

/// A connection to it.
struct Client(Box<dyn Backend>);

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Client").field(&self.0.name()).finish()
    }
}

/// Why a call on a device could not be made, or not be understood.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The device does not do what it should.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// What it says makes no sense.
    #[error("{device}: {malformed}")]
    Malformed {
        /// Which device.
        device: String,
        /// What is wrong.
        malformed: Malformed,
    },
    /// It has no such region.
    #[error("{device}: no region says that it is the {region}")]
    NoRegion {
        /// Which device.
        device: String,
        /// Which region.
        region: RegionName,
    },
    /// It was closed, and could not be opened again.
    #[error("{device}: is not open")]
    Closed {
        /// Which device.
        device: String,
    },
}

impl Device {
    /// Opens the device; `process` is the one behind it, if it is ours.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn open(
        name: &str,
        connection: Connection,
        process: Option<DeviceProcess>,
    ) -> Result<Self, BackendError> {
        let client = Some(connection.open()?);
        let (reached, events) = (BTreeMap::new(), Vec::new());
        Ok(Self { client, reached, events, name: name.to_owned(), connection, _process: process })
    }

    /// The scenario's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long any one wait may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.connection.timeout
    }

    /// The device reaches this memory from now on, if that was done.
    pub(crate) fn let_reach(
        &mut self,
        range: Span<Iova>,
        memory: HostMemory,
        done: Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        done.map(|()| drop(self.reached.insert(range.start().get(), memory)))
    }

    /// The device does not reach these addresses any more, if that was done.
    pub(crate) fn let_go(
        &mut self,
        range: Span<Iova>,
        done: Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        done.map(|()| drop(self.reached.remove(&range.start().get())))
    }

    /// The memory that the device reaches at this address, and where in it that is.
    pub(crate) fn reached(&self, address: u64) -> Option<(&HostMemory, u64)> {
        let (start, memory) = self.reached.range(..=address).next_back()?;
        Some((memory, address.checked_sub(*start)?)).filter(|(memory, offset)| *offset < memory.size())
    }

    /// The connection to it.
    ///
    /// # Errors
    /// If there is none any more.
    pub fn client(&mut self) -> Result<&mut dyn Backend, CallError> {
        let closed = CallError::Closed { device: self.name.clone() };
        Ok(&mut *self.client.as_mut().ok_or(closed)?.0)
    }

    /// Closes the device and opens it again.
    ///
    /// # Errors
    /// If it does not answer. It stays closed then.
    pub fn reopen(&mut self) -> Result<(), CallError> {
        // A server serves one client after the other, so the first one leaves before the second comes.
        self.client = None;
        self.reached.clear();
        self.events.clear();
        self.client = Some(self.connection.open()?);
        Ok(())
    }

    /// The number of a region.
    ///
    /// # Errors
    /// If the device cannot be asked, or has no such region.
    pub fn index(&mut self, region: RegionName) -> Result<u32, CallError> {
        match region {
            RegionName::Index(index) => Ok(index),
            RegionName::Bar(index) => Ok(region::BAR0.saturating_add(index.into())),
            RegionName::Config => Ok(region::CONFIG),
            RegionName::Memory => self.typed(region, cxl::SUBTYPE_MEMORY),
            RegionName::Registers => self.typed(region, cxl::SUBTYPE_COMPONENT_REGISTERS),
        }
    }

    /// The number of the region that states this subtype of vfio-cxl's.
    fn typed(&mut self, region: RegionName, subtype: u32) -> Result<u32, CallError> {
        let info = self.client()?.device_info()?;
        let (info, _) = DeviceInfo::parse(&info).map_err(|malformed| self.malformed(malformed))?;
        for index in region::FIRST_SPECIFIC..info.num_regions.min(MOST_REGIONS) {
            let (info, _) = self.client()?.region_info(index)?;
            let kind = RegionInfo::parse(&info).and_then(|(info, _)| info.chain.region_type());
            let kind = kind.map_err(|malformed| self.malformed(malformed))?;
            if kind == Some((cxl::REGION_TYPE, subtype)) {
                return Ok(index);
            }
        }
        Err(CallError::NoRegion { device: self.name.clone(), region })
    }

    /// What the device says makes no sense.
    pub fn malformed(&self, malformed: Malformed) -> CallError {
        CallError::Malformed { device: self.name.clone(), malformed }
    }
}
