//! Any text as a scenario: property tests and fuzzers are two callers of [`any_text`].
//!
//! What must hold: a text is a scenario or a mistake in it that is told in words, with the file's name. It asserts, so
//! a caller who wants to go on must be one who expects to be stopped.

use super::Loaded;

/// Takes a text for a scenario. Files that it names are looked for nowhere.
pub fn any_text(text: &str) {
    match Loaded::parse("any", "any.toml", text, None) {
        Ok(loaded) => assert!(!loaded.scenario.devices.is_empty(), "a scenario without a device"),
        Err(mistake) => assert!(mistake.to_string().contains("any.toml"), "{mistake} names no file"),
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
