//! `cxl-sim acpi`: the tables by which a guest would know a scenario's machine, as files for other programs.

use std::process::ExitCode;

use vmm_core::acpi::system::System;
use vmm_core::acpi::tables;

use super::Failure;
use super::args::Acpi;
use super::file_failure;
use super::plan::planned;
use super::plan::scenario;
use super::run::say;

pub(super) fn acpi(args: &Acpi) -> Result<ExitCode, Failure> {
    let scenario = scenario(&args.scenario)?;
    let scenario = match args.arch {
        Some(arch) => scenario.on(arch),
        None => scenario,
    };
    let plan = planned(&scenario, args.timeout)?;
    let checked = System::of(&plan).check().map_err(|error| Failure::Failed(error.to_string()))?;
    std::fs::create_dir_all(&args.out).map_err(|error| file_failure(&args.out, &error))?;
    for table in tables(&checked) {
        let path = args.out.join(format!("{}.dat", table.name));
        std::fs::write(&path, &table.bytes).map_err(|error| file_failure(&path, &error))?;
        say(&format!("{}: {} bytes for {}", path.display(), table.bytes.len(), table.address))?;
    }
    Ok(ExitCode::SUCCESS)
}
