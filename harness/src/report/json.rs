//! A run as JSON, for scripts.

use schemars::JsonSchema;
use schemars::Schema;
use schemars::schema_for;
use serde::Deserialize;
use serde::Serialize;

use super::ScenarioReport;
use super::Summary;
use super::shard::Part;

/// What a run of `cxl-sim` has to say.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(title = "Report of cxl-sim")]
pub struct Report {
    /// The program's version.
    pub version: String,
    /// Which part of which run it is.
    pub run: Part,
    /// How many scenarios became what.
    pub summary: Summary,
    /// What became of each, in the order of the run.
    pub scenarios: Vec<ScenarioReport>,
}

impl Report {
    /// The report of this part of a run, by this program.
    pub fn new(run: Part, scenarios: Vec<ScenarioReport>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { version, run, summary: Summary::of(&scenarios), scenarios }
    }
}

/// The report as a text.
pub fn render(report: &Report) -> String {
    pretty(report)
}

/// The report in a text.
///
/// # Errors
/// If the text is none.
pub fn parse(text: &str) -> Result<Report, serde_json::Error> {
    serde_json::from_str(text)
}

/// The JSON schema of a report.
pub fn schema() -> Schema {
    let mut schema = schema_for!(Report);
    schema.insert("$id".to_owned(), "urn:cxl-sim:report".into());
    schema
}

/// A value as indented JSON with a final line break.
pub fn pretty(value: &impl Serialize) -> String {
    // Structures of texts and numbers: all of them have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
