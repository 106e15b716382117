//! A scenario: one behaviour, told as a TOML file.
//!
//! ```toml
//! proves = "what the guest stores in the window is in the device's memory"
//!
//! [[device]]
//! name = "gpu0"
//!
//! [[step]]
//! store = { at = "gpu0.window+0x1000", width = 8, value = "0x1122_3344_5566_7788" }
//!
//! [[step]]
//! device_holds = { device = "gpu0", offset = 0x1000, width = 8, is = "0x1122_3344_5566_7788" }
//! ```
//!
//! Steps have their kind as their only key, so that a mistake is found at its line; unknown keys are mistakes.
//! What a reader cannot see by itself (a device that no step has, a width of three) is checked here, too: a
//! [`Loaded`] scenario can be run.

pub mod find;
pub mod place;

use std::collections::HashSet;

use cxl_spec::access::Width;
use place::Place;
use serde::Deserialize;
use sim_device::kernel::ABIS;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use sim_device::profile::quantity::Quantity;
use sim_device::profile::source::Mistake;
use vfio_abi::cxl::Revision;
use vmm_core::plan::machine;
use vmm_core::plan::machine::Machine;

/// A scenario as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it proves, in a sentence.
    pub proves: String,
    /// The kernels that it is about; the first is taken when the user names none. Without this, all are.
    #[serde(default)]
    pub abi: Vec<String>,
    /// The machine.
    #[serde(default)]
    pub machine: MachineKeys,
    /// The devices, at least one.
    #[serde(rename = "device")]
    pub devices: Vec<Device>,
    /// The machine must refuse to attach, and the reason must have this text in it.
    #[serde(default)]
    pub refused: Option<String>,
    /// What is done and seen, in order.
    #[serde(rename = "step", default)]
    pub steps: Vec<Step>,
}

/// What can be said about the machine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineKeys {
    /// RAM.
    pub ram: Option<Quantity>,
    /// Bits of a guest physical address.
    pub address_bits: Option<u32>,
    /// The only revision of vfio-cxl that the machine takes: v2, v3 or next. Without this, it takes all of them.
    pub assume: Option<String>,
}

/// A device of the machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The machine's name for it.
    pub name: String,
    /// A preset, or a file beside the scenario.
    #[serde(default)]
    pub profile: Option<String>,
    /// What is different from the default preset.
    #[serde(default)]
    pub with: Option<Profile>,
}

/// Something that is done or seen.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The guest loads and sees.
    Load(Load),
    /// The guest stores.
    Store(Store),
    /// The device itself holds in its memory.
    DeviceHolds(DeviceHolds),
    /// The device itself puts into its memory.
    DevicePuts(DevicePuts),
    /// The guest reads a decoder through the BAR.
    Decoder(Decoder),
    /// The guest's window is here.
    Window(Window),
    /// The registers were written at machine-done: exactly these, in this order.
    MachineDone(MachineDone),
    /// The guest finds an address nowhere in a range.
    Hidden(Hidden),
}

/// The guest loads and sees.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// Where.
    pub at: Place,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What it must be.
    pub is: Option<Place>,
    /// What it must not be.
    pub is_not: Option<Place>,
    /// The bits that are looked at.
    pub mask: Option<Quantity>,
}

/// The guest stores.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where.
    pub at: Place,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub value: Quantity,
}

/// The device itself holds in its memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceHolds {
    /// Which device.
    pub device: String,
    /// Where in its memory.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub is: Quantity,
}

/// The device itself puts into its memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicePuts {
    /// Which device.
    pub device: String,
    /// Where in its memory.
    pub offset: Quantity,
    /// How many bytes: 1, 2, 4 or 8.
    pub width: u64,
    /// What.
    pub value: Quantity,
}

/// The guest reads a decoder through the BAR.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decoder {
    /// Which device.
    pub device: String,
    /// The base.
    pub base: Option<Place>,
    /// The size.
    pub size: Option<Quantity>,
    /// Whether it is committed.
    pub committed: Option<bool>,
    /// Whether it is locked.
    pub locked: Option<bool>,
}

/// The guest's window is here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Which device.
    pub device: String,
    /// Where it begins.
    pub start: Quantity,
    /// How long it is.
    pub size: Quantity,
}

/// The registers were written at machine-done.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineDone {
    /// Which device.
    pub device: String,
    /// Lines such as `HDM Decoder Base Low = 0x10000000`.
    pub writes: Vec<String>,
}

/// The guest finds an address nowhere in a range.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The address that must not be found.
    pub address: Quantity,
    /// Where the range begins.
    pub from: Place,
    /// How long it is.
    pub size: Quantity,
}

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its path below the folder that it was found in, without the extension.
    pub name: String,
    /// The file, as the user would name it.
    pub file: String,
    /// What it says.
    pub scenario: Scenario,
    /// The kernels that it is about; empty for all of vfio-cxl's.
    pub abis: Vec<&'static Abi>,
    /// The machine that it asks for.
    pub machine: Machine,
    /// The only revision of vfio-cxl that the machine takes.
    pub assume: Option<Revision>,
    /// The profiles of its devices, in order; nothing for the default preset.
    pub profiles: Vec<Option<Profile>>,
}

