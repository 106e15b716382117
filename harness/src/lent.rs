//! Scenarios to which their device is lent: each is run by another process of this program, which finds the device as
//! one of the kernel's VFIO, and whose report becomes ours.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use vmm_core::backend::kernel::Way;

use crate::report::Outcome;
use crate::report::ScenarioReport;
use crate::report::json;
use crate::runner;
use crate::runner::Judged;
use crate::scenario::Loaded;
use crate::world::Maker;

/// The address of the device, for whom it is lent to.
const BDF: &str = "0000:c1:00.0";

/// Runs a scenario of those at `paths` with a device that is lent by this way.
pub fn run(maker: &Maker, way: Way, paths: &[PathBuf], scenario: &Loaded) -> ScenarioReport {
    runner::reported(maker, scenario, |maker, scenario| match by_another(maker, way, paths, scenario) {
        Ok(ScenarioReport { outcome, reason, steps, .. }) => (outcome, reason, steps),
        Err(why) => failed(why),
    })
}

fn failed(why: String) -> Judged {
    (Outcome::Failed, Some(why), Vec::new())
}

/// What another process reports of the scenario.
fn by_another(
    maker: &Maker,
    way: Way,
    paths: &[PathBuf],
    scenario: &Loaded,
) -> Result<ScenarioReport, String> {
    let failed = |error: std::io::Error| format!("lending: {error}");
    let folder = tempfile::Builder::new().prefix("cxl-sim-").tempdir().map_err(failed)?;
    let report = folder.path().join("report.json");
    let mut command = lending(maker, scenario, folder.path()).map_err(failed)?;
    command.arg(&maker.program).args(running(maker, way, scenario)).arg("--report").arg(&report).arg("--");
    command.args(paths).stdin(Stdio::null());
    let ended = command.output().map_err(failed)?;
    let text = std::fs::read_to_string(&report).unwrap_or_default();
    let reports = json::parse(&text).unwrap_or_default();
    // Two folders may have a scenario of one name.
    let found = reports.into_iter().find(|report| report.file == scenario.file);
    found.ok_or_else(|| {
        let said = String::from_utf8_lossy(&ended.stderr);
        format!("lending: {}: {}", ended.status, said.trim().replace('\n', "; "))
    })
}

/// A command that lends the scenario's device to what is still to be said.
fn lending(maker: &Maker, scenario: &Loaded, folder: &Path) -> std::io::Result<Command> {
    let mut command = Command::new(&maker.program);
    command.args(["lend", "--bdf", BDF, "--abi", maker.abi_for(scenario).name]);
    if let Some(profile) = scenario.profiles.first().and_then(Option::as_ref) {
        let path = folder.join("profile.toml");
        std::fs::write(&path, profile.to_toml())?;
        command.arg("--profile").arg(path);
    }
    command.arg("--");
    Ok(command)
}

/// What this program is told that runs the scenario.
fn running(maker: &Maker, way: Way, scenario: &Loaded) -> Vec<String> {
    let name = format!("^{}$", regex::escape(&scenario.name));
    let device = format!("vfio:{BDF},{}", way.name());
    let timeout = maker.timeout.as_secs_f64().to_string();
    let (abi, guest) = (maker.abi_for(scenario).name, maker.guest.name());
    let words = ["run", "--as-wanted", "--device", &device, "--abi", abi, "--guest", guest];
    let more = ["--timeout", &timeout, "--filter", &name];
    words.into_iter().chain(more).map(str::to_owned).collect()
}
