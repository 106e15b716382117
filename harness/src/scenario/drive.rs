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

    /// One with all that files are written with, and the files that it includes.
    const WRITTEN: &str = "include = [\"1.toml\", \"2.toml\"]\nproves = \"${size} $${\"\n\
        [matrix]\nprofile = [\"t2-large\"]\nabi = [\"v2\", \"v3\"]\nguest = [\"soft\"]\nbits = [40, 41]\n\
        [machine]\naddress_bits = \"${bits}\"\n[[device]]\nname = \"gpu0\"\n\
        \u{c}[vars]\nsize = \"64MiB\"\nfar = 0x1000\n[machine]\nram = \"${size}\"\n\
        \u{c}[[step]]\nstore = { at = \"gpu0.window+${far}\", width = 8, value = \"${size}\" }\n";

    #[test]
    fn the_files_are_four_scenarios() {
        let (own, files) = WRITTEN.split_once(BETWEEN).unwrap();
        let (first, second) = files.split_once(BETWEEN).unwrap();
        let reader = |path: &Path| Ok(if path.ends_with("1.toml") { first } else { second }.to_owned());
        let all = Loaded::all(("x", "x.toml"), own, Beside { folder: None, reader: &reader }).unwrap();
        assert_eq!(all.len(), 4);
        any_text(WRITTEN);
    }

    /// Small texts that grow as fast as any can.
    #[test]
    fn what_grows_has_an_end() {
        let uses =
            format!("proves = \"{}\"\n[vars]\nx = \"{}\"\n", "${x}".repeat(200_000), "y".repeat(100_000));
        any_text(&uses);
        let list = (0..300).map(|it| it.to_string()).collect::<Vec<_>>().join(",");
        let lists: String = (0..100).map(|it| format!("v{it} = [{list}]\n")).collect();
        any_text(&format!("{TEXT}[matrix]\n{lists}"));
        let twice =
            |it: usize| format!("include = [\"{0}.toml\", \"{0}.toml\", \"{1}.toml\"]\n", it + 1, it + 2);
        let files = (0..40).map(twice).collect::<Vec<_>>().join(&BETWEEN.to_string());
        any_text(&files);
    }

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

        #[test]
        fn files_in_which_something_was_changed_are_scenarios_or_a_mistake(
            at in any::<prop::sample::Index>(),
            with in "[a-z0-9_=\\[\\]{}$\" \n\u{c}.+]{0,12}",
        ) {
            let (before, after) = WRITTEN.split_at(at.index(WRITTEN.len()));
            any_text(&format!("{before}{with}{after}"));
        }
    }
}