impl Step {
    /// The key that the step has in the file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Store(_) => "store",
            Self::DeviceHolds(_) => "device_holds",
            Self::DevicePuts(_) => "device_puts",
            Self::Decoder(_) => "decoder",
            Self::Window(_) => "window",
            Self::MachineDone(_) => "machine_done",
            Self::Hidden(_) => "hidden",
        }
    }

    /// The device names that the step has, with the keys that have them.
    fn devices(&self) -> Vec<(&'static str, &str)> {
        let places: Vec<(&'static str, &Place)> = match self {
            Self::Load(load) => {
                let optional = [("is", &load.is), ("is_not", &load.is_not)];
                let optional = optional.into_iter().filter_map(|(key, place)| Some((key, place.as_ref()?)));
                [("at", &load.at)].into_iter().chain(optional).collect()
            }
            Self::Store(store) => vec![("at", &store.at)],
            Self::Hidden(hidden) => vec![("from", &hidden.from)],
            Self::Decoder(decoder) => decoder.base.iter().map(|base| ("base", base)).collect(),
            _ => Vec::new(),
        };
        let device = match self {
            Self::DeviceHolds(step) => Some(&step.device),
            Self::DevicePuts(step) => Some(&step.device),
            Self::Decoder(step) => Some(&step.device),
            Self::Window(step) => Some(&step.device),
            Self::MachineDone(step) => Some(&step.device),
            Self::Load(_) | Self::Store(_) | Self::Hidden(_) => None,
        };
        let named = places.into_iter().filter_map(|(key, place)| Some((key, place.device()?)));
        named.chain(device.map(|name| ("device", name.as_str()))).collect()
    }

    /// The step's width, if it has one.
    fn width(&self) -> Option<u64> {
        match self {
            Self::Load(step) => Some(step.width),
            Self::Store(step) => Some(step.width),
            Self::DeviceHolds(step) => Some(step.width),
            Self::DevicePuts(step) => Some(step.width),
            Self::Decoder(_) | Self::Window(_) | Self::MachineDone(_) | Self::Hidden(_) => None,
        }
    }
}

impl Loaded {
    /// The scenario in a TOML text. `folder` is where files that it names are looked for.
    ///
    /// # Errors
    /// If the text has a mistake.
    pub fn parse(
        name: &str,
        file: &str,
        text: &str,
        folder: Option<&std::path::Path>,
    ) -> Result<Self, Mistake> {
        let scenario: Scenario =
            toml::from_str(text).map_err(|error| Mistake::of_reader(file, text, &error))?;
        let check = Check { file, text };
        check.devices(&scenario)?;
        check.steps(&scenario)?;
        let abis = check.abis(&scenario)?;
        let machine = check.machine(&scenario)?;
        let assume = check.assume(&scenario)?;
        let profiles = check.profiles(&scenario, folder)?;
        Ok(Self { name: name.to_owned(), file: file.to_owned(), scenario, abis, machine, assume, profiles })
    }
}

/// What the reader cannot see by itself.
struct Check<'a> {
    file: &'a str,
    text: &'a str,
}

