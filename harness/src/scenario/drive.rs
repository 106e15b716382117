//! Any text as a scenario: property tests and fuzzers are two callers of [`any_text`].
//!
//! What must hold: a text is a scenario or a mistake in it that is told in words, with the file's name. It asserts, so
//! a caller who wants to go on must be one who expects to be stopped.

use std::collections::HashSet;
use std::path::Path;

use super::Beside;
use super::Loaded;
use super::written::MOST;

/// What is between the scenario and the files that it may include, in a text that has them all.
const BETWEEN: char = '\u{c}';

/// Takes a text for a scenario, and for files `1.toml`, `2.toml` and so on that it may include: between them are form
/// feeds. Other files that it names are looked for nowhere.
pub fn any_text(text: &str) {
    let mut files = text.split(BETWEEN);
    let scenario = files.next().unwrap_or_default();
    let included: Vec<_> = files.collect();
    let reader = |path: &Path| {
        let number = path.to_str().and_then(|name| name.strip_suffix(".toml")?.parse::<usize>().ok());
        let text = number.and_then(|number| included.get(number.checked_sub(1)?));
        text.map(|text| (*text).to_owned()).ok_or_else(|| "there is no such file".to_owned())
    };
    match Loaded::all(("any", "any.toml"), scenario, Beside { folder: None, reader: &reader }) {
        Ok(all) => {
            assert!((1..=MOST).contains(&all.len()), "{} scenarios of one file", all.len());
            assert!(all.iter().all(|one| !one.scenario.devices.is_empty()), "a scenario without a device");
            let names: HashSet<_> = all.iter().map(|one| &one.name).collect();
            assert_eq!(names.len(), all.len(), "two scenarios of one name");
        }
        Err(mistake) => {
            let is_of = |file: &str| mistake.file == file;
            let is_named =
                is_of("any.toml") || (1..=included.len()).any(|file| is_of(&format!("{file}.toml")));
            assert!(is_named, "{mistake} names no file");
            assert!(mistake.line > 0, "{mistake} names no line");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A scenario with a little of everything.
    const TEXT: &str = "proves = \"x\"\n[machine]\ndma = \"map\"\n[[bridge]]\nname = \"a\"\nbus = 12\n\
        [[device]]\nname = \"gpu0\"\nbridge = \"a\"\nwith.memory.size = \"512MiB\"\n\
        [[step]]\nstore = { at = \"gpu0.window+0x1000\", width = 8, value = \"0x11\" }\n\
        [[step]]\nmachine_reset = {}\n";

    #[test]
    fn the_scenario_is_one() {
        assert!(Loaded::parse("x", "x.toml", TEXT, None).is_ok());
        any_text(TEXT);
    }

    proptest! {
        #[test]
        fn a_scenario_in_which_something_was_changed_is_one_or_a_mistake(
            at in any::<prop::sample::Index>(),
            with in "[a-z0-9_=\\[\\]{}\" \n.+]{0,12}",
        ) {
            let (before, after) = TEXT.split_at(at.index(TEXT.len()));
            any_text(&format!("{before}{with}{after}"));
        }
    }
}
