//! The page: what is on it, and that nothing foreign gets out of its place.

use regex::Regex;

use super::*;
use crate::report::Differs;
use crate::report::Outcome;
use crate::report::StepReport;
use crate::report::story::Bridge;
use crate::report::story::Device;
use crate::report::story::Event;
use crate::report::story::Part;
use crate::report::story::Placed;
use crate::report::story::Reach;
use crate::report::story::Story;
use crate::report::story::Timeline;
use crate::report::story::Topology;
use crate::report::story::Who;
use crate::report::story::Window;

/// A text that means something in a page, in every place where a text can be.
const HOSTILE: &str = "\"'></svg></style></title><script>alert(1)</script><!-- & \u{1b}[31m";

fn event(number: usize, step: usize, text: &str) -> Event {
    Event {
        number,
        step,
        at_us: 1500,
        who: Who::Guest,
        device: text.to_owned(),
        what: "write".to_owned(),
        place: "HDM decoder 0 CTRL".to_owned(),
        offset: text.to_owned(),
        value: text.to_owned(),
        words: "COMMIT 0→1, COMMITTED 0→1".to_owned(),
        failure: Some(text.to_owned()),
    }
}

fn story(text: &str) -> Story {
    let name = || text.to_owned();
    let part = |offset, reach| Part { name: name(), offset, size: 0x1000, reach };
    let placed = |start, parts: Vec<Part>| Placed {
        name: name(),
        kind: "bar".to_owned(),
        start,
        size: 0x2000,
        reach: Reach::Mixed,
        why: name(),
        parts,
    };
    let parts = vec![part(0, Reach::Maps), part(0x1000, Reach::Overlay)];
    let map = vec![placed(0, Vec::new()), placed(0x100, Vec::new()), placed(0x1_0000_0000, parts)];
    let bridge = |device| Bridge { name: name(), bus: 12, last_bus: 255, port: name(), device };
    let topology = Topology {
        bridges: vec![bridge(Some(name())), bridge(None)],
        windows: vec![Window {
            name: name(),
            start: 0,
            size: u64::MAX,
            targets: vec![name()],
            device: Some(name()),
        }],
        devices: vec![Device {
            name: name(),
            bdf: name(),
            base: u64::MAX,
            size: u64::MAX,
            mapped: true,
            bars: vec![name()],
        }],
    };
    let events = vec![event(1, 0, text), event(9, 1, text), event(10, 7, text)];
    Story { map, topology: Some(topology), timeline: Timeline { count: 12, events } }
}

fn scenario(text: &str, outcome: Outcome) -> ScenarioReport {
    let differs = Differs { seen: format!("seen {text}"), expected: format!("wanted {text}") };
    ScenarioReport {
        name: text.to_owned(),
        file: text.to_owned(),
        proves: text.to_owned(),
        outcome,
        reason: Some(text.to_owned()),
        guest: text.to_owned(),
        abi: text.to_owned(),
        duration_s: 0.5,
        steps: vec![StepReport {
            step: text.to_owned(),
            outcome,
            detail: text.to_owned(),
            differs: (outcome == Outcome::Failed).then_some(differs),
            cause: Some(9),
        }],
        story: story(text),
    }
}

