//! What Linux vfio-pci makes of the hardware for user space.
//!
//! ```text
//!            index 0-5  BARs              ┐
//!  region ── index 7    configuration     ├ plain: any PCI device
//!            index 6, 8 ROM, VGA: none    ┘
//!            index 9    device memory     ┐ a revision of vfio-cxl,
//!            index 10   component regs    ┘ if it takes the device for one of its own
//! ```
//!
//! A [`Kernel`] is a bound driver: it is opened, read, written, reset and released, and it answers as the kernel
//! does, errno by errno. It owns the silicon; nobody reaches that around it.

mod plain;
mod v2;

use std::fs::File;

use vfio_abi::chain::Chain;
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

/// A driver bound to a device.
#[derive(Debug)]
pub struct Kernel {
    silicon: Silicon,
    view: View,
}

/// What the driver takes the device for.
#[derive(Debug)]
enum View {
    /// A PCI device like any other.
    Plain,
    /// A CXL device, in the revision of April 2026.
    V2(Box<v2::View>),
}

/// A region and the file that maps it, if it can be mapped.
#[derive(Debug)]
pub struct Region<'a> {
    /// What the region is.
    pub info: RegionInfo,
    /// The file of a region with the `MMAP` flag.
    pub file: Option<&'a File>,
}

impl Kernel {
    /// Binds the kernel of April 2026 (v2) to a device.
    ///
    /// # Errors
    /// If the system does not give the memory that a broken device needs besides.
    pub fn bind(silicon: Silicon) -> std::io::Result<Self> {
        let view = match v2::View::probe(&silicon)? {
            Some(view) => View::V2(Box::new(view)),
            None => View::Plain,
        };
        Ok(Self { silicon, view })
    }

    /// The hardware, for those who look at it from the device's own side.
    pub fn silicon(&self) -> &Silicon {
        &self.silicon
    }

    /// Somebody opens the device: it is enabled and reset, and what was shadowed is read again.
    pub fn open(&mut self) {
        plain::enable(&mut self.silicon);
        self.reset();
        if let View::V2(view) = &mut self.view {
            view.open(&self.silicon);
        }
    }

    /// Resets the device, as `VFIO_DEVICE_RESET` and a guest's function level reset do: the configuration is
    /// saved before and restored after.
    pub fn reset(&mut self) {
        let saved = self.silicon.config().clone();
        self.silicon.function_level_reset();
        self.silicon.restore_config(saved);
        if let View::V2(view) = &mut self.view {
            view.after_reset(&self.silicon);
        }
    }

    /// What the device is.
    pub fn device_info(&self) -> DeviceInfo {
        let plain = DeviceInfo {
            flags: DeviceFlags::PCI | DeviceFlags::RESET,
            num_regions: region::FIRST_SPECIFIC,
            num_irqs: irq::COUNT,
            chain: Chain::new(),
        };
        match &self.view {
            View::Plain => plain,
            View::V2(view) => view.device_info(plain),
        }
    }

    /// What a region is.
    ///
    /// # Errors
    /// `EINVAL` for an index that no region has.
    pub fn region(&self, index: u32) -> Result<Region<'_>, Errno> {
        match &self.view {
            View::V2(view) => view.region(&self.silicon, index),
            View::Plain => plain::region(&self.silicon, index),
        }
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
        match &self.view {
            View::V2(view) => view.read(&self.silicon, index, offset, buffer),
            View::Plain => plain::read(&self.silicon, index, offset, buffer),
        }
    }

    /// Writes `data` to a region and returns how many bytes it took.
    ///
    /// # Errors
    /// As the kernel's; see [`read`](Self::read).
    pub fn write(&mut self, index: u32, offset: u64, data: &[u8]) -> Result<usize, Errno> {
        if data.is_empty() {
            return Ok(0);
        }
        let (taken, effects) = match &mut self.view {
            View::V2(view) => view.write(&mut self.silicon, index, offset, data)?,
            View::Plain => plain::write(&mut self.silicon, index, offset, data)?,
        };
        for effect in effects {
            self.apply(effect);
        }
        Ok(taken)
    }

    /// The one place where an effect of the silicon meets the driver.
    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::FunctionLevelReset => self.reset(),
            // The driver does not watch the decoders: only a reset makes it look again.
            Effect::Decoder { .. } | Effect::CxlReset | Effect::InternalError(_) => {}
        }
    }
}

/// A region that can be read and written, without a chain, that cannot be mapped.
fn trapped(index: u32, size: u64) -> RegionInfo {
    let flags = RegionFlags::READ | RegionFlags::WRITE;
    RegionInfo { flags, index, size, offset: 0, chain: Chain::new() }
}

/// How many of `length` bytes from `offset` a region of `size` bytes has; nothing at or behind its end.
fn clamp(size: u64, offset: u64, length: usize) -> Option<usize> {
    let left = size.checked_sub(offset).filter(|left| *left > 0)?;
    Some(usize::try_from(left).map_or(length, |left| left.min(length)))
}

#[cfg(test)]
mod tests;
