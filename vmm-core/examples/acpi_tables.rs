//! Writes the tables of the sample machines below a folder, a file each: `MACHINE/TABLE.dat`.
//!
//! `cargo run -p vmm-core --example acpi_tables -- FOLDER`

use std::io;
use std::path::PathBuf;

use vmm_core::acpi;
use vmm_core::acpi::sample;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("say which folder the tables go to"))?;
    for (name, system) in sample::all() {
        let machine = system.check().map_err(io::Error::other)?;
        let below = folder.join(name);
        std::fs::create_dir_all(&below)?;
        for table in acpi::tables(&machine) {
            std::fs::write(below.join(format!("{}.dat", table.name)), &table.bytes)?;
        }
    }
    Ok(())
}
