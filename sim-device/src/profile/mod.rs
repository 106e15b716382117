//! A profile says which device to be: ids, block placement, decoders, memory, what firmware did, what is broken.
//!
//! Every field has a default, and the defaults are the preset `t2-committed`. So a profile file is short: it
//! states what is different. [`Profile::check`] turns a profile into [`Checked`], which is the only way to a
//! device: a geometry that cannot be is refused there, by field and value.

pub mod quantity;
pub mod source;

mod check;

pub(crate) use check::CONTROL_BAR_SIZE;
pub use check::Checked;
pub use check::Impossible;
pub(crate) use check::PENDING_OFFSET;
use quantity::Quantity;
use serde::Deserialize;
use serde::Serialize;
use source::Mistake;

/// Which device to be. The text form is TOML; unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Who made it and what it claims to be.
    pub ids: Ids,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// The component register block and the BAR around it.
    pub component: Component,
    /// HDM decoders.
    pub decoder: Decoder,
    /// The memory that the device carries.
    pub memory: Memory,
    /// What host firmware did before anybody looked.
    pub firmware: Firmware,
    /// How the kernel shows the device, where it has a choice.
    pub kernel: Kernel,
    /// What is broken.
    pub faults: Faults,
}

/// Who made the device and what it claims to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ids {
    /// PCI vendor id.
    pub vendor: u16,
    /// PCI device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code, 24 bits.
    pub class: u32,
}

/// Interrupts of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Interrupts {
    /// Number of MSI-X vectors.
    pub msix_vectors: u16,
}

/// Where the component register block is, and what is where in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Component {
    /// BAR that holds the block: 2 or 4, each with its neighbour a 64-bit BAR. BAR 0 has the MSI-X table.
    pub bar: u8,
    /// Length of that BAR, a power of two.
    pub bar_size: Quantity,
    /// Offset of the 64 KiB block in it, a multiple of 64 KiB.
    pub offset: Quantity,
    /// Offset of the RAS capability from the capability array.
    pub ras: Quantity,
    /// Offset of the HDM decoder capability from the capability array.
    pub hdm: Quantity,
}

/// HDM decoders of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decoder {
    /// How many there are: 1, 2, 4, 6, 8 or 10.
    pub count: u8,
}

/// The memory that the device carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Its length, a multiple of 256 MiB. The pages exist only once they are written.
    pub size: Quantity,
}

/// What host firmware did before anybody looked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Firmware {
    /// It committed decoder 0 over all of the memory.
    pub committed: bool,
    /// It locked the decoder.
    pub locked: bool,
    /// The host physical address that it put the memory at, a multiple of 256 MiB.
    pub host_base: Quantity,
}

/// How the kernel shows the device, where it has a choice.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Show a device whose decoder firmware did not commit as a CXL device without the committed flag. The
    /// kernel's own answer is a plain PCI device.
    pub show_uncommitted: bool,
    /// Show the lock of a decoder that firmware locked. The kernel clears it, together with the base.
    pub show_lock: bool,
}

/// What is broken. Nothing is, unless a file says so.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The mapping of the memory region is not the device's memory.
    pub detached_memory: bool,
    /// The component BAR shows the host base at this offset, among the accelerator registers or in the block.
    pub host_base_at: Option<Quantity>,
    /// BAR 0 shows the host base at this offset.
    pub host_base_in_bar0_at: Option<Quantity>,
    /// The component register region drops writes to a decoder's base.
    pub base_write_dropped: bool,
    /// The component register region never sets COMMITTED.
    pub commit_ignored: bool,
    /// The component register region does not clear the lock bit.
    pub lock_clear_ignored: bool,
    /// The component register region takes a new range for a decoder that is locked.
    pub lock_freezes_nothing: bool,
    /// The component register region reads all ones after so many reads.
    pub registers_die_after: Option<u64>,
    /// The component register region has no entry for the HDM decoders.
    pub hdm_missing: bool,
    /// The server closes the connection instead of answering this message, counted from 1.
    pub disconnect_at_message: Option<u64>,
    /// The server goes silent instead of answering this message, counted from 1.
    pub silent_at_message: Option<u64>,
}

impl Default for Ids {
    fn default() -> Self {
        // The device id belongs to nobody: no driver should take the model for a product. The class is the one
        // that public Type-2 devices use, and not 0x050210, which makes Linux's memory driver bind.
        Self {
            vendor: 0x1e98,
            device: 0xc7f2,
            subsystem_vendor: 0x1e98,
            subsystem: 1,
            revision: 1,
            class: 0x12_0000,
        }
    }
}

impl Default for Interrupts {
    fn default() -> Self {
        Self { msix_vectors: 8 }
    }
}

impl Default for Component {
    fn default() -> Self {
        Self {
            bar: 2,
            bar_size: Quantity(1 << 20),
            offset: Quantity(0x2_0000),
            ras: Quantity(0x80),
            hdm: Quantity(0x110),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { count: 1 }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { size: Quantity(256 << 20) }
    }
}

impl Default for Firmware {
    fn default() -> Self {
        // Both halves of the base differ from 0 and from each other, so that a leak of either is seen.
        Self { committed: true, locked: true, host_base: Quantity(0x48_3000_0000) }
    }
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
