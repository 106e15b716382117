//! Tables in guest memory: from the root pointer by the XSDT to each of them, by loads of the guest.

use cxl_spec::access::Width;
use cxl_spec::address::Gpa;
use vmm_core::acpi::TABLES_SIZE;
use vmm_core::acpi::read::Bytes;
use vmm_core::acpi::read::sum;
use vmm_core::plan::machine::Arch;
use vmm_core::run::Running;
use vmm_core::run::guest::GuestError;

/// Where the root pointer is searched on x86-64, at multiples of 16.
const SEARCHED: std::ops::Range<u64> = 0xe_0000..0x10_0000;

/// How the root pointer begins.
const ROOT: &[u8; 8] = b"RSD PTR ";

/// Length of the root pointer.
const ROOT_SIZE: u64 = 36;

/// Length of a table's header.
const HEADER_SIZE: u64 = 36;

/// Why there is no table to be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The guest did not do as it was told.
    #[error(transparent)]
    Guest(#[from] GuestError),
    /// Something is wrong with what it found.
    #[error("{0}")]
    Wrong(String),
}

impl From<String> for Unread {
    fn from(wrong: String) -> Self {
        Self::Wrong(wrong)
    }
}

/// The bytes of the table with this signature; nothing where the XSDT leads to none.
///
/// # Errors
/// If a table on the way is not sound, or two have the signature.
pub fn table(running: &mut Running, signature: &str) -> Result<Option<Vec<u8>>, Unread> {
    let root = root(running)?;
    let xsdt = sound(running, Bytes { name: "RSDP", bytes: &root }.u64(24)?, "XSDT")?;
    if signature == "XSDT" {
        return Ok(Some(xsdt));
    }
    if signature == "DSDT" {
        let fadt = listed(running, &xsdt, "FACP")?.ok_or_else(|| "there is no FACP".to_owned())?;
        let at = Bytes { name: "FACP", bytes: &fadt }.u64(140)?;
        return sound(running, at, signature).map(Some);
    }
    listed(running, &xsdt, signature)
}

/// The table with this signature that the XSDT leads to.
fn listed(running: &mut Running, xsdt: &[u8], signature: &str) -> Result<Option<Vec<u8>>, Unread> {
    let mut found = None;
    for (_, entry) in (Bytes { name: "XSDT", bytes: xsdt }).parts(36, |_| Ok(8))? {
        let at = entry.u64(0)?;
        let is_it = read(running, at, 4)? == signature.as_bytes();
        if is_it && found.replace(at).is_some() {
            return Err(format!("{signature}: the XSDT leads to two").into());
        }
    }
    found.map(|at| sound(running, at, signature)).transpose()
}

/// The root pointer: searched on x86-64, and handed over by firmware on aarch64.
fn root(running: &mut Running) -> Result<Vec<u8>, Unread> {
    let at = match running.plan().machine.arch {
        Arch::X86_64 => search(running)?,
        Arch::Aarch64 => running.plan().tables.root.span.start().get(),
    };
    let bytes = read(running, at, ROOT_SIZE)?;
    let root = Bytes { name: "RSDP", bytes: &bytes };
    root.holds(root.run(0, 8)? == ROOT, &format!("signature at {at:#x}"))?;
    root.is("checksum of the first 20 bytes", sum(root.run(0, 20)?), 0)?;
    root.is("revision", root.u8(15)?, 2)?;
    root.is("length", u64::from(root.u32(20)?), ROOT_SIZE)?;
    root.is("checksum", sum(root.bytes), 0)?;
    Ok(bytes)
}

fn search(running: &mut Running) -> Result<u64, Unread> {
    for at in SEARCHED.step_by(16) {
        if running.load(Gpa::new(at), Width::Qword)? == u64::from_le_bytes(*ROOT) {
            return Ok(at);
        }
    }
    let (from, to) = (SEARCHED.start, SEARCHED.end);
    Err(format!("RSDP: found nowhere from {from:#x} to {to:#x}").into())
}

/// The table at an address, if it is the one and is not spoilt.
fn sound(running: &mut Running, at: u64, signature: &str) -> Result<Vec<u8>, Unread> {
    let header = read(running, at, HEADER_SIZE)?;
    let header = Bytes { name: signature, bytes: &header };
    header.holds(header.run(0, 4)? == signature.as_bytes(), &format!("signature at {at:#x}"))?;
    let length = u64::from(header.u32(4)?);
    let fits = (HEADER_SIZE..=TABLES_SIZE).contains(&length);
    header.holds(fits, &format!("length is {length:#x}"))?;
    let bytes = read(running, at, length)?;
    header.is("checksum", sum(&bytes), 0)?;
    Ok(bytes)
}

/// What the guest loads from there on.
fn read(running: &mut Running, at: u64, length: u64) -> Result<Vec<u8>, GuestError> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    while offset < length {
        let width = if length.saturating_sub(offset) >= 8 { Width::Qword } else { Width::Byte };
        let value = running.load(Gpa::new(at.saturating_add(offset)), width)?;
        let (loaded, count) = width.to_bytes(value);
        bytes.extend(loaded.iter().take(count));
        offset = offset.saturating_add(width.bytes());
    }
    Ok(bytes)
}
