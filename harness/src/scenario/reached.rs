//! Steps of a scenario without a machine about what the device reaches by itself: memory of the user's, and the user,
//! by interrupts.
//!
//! ```toml
//! [[step]]
//! dma_map = { device = "gpu0", address = 0x10_0000, size = "4KiB" }
//!
//! [[step]]
//! dma_memory = { device = "gpu0", address = 0x10_0000, width = 8, store = "0x1122_3344_5566_7788" }
//!
//! [[step]]
//! vectors = { device = "gpu0", count = 1 }
//!
//! [[step]]
//! dma_copy = { device = "gpu0", from = 0x10_0000, to_memory = 0, length = 8, ends = "done", vector = 0 }
//!
//! [[step]]
//! vector = { device = "gpu0", number = 0, count = 1 }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;

use super::dma::ENDS;

/// The most vectors that a user attaches events to.
const MOST_VECTORS: u16 = 64;

/// The user looks at memory that the device was let reach, or stores there.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Which device.
    pub device: String,
    /// Where it is for the device.
    pub address: Quantity,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What must be there.
    pub is: Option<Quantity>,
    /// What is stored there.
    pub store: Option<Quantity>,
}

/// The user has the device's engine copy, and sees how that ends. Each side is an address that the device was let
/// reach, or an offset in its memory.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Which device.
    pub device: String,
    /// Where the data is.
    pub from: Option<Quantity>,
    /// Where the data is in the device's memory.
    pub from_memory: Option<Quantity>,
    /// Where it goes.
    pub to: Option<Quantity>,
    /// Where it goes in the device's memory.
    pub to_memory: Option<Quantity>,
    /// How many bytes.
    pub length: u32,
    /// How it ends: `done`, or the name of the error.
    pub ends: String,
    /// The vector that is signalled at the end. Without this, none is.
    pub vector: Option<u16>,
}

/// The user attaches events to the first so many vectors of MSI-X; none takes them all back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Which device.
    pub device: String,
    /// How many.
    pub count: u16,
}

/// A vector was signalled so often since the user last looked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// Which device.
    pub device: String,
    /// Which vector.
    pub number: u16,
    /// How often.
    pub count: u64,
}

/// What is wrong with a step: a key, if one alone is to blame, and why.
type Wrong = Option<(Option<&'static str>, String)>;

impl Memory {
    /// What is wrong with it.
    pub(super) fn wrong(&self) -> Wrong {
        let both = self.is.is_some() == self.store.is_some();
        both.then(|| (None, "either `is` says what must be there or `store` what is put there".to_owned()))
    }
}

impl Copy {
    /// What is wrong with it.
    pub(super) fn wrong(&self) -> Wrong {
        if self.from.is_some() == self.from_memory.is_some() || self.to.is_some() == self.to_memory.is_some()
        {
            let message = "one of `from` and `from_memory`, and one of `to` and `to_memory`";
            return Some((None, message.to_owned()));
        }
        let names = ENDS.map(|(name, _)| name);
        let unknown = !names.contains(&self.ends.as_str());
        let message = || format!("ends = {:?}: must be one of {}", self.ends, names.join(", "));
        unknown.then(|| (Some("ends"), message()))
    }
}

impl Vectors {
    /// What is wrong with it.
    pub(super) fn wrong(&self) -> Wrong {
        let many = self.count > MOST_VECTORS;
        many.then(|| (Some("count"), format!("count = {}: must be at most {MOST_VECTORS}", self.count)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;

    #[rstest]
    #[case("dma_memory = { device = \"a\", address = 0, width = 8, is = 0 }", None)]
    #[case("dma_memory = { device = \"a\", address = 0, width = 8 }", Some("either `is` says"))]
    #[case("dma_memory = { device = \"a\", address = 0, width = 3, is = 0 }", Some("width = 3"))]
    #[case("dma_copy = { device = \"a\", from = 0, to_memory = 0, length = 1, ends = \"done\" }", None)]
    #[case("dma_copy = { device = \"a\", from = 0, length = 1, ends = \"done\" }", Some("one of `from` and"))]
    #[case(
        "dma_copy = { device = \"a\", from = 0, to = 0, length = 1, ends = \"well\" }",
        Some("ends = \"well\": must be one of done, bus_master_off")
    )]
    #[case("vectors = { device = \"a\", count = 64 }", None)]
    #[case("vectors = { device = \"a\", count = 65 }", Some("count = 65: must be at most 64"))]
    #[case("vector = { device = \"b\", number = 0, count = 1 }", Some("there is only a"))]
    fn what_cannot_be_is_a_mistake(#[case] step: &str, #[case] message: Option<&str>) {
        let text = format!("proves = \"x\"\nattach = false\n[[device]]\nname = \"a\"\n[[step]]\n{step}\n");
        let mistake = Loaded::parse("x", "x.toml", &text, None).err().map(|mistake| mistake.to_string());
        match (&mistake, message) {
            (None, None) => {}
            (Some(mistake), Some(message)) => assert!(mistake.contains(message), "{mistake}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn they_are_calls_on_a_device_and_need_no_machine() {
        let text =
            "proves = \"x\"\n[[device]]\nname = \"a\"\n[[step]]\nvectors = { device = \"a\", count = 1 }\n";
        let mistake = Loaded::parse("x", "x.toml", text, None).err().map(|mistake| mistake.to_string());
        assert!(mistake.is_some_and(|mistake| mistake.contains("is a call on a device")));
    }
}
