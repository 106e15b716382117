//! What a scenario says of a device's life: resets, and who commits its decoder.
//!
//! ```toml
//! [machine]
//! after_reset = "nothing"     # as the QEMU series; reprogram without this
//!
//! [[device]]
//! name = "gpu0"
//! commit = "guest"            # firmware without this
//!
//! [[step]]
//! machine_reset = {}
//! ```
//!
//! The guest's own resets are stores: of 0x8000 to Device Control, of 4 to Control 2 of the CXL device DVSEC.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;
use sim_device::profile::source::Mistake;
use vmm_core::plan::defect::Defect;
use vmm_core::plan::life::AfterReset;
use vmm_core::plan::life::Committer;
use vmm_core::plan::life::Life;
use vmm_core::plan::machine::Machine;

use super::Scenario;
use super::accident;
use super::check::Check;
use super::needs::Need;
use super::place::Place;
use super::step::Step;

/// The machine is reset: its guest begins again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineReset {
    /// It does not come back, and the reason has this text in it.
    pub refused: Option<String>,
}

/// The machine resets a device through VFIO, and the guest runs on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VfioReset {
    /// Which device.
    pub device: String,
    /// The device refuses, and the reason has this text in it.
    pub refused: Option<String>,
}

/// The device's component registers were written since machine-done, or since this was asked last, by the machine or
/// by the guest: exactly these, in this order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Programmed {
    /// Which device.
    pub device: String,
    /// Lines such as `HDM Decoder Base Low = 0x10000000`.
    pub writes: Vec<String>,
}

/// The guest calls code that is somewhere in memory. A scenario with this step requires `kvm`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Where.
    pub at: Place,
    /// What it returns.
    pub is: Quantity,
}

/// The device's memory is not where it should be.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unplaced {
    /// Which device.
    pub device: String,
    /// The reason has this text in it.
    pub because: String,
}

/// A guest that runs code.
pub const KVM: &str = "kvm";

/// A guest without a hypervisor.
pub const SOFT: &str = "soft";

/// What can run a guest.
pub const GUESTS: [&str; 2] = [KVM, SOFT];

/// Whether what a scenario requires is known, and what its steps need is required.
pub(super) fn requires(check: &Check<'_>, scenario: &Scenario) -> Result<(), Mistake> {
    let is_known = |name: &str| name == KVM || Need::named(name).is_some();
    if let Some(other) = scenario.requires.iter().find(|name| !is_known(name)) {
        let names = Need::ALL.map(Need::name).join(", ");
        return check.mistake(&["requires"], format!("requires {other:?}: must be {KVM}, {names}"));
    }
    let runs = |step: &Step| matches!(step, Step::Run(_));
    let is_required = scenario.requires.iter().any(|name| name == KVM);
    match scenario.steps.iter().position(runs).filter(|_| !is_required) {
        None => Ok(()),
        Some(index) => {
            let message = format!("run: needs `requires = [\"{KVM}\"]`: no other guest runs code");
            check.mistake(&["step", &index.to_string(), "run"], message)
        }
    }
}

/// Whether what a scenario says of its guest is known.
pub(super) fn guest(check: &Check<'_>, scenario: &Scenario) -> Result<(), Mistake> {
    match &scenario.guest {
        Some(name) if !GUESTS.contains(&name.as_str()) => {
            check.mistake(&["guest"], format!("guest = {name:?}: must be one of {}", GUESTS.join(", ")))
        }
        _ => Ok(()),
    }
}

