//! The steps of a scenario, what was said to its devices in each, and why one failed.

use maud::Markup;
use maud::html;

use crate::report::Outcome;
use crate::report::ScenarioReport;
use crate::report::StepReport;
use crate::report::story::Event;
use crate::report::story::Who;

/// What was expected and what was seen, side by side, for each step that failed; with what was said last before it.
pub(super) fn failure(one: &ScenarioReport) -> Markup {
    let failed = (1..).zip(&one.steps).filter(|(_, step)| step.outcome == Outcome::Failed);
    let failed: Vec<(usize, &StepReport)> = failed.collect();
    html! {
        @for (number, step) in &failed {
            section.failure {
                h3 { "step " (number) " " (step.step) " failed" }
                @match &step.differs {
                    Some(differs) => div.sides {
                        div { h4 { "expected" } p { (differs.expected) } }
                        div { h4 { "seen" } p { (differs.seen) } }
                    },
                    None => p.seen { (step.detail) },
                }
                @if let Some(event) = cause(one, step) {
                    h4 { "after this access" @if event.step != *number { ", in step " (event.step) } }
                    table.events { (columns()) (row(event, false)) }
                }
            }
        }
        @if let (true, Outcome::Failed, Some(reason)) = (failed.is_empty(), one.outcome, &one.reason) {
            section.failure { p.seen { (reason) } }
        }
    }
}

fn cause<'a>(one: &'a ScenarioReport, step: &StepReport) -> Option<&'a Event> {
    let number = step.cause?;
    one.story.timeline.events.iter().find(|event| event.number == number)
}

/// The steps, with what was said in each.
pub(super) fn steps(one: &ScenarioReport) -> Markup {
    let events = &one.story.timeline.events;
    let before: Vec<_> = events.iter().filter(|event| event.step == 0).collect();
    html! {
        @if !before.is_empty() {
            details.step {
                summary { span.number { "0" } b { "before the steps" } (said(&before)) }
                (table(&before, 0, None))
            }
        }
        @for (number, step) in (1usize..).zip(&one.steps) {
            @let inside: Vec<_> = events.iter().filter(|event| event.step == number).collect();
            @let before = events.iter().rfind(|event| event.step < number).map_or(0, |event| event.number);
            details.step.(step.outcome.word()) open[step.outcome == Outcome::Failed] {
                summary {
                    span.number { (number) } b { (step.step) } " "
                    span.detail { (step.detail) } (said(&inside))
                }
                (table(&inside, before, step.cause))
            }
        }
        @let behind: Vec<_> = events.iter().filter(|event| event.step > one.steps.len()).collect();
        @if let (Some(first), false) = (behind.first(), one.steps.is_empty()) {
            @let before = events.iter().rfind(|event| event.number < first.number).map_or(0, |event| event.number);
            details.step {
                summary { span.number {} b { "behind the steps" } (said(&behind)) }
                (table(&behind, before, None))
            }
        }
    }
}

fn said(events: &[&Event]) -> Markup {
    html! { @if !events.is_empty() { span.said { (events.len()) } } }
}

/// What was said in a step; `before` is the number of what was said last before it, `cause` that of what it failed
/// at.
fn table(events: &[&Event], before: usize, cause: Option<usize>) -> Markup {
    let numbers = std::iter::once(before).chain(events.iter().map(|event| event.number));
    html! {
        @if events.is_empty() {
            p.quiet { "no call to a device: memory that is mapped, or the machine itself, answered" }
        } @else {
            table.events {
                (columns())
                @for (last, event) in numbers.zip(events) {
                    @let left_out = event.number.saturating_sub(last).saturating_sub(1);
                    @if left_out > 0 { tr.cut { td colspan="5" { "… and " (left_out) " more" } } }
                    (row(event, Some(event.number) == cause))
                }
            }
        }
    }
}

fn columns() -> Markup {
    html! { colgroup { col; col; col; col; col; } }
}

fn row(event: &Event, is_cause: bool) -> Markup {
    let Event { number, who, device, what, place, offset, value, words, failure, .. } = event;
    let millis = format!("{}.{:03} ms", event.at_us / 1000, event.at_us % 1000);
    html! {
        tr.cause[is_cause] {
            td title=(millis) { (number) }
            td { @if *who == Who::Device { (device) " → memory" } @else { (who.word()) " → " (device) } }
            @if place.is_empty() {
                td colspan="3" { (what) @if let Some(failure) = failure { " " em { (failure) } } }
            } @else {
                td { (what) }
                td {
                    span title=(offset) { (place) }
                    @if !words.is_empty() { ": " b { (words) } }
                    @if let Some(failure) = failure { " " em { (failure) } }
                }
                td { (value) }
            }
        }
    }
}