/// What is wrong with the elements of a page: each that is opened must be closed, in order.
fn malformed(page: &str) -> Option<String> {
    let style = Regex::new("(?s)<style>.*?</style>").unwrap();
    let page = style.replace(page, "").replacen("<!DOCTYPE html>", "", 1);
    let tag = Regex::new(r#"<(/?)([a-z][A-Za-z0-9]*)((?: [A-Za-z][A-Za-z0-9-]*(?:="[^"<]*")?)*)>"#).unwrap();
    let mut open = Vec::new();
    for found in tag.captures_iter(&page) {
        match (&found[1], &found[2]) {
            ("", "meta" | "input" | "col") => {}
            ("", name) => open.push(name.to_owned()),
            (_, name) if open.last().is_some_and(|last| last == name) => drop(open.pop()),
            (_, name) => return Some(format!("</{name}> in {open:?}")),
        }
    }
    let rest = tag.replace_all(&page, "");
    match rest.find(['<', '>']) {
        Some(at) => Some(format!("{:?} is no element", rest.chars().skip(at).take(40).collect::<String>())),
        None => (!open.is_empty()).then(|| format!("{open:?} is not closed")),
    }
}

#[test]
fn what_is_malformed_is_seen() {
    assert_eq!(malformed("<!DOCTYPE html><html><p class=\"a\">1 &lt; 2</p></html>"), None);
    for wrong in ["<p>", "<p></b></p>", "<p>1 < 2</p>", "<p title=\"<\"></p>", "<p>></p>"] {
        assert!(malformed(wrong).is_some(), "{wrong}");
    }
}

#[test]
fn a_page_is_well_formed_and_no_foreign_text_is_more_than_text() {
    for outcome in [Outcome::Passed, Outcome::Failed, Outcome::Skipped] {
        let page = render(&[scenario(HOSTILE, outcome), scenario("a/b", outcome)]);
        assert_eq!(malformed(&page), None);
        assert!(!page.contains("<script") && !page.contains("<!-- "), "{page}");
        assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 10);
    }
}

#[test]
fn a_page_fetches_nothing_runs_nothing_and_has_a_dark_side() {
    let page = render(&[scenario("a/b", Outcome::Failed)]);
    for absent in ["<script", "http:", "https:", "<link", "@import", "src="] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("@media (prefers-color-scheme: dark)"));
    assert!(page.contains("<meta name=\"color-scheme\" content=\"light dark\">"));
    // The only addresses are those of the page's own patterns.
    let urls = Regex::new(r"url\(([^)]*)\)").unwrap();
    let urls: Vec<_> = urls.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    assert_eq!(urls, ["#hatch", "#grid"]);
}

#[test]
fn a_failure_has_what_was_expected_beside_what_was_seen_and_the_access_before_it() {
    let page = render(&[scenario("gpu0", Outcome::Failed)]);
    let failure = page.split("<section class=\"failure\">").nth(1).unwrap();
    let failure = failure.split("</section>").next().unwrap();
    let at = |text: &str| failure.find(text).unwrap_or_else(|| panic!("{text} in {failure}"));
    assert!(at("step 1 gpu0 failed") < at("wanted gpu0") && at("wanted gpu0") < at("seen gpu0"));
    assert!(at("seen gpu0") < at("HDM decoder 0 CTRL"));
    assert_eq!(page.matches("<tr class=\"cause\">").count(), 1);
    assert!(failure.contains("<b>COMMIT 0→1, COMMITTED 0→1</b>"));
    assert!(!render(&[scenario("gpu0", Outcome::Passed)]).contains("<section class=\"failure\">"));
}

#[test]
fn what_is_left_out_of_the_timeline_is_counted_in_its_place() {
    let page = render(&[scenario("gpu0", Outcome::Passed)]);
    assert_eq!(page.matches("… and ").count(), 1);
    let cut = page.find("… and 7 more").unwrap();
    assert!(page.find(">1</td>").unwrap() < cut && cut < page.find(">9</td>").unwrap());
}

#[test]
fn a_scenario_without_a_machine_has_no_pictures_and_an_empty_run_has_a_page() {
    let mut opened = scenario("gpu0", Outcome::Passed);
    opened.story = Story::default();
    let page = render(&[opened]);
    assert_eq!((malformed(&page), page.contains("<figure>")), (None, false));
    assert!(render(&[scenario("gpu0", Outcome::Passed)]).contains("<figure>"));
    assert_eq!(malformed(&render(&[])), None);
}

#[test]
fn what_failed_comes_first() {
    let page = render(&[scenario("a/passed", Outcome::Passed), scenario("b/failed", Outcome::Failed)]);
    let at = |name: &str| page.find(&format!("<span class=\"name\">{name}</span>")).unwrap();
    assert!(at("b/failed") < at("a/passed"));
}

#[test]
fn the_map_tells_what_is_where_how_large_and_what_is_unused() {
    let page = render(&[scenario("gpu0", Outcome::Passed)]);
    for text in [">0x1_0000_0000</text>", ">unused 4 GiB</text>", "+0x1000 4 KiB COMP_REGS</text>"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains(">empty slot</text>") && page.contains(">HDM decoder 0</text>"));
}
