//! What Linux vfio-pci makes of the hardware for user space.
//!
//! ```text
//!            index 0-5  BARs              ┐
//!  region ── index 7    configuration     ├ plain: any PCI device
//!            index 6, 8 ROM, VGA: none    ┘
//!            two more   device memory     ┐ a revision of vfio-cxl: v2, v3 or next,
//!                       component regs    ┘ if it takes the device for one of its own
//! ```
//!
//! A [`Kernel`] is a bound driver: it is opened, read, written, reset and released, and it answers as the kernel
//! does, errno by errno. It owns the silicon; nobody reaches that around it.

pub mod drive;

mod claim;
mod interrupts;
mod lies;
mod memory;
mod next;
mod plain;
mod restore;
mod v2;
mod v3;
mod word;

use std::fmt;
use std::fs::File;
use std::io;

use cxl_spec::address::Dpa;
use vfio_abi::chain::Chain;
use vfio_abi::cxl;
use vfio_abi::errno::Errno;
use vfio_abi::info::DeviceFlags;
use vfio_abi::info::DeviceInfo;
use vfio_abi::info::IrqInfo;
use vfio_abi::info::RegionFlags;
use vfio_abi::info::RegionInfo;
use vfio_abi::info::irq;
use vfio_abi::info::region;

use crate::silicon::Effect;
use crate::silicon::Silicon;
use crate::silicon::engine::CopyError;

/// A kernel that can be simulated.
pub struct Abi {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// It was seen and not posted: what it does may still change.
    pub provisional: bool,
    probe: fn(&Silicon) -> Result<Box<dyn View>, BindError>,
}

/// The kernels that can be simulated.
pub static ABIS: &[Abi] = &[v2::ABI, v3::ABI, next::ABI, plain::ABI];

/// The kernel that is taken when nothing is said.
pub static DEFAULT_ABI: &Abi = &v2::ABI;

impl Abi {
    /// The kernel with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ABIS.iter().find(|abi| abi.name == name)
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)?;
        out.write_str(if self.provisional { " (provisional)" } else { "" })
    }
}

impl fmt::Debug for Abi {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name)
    }
}

/// Why a kernel does not bind to a device.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The system does not give the memory that a broken device needs besides.
    #[error(transparent)]
    System(#[from] io::Error),
    /// The kernel refuses the device, and not even as a plain PCI device it takes it.
    #[error("the kernel does not bind: {errno}: {why}")]
    Refused {
        /// The kernel's number.
        errno: Errno,
        /// What it does not take.
        why: String,
    },
}

/// A driver bound to a device.
///
/// ```
/// use sim_device::kernel::Abi;
/// use sim_device::kernel::Kernel;
/// use sim_device::profile::Profile;
/// use sim_device::silicon::Silicon;
/// use vfio_abi::info::region;
///
/// let silicon = Silicon::power_on(Profile::find("t2-committed")?.check()?)?;
/// let abi = Abi::named("v2").ok_or("v2 is one of them")?;
/// let mut kernel = Kernel::bind(silicon, abi)?;
/// kernel.open();
/// let mut vendor = [0; 2];
/// assert_eq!(kernel.read(region::CONFIG, 0, &mut vendor), Ok(2));
/// assert_eq!(u16::from_le_bytes(vendor), 0x1e98);
/// assert!(kernel.region(9).is_ok_and(|memory| memory.info.size == 256 << 20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Kernel {
    silicon: Silicon,
    view: Box<dyn View>,
    /// What the driver does not act on itself, until somebody takes it.
    above: Vec<Effect>,
}

/// A region and the file that maps it, if it can be mapped.
#[derive(Debug)]
pub struct Region<'a> {
    /// What the region is.
    pub info: RegionInfo,
    /// The file of a region with the `MMAP` flag.
    pub file: Option<&'a File>,
}

/// Page size of the kernels: where they cut areas that can be mapped, they cut them to whole pages of it.
const PAGE: u64 = 0x1000;

/// What came of a write: how many bytes were taken, and what follows.
type Written = Result<(usize, Vec<Effect>), Errno>;

/// What a driver makes of a device. Where a revision adds nothing, the device is a plain PCI one.
trait View: fmt::Debug + Send {
    /// Somebody opened the device, which was reset before.
    fn open(&mut self, _silicon: &Silicon) {}

    /// Resets the device, as `VFIO_DEVICE_RESET` does.
    fn reset(&mut self, silicon: &mut Silicon) {
        plain::reset(silicon);
    }

    /// What the device is, where this differs from a plain PCI device.
    fn device_info(&self, plain: DeviceInfo) -> DeviceInfo {
        plain
    }

    fn region<'a>(&'a self, silicon: &'a Silicon, index: u32) -> Result<Region<'a>, Errno> {
        plain::region(silicon, index)
    }

    fn read(&self, silicon: &Silicon, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        plain::read(silicon, index, offset, buffer)
    }

    fn write(&mut self, silicon: &mut Silicon, index: u32, offset: u64, data: &[u8]) -> Written {
        plain::write(silicon, index, offset, data)
    }
}

