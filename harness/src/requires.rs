//! What a scenario needs that may not be there: then it is skipped, and the report says why.

use crate::scenario::Loaded;
use crate::world::Source;

/// Why a scenario cannot be run with devices from `source`; nothing if it can.
pub fn missing(scenario: &Loaded, source: &Source) -> Option<String> {
    if *source == Source::Sim {
        return None;
    }
    let count = scenario.scenario.devices.len();
    if count > 1 {
        return Some(format!("needs {count} devices, and --device gives one"));
    }
    let other = scenario.profiles.iter().any(Option::is_some);
    other.then(|| "needs a device of its own profile, which only --device sim makes".to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn scenario(devices: &str) -> Loaded {
        Loaded::parse("x", "x.toml", &format!("proves = \"x\"\nrefused = \"y\"\n{devices}"), None).unwrap()
    }

    fn external() -> Source {
        Source::VfioUser(PathBuf::from("/sock"))
    }

    #[test]
    fn one_default_device_can_be_anybodys() {
        let one = scenario("[[device]]\nname = \"a\"\nprofile = \"t2-committed\"");
        assert_eq!(missing(&one, &external()), None);
    }

    #[test]
    fn two_devices_or_a_profile_need_the_simulator() {
        let two = scenario("[[device]]\nname = \"a\"\n[[device]]\nname = \"b\"");
        assert_eq!(missing(&two, &external()).unwrap(), "needs 2 devices, and --device gives one");
        let own = scenario("[[device]]\nname = \"a\"\nwith.memory.size = \"512MiB\"");
        assert!(missing(&own, &external()).unwrap().starts_with("needs a device of its own profile"));
        assert_eq!(missing(&two, &Source::Sim), None);
        assert_eq!(missing(&own, &Source::Sim), None);
    }
}