/// The machine with what a scenario says of lives.
pub(super) fn machine(check: &Check<'_>, scenario: &Scenario, machine: Machine) -> Result<Machine, Mistake> {
    let after_reset = match &scenario.machine.after_reset {
        None => AfterReset::default(),
        Some(name) => match AfterReset::ALL.into_iter().find(|answer| answer.name() == name) {
            Some(answer) => answer,
            None => {
                let names = AfterReset::ALL.map(AfterReset::name).join(", ");
                let message = format!("after_reset = {name:?}: must be one of {names}");
                return check.mistake(&["machine", "after_reset"], message);
            }
        },
    };
    let mut guest_commits = Vec::new();
    for (index, device) in scenario.devices.iter().enumerate() {
        let Some(name) = &device.commit else { continue };
        match Committer::ALL.into_iter().find(|committer| committer.name() == name) {
            Some(Committer::Guest) => guest_commits.push(device.name.clone()),
            Some(Committer::Machine) => {}
            None => {
                let names = Committer::ALL.map(Committer::name).join(", ");
                let message = format!("commit = {name:?}: must be one of {names}");
                return check.mistake(&["device", &index.to_string(), "commit"], message);
            }
        }
    }
    let on_loss = accident::on_loss(check, scenario)?;
    let defects = defects(check, scenario)?;
    Ok(Machine { life: Life { after_reset, guest_commits, on_loss }, defects, ..machine })
}

fn defects(check: &Check<'_>, scenario: &Scenario) -> Result<Vec<Defect>, Mistake> {
    let named = |name: &String| match Defect::ALL.into_iter().find(|defect| defect.name() == name) {
        Some(defect) => Ok(defect),
        None => {
            let names = Defect::ALL.map(Defect::name).join(", ");
            check.mistake(&["machine", "defects"], format!("defects has {name:?}: must be one of {names}"))
        }
    };
    scenario.machine.defects.iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;
    use super::*;

    fn loaded(before: &str, device: &str, step: &str) -> Result<Loaded, String> {
        let text =
            format!("proves = \"x\"\n{before}\n[[device]]\nname = \"gpu0\"\n{device}\n[[step]]\n{step}\n");
        Loaded::parse("x", "x.toml", &text, None).map_err(|mistake| mistake.to_string())
    }

    const RESET: &str = "machine_reset = {}";

    #[test]
    fn the_keys_are_the_machines() {
        let life = |before, device| loaded(before, device, RESET).unwrap().machine.life;
        assert_eq!(life("", ""), Life::default());
        assert_eq!(life("[machine]\nafter_reset = \"reprogram\"", "commit = \"firmware\""), Life::default());
        let other = life("[machine]\nafter_reset = \"nothing\"", "commit = \"guest\"");
        let defects = Defect::ALL.map(|defect| format!("{:?}", defect.name())).join(", ");
        let broken = loaded(&format!("[machine]\ndefects = [{defects}]"), "", RESET).unwrap().machine;
        assert_eq!(broken.defects, Defect::ALL);
        let guest_commits = vec!["gpu0".to_owned()];
        assert_eq!(other, Life { after_reset: AfterReset::Nothing, guest_commits, ..Life::default() });
    }

    #[rstest]
    #[case("[machine]\nafter_reset = \"restore\"", "", RESET, "must be one of reprogram, nothing")]
    #[case("", "", "run = { at = 0, is = 0 }", "run: needs `requires = [\"kvm\"]`")]
    #[case(
        "requires = [\"xen\"]",
        "",
        RESET,
        "requires \"xen\": must be kvm, firmware-committed, touch-device-memory, reset"
    )]
    #[case(
        "[machine]\ndefects = [\"slow\"]",
        "",
        RESET,
        "defects has \"slow\": must be one of uncommitted-taken"
    )]
    #[case("", "commit = \"host\"", RESET, "commit = \"host\": must be one of firmware, guest")]
    #[case("", "", "vfio_reset = { device = \"gpu1\" }", "device has device \"gpu1\": there is only gpu0")]
    #[case("attach = false", "", RESET, "machine_reset: needs a machine")]
    #[case(
        "attach = false",
        "commit = \"guest\"",
        "reset = { device = \"gpu0\" }",
        "`commit` is about attaching"
    )]
    #[case(
        "attach = false\n[machine]\nafter_reset = \"nothing\"",
        "",
        "reset = { device = \"gpu0\" }",
        "`machine` is about attaching"
    )]
    fn what_cannot_be_is_a_mistake(
        #[case] before: &str,
        #[case] device: &str,
        #[case] step: &str,
        #[case] message: &str,
    ) {
        let mistake = loaded(before, device, step).unwrap_err();
        assert!(mistake.contains(message), "{mistake}");
    }
}
