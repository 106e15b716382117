//! What a device is like, as text: made into a profile, and compared with another device.
//!
//! ```text
//!  device ─▶ inventory ─┬▶ profile                      capture
//!                       └▶ facts ─┐
//!  profile ─▶ served ──▶ facts ───┴▶ differences         compare
//! ```
//!
//! Memory is not read, and neither is the serial number, which tells devices of one kind apart.

mod checks;
mod facts;
mod profile;

use std::time::Duration;

pub use facts::Fact;
pub use facts::facts;
pub use profile::captured;
pub use profile::playable;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use vmm_core::backend::Shared;
use vmm_core::discover::Inventory;
use vmm_core::discover::discover;

use crate::process::DeviceProcess;
use crate::reach::Place;
use crate::requires::PLAIN;
use crate::world::WorldError;

/// Something in which two devices differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is.
    pub what: String,
    /// What the profile makes of it.
    pub profile: String,
    /// What the device has.
    pub device: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: the profile has {}, and the device {}", self.what, self.profile, self.device)
    }
}

/// The kernel interface that a device is shown by.
pub fn abi_of(inventory: &Inventory) -> Option<&'static Abi> {
    Abi::named(inventory.cxl.as_ref().map_or(PLAIN, |cxl| cxl.description.revision.name()))
}

/// What a profile's device and another one differ in. The profile is served by a process of this program.
///
/// # Errors
/// If either does not answer, or cannot be understood.
pub fn compare(
    (profile, abi): (&Profile, &Abi),
    device: &Shared,
    timeout: Duration,
) -> Result<Vec<Difference>, WorldError> {
    let program = std::env::current_exe()
        .map_err(|error| crate::process::ProcessError::System { what: "finding this program", error })?;
    let process = DeviceProcess::start(&program, Some(profile), abi, timeout)?;
    let served = Place::Socket(process.socket().to_owned()).connect(timeout, false)?;
    let served = facts(&Shared::of(served))?;
    Ok(differences(&served, &facts(device)?))
}

/// What two devices differ in, in the order of the facts.
pub fn differences(profile: &[Fact], device: &[Fact]) -> Vec<Difference> {
    let nothing = || "nothing".to_owned();
    let value = |facts: &[Fact], what: &str| {
        facts.iter().find(|fact| fact.what == what).map_or_else(nothing, |fact| fact.value.clone())
    };
    let of_profile = profile.iter().map(|fact| Difference {
        what: fact.what.clone(),
        profile: fact.value.clone(),
        device: value(device, &fact.what),
    });
    let only = device.iter().filter(|fact| profile.iter().all(|other| other.what != fact.what));
    let of_device = only.map(|fact| Difference {
        what: fact.what.clone(),
        profile: nothing(),
        device: fact.value.clone(),
    });
    of_profile.chain(of_device).filter(|one| one.profile != one.device).collect()
}

/// A device's inventory.
///
/// # Errors
/// If it does not answer, or cannot be understood.
pub fn inventory(device: &Shared) -> Result<Inventory, WorldError> {
    Ok(discover(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(what: &str, value: &str) -> Fact {
        Fact { what: what.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn only_what_differs_is_told_and_what_one_side_lacks_is_nothing() {
        let profile = [fact("class", "0x120000"), fact("vendor id", "0x1e98"), fact("bar4", "1MiB")];
        let device = [fact("vendor id", "0x1e98"), fact("class", "0x30200"), fact("bar0", "64KiB")];
        let told: Vec<_> = differences(&profile, &device).iter().map(Difference::to_string).collect();
        assert_eq!(
            told,
            [
                "class: the profile has 0x120000, and the device 0x30200",
                "bar4: the profile has 1MiB, and the device nothing",
                "bar0: the profile has nothing, and the device 64KiB",
            ]
        );
        assert!(differences(&profile, &profile).is_empty());
    }
}
