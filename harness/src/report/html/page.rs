//! The page as a whole.

use std::collections::BTreeMap;

use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;

use super::device;
use super::picture;
use super::timeline;
use super::topology;
use crate::report::Outcome;
use crate::report::ScenarioReport;
use crate::report::Summary;

/// How the page looks.
const STYLE: &str = include_str!("style.css");

const OUTCOMES: [Outcome; 3] = [Outcome::Failed, Outcome::Passed, Outcome::Skipped];

/// The page of a run.
pub(super) fn page(scenarios: &[ScenarioReport]) -> Markup {
    let summary = Summary::of(scenarios);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "cxl-sim: " (counted(summary)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (picture::patterns())
                (head(scenarios, summary))
                main {
                    (folders(scenarios))
                    (legend())
                    section #scenarios {
                        @for (number, one) in ordered(scenarios) { (scenario(number, one)) }
                    }
                }
            }
        }
    }
}

/// The scenarios with their numbers: those first that failed.
fn ordered(scenarios: &[ScenarioReport]) -> Vec<(usize, &ScenarioReport)> {
    let mut ordered: Vec<_> = (1..).zip(scenarios).collect();
    ordered.sort_by_key(|(_, one)| one.outcome != Outcome::Failed);
    ordered
}

fn counted(summary: Summary) -> String {
    let Summary { passed, failed, skipped } = summary;
    format!("passed {passed}, failed {failed}, skipped {skipped}")
}

fn count_of(summary: Summary, outcome: Outcome) -> usize {
    match outcome {
        Outcome::Passed => summary.passed,
        Outcome::Failed => summary.failed,
        Outcome::Skipped => summary.skipped,
    }
}

/// What became of the run, and what to show of it.
fn head(scenarios: &[ScenarioReport], summary: Summary) -> Markup {
    let seconds: f64 = scenarios.iter().map(|one| one.duration_s).sum();
    let verdict = if summary.failed > 0 { "failed" } else { "passed" };
    html! {
        header.(verdict) {
            h1 { "cxl-sim" }
            p.facts {
                (scenarios.len()) " scenarios, " (format!("{seconds:.1}")) " s, cxl-sim " (env!("CARGO_PKG_VERSION"))
            }
            div.bar aria-hidden="true" {
                @for outcome in OUTCOMES {
                    @let count = count_of(summary, outcome);
                    @if count > 0 { span.(outcome.word()) style=(format!("flex-grow:{count}")) {} }
                }
            }
            fieldset.filter {
                legend { "show" }
                label { input #show-all type="radio" name="show" checked; span { "all " b { (scenarios.len()) } } }
                @for outcome in OUTCOMES {
                    label {
                        input id={ "show-" (outcome.word()) } type="radio" name="show";
                        span.(outcome.word()) { (outcome.word()) " " b { (count_of(summary, outcome)) } }
                    }
                }
            }
        }
    }
}

/// The folder of a scenario: what its name has before the last slash.
fn folder(scenario: &ScenarioReport) -> &str {
    scenario.name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What became of the scenarios of each folder.
fn folders(scenarios: &[ScenarioReport]) -> Markup {
    let mut folders: BTreeMap<&str, (usize, Vec<&ScenarioReport>)> = BTreeMap::new();
    for (number, one) in (1..).zip(scenarios) {
        folders.entry(folder(one)).or_insert((number, Vec::new())).1.push(one);
    }
    if folders.len() < 2 {
        return html! {};
    }
    html! {
        section.folders {
            ul {
                @for (name, (first, inside)) in folders {
                    li {
                        a href={ "#s" (first) } { (if name.is_empty() { "." } else { name }) }
                        @for outcome in OUTCOMES {
                            @let count = inside.iter().filter(|one| one.outcome == outcome).count();
                            @if count > 0 { span.count.(outcome.word()) { (count) " " (outcome.word()) } }
                        }
                    }
                }
            }
        }
    }
}

fn legend() -> Markup {
    html! {
        p.legend {
            span.key { i.maps {} "maps: memory, the guest is not interrupted" }
            span.key { i.traps {} "traps: every access is a call" }
            span.key { i.overlay {} "COMP_REGS: component registers over a BAR, trap" }
            span.key { i.nothing {} "nothing answers" }
        }
    }
}

fn scenario(number: usize, one: &ScenarioReport) -> Markup {
    let is_open = one.outcome == Outcome::Failed;
    html! {
        details.scenario.(one.outcome.word()) open[is_open] {
            summary {
                span.outcome { (one.outcome.word()) }
                span.name { (one.name) }
                span.facts { (one.abi) " · " (one.guest) " · " (format!("{:.2} s", one.duration_s)) }
                span.proves { (one.proves) }
            }
            div.body {
                a id={ "s" (number) } {}
                @if let (Outcome::Skipped, Some(reason)) = (one.outcome, &one.reason) { p.reason { (reason) } }
                (timeline::failure(one))
                (figures(one))
                (timeline::steps(one))
                p.file { (one.file) }
            }
        }
    }
}

fn figures(one: &ScenarioReport) -> Markup {
    let story = &one.story;
    html! {
        @if !story.map.is_empty() {
            div.figures {
                figure { figcaption { "guest addresses" } (picture::map(&story.map)) }
                @if let Some(topology) = &story.topology {
                    div.stack {
                        figure { figcaption { "topology" } (topology::topology(topology)) }
                        @for device in &topology.devices {
                            figure { figcaption { (device.name) } (device::device(device, &story.map)) }
                        }
                    }
                }
            }
        }
    }
}
