//! What there is to see of a scenario: the guest address map, the topology, and what was said to the devices.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

/// What there is to see. Nothing of it is there if no report wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Story {
    /// The guest address map, by rising address; empty without a machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<Placed>,
    /// What is below which bridge; nothing without a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<Topology>,
    /// What was said to the devices.
    #[serde(default, skip_serializing_if = "Timeline::is_empty")]
    pub timeline: Timeline,
}

/// Something at its place in an address space.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Placed {
    /// What it is called.
    pub name: String,
    /// What it is: `ram`, `bar`, `window` ...
    pub kind: String,
    /// Its first address.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub start: u64,
    /// How many bytes.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub size: u64,
    /// What an access reaches.
    pub reach: Reach,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What it consists of, where that is not the same everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A part of something.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Where in the whole it begins.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub offset: u64,
    /// How many bytes.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub size: u64,
    /// What an access reaches.
    pub reach: Reach,
}

/// What an access reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Memory.
    Maps,
    /// Whoever answers for what is there.
    Traps,
    /// The component registers, which cover what is below them.
    Overlay,
    /// Parts of different kinds.
    Mixed,
    /// Nothing.
    Nothing,
}

impl Reach {
    /// The word in pictures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Maps => "maps",
            Self::Traps => "traps",
            Self::Overlay => "overlay, traps",
            Self::Mixed => "maps and traps",
            Self::Nothing => "nothing answers",
        }
    }
}

/// Which device is below which bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Topology {
    /// The host bridges.
    pub bridges: Vec<Bridge>,
    /// The CXL fixed memory windows.
    pub windows: Vec<Window>,
    /// The devices.
    pub devices: Vec<Device>,
}

/// A host bridge, and its only root port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Bridge {
    /// What it is called.
    pub name: String,
    /// Its first bus.
    pub bus: u8,
    /// Its last bus.
    pub last_bus: u8,
    /// Where its root port is.
    pub port: String,
    /// The device below the port; nothing is an empty slot.
    pub device: Option<String>,
}

/// A window.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Window {
    /// What it is called.
    pub name: String,
    /// Its first address.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub start: u64,
    /// How many bytes.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub size: u64,
    /// The bridges that it leads to.
    pub targets: Vec<String>,
    /// Whose memory is in it.
    pub device: Option<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Device {
    /// What it is called.
    pub name: String,
    /// Which function it is.
    pub bdf: String,
    /// Where its decoder 0 puts its memory.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub base: u64,
    /// How much memory it has.
    #[serde(with = "hex")]
    #[schemars(with = "String")]
    pub size: u64,
    /// The memory can be mapped. Where not, every access is a call.
    pub mapped: bool,
    /// Its BARs, as they are in the map.
    pub bars: Vec<String>,
}

/// What was said to the devices, in order. Where numbers are left out, so much is not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Timeline {
    /// How much there was.
    pub count: usize,
    /// What is kept of it.
    pub events: Vec<Event>,
}

impl Timeline {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A register access or a message.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Event {
    /// Its number, from 1.
    pub number: usize,
    /// The step that it belongs to, from 1; 0 is what comes before the steps.
    pub step: usize,
    /// Microseconds since the scenario began.
    pub at_us: u64,
    /// On whose behalf it is.
    pub who: Who,
    /// To which device.
    pub device: String,
    /// `read`, `write`, or the message.
    pub what: String,
    /// Where: the register by its name, or the region and the offset. Empty with a message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The region and the offset, where `place` is a register.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub offset: String,
    /// What was read or written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The fields that are another value than before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub words: String,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// On whose behalf something is said to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The machine itself.
    #[default]
    Machine,
    /// The guest, whose access the machine passes on.
    Guest,
    /// A user of VFIO, without a machine.
    User,
    /// The scenario, which looks behind the machine.
    Scenario,
    /// The device itself, which asks for memory.
    Device,
}

impl Who {
    /// The word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Guest => "guest",
            Self::User => "user",
            Self::Scenario => "scenario",
            Self::Device => "device",
        }
    }
}

/// Numbers that people read in hex.
mod hex {
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:#x}"))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.ok_or_else(|| D::Error::custom("a number in hex is wanted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_reports_is_read_as_it_was_written_and_numbers_are_in_hex() {
        let part = Part { name: "bar2".to_owned(), offset: 0x2_1000, size: 0x140, reach: Reach::Overlay };
        let placed = Placed {
            name: "gpu0 bar2".to_owned(),
            kind: "bar".to_owned(),
            start: 0x1_0000_0000,
            size: u64::MAX,
            reach: Reach::Mixed,
            why: String::new(),
            parts: vec![part],
        };
        let topology = Some(Topology::default());
        let story = Story { map: vec![placed], topology, timeline: Timeline::default() };
        let text = serde_json::to_string(&story).unwrap();
        assert!(text.contains(r#""start":"0x100000000","size":"0xffffffffffffffff""#), "{text}");
        assert!(text.contains(r#""offset":"0x21000","size":"0x140","reach":"overlay""#), "{text}");
        assert_eq!(serde_json::from_str::<Story>(&text).unwrap(), story);
        assert_eq!(serde_json::from_str::<Story>("{}").unwrap(), Story::default());
        assert!(serde_json::from_str::<Story>(&text.replace("0x140", "140")).is_err());
    }
}
