//! What a scenario says of DMA: the machine's keys, and steps about it.
//!
//! ```toml
//! [machine]
//! dma = "map"
//!
//! [[smmu]]
//! bus = "gpu0 bridge"
//!
//! [[step]]
//! copy = { device = "gpu0", from = "0x20_0000", to_memory = 0x1000, length = 8, ends = "done" }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;
use sim_device::profile::source::Mistake;
use vmm_core::plan::dma::Policy;
use vmm_core::plan::dma::Wish;
use vmm_core::plan::iommu::SmmuIntent;
use vmm_core::plan::iommu::Way;
use vmm_core::plan::machine::Machine;

use super::Scenario;
use super::check::Check;
use super::place::Place;

/// An SMMU of the machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Smmu {
    /// The bus that it sits on: `pcie.0`, or the name of a host bridge. A device's own is `DEVICE bridge`.
    pub bus: String,
    /// How the devices behind it reach memory: `ask` (each access is translated) or `mirror` (they are given what the
    /// guest's tables map). The first if nothing is said.
    pub reach: Option<String>,
}

/// The guest has the device's engine copy, and sees how that ends. Each side is an address as the device sees it,
/// or an offset in its memory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Which device.
    pub device: String,
    /// Where the data is.
    pub from: Option<Place>,
    /// Where the data is in the device's memory.
    pub from_memory: Option<Quantity>,
    /// Where it goes.
    pub to: Option<Place>,
    /// Where it goes in the device's memory.
    pub to_memory: Option<Quantity>,
    /// How many bytes.
    pub length: u32,
    /// How it ends: `done`, or the name of the error.
    pub ends: String,
    /// The vector that is signalled at the end. Without this, none is.
    pub vector: Option<u16>,
    /// It is rung by the doorbell that an event can stand for, and not by the bit of control.
    #[serde(default)]
    pub by_event: bool,
}

/// It is planned what a device may do with a part of the map.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// Which device.
    pub device: String,
    /// The part of the map, such as `ram` or `gpu0 window`.
    pub part: String,
    /// The decision's name.
    pub is: String,
    /// Why.
    pub because: String,
    /// Whether the plan has a note about ATS and this device.
    #[serde(default)]
    pub noted: bool,
}

/// How many vectors MSI-X has at most.
const MOST_VECTORS: u16 = 2048;

/// The device was told about memory that it may reach since it came, or since this was asked last: exactly this, in
/// this order. What it refused has that behind it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DmaCalls {
    /// Which device.
    pub device: String,
    /// Lines such as `DMA_MAP of [0x0, 0x4000000)`.
    pub calls: Vec<String>,
}

/// How a copy can end, and the bit of the status register that says so.
pub const ENDS: [(&str, u32); 10] = [
    ("done", 1),
    ("bus_master_off", 8),
    ("bad_length", 9),
    ("bad_range", 10),
    ("overlap", 11),
    ("unmapped", 12),
    ("not_permitted", 13),
    ("host_failed", 14),
    ("unanswered", 15),
    ("poisoned", 16),
];

/// The machine with what a scenario says of DMA.
pub(super) fn machine(check: &Check<'_>, scenario: &Scenario, machine: Machine) -> Result<Machine, Mistake> {
    let keys = &scenario.machine;
    let policy = match &keys.dma {
        None => Policy::default(),
        Some(name) => match Policy::ALL.into_iter().find(|policy| policy.name() == name) {
            Some(policy) => policy,
            None => {
                let names = Policy::ALL.map(Policy::name).join(", ");
                let message = format!("dma = {name:?}: must be one of {names}");
                return check.mistake(&["machine", "dma"], message);
            }
        },
    };
    let smmus =
        scenario.smmus.iter().enumerate().map(|smmu| intent(check, smmu)).collect::<Result<_, _>>()?;
    Ok(Machine { dma: Wish { policy, ats: keys.ats }, smmus, ..machine })
}

fn intent(check: &Check<'_>, (index, smmu): (usize, &Smmu)) -> Result<SmmuIntent, Mistake> {
    let reach = match &smmu.reach {
        None => Way::default(),
        Some(name) => match Way::ALL.into_iter().find(|way| way.name() == name) {
            Some(way) => way,
            None => {
                let names = Way::ALL.map(Way::name).join(", ");
                let path = ["smmu", &index.to_string(), "reach"];
                return check.mistake(&path, format!("reach = {name:?}: must be one of {names}"));
            }
        },
    };
    Ok(SmmuIntent { bus: smmu.bus.clone(), reach })
}

