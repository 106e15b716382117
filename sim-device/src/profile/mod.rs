//! A profile says which device to be: ids, block placement, decoders, memory, what firmware did, what is broken.
//!
//! Every field has a default, and the defaults are the preset `t2-committed`. So a profile file is short: it
//! states what is different. [`Profile::check`] turns a profile into [`Checked`], which is the only way to a
//! device: a geometry that cannot be is refused there, by field and value.

pub mod quantity;
pub mod source;

mod check;
mod device;
mod faults;
mod kernel;

pub(crate) use check::CONTROL_BAR_SIZE;
pub use check::Checked;
pub use check::Impossible;
pub(crate) use check::LINE;
pub(crate) use check::PENDING_OFFSET;
pub use device::Coherency;
pub use device::Component;
pub use device::Decoder;
pub use device::Dvsec;
pub use device::Firmware;
pub use device::Ids;
pub use device::Interrupts;
pub use device::Memory;
pub use device::Silicon;
pub use faults::Area;
pub use faults::CapabilityArray;
pub use faults::Faults;
pub use faults::Lies;
pub use faults::LinkError;
pub use faults::WrongErrno;
pub use kernel::Kernel;
pub use kernel::Status2Source;
use serde::Deserialize;
use serde::Serialize;
use source::Mistake;

/// Which device to be. The text form is TOML; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Who made it and what it claims to be.
    pub ids: Ids,
    /// What the device DVSEC states.
    pub dvsec: Dvsec,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// The component register block and the BAR around it.
    pub component: Component,
    /// HDM decoders.
    pub decoder: Decoder,
    /// The memory that the device carries.
    pub memory: Memory,
    /// Where the specification leaves a choice, or shipped devices differ from it.
    pub silicon: Silicon,
    /// What host firmware did before anybody looked.
    pub firmware: Firmware,
    /// How the kernel shows the device, where it has a choice.
    pub kernel: Kernel,
    /// What is broken.
    pub faults: Faults,
}

/// A profile that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    text: &'static str,
}

/// The name of the preset that is taken when nothing is said.
pub const DEFAULT_PRESET: &str = "t2-committed";

/// All presets.
pub const PRESETS: &[Preset] = &[Preset {
    name: DEFAULT_PRESET,
    about: "Type-2 device, one decoder committed and locked by firmware over 256 MiB, block inside BAR 2",
    text: include_str!("../../profiles/t2-committed.toml"),
}];

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file has a mistake.
    #[error(transparent)]
    Mistake(#[from] Mistake),
    /// There is neither a preset nor a file of this name.
    #[error("profile {name:?} is neither a preset ({presets}) nor a file", presets = preset_names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
}

impl Profile {
    /// The profile that `name` stands for: a preset, or else a file.
    ///
    /// # Errors
    /// If there is neither, or the file has a mistake.
    pub fn find(name: &str) -> Result<Self, ProfileError> {
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == name) {
            return Ok(Self::parse(preset.name, preset.text)?);
        }
        match source::read_text(std::path::Path::new(name)) {
            Ok(text) => Ok(Self::parse(name, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ProfileError::Unknown { name: name.to_owned() })
            }
            Err(error) => Err(ProfileError::Unreadable { file: name.to_owned(), error }),
        }
    }

    /// The profile in a TOML text. `file` is named in errors. The geometry is checked, too, so that a mistake in
    /// it is reported with its line.
    ///
    /// # Errors
    /// If the text has a mistake.
    pub fn parse(file: &str, text: &str) -> Result<Self, Mistake> {
        let profile: Self = toml::from_str(text).map_err(|error| Mistake::of_reader(file, text, &error))?;
        match profile.check() {
            Ok(_) => Ok(profile),
            Err(wrong) => {
                let path: Vec<&str> = wrong.field.split('.').collect();
                Err(Mistake::of_value(file, text, &path, wrong.to_string()))
            }
        }
    }

    /// The profile as TOML text. [`parse`](Self::parse) gives the same profile back.
    pub fn to_toml(&self) -> String {
        // Numbers, booleans and texts in tables: all of them have a TOML form.
        toml::to_string(self).unwrap_or_default()
    }
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}
