//! What a run has to say, as values: for people in [`text`], and as a page to look at in [`html`]; for scripts in
//! [`json`], and for the pages of others in [`junit`].
//!
//! - [`story`]: what there is to see of a scenario; [`planned`]: what a plan has of it.
//! - [`drawn`]: an address map as lines; [`mod@paint`]: colours in a terminal.
//! - [`amount`]: sizes and addresses for people.
//! - [`shard`]: parts of a run, and how their reports become one.

pub mod amount;
pub mod drawn;
pub mod html;
pub mod json;
pub mod junit;
pub mod paint;
pub mod planned;
pub mod shard;
pub mod story;
pub mod text;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use self::story::Story;
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
    /// The same two apart, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<Differs>,
    /// What was said to a device last before it failed: its number in the timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<usize>,
}

/// What was seen, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Differs {
    /// What was seen.
    pub seen: String,
    /// What was expected.
    pub expected: String,
}

impl StepReport {
    /// The report of a step.
    pub fn new(step: &str, verdict: Verdict) -> Self {
        let (outcome, detail, differs) = match verdict {
            Verdict::Passed(detail) => (Outcome::Passed, detail, None),
            Verdict::Failed(detail) => (Outcome::Failed, detail, None),
            Verdict::Differs { seen, expected } => {
                let detail = format!("{seen}, expected {expected}");
                (Outcome::Failed, detail, Some(Differs { seen, expected }))
            }
        };
        Self { step: step.to_owned(), outcome, detail, differs, cause: None }
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
    /// What there is to see of it.
    #[serde(flatten)]
    pub story: Story,
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
