//! What a scenario says of interrupts: those that the guest takes, and what a device tells the machine.
//!
//! ```toml
//! # Vector 0 sends interrupt 0x41, and MSI-X is on.
//! [[step]]
//! store = { at = "gpu0.bar0", width = 8, value = "0xfee0_0000" }
//!
//! [[step]]
//! store = { at = "gpu0.bar0+0x8", width = 8, value = "0x41" }
//!
//! [[step]]
//! store = { at = "gpu0.config+0x82", width = 2, value = "0x8000" }
//!
//! [[step]]
//! copy = { device = "gpu0", from = "0x20_0000", to_memory = 0, length = 8, ends = "done", vector = 0 }
//!
//! [[step]]
//! interrupts = { number = "0x41", count = 1 }
//! ```
//!
//! An interrupt by the pin comes again until the device has what it asked for. So a handler can be told where the
//! device says so, and which bits to clear there:
//!
//! ```toml
//! [[step]]
//! handler = { number = "0x51", at = "gpu0.bar0+0xc018", value = 2 }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::profile::quantity::Quantity;
use vmm_core::irq::signals::Signal;

use super::place::Place;

/// The guest's handler of an interrupt asks the device whether it is meant, counts it if it is, and sees to what the
/// device asks for, as a driver does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handler {
    /// The number of the interrupt, 32 to 255.
    pub number: Quantity,
    /// A dword of the device, at a multiple of 4.
    pub at: Place,
    /// The bits that tell that it asks for something, and that clear when they are stored there.
    pub value: Quantity,
    /// At every how many of these interrupts they are stored; at each, without this.
    pub every: Option<u64>,
}

/// The guest has taken an interrupt so often since it began to run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interrupts {
    /// The number of the interrupt, 32 to 255.
    pub number: Quantity,
    /// How often.
    pub count: u64,
}

/// A device has told the machine something so often since the guest began to run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signalled {
    /// Which device.
    pub device: String,
    /// What: `pin`, `error` or `request`.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// The machine lets the interrupt pin of a device signal again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmaskPin {
    /// Which device.
    pub device: String,
}

impl Interrupts {
    /// What is wrong with it: a key, and why.
    pub(super) fn wrong(&self) -> Option<(Option<&'static str>, String)> {
        wrong_number(self.number)
    }
}

fn wrong_number(Quantity(number): Quantity) -> Option<(Option<&'static str>, String)> {
    let fits = (32..=255).contains(&number);
    (!fits).then(|| (Some("number"), format!("number = {number}: must be 32 to 255")))
}

impl Handler {
    /// What is wrong with it: a key, and why.
    pub(super) fn wrong(&self) -> Option<(Option<&'static str>, String)> {
        let value = || {
            let wide = u32::try_from(self.value.0).is_err();
            wide.then(|| (Some("value"), format!("value = {:#x}: must be a dword", self.value.0)))
        };
        let every =
            || (self.every == Some(0)).then(|| (Some("every"), "every = 0: must be at least 1".to_owned()));
        wrong_number(self.number).or_else(value).or_else(every)
    }
}

impl Signalled {
    /// What it is about.
    pub fn signal(&self) -> Option<Signal> {
        Signal::ALL.into_iter().find(|signal| signal.name() == self.what)
    }

    /// What is wrong with it: a key, and why.
    pub(super) fn wrong(&self) -> Option<(Option<&'static str>, String)> {
        let names = Signal::ALL.map(Signal::name).join(", ");
        let wrong = || (Some("what"), format!("what = {:?}: must be one of {names}", self.what));
        self.signal().is_none().then(wrong)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Loaded;

    #[rstest]
    #[case("interrupts = { number = 32, count = 0 }", None)]
    #[case("interrupts = { number = 255, count = 7 }", None)]
    #[case("interrupts = { number = 31, count = 0 }", Some("number = 31: must be 32 to 255"))]
    #[case("interrupts = { number = 256, count = 0 }", Some("number = 256: must be 32 to 255"))]
    #[case("signalled = { device = \"a\", what = \"request\", count = 1 }", None)]
    #[case(
        "signalled = { device = \"a\", what = \"wish\", count = 1 }",
        Some("what = \"wish\": must be one of pin, error, request")
    )]
    #[case("signalled = { device = \"b\", what = \"pin\", count = 1 }", Some("there is only a"))]
    #[case("handler = { number = 32, at = \"a.bar0\", value = 1 }", None)]
    #[case("handler = { number = 255, at = 0x1000, value = 0xffff_ffff, every = 2 }", None)]
    #[case("handler = { number = 31, at = 0, value = 1 }", Some("number = 31: must be 32 to 255"))]
    #[case(
        "handler = { number = 32, at = 0, value = 0x1_0000_0000 }",
        Some("value = 0x100000000: must be a dword")
    )]
    #[case("handler = { number = 32, at = 0, value = 0, every = 0 }", Some("every = 0: must be at least 1"))]
    #[case("handler = { number = 32, at = \"b.bar0\", value = 0 }", Some("there is only a"))]
    #[case("unmask_pin = { device = \"b\" }", Some("there is only a"))]
    fn what_cannot_be_is_a_mistake(#[case] step: &str, #[case] message: Option<&str>) {
        let text = format!("proves = \"x\"\n[[device]]\nname = \"a\"\n[[step]]\n{step}\n");
        let mistake = Loaded::parse("x", "x.toml", &text, None).err().map(|mistake| mistake.to_string());
        match (&mistake, message) {
            (None, None) => {}
            (Some(mistake), Some(message)) => assert!(mistake.contains(message), "{mistake}"),
            other => panic!("{other:?}"),
        }
    }
}
