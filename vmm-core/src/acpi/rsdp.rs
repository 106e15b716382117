//! RSDP: the root pointer, which says where the XSDT is. Where it is itself, a guest is told or searches.

use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use cxl_spec::address::Gpa;

use super::sealed::OEM_ID;

/// Its length.
pub(super) const SIZE: u64 = 36;

/// The root pointer, to the XSDT that is here.
pub(super) fn table(xsdt: Gpa) -> Vec<u8> {
    let mut bytes = Vec::new();
    Rsdp::new(OEM_ID, xsdt.get()).to_aml_bytes(&mut bytes);
    bytes
}
