//! Whether what answers now is the device that answered before.
//!
//! Compared is what the plan was made from: ids, the layout of configuration space, regions and what of them can be
//! mapped, interrupts, and what CXL says but for the state of the decoders. A device that differs in any of it is
//! another one, whoever it says it is.

use std::fmt;

use super::Inventory;
use super::Region;
use super::config::Config;
use super::cxl::Cxl;

/// The first thing in which two devices differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} was {was} and is {is}")]
pub struct Difference {
    /// What differs.
    pub field: String,
    /// What it was.
    pub was: String,
    /// What it is now.
    pub is: String,
}

/// Refuses two values that differ.
fn same<T: PartialEq + fmt::Debug>(field: impl Into<String>, was: &T, is: &T) -> Result<(), Difference> {
    let differ = || Difference { field: field.into(), was: format!("{was:?}"), is: format!("{is:?}") };
    if was == is { Ok(()) } else { Err(differ()) }
}

/// The same for numbers that people read in hexadecimal.
fn same_number(field: &str, was: impl Into<u64>, is: impl Into<u64>) -> Result<(), Difference> {
    let (was, is) = (was.into(), is.into());
    let differ = || Difference { field: field.to_owned(), was: format!("{was:#x}"), is: format!("{is:#x}") };
    if was == is { Ok(()) } else { Err(differ()) }
}

impl Inventory {
    /// Whether `now` is the same device.
    ///
    /// # Errors
    /// If it is not: the first difference.
    pub fn same_device(&self, now: &Self) -> Result<(), Difference> {
        // How a connection is called says nothing about the device behind it.
        let Self { device: _, flags, capabilities, regions, irqs, config, cxl } = self;
        same_config(config, &now.config)?;
        same("device flags", flags, &now.flags)?;
        same("device capabilities", capabilities, &now.capabilities)?;
        let indices = |regions: &[Region]| regions.iter().map(|region| region.index).collect::<Vec<_>>();
        same("regions", &indices(regions), &indices(&now.regions))?;
        regions.iter().zip(&now.regions).try_for_each(|(was, is)| same_region(was, is))?;
        same("interrupts", irqs, &now.irqs)?;
        match (cxl, &now.cxl) {
            (Some(was), Some(is)) => same_cxl(was, is),
            (was, is) => same("CXL", &was.is_some(), &is.is_some()),
        }
    }
}

fn same_config(was: &Config, is: &Config) -> Result<(), Difference> {
    same_number("vendor", was.vendor, is.vendor)?;
    same_number("device", was.device, is.device)?;
    same_number("subsystem vendor", was.subsystem_vendor, is.subsystem_vendor)?;
    same_number("subsystem", was.subsystem, is.subsystem)?;
    same_number("class", was.class, is.class)?;
    same_number("revision", was.revision, is.revision)?;
    same("BARs", &was.bars, &is.bars)?;
    same("capabilities", &was.capabilities, &is.capabilities)?;
    same("extended capabilities", &was.extended, &is.extended)?;
    same("register blocks", &was.blocks, &is.blocks)
}

fn same_region(was: &Region, is: &Region) -> Result<(), Difference> {
    let field = |what| format!("region {} {what}", was.index);
    same_number(&field("size"), was.size, is.size)?;
    same(field("flags"), &was.flags, &is.flags)?;
    same(field("type"), &was.kind, &is.kind)?;
    same(field("capabilities"), &was.capabilities, &is.capabilities)?;
    same(field("areas"), &was.areas, &is.areas)?;
    same(field("file"), &was.file.is_some(), &is.file.is_some())?;
    same(field("sealed"), &was.mapping_is_safe, &is.mapping_is_safe)
}

fn same_cxl(was: &Cxl, is: &Cxl) -> Result<(), Difference> {
    same("description", &was.description, &is.description)?;
    same("firmware committed", &was.firmware_committed, &is.firmware_committed)?;
    same_number("component block", was.component, is.component)?;
    same_number("device DVSEC", was.device_dvsec, is.device_dvsec)?;
    same("CXL.mem", &was.mem_enable, &is.mem_enable)?;
    same("capability array", &was.capabilities, &is.capabilities)?;
    same_number("HDM decoders", was.hdm, is.hdm)?;
    same_number("number of decoders", was.decoders.len() as u64, is.decoders.len() as u64)?;
    let sizes = |cxl: &Cxl| cxl.decoders.iter().map(|decoder| decoder.size).collect::<Vec<_>>();
    same("decoder sizes", &sizes(was), &sizes(is))
}
