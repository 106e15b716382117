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

use crate::report::Differs;
use crate::report::Outcome;
use crate::report::ScenarioReport;
use crate::report::StepReport;
use crate::report::story::Story;
use crate::report::story::Who;
use crate::requires;
use crate::scenario::Loaded;
use crate::step;
use crate::step::Scene;
use crate::step::Verdict;
use crate::trace::Journal;
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

/// Runs one scenario, and writes down what there is to see of it.
pub fn run_seen(maker: &Maker, scenario: &Loaded) -> ScenarioReport {
    run(&Maker { journal: Some(Journal::default()), ..maker.clone() }, scenario)
}

/// What became of a scenario, why, and of its steps; and what there is to see of it.
pub(crate) type Judged = (Outcome, Option<String>, Vec<StepReport>, Story);

/// The report of a scenario, which is skipped where something is missing, and else judged.
pub(crate) fn reported(
    maker: &Maker,
    scenario: &Loaded,
    judged: impl FnOnce(&Maker, &Loaded) -> Judged,
) -> ScenarioReport {
    let begun = Instant::now();
    let (outcome, reason, steps, story) = match requires::missing(scenario, maker) {
        Some(reason) => (Outcome::Skipped, Some(reason), Vec::new(), Story::default()),
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
        story,
    }
}

fn judged(maker: &Maker, scenario: &Loaded) -> Judged {
    let journal = maker.journal.as_ref();
    let begun = if scenario.scenario.attach { Who::Machine } else { Who::User };
    journal.iter().for_each(|journal| journal.begin(0, begun));
    let scene = scene(maker, scenario);
    let attached = scene.is_ok() && scenario.scenario.refused.is_none();
    let mut steps = match (scene, &scenario.scenario.refused) {
        (Ok(mut scene), None) => carried_out(&mut scene, scenario, journal),
        (Ok(_), Some(because)) => {
            let (seen, expected) = ("attached".to_owned(), format!("to be refused because of {because:?}"));
            vec![StepReport::new("attach", Verdict::Differs { seen, expected })]
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
            let report = StepReport::new(kind, Verdict::Failed(error.to_string()));
            vec![StepReport { differs: differs(&error), ..report }]
        }
    };
    if !attached {
        let failed = steps.iter_mut().filter(|step| step.outcome == Outcome::Failed);
        failed.for_each(|step| step.cause = journal.and_then(|journal| journal.cause(&step.detail)));
        journal.iter().for_each(|journal| journal.belongs_to_first());
    }
    let failed = steps.iter().find(|step| step.outcome == Outcome::Failed).map(|step| step.detail.clone());
    let outcome = if failed.is_some() { Outcome::Failed } else { Outcome::Passed };
    (outcome, failed, steps, journal.map(Journal::story).unwrap_or_default())
}

fn carried_out(scene: &mut Scene, scenario: &Loaded, journal: Option<&Journal>) -> Vec<StepReport> {
    let steps = (1..).zip(&scenario.scenario.steps);
    let carried_out = steps.map(|(number, step)| {
        journal.iter().for_each(|journal| journal.begin(number, step::on_behalf_of(step)));
        let mut report = StepReport::new(step.kind(), step::carry_out(scene, step));
        if report.outcome == Outcome::Failed {
            report.cause = journal.and_then(|journal| journal.cause(&report.detail));
        }
        report
    });
    let carried_out = carried_out.collect();
    // What the machine says when it comes to its end belongs to no step.
    let behind = scenario.scenario.steps.len().saturating_add(1);
    journal.iter().for_each(|journal| journal.begin(behind, Who::Machine));
    carried_out
}

/// Where the steps of a scenario are carried out.
fn scene(maker: &Maker, scenario: &Loaded) -> Result<Scene, WorldError> {
    Ok(match scenario.scenario.attach {
        true => Scene::Machine(Box::new(maker.world(scenario)?)),
        false => Scene::Opened(maker.open(scenario)?),
    })
}

/// What was seen and what was expected, if that is why there is no world.
fn differs(error: &WorldError) -> Option<Differs> {
    let WorldError::Program(ProgramError::Unexpected { device, register, seen, expected }) = error else {
        return None;
    };
    Some(Differs { seen: format!("{device}: {register} reads {seen}"), expected: expected.to_string() })
}

fn refused(refusal: &str, because: &str) -> Verdict {
    if refusal.contains(because) {
        Verdict::Passed(refusal.to_owned())
    } else {
        Verdict::Differs { seen: refusal.to_owned(), expected: format!("{because:?}") }
    }
}
