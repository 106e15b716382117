//! What this machine can do, and what each thing that is missing would enable.
//!
//! ```text
//!  files, limits, trials ──look──▶ Facts ──judge──▶ Diagnosis ──▶ lines, JSON, exit code
//!  the only I/O                    values  pure
//! ```
//!
//! No device is opened, and none of its registers is read: what is said of one is what the kernel remembers of it. What
//! can be tried without harm is tried: a virtual machine is made, a scenario runs, a program is lent a device in
//! software, a server confines itself.

pub mod facts;

mod judge;
mod look;

use std::fmt;

use serde::Serialize;

pub use judge::judge;
pub use look::look;

use crate::report::json;

/// What was found, and what follows.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    version: &'static str,
    /// Whether scenarios run: without KVM and without hardware, if need be.
    pub works: bool,
    /// A finding for each thing that is looked for.
    pub findings: Vec<Finding>,
}

/// One thing that was looked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What it enables, or would.
    pub enables: &'static str,
    /// What to do about what is missing, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    Found,
    /// It is not, or it cannot be used.
    Missing,
    /// Nobody says.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        })
    }
}

impl Diagnosis {
    /// A line for each finding, one more for what it enables, and one for what to do; at the end, whether it works.
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        for Finding { what, state, seen, enables, advice } in &self.findings {
            lines.push(format!("{state:<8} {what:<17} {seen}"));
            let verb = if *state == State::Found { "enables" } else { "would enable" };
            lines.push(format!("{:<26} {verb} {enables}", ""));
            lines.extend(advice.iter().map(|advice| format!("{:<26} to do: {advice}", "")));
        }
        lines.push(if self.works { "scenarios run here" } else { "scenarios do not run here" }.to_owned());
        lines.join("\n")
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        json::pretty(self)
    }
}
