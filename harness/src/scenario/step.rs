//! Steps by kind: those of a scenario with a machine, and those without one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::accident;
use super::acpi;
use super::dma;
use super::interrupts;
use super::life;
use super::machine;
use super::place::Place;
use super::plug;
use super::reached;
use super::user;

/// Something that is done or seen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The guest loads and sees.
    Load(machine::Load),
    /// The guest stores.
    Store(machine::Store),
    /// The device itself holds in its memory.
    DeviceHolds(machine::DeviceHolds),
    /// The device itself puts into its memory.
    DevicePuts(machine::DevicePuts),
    /// The guest reads a decoder through the BAR.
    Decoder(machine::Decoder),
    /// The guest's window is here.
    Window(machine::Window),
    /// The registers were written at machine-done: exactly these, in this order.
    MachineDone(machine::MachineDone),
    /// The guest finds an address nowhere in a range.
    Hidden(machine::Hidden),
    /// The guest has the device's engine copy.
    Copy(dma::Copy),
    /// The guest finds an ACPI table in its memory and reads it.
    Acpi(acpi::Acpi),
    /// It is planned what a device may reach.
    Decided(dma::Decided),
    /// A device was told about memory that it may reach.
    DmaCalls(dma::DmaCalls),
    /// The machine is reset.
    MachineReset(life::MachineReset),
    /// The machine resets a device.
    VfioReset(life::VfioReset),
    /// The registers were written since: exactly these, in this order.
    Programmed(life::Programmed),
    /// The guest calls code.
    Run(life::Run),
    /// A device's memory is not where it should be.
    Unplaced(life::Unplaced),
    /// A device's process dies.
    Kill(accident::Kill),
    /// A device's process stands still.
    Freeze(accident::Freeze),
    /// It goes on.
    Thaw(accident::Thaw),
    /// Another process is in its place.
    Restart(accident::Restart),
    /// The machine has lost a device.
    Lost(accident::Lost),
    /// The guest's handler of an interrupt does something.
    Handler(interrupts::Handler),
    /// The guest has taken an interrupt so often.
    Interrupts(interrupts::Interrupts),
    /// A device has told the machine something so often.
    Signalled(interrupts::Signalled),
    /// The machine lets a pin signal again.
    UnmaskPin(interrupts::UnmaskPin),
    /// A device comes.
    Plug(plug::Plug),
    /// A device goes.
    Unplug(plug::Unplug),
    /// The user asks what the device is.
    DeviceInfo(user::DeviceInfo),
    /// The user asks what a region is.
    RegionInfo(user::RegionInfo),
    /// The user reads a region.
    RegionRead(user::RegionRead),
    /// The user writes a region.
    RegionWrite(user::RegionWrite),
    /// The user writes every dword of a region, and reads all of them after that.
    Sweep(user::Sweep),
    /// The user maps a region.
    Map(user::Map),
    /// The user lets the device reach some memory.
    DmaMap(user::Dma),
    /// The user takes that back.
    DmaUnmap(user::Dma),
    /// The user looks at what it let the device reach, or stores there.
    DmaMemory(reached::Memory),
    /// The user has the device's engine copy.
    DmaCopy(reached::Copy),
    /// The user attaches events to vectors.
    Vectors(reached::Vectors),
    /// A vector was signalled so often.
    Vector(reached::Vector),
    /// The user resets the device.
    Reset(user::Reset),
    /// The user closes the device and opens it again.
    Reopen(user::Reopen),
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
            Self::Copy(_) => "copy",
            Self::Acpi(_) => "acpi",
            Self::Decided(_) => "decided",
            Self::DmaCalls(_) => "dma_calls",
            Self::MachineReset(_) => "machine_reset",
            Self::VfioReset(_) => "vfio_reset",
            Self::Programmed(_) => "programmed",
            Self::Run(_) => "run",
            Self::Unplaced(_) => "unplaced",
            Self::Kill(_) => "kill",
            Self::Freeze(_) => "freeze",
            Self::Thaw(_) => "thaw",
            Self::Restart(_) => "restart",
            Self::Lost(_) => "lost",
            Self::Handler(_) => "handler",
            Self::Interrupts(_) => "interrupts",
            Self::Signalled(_) => "signalled",
            Self::UnmaskPin(_) => "unmask_pin",
            Self::Plug(_) => "plug",
            Self::Unplug(_) => "unplug",
            Self::DeviceInfo(_) => "device_info",
            Self::RegionInfo(_) => "region_info",
            Self::RegionRead(_) => "region_read",
            Self::RegionWrite(_) => "region_write",
            Self::Sweep(_) => "sweep",
            Self::Map(_) => "map",
            Self::DmaMap(_) => "dma_map",
            Self::DmaUnmap(_) => "dma_unmap",
            Self::DmaMemory(_) => "dma_memory",
            Self::DmaCopy(_) => "dma_copy",
            Self::Vectors(_) => "vectors",
            Self::Vector(_) => "vector",
            Self::Reset(_) => "reset",
            Self::Reopen(_) => "reopen",
        }
    }

    /// Whether it is done in a machine.
    pub(super) fn needs_machine(&self) -> bool {
        match self {
            Self::Load(_) | Self::Store(_) | Self::DeviceHolds(_) | Self::DevicePuts(_) => true,
            Self::Decoder(_) | Self::Window(_) | Self::MachineDone(_) | Self::Hidden(_) => true,
            Self::Copy(_) | Self::Decided(_) | Self::DmaCalls(_) | Self::Acpi(_) => true,
            Self::MachineReset(_) | Self::VfioReset(_) | Self::Programmed(_) | Self::Unplaced(_) => true,
            Self::Kill(_) | Self::Freeze(_) | Self::Thaw(_) | Self::Restart(_) | Self::Lost(_) => true,
            Self::Run(_) | Self::Interrupts(_) | Self::Signalled(_) | Self::UnmaskPin(_) => true,
            Self::Handler(_) | Self::Plug(_) | Self::Unplug(_) => true,
            Self::DeviceInfo(_) | Self::RegionInfo(_) | Self::RegionRead(_) | Self::RegionWrite(_) => false,
            Self::Sweep(_) | Self::Map(_) | Self::DmaMap(_) | Self::DmaUnmap(_) => false,
            Self::DmaMemory(_) | Self::DmaCopy(_) | Self::Vectors(_) | Self::Vector(_) => false,
            Self::Reset(_) | Self::Reopen(_) => false,
        }
    }

    /// The device names that the step has, with the keys that have them.
    pub(super) fn devices(&self) -> Vec<(&'static str, &str)> {
        let places: Vec<(&'static str, &Place)> = match self {
            Self::Load(load) => {
                let optional = [("is", &load.is), ("is_not", &load.is_not)];
                let optional = optional.into_iter().filter_map(|(key, place)| Some((key, place.as_ref()?)));
                [("at", &load.at)].into_iter().chain(optional).collect()
            }
            Self::Store(store) => vec![("at", &store.at)],
            Self::Hidden(hidden) => vec![("from", &hidden.from)],
            Self::Run(run) => vec![("at", &run.at)],
            Self::Handler(handler) => vec![("at", &handler.at)],
            Self::Copy(copy) => copy.places().collect(),
            Self::Acpi(acpi) => acpi.places().into_iter().map(|place| ("table", place)).collect(),
            Self::Decoder(decoder) => decoder.base.iter().map(|base| ("base", base)).collect(),
            _ => Vec::new(),
        };
        let named = places.into_iter().filter_map(|(key, place)| Some((key, place.device()?)));
        named.chain(self.device().map(|name| ("device", name))).collect()
    }

    /// The device that the key `device` names.
    pub fn device(&self) -> Option<&str> {
        Some(match self {
            Self::DeviceHolds(step) => &step.device,
            Self::DevicePuts(step) => &step.device,
            Self::Decoder(step) => &step.device,
            Self::Window(step) => &step.device,
            Self::MachineDone(step) => &step.device,
            Self::Copy(step) => &step.device,
            Self::Decided(step) => &step.device,
            Self::DmaCalls(step) => &step.device,
            Self::VfioReset(step) => &step.device,
            Self::Programmed(step) => &step.device,
            Self::Unplaced(step) => &step.device,
            Self::Kill(step) => &step.device,
            Self::Freeze(step) => &step.device,
            Self::Thaw(step) => &step.device,
            Self::Restart(step) => &step.device,
            Self::Lost(step) => &step.device,
            Self::Signalled(step) => &step.device,
            Self::UnmaskPin(step) => &step.device,
            Self::Plug(step) => &step.device,
            Self::Unplug(step) => &step.device,
            Self::DeviceInfo(step) => &step.device,
            Self::RegionInfo(step) => &step.device,
            Self::RegionRead(step) => &step.device,
            Self::RegionWrite(step) => &step.device,
            Self::Sweep(step) => &step.device,
            Self::Map(step) => &step.device,
            Self::DmaMap(step) | Self::DmaUnmap(step) => &step.device,
            Self::DmaMemory(step) => &step.device,
            Self::DmaCopy(step) => &step.device,
            Self::Vectors(step) => &step.device,
            Self::Vector(step) => &step.device,
            Self::Reset(step) => &step.device,
            Self::Reopen(step) => &step.device,
            Self::Load(_) | Self::Store(_) | Self::Hidden(_) | Self::Acpi(_) => return None,
            Self::MachineReset(_) | Self::Run(_) | Self::Interrupts(_) | Self::Handler(_) => return None,
        })
    }

    /// The step's width, if it has one.
    pub(super) fn width(&self) -> Option<u64> {
        match self {
            Self::Load(step) => Some(step.width),
            Self::Store(step) => Some(step.width),
            Self::DeviceHolds(step) => Some(step.width),
            Self::DevicePuts(step) => Some(step.width),
            Self::RegionRead(step) => step.width,
            Self::RegionWrite(step) => step.width,
            Self::Map(step) => step.width,
            Self::DmaMemory(step) => Some(step.width),
            _ => None,
        }
    }
}
