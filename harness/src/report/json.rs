//! A run as JSON, for scripts.

use serde::Deserialize;
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

/// The scenarios of a report.
///
/// # Errors
/// If the text is none.
pub fn parse(text: &str) -> Result<Vec<ScenarioReport>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Scenarios {
        scenarios: Vec<ScenarioReport>,
    }
    serde_json::from_str::<Scenarios>(text).map(|report| report.scenarios)
}

/// A value as indented JSON with a final line break.
pub fn pretty(value: &impl Serialize) -> String {
    // Structures of texts and numbers: all of them have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