impl Check<'_> {
    fn mistake<T>(&self, path: &[&str], message: String) -> Result<T, Mistake> {
        Err(Mistake::of_value(self.file, self.text, path, message))
    }

    fn devices(&self, scenario: &Scenario) -> Result<(), Mistake> {
        if scenario.devices.is_empty() {
            return self.mistake(&["device"], "device = []: a scenario has at least one".to_owned());
        }
        let mut names = HashSet::new();
        for (index, device) in scenario.devices.iter().enumerate() {
            let path = ["device", &index.to_string(), "name"];
            let name = &device.name;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if name.is_empty() || !name.bytes().all(plain) {
                return self.mistake(&path, format!("name = {name:?}: letters, digits, - and _ only"));
            }
            if !names.insert(name) {
                return self.mistake(&path, format!("name = {name:?}: another device has it"));
            }
        }
        Ok(())
    }

    fn steps(&self, scenario: &Scenario) -> Result<(), Mistake> {
        if scenario.refused.is_some() == scenario.steps.is_empty() {
            for (index, step) in scenario.steps.iter().enumerate() {
                self.step(scenario, &index.to_string(), step)?;
            }
            return Ok(());
        }
        let message = "a scenario has either steps or `refused`: what is refused cannot run".to_owned();
        self.mistake(&["refused"], message)
    }

    fn step(&self, scenario: &Scenario, index: &str, step: &Step) -> Result<(), Mistake> {
        let path = |key| ["step", index, step.kind(), key];
        for (key, name) in step.devices() {
            if !scenario.devices.iter().any(|device| device.name == name) {
                let names: Vec<_> = scenario.devices.iter().map(|device| device.name.as_str()).collect();
                let message = format!("{key} has device {name:?}: there is only {}", names.join(", "));
                return self.mistake(&path(key), message);
            }
        }
        if let Some(width) = step.width().filter(|width| Width::of(*width).is_none()) {
            return self.mistake(&path("width"), format!("width = {width}: must be 1, 2, 4 or 8"));
        }
        match step {
            Step::Load(load) if load.is.is_some() == load.is_not.is_some() => {
                let message = "load: either `is` or `is_not` says what must be seen".to_owned();
                self.mistake(&["step", index, "load"], message)
            }
            Step::Decoder(decoder) => {
                let Decoder { device: _, base, size, committed, locked } = decoder;
                if base.is_none() && size.is_none() && committed.is_none() && locked.is_none() {
                    let message = "decoder: nothing says what must be seen".to_owned();
                    return self.mistake(&["step", index, "decoder"], message);
                }
                Ok(())
            }
            Step::Hidden(hidden) if hidden.size.0 == 0 || hidden.size.0 > MOST_HIDDEN => {
                self.mistake(&path("size"), format!("size = {}: must be 1 byte to 16MiB", hidden.size))
            }
            _ => Ok(()),
        }
    }

    fn abis(&self, scenario: &Scenario) -> Result<Vec<&'static Abi>, Mistake> {
        let mut abis = Vec::new();
        for (index, name) in scenario.abi.iter().enumerate() {
            match Abi::named(name) {
                Some(abi) => abis.push(abi),
                None => {
                    let names: Vec<_> = ABIS.iter().map(|abi| abi.name).collect();
                    let message = format!("abi = {name:?}: must be one of {}", names.join(", "));
                    return self.mistake(&["abi", &index.to_string()], message);
                }
            }
        }
        Ok(abis)
    }

    fn machine(&self, scenario: &Scenario) -> Result<Machine, Mistake> {
        let keys = &scenario.machine;
        let default = Machine::default();
        let ram = keys.ram.map_or(default.ram, |ram| ram.0);
        if !ram.is_multiple_of(machine::RAM_GRANULE)
            || !(machine::LEAST_RAM..=machine::MOST_RAM).contains(&ram)
        {
            let message = format!("ram = {}: must be a multiple of 2MiB from 4MiB to 1TiB", Quantity(ram));
            return self.mistake(&["machine", "ram"], message);
        }
        let address_bits = keys.address_bits.unwrap_or(default.address_bits);
        if !machine::ADDRESS_BITS.contains(&address_bits) {
            let message = format!("address_bits = {address_bits}: must be 36 to 52");
            return self.mistake(&["machine", "address_bits"], message);
        }
        Ok(Machine { ram, address_bits, ..default })
    }

    fn assume(&self, scenario: &Scenario) -> Result<Option<Revision>, Mistake> {
        let Some(name) = &scenario.machine.assume else { return Ok(None) };
        match name.parse() {
            Ok(revision) => Ok(Some(revision)),
            Err(wrong) => self.mistake(&["machine", "assume"], format!("assume = {name:?}: {wrong}")),
        }
    }

    fn profiles(
        &self,
        scenario: &Scenario,
        folder: Option<&std::path::Path>,
    ) -> Result<Vec<Option<Profile>>, Mistake> {
        let mut profiles = Vec::new();
        for (index, device) in scenario.devices.iter().enumerate() {
            profiles.push(self.profile(&index.to_string(), device, folder)?);
        }
        Ok(profiles)
    }

    fn profile(
        &self,
        index: &str,
        device: &Device,
        folder: Option<&std::path::Path>,
    ) -> Result<Option<Profile>, Mistake> {
        match (&device.profile, &device.with) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => {
                let message = "either `profile` or `with` says which device it is, not both".to_owned();
                self.mistake(&["device", index, "profile"], message)
            }
            (None, Some(with)) => match with.check() {
                Ok(_) => Ok(Some(with.clone())),
                Err(wrong) => {
                    let field: Vec<&str> = wrong.field.split('.').collect();
                    let path = [&["device", index, "with"], field.as_slice()].concat();
                    self.mistake(&path, wrong.to_string())
                }
            },
            (Some(name), None) => {
                let beside = folder.map(|folder| folder.join(name)).filter(|path| path.is_file());
                let found = beside.map_or(name.clone(), |path| path.display().to_string());
                match Profile::find(&found) {
                    Ok(profile) => Ok(Some(profile).filter(|profile| *profile != Profile::default())),
                    Err(error) => self.mistake(&["device", index, "profile"], error.to_string()),
                }
            }
        }
    }
}

/// The longest range that is searched: every eight bytes are a load of the guest's.
const MOST_HIDDEN: u64 = 16 << 20;

#[cfg(test)]
mod tests;