impl Kernel {
    /// Binds a kernel to a device.
    ///
    /// # Errors
    /// If the kernel refuses the device, or the system does not give the memory that a broken one needs besides.
    pub fn bind(silicon: Silicon, abi: &Abi) -> Result<Self, BindError> {
        let view = (abi.probe)(&silicon)?;
        Ok(Self { silicon, view, above: Vec::new() })
    }

    /// The hardware, for those who look at it from the device's own side.
    pub fn silicon(&self) -> &Silicon {
        &self.silicon
    }

    /// Somebody opens the device: it is enabled and reset, and what was shadowed is read again.
    pub fn open(&mut self) {
        self.turn_msix(false);
        plain::enable(&mut self.silicon);
        self.reset();
        self.view.open(&self.silicon);
    }

    /// Resets the device, as `VFIO_DEVICE_RESET` and a guest's function level reset do: the configuration is
    /// saved before and restored after.
    pub fn reset(&mut self) {
        self.above.clear();
        self.view.reset(&mut self.silicon);
    }

    /// A user asks for a reset.
    ///
    /// # Errors
    /// `EINVAL` of a device that cannot be reset.
    pub fn user_resets(&mut self) -> Result<(), Errno> {
        if !self.can_be_reset() {
            return Err(Errno::EINVAL);
        }
        self.reset();
        Ok(())
    }

    fn can_be_reset(&self) -> bool {
        !self.silicon.profile().profile().faults.cannot_be_reset
    }

    /// What the device is.
    pub fn device_info(&self) -> DeviceInfo {
        let mut flags = DeviceFlags::PCI;
        flags.set(DeviceFlags::RESET, self.can_be_reset());
        let plain = DeviceInfo {
            flags,
            num_regions: region::FIRST_SPECIFIC,
            num_irqs: irq::COUNT,
            chain: Chain::new(),
        };
        self.view.device_info(plain)
    }

    /// What a region is.
    ///
    /// # Errors
    /// `EINVAL` for an index that no region has.
    pub fn region(&self, index: u32) -> Result<Region<'_>, Errno> {
        let region = self.view.region(&self.silicon, index)?;
        Ok(lies::told(self.silicon.profile().profile(), region))
    }

    /// What an interrupt is.
    ///
    /// # Errors
    /// `EINVAL` for an index that no interrupt has.
    pub fn irq(&self, index: u32) -> Result<IrqInfo, Errno> {
        plain::irq(&self.silicon, index)
    }

    /// Reads a region into `buffer` and returns how many bytes there were.
    ///
    /// # Errors
    /// As the kernel's: `EINVAL` where there is nothing or the access has the wrong shape, `EIO` where the device
    /// does not answer now.
    pub fn read(&self, index: u32, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.view.read(&self.silicon, index, offset, buffer)
    }

    /// Writes `data` to a region and returns how many bytes it took.
    ///
    /// # Errors
    /// As the kernel's; see [`read`](Self::read).
    pub fn write(&mut self, index: u32, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        if data.is_empty() {
            return Ok(0);
        }
        let (taken, effects) = self.view.write(&mut self.silicon, index, offset, data)?;
        for effect in effects {
            self.apply(effect);
        }
        Ok(taken)
    }

    /// What the device wants of the host, since this was called last: to move data, to signal vectors, to tell errors.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.above)
    }

    /// The copy that the device's engine is at has ended so.
    pub fn transfer_ended(&mut self, outcome: Result<(), CopyError>) {
        let error = self.error_at_copy();
        let ended = self.silicon.transfer_ended(outcome);
        error.into_iter().chain(ended).for_each(|effect| self.apply(effect));
    }

    /// The device writes its own memory.
    pub fn device_write(&mut self, at: Dpa, data: &[u8]) {
        self.silicon.device_write(at, data);
    }

    /// The one place where an effect of the silicon meets the driver.
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::FunctionLevelReset => self.reset(),
            Effect::Transfer(_) | Effect::Interrupt { .. } | Effect::InternalError(_) => {
                self.above.push(effect);
            }
            // The driver does not watch the decoders: only a reset makes it look again.
            Effect::Decoder { .. } | Effect::CxlReset => {}
        }
    }
}

/// A region that can be read and written, without a chain, that cannot be mapped.
fn trapped(index: u32, size: u64) -> RegionInfo {
    let flags = RegionFlags::READ | RegionFlags::WRITE;
    RegionInfo { flags, index, size, offset: 0, chain: Chain::new() }
}

/// The region that is the component registers.
fn component_registers(index: u32, size: u64) -> RegionInfo {
    let info = trapped(index, size);
    let chain = info.chain.with_region_type(cxl::REGION_TYPE, cxl::SUBTYPE_COMPONENT_REGISTERS);
    RegionInfo { chain, ..info }
}

/// How many of `length` bytes from `offset` a region of `size` bytes has; nothing at or behind its end.
fn clamp(size: u64, offset: u64, length: usize) -> Option<usize> {
    let left = size.checked_sub(offset).filter(|left| *left > 0)?;
    Some(usize::try_from(left).map_or(length, |left| left.min(length)))
}

#[cfg(test)]
mod tests;
