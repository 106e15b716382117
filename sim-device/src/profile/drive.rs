//! Any text as a profile: property tests and fuzzers are two callers of [`any_text`].
//!
//! What must hold: a text is a profile or a mistake in it; what is a profile is the same again as a file of its own,
//! and every kernel binds to its device or says why not. It asserts, so a caller who wants to go on must be one who
//! expects to be stopped.

use super::Profile;
use crate::kernel::ABIS;
use crate::kernel::Kernel;
use crate::silicon::Silicon;

/// Takes a text for a profile.
pub fn any_text(text: &str) {
    let Ok(profile) = Profile::parse("any", text) else { return };
    let again = Profile::parse("again", &profile.to_toml());
    assert_eq!(again.ok().as_ref(), Some(&profile), "a profile that is told is another");
    for abi in ABIS {
        let powered = profile.check().ok().and_then(|checked| Silicon::power_on(checked).ok());
        // The system may not give so much memory.
        let Some(Ok(mut kernel)) = powered.map(|silicon| Kernel::bind(silicon, abi)) else { continue };
        kernel.open();
        kernel.reset();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::profile::PRESETS;

    #[test]
    fn every_preset_is_the_same_again() {
        for preset in PRESETS {
            any_text(preset.text);
        }
    }

    proptest! {
        #[test]
        fn a_preset_in_which_something_was_changed_is_a_profile_or_a_mistake(
            which in 0usize..8,
            at in any::<prop::sample::Index>(),
            with in "[a-z0-9_=\\[\\]\" \n.]{0,12}",
        ) {
            let text = PRESETS[which % PRESETS.len()].text;
            let (before, after) = text.split_at(text.floor_char_boundary(at.index(text.len())));
            any_text(&format!("{before}{with}{after}"));
        }
    }
}
