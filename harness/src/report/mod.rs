//! What a run has to say, as values: for people in [`text`], for scripts in [`json`], for the pages of others in
//! [`junit`]. The reports of parts of a run are put together by [`shard`].

pub mod json;
pub mod junit;
pub mod shard;
pub mod text;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::step::Verdict;

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// What must be seen was seen.
    Passed,
    /// Something else was seen.
    Failed,
    /// It was not tried, and the report says why.
    Skipped,
}

impl Outcome {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct StepReport {
    /// The step's key in the file, or `attach`.
    pub step: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What was seen, and what was expected where it differs.
    pub detail: String,
}

impl StepReport {
    /// The report of a step.
    pub fn new(step: &str, verdict: Verdict) -> Self {
        let (outcome, detail) = match verdict {
            Verdict::Passed(detail) => (Outcome::Passed, detail),
            Verdict::Failed(detail) => (Outcome::Failed, detail),
        };
        Self { step: step.to_owned(), outcome, detail }
    }
}

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct ScenarioReport {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// What it proves.
    pub proves: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
    /// What ran the guest: `kvm` or `soft`.
    pub guest: String,
    /// The kernel interface that was simulated.
    pub abi: String,
    /// How long it took.
    pub duration_s: f64,
    /// What became of its steps.
    pub steps: Vec<StepReport>,
}

/// How many scenarios became what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Summary {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Summary {
    /// Counts scenarios.
    pub fn of(scenarios: &[ScenarioReport]) -> Self {
        let count = |outcome| scenarios.iter().filter(|one| one.outcome == outcome).count();
        Self {
            passed: count(Outcome::Passed),
            failed: count(Outcome::Failed),
            skipped: count(Outcome::Skipped),
        }
    }
}
