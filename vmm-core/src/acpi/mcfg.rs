//! MCFG: where configuration space is.

use acpi_tables::Aml;
use acpi_tables::mcfg::MCFG;

use super::sealed::OEM_ID;
use super::sealed::OEM_REVISION;
use super::sealed::OEM_TABLE_ID;
use super::system::System;

/// The table: one entry, for all host bridges of the segment.
pub(super) fn table(system: &System) -> Vec<u8> {
    let ecam = &system.ecam;
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    // The check has seen that there are 1 to 256 buses.
    let last = ecam.buses.saturating_sub(1) as u8;
    mcfg.add_ecam(ecam.base.get(), ecam.segment, 0, last);
    let mut bytes = Vec::new();
    mcfg.to_aml_bytes(&mut bytes);
    bytes
}
