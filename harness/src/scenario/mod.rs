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
//! With `attach = false` there is no machine: the devices are open, as a user of VFIO opens them, and the steps are
//! calls on them ([`user`]).
//!
//! Files that it includes, variables and matrices are in the module `written`.
//!
//! Steps have their kind as their only key, so that a mistake is found at its line; unknown keys are mistakes.
//! What a reader cannot see by itself (a device that no step has, a width of three) is checked here, too: a
//! [`Loaded`] scenario can be run.

pub mod accident;
pub mod acpi;
pub mod dma;
pub mod drive;
pub mod find;
pub mod interrupts;
pub mod life;
pub mod machine;
pub mod needs;
pub mod place;
pub mod plug;
pub mod reached;
pub mod region;
pub mod schema;
pub mod step;
pub mod topology;
pub mod user;

mod check;
mod written;

use std::path::Path;

use check::Check;
use schemars::JsonSchema;
use serde::Deserialize;
use sim_device::kernel::Abi;
use sim_device::profile::Profile;
use sim_device::profile::quantity::Quantity;
use sim_device::profile::source::Mistake;
use step::Step;
use vfio_abi::cxl::Revision;
use vmm_core::acpi::system::FmwsInCrs;
use vmm_core::plan::firmware::Telling;
use vmm_core::plan::machine::Arch;
use vmm_core::plan::machine::Machine;
use written::One;
pub use written::Reader;
use written::Texts;
use written::Tree;

/// A scenario as written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it proves, in a sentence.
    pub proves: String,
    /// The kernels that it is about; the first is taken when the user names none. Without this, all are.
    #[serde(default)]
    pub abi: Vec<String>,
    /// What it needs that is not everywhere: `kvm`, or a [`needs::Need`]. Where that is not there, it is skipped.
    #[serde(default)]
    pub requires: Vec<String>,
    /// What runs its guest: `kvm`, without which it is skipped, or `soft`, whatever the user says. Without this, what
    /// the user says.
    #[serde(default)]
    pub guest: Option<String>,
    /// The devices are attached to a machine. Without one, there is no guest, and steps are calls on the devices.
    #[serde(default = "yes")]
    pub attach: bool,
    /// The machine.
    #[serde(default)]
    pub machine: MachineKeys,
    /// Its CXL host bridges. A device that names none has one of its own.
    #[serde(rename = "bridge", default)]
    pub bridges: Vec<topology::Bridge>,
    /// Its CXL fixed memory windows. Without any, each device has one as long as its memory.
    #[serde(rename = "window", default)]
    pub windows: Vec<topology::Window>,
    /// Its SMMUs.
    #[serde(rename = "smmu", default)]
    pub smmus: Vec<dma::Smmu>,
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MachineKeys {
    /// Whose layout it has: `x86_64` or `aarch64`.
    pub arch: Option<String>,
    /// It has CXL fixed memory windows. Without this, it has.
    pub fixed_windows: Option<bool>,
    /// The guest is told to keep BARs, bridge windows and bus numbers. Without this, it is.
    pub preserve_config: Option<bool>,
    /// Which bridge's ACPI resources name the range of the fixed windows: first-bridge or nowhere. Without this, what
    /// is usual on the architecture.
    pub fmws_in_crs: Option<FmwsInCrsKey>,
    /// RAM.
    pub ram: Option<Quantity>,
    /// Bits of a guest physical address.
    pub address_bits: Option<u32>,
    /// What is done with the memory of VFIO devices: skip, map or tolerate.
    pub dma: Option<String>,
    /// A guest may turn on the address translation services of devices that have them.
    pub ats: bool,
    /// The only revision of vfio-cxl that the machine takes: v2, v3 or next. Without this, it takes all of them.
    pub assume: Option<String>,
    /// What the machine does with a decoder that a reset has taken away: reprogram, or nothing. Without this, the
    /// first.
    pub after_reset: Option<String>,
    /// The machine waits for no answer to a write to a BAR.
    pub posted_writes: bool,
    /// What is wrong with the machine on purpose: mistakes that VMMs once made.
    pub defects: Vec<String>,
}

impl MachineKeys {
    /// How the guest is told of the machine.
    fn telling(&self) -> Telling {
        let usual = Telling::default();
        let fmws_in_crs = self.fmws_in_crs.map(|key| match key {
            FmwsInCrsKey::FirstBridge => FmwsInCrs::FirstBridge,
            FmwsInCrsKey::Nowhere => FmwsInCrs::Nowhere,
        });
        Telling { preserve_config: self.preserve_config.unwrap_or(usual.preserve_config), fmws_in_crs }
    }
}

/// Which bridge's ACPI resources name the range of the fixed windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FmwsInCrsKey {
    /// The first CXL host bridge's.
    FirstBridge,
    /// None's.
    Nowhere,
}

