//! MSI-X: how many vectors a device has, and where it has their table and their pending bits.

use cxl_spec::pci::capability;
use cxl_spec::pci::msix;

use super::DiscoverError;
use super::Here;
use super::config::Bar;
use super::config::Capability;

/// What the capability says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msix {
    /// Offset of the capability in configuration space.
    pub capability: u64,
    /// How many vectors, 1 to 2048.
    pub vectors: u16,
    /// Where the table is.
    pub table: Place,
    /// Where the pending bits are.
    pub pending: Place,
}

/// A part of a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which BAR.
    pub bar: u8,
    /// Where in it, a multiple of 8.
    pub offset: u64,
    /// How many bytes.
    pub size: u64,
}

/// The capability, read by `dword` from configuration space. Both parts must be in BARs that exist.
pub(super) fn find(
    here: &Here<'_>,
    capabilities: &[Capability],
    bars: &[Bar],
    dword: impl Fn(u64) -> u32,
) -> Result<Option<Msix>, DiscoverError> {
    let found = capabilities.iter().find(|found| found.id == capability::MSIX);
    let Some(at) = found.map(|found| u64::from(found.offset)) else { return Ok(None) };
    let control = msix::MessageControl::new((dword(at) >> 16) as u16);
    let vectors = control.table_size().value().saturating_add(1);
    let place = |field: &'static str, register: u64, size: u64| {
        let location = msix::Location::new(dword(at.saturating_add(register)));
        let offset = u64::from(location.offset().value()) << 3;
        let place = Place { bar: location.bar().value(), offset, size };
        let holder = bars.iter().find(|bar| bar.index == place.bar);
        let fits = offset.checked_add(size).is_some_and(|end| holder.is_some_and(|bar| end <= bar.size));
        let why = "it must be inside a BAR in memory";
        if fits { Ok(place) } else { Err(here.impossible(field, location.raw().into(), why)) }
    };
    let table = place("MSI-X table", msix::TABLE, u64::from(vectors).saturating_mul(msix::ENTRY_SIZE))?;
    let pending =
        place("MSI-X pending bits", msix::PENDING, u64::from(vectors).div_ceil(64).saturating_mul(8))?;
    Ok(Some(Msix { capability: at, vectors, table, pending }))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// A capability at 0x80, as typed: eight vectors, and these two places; BAR 0 has 64 KiB.
    fn found(table: u32, pending: u32) -> Result<Option<Msix>, String> {
        let capabilities = [Capability { offset: 0x80, id: 0x11 }];
        let bars = [Bar { index: 0, size: 0x1_0000, is_64_bit: false, prefetchable: false }];
        let dword = |offset| match offset {
            0x80 => 0x0007_9011,
            0x84 => table,
            0x88 => pending,
            _ => 0,
        };
        find(&Here { device: "x" }, &capabilities, &bars, dword).map_err(|error| error.to_string())
    }

    #[test]
    fn table_and_pending_bits_are_where_the_capability_says() {
        let place = |offset, size| Place { bar: 0, offset, size };
        let expected =
            Msix { capability: 0x80, vectors: 8, table: place(0x1000, 0x80), pending: place(0x8000, 8) };
        assert_eq!(found(0x1000, 0x8000), Ok(Some(expected)));
        assert!(found(0xff80, 0xfff8).is_ok(), "both may end with the BAR");
    }

    #[rstest]
    #[case(0xff88, 0x8000, "MSI-X table = 0xff88")]
    #[case(0x1001, 0x8000, "MSI-X table = 0x1001")]
    #[case(0x1007, 0x8000, "MSI-X table = 0x1007")]
    #[case(0x1000, 0x1_0000, "MSI-X pending bits = 0x10000")]
    fn what_is_in_no_bar_is_refused(#[case] table: u32, #[case] pending: u32, #[case] message: &str) {
        let error = found(table, pending).unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_device_without_the_capability_has_none() {
        let capabilities = [Capability { offset: 0x80, id: 0x10 }];
        assert_eq!(find(&Here { device: "x" }, &capabilities, &[], |_| 0), Ok(None));
    }
}
