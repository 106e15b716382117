//! What a scenario says about host bridges and windows, and the machine's intents that follow from it.
//!
//! ```toml
//! [[bridge]]
//! name = "a"
//! bus = 12
//!
//! [[window]]
//! size = "256GiB"
//! targets = ["a"]
//!
//! [[device]]
//! name = "gpu0"
//! bridge = "a"
//! ```
//!
//! A bridge that has no device yet says what it keeps for one that comes later:
//!
//! ```toml
//! [[bridge]]
//! name = "slot"
//! memory_reserve = "1MiB"
//! prefetchable_reserve = "2MiB"
//! coherency = "hdm-db"
//! ```
//!
//! Whether such a machine can be, the plan says, and refuses by name what cannot.

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;
use vmm_core::plan::topology::BridgeIntent;
use vmm_core::plan::topology::Reserve;
use vmm_core::plan::topology::Topology;
use vmm_core::plan::topology::WindowIntent;

use super::Scenario;

/// A CXL host bridge with one root port.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// What devices and windows call it.
    pub name: String,
    /// Its first bus. Without this, a free one.
    pub bus: Option<u8>,
    /// What its port forwards at least below 4 GiB, for a device that comes later.
    pub memory_reserve: Option<Quantity>,
    /// What it forwards at least of prefetchable memory.
    pub prefetchable_reserve: Option<Quantity>,
    /// How the memory of a device that comes later is kept coherent: `hdm-d`, which it is without this, or `hdm-db`. Of
    /// one that is there from the start, the device says.
    pub coherency: Option<Coherency>,
}

/// How device memory is kept coherent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Coherency {
    /// By the device, which asks over CXL.cache.
    HdmD,
    /// By the device, which asks by back-invalidation.
    HdmDb,
}

impl Bridge {
    fn intent(&self) -> BridgeIntent {
        let bytes = |quantity: Option<Quantity>| quantity.map_or(0, |Quantity(bytes)| bytes);
        let (memory, prefetchable) = (bytes(self.memory_reserve), bytes(self.prefetchable_reserve));
        BridgeIntent {
            name: self.name.clone(),
            bus: self.bus,
            reserve: Reserve { memory, prefetchable },
            back_invalidate: self.coherency == Some(Coherency::HdmDb),
        }
    }
}

/// A CXL fixed memory window.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Its length.
    pub size: Quantity,
    /// The bridges that it leads to.
    pub targets: Vec<String>,
}

/// What the machine is asked for.
pub(super) fn intents(scenario: &Scenario) -> Topology {
    let bridges = scenario.bridges.iter().map(Bridge::intent);
    let windows = scenario.windows.iter();
    let windows = windows.map(|window| WindowIntent { size: window.size.0, targets: window.targets.clone() });
    let devices = scenario.devices.iter();
    let below = devices.filter_map(|device| Some((device.name.clone(), device.bridge.clone()?)));
    Topology {
        without_windows: scenario.machine.fixed_windows == Some(false),
        bridges: bridges.collect(),
        windows: windows.collect(),
        below: below.collect(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::without_a_word("", false)]
    #[case("coherency = \"hdm-d\"", false)]
    #[case("coherency = \"hdm-db\"", true)]
    fn a_slot_is_for_back_invalidation_where_it_says_so_alone(#[case] key: &str, #[case] is_so: bool) {
        let bridge: Bridge = toml::from_str(&format!("name = \"slot\"\n{key}\n")).unwrap();
        assert_eq!(bridge.intent().back_invalidate, is_so);
    }

    #[test]
    fn a_slot_for_memory_that_no_type_2_device_has_is_a_mistake() {
        let mistake = toml::from_str::<Bridge>("name = \"slot\"\ncoherency = \"hdm-h\"\n").unwrap_err();
        assert!(
            mistake.to_string().contains("unknown variant `hdm-h`, expected `hdm-d` or `hdm-db`"),
            "{mistake}"
        );
    }
}
