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
use crate::report::story::Story;
use crate::runner;
use crate::runner::Judged;
use crate::scenario::Loaded;
use crate::world::Maker;

/// The address of the device, for whom it is lent to.
const BDF: &str = "0000:c1:00.0";

/// Runs a scenario of those at `paths` with a device that is lent by this way.
pub fn run(maker: &Maker, way: Way, paths: &[PathBuf], scenario: &Loaded) -> ScenarioReport {
    runner::reported(maker, scenario, |maker, scenario| match by_another(maker, way, paths, scenario) {
        Ok(ScenarioReport { outcome, reason, steps, story, .. }) => (outcome, reason, steps, story),
        Err(why) => failed(why),
    })
}

fn failed(why: String) -> Judged {
    (Outcome::Failed, Some(why), Vec::new(), Story::default())
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
    let reports = json::parse(&text).map(|report| report.scenarios).unwrap_or_default();
    // Two folders may have a scenario of one name, and a file several scenarios.
    let is_it = |report: &ScenarioReport| (&report.file, &report.name) == (&scenario.file, &scenario.name);
    let found = reports.into_iter().find(is_it);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sim_device::kernel::Abi;

    use super::*;
    use crate::world::GuestKind;
    use crate::world::Hardware;
    use crate::world::Source;

    const TEXT: &str = "proves = \"x\"\nrefused = \"y\"\n[[device]]\nname = \"a\"\n";

    fn maker(program: &str) -> Maker {
        Maker {
            program: program.into(),
            source: Source::Lent(Way::Iommufd),
            abi: Abi::named("v3"),
            guest: GuestKind::Soft,
            timeout: Duration::from_millis(1500),
            hardware: Hardware::LENT,
            journal: None,
        }
    }

    #[test]
    fn the_other_process_is_told_of_one_scenario_and_by_which_way_its_device_is_reached() {
        let scenario = Loaded::parse("a.b/c+d", "c+d.toml", TEXT, None).unwrap();
        let words = running(&maker("/x"), Way::Iommufd, &scenario).join(" ");
        assert_eq!(
            words,
            "run --as-wanted --device vfio:0000:c1:00.0,iommufd --abi v3 --guest soft --timeout 1.5 \
             --filter ^a\\.b/c\\+d$"
        );
    }

    #[test]
    fn the_device_that_is_lent_is_the_one_that_the_scenario_wants() {
        let folder = tempfile::tempdir().unwrap();
        let words = |scenario: &Loaded| -> Vec<String> {
            let command = lending(&maker("/x"), scenario, folder.path()).unwrap();
            command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect()
        };
        let usual = Loaded::parse("a", "a.toml", TEXT, None).unwrap();
        assert_eq!(words(&usual), ["lend", "--bdf", "0000:c1:00.0", "--abi", "v3", "--"]);
        let own = Loaded::parse("a", "a.toml", &format!("{TEXT}with.decoder.count = 2"), None).unwrap();
        let words = words(&own);
        assert_eq!(words[5], "--profile");
        assert!(std::fs::read_to_string(&words[6]).unwrap().contains("count = 2"));
    }

    #[test]
    fn a_process_that_reports_nothing_is_a_failure_and_says_what_it_said() {
        let scenario = Loaded::parse("a", "a.toml", TEXT, None).unwrap();
        let report = run(&maker("false"), Way::Type1, &[], &scenario);
        assert_eq!(report.outcome, Outcome::Failed);
        assert!(report.reason.unwrap().starts_with("lending: exit status: 1"));
    }
}
