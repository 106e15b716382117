//! What a scenario says of accidents: a device's process is killed, frozen or replaced, and what the machine makes of
//! it.
//!
//! ```toml
//! [[device]]
//! name = "gpu0"
//! on_loss = "reconnect"       # or "detach"; "fail" without this
//! answer_within_ms = 500      # what the command line says without this
//!
//! [[step]]
//! restart = { device = "gpu0" }
//!
//! [[step]]
//! lost = { device = "gpu0", call = "answering", then = "reconnected, its memory is new" }
//! ```

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::Profile;
use sim_device::profile::source::Mistake;
use vmm_core::plan::life::OnLoss;

use super::Device;
use super::Scenario;
use super::check::Check;
use super::step::Step;

/// The device's process dies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    /// Which device.
    pub device: String,
}

/// The device's process stops where it is, and does not end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Which device.
    pub device: String,
    /// It goes on when the machine seeks the device. Without this, when the scenario says so.
    #[serde(default)]
    pub until_sought: bool,
}

/// A process that was stopped goes on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Thaw {
    /// Which device.
    pub device: String,
}

/// The device's process dies, and another one is at its place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Which device.
    pub device: String,
    /// What it is then, as what is different from the default preset. Without this, the same as before.
    #[serde(default)]
    pub with: Option<Box<Profile>>,
}

/// The machine has lost the device. A loss that a scenario expects is no failure, whatever `on_loss` says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Which device.
    pub device: String,
    /// The call that was not answered has this text in it.
    pub call: String,
    /// Why it was not has this text in it.
    #[serde(default)]
    pub reason: Option<String>,
    /// What followed: has this text in it.
    pub then: String,
}

impl Device {
    /// How long it may take over an answer, where that is `usual`.
    pub fn answers_within(&self, usual: Duration) -> Duration {
        self.answer_within_ms.map_or(usual, Duration::from_millis)
    }
}

/// The step that something is done to a device's process in, if there is one.
pub fn accident(scenario: &Scenario) -> Option<&'static str> {
    let does =
        |step: &&Step| matches!(step, Step::Kill(_) | Step::Freeze(_) | Step::Thaw(_) | Step::Restart(_));
    scenario.steps.iter().find(does).map(Step::kind)
}

/// What is done when devices are lost, and whether what the steps and the devices say of it can be.
pub(super) fn on_loss(check: &Check<'_>, scenario: &Scenario) -> Result<Vec<(String, OnLoss)>, Mistake> {
    for (index, step) in scenario.steps.iter().enumerate() {
        let Step::Restart(Restart { with: Some(with), .. }) = step else { continue };
        if let Err(wrong) = with.check() {
            return check.mistake(&["step", &index.to_string(), "restart"], format!("restart: {wrong}"));
        }
    }
    let mut chosen = Vec::new();
    for (index, device) in scenario.devices.iter().enumerate() {
        let path = |key| ["device".to_owned(), index.to_string(), key];
        let mistake = |key: &str, message| {
            let path = path(key.to_owned());
            check.mistake(&path.each_ref().map(String::as_str), message)
        };
        if device.answer_within_ms == Some(0) {
            return mistake("answer_within_ms", "answer_within_ms = 0: nobody answers so fast".to_owned());
        }
        let Some(name) = &device.on_loss else { continue };
        match OnLoss::ALL.into_iter().find(|answer| answer.name() == name) {
            Some(answer) => chosen.push((device.name.clone(), answer)),
            None => {
                let names = OnLoss::ALL.map(OnLoss::name).join(", ");
                return mistake("on_loss", format!("on_loss = {name:?}: must be one of {names}"));
            }
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;
    use super::*;

    fn loaded(device: &str, step: &str) -> Result<Loaded, String> {
        let text = format!("proves = \"x\"\n[[device]]\nname = \"gpu0\"\n{device}\n[[step]]\n{step}\n");
        Loaded::parse("x", "x.toml", &text, None).map_err(|mistake| mistake.to_string())
    }

    const KILL: &str = "kill = { device = \"gpu0\" }";

    #[test]
    fn what_is_done_about_a_loss_is_the_devices() {
        let life = |device: &str| loaded(device, KILL).unwrap().machine.life;
        assert_eq!(life("").on_loss("gpu0"), OnLoss::Fail);
        for answer in OnLoss::ALL {
            assert_eq!(life(&format!("on_loss = \"{}\"", answer.name())).on_loss("gpu0"), answer);
        }
    }

    #[test]
    fn a_device_may_have_less_time_to_answer() {
        let device = |keys| loaded(keys, KILL).unwrap().scenario.devices.remove(0);
        let usual = Duration::from_secs(5);
        assert_eq!(device("").answers_within(usual), usual);
        assert_eq!(device("answer_within_ms = 300").answers_within(usual), Duration::from_millis(300));
    }

    #[test]
    fn what_is_done_to_a_process_is_an_accident_and_nothing_else_is() {
        let accident = |step: &str| accident(&loaded("", step).unwrap().scenario);
        assert_eq!(accident(KILL), Some("kill"));
        assert_eq!(accident("thaw = { device = \"gpu0\" }"), Some("thaw"));
        assert_eq!(accident("lost = { device = \"gpu0\", call = \"\", then = \"\" }"), None);
    }

    #[rstest]
    #[case("on_loss = \"panic\"", KILL, "on_loss = \"panic\": must be one of fail, detach, reconnect")]
    #[case("answer_within_ms = 0", KILL, "answer_within_ms = 0: nobody answers so fast")]
    #[case("", "kill = { device = \"gpu1\" }", "there is only gpu0")]
    #[case("", "restart = { device = \"gpu0\", with.memory.size = 1 }", "restart: memory.size")]
    fn what_cannot_be_is_a_mistake(#[case] device: &str, #[case] step: &str, #[case] message: &str) {
        let mistake = loaded(device, step).unwrap_err();
        assert!(mistake.contains(message), "{mistake}");
    }
}
