//! Running scenarios: each in a world of its own, several at a time if wanted.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use vmm_core::backend::Call;
use vmm_core::discover::DiscoverError;
use vmm_core::map::MapError;
use vmm_core::program::ProgramError;

use crate::report::Outcome;
use crate::report::ScenarioReport;
use crate::report::StepReport;
use crate::requires;
use crate::scenario::Loaded;
use crate::step;
use crate::step::Scene;
use crate::step::Verdict;
use crate::world::Maker;
use crate::world::WorldError;

/// Runs all scenarios as `run_one` does, at most `jobs` at a time, and tells `report` of each as it ends. The result
/// is in the order of the scenarios.
pub fn run_all(
    scenarios: &[Loaded],
    jobs: usize,
    run_one: &(dyn Fn(&Loaded) -> ScenarioReport + Sync),
    report: &(dyn Fn(&ScenarioReport) + Sync),
) -> Vec<ScenarioReport> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = scenarios.get(index) else { return };
            let one = run_one(scenario);
            report(&one);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, one));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scenarios.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, one)| one).collect()
}

/// Runs one scenario.
pub fn run(maker: &Maker, scenario: &Loaded) -> ScenarioReport {
    reported(maker, scenario, judged)
}

/// What became of a scenario, why, and of its steps.
pub(crate) type Judged = (Outcome, Option<String>, Vec<StepReport>);

/// The report of a scenario, which is skipped where something is missing, and else judged.
pub(crate) fn reported(
    maker: &Maker,
    scenario: &Loaded,
    judged: impl FnOnce(&Maker, &Loaded) -> Judged,
) -> ScenarioReport {
    let begun = Instant::now();
    let (outcome, reason, steps) = match requires::missing(scenario, maker) {
        Some(reason) => (Outcome::Skipped, Some(reason), Vec::new()),
        None => judged(maker, scenario),
    };
    ScenarioReport {
        name: scenario.name.clone(),
        file: scenario.file.clone(),
        proves: scenario.scenario.proves.clone(),
        outcome,
        reason,
        guest: maker.guest_for(scenario).name().to_owned(),
        abi: maker.abi_for(scenario).name.to_owned(),
        duration_s: begun.elapsed().as_secs_f64(),
        steps,
    }
}

fn judged(maker: &Maker, scenario: &Loaded) -> Judged {
    let steps = match (scene(maker, scenario), &scenario.scenario.refused) {
        (Ok(mut scene), None) => scenario
            .scenario
            .steps
            .iter()
            .map(|step| StepReport::new(step.kind(), step::carry_out(&mut scene, step)))
            .collect(),
        (Ok(_), Some(because)) => {
            let seen = format!("attached, expected to be refused because of {because:?}");
            vec![StepReport::new("attach", Verdict::Failed(seen))]
        }
        (Err(WorldError::Plan(refusal)), Some(because)) => {
            vec![StepReport::new("attach", refused(&refusal.to_string(), because))]
        }
        (Err(WorldError::Program(ProgramError::Map(MapError::Backend(refusal)))), Some(because))
            if matches!(refusal.call, Call::DmaMap { .. }) =>
        {
            vec![StepReport::new("attach", refused(&refusal.to_string(), because))]
        }
        (Err(WorldError::Discover(refusal @ DiscoverError::Undescribed { .. })), Some(because)) => {
            vec![StepReport::new("attach", refused(&refusal.to_string(), because))]
        }
        (Err(error), _) => {
            let kind = if scenario.scenario.attach { "attach" } else { "open" };
            vec![StepReport::new(kind, Verdict::Failed(error.to_string()))]
        }
    };
    let failed = steps.iter().find(|step| step.outcome == Outcome::Failed).map(|step| step.detail.clone());
    let outcome = if failed.is_some() { Outcome::Failed } else { Outcome::Passed };
    (outcome, failed, steps)
}

/// Where the steps of a scenario are carried out.
fn scene(maker: &Maker, scenario: &Loaded) -> Result<Scene, WorldError> {
    Ok(match scenario.scenario.attach {
        true => Scene::Machine(Box::new(maker.world(scenario)?)),
        false => Scene::Opened(maker.open(scenario)?),
    })
}

fn refused(refusal: &str, because: &str) -> Verdict {
    if refusal.contains(because) {
        Verdict::Passed(refusal.to_owned())
    } else {
        Verdict::Failed(format!("{refusal}, expected {because:?}"))
    }
}
