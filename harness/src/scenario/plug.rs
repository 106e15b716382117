//! What a scenario says of devices that come and go while the guest runs.
//!
//! ```toml
//! [[bridge]]
//! name = "slot"
//! memory_reserve = "1MiB"         # what its port forwards for the BARs of a device that comes
//! prefetchable_reserve = "2MiB"
//!
//! [[device]]
//! name = "gpu1"
//! bridge = "slot"
//! plugged = false                 # not in the machine at the start
//!
//! [[step]]
//! plug = { device = "gpu1" }
//!
//! [[step]]
//! unplug = { device = "gpu1" }
//! ```
//!
//! While nothing is below a bridge, places have the bridge's name: `slot.config` is where a device would be.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::source::Mistake;

use super::Scenario;
use super::check::Check;

/// A device comes into the slot of its bridge, as a new process.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plug {
    /// Which device.
    pub device: String,
    /// The machine does not take it, and the reason has this text in it.
    pub refused: Option<String>,
}

/// A device goes without being asked, and its process ends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unplug {
    /// Which device.
    pub device: String,
    /// It cannot go, and the reason has this text in it.
    pub refused: Option<String>,
}

/// Whether each device that comes later has a place to come to, in a machine.
pub(super) fn slots(check: &Check<'_>, scenario: &Scenario) -> Result<(), Mistake> {
    for (index, device) in scenario.devices.iter().enumerate().filter(|(_, device)| !device.plugged) {
        let path = ["device", &index.to_string(), "plugged"];
        if !scenario.attach {
            let message = "`plugged` is about attaching, and the scenario has `attach = false`".to_owned();
            return check.mistake(&path, message);
        }
        if device.bridge.is_none() {
            return check.mistake(&path, "plugged = false: needs a `bridge` that it comes to".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;

    #[rstest]
    #[case("", "plugged = false", "plug = { device = \"gpu0\" }", "plugged = false: needs a `bridge`")]
    #[case(
        "attach = false",
        "plugged = false",
        "reset = { device = \"gpu0\" }",
        "`plugged` is about attaching"
    )]
    #[case("attach = false", "", "unplug = { device = \"gpu0\" }", "unplug: needs a machine")]
    #[case("", "", "plug = { device = \"a\" }", "device has device \"a\": there is only gpu0")]
    #[case(
        "",
        "",
        "load = { at = \"b.config\", width = 4, is = 0 }",
        "at has device \"b\": there is only gpu0"
    )]
    fn what_cannot_be_is_a_mistake(
        #[case] before: &str,
        #[case] device: &str,
        #[case] step: &str,
        #[case] message: &str,
    ) {
        let text =
            format!("proves = \"x\"\n{before}\n[[device]]\nname = \"gpu0\"\n{device}\n[[step]]\n{step}\n");
        let mistake = Loaded::parse("x", "x.toml", &text, None).unwrap_err().to_string();
        assert!(mistake.contains(message), "{mistake}");
    }

    #[test]
    fn a_place_may_have_the_name_of_a_bridge() {
        let text = "proves = \"x\"\n[[bridge]]\nname = \"a\"\n[[device]]\nname = \"gpu0\"\nbridge = \"a\"\n\
                    plugged = false\n[[step]]\nload = { at = \"a.config\", width = 4, is = 0xffff_ffff }\n";
        let loaded = Loaded::parse("x", "x.toml", text, None).unwrap();
        assert_eq!((loaded.scenario.steps.len(), loaded.scenario.devices[0].plugged), (1, false));
    }
}
