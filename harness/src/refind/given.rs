//! What a device and a machine are like, as TOML: the keys of a profile, and under `machine` those of a machine.

use serde::Deserialize;
use sim_device::profile::Profile;
use toml::Table;
use toml::Value;
use vmm_core::plan::defect::Defect;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::life::AfterReset;

/// What is given to a driver.
#[derive(Debug)]
pub(super) struct Given {
    /// The device.
    pub(super) profile: Profile,
    /// The same, as the text of its keys.
    pub(super) device: String,
    /// What is wrong with the machine.
    pub(super) defects: Vec<Defect>,
    /// What its devices may reach; without it, the driver says.
    pub(super) policy: Option<Policy>,
    /// Its devices do ATS.
    pub(super) ats: bool,
    /// What follows a reset.
    pub(super) after_reset: AfterReset,
}

/// The keys of a machine.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Machine {
    defects: Vec<String>,
    dma: Option<String>,
    ats: bool,
    after_reset: Option<String>,
}

impl Given {
    /// What these texts say together. Of two that say the same key, the last one counts.
    pub(super) fn parse(texts: &[&str]) -> Result<Self, String> {
        let mut all = Table::new();
        for text in texts {
            let table: Table = toml::from_str(text).map_err(|error| format!("{text}: {error}"))?;
            merge(&mut all, table);
        }
        let machine = all.remove("machine").unwrap_or(Value::Table(Table::new()));
        let machine: Machine = machine.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        let device = all.to_string();
        let profile = Profile::parse("the row", &device).map_err(|mistake| mistake.to_string())?;
        let defects = machine.defects.iter().map(|name| named(name, &Defect::ALL, Defect::name));
        Ok(Self {
            profile,
            device,
            defects: defects.collect::<Result<_, _>>()?,
            policy: machine.dma.map(|name| named(&name, &Policy::ALL, Policy::name)).transpose()?,
            ats: machine.ats,
            after_reset: match machine.after_reset {
                Some(name) => named(&name, &AfterReset::ALL, AfterReset::name)?,
                None => AfterReset::default(),
            },
        })
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn named<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T, String> {
    all.iter().copied().find(|one| name_of(*one) == name).ok_or_else(|| format!("nothing is called {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_counts_and_keys_of_the_machine_are_none_of_the_device() {
        let given = Given::parse(&[
            "kernel.show_lock = true\nmachine.dma = \"skip\"",
            "kernel.show_lock = false\nkernel.memory_without_mmap = true",
            "machine = { ats = true, after_reset = \"nothing\", defects = [\"first-window-for-all\"] }",
        ]);
        let given = given.unwrap();
        let kernel = &given.profile.kernel;
        assert_eq!((kernel.show_lock, kernel.memory_without_mmap), (false, true));
        assert_eq!((given.policy, given.ats), (Some(Policy::Skip), true));
        assert_eq!(
            (given.after_reset, given.defects),
            (AfterReset::Nothing, vec![Defect::FirstWindowForAll])
        );
        assert!(!given.device.contains("machine"), "{}", given.device);
    }

    #[test]
    fn a_key_or_a_name_that_nobody_has_is_told() {
        for wrong in [
            "kernel.nothing = 1",
            "machine.nothing = 1",
            "machine.dma = \"no\"",
            "machine.defects = [\"no\"]",
        ] {
            assert!(Given::parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
