//! What most tables share: a header of 36 bytes with the length and a checksum.

use acpi_tables::sdt::Sdt;

/// Whose tables these are.
pub(super) const OEM_ID: [u8; 6] = *b"CXLSIM";

/// Which of the owner's machines this is.
pub(super) const OEM_TABLE_ID: [u8; 8] = *b"CXLSIM  ";

/// Which revision of that machine.
pub(super) const OEM_REVISION: u32 = 1;

/// Length of the header.
pub(super) const HEADER_SIZE: u32 = 36;

/// A table: a header, and what is behind it.
pub(super) fn sealed(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = Sdt::new(signature, HEADER_SIZE, revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(body);
    table.as_slice().to_vec()
}
