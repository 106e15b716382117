//! ACPICA judges the machine's ACPI tables: its compiler takes them apart and makes them anew, its interpreter
//! evaluates their methods.
//!
//! ```text
//!  example acpi_tables ──▶ MACHINE/TABLE.dat ──▶ iasl -d ──▶ text: no complaint, values as typed below
//!                                │                            └──▶ iasl ──▶ the same bytes
//!                                └─ DSDT.dat ──▶ acpiexec: _OSC, _DSM, _CRS
//! ```
//!
//! What iasl cannot do: it does not know the RSDP, so that table is not shown to it. It puts its own name and
//! version where a table names its creator, so these eight bytes differ, and the checksum with them. It takes what
//! it finds for right (a restriction that cannot be, a window at no multiple of 256 MiB, a reference to no node of
//! the IORT), so values are compared with what is typed here. The rules are for the tests beside the encoder.

mod acpiexec;
mod iasl;

use std::path::Path;

use tempfile::TempDir;

use super::root::Root;
use crate::commands::cargo;
use crate::commands::run;
use crate::step::Outcome;
use crate::workspace::Workspace;

/// The machines of the example, and the tables that each has beside the RSDP.
pub(super) const MACHINES: [(&str, &[&str]); 3] = [
    ("virt", &["APIC", "CEDT", "DSDT", "FACP", "GTDT", "HMAT", "IORT", "MCFG", "SPCR", "SRAT", "XSDT"]),
    ("q35", &["APIC", "CEDT", "DSDT", "FACP", "HMAT", "MCFG", "SPCR", "SRAT", "XSDT"]),
    ("bare", &["APIC", "DSDT", "FACP", "HMAT", "MCFG", "SRAT", "XSDT"]),
];

/// The table that iasl does not know.
const ROOT_POINTER: &str = "RSDP";

/// Shows ACPICA the tables of all machines.
pub(crate) fn check(workspace: &Workspace) -> Outcome {
    match Root::find(workspace).map(|root| judged(workspace, &root)) {
        Ok(Ok(said)) => Outcome::Passed(said),
        Ok(Err(said)) => Outcome::Failed(said),
        Err(reason) => Outcome::Skipped(reason),
    }
}

/// A folder with a folder of tables for each machine.
pub(super) fn written(workspace: &Workspace, root: &Root) -> Result<TempDir, String> {
    let folder = root.folder()?;
    let mut write = cargo(workspace, "run -q --package vmm-core --example acpi_tables --");
    write.arg(folder.path());
    run(write).map(|_| folder)
}

fn judged(workspace: &Workspace, root: &Root) -> Result<String, String> {
    let folder = written(workspace, root)?;
    let mut counts = [0_usize; 3];
    for (machine, tables) in MACHINES {
        let below = folder.path().join(machine);
        complete(&below, tables)?;
        for table in tables {
            let told = |said: String| format!("{machine}: {table}: {said}");
            let text = iasl::round_trip(root, &below, table).map_err(told)?;
            let [round_trips, values, _] = &mut counts;
            *round_trips = round_trips.saturating_add(1);
            *values = values.saturating_add(iasl::compare(machine, table, &text).map_err(told)?);
        }
        let told = |said: String| format!("{machine}: DSDT: {said}");
        let asked = acpiexec::evaluate(root, machine, &below.join("DSDT.dat")).map_err(told)?;
        let [_, _, evaluations] = &mut counts;
        *evaluations = evaluations.saturating_add(asked);
    }
    let [round_trips, values, evaluations] = counts;
    Ok(format!("{round_trips} tables made anew, {values} values, {evaluations} evaluations"))
}

/// Whether the files of a machine are those that are expected.
fn complete(folder: &Path, tables: &[&str]) -> Result<(), String> {
    let unreadable = |error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        found.push(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned());
    }
    let mut expected: Vec<_> =
        tables.iter().chain([&ROOT_POINTER]).map(|name| format!("{name}.dat")).collect();
    found.sort();
    expected.sort();
    let (found, expected) = (found.join(" "), expected.join(" "));
    if found == expected { Ok(()) } else { Err(format!("the tables are {found}, not {expected}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_missing_or_that_nobody_expects_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["RSDP.dat", "APIC.dat"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(complete(folder.path(), &["APIC"]), Ok(()));
        let said = complete(folder.path(), &["APIC", "CEDT"]).unwrap_err();
        assert_eq!(said, "the tables are APIC.dat RSDP.dat, not APIC.dat CEDT.dat RSDP.dat");
        let said = complete(folder.path(), &[]).unwrap_err();
        assert_eq!(said, "the tables are APIC.dat RSDP.dat, not RSDP.dat");
    }
}
