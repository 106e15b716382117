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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::backend::fake::Fake;
    use crate::backend::fake::State;
    use crate::discover::discover;

    fn found(fake: &Fake) -> Inventory {
        discover(&fake.shared()).unwrap()
    }

    #[test]
    fn two_devices_of_one_kind_are_the_same_whatever_is_in_their_decoders() {
        for (was, is) in Fake::of_every_kernel().into_iter().zip(Fake::of_every_kernel()) {
            assert_eq!(found(&was).same_device(&found(&is)), Ok(()));
        }
        let programmed = Fake::committed().with(|state| state.set(10, 0x124, 1));
        assert_eq!(found(&Fake::committed()).same_device(&found(&programmed)), Ok(()));
    }

    #[test]
    fn the_same_device_of_another_kernel_is_another() {
        let [april, june, newest] = Fake::of_every_kernel().map(|fake| found(&fake));
        for (was, is) in [(&april, &june), (&june, &newest), (&newest, &april)] {
            assert!(was.same_device(is).is_err());
        }
    }

    #[rstest]
    #[case::device(|state: &mut State| state.set(7, 0, 0x1234_1e98), "device was 0xc7f2 and is 0x1234")]
    #[case::vendor(|state: &mut State| state.set(7, 0, 0xc7f2_1234), "vendor was 0x1e98 and is 0x1234")]
    #[case::class(|state: &mut State| state.set(7, 8, 0x0302_0001), "class was 0x120000 and is 0x30200")]
    #[case::revision(|state: &mut State| state.set(7, 8, 0x1200_0002), "revision was 0x1 and is 0x2")]
    #[case::subsystem(|state: &mut State| state.set(7, 0x2c, 0x0002_1e98), "subsystem was 0x1 and is 0x2")]
    #[case::a_prefetchable_bar(|state: &mut State| state.set(7, 0x10, 0xc), "BARs was ")]
    #[case::no_region(|state: &mut State| drop(state.regions.remove(&0)), "BARs was ")]
    #[case::memory_off(|state: &mut State| state.set(7, 0x15c, 0x3), "CXL.mem was true and is false")]
    #[case::a_decoder_of_another_size(
        |state: &mut State| state.set(10, 0x128, 0x2000_0000),
        "decoder sizes was [268435456] and is [536870912]"
    )]
    fn what_differs_is_named_with_both_values(#[case] change: fn(&mut State), #[case] message: &str) {
        let other = Fake::committed().with(change);
        let difference = found(&Fake::committed()).same_device(&found(&other)).unwrap_err().to_string();
        assert!(difference.starts_with(message), "{difference}");
    }
}
