//! A profile says which device to be: ids, block placement, decoders, memory, what firmware did, what is broken.
//!
//! Every field has a default, and the defaults are the preset `t2-committed`. So a profile file is short: it
//! states what is different. [`Profile::check`] turns a profile into [`Checked`], which is the only way to a
//! device: a geometry that cannot be is refused there, by field and value.

pub mod drive;
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
pub use device::ConfigLock;
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
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use source::Mistake;

/// Which device to be. The text form is TOML; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
pub const PRESETS: &[Preset] = &[
    Preset {
        name: DEFAULT_PRESET,
        about: "Type-2 device, one decoder committed and locked by firmware over 256 MiB, block inside BAR 2",
        text: include_str!("../../profiles/t2-committed.toml"),
    },
    Preset {
        name: "t2-uncommitted",
        about: "firmware committed nothing: plain vfio-pci to kernels that were posted",
        text: include_str!("../../profiles/t2-uncommitted.toml"),
    },
    Preset {
        name: "t2-committed-unlocked",
        about: "decoder committed and not locked: the host's address shows in the registers",
        text: include_str!("../../profiles/t2-committed-unlocked.toml"),
    },
    Preset {
        name: "t2-config-locked",
        about: "firmware locked the device DVSEC before it turned the memory on, which is on by itself",
        text: include_str!("../../profiles/t2-config-locked.toml"),
    },
    Preset {
        name: "t2-block-start",
        about: "component block at the start of its BAR",
        text: include_str!("../../profiles/t2-block-start.toml"),
    },
    Preset {
        name: "t2-block-end",
        about: "component block at the end of its BAR",
        text: include_str!("../../profiles/t2-block-end.toml"),
    },
    Preset {
        name: "t2-block-whole-bar",
        about: "component block is all of its BAR: nothing of it can be mapped",
        text: include_str!("../../profiles/t2-block-whole-bar.toml"),
    },
    Preset {
        name: "t2-hdm-db",
        about: "memory coherent by back-invalidate: the decoder is committed with BI",
        text: include_str!("../../profiles/t2-hdm-db.toml"),
    },
    Preset {
        name: "t2-large",
        about: "64 GiB of memory, sparse: as quick to attach as a small one",
        text: include_str!("../../profiles/t2-large.toml"),
    },
    Preset {
        name: "t2-many-decoders",
        about: "ten decoders, one of them committed",
        text: include_str!("../../profiles/t2-many-decoders.toml"),
    },
];

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
    ///
    /// ```
    /// use sim_device::profile::Profile;
    ///
    /// let profile = Profile::parse("mine.toml", "[memory]\nsize = \"1GiB\"\n")?;
    /// assert!(profile.firmware.committed, "what is not said is as in t2-committed");
    ///
    /// let mistake = Profile::parse("mine.toml", "[decoder]\ncount = 3\n").unwrap_err();
    /// assert!(mistake.to_string().starts_with("mine.toml:2: "), "{mistake}");
    /// # Ok::<(), sim_device::profile::source::Mistake>(())
    /// ```
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

    /// The JSON schema of a profile, for editors and for whoever writes profiles with a program.
    pub fn schema() -> schemars::Schema {
        let mut schema = schemars::schema_for!(Self);
        schema.insert("$id".to_owned(), "urn:cxl-sim:profile".into());
        schema
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The schema of a key's value, past the reference that it may be.
    fn resolved<'a>(schema: &'a Value, at: &'a Value) -> &'a Value {
        let reference = at["$ref"].as_str().or(at["allOf"][0]["$ref"].as_str());
        let nullable =
            at["anyOf"].as_array().and_then(|either| either.first()).and_then(|one| one["$ref"].as_str());
        match reference.or(nullable).and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => &schema["$defs"][name],
            None => at,
        }
    }

    #[test]
    fn the_schema_has_every_key_of_a_profile_with_its_meaning_and_no_other() {
        let schema = serde_json::to_value(Profile::schema()).unwrap();
        let default = serde_json::to_value(Profile::default()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for (table, keys) in default.as_object().unwrap() {
            let part = resolved(&schema, &schema["properties"][table]);
            assert_eq!(part["additionalProperties"], false, "{table}");
            let told: Vec<_> = part["properties"].as_object().unwrap().keys().collect();
            let mut has: Vec<_> = keys.as_object().unwrap().keys().collect();
            has.sort();
            assert_eq!(told.len(), has.len(), "{table}");
            for key in has {
                let about = part["properties"][key]["description"].as_str().unwrap_or_default();
                assert!(!about.is_empty(), "{table}.{key} is not described");
            }
        }
    }

    #[test]
    fn the_schema_of_a_number_takes_what_a_profile_takes() {
        let schema = serde_json::to_value(Profile::schema()).unwrap();
        let quantity = &schema["$defs"]["Quantity"]["anyOf"];
        assert_eq!(quantity[0]["type"], "integer");
        let pattern = regex::Regex::new(quantity[1]["pattern"].as_str().unwrap()).unwrap();
        for text in ["4096", "0x48_3000_0000", "256MiB", " 2 TiB ", "7B", "", "many", "-1", "5MB", "1.5GiB"] {
            assert_eq!(pattern.is_match(text), text.parse::<quantity::Quantity>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_large_device_costs_no_pages_until_they_are_written() {
        use std::os::unix::fs::MetadataExt;
        let profile = Profile::find("t2-large").unwrap().check().unwrap();
        let silicon = crate::silicon::Silicon::power_on(profile).unwrap();
        let file = silicon.memory().file().metadata().unwrap();
        assert_eq!((file.len(), file.blocks()), (64 << 30, 0));
        silicon.memory().write_bytes(40 << 30, &[1]);
        assert!(silicon.memory().file().metadata().unwrap().blocks() * 512 <= 2 << 20);
    }
}
