//! A run as a page to look at: one file, readable without a network, light or dark as the reader likes it.
//!
//! ```text
//!  page      what became of the run, of each folder, and of each scenario
//!  ├ picture   the guest address map
//!  ├ device    a device's BARs, and the window that leads to its memory
//!  ├ topology  what is below which bridge
//!  └ timeline  steps, what was said in each, and why one failed
//! ```
//!
//! Names and texts may be anybody's: whatever is put into the page is escaped by the macro that writes it. There is no
//! script, and nothing is fetched.

mod device;
mod page;
mod picture;
mod timeline;
mod topology;

use super::ScenarioReport;

/// The page of a run.
pub fn render(scenarios: &[ScenarioReport]) -> String {
    page::page(scenarios).into_string()
}

/// A text of at most `most` letters, for where there is no more room.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests;
