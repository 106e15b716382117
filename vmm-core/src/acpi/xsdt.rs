//! XSDT: where the other tables are. The DSDT is not among them: the FADT, which is first, says where that is.

use acpi_tables::Aml;
use acpi_tables::xsdt::XSDT;
use cxl_spec::address::Gpa;

use super::sealed::OEM_ID;
use super::sealed::OEM_REVISION;
use super::sealed::OEM_TABLE_ID;

/// The table with these entries.
pub(super) fn table(entries: &[Gpa]) -> Vec<u8> {
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for entry in entries {
        xsdt.add_entry(entry.get());
    }
    let mut bytes = Vec::new();
    xsdt.to_aml_bytes(&mut bytes);
    bytes
}