/// A device of the machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The machine's name for it.
    pub name: String,
    /// The host bridge that it is below. Without this, one of its own.
    #[serde(default)]
    pub bridge: Option<String>,
    /// It is in the machine from the start. One that is not has a `bridge`, and comes with the step `plug`.
    #[serde(default = "yes")]
    pub plugged: bool,
    /// Who commits its decoder: firmware, or guest. Without this, the first: a device that firmware did not commit is
    /// refused.
    #[serde(default)]
    pub commit: Option<String>,
    /// What the machine does when it is lost: fail, detach, or reconnect. Without this, the first.
    #[serde(default)]
    pub on_loss: Option<String>,
    /// How many milliseconds it may take over an answer. Without this, what the command line says.
    #[serde(default)]
    pub answer_within_ms: Option<u64>,
    /// A preset, or a file beside the scenario.
    #[serde(default)]
    pub profile: Option<String>,
    /// What is different from the default preset.
    #[serde(default)]
    pub with: Option<Profile>,
}

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its path below the folder that it was found in, without the extension.
    pub name: String,
    /// The file, as the user would name it.
    pub file: String,
    /// The files that it includes.
    pub includes: Vec<String>,
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

impl Loaded {
    /// The same scenario with the layout of another architecture.
    #[must_use]
    pub fn on(mut self, arch: Arch) -> Self {
        self.machine.arch = arch;
        if self.scenario.machine.address_bits.is_none() {
            self.machine.address_bits = arch.default_address_bits();
        }
        self
    }

    /// Where it is: its file, and behind that the values of the matrix that it is of.
    pub fn place(&self) -> String {
        let suffix = self.name.split_once('[').map(|(_, values)| format!("[{values}"));
        format!("{}{}", self.file, suffix.unwrap_or_default())
    }

    /// The scenario in a TOML text, which is one. `folder` is where profiles that it names are looked for; files that
    /// it includes are looked for nowhere.
    ///
    /// # Errors
    /// If the text has a mistake.
    ///
    /// ```
    /// use harness::scenario::Loaded;
    ///
    /// let text = "proves = \"the vendor is there\"\n[[device]]\nname = \"gpu0\"\n\
    ///             [[step]]\nload = { at = \"gpu0.config\", width = 2, is = 0x1e98 }\n";
    /// let loaded = Loaded::parse("first", "first.toml", text, None)?;
    /// assert_eq!(loaded.scenario.devices.len(), 1);
    ///
    /// let mistake = Loaded::parse("first", "first.toml", &text.replace("name", "nmae"), None).unwrap_err();
    /// assert!(mistake.to_string().starts_with("first.toml:3: "), "{mistake}");
    /// # Ok::<(), sim_device::profile::source::Mistake>(())
    /// ```
    pub fn parse(name: &str, file: &str, text: &str, folder: Option<&Path>) -> Result<Self, Mistake> {
        let nowhere = |_: &Path| Err("files are looked for nowhere".to_owned());
        let mut all = Self::all((name, file), text, Beside { folder, reader: &nowhere })?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => {
                let message = format!("a matrix: these are {} scenarios, not one", more.saturating_add(1));
                Err(Mistake { file: file.to_owned(), line: 1, message })
            }
        }
    }

    /// The scenarios in a TOML text: one, or if it has a matrix one for each combination. Their names begin with
    /// `name`; `file` is where it is from.
    ///
    /// # Errors
    /// If the text has a mistake, or a file that it includes.
    pub fn all((name, file): (&str, &str), text: &str, beside: Beside<'_>) -> Result<Vec<Self>, Mistake> {
        let texts = Texts::read(file, text, beside.reader)?;
        let scenarios = texts.scenarios()?;
        let one = |One { suffix, tree }| {
            let mut loaded = Self::read((&format!("{name}{suffix}"), file), &texts, tree, beside.folder)?;
            loaded.includes = texts.included();
            Ok(loaded)
        };
        scenarios.into_iter().map(one).collect()
    }

    fn read(
        (name, file): (&str, &str),
        texts: &Texts,
        tree: Tree<'_>,
        folder: Option<&Path>,
    ) -> Result<Self, Mistake> {
        let check = Check::new(texts, tree.clone());
        let scenario = Scenario::deserialize(toml::de::Deserializer::from(tree));
        let scenario = scenario.map_err(|error| texts.misread(&error))?;
        check.devices(&scenario)?;
        check.attach(&scenario)?;
        plug::slots(&check, &scenario)?;
        check.steps(&scenario)?;
        let abis = check.abis(&scenario)?;
        let machine = dma::machine(&check, &scenario, check.machine(&scenario)?)?;
        let machine = Machine { telling: scenario.machine.telling(), ..machine };
        life::requires(&check, &scenario)?;
        life::guest(&check, &scenario)?;
        let machine = life::machine(&check, &scenario, machine)?;
        let assume = check.assume(&scenario)?;
        let profiles = check.profiles(&scenario, folder)?;
        let (name, file, includes) = (name.to_owned(), file.to_owned(), Vec::new());
        Ok(Self { name, file, includes, scenario, abis, machine, assume, profiles })
    }
}

/// What is beside a scenario's file.
#[derive(Clone, Copy)]
pub struct Beside<'a> {
    /// Where profiles that it names are looked for; without this, only presets are found.
    pub folder: Option<&'a Path>,
    /// What reads the files that it includes.
    pub reader: Reader<'a>,
}

impl std::fmt::Debug for Beside<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Beside").field("folder", &self.folder).finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
