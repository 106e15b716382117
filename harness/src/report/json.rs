//! A run as JSON, for scripts.

use serde::Serialize;

use super::ScenarioReport;
use super::Summary;

#[derive(Serialize)]
struct Document<'a> {
    version: &'static str,
    summary: Summary,
    scenarios: &'a [ScenarioReport],
}

/// The report of a run. The version is the program's.
pub fn render(scenarios: &[ScenarioReport]) -> String {
    let document =
        Document { version: env!("CARGO_PKG_VERSION"), summary: Summary::of(scenarios), scenarios };
    pretty(&document)
}

/// A value as indented JSON with a final line break.
pub fn pretty(value: &impl Serialize) -> String {
    // Structures of texts and numbers: all of them have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