impl Copy {
    /// What is wrong with it: a key, if one alone is to blame, and why.
    pub(super) fn wrong(&self) -> Option<(Option<&'static str>, String)> {
        if self.from.is_some() == self.from_memory.is_some() || self.to.is_some() == self.to_memory.is_some()
        {
            let message = "one of `from` and `from_memory`, and one of `to` and `to_memory`";
            return Some((None, message.to_owned()));
        }
        if !ENDS.iter().any(|(name, _)| *name == self.ends) {
            let names = ENDS.map(|(name, _)| name).join(", ");
            return Some((Some("ends"), format!("ends = {:?}: must be one of {names}", self.ends)));
        }
        let vector = self.vector.filter(|vector| *vector >= MOST_VECTORS);
        vector.map(|vector| (Some("vector"), format!("vector = {vector}: must be below {MOST_VECTORS}")))
    }

    /// The places that it has, with their keys.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, &Place)> {
        let places = [("from", &self.from), ("to", &self.to)];
        places.into_iter().filter_map(|(key, place)| Some((key, place.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;
    use super::*;

    fn loaded(before: &str, step: &str) -> Result<Loaded, String> {
        let text = format!("proves = \"x\"\n{before}\n[[device]]\nname = \"gpu0\"\n[[step]]\n{step}\n");
        Loaded::parse("x", "x.toml", &text, None).map_err(|mistake| mistake.to_string())
    }

    const LOAD: &str = "load = { at = 0, width = 4, is = 0 }";

    #[test]
    fn the_keys_are_the_machines() {
        let text = "[machine]\ndma = \"tolerate\"\nats = true\n[[smmu]]\nbus = \"gpu0 bridge\"";
        let machine = loaded(text, LOAD).unwrap().machine;
        assert_eq!(machine.dma, Wish { policy: Policy::Tolerate, ats: true });
        let asking = SmmuIntent { bus: "gpu0 bridge".to_owned(), reach: Way::Ask };
        assert_eq!(machine.smmus, std::slice::from_ref(&asking));
        let mirrored = loaded("[[smmu]]\nbus = \"gpu0 bridge\"\nreach = \"mirror\"", LOAD).unwrap().machine;
        assert_eq!(mirrored.smmus, [SmmuIntent { reach: Way::Mirror, ..asking }]);
        let silent = loaded("", LOAD).unwrap().machine;
        assert_eq!((silent.dma, silent.smmus), (Wish::default(), Vec::new()));
    }

    #[rstest]
    #[case("[machine]\ndma = \"none\"", LOAD, "dma = \"none\": must be one of skip, map, tolerate")]
    #[case(
        "[[smmu]]\nbus = \"gpu0 bridge\"\nreach = \"copy\"",
        LOAD,
        "reach = \"copy\": must be one of ask, mirror"
    )]
    #[case("", "copy = { device = \"gpu0\", to = 0, length = 1, ends = \"done\" }", "one of `from` and")]
    #[case(
        "",
        "copy = { device = \"gpu0\", from = 0, from_memory = 0, to = 0, length = 1, ends = \"done\" }",
        "one of `from` and"
    )]
    #[case(
        "",
        "copy = { device = \"gpu0\", from = 0, to_memory = 0, length = 1, ends = \"well\" }",
        "ends = \"well\": must be one of done, bus_master_off"
    )]
    #[case(
        "",
        "copy = { device = \"gpu0\", from = \"gpu1.window\", to = 0, length = 1, ends = \"done\" }",
        "from has device \"gpu1\": there is only gpu0"
    )]
    #[case(
        "",
        "copy = { device = \"gpu0\", from = 0, to_memory = 0, length = 1, ends = \"done\", vector = 2048 }",
        "vector = 2048: must be below 2048"
    )]
    #[case(
        "attach = false\n[machine]\nats = true",
        "reset = { device = \"gpu0\" }",
        "`machine` is about attaching"
    )]
    fn what_cannot_be_is_a_mistake(#[case] before: &str, #[case] step: &str, #[case] message: &str) {
        let mistake = loaded(before, step).unwrap_err();
        assert!(mistake.contains(message), "{mistake}");
    }

    #[test]
    fn the_ends_are_the_engines_own() {
        use sim_device::silicon::engine::Status;
        let names =
            ENDS.map(|(name, bit)| (name, Status::FIELDS.iter().any(|field| field.mask() == 1 << bit)));
        assert!(names.iter().all(|(_, is_one)| *is_one), "{names:?}");
    }
}
