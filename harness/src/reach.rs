//! Where devices come from, and the connection to one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use vmm_core::backend::Backend;
use vmm_core::backend::BackendError;
use vmm_core::backend::kernel::Address;
use vmm_core::backend::kernel::KernelVfio;
use vmm_core::backend::kernel::Way;
use vmm_core::backend::vfio_user::VfioUser;

/// Where devices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A process of ours for each.
    Sim,
    /// A server that somebody else runs.
    VfioUser(PathBuf),
    /// Hardware of this host.
    Vfio(Address),
    /// A process of ours for each scenario, to which a device is lent by this way.
    Lent(Way),
}

/// Where one device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a socket.
    Socket(PathBuf),
    /// In this host.
    Host(Address),
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sim => out.write_str("sim"),
            Self::VfioUser(path) => write!(out, "vfio-user:{}", path.display()),
            Self::Vfio(address) => address.fmt(out),
            Self::Lent(way) => write!(out, "lent by {}", way.name()),
        }
    }
}

impl Source {
    /// Where a device is that is somebody else's. Nothing of one that is to be made.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Sim | Self::Lent(_) => None,
            Self::VfioUser(path) => Some(Place::Socket(path.clone())),
            Self::Vfio(address) => Some(Place::Host(*address)),
        }
    }

    /// Whether each device is made as its scenario wants it.
    pub fn is_made(&self) -> bool {
        matches!(self, Self::Sim | Self::Lent(_))
    }

    /// By which way of the kernel's it is reached, if that is said.
    pub fn way(&self) -> Option<Way> {
        match self {
            Self::Vfio(address) => address.way,
            Self::Lent(way) => Some(*way),
            Self::Sim | Self::VfioUser(_) => None,
        }
    }

    /// Whether it is reached as hardware is, which an access can hang together with its host.
    pub fn is_hardware(&self) -> bool {
        matches!(self, Self::Vfio(_) | Self::Lent(_))
    }
}

impl Place {
    /// Connects to the device, whose writes to BARs may be posted.
    ///
    /// # Errors
    /// If it does not answer, or cannot be had.
    pub fn connect(&self, timeout: Duration, posts: bool) -> Result<Box<dyn Backend>, BackendError> {
        Ok(match self {
            // What is written to hardware is posted by the bus itself.
            Self::Host(address) => Box::new(KernelVfio::open(address)?),
            Self::Socket(path) => {
                let client = VfioUser::connect(path, timeout)?;
                Box::new(if posts { client.posting() } else { client })
            }
        })
    }
}
