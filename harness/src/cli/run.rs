//! `cxl-sim run`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use sim_device::kernel::ABIS;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use vmm_core::backend::Shared;
use vmm_core::discover::discover;

use super::FAILED;
use super::Failure;
use super::args::Guest;
use super::args::Run;
use super::progress::Progress;
use super::reports::Open;
use super::reports::open_reports;
use super::reports::write_reports;
use super::this_program;
use super::watch::watch;
use crate::lent;
use crate::report::ScenarioReport;
use crate::report::Summary;
use crate::report::json::Report;
use crate::report::paint::Paint;
use crate::report::shard::Part;
use crate::report::text;
use crate::requires::PLAIN;
use crate::runner;
use crate::scenario::Loaded;
use crate::scenario::find::find;
use crate::world::GuestKind;
use crate::world::Hardware;
use crate::world::Maker;
use crate::world::Source;
use crate::world::WorldError;
use crate::world::best_guest;

pub(super) fn run(args: &Run) -> Result<ExitCode, Failure> {
    if args.jobs == 0 {
        return Err(Failure::Usage("--jobs 0: must be at least 1".to_owned()));
    }
    if args.watch { watch(args) } else { once(args) }
}

/// Runs the scenarios once.
pub(super) fn once(args: &Run) -> Result<ExitCode, Failure> {
    let (part, scenarios) = chosen(args)?;
    let reports = open_reports(&args.reports)?;
    let (guest, why) = guest(args.guest);
    let maker = maker(args, guest)?;
    announce(&maker, &scenarios, why.as_deref())?;
    // A line that is lost here is not the last one: the summary is lost, too, and that is told.
    let (progress, paint) = (Progress::of(scenarios.len()), Paint::of_standard_output());
    let say = |one: &ScenarioReport| {
        let text = text::scenario(one, maker.guest.name(), paint);
        progress.done(one.outcome, || drop(say(&text)));
    };
    // Somebody else's server serves one client after another: a second one would wait for nothing.
    let jobs = if maker.source.is_made() { args.jobs } else { 1 };
    let is_seen = reports.iter().any(Open::is_seen);
    let done = runner::run_all(&scenarios, jobs, &|one| run_one(&maker, &args.paths, is_seen, one), &say);
    progress.end();
    let report = Report::new(part, done);
    write_reports(reports, &report)?;
    ended(&report, args.no_skip)
}

/// The last line of a report, and the exit code.
pub(super) fn ended(report: &Report, no_skip: bool) -> Result<ExitCode, Failure> {
    say(&text::summary(&report.scenarios))?;
    let Summary { failed, skipped, .. } = report.summary;
    let bad = failed > 0 || no_skip && skipped > 0;
    Ok(if bad { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn run_one(maker: &Maker, paths: &[PathBuf], is_seen: bool, scenario: &Loaded) -> ScenarioReport {
    match maker.source {
        Source::Lent(way) => lent::run(maker, way, paths, scenario),
        _ if is_seen => runner::run_seen(maker, scenario),
        _ => runner::run(maker, scenario),
    }
}

/// How worlds are made. Hardware is looked at first: what it is decides what can be run with it.
fn maker(args: &Run, guest: GuestKind) -> Result<Maker, Failure> {
    let (program, timeout) = (this_program()?, args.timeout.0);
    let source = args.lend.map_or_else(|| args.device.source(), Source::Lent);
    let allow_touch = args.allow_touch;
    let is_lent = args.as_wanted || args.lend.is_some();
    let hardware = if is_lent { Hardware::LENT } else { Hardware { allow_touch, ..Hardware::default() } };
    let maker = Maker { program, source, abi: args.abi, guest, timeout, hardware, journal: None };
    let looks = maker.source.is_hardware() && !is_lent;
    let Some(place) = maker.source.place().filter(|_| looks) else { return Ok(maker) };
    let backend = Shared::of(place.connect(timeout, false).map_err(WorldError::from)?);
    let found = discover(&backend).map_err(WorldError::from)?;
    let (ids, config) = (Profile::default().ids, &found.config);
    let simulated = (config.vendor, config.device) == (ids.vendor, ids.device);
    let cxl = found.cxl;
    let firmware_committed = cxl.as_ref().is_some_and(|cxl| cxl.firmware_committed);
    let seen = cxl.map_or(PLAIN, |cxl| cxl.description.revision.name());
    let abi = args.abi.or_else(|| Abi::named(seen));
    Ok(Maker { abi, hardware: Hardware { allow_touch, firmware_committed, simulated, ..hardware }, ..maker })
}

/// The scenarios of the part of the run that is asked for.
fn chosen(args: &Run) -> Result<(Part, Vec<Loaded>), Failure> {
    let all = find(&args.paths)?;
    let wanted = |one: &Loaded| args.filter.as_ref().is_none_or(|filter| filter.is_match(&one.name));
    let matching: Vec<_> = all.into_iter().filter(wanted).collect();
    if matching.is_empty() {
        let filter = args.filter.as_ref().map_or("", |filter| filter.as_str());
        return Err(Failure::Usage(format!("--filter {filter}: no scenario has such a name")));
    }
    let names = matching.iter().map(|one| (one.name.as_str(), one.file.as_str()));
    let part = Part::new(args.shard.numbers(), names);
    let numbered = matching.into_iter().enumerate();
    let mine = numbered.filter(|(number, _)| part.has(*number)).map(|(_, one)| one).collect();
    Ok((part, mine))
}

pub(super) fn guest(wanted: Guest) -> (GuestKind, Option<String>) {
    match wanted {
        Guest::Auto => best_guest(),
        Guest::Kvm => (GuestKind::Kvm, None),
        Guest::Soft => (GuestKind::Soft, None),
    }
}

fn announce(maker: &Maker, scenarios: &[Loaded], why: Option<&str>) -> Result<(), Failure> {
    let source = &maker.source;
    let guest = maker.guest.name();
    let because = why.map(|why| format!(" (no KVM: {why})")).unwrap_or_default();
    let used: Vec<_> = scenarios.iter().map(|one| maker.abi_for(one).name).collect();
    let abis = ABIS.iter().filter(|abi| used.contains(&abi.name)).map(Abi::to_string);
    let (count, abis) = (scenarios.len(), abis.collect::<Vec<_>>().join(", "));
    say(&format!("{count} scenarios, device {source}, abi {abis}, guest {guest}{because}"))
}

/// Says a line. Whoever closed our standard output does not want to hear it; the exit code tells the rest.
///
/// # Errors
/// If the line is lost for another reason: a full disk, for example.
pub(super) fn say(line: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}
