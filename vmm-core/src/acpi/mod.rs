//! What a guest's firmware would tell it of the machine: the ACPI tables, as bytes. Pure, and it cannot fail.
//!
//! ```text
//!  System ─▶ check ─▶ Checked ─▶ dsdt, fadt, madt, ... ─▶ Table { name, address, bytes }
//!                                        └─▶ xsdt ─▶ rsdp, which comes first
//! ```
//!
//! A table is a file here. [`check`] refuses what no table may say, so encoding has nothing left to refuse.
//! Multi-byte values are little-endian throughout. AML, the FADT, the RSDP and the parts of the MADT come from
//! `acpi_tables`; the CEDT, the IORT, the HMAT, and the SRAT's ports, are ours.
//!
//! The machine is one of reduced hardware on both architectures: it has no power management block, so it
//! needs no FACS either. Interrupts of PCI devices are messages: there is no `_PRT`.

pub mod check;
pub mod drive;
pub mod of_plan;
pub mod read;
pub mod sample;
pub mod system;

mod cedt;
mod dsdt;
mod fadt;
mod gtdt;
mod hmat;
mod iort;
mod madt;
mod mcfg;
mod rsdp;
mod sealed;
mod spcr;
mod srat;
mod xsdt;

use cxl_spec::address::Gpa;

use check::Checked;
use system::Platform;
use system::System;

/// A table at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its signature; that of the first, the root pointer, is `RSDP` here.
    pub name: &'static str,
    /// Where it must be put: others refer to it by this address.
    pub address: Gpa,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The most that all tables of a machine take, with the gaps between them.
pub const TABLES_SIZE: u64 = 1 << 20;

/// What the address of a table is a multiple of.
const ALIGNMENT: u64 = 64;

/// The tables of a machine. The first is the root pointer, at [`System::root`].
pub fn tables(machine: &Checked) -> Vec<Table> {
    let system = machine.system();
    let mut shelf = Shelf { next: system.tables.get(), tables: Vec::new() };
    let dsdt = shelf.put("DSDT", dsdt::table(system));
    let first = shelf.put("FACP", fadt::table(system, dsdt));
    let mut entries = vec![first];
    entries.extend(described(system).into_iter().map(|(name, bytes)| shelf.put(name, bytes)));
    let xsdt = shelf.put("XSDT", xsdt::table(&entries));
    // Its bytes come last, when it is known what it points to.
    let root = Table { name: "RSDP", address: system.root, bytes: rsdp::table(xsdt) };
    std::iter::once(root).chain(shelf.tables).collect()
}

/// The tables that only the XSDT refers to.
fn described(system: &System) -> Vec<(&'static str, Vec<u8>)> {
    let mut tables = vec![
        ("APIC", madt::table(system)),
        ("MCFG", mcfg::table(system)),
        ("SRAT", srat::table(system)),
        ("HMAT", hmat::table(system)),
    ];
    if system.first_cxl().is_some() {
        tables.push(("CEDT", cedt::table(system)));
    }
    if let Platform::Aarch64 { timer, smmus, .. } = &system.platform {
        tables.push(("GTDT", gtdt::table(timer)));
        tables.push(("IORT", iort::table(system, smmus)));
    }
    tables.extend(system.uart.map(|uart| ("SPCR", spcr::table(&system.platform, &uart))));
    tables
}

/// Tables one behind the other.
struct Shelf {
    next: u64,
    tables: Vec<Table>,
}

impl Shelf {
    fn put(&mut self, name: &'static str, bytes: Vec<u8>) -> Gpa {
        let address = Gpa::new(self.next);
        // No sum gets near the end: the tables lie in RAM, and there is a bound to their lengths.
        self.next = self.next.saturating_add(bytes.len() as u64).next_multiple_of(ALIGNMENT);
        self.tables.push(Table { name, address, bytes });
        address
    }
}

#[cfg(test)]
mod tests;
